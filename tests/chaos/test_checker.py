"""The judge of chaos, on diaries written by hand: what it exists to find is put in, and must be found."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.checker import RECOVERS_MS, Stood, judge
from chaos.felt import Window
from chaos.strikes import in_memory_ms, unwritten
from loadtest.call_told import Lossy

CALL = "round1-0001"
PLACE: dict[str, Any] = {"psap_id": "P", "line": ""}


def caller(event: str, at_ms: int, leg: int = 1, **more: Any) -> dict[str, Any]:
    """A line of the callers' diary."""
    return {"event": event, "call_id": CALL, "leg": leg, "at_ms": at_ms, "after_ms": at_ms, **more}


def far(event: str, at_ms: int, attempt: str = f"{CALL}/1/1", **more: Any) -> dict[str, Any]:
    """A line of the far end's."""
    return {"event": event, "call_id": CALL, "at_ms": at_ms, "attempt": attempt, **PLACE, **more}


def fact(kind: str, seq: int, leg: int = 1, writer: str = "ingress-1/a", **more: Any) -> dict[str, Any]:
    """A fact of the journal."""
    entry = {"event": "fact", "call_id": CALL, "leg": leg, "seq": seq, "writer": writer, "kind": kind}
    return {**entry, "at_ms": seq, "reason": "", "attempt": "", "psap_id": "", "line": "", **more}


def in_memory(struck_ms: int) -> tuple[float, float]:
    """When a process said what it may have lost by a kill that began at this instant and was over 10 ms later."""
    return unwritten(struck_ms, struck_ms + 10)


def outcome(word: str) -> dict[str, Any]:
    """What the books make of it."""
    return {"event": "outcome", "call_id": CALL, "outcome": word}


ANSWERED_HERE = [
    caller("offered", 0, ingress="one"),
    caller("accepted", 5),
    caller("ringing", 20, attempt=f"{CALL}/1/1", **PLACE),
    caller("confirmed", 900, attempt=f"{CALL}/1/1"),
    caller("connected", 950, attempt=f"{CALL}/1/1", **PLACE),
]
ANSWERED_THERE = [far("offered", 10), far("ringing", 15), far("answered", 890), far("connected", 930)]
ANSWERED_KEPT = [
    fact("offered", 0),
    fact("ringing", 1, attempt=f"{CALL}/1/1", **PLACE),
    fact("answered", 2, attempt=f"{CALL}/1/1", **PLACE),
    outcome("answered"),
]


def test_a_call_that_all_three_saw_answered_is_sound() -> None:
    """Nothing is found where nothing is wrong."""
    judged = judge(ANSWERED_HERE, ANSWERED_THERE, ANSWERED_KEPT)
    assert judged.sound, judged
    assert (judged.calls, judged.accepted, judged.connected) == (1, 1, 1)


def test_an_accepted_caller_of_whom_nobody_knows_is_lost() -> None:
    """The promise: an outcome that a person sees, or the callback list."""
    here = [caller("offered", 0, ingress="one"), caller("accepted", 5), caller("gave_up", 9_000)]
    assert judge(here, [], [fact("offered", 0), outcome("in_progress")]).lost == (CALL,)
    listed = [fact("offered", 0), fact("abandoned", 1), outcome("callback_open")]
    assert judge(here, [], listed).lost == ()
    assert judge(here[:1] + here[2:], [], []).lost == (), "never accepted: never ours"


def test_a_caller_whom_the_journal_calls_answered_and_nobody_talked_to_is_lost() -> None:
    """A word in the journal is no person."""
    here = [caller("offered", 0, ingress="one"), caller("accepted", 5), caller("gave_up", 9_000)]
    kept = [fact("offered", 0), fact("answered", 1, attempt=f"{CALL}/1/1", **PLACE), outcome("answered")]
    assert judge(here, [], kept).lost == (CALL,)


def test_who_hung_up_in_the_instant_of_being_connected_is_not_lost() -> None:
    """A call-taker had the call: the far end says so."""
    here = [*ANSWERED_HERE[:4], caller("hung_up", 940)]
    assert judge(here, ANSWERED_THERE, ANSWERED_KEPT).lost == ()


def test_who_was_connected_for_a_moment_and_left_long_after_is_lost() -> None:
    """A talk that nobody told the caller of is none: they listened to nobody, and left."""
    here = [*ANSWERED_HERE[:4], caller("hung_up", 30_000)]
    stands = judge(here, ANSWERED_THERE, ANSWERED_KEPT)
    assert stands.lost == (CALL,)
    ended = [*ANSWERED_THERE, far("ended", 1_030)]
    assert judge([*ANSWERED_HERE[:4], caller("hung_up", 1_040)], ended, ANSWERED_KEPT).lost == (CALL,), "over by then"
    assert judge([*ANSWERED_HERE[:4], caller("hung_up", 1_020)], ended, ANSWERED_KEPT).lost == ()
    strange = [*ANSWERED_HERE[:3], caller("hung_up", 940)]
    assert judge(strange, ANSWERED_THERE, ANSWERED_KEPT).lost == (CALL,), "never confirmed"
    listed = [fact("offered", 0), fact("abandoned", 1), outcome("callback_open")]
    assert judge(here, ANSWERED_THERE, listed).lost == ()


def test_two_people_with_one_call_are_found_at_either_witness() -> None:
    """P4: at the far end, or in the journal; one that was taken back at once does not count."""
    second = f"{CALL}/2/1"
    two = [*ANSWERED_THERE, *(far(event, 2_000, second) for event in ("ringing", "answered", "connected"))]
    assert judge(ANSWERED_HERE, two, ANSWERED_KEPT).twice == (CALL,)
    for taken, at_ms, found in ((second, 2_100, ()), (second, 22_000, (CALL,)), (f"{CALL}/1/1", 22_000, (CALL,))):
        taken_back = [*two, far("cancelled", at_ms, taken, stage="connected")]
        assert judge(ANSWERED_HERE, taken_back, ANSWERED_KEPT).twice == found, f"{taken} at {at_ms}"
    before = [*ANSWERED_THERE, far("cancelled", 1_900, stage="connected"), *two[len(ANSWERED_THERE) :]]
    assert judge(ANSWERED_HERE, before, ANSWERED_KEPT).twice == (), "one after the other"
    kept = [*ANSWERED_KEPT, fact("answered", 0, leg=2, writer="ingress-2/b", attempt=second, **PLACE)]
    assert judge(ANSWERED_HERE, ANSWERED_THERE, kept).twice == (CALL,)


def test_a_call_taker_who_finds_nobody_on_the_line_is_told_apart() -> None:
    """P5: the word of the first connection was lost, the second was told so, and the caller was joined with one."""
    second = f"{CALL}/1/2"
    here = [
        *ANSWERED_HERE[:4],
        caller("ringing", 2_000, attempt=second, **PLACE),
        caller("confirmed", 2_900, attempt=second),
    ]
    here.append(caller("connected", 3_000, attempt=second, **PLACE))
    there = [*ANSWERED_THERE, *(far(event, 2_500, second) for event in ("offered", "ringing", "answered", "connected"))]
    told = [fact("offered", 0), fact("attempting", 1, attempt=second, reason="maybe_connected")]
    kept = [*told, fact("answered", 2, attempt=second, **PLACE), outcome("answered")]
    struck = [Window(925, 1_500)]
    judged = judge(here, there, kept, (), struck)
    assert (judged.unheard, judged.twice, judged.disagreements) == ((CALL,), (), ())
    untold = [fact("offered", 0), fact("attempting", 1, attempt=second), *kept[2:]]
    assert judge(here, there, untold, (), struck).twice == (CALL,), "nobody was told"
    other = [fact("offered", 0), fact("attempting", 1, attempt=f"{CALL}/1/3", reason="maybe_connected"), *kept[2:]]
    assert judge(here, there, other, (), struck).twice == (CALL,), "somebody else was told"
    first = [fact("offered", 0), fact("attempting", 1, attempt=f"{CALL}/1/1", reason="maybe_connected"), *kept[2:]]
    assert judge(here, there, first, (), struck).twice == (CALL,), "the first was told, and the second not"
    joined = [*here, caller("connected", 3_100, attempt=f"{CALL}/1/1", **PLACE)]
    assert judge(joined, there, kept, (), struck).twice == (CALL,), "the caller was joined with two"
    never = [entry for entry in here if (entry["event"], entry.get("attempt")) != ("confirmed", f"{CALL}/1/1")]
    assert judge(never, there, kept, (), struck).twice == (CALL,), "the caller never agreed to the first"
    third = [*there, *(far(event, 4_000, f"{CALL}/1/3") for event in ("offered", "ringing", "answered", "connected"))]
    assert judge(here, third, kept, (), struck).twice == (CALL,), "a third has the caller, and was told nothing"


def test_a_word_that_is_lost_while_nothing_is_hurt_is_no_excuse() -> None:
    """P5 is for words that could not come: a second person in a calm hour is a second person."""
    second = f"{CALL}/1/2"
    here = [*ANSWERED_HERE[:4], caller("confirmed", 2_900, attempt=second), caller("connected", 3_000, attempt=second)]
    there = [*ANSWERED_THERE, *(far(event, 2_500, second) for event in ("offered", "ringing", "answered", "connected"))]
    kept = [fact("offered", 0), fact("attempting", 1, attempt=second, reason="maybe_connected")]
    for struck, found in (
        ([], True),
        ([Window(2_501)], True),
        ([Window(0, 929 - RECOVERS_MS)], True),
        ([Window(2_400)], False),
        ([Window(0, 930)], False),
    ):
        judged = judge(here, there, kept, (), struck)
        assert (judged.twice == (CALL,), judged.unheard == (CALL,)) == (found, not found), str(struck)


def test_a_conductor_that_wakes_and_connects_whom_it_had_lost_is_found() -> None:
    """P3: only the holder of the caller's stream connects; the sleeper's caller had left it by then."""
    here = [caller("offered", 0, ingress="one"), caller("accepted", 5), caller("offered", 1_500, leg=2, ingress="two")]
    there = [far("ringing", 15), far("answered", 9_000), far("connected", 10_500)]
    kept = [fact("offered", 0), fact("offered", 0, leg=2, writer="ingress-2/b")]

    def slept(from_ms: int, to_ms: int, name: str = "ingress-1") -> list[Stood]:
        return [Stood(name, "ingress", "one", from_ms, to_ms)]

    assert judge(here, there, kept, slept(500, 10_000)).woken == (CALL,)
    assert judge(here, there, kept, slept(500, 10_000, "ingress-2")).woken == ()
    assert judge(here, there, kept, slept(500, 11_000)).woken == (), "it had not woken yet"
    assert judge(here, there, kept, slept(9_500, 10_000)).woken == (), "too short for its callers to leave"
    went_on = [*here, caller("connected", 10_600, leg=2, attempt=f"{CALL}/1/1", **PLACE)]
    assert judge(went_on, there, kept, slept(500, 10_000)).woken == (), "the next leg went on with what rang (P5)"


def test_a_gateway_or_failover_that_wakes_and_connects_by_a_word_of_before_is_found() -> None:
    """R5: its conductor has asked elsewhere by then, and the caller is told nothing of this connection."""
    here = [caller("offered", 0, ingress="one"), caller("accepted", 5), caller("confirmed", 600, attempt=f"{CALL}/1/1")]
    kept = [fact("offered", 0)]
    there = [far("offered", 10, gateway="g1"), far("ringing", 15, gateway="g1")]
    there += [far("answered", 590), far("connected", 10_500)]
    gateway = Stood("psap-gateway-1", "psap_gateway", "g1", 601, 10_000)
    assert judge(here, there, kept, [gateway]).woken == (CALL,)
    other = Stood("psap-gateway-2", "psap_gateway", "g2", 601, 10_000)
    assert judge(here, there, kept, [other]).woken == (), "the other one had it"
    moved = [*there[:3], far("ringing", 900, gateway="g2"), there[3]]
    assert judge(here, moved, kept, [gateway]).woken == (), "the other one has it by then"
    early = Stood("psap-gateway-1", "psap_gateway", "g1", 5, 10_000)
    assert judge(here, there, kept, [early]).woken == (), "it came when it stood already: another's, or a new one"
    heard = [*here, caller("connected", 10_510, attempt=f"{CALL}/1/1", **PLACE)]
    assert judge(heard, there, kept, [gateway]).woken == ()
    left = [*here, caller("hung_up", 10_510)]
    assert judge(left, there, kept, [gateway]).woken == (), "the caller left in the instant of being connected"
    failover = Stood("failover-1", "failover", "f1", 601, 10_000)
    assert judge(here, there, kept, [failover]).woken == (), "it rings no PSAP"
    line = [{**each, "line": "+15550100"} for each in there]
    assert judge(here, line, kept, [failover]).woken == (CALL,)


@pytest.mark.parametrize(
    ("killed", "found"),
    [
        ({"ingress-1": [in_memory(1_000)]}, False),
        ({"ingress-1": [in_memory(940 + in_memory_ms())]}, False),
        ({"ingress-1": [in_memory(941 + in_memory_ms())]}, True),
        ({"ingress-2": [in_memory(1_000)]}, True),
        ({}, True),
    ],
)
def test_who_was_killed_may_have_lost_what_it_said_just_before_and_nothing_older(killed: Lossy, found: bool) -> None:
    """J4, J5: only what was said so long before the kill that its budget and its spool's were not over."""
    at_ms = {"offered": 5, "attempting": 15, "answered": 940}
    kept = [fact(kind, seq, attempt=f"{CALL}/1/1", **PLACE, at_ms=at_ms[kind])
            for kind, seq in (("offered", 0), ("attempting", 1), ("answered", 3))]  # fmt: skip
    judged = judge(ANSWERED_HERE, ANSWERED_THERE, [*kept, outcome("answered")], killed=killed)
    assert bool(judged.disagreements) == found, str(judged.disagreements)


def test_what_may_be_in_memory_alone_is_what_the_services_are_set_to() -> None:
    """J5: 50 ms until an append is unknown and goes to the spool, 150 until that has said so; and what nobody waits for
    is gathered for 20 ms before."""
    assert in_memory_ms() == 20 + 50 + 150
    assert unwritten(10_000, 10_007) == (9_780, 10_007)
