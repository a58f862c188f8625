"""What becomes of a proposal, and that a replay and a firewall make the same of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.policy.bundle import Bundle, Limits
from services.policy.replays.replaying import Judging, no_stopwatch
from services.policy.replays.retelling import of_offers
from services.policy.verdicts.breakers import UNPROVEN, Breakers
from services.policy.verdicts.credit import UNPROVEN_CALLS
from services.policy.verdicts.evaluating import Evaluation
from services.policy.verdicts.guards import BREAKER, Grounds, Kept
from services.policy.verdicts.inputs import NOWHERE
from services.policy.verdicts.judging import Judgement, Known, judged, judged_again
from services.policy.verdicts.scopes import HOLD_S, SLACK_CALLS, Heard
from tests.policy.expressions import bundle, diverting
from tests.policy.replicas import DESKS, START_MS, Came, Replica
from tests.policy.test_promises import bundles, streams

DIVERT = Divert("nuisance-desk", "r", "why")
WELL = Grounds(bypass=False, history=True, first=False, desks=DESKS)
LIVE = bundle(diverting("true", rule_id="r"), digest="a" * 64)


def call(number: int, rule: str = "r", *, repeats: bool = False) -> Heard:
    return Heard(f"call-{number}", f"caller-{number}", repeats, "", "", rule, 1.0, "a" * 64)


@given(bundles(), streams(most=80), st.sampled_from([0, 1, 20]))
@settings(max_examples=150)
def test_what_is_replayed_is_what_screens_to_the_last_breaker(live: Bundle, stream: list[Came], pause_s: int) -> None:
    """The same calls through a firewall's parts and through a replay: the same proposal, guard, breaker and trips."""
    replica, replayed = (
        Replica(Evaluation(live), lambda _: NOWHERE),
        Judging(live, Evaluation(live), DESKS, no_stopwatch),
    )
    real = [came.offer for came in stream if came.offer.leg == 1 and not came.offer.test]
    offered = [(START_MS + number * pause_s * 1000, replace(offer, leg=1)) for number, offer in enumerate(real)]
    unique = list({offer.call_id: (at_ms, offer) for at_ms, offer in offered}.values())
    for (at_ms, offer), told in zip(unique, of_offers(unique, lambda _: NOWHERE, UTC), strict=True):
        said, _ = replica.screen(offer, (at_ms - START_MS) / 1000)
        found = replayed.judge(told)
        assert Judgement(found.proposed, found.kept_from, found.breaker).kept_from == said.kept
        assert found.proposed == said.proposed
        assert replica.calls.breakers.trips() == replayed.trips()


@pytest.mark.parametrize("proposed", [Pass(), Flag(40, "r", "why"), DIVERT])
def test_a_judgement_answers_what_was_proposed_unless_something_keeps_it(proposed: Verdict) -> None:
    """The guard's word comes before the breaker's (L5, L7)."""
    assert (Judgement(proposed).verdict, Judgement(proposed).kept_from) == (proposed, "")
    assert Judgement(proposed, Kept.BYPASS, "state") == Judgement(proposed, "bypass", "state")
    assert Judgement(proposed, "bypass", "state").kept_from == "bypass"
    assert Judgement(proposed, "", "state").kept_from == "breaker_state"
    assert Judgement(proposed, "bypass").verdict == Judgement(proposed, "", "state").verdict == Pass()


def test_a_call_that_a_guard_keeps_counts_against_the_budget_all_the_same() -> None:
    """Massachusetts: those who call once are kept, and what was proposed of them trips the breaker (L7)."""
    breakers = Breakers(Limits())
    first = replace(WELL, first=True)
    for number in range(SLACK_CALLS + 1):
        assert judged(DIVERT, call(number), first, breakers, 0.0).kept_from == Kept.FIRST_CALL
    assert judged(DIVERT, call(99), WELL, breakers, 1.0).kept_from == BREAKER + "state"


def test_a_bundle_without_credit_diverts_no_more_though_nothing_tripped() -> None:
    """Callers who repeat count against no share; five of their calls, and then an ordinary one must pass."""
    breakers = Breakers(Limits())
    said = [judged(DIVERT, call(n, repeats=True), WELL, breakers, float(n)) for n in range(UNPROVEN_CALLS + 1)]
    assert [each.scope for each in said] == [""] * UNPROVEN_CALLS + [UNPROVEN]
    assert breakers.trips() == []


def test_test_calls_move_no_breaker_and_are_kept_by_one_that_tripped() -> None:
    """A hundred drills are no flood; and while nothing is diverted, nor is a test call."""
    breakers = Breakers(Limits())
    for number in range(100):
        assert judged(DIVERT, call(number), WELL, breakers, 0.0, test=True) == Judgement(DIVERT)
    assert breakers.trips() == []
    for number in range(SLACK_CALLS + 1):
        judged(DIVERT, call(number), WELL, breakers, 0.0)
    assert judged(DIVERT, call(100), WELL, breakers, 0.0, test=True).scope == "state"


@pytest.mark.parametrize(
    ("standing", "grounds", "kept"),
    [
        ([LIVE], WELL, ""),
        ([bundle(), LIVE], WELL, ""),
        ([LIVE], replace(WELL, bypass=True), Kept.BYPASS),
        ([], WELL, Kept.REVERTED),
        ([replace(LIVE, digest="b" * 64)], WELL, Kept.REVERTED),
        ([bundle(diverting("true", rule_id="other"), digest="a" * 64)], WELL, Kept.REVERTED),
        ([LIVE], replace(WELL, desks=frozenset()), Kept.NO_DESK),
    ],
)
def test_a_divert_is_said_again_where_it_would_be_said_now(standing: list[Bundle], grounds: Grounds, kept: str) -> None:
    """The same verdict for the same call (L3), by a bundle that stands, to a desk that has lines, unless bypassed."""
    known = Known(DIVERT, "label", "a" * 64, call(1))
    assert judged_again(known, standing, grounds, Breakers(Limits()), 0.0).kept_from == kept


def test_a_divert_is_not_said_again_while_its_breaker_is_tripped() -> None:
    """Nothing of that scope is diverted then, a later leg neither; afterwards it is what it was."""
    breakers = Breakers(Limits())
    for number in range(SLACK_CALLS + 1):
        judged(DIVERT, call(number), WELL, breakers, 0.0)
    known = Known(DIVERT, "label", "a" * 64, call(0))
    assert judged_again(known, [LIVE], WELL, breakers, 1.0).kept_from == BREAKER + "state"
    later_s = 4_000.0
    assert later_s > HOLD_S
    assert judged_again(known, [LIVE], WELL, breakers, later_s) == Judgement(DIVERT)


def test_a_pass_or_a_flag_is_said_again_whatever_stands() -> None:
    """Only a divert needs a bundle that bears it out; the bypass takes flags away too."""
    for said in (Pass(), Flag(40, "r", "why")):
        known = Known(said, "label", "a" * 64, call(1, ""))
        assert judged_again(known, [], WELL, Breakers(Limits()), 0.0).verdict == said
    bypassed = judged_again(known, [], replace(WELL, bypass=True), Breakers(Limits()), 0.0)
    assert (bypassed.verdict, bypassed.kept_from) == (Pass(), Kept.BYPASS)
