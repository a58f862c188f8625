"""What some injuries do, and as what they are told; and none is over before its own time."""

from __future__ import annotations

import pytest

from loadtest.answering_point import Fault
from loadtest.leg import NetworkMischief
from loadtest.mischief import Mischief
from loadtest.trunk import TrunkFault
from services.domain.events import Tick
from services.wire import facts
from simulator.checkers import check
from simulator.injuries import Injury, far_end
from simulator.injuries.processes import LISTED_BY
from simulator.installation import SPARE, names_of
from simulator.run import Observed, hits_the_same, run
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
