"""What some injuries do, and as what they are told; and none is over before its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadtest.answering_point import Fault
from loadtest.leg import NetworkMischief
from loadtest.mischief import Mischief
from loadtest.trunk import TrunkFault
from services.domain.events import Tick
from services.journal import Topic
from services.journal.memory import MemoryBroker
from services.wire import facts
from simulator.checkers import check
from simulator.injuries import KINDS, Injury, Scene, far_end
from simulator.injuries.cables import SEA
from simulator.injuries.processes import LISTED_BY
from simulator.installation import SPARE, names_of
from simulator.run import Observed, hits_the_same, run, seconds_of
from simulator.schedule import Schedule, draw

WORKED = {
    "psap_gateway": "throughline_psap_gateway_attempts_offered_total",
    "firewall": "throughline_firewall_verdicts_total",
    "router": "throughline_router_routes_total",
    "failover": "throughline_failover_dials_total",
    "ingress": "throughline_ingress_calls_accepted_total",
}
"""What each service counts of its work."""
BROKERS = ("broker-1", "broker-2", "broker-3")


def instants(seen: Observed, writer: str = "") -> list[float]:
    """When something landed on the log: ticks of this writer, or anything."""
    said = ((facts.read(each.value), (each.log_ms - seen.began_ms) / 1000) for each in seen.records)
    return [at_s for fact, at_s in said if not writer or (isinstance(fact, Tick) and fact.writer.startswith(writer))]


@pytest.mark.parametrize(
    ("longer", "shorter", "writer"),
    [
        (Injury("kill", 2.0, 8.0, ("ingress-1",)), Injury("power", 3.0, 1.0, ("ingress-1",)), "ingress-1/"),
        (Injury("kafka_gone", 2.0, 8.0, BROKERS), Injury("leader_moved", 3.0, 0.5, BROKERS[:2]), ""),
    ],
)  # fmt: skip
def test_what_is_healed_of_one_kind_is_not_healed_of_another(longer: Injury, shorter: Injury, writer: str) -> None:
    """The longer injury stands until its own end."""
    seen = run(Schedule(5, draw(5, 6).calls, (longer, shorter)))
    assert not [at_s for at_s in instants(seen, writer) if 5.0 < at_s < 9.9]
    assert [at_s for at_s in instants(seen, writer) if at_s > 10.0]


def test_who_is_isolated_is_told_as_cut_off_from_everybody_and_from_kafka() -> None:
    """Checkers excuse what each of the two does, while it did it, and nothing more."""
    injury = Injury("isolated", 2.0, 3.0, ("ingress-1",))
    seen = run(Schedule(1, draw(1, calls=5).calls, (injury,)))
    assert [(each.kind, each.targets) for each in seen.struck] == [
        ("cut_off", injury.targets),
        ("kafka_absent", injury.targets),
    ]
    assert all(abs(each.at_s - 2.0) < 0.01 and each.lasts_s == 3.0 for each in seen.struck)


def test_a_story_that_is_told_hits_whom_it_names_with_any_kind_of_injury() -> None:
    """`KIND=TARGETS` is not drawn: so a mistake can be sought in the one moment that brings it out."""
    told = "far-end ringing gateway crash, far-end connected other_conductor cut_off"
    injuries = draw(3, 6, (f"steps={told}",)).injuries
    assert {each.targets for each in injuries} == {tuple(told.split(", "))}
    calls = draw(3, 6).calls
    seen = run(Schedule(3, calls, (Injury("steps", 0.0, 15.0, injuries[0].targets),)))
    crash, cut_off = seen.struck
    rang = next(e for e in seen.far_end if e["event"] == "ringing")
    assert (crash.kind, crash.targets) == ("crash", (rang["gateway"].partition(":")[0],))
    assert crash.lasts_s <= 0.3
    connected = next(e for e in seen.far_end if e["event"] == "connected" and e["call_id"] == rang["call_id"])
    conductors = [e["ingress"] for e in seen.callers if e["event"] == "offered" and e["call_id"] == rang["call_id"]]
    assert (cut_off.kind, len(cut_off.targets)) == ("cut_off", 1)
    assert cut_off.targets[0] in names_of("ingress") and cut_off.targets[0] != conductors[-1].partition(":")[0]
    assert abs(cut_off.at_s - (connected["at_ms"] - seen.began_ms) / 1000) < 0.01


def test_a_broker_that_falls_is_away_and_leads_again() -> None:
    """Others lead meanwhile; a run in which one falls comes to rest (J6)."""
    injury = Injury("broker_falls", 2.0, 8.0, ("broker-1",), 0.3)
    seen = run(Schedule(1, draw(1, calls=20).calls, (injury,)))
    assert seen.settled
    assert seen.digest != run(Schedule(1, draw(1, calls=20).calls, ())).digest


def test_who_is_cut_off_stays_so_when_one_of_its_ways_is_mended() -> None:
    """A cut between two is healed, and one of them is cut off from everybody still."""
    cut = Injury("cut", 3.0, 1.0, ("ingress-1", "psap-gateway-1"))
    alone = Injury("cut_off", 2.0, 8.0, ("psap-gateway-1",))
    isolated = Injury("isolated", 2.0, 3.0, ("ingress-2",))
    assert hits_the_same(alone, cut) and hits_the_same(cut, alone)
    assert hits_the_same(Injury("kafka_absent", 2.0, 8.0, ("ingress-2",)), isolated)
    assert not hits_the_same(cut, Injury("kafka_absent", 2.0, 8.0, ("ingress-1",)))
    assert not hits_the_same(Injury("kill", 2.0, 8.0, ("ingress-1",)), Injury("kill", 2.0, 8.0, ("ingress-2",)))


HERE = ("psap-gateway-1", "firewall-1", "router-1", "failover-1", "ledger-1", "ingress-1", "P1", "P3", "P5",
        "wireless", "trunk-1")  # fmt: skip
THERE = ("psap-gateway-2", "firewall-2", "router-2", "failover-2", "failover-3", "ingress-2", "P2", "P4", "P6",
         "wireline", "trunk-2")  # fmt: skip


def test_two_sites_that_are_split_reach_nobody_of_each_other_and_both_reach_kafka() -> None:
    """No telephone of one rings by a gateway of the other; ticks of both ingresses land (T1)."""
    seen = run(Schedule(3, draw(3, 60).calls, (Injury("split", 3.0, 8.0, (*HERE, SEA, *THERE)),)))
    rang = [
        (each["gateway"].partition(":")[0], each["psap_id"], 3.1 < seconds_of(seen, each["at_ms"]) < 11.0)
        for each in seen.far_end
        if each["event"] == "ringing" and each.get("gateway")
    ]
    crossing = [split for gateway, psap_id, split in rang if (gateway in HERE) is not (psap_id in HERE)]
    assert any(split for *_, split in rang) and crossing and not any(crossing)
    for name in ("ingress-1", "ingress-2"):
        assert len([at_s for at_s in instants(seen, f"{name}/") if 3.0 < at_s < 11.0]) > 10
    assert (seen.settled, check(seen)) == (True, [])


@pytest.mark.parametrize(("kind", "hears"), [("hears_nobody", False), ("heard_by_nobody", True)])
def test_one_way_of_a_process_is_gone_and_the_other_is_there(kind: str, hears: bool) -> None:
    """An ingress that hears nobody has no offer; one that nobody hears writes it down, and its caller hears nothing."""
    seen = run(Schedule(3, draw(3, 60).calls, (Injury(kind, 3.0, 8.0, ("ingress-1",)),)))

    def meanwhile(entry: Mapping[str, Any]) -> bool:
        return 3.1 < seconds_of(seen, entry["at_ms"]) < 10.9

    accepted = {(e["call_id"], e["leg"]) for e in seen.callers if e["event"] == "accepted" and meanwhile(e)}
    offered = {
        (e["call_id"], e["leg"])
        for e in seen.journal
        if e.get("kind") == "offered" and e["writer"].startswith("ingress-1/") and meanwhile(e)
    }
    assert bool(offered) is hears and accepted and not offered & accepted
    assert (seen.settled, check(seen)) == (True, [])


def landed(seen: Observed, writer: str) -> list[tuple[str, float, float]]:
    """Each fact of this process that came to the log: who led it, when it was said, and when it landed."""
    found = []
    for each in seen.records:
        fact = facts.fact_in(each.value)
        if fact is not None and fact.writer.startswith(writer):
            leader = BROKERS[each.partition]
            found.append((leader, seconds_of(seen, fact.at_ms), seconds_of(seen, each.log_ms)))
    return found


def test_one_client_for_which_one_broker_hangs_is_answered_by_the_others() -> None:
    """What it leads is landed when it goes on; facts of other partitions, and of others, land all the while (J6)."""
    seen = run(Schedule(3, draw(3, 60).calls, (Injury("kafka_hung", 3.0, 8.0, ("ingress-1", "broker-1")),)))
    inside = {(leader, at_s) for leader, _, at_s in landed(seen, "ingress-1/") if 3.1 < at_s < 11.0}
    assert {leader for leader, _ in inside} == {"broker-2", "broker-3"}
    assert any(leader == "broker-1" and 3.1 < at_s < 11.0 for leader, _, at_s in landed(seen, "ingress-2/"))
    assert (seen.settled, check(seen)) == (True, [])


def test_what_is_acknowledged_late_has_long_landed() -> None:
    """Its client waits for the word as where Kafka is slow, while others read the fact (J4)."""
    injury = Injury("kafka_acks_late", 3.0, 8.0, ("ingress-1", "ingress-2"), 0.5)
    seen = run(Schedule(3, draw(3, 60).calls, (injury,)))
    there = [landed_s - said_s for _, said_s, landed_s in landed(seen, "ingress-1/") if 3.1 < said_s < 10.0]
    assert there and min(there) < 0.05
    assert seen.counts["ingress-1"]["throughline_ingress_journal_events_total{happening=over_budget}"] > 0
    assert (seen.settled, check(seen)) == (True, [])


def test_every_compacted_topic_is_compacted() -> None:
    """Older records of each key vanish from all of them, from no other."""

    async def compacted() -> set[Topic]:
        broker = MemoryBroker(lambda: 0)
        for topic in Topic:
            for value in (b"older", b"newer"):
                broker.land(topic, "key", value)
        KINDS["compacted"].strike(cast(Scene, SimpleNamespace(broker=broker)), Injury("compacted", 0.0, 0.05))
        return {topic for topic in Topic if len(broker.records(topic)) == 1}

    assert asyncio.run(compacted()) == {Topic.ROUTING, Topic.POLICY, Topic.PSAP_STATUS}


@pytest.mark.parametrize("service", SPARE)
def test_a_replica_of_a_new_name_is_given_work_and_is_gone_without_a_trace(service: str) -> None:
    """T1, R5: neighbours learn of it, calls go through it while it is there, and none is lost when it drains."""
    name = SPARE[service]
    neighbours = [each for listing in LISTED_BY[service] for each in names_of(listing)]
    injury = Injury("joins", 0.5, 30.0 if neighbours else 15.0, (name, *neighbours))
    seen = run(Schedule(3, draw(3).calls, (injury,)))
    assert any(count > 0 for metric, count in seen.counts[name].items() if metric.startswith(WORKED[service]))
    assert (seen.settled, check(seen)) == (True, [])


def test_a_replica_that_leaves_while_kafka_is_gone_stays_until_it_has_said_all() -> None:
    """J6: what lies in its spool has nobody else who brings it to the log."""
    leaves = Injury("joins", 0.5, 12.0, (SPARE["ingress"],))
    seen = run(Schedule(3, draw(3).calls, (leaves, Injury("kafka_gone", 4.0, 12.0, BROKERS))))
    assert (seen.settled, check(seen)) == (True, [])


def test_who_reads_a_journal_whose_head_is_gone_reads_what_is_left() -> None:
    """J2: replicas that start then go on with the calls that are there; a ledger without its disk has those alone."""
    aged = Injury("aged", 16.0, 0.05)
    kept = [Injury("restart", 17.0, 3.0, (name,)) for name in ("failover-1", "failover-2", "ledger-1")]
    seen = run(Schedule(3, draw(3).calls, (aged, *kept)))
    assert (seen.settled, check(seen)) == (True, [])
    lost = run(Schedule(3, draw(3).calls, (aged, Injury("disk_lost", 17.0, 3.0, ("ledger-1",)))))
    assert seen.ledger and lost.ledger and sum(lost.ledger.sums.values()) < sum(seen.ledger.sums.values())
    assert (lost.settled, check(lost)) == (True, [])


def test_whatever_the_far_end_can_do_wrong_is_a_fault_in_words() -> None:
    """None is forgotten where one is added."""
    assert {Fault.NONE, *far_end.PSAP_FAILS} == set(Fault)
    assert {Mischief.NONE, *far_end.PSAP_SINS} == set(Mischief)
    assert {TrunkFault.NONE, *far_end.TRUNK_FAILS} == set(TrunkFault)
    assert {NetworkMischief.NONE, *far_end.NETWORK_SINS} == set(NetworkMischief)
