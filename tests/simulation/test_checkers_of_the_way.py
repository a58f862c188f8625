"""The checkers of hang-ups, the ladder, kept lines, take-overs and order can fail: a calm run is damaged for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.domain.events import FactKind, Tick
from services.domain.fold import Outcome
from services.domain.take_overs.facts import Leg, attempt_name, callback_due, taken_over
from services.journal import Record, Topic
from services.journal.segments import Entry as Spooled
from services.journal.segments import header, payload_of, record
from services.wire import facts
from simulator.checkers import check
from simulator.injuries import Injury
from simulator.run import Disks, Observed, run
from simulator.schedule import draw

SEED = 7
Entry = Mapping[str, Any]


@pytest.fixture(scope="module")
def calm() -> Observed:
    """Forty calls while nobody is hurt."""
    return run(draw(SEED, 40).only(injuries=()))


def of(name: str, seen: Observed) -> list[str]:
    """What one checker says."""
    return [each.words for each in check(seen) if each.checker == name]


def a_fact(seen: Observed, kind: str) -> dict[str, Any]:
    return dict(next(e for e in seen.journal if e.get("kind") == kind and e["leg"] == 1))


def test_a_calm_run_has_no_findings(calm: Observed) -> None:
    """What the damage is done to is whole (J3)."""
    assert check(calm) == []
    assert calm.books is not None and calm.books.real.outcomes[Outcome.ANSWERED] > 20


def test_an_abandoned_leg_whose_caller_did_not_hang_up_is_found(calm: Observed) -> None:
    """The end of a stream is no hang-up (P6)."""
    broken = {**a_fact(calm, "routed"), "kind": "abandoned", "seq": 90}
    assert "did not hang up" in of("hang_ups", replace(calm, journal=[*calm.journal, broken]))[0]


def test_an_answer_that_nobody_gave_is_found(calm: Observed) -> None:
    """Who speaks of another's attempt is not heard (R2)."""
    confirmed = next(e for e in calm.callers if e["event"] == "confirmed")
    far_end = [e for e in calm.far_end if (e.get("attempt"), e["event"]) != (confirmed["attempt"], "answered")]
    assert "nobody had answered it" in of("answers", replace(calm, far_end=far_end))[0]


def test_a_ring_that_goes_from_gateway_to_gateway_is_found(calm: Observed) -> None:
    """Each gateway is offered a ring that goes on once (R5)."""
    again = {**a_fact(calm, "attempting"), "reason": "gateway_lost_silent"}
    twice = [{**again, "seq": 90}, {**again, "seq": 91}]
    assert of("ladder", replace(calm, journal=[*calm.journal, *twice[:1]])) == []
    assert "through another gateway 2 times" in of("ladder", replace(calm, journal=[*calm.journal, *twice]))[0]


@pytest.mark.parametrize(
    ("released_ms", "line", "hurt", "found"),
    [
        (None, "+15085550100", "", True),
        (100, "+15085550100", "", False),
        (None, "+15085550130", "", False),  # the region's: the last rung
        (None, "+15085550100", "psap_silent", False),
    ],
)
def test_a_third_ring_beside_two_that_ring_on_is_found(
    calm: Observed, released_ms: int | None, line: str, hurt: str, found: bool
) -> None:
    """The oldest of three rings is released, unless the third is the last rung (R6)."""
    rang = dict(next(e for e in calm.far_end if e["event"] == "ringing" and e["attempt"].endswith("/1/1")))
    began_ms, leg = rang["at_ms"], rang["attempt"].rpartition("/")[0]
    first = {**rang, "attempt": f"{leg}/7"}
    second = {**rang, "attempt": f"{leg}/8", "psap_id": "P6", "at_ms": began_ms + 3_000}
    third = {**rang, "attempt": f"{leg}/9", "line": line, "at_ms": began_ms + 6_000}
    far_end = [*calm.far_end, first, second, {**third, "event": "offered", "reason": "unreachable"}, third]
    if released_ms is not None:
        far_end.append({**first, "event": "cancelled", "reason": "third_ring", "at_ms": began_ms + 6_000 + released_ms})
    injuries = (Injury(hurt, (began_ms - calm.began_ms) / 1000, 4.0, ("P6",)),) if hurt else ()
    seen = replace(calm, far_end=far_end, schedule=replace(calm.schedule, injuries=injuries))
    assert bool(of("two_rings", seen)) is found


def test_a_full_psap_whose_own_lines_are_dialled_first_is_found(calm: Observed) -> None:
    """One that is there but cannot: an alternate, then its lines (the ladder)."""
    rang = a_fact(calm, "ringing")
    full = {**rang, "witness": "far-end", "event": "rejected", "rejection": "full", "reason": "all taken"}
    failed = {**rang, "kind": "delivery_failed", "reason": "all taken", "seq": 90}
    dialled = {**rang, "kind": "diverting", "reason": "unreachable", "seq": 91}
    far_end = [*calm.far_end, full]
    assert (
        "no alternate was asked for"
        in of("ladder", replace(calm, far_end=far_end, journal=[*calm.journal, failed, dialled]))[0]
    )
    asked = {**a_fact(calm, "routed"), "call_id": rang["call_id"], "seq": 92}
    assert of("ladder", replace(calm, far_end=far_end, journal=[*calm.journal, failed, dialled, asked])) == []


@pytest.mark.parametrize(
    ("kind", "targets", "excused"),
    [("psap_cut", None, True), ("kill", ("psap-gateway-1",), True), ("kafka_gone", ("broker-1",), False)],
)
def test_a_psap_that_is_passed_over_without_a_cause_is_found(
    calm: Observed, kind: str, targets: tuple[str, ...] | None, excused: bool
) -> None:
    """Unreachable is what a fresh row says; Kafka's absence says nothing of a PSAP (R8)."""
    routed = a_fact(calm, "routed")
    passed_over = {**routed, "reason": "town_primary_unreachable", "seq": 90}
    at_s = (routed["at_ms"] - calm.began_ms) / 1000 - 1.0
    hurt = replace(calm.schedule, injuries=(Injury(kind, at_s, 5.0, targets or (routed["psap_id"],)),))
    found = of("as_before", replace(calm, schedule=hurt, journal=[*calm.journal, passed_over]))
    assert bool(found) is not excused


def test_a_call_that_is_not_screened_though_all_is_well_is_found(calm: Observed) -> None:
    """A breaker lets one question through after its second: what is well again is asked again."""
    unscreened = {**a_fact(calm, "screened"), "reason": "unscreened_unavailable", "seq": 90}
    assert "nothing was hurt" in of("as_before", replace(calm, journal=[*calm.journal, unscreened]))[0]


@pytest.mark.parametrize(("reason", "found"), [("full", True), ("unreachable", False)])
def test_a_channel_that_is_kept_and_taken_all_the_same_is_found(calm: Observed, reason: str, found: bool) -> None:
    """Half of a line's channels are for callers whose PSAP cannot be reached (R7), at each of two trunks."""
    dials = []
    for n, call in enumerate(calm.schedule.calls[:3]):
        attempt = {"call_id": call.call_id, "attempt": f"{call.call_id}/1/9", "psap_id": "P1", "line": "+15085550100"}
        common = {**attempt, "witness": "far-end", "at_ms": calm.began_ms + n}
        dials += [{**common, "event": "offered", "reason": reason}, {**common, "event": "ringing"}]
    assert bool(of("kept_channels", replace(calm, far_end=[*dials, *calm.far_end]))) is found


@pytest.mark.parametrize("replaces", [True, False])
def test_a_ring_that_takes_over_its_own_calls_channel_takes_no_other(calm: Observed, replaces: bool) -> None:
    """R7: a channel that was taken since the PSAP cannot be reached stays the call's, whatever its next leg's reason
    is."""
    dials: list[dict[str, Any]] = []
    for n, call in enumerate(calm.schedule.calls[:3]):
        place = {"psap_id": "P1", "line": "+15085550100"}
        common = {**place, "call_id": call.call_id, "witness": "far-end", "at_ms": calm.began_ms + n}
        old, new = ({**common, "attempt": f"{call.call_id}/{leg}/9"} for leg in (1, 2))
        dials += [{**old, "event": "offered", "reason": "unreachable"}, {**old, "event": "ringing"}]
        dials.append({**new, "event": "offered", "reason": "full"})
        if replaces:
            dials.append({**old, "event": "rejected", "rejection": "superseded"})
        dials.append({**new, "event": "ringing"})
    assert bool(of("kept_channels", replace(calm, far_end=[*dials, *calm.far_end]))) is not replaces


def _at_the_end(seen: Observed, call_id: str, value: bytes, log_ms: int) -> Record:
    partition = next(each.partition for each in seen.records if each.key == call_id)
    return Record(Topic.CALLS, partition, 1_000_000, call_id, value, log_ms)


def test_a_take_over_from_a_conductor_that_ticks_is_found(calm: Observed) -> None:
    """Whoever still ticks lives (T1)."""
    offered = next(
        fact
        for record in calm.records
        if record.log_ms - calm.began_ms > 5_000 and record.key in {call.call_id for call in calm.schedule.calls}
        if not isinstance(fact := facts.read(record.value), Tick) and fact.kind is FactKind.OFFERED
    )
    taken = taken_over(Leg(offered.call_id, offered.leg, "", False), "silent", "failover-1", offered.at_ms)
    record = _at_the_end(calm, offered.call_id, facts.encode(taken), offered.at_ms + 2_000)
    entry = {**a_fact(calm, "offered"), "call_id": offered.call_id, "kind": "taken_over", "writer": "failover"}
    damaged = replace(calm, records=[*calm.records, record], journal=[*calm.journal, entry])
    assert "which ticked before and after" in of("take_overs", damaged)[0]
    just_cut = Injury("cut", (offered.at_ms + 500 - calm.began_ms) / 1000, 5.0, ("failover-1", "ingress-1"))
    both = (just_cut, replace(just_cut, targets=("failover-1", "ingress-2")))
    assert of("take_overs", replace(damaged, schedule=replace(calm.schedule, injuries=both))) == []


@pytest.mark.parametrize(("after_ms", "found"), [(1_000, True), (3_200, False)])
def test_a_caller_who_is_rung_back_too_early_is_found(calm: Observed, after_ms: int, found: bool) -> None:
    """The caller's side has three seconds to come back by a higher leg (T3)."""
    name = calm.schedule.calls[0].call_id
    leg = Leg(name, 1, "", False)
    listed_ms = calm.began_ms + 10_000
    record = _at_the_end(calm, name, facts.encode(callback_due(leg, listed_ms)), listed_ms)
    attempt = {"call_id": name, "attempt": attempt_name(leg, 1), "psap_id": "P1", "line": "+15085550100"}
    rings = {**attempt, "witness": "far-end", "event": "rings_caller", "at_ms": listed_ms + after_ms}
    damaged = replace(calm, records=[*calm.records, record], far_end=[*calm.far_end, rings])
    assert any("after it was put on the list" in words for words in of("callbacks", damaged)) is found


@pytest.mark.parametrize(
    ("number", "after_ms", "told"), [(4, 60_000, "4th time"), (2, 1_000, "1000 ms after"), (2, 15_100, "")]
)
def test_a_line_that_is_asked_too_often_is_found(calm: Observed, number: int, after_ms: int, told: str) -> None:
    """Three times at most, fifteen seconds and forty-five apart (T3)."""
    name = calm.schedule.calls[0].call_id
    asked = [
        {"witness": "far-end", "event": "offered", "call_id": name, "psap_id": "P1", "line": "+15085550100",
         "attempt": attempt_name(Leg(name, 1, "", False), n), "at_ms": calm.began_ms + after, "reason": "x"}
        for n, after in ((1, 0), (number, after_ms))
    ]  # fmt: skip
    found = of("callbacks", replace(calm, far_end=[*calm.far_end, *asked]))
    assert any(told in words for words in found) if told else found == []


def test_facts_that_come_out_of_their_order_are_found(calm: Observed) -> None:
    """A key's later facts wait behind its earlier ones (J5, J6)."""
    entries = list(calm.journal)
    later, earlier = a_fact(calm, "routed"), a_fact(calm, "screened")
    at = [n for n, each in enumerate(entries) if dict(each) in (later, earlier)]
    entries[at[0]], entries[at[1]] = entries[at[1]], entries[at[0]]
    damaged = replace(calm, journal=entries)
    assert "came behind" in of("order", damaged)[0]


@pytest.mark.parametrize(
    ("kind", "mine", "stands", "excused"),
    [
        ("kill", True, True, True),
        ("kill", False, True, False),
        ("kill", True, False, False),
        ("kafka_loses", True, True, True),
        ("kafka_loses", False, True, False),
        ("kafka_loses", True, False, False),
        ("kafka_gone", True, True, False),
        ("pause", True, True, False),
        ("far", True, True, False),
        ("disk_fails", True, True, False),
    ],
)
def test_an_order_is_excused_only_of_who_died_or_whose_kafka_was_hurt_just_then(
    calm: Observed, kind: str, mine: bool, stands: bool, excused: bool
) -> None:
    """Everybody else's facts come in their order, whatever else is hurt, and before and afterwards (J5)."""
    entries = list(calm.journal)
    later, earlier = a_fact(calm, "routed"), a_fact(calm, "screened")
    at = [n for n, each in enumerate(entries) if dict(each) in (later, earlier)]
    writer = earlier["writer"].partition("/")[0]
    entries[at[0]], entries[at[1]] = {**later, "at_ms": later["at_ms"]}, earlier
    victim = writer if mine else {"ingress-1": "ingress-2", "ingress-2": "ingress-1"}[writer]
    said_s = (earlier["at_ms"] - calm.began_ms) / 1000
    targets = ("broker-1", "broker-2", "broker-3") if kind == "kafka_gone" else (victim,)
    hurt = Injury(kind, said_s if stands else said_s - 5.0, 1.0, targets, 0.5)
    damaged = replace(calm, journal=entries, schedule=replace(calm.schedule, injuries=(hurt,)))
    assert bool(of("order", damaged)) is not excused


def test_facts_that_lie_on_a_disk_out_of_their_order_are_found(calm: Observed) -> None:
    """What a call said first is on the disk first, at every moment (J5)."""
    said = [fact for each in calm.records if not isinstance(fact := facts.read(each.value), Tick)]
    one = next(fact for fact in said if fact.seq == 1)
    two = next(fact for fact in said if (fact.call_id, fact.writer, fact.seq) == (one.call_id, one.writer, 2))
    for order, found in (((one, two), False), ((two, one), True)):
        salt = bytes(range(16))
        spooled = (payload_of(Spooled(Topic.CALLS, each.call_id, facts.encode(each), 0)) for each in order)
        segment = header(salt) + b"".join(record(each, salt) for each in spooled)
        disks: list[Disks] = [{"ingress-1": {"spool/ingress-1/00000001.spool": segment}}]
        assert bool(of("order", replace(calm, disks=disks))) is found
