"""The checkers of closures, deaths, ages and of what is believed can fail: a calm run is damaged for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.domain.take_overs.facts import Leg, taken_over
from services.domain.take_overs.taking_over import Cause
from services.wire import facts
from simulator.checkers import check
from simulator.injuries import Injury
from simulator.run import Observed, run
from simulator.schedule import draw

SEED = 7
Entry = Mapping[str, Any]


@pytest.fixture(scope="module")
def calm() -> Observed:
    """Forty calls while nobody is hurt."""
    return run(draw(SEED, 40).only(injuries=()))


def of(name: str, seen: Observed, call_id: str = "") -> list[str]:
    """What one checker says, of this call alone where one is named."""
    return [each.words for each in check(seen) if each.checker == name and call_id in ("", each.call_id)]


def hurt(seen: Observed, *injuries: Injury) -> Observed:
    return replace(seen, schedule=replace(seen.schedule, injuries=injuries))


def an_answer(seen: Observed) -> dict[str, Any]:
    return dict(next(e for e in seen.journal if e.get("kind") == "answered" and e["leg"] == 1))


def second_of(seen: Observed, at_ms: int) -> float:
    return (at_ms - seen.began_ms) / 1000


@pytest.mark.parametrize(
    ("same_number", "offered_after_ms", "closed_after_ms", "found"),
    [(True, -100, 0, False), (True, 100, 0, True), (True, -100, -50, True), (False, -100, 0, True)],
)
def test_a_closure_is_found_unless_another_call_of_that_number_was_connected_since(
    calm: Observed, same_number: bool, offered_after_ms: int, closed_after_ms: int, found: bool
) -> None:
    """What the ledger infers follows from a later connection of the caller's (J2)."""
    told = an_answer(calm)
    other = next(call for call in calm.schedule.calls if call.call_id != told["call_id"])
    number = next(call.caller for call in calm.schedule.calls if call.call_id == told["call_id"])
    calls = tuple(
        replace(call, caller=number if same_number and call is other else f"+1413555{n:04d}")
        if call.call_id != told["call_id"]
        else call
        for n, call in enumerate(calm.schedule.calls)
    )
    kept = [e for e in calm.journal if e["call_id"] != other.call_id]
    offered_ms, closed_ms = told["at_ms"] + offered_after_ms, told["at_ms"] + closed_after_ms
    offered = {**told, "call_id": other.call_id, "kind": "offered", "attempt": "", "at_ms": offered_ms, "seq": 0}
    why = f"by {told['call_id']}"
    closed = {**offered, "kind": "reconnected", "writer": "ledger", "reason": why, "seq": 1, "at_ms": closed_ms}
    damaged = replace(calm, journal=[*kept, offered, closed], schedule=replace(calm.schedule, calls=calls))
    assert bool(of("closures", damaged)) is found


@pytest.mark.parametrize(("after_ms", "found"), [(900, False), (2_000, True), (None, True)])
def test_a_death_that_is_noticed_late_is_found(calm: Observed, after_ms: int | None, found: bool) -> None:
    """Whoever was on the line of an ingress that died is taken over within a moment (T1, T4)."""
    told = an_answer(calm)
    name, writer = told["call_id"], told["writer"].partition("/")[0]
    died_ms = told["at_ms"] - 10
    kept = [e for e in calm.journal if e["call_id"] != name or e.get("at_ms", 0) < died_ms]
    taken = {**told, "kind": "taken_over", "writer": "failover", "at_ms": died_ms + (after_ms or 0)}
    callers = [e for e in calm.callers if e.get("call_id") != name or e["at_ms"] < died_ms]
    damaged = replace(calm, journal=kept if after_ms is None else [*kept, taken], callers=callers)
    kill = Injury("kill", second_of(calm, died_ms), 5.0, (writer,))
    assert any("died with leg 1" in words for words in of("take_overs", hurt(damaged, kill), name)) is found
    beside = Injury("pause", second_of(calm, died_ms) - 1.0, 5.0, ("failover-1",))
    assert of("take_overs", hurt(damaged, kill, beside), name) == []


@pytest.mark.parametrize(("late_ms", "age_ms", "found"), [(9_000, 0, True), (9_000, 8_990, False), (0, 500, True)])
def test_a_fact_that_does_not_say_how_old_it_is_is_found(
    calm: Observed, late_ms: int, age_ms: int, found: bool
) -> None:
    """What comes late says how late, no less and no more (J5)."""
    last = next(each for each in reversed(calm.records) if facts.fact_in(each.value) is not None)
    late = replace(last, log_ms=last.log_ms + late_ms, value=facts.restamp(last.value, age_ms, None))
    damaged = replace(calm, records=[late if each is last else each for each in calm.records])
    assert bool(of("ages", damaged)) is found
    of_a_wrong_clock = hurt(damaged, Injury("broker_jump", 1.0, 1.0, ("broker-1",), 9_000.0))
    assert of("ages", of_a_wrong_clock) == []


@pytest.mark.parametrize(("gone_after_ms", "found"), [(20, False), (-500, True), (1_000, True)])
def test_what_was_under_way_when_kafka_went_may_land_as_it_is(calm: Observed, gone_after_ms: int, found: bool) -> None:
    """It is sent again when somebody leads, seconds later; what was said while nobody did comes from a spool (J5)."""
    last = next(each for each in reversed(calm.records) if facts.fact_in(each.value) is not None)
    fact = facts.fact_in(last.value)
    assert fact is not None
    late = replace(last, log_ms=last.log_ms + 9_000)
    damaged = replace(calm, records=[late if each is last else each for each in calm.records])
    gone_s = (fact.at_ms + gone_after_ms - calm.began_ms) / 1000
    assert bool(of("ages", hurt(damaged, Injury("kafka_gone", gone_s, 9.0, ("broker-1",))))) is found


@pytest.mark.parametrize(
    ("whose", "slow_after_ms", "gone_after_ms", "waited_ms", "found"),
    [
        ("its own", -500, 900, 0, False),
        ("its own", 15, 900, 0, False),
        ("its own", 100, 900, 0, True),
        ("its own", -500, 2_500, 0, True),
        ("another's", -500, 900, 0, True),
        ("its own", -500, 5_900, 5_000, False),
        ("its own", -500, 900, 5_000, True),
    ],
)
def test_what_a_slow_kafka_had_not_taken_when_it_went_may_land_as_it_is(
    calm: Observed, whose: str, slow_after_ms: int, gone_after_ms: int, waited_ms: int, found: bool
) -> None:
    """An append is under way for as long as Kafka is slow, from when it was given to the log, not only from when its
    fact was said (J5)."""
    last = next(each for each in reversed(calm.records) if facts.fact_in(each.value) is not None)
    fact = facts.fact_in(last.value)
    assert fact is not None
    late = replace(last, log_ms=last.log_ms + waited_ms + 9_000, value=facts.restamp(last.value, waited_ms, None))
    damaged = replace(calm, records=[late if each is last else each for each in calm.records])
    said_s = (fact.at_ms - calm.began_ms) / 1000
    writer = fact.writer.partition("/")[0] if whose == "its own" else "psap-gateway-1"
    slow = Injury("kafka_slow", said_s + slow_after_ms / 1000, 1.0 + waited_ms / 1000, (writer,), 1.0)
    gone = Injury("kafka_gone", said_s + gone_after_ms / 1000, 20.0, ("broker-1",))
    assert bool(of("ages", hurt(damaged, slow, gone))) is found


@pytest.mark.parametrize(("sooner_ms", "found"), [(2_000, False), (0, True)])
def test_what_is_late_is_so_by_its_latest_word(calm: Observed, sooner_ms: int, found: bool) -> None:
    """A later fact may owe the next sooner than the one before it did (T2)."""
    offered = next(each for each in calm.records if (fact := facts.fact_in(each.value)) and fact.seq == 0)
    fact = facts.decode(offered.value)
    assert fact.due_in_ms > 0
    later = replace(fact, seq=90, at_ms=fact.at_ms + 1, due_in_ms=fact.due_in_ms - sooner_ms)
    after_ms = fact.due_in_ms - 100
    taken = taken_over(Leg(fact.call_id, 1, "", False), Cause.LATE, "failover-1", fact.at_ms + after_ms)
    before = [each for each in calm.records if each.log_ms <= offered.log_ms]
    records = [
        *before,
        replace(offered, offset=10_000, log_ms=offered.log_ms + 1, value=facts.encode(later)),
        replace(offered, offset=10_001, log_ms=offered.log_ms + after_ms, value=facts.encode(taken)),
    ]
    entry = {**an_answer(calm), "call_id": fact.call_id, "kind": "taken_over", "writer": "failover"}
    damaged = replace(calm, records=records, journal=[*calm.journal, entry])
    assert any("as late" in words for words in of("take_overs", damaged)) is found


@pytest.mark.parametrize("word", ["have", "rejected"])
def test_whoever_says_that_they_have_the_caller_and_is_not_believed_is_found(calm: Observed, word: str) -> None:
    """A line, or a PSAP, that names the attempt which the caller confirmed is the last that is rung (P5, R3)."""
    told = an_answer(calm)
    name, talks = (
        told["call_id"],
        next(e for e in calm.far_end if e["event"] == "connected" and e["attempt"] == told["attempt"]),
    )
    first = {
        **talks,
        "attempt": f"{name}/2/1",
        "event": word,
        "reason": told["attempt"],
        "held": told["attempt"],
        "rejection": "superseded",
    }
    if word == "have":
        del first["reason"]
    again = {**talks, "event": "offered", "reason": "x"}
    believed = replace(calm, far_end=[*calm.far_end, {**again, "attempt": f"{name}/2/1"}, first])
    assert of("believed", believed) == []
    damaged = replace(believed, far_end=[*believed.far_end, {**again, "attempt": f"{name}/2/2"}])
    assert "has the caller as" in of("believed", damaged)[0]
    reset = Injury("reset", second_of(calm, talks["at_ms"]), 0.1, ("ingress-1", "psap-gateway-1"))
    assert of("believed", hurt(damaged, reset)) == []


@pytest.mark.parametrize(("after_ms", "found"), [(800, True), (2_400, False)])
def test_a_ring_that_fails_where_its_psap_is_only_doubted_is_found(calm: Observed, after_ms: int, found: bool) -> None:
    """A doubt rings beside, and ends nothing; a silence of 2.5 s does (R2)."""
    told = an_answer(calm)
    ringing = next(e for e in calm.far_end if e["event"] == "ringing" and e["attempt"] == told["attempt"])
    silent = Injury("psap_silent", second_of(calm, ringing["at_ms"] + 1), 6.0, (told["psap_id"],))
    failed_ms = ringing["at_ms"] + 1 + after_ms
    failed = {**told, "kind": "delivery_failed", "reason": "silent", "at_ms": failed_ms}
    far_end = [e for e in calm.far_end if e["attempt"] != told["attempt"] or e is ringing]
    damaged = hurt(replace(calm, journal=[*calm.journal, failed], far_end=far_end), silent)
    assert bool(of("rings", damaged)) is found


@pytest.mark.parametrize("found", [True, False])
def test_a_call_that_is_taken_over_as_late_before_it_is_late_is_found(calm: Observed, found: bool) -> None:
    """What is late is so by the stamps of its own partition (T2)."""
    written = [fact for each in calm.records if (fact := facts.fact_in(each.value)) is not None]
    owing = max((fact for fact in written if fact.leg == 1), key=lambda fact: fact.due_in_ms)
    call_id = owing.call_id
    there = [each for each in calm.records if each.key != call_id or facts.fact_in(each.value) == owing]
    said = next(each for each in there if each.key == call_id)
    early = [each for each in there if each is said or each.log_ms <= said.log_ms]
    after_ms = 600 if found else owing.due_in_ms + 1_000
    taken = taken_over(Leg(call_id, 1, "", False), Cause.LATE, "failover-1", owing.at_ms + after_ms)
    record = replace(said, offset=10_000, log_ms=said.log_ms + after_ms, value=facts.encode(taken))
    entry = {**an_answer(calm), "call_id": call_id, "kind": "taken_over", "writer": "failover"}
    damaged = replace(calm, records=[*early, record], journal=[*calm.journal, entry])
    assert any("as late" in words for words in of("take_overs", damaged)) is found
