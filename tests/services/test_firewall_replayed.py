"""What firewalls recorded, replayed with a bundle, is what firewalls that serve this bundle say of the same calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hypothesis import example, given, settings
from hypothesis import strategies as st
from throughline.v1 import screening_pb2

from services.domain.offer import SOS_URN, TEST_URN, Offer
from services.domain.policy import Pass, Verdict
from services.journal.memory import MemoryLog
from services.policy.bundle import Bundle
from services.policy.replays.difference import Call, Change
from services.policy.replays.replaying import Judging, no_stopwatch, replay
from services.policy.verdicts.evaluating import Evaluation
from services.policy.verdicts.guards import BREAKER
from services.policy_cli.progress import Progress
from services.policy_cli.recordings import calls_in
from services.wire import offers, verdicts
from services.wire.methods import SCREEN
from tests.policy.replicas import Came
from tests.policy.test_promises import streams
from tests.services.firewall_stage import DESK, DIVERTS_ALL, DIVERTS_REPEATS, FLAGS_ALL, Stage, play

BUNDLES = {"all": DIVERTS_ALL, "repeats": DIVERTS_REPEATS, "flags": FLAGS_ALL}
NAMES = st.sampled_from(sorted(BUNDLES))
LASTS_MOST_S = 10_000.0
CALLER = "+15085550101"


@dataclass(frozen=True)
class Said:
    """What was proposed of a call, and what kept it from that."""

    proposed: Verdict
    kept_from: str


def recorded(serves: Bundle, stream: Sequence[Came], replicas: int) -> tuple[list[screening_pb2.Screening], list[Call]]:
    """What firewalls that serve this bundle recorded of the stream, and the same as calls to be replayed."""
    told: list[screening_pb2.Screening] = []
    calls: list[Call] = []

    async def scene(stage: Stage) -> None:
        for came in stream:
            await asyncio.sleep(came.pause_s)
            asked = screening_pb2.ScreenRequest(offer=offers.to_wire(came.offer))
            await stage.network.ask(f"firewall-{came.where % replicas + 1}:1", SCREEN, asked, within_s=0.15)
        told.extend(await stage.published())
        log = MemoryLog(stage.broker)
        await log.start()
        calls.extend(await calls_in(log, 0, Progress(lambda: 0.0, print)))
        await log.close()

    play(scene, serves, replicas)
    return told, calls


def said_live(told: Sequence[screening_pb2.Screening], bundle: Bundle) -> dict[str, Said]:
    """Of each real call that this bundle was asked about, as it was first screened."""
    found: dict[str, screening_pb2.Screening] = {}
    for each in told:
        if each.inputs and not each.test:
            found.setdefault(each.call_id, each)
    return {call_id: _said(each) for call_id, each in found.items() if each.bundle == bundle.digest}


def _said(record: screening_pb2.Screening) -> Said:
    proposed = verdicts.to_domain(record.proposed if record.HasField("proposed") else record.verdict)
    assert proposed is not None
    return Said(proposed, record.kept_from)


def said_by_replay(calls: Sequence[Call], bundle: Bundle) -> dict[str, Said]:
    """The same by a replay."""
    side, found = Judging(bundle, Evaluation(bundle), {DESK}, no_stopwatch), {}
    for call in calls:
        judged = side.judge(call)
        found[call.call_id] = Said(judged.proposed, judged.kept_from or (judged.breaker and BREAKER + judged.breaker))
    return found


def came(
    call_id: str, leg: int = 1, pause_s: float = 1.0, where: int = 0, test: bool = False, caller: str = CALLER
) -> Came:
    return Came(pause_s, where, Offer(call_id, leg, caller, TEST_URN if test else SOS_URN, None))


LATER_LEGS = [came("b", 2), came("b", 3), came("t", test=True), came("a"), came("a", 2, where=1), came("c", 2, where=1)]
"""A leg that comes first, of a caller of whom nobody knows; the same caller's next call; and one more later leg."""
BEFORE_IS_KNOWN = [came("a"), came("b", 2, where=1, pause_s=0.0), came("c", where=1, pause_s=0.0)]
"""The second firewall has not heard of the first call."""
COMES_AGAIN = [came("a"), came("b"), came("b", 2, pause_s=700.0), *(came(f"c{n}") for n in range(6))]
"""When the second call comes again it is screened anew."""
NO_NUMBER = [came("a", caller=""), came("b", caller=""), came("c", pause_s=3_700.0, caller="")]
AT_ONCE = [came("a", pause_s=0.0), *(came(f"c{n}", pause_s=0.0) for n in range(8))]


@given(serves=NAMES, candidate=NAMES, stream=streams(least=5, most=12))
@example(serves="flags", candidate="all", stream=LATER_LEGS)
@example(serves="all", candidate="all", stream=LATER_LEGS)
@example(serves="flags", candidate="all", stream=AT_ONCE)
@example(serves="flags", candidate="all", stream=COMES_AGAIN)
@example(serves="flags", candidate="all", stream=NO_NUMBER)
@settings(max_examples=25)
def test_a_replay_of_records_says_what_the_firewall_says(serves: str, candidate: str, stream: list[Came]) -> None:
    """First legs and later ones, callers who redial, test calls: rule, guard and breaker of each call, counted once."""
    live, replayed = compared(serves, candidate, stream, 1)
    assert live == replayed


@given(serves=NAMES, candidate=NAMES, stream=streams(least=5, most=12))
@example(serves="flags", candidate="all", stream=LATER_LEGS)
@example(serves="flags", candidate="all", stream=BEFORE_IS_KNOWN)
@settings(max_examples=15)
def test_a_replay_of_two_firewalls_records_has_the_guards_of_each(
    serves: str, candidate: str, stream: list[Came]
) -> None:
    """Each call by what the one that screened it knew; breakers apart, of which a replay has one set for all calls."""
    live, replayed = compared(serves, candidate, stream, 2)
    assert _guards(live) == _guards(replayed)


def compared(
    serves: str, candidate: str, stream: Sequence[Came], replicas: int
) -> tuple[dict[str, Said], dict[str, Said]]:
    """What firewalls that serve the candidate say of a stream, and what its replay says over the records of others."""
    at_s = accumulate(each.pause_s for each in stream)
    stream = [replace(each, offer=replace(each.offer, place=None)) for each in stream if next(at_s) < LASTS_MOST_S]
    told, calls = recorded(BUNDLES[serves], stream, replicas)
    assert sorted(call.call_id for call in calls) == sorted(
        {each.offer.call_id for each in stream if not each.offer.test}
    )
    if serves != candidate:
        told, _ = recorded(BUNDLES[candidate], stream, replicas)
    live, replayed = said_live(told, BUNDLES[candidate]), said_by_replay(calls, BUNDLES[candidate])
    found = live, {call_id: replayed[call_id] for call_id in live}
    return (_guards(found[0]), _guards(found[1])) if _anew(told) else found


def _anew(told: Sequence[screening_pb2.Screening]) -> bool:
    """Whether a call came again when its answer was forgotten: breakers heard it twice then, and a replay once."""
    screened = [each.call_id for each in told if each.inputs]
    return len(screened) > len(set(screened))


def _guards(said: Mapping[str, Said]) -> dict[str, Said]:
    """The same without what breakers kept."""
    return {call_id: _guard(each) for call_id, each in said.items()}


def _guard(said: Said) -> Said:
    return replace(said, kept_from="") if said.kept_from.startswith(BREAKER) else said


def test_a_later_leg_that_the_firewall_spared_is_not_newly_diverted() -> None:
    """It may have been its caller's first call; replayed, it was told as a divert that there never would be."""
    _, calls = recorded(FLAGS_ALL, [came("a"), came("b", 2)], 1)
    sides = [Judging(each, Evaluation(each), {DESK}, no_stopwatch) for each in (FLAGS_ALL, DIVERTS_ALL)]
    difference = replay(sides[0], sides[1], calls)
    assert difference.changes == {Change.NO_LONGER_FLAGGED: 2}
    assert [each.candidate.kept_from for each in difference.examples] == ["first_call", "first_call"]
    assert [each.candidate.verdict for each in difference.examples] == [Pass(), Pass()]
