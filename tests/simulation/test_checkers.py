"""Every checker can fail: a good run is damaged in one small way, and that checker says so (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from throughline.v1 import fact_pb2, screening_pb2

from services.domain.fold import Outcome
from services.domain.take_overs.facts import Leg, attempt_name
from services.journal import Record, Topic
from services.journal.segments import Entry as Spooled
from services.journal.segments import header, payload_of, record
from services.wire import facts
from simulator.checkers import CHECKERS, check, hurting
from simulator.checkers.alarms import ALARMS, UNHEARD
from simulator.checkers.evidence import gather
from simulator.checkers.talks import one_at_a_time, with_a_caller
from simulator.injuries import KINDS, Injury
from simulator.installation import ALL_NAMES, names_of
from simulator.outside import SOURCES
from simulator.run import Counts, LedgerKept, Observed, Removed, run
from simulator.schedule import Schedule, calls_of, draw
from simulator.virtual_loop import EPOCH_MS

SEED = 7
BROKERS = ("broker-1", "broker-2", "broker-3")
INGRESSES = names_of("ingress")
Entry = Mapping[str, Any]


@pytest.fixture(scope="module")
def good() -> Observed:
    """Forty calls while an ingress and others are killed and come back."""
    return run(draw(SEED, 40, ("kill",)))


def said_by(seen: Observed) -> set[str]:
    return {finding.checker for finding in check(seen)}


def of(name: str, seen: Observed) -> list[str]:
    """What one checker says, and of which call."""
    return [f"{each.call_id} {each.words}" for each in check(seen) if each.checker == name]


def first(entries: Any, **like: Any) -> dict[str, Any]:
    """The first entry that has all this."""
    return dict(next(e for e in entries if all(e.get(key) == value for key, value in like.items())))


def behind(entries: Any, entry: Entry, *new: Entry) -> list[Entry]:
    """The same entries, with new ones behind one of them."""
    there = list(entries)
    at = next(n for n, each in enumerate(there) if dict(each) == dict(entry))
    return [*there[: at + 1], *new, *there[at + 1 :]]


def without(entries: Any, **like: Any) -> list[Entry]:
    return [e for e in entries if not all(e.get(key) == value for key, value in like.items())]


def a_connection(seen: Observed) -> dict[str, Any]:
    """One that the conductor made itself, at a PSAP."""
    made = {f["attempt"] for f in seen.journal if f.get("kind") == "answered" and not f["reason"]}
    return dict(next(e for e in seen.far_end if e["event"] == "connected" and e["attempt"] in made))


def test_a_good_run_has_no_findings(good: Observed) -> None:
    """What the damage is done to is whole (J3)."""
    assert check(good) == []
    assert good.ledger is not None and good.ledger.sums[Outcome.ANSWERED, False] > 20


def test_an_accepted_call_without_an_outcome_is_found(good: Observed) -> None:
    """An accepted call ends in one outcome or on the callback list (J2)."""
    call_id = a_connection(good)["call_id"]
    lost = replace(good, journal=without(good.journal, event="outcome", call_id=call_id))
    assert of("one_outcome", lost) == [f"{call_id} accepted, and its outcomes are []"]


def test_an_accepted_call_in_progress_at_the_end_is_found(good: Observed) -> None:
    """What is in progress when all is over is not an end (J3)."""
    outcome = first(good.journal, event="outcome", outcome="answered")
    open_still = behind(good.journal, outcome, {**outcome, "outcome": "in_progress"})
    open_still.remove(outcome)
    assert [outcome["call_id"] in each for each in of("one_outcome", replace(good, journal=open_still))] == [True]


def test_a_second_person_beside_the_first_is_found(good: Observed) -> None:
    """At most one person is connected to a caller at any time, also where one of them is taken back at once (P4)."""
    talk = a_connection(good)
    other = {**talk, "psap_id": "P0", "attempt": talk["attempt"] + "9"}
    taken_back = {**other, "event": "cancelled", "stage": "connected"}
    twice = replace(good, far_end=behind(good.far_end, talk, other, taken_back))
    assert len(of("one_person", twice)) == 1
    one_after_the_other = replace(good, far_end=behind(good.far_end, talk, {**talk, "event": "ended"}, other))
    assert of("one_person", one_after_the_other) == []


@pytest.mark.parametrize(
    ("injury", "goes", "ends_ms", "found"),
    [
        (None, {"event": "hung_up"}, 9_000, True),
        (None, {"event": "connected", "attempt": "c0/1/2"}, 9_000, True),
        (None, {"event": "hung_up"}, None, True),
        (None, {"event": "hung_up"}, 6_900, False),
        (None, {"event": "connected", "attempt": "c0/1/1"}, 9_000, False),
        (None, {"event": "gave_up"}, 9_000, False),
        (Injury("far", 0.0, 60.0, ("P1", "psap-gateway-1"), 0.5), {"event": "hung_up"}, 9_000, True),
        (Injury("kill", 0.0, 60.0, ("psap-gateway-1",)), {"event": "hung_up"}, 9_000, True),
        (Injury("kill_all", 0.0, 60.0, names_of("psap_gateway")), {"event": "hung_up"}, 9_000, False),
        (Injury("kill", 0.0, 60.0, ("ingress-1",)), {"event": "hung_up"}, 9_000, False),
        (Injury("psap_silent", 0.0, 60.0, ("P1",)), {"event": "hung_up"}, 9_000, False),
        (Injury("psap_silent", 0.0, 60.0, ("P2",)), {"event": "hung_up"}, 9_000, True),
    ],
)
def test_a_person_who_sits_with_nobody_is_found(
    injury: Injury | None, goes: Entry, ends_ms: int | None, found: bool
) -> None:
    """Of a caller who hung up, or talks to another; until the end of all, where nobody ends it; not where the ingress
    was hurt that heard of it, nor where that place was out of reach (P5)."""
    of_the_call = {"call_id": "c0", "leg": 1, "ingress": "ingress-1:1"}
    callers = [
        {**of_the_call, "event": "offered", "at_ms": 1_000},
        {**of_the_call, "event": "confirmed", "attempt": "c0/1/1", "at_ms": 3_000},
        {**of_the_call, "at_ms": 4_000, **goes},
    ]
    talk = {"call_id": "c0", "attempt": "c0/1/1", "psap_id": "P1", "at_ms": 3_900, "event": "connected"}
    far_end = [talk, *([{**talk, "event": "ended", "at_ms": ends_ms}] if ends_ms else [])]
    schedule = replace(draw(SEED, 1), injuries=(injury,) if injury else ())
    seen = Observed(schedule, callers=callers, far_end=far_end, ends_s=60.0)
    assert bool(list(with_a_caller(gather(seen)))) is found


KAFKA_SLOW = Injury("kafka_slow", 0.0, 60.0, ALL_NAMES, 0.1)


@pytest.mark.parametrize(
    ("injury", "line", "asked", "found"),
    [
        (KAFKA_SLOW, "", True, True),
        (Injury("kafka_twice", 0.0, 60.0, ("ingress-1", "ingress-2"), 0.5), "", True, True),
        (Injury("clock_skew", 0.0, 60.0, ("ingress-1",), 1_000.0), "", True, True),
        (Injury("disk_slow", 0.0, 60.0, ("ingress-1",), 0.1), "", True, True),
        (Injury("steps", 0.0, 60.0, ("caller ringing conductor kills",)), "", True, True),
        (Injury("psap_silent", 0.0, 60.0, ("P1",)), "", False, True),
        (Injury("psap_silent", 0.0, 60.0, ("P1",)), "", True, False),
        (Injury("trunk_gone", 0.0, 60.0, ("trunk-2:1",)), "A", True, True),
        (Injury("trunk_gone", 0.0, 60.0, ("trunk-1:1",)), "A", True, False),
        (Injury("pause", 0.0, 60.0, ("psap-gateway-1",)), "", True, True),
        (Injury("kill", 0.0, 60.0, ("ingress-1",)), "", True, False),
    ],
)
def test_a_second_person_is_excused_only_where_the_first_was_asked_after_in_vain(
    injury: Injury, line: str, asked: bool, found: bool
) -> None:
    """Kafka, disks and clocks silence nobody; nor does a trunk that has another call (P5)."""
    where = {"psap_id": "P1", **({"line": line, "trunk": "trunk-1:1"} if line else {})}
    told = {"call_id": "c", "witness": "caller", "leg": 1}
    callers = [{**told, "event": "offered", "ingress": "ingress-1:1", "at_ms": 1_000},
               {**told, "event": "confirmed", "attempt": "c/1/1", "at_ms": 2_000}]  # fmt: skip
    if asked:
        callers.append({**told, "event": "offered", "leg": 2, "ingress": "ingress-2:1", "at_ms": 3_000})
    first_talk = {"call_id": "c", "event": "connected", "attempt": "c/1/1", "at_ms": 2_001, **where}
    second = {"call_id": "c", "event": "connected", "attempt": "c/2/1", "psap_id": "P2", "at_ms": 4_000}
    fact = {"call_id": "c", "event": "fact", "kind": "attempting", "leg": 2, "attempt": "c/2/1", "psap_id": "P2",
            "reason": "maybe_connected", "at_ms": 3_500, "seq": 1, "writer": "ingress-2/x"}  # fmt: skip
    schedule = replace(draw(SEED, 1), injuries=(injury,))
    seen = Observed(schedule, callers=callers, far_end=[first_talk, second], journal=[fact])
    assert bool(list(one_at_a_time(gather(seen)))) is found


def test_a_connection_that_the_caller_did_not_confirm_is_found(good: Observed) -> None:
    """Only the caller's confirmation connects (P4)."""
    talk = a_connection(good)
    unasked = replace(good, callers=without(good.callers, event="confirmed", attempt=talk["attempt"]))
    assert ["never confirmed" in each for each in of("callers_stream", unasked)] == [True]


def test_a_connection_before_the_confirmation_is_found(good: Observed) -> None:
    """A confirmation that comes afterwards connects nobody (P4)."""
    talk = a_connection(good)
    confirm = first(good.callers, event="confirmed", attempt=talk["attempt"])
    late = [*without(good.callers, event="confirmed", attempt=talk["attempt"])]
    late.append({**confirm, "at_ms": talk["at_ms"] + 1})
    assert ["before the caller" in each for each in of("callers_stream", replace(good, callers=late))] == [True]


def test_a_connection_by_another_conductor_is_found(good: Observed) -> None:
    """Only who holds the caller's stream may connect the caller (P3)."""
    talk = a_connection(good)
    fact = first(good.journal, event="fact", kind="answered", attempt=talk["attempt"])
    writer, _, incarnation = fact["writer"].partition("/")
    other = {"ingress-1": "ingress-2", "ingress-2": "ingress-1"}[writer]
    entries = [{**e, "writer": f"{other}/{incarnation}"} if dict(e) == fact else e for e in good.journal]
    assert ["which was offered to" in each for each in of("callers_stream", replace(good, journal=entries))] == [True]


def test_a_connection_long_after_the_answer_is_found(good: Observed) -> None:
    """An answer that is not followed by Connect within a second is released (P4)."""
    calm = replace(good, schedule=good.schedule.only(injuries=()))
    talk = a_connection(good)
    late = [{**e, "at_ms": e["at_ms"] + 1_500} if dict(e) == talk else e for e in good.far_end]
    assert ["after the answer" in each for each in of("callers_stream", replace(calm, far_end=late))] == [True]
    for whom, found in (("ingress-1", [True]), ("ingress-2", [True]), (talk["psap_id"], [])):
        far = replace(draw(SEED, 40), injuries=(Injury("far", 0.0, 60.0, ("wireline", whom), 0.5),))
        said = of("callers_stream", replace(good, schedule=far, far_end=late))
        assert ["after the answer" in each for each in said] == found, whom


def rung_back(talk: Entry, number: int, event: str, line: str) -> dict[str, Any]:
    call_id = talk["call_id"]
    attempt = attempt_name(Leg(call_id, 1, "", False), number)
    return {**talk, "event": event, "attempt": attempt, "line": line}


def test_two_lines_that_ring_one_caller_back_are_found(good: Observed) -> None:
    """Callbacks are one a caller (T3, T4)."""
    talk = a_connection(good)
    one, other = rung_back(talk, 1, "rings_caller", "A"), rung_back(talk, 2, "rings_caller", "B")
    both = replace(good, far_end=behind(without(good.far_end, **talk), first(good.far_end), one, other))
    assert ["rings the caller too" in each for each in of("callbacks", both)] == [True]
    given_up = {**rung_back(talk, 1, "rejected", "A"), "rejection": "no_answer"}
    in_turn = replace(good, far_end=behind(without(good.far_end, **talk), first(good.far_end), one, given_up, other))
    assert of("callbacks", in_turn) == []


def test_a_caller_who_talked_and_is_rung_back_again_is_found(good: Observed) -> None:
    """A caller who was rung back is off the list (T3)."""
    talk = a_connection(good)
    events = [rung_back(talk, 1, event, "A") for event in ("rings_caller", "rung_back", "ended")]
    again = rung_back(talk, 2, "rings_caller", "A")
    seen = replace(good, far_end=behind(without(good.far_end, **talk), first(good.far_end), *events, again))
    assert ["talked to them" in each for each in of("callbacks", seen)] == [True]


def test_a_ring_back_under_a_conductors_attempt_is_found(good: Observed) -> None:
    """Nobody but failover has a caller rung (T3)."""
    talk = a_connection(good)
    rings = behind(good.far_end, talk, {**talk, "event": "rings_caller"})
    assert ["failover's tries" in each for each in of("callbacks", replace(good, far_end=rings))] == [True]


@pytest.mark.parametrize(
    "kind", ["screened", "routed", "attempting", "ringing", "waiting", "answered", "caller_lost", "abandoned"]
)
def test_a_fact_behind_the_end_of_a_leg_is_found(good: Observed, kind: str) -> None:
    """A final state has no transition (the table of a call)."""
    talk = a_connection(good)
    last = first(good.journal, event="fact", kind="answered", attempt=talk["attempt"])
    more = {**last, "kind": kind, "seq": last["seq"] + 1}
    found = of("transitions", replace(good, journal=behind(good.journal, last, more)))
    assert [talk["call_id"] in each for each in found] == [True]


@pytest.mark.parametrize(
    ("earlier", "later", "allowed"),
    [
        ("offered", "answered", False),
        ("screened", "answered", False),
        ("routed", "answered", False),
        ("offered", "ringing", False),
        ("screened", "ringing", False),
        ("routed", "ended", True),
        ("routed", "caller_lost", True),
    ],
)
def test_a_step_that_is_left_out_is_found(good: Observed, earlier: str, later: str, allowed: bool) -> None:
    """Nobody rings or is connected before the call was routed and somebody tried; the caller's going and a higher leg
    may come at any moment (the table of a call)."""
    fact = first(good.journal, event="fact", kind=earlier, leg=1)
    same = {"event": "fact", "call_id": fact["call_id"], "leg": 1, "writer": fact["writer"]}
    rest = [e for e in good.journal if not (all(e.get(k) == v for k, v in same.items()) and e["seq"] > fact["seq"])]
    jump = {**fact, "kind": later, "seq": fact["seq"] + 1, "reason": "x"}
    found = of("transitions", replace(good, journal=behind(rest, fact, jump)))
    assert [fact["call_id"] in each for each in found] == ([] if allowed else [True])


def test_a_leg_that_does_not_begin_with_its_offer_is_found(good: Observed) -> None:
    """The first fact opens the debt (J4)."""
    offer = first(good.journal, event="fact", kind="offered", seq=0)
    entries = [{**e, "kind": "screened"} if dict(e) == offer else e for e in good.journal]
    assert ["begins with screened" in each for each in of("transitions", replace(good, journal=entries))] == [True]


def test_books_that_do_not_balance_are_found(good: Observed) -> None:
    """Offered is what became of it (J3)."""
    assert good.books is not None
    real = replace(good.books.real, offered=good.books.real.offered + 1)
    assert len(of("books", replace(good, books=replace(good.books, real=real)))) == 1


def test_a_ledger_that_says_otherwise_than_the_journal_is_found(good: Observed) -> None:
    """The tables are the fold of the journal, and the list is the open calls, each once (J2)."""
    assert good.ledger is not None
    sums = dict(good.ledger.sums)
    sums[Outcome.ANSWERED, False] -= 1
    fewer = LedgerKept(sums, good.ledger.listed)
    assert len(of("ledger", replace(good, ledger=fewer))) == 1
    call_id = a_connection(good)["call_id"]
    listed = LedgerKept(good.ledger.sums, [call_id])
    assert of("ledger", replace(good, ledger=listed)) == [
        f"{call_id} it is on the ledger's list, and no callback is owed"
    ]


def test_a_fact_that_lies_on_a_disk_and_not_on_the_log_is_found(good: Observed) -> None:
    """A spool is empty once the log is back (J5, J6)."""
    salt = bytes(range(16))
    raw = next(r.value for r in good.records if b"ingress" in r.value and _is_offer(r.value))
    fact = facts.decode(raw)
    spool = header(salt) + record(payload_of(Spooled(Topic.CALLS, fact.call_id, raw, 0)), salt)
    path = "spool/ingress-1/00000001.spool"
    lost = replace(
        good,
        spools={"ingress-1": {path: spool}},
        journal=[
            e for e in good.journal if not (e.get("call_id") == fact.call_id and e.get("seq") == 0)
        ],
    )  # fmt: skip
    assert [f"offered of leg {fact.leg}" in each for each in of("spools", lost)] == [True]


@pytest.mark.parametrize("early", [True, False])
def test_a_segment_that_is_removed_before_its_facts_are_on_the_log_is_found(good: Observed, early: bool) -> None:
    """What leaves a disk has landed (J5)."""
    salt = bytes(range(16))
    landed = next(r for r in good.records if b"ingress" in r.value and _is_offer(r.value))
    fact = facts.decode(landed.value)
    data = header(salt) + record(payload_of(Spooled(Topic.CALLS, fact.call_id, landed.value, 0)), salt)
    ends = {landed.partition: landed.offset + (not early)}
    removed = Removed("ingress-1", "spool/ingress-1/00000001.spool", data, ends)
    found = of("spools", replace(good, removed=[removed]))
    assert [f"before offered of leg {fact.leg} was on the log" in each for each in found] == [True] * early
    kept = replace(removed, path="spool/failover-1/kept/00000001.spool")
    assert of("spools", replace(good, removed=[kept])) == []


def _is_offer(raw: bytes) -> bool:
    try:
        return facts.decode(raw).seq == 0
    except Exception:
        return False


def test_what_did_not_come_to_rest_and_every_mistake_are_found(good: Observed) -> None:
    """When all is healed, all comes to rest by itself; nothing fails unheard."""
    assert of("at_rest", replace(good, settled=False, unsettled=["router-1 is not ready: down"]))
    assert of("no_mistake", replace(good, mistakes=["Task exception was never retrieved"]))


def test_a_person_who_talks_to_nobody_is_found_by_the_witnesses(good: Observed) -> None:
    """Callers, far end and journal agree on every call (loadtest/witness.py)."""
    talk = a_connection(good)
    seen = replace(good, callers=without(good.callers, event="connected", call_id=talk["call_id"]))
    assert said_by(seen) >= {"three_witnesses"}


# Bounds: nobody is hurt, and somebody waits.


def later(entries: Any, by_ms: int, **like: Any) -> list[Entry]:
    """The same entries, those that have all this so much later."""
    return [
        {**e, "at_ms": e["at_ms"] + by_ms} if all(e.get(key) == value for key, value in like.items()) else e
        for e in entries
    ]


@pytest.fixture(scope="module")
def calm() -> Observed:
    """Forty calls while nobody is hurt."""
    return run(draw(SEED, 40).only(injuries=()))


def a_call(seen: Observed) -> str:
    """One that a PSAP answered, and whose network does all right."""
    wrong = {e["call_id"] for e in seen.callers if e["event"] == "misbehaved"}
    return next(
        str(e["call_id"])
        for e in seen.callers
        if e["event"] == "connected" and e["leg"] == 1 and e["call_id"] not in wrong and "line" not in e
    )


@pytest.mark.parametrize(
    ("event", "by_ms", "told"),
    [("accepted", 230, "for Accepted"), ("ringing", 200, "for ringing"), ("confirmed", 3_300, "alone")],
)
def test_a_caller_who_waits_past_a_bound_is_found(calm: Observed, event: str, by_ms: int, told: str) -> None:
    """Accepted is said in 200 ms (J4), it rings, and at ring time-out the next rung is rung too (R6)."""
    call_id = a_call(calm)
    entries = later(calm.callers, by_ms, call_id=call_id, event=event)
    assert [told in each for each in of("bounds", replace(calm, callers=entries))] == [True]


@pytest.mark.parametrize(
    ("kind", "targets", "widens"),
    [
        ("kafka_gone", ("broker-1",), False),
        ("disk_full", ("ingress-1",), False),
        ("clock_jump", ("ingress-2",), False),
        ("kill", ("ledger-1",), False),
        ("kill", ("firewall-1",), True),
        ("kill", ("router-2",), True),
        ("psap_silent", ("P1",), True),
        ("pause", ("failover-1",), True),
        ("cut_off", ("ingress-1",), True),
        ("steps", ("caller hung_up dialler resets",), False),
    ],
)
def test_a_bound_is_widened_by_those_who_were_hurt_alone(
    calm: Observed, kind: str, targets: tuple[str, ...], widens: bool
) -> None:
    """No call waits for Kafka, a disk, a clock or the ledger (J4); who is asked may cost its budget, and no more."""
    call_id = next(
        e["call_id"] for e in calm.callers if e["event"] == "offered" and e["ingress"] == "ingress-1:1"
        and e["call_id"] == a_call_at(calm, "ingress-1:1")
    )  # fmt: skip
    hurt = replace(calm.schedule, injuries=(Injury(kind, 0.0, 60.0, targets),))
    entries = later(calm.callers, 200, call_id=call_id, event="ringing")
    found = of("bounds", replace(calm, schedule=hurt, callers=entries))
    assert bool(found) is not widens


def a_call_at(seen: Observed, ingress: str) -> str:
    there = {e["call_id"] for e in seen.callers if e["event"] == "offered" and e["ingress"] == ingress}
    return a_call(replace(seen, callers=[e for e in seen.callers if e["call_id"] in there]))


def test_a_leg_that_falls_silent_though_nobody_was_hurt_is_found(calm: Observed) -> None:
    """Something comes down at least each 500 ms; after a second of nothing the network breaks the leg (P1, P2)."""
    call_id = a_call(calm)
    rang = first(calm.callers, call_id=call_id, event="ringing")
    silent = {**rang, "event": "leg_broken", "why": "silent"}
    entries = [e for e in calm.callers if e["call_id"] != call_id or e["at_ms"] <= rang["at_ms"]]
    found = of("bounds", replace(calm, callers=behind(entries, rang, silent)))
    assert ["which nobody hurt" in each for each in found] == [True]


# Alarms: somebody is hurt, and nothing is said.


@pytest.mark.parametrize(
    ("injury", "silenced"),
    [
        (Injury("kill", 3.0, 14.0, ("firewall-1",)), "neighbours_failed"),
        (Injury("pause", 3.0, 6.0, ("router-1",)), "neighbours_failed"),
        (Injury("kill", 12.0, 7.0, ("psap-gateway-1",)), "neighbours_failed"),
        (Injury("pause", 8.0, 11.0, ("psap-gateway-2",)), "gateways_silent"),
        (Injury("power", 5.0, 8.0, ("failover-2",)), "watchers"),
        (Injury("pause", 5.0, 8.0, ("ingress-2",)), "ingresses_silent"),
        (Injury("cut_off", 5.0, 8.0, ("ingress-1",)), "ingresses_silent"),
        (Injury("isolated", 5.0, 8.0, ("failover-1",)), ""),
        (Injury("kill", 5.0, 3.0, ("ledger-1",)), ""),
        (Injury("cut", 3.0, 16.0, ("ingress-1", "firewall-2")), "neighbours_failed"),
        (Injury("far", 3.0, 10.0, ("ingress-1", "router-2"), 0.4), "neighbours_failed"),
        (Injury("cut", 5.0, 8.0, ("ingress-2", "failover-1")), "watchers,ingresses_silent"),
        (Injury("cut", 5.0, 8.0, ("P1", "psap-gateway-1")), "psaps_attached"),
        (Injury("kafka_gone", 2.0, 12.0, BROKERS), ""),
        (Injury("kafka_gone", 2.0, 12.0, BROKERS), "journal_events"),
        (Injury("kafka_absent", 2.0, 5.0, ("psap-gateway-1",)), ""),
        (Injury("kafka_refuses", 2.0, 15.0, INGRESSES, 0.9), "journal_events"),
        (Injury("kafka_late", 2.0, 12.0, ("ledger-1",), 2.0), "behind_seconds"),
        (Injury("kafka_acks_late", 2.0, 15.0, INGRESSES, 0.5), "journal_events"),
        (Injury("kafka_hung", 2.0, 15.0, (*INGRESSES, "broker-1")), "journal_events"),
        (Injury("hears_nobody", 5.0, 12.0, ("ingress-1",)), "ingresses_silent"),
        (Injury("heard_by_nobody", 3.0, 14.0, ("firewall-1",)), "neighbours_failed"),
        (Injury("split", 4.0, 12.0, ("ingress-1", "|", "failover-1", "failover-2")), "watchers,ingresses_silent"),
        (Injury("database_fails", 2.0, 15.0, ("ledger-1",), 0.9), "store_troubles"),
        (Injury("region_torn", 5.0, 6.0, ("Birch",)), "not_served"),
        (Injury("psap_floods", 0.0, 18.0, ("P1",)), "streams_ended"),
        (Injury("psap_silent", 15.0, 6.0, ("P2",)), "doubts"),
        (Injury("psap_cut", 5.0, 6.0, ("P1",)), "psaps_attached"),
        (Injury("psap_reject", 5.0, 6.0, ("P1",)), "attempts_failed"),
        (Injury("trunk_full", 2.0, 15.0, ("trunk-1:1",)), "dials"),
        (Injury("trunk_gone", 2.0, 15.0, ("trunk-1:1",)), "dials"),
        (Injury("trunk_hung", 2.0, 15.0, ("trunk-1:1",)), "dials"),
        (Injury("evaluators_gone", 3.0, 6.0, names_of("firewall")), "failed_open"),
        (Injury("evaluators_hang", 3.0, 6.0, names_of("firewall")), "failed_open"),
        (Injury("evaluators_slow", 3.0, 6.0, names_of("firewall"), 0.2), "failed_open"),
        (Injury("evaluator_hangs", 0.5, 19.0, ("firewall-1",)), "failed_open"),
        (Injury("evaluator_killed", 5.0, 6.0, ("firewall-1",)), "evaluators_started"),
        (Injury("policy_unfit", 3.0, 6.0, names_of("firewall")), "policy_reverts"),
        (Injury("policy_burns", 3.0, 6.0, names_of("firewall")), "policy_reverts"),
        (Injury("policy_forged", 3.0, 6.0, names_of("firewall")), "not_taken"),
        (Injury("policy_expired", 3.0, 6.0, names_of("firewall")), "not_taken"),
        (Injury("policy_unreadable", 3.0, 6.0, names_of("firewall")), "not_taken"),
        (Injury("bypass_ordered", 3.0, 6.0, names_of("firewall")), ""),
        (Injury("bypass_file", 3.0, 6.0, names_of("firewall")), ""),
    ],
    ids=str,
)
def test_a_fault_that_hurts_in_silence_is_found(injury: Injury, silenced: str) -> None:
    """What hurts somebody is heard of, and is missed where it is not (docs/failure-modes.md)."""
    heard_and_missed(silenced, injury)


def test_a_psap_is_to_be_cut_for_what_it_does_while_it_misbehaves_and_not_for_what_it_did_before() -> None:
    """The same mischief twice, of which the second found no call (seed 482)."""
    first, again = (Injury("psap_answers_for_another", at_s, 1.3, ("P6",)) for at_s in (10.0, 19.0))
    sin = {"call_id": "c1", "event": "misbehaved", "psap_id": "P6", "mischief": "answers_for_another",
           "at_ms": EPOCH_MS + 10_500}  # fmt: skip
    offered = {"call_id": "c1", "witness": "caller", "leg": 1, "event": "offered", "ingress": "ingress-1:1",
               "at_ms": EPOCH_MS + 10_400}  # fmt: skip
    schedule = replace(draw(SEED, 1), injuries=(first, again))
    evidence = gather(Observed(schedule, began_ms=EPOCH_MS, callers=[offered], far_end=[sin]))
    assert [hurting.offended(evidence, each) for each in (first, again)] == [True, False]


def test_an_isolation_is_alone_with_what_it_is_told_as_and_not_with_who_else_struck_its_target() -> None:
    """A process that was killed at some step, and then isolated, can say nothing of Kafka (seed 950)."""
    isolated = Injury("isolated", 7.4, 2.2, ("failover-3",))
    told_as = [Injury(kind, 7.4, 2.2, ("failover-3",)) for kind in ("cut_off", "kafka_absent")]
    killed = Injury("kill", 3.5, 7.7, ("failover-3",))
    for struck, alone in ((told_as, True), ([killed, *told_as], False)):
        seen = Observed(replace(draw(SEED, 1), injuries=(isolated,)), struck=struck)
        assert hurting.alone_lasts(1.6)(gather(seen), isolated) is alone


@pytest.mark.parametrize(("kind", "amount"), [("disk_hung", 0.0), ("disk_full", 500.0), ("disk_fails", 0.9)])
def test_a_disk_that_fails_the_spool_in_silence_is_found(kind: str, amount: float) -> None:
    """J5: what is in memory alone is said to be."""
    kafka = Injury("kafka_gone", 2.0, 12.0, BROKERS)
    heard_and_missed("not_spooled,at_risk,not_durable", Injury(kind, 3.0, 10.0, ("ingress-1",), amount), kafka)


def heard_and_missed(silenced: str, *injuries: Injury) -> None:
    """Of the first of them, by the metrics of these names; by no word of any process where none is named."""
    seen = run(replace(draw(SEED, 100), injuries=injuries))
    assert of("alarms", seen) == []
    assert any(a.hurt(gather(seen), injuries[0]) for a in ALARMS if injuries[0].kind in a.kinds), "nobody was hurt"
    quiet = seen if silenced else replace(seen, alarms={})
    for metric in filter(None, silenced.split(",")):
        quiet = still(quiet, metric)
    assert any(injuries[0].kind in each for each in of("alarms", quiet))


def test_every_kind_of_fault_has_its_alarm_or_a_reason_for_none() -> None:
    """Whoever adds a fault says how anybody hears of it."""
    told = {kind for alarm in ALARMS for kind in alarm.kinds}
    assert told | UNHEARD.keys() == KINDS.keys()
    assert not told & UNHEARD.keys()


def still(seen: Observed, metric: str, before: float = 0.0) -> Observed:
    """The same run, in which nothing of this metric was counted but what there had been before."""

    def stopped(counts: Counts) -> Counts:
        return {n: {k: before if metric in k else v for k, v in c.items()} for n, c in counts.items()}

    return replace(seen, counts=stopped(seen.counts), looks=[(at_s, stopped(each)) for at_s, each in seen.looks])


def test_what_was_counted_before_a_fault_is_no_word_of_it() -> None:
    """A total that stood when the fault struck, and did not move, says nothing (docs/failure-modes.md)."""
    injury = Injury("kafka_refuses", 2.0, 15.0, ("ingress-1", "ingress-2"), 0.9)
    seen = run(replace(draw(SEED, 100), injuries=(injury,)))
    assert of("alarms", seen) == []
    assert [injury.kind in each for each in of("alarms", still(seen, "journal_events", before=7.0))] == [True]
    assert not any("_created" in metric for counts in seen.counts.values() for metric in counts)


def test_a_brokers_wrong_clock_does_not_say_when_a_caller_was_put_on_the_list() -> None:
    """T3: one that is an hour ahead stamps an entry with an instant after the ring that follows it."""
    once = (Injury("network_offers_once", 0.0, 40.0, (source,)) for source in SOURCES)
    ahead = Injury("broker_jump", 9.0, 12.0, ("broker-1",), 3_600_000.0)
    deaths = (Injury("kill", 10.0, 12.0, ("ingress-1",)), Injury("kill", 10.2, 14.0, ("ingress-2",)))
    seen = run(Schedule(1, calls_of(1, 30, ()), (*once, ahead, *deaths)))
    assert any(entry["event"] == "rings_caller" for entry in seen.far_end)
    assert check(seen) == []


# Cost.


class Counting(dict[str, Any]):
    """An entry that counts how often something of it is looked at."""

    looks = 0

    def __getitem__(self, key: str) -> Any:
        Counting.looks += 1
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        Counting.looks += 1
        return super().get(key, default)


class Counted(list[Any]):
    """A list whose members are counted as they are looked at."""

    def __iter__(self) -> Iterator[Any]:
        for each in super().__iter__():
            Counting.looks += 1
            yield each


def many(seen: Observed, times: int) -> Observed:
    """So many runs in one: every call so often, under other names, in diaries, records, and on disks."""

    def copies(entries: Any) -> Iterator[Counting]:
        for n in range(times):
            for entry in entries:
                named = {
                    key: value.replace(entry["call_id"], f"{entry['call_id']}x{n}", 1)
                    for key, value in entry.items()
                    if key in ("call_id", "attempt", "held") and "call_id" in entry
                }
                yield Counting({**entry, **named})

    def landed(records: Any, kind: Any) -> Iterator[Record]:
        for n in range(times):
            for each in records:
                said = kind.FromString(each.value)
                if said.call_id:
                    said.call_id = f"{said.call_id}x{n}"
                    named = {"key": said.call_id, "value": said.SerializeToString()}
                else:
                    named = {}
                yield replace(each, offset=each.offset + n * 1_000_000, **named)

    return replace(
        seen,
        callers=list(copies(seen.callers)),
        far_end=list(copies(seen.far_end)),
        journal=list(copies(seen.journal)),
        records=Counted(landed(seen.records, fact_pb2.Fact)),
        screenings=Counted(landed(seen.screenings, screening_pb2.Screening)),
        policies=Counted([*seen.policies] * times),
        disks=Counted(seen.disks * times),
        removed=Counted(seen.removed * times),
    )


@pytest.fixture(scope="module")
def eventful() -> Observed:
    """Something of all that a checker looks at: spools, take-overs, policies."""
    injuries = (
        Injury("policy_everybody", 0.5, 19.0, names_of("firewall")),
        Injury("kafka_gone", 3.0, 5.0, BROKERS),
        Injury("psap_silent", 9.0, 4.0, ("P2",)),
        Injury("kill", 14.0, 3.0, ("ingress-1",)),
    )
    return run(replace(draw(SEED, 40), injuries=injuries))


OF_THE_WHOLE = {"came_to_rest", "made_no_mistake", "balance", "ledger_agrees"}
"""Checkers that look at sums, and at no list of anything."""


def looks_of(checker: Any, seen: Observed) -> list[int]:
    """How often it looks at anything of two such runs, and of eight."""
    looked = []
    for times in (2, 8):
        evidence = gather(many(seen, times))
        Counting.looks = 0
        list(checker(evidence))
        looked.append(Counting.looks)
    return looked


@pytest.mark.parametrize("kept", ["records", "screenings", "policies", "disks", "removed"])
def test_who_looks_at_all_that_is_kept_for_each_call_is_seen_to(eventful: Observed, kept: str) -> None:
    """Of whatever the witnesses of Kafka and of disks have kept."""
    looked = looks_of(
        lambda evidence: [each for _ in evidence.calls for each in getattr(evidence.seen, kept)], eventful
    )
    assert looked[1] > 4.2 * looked[0] + 100


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda each: str(each.__name__))
def test_the_cost_of_a_checker_is_linear(eventful: Observed, checker: Any) -> None:
    """Four times as many calls are looked at four times as often, by each checker, and each is seen to look."""
    looked = looks_of(checker, eventful)
    assert looked[1] <= 4.2 * looked[0] + 100
    assert looked[0] > 0 or checker.__name__ in OF_THE_WHOLE
