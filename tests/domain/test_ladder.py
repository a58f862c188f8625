"""The ladder: in any order of failures it comes to the region's desk and to a pause, each rung once a round."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.calls.ladder import (
    GATEWAYS_TRIED_MAX,
    AskRoute,
    Destination,
    DialLines,
    Ladder,
    Pause,
    RingPsap,
    Rung,
)
from services.domain.events import Failure

BUSY: Final = (Failure.FULL, Failure.REFUSED)
NOT_THERE: Final = (Failure.UNREACHABLE, Failure.NOT_ATTACHED)
UNANSWERED: Final = (Failure.NO_ANSWER, Failure.EXPIRED, Failure.SUPERSEDED)
RUNGS_MAX: Final = 1 + 2 * (GATEWAYS_TRIED_MAX + 1) + 1
"""A policy's desk; gateways and lines of a primary and an alternate; the region's desk."""

psaps = st.sampled_from(("P1", "P2", "P3", "region"))
gateways = st.lists(st.sampled_from(("gw-a", "gw-b", "gw-c")), max_size=4).map(tuple)
destinations = st.none() | st.builds(Destination, psaps, gateways, st.booleans(), st.just("town"))
desks = st.sampled_from(("", "poison-desk", "region", "P1", "P2"))


def destination(psap_id: str, *gateways: str, reachable: bool = True) -> Destination:
    return Destination(psap_id, gateways, reachable, "town")


def one_round(ladder: Ladder, routes: list[Destination | None], *failures: Failure) -> list[str]:
    """The steps of one round in words. Questions get these routes, then none; rungs fail so, the last over and over."""
    steps: list[str] = []
    while not isinstance(step := ladder.climb(), Pause):
        match step:
            case AskRoute(excluded):
                steps.append(" ".join(("ask", *excluded)))
                ladder.found(routes.pop(0) if routes else None)
                continue
            case RingPsap(psap_id, gateway):
                steps.append(f"ring {psap_id} {gateway}")
            case DialLines(owner):
                steps.append(f"dial {owner}")
        ladder.failed(step, failures[0])
        failures = failures[1:] or failures
    return steps


@given(st.data(), desks, st.integers(1, 3))
def test_every_order_of_failures_ends_in_a_pause(data: st.DataObject, desk: str, rounds: int) -> None:
    """In finite steps, each rung at most once a round, and never without the region's desk (R6)."""
    ladder = Ladder(desk, "policy")
    for _ in range(rounds):
        rungs: list[Rung] = []
        questions = 0
        while not isinstance(step := ladder.climb(), Pause):
            assert ladder.climb() == step, "asked twice, it answers the same"
            if isinstance(step, AskRoute):
                questions += 1
                assert bool(step.excluded) is (questions == 2)
                ladder.found(data.draw(destinations))
            else:
                rungs.append(step)
                ladder.failed(step, data.draw(st.sampled_from(Failure)))
            assert len(rungs) <= RUNGS_MAX
            assert questions <= 2
        places = [(type(each), each.gateway if isinstance(each, RingPsap) else "", each.owner) for each in rungs]
        assert len(set(places)) == len(places), "a rung came twice in a round"
        assert (DialLines, "", "region") in places
        assert questions >= 1, "a desk's failure does not keep a call from its PSAP"
        ladder.again()


@given(destinations, destinations, st.lists(st.sampled_from(Failure), min_size=RUNGS_MAX, max_size=RUNGS_MAX))
def test_a_second_round_is_like_the_first(
    primary: Destination | None, alternate: Destination | None, failures: list[Failure]
) -> None:
    """Everything is forgiven after a pause: the same world gives the same rungs."""
    ladder = Ladder()
    rounds = []
    for _ in range(2):
        found, told = [primary, alternate], list(failures)
        rungs: list[Rung] = []
        while not isinstance(step := ladder.climb(), Pause):
            if isinstance(step, AskRoute):
                ladder.found(found.pop(0))
            else:
                rungs.append(step)
                ladder.failed(step, told.pop(0))
        rounds.append(rungs)
        ladder.again()
    assert rounds[0] == rounds[1]


@pytest.mark.parametrize("failure", NOT_THERE)
def test_a_psap_that_is_not_there_is_tried_by_two_gateways_and_then_by_its_lines(failure: Failure) -> None:
    """Its people are there, the way to them is not (R4): own lines before an alternate."""
    steps = one_round(Ladder(), [destination("P1", "a", "b", "c"), destination("P2", "a")], failure)
    assert steps == ["ask", "ring P1 a", "ring P1 b", "dial P1", "ask P1", "ring P2 a", "dial P2", "dial region"]


@pytest.mark.parametrize("failure", BUSY)
def test_a_psap_that_is_busy_is_stood_in_for_before_its_lines_are_dialled(failure: Failure) -> None:
    """Its people are there and cannot take the call; what one gateway heard from it goes for the others."""
    steps = one_round(Ladder(), [destination("P1", "a", "b"), destination("P2", "a", "b")], failure)
    assert steps == ["ask", "ring P1 a", "ask P1", "ring P2 a", "dial P1", "dial P2", "dial region"]


@pytest.mark.parametrize("failure", UNANSWERED)
def test_a_psap_that_does_not_answer_is_tried_by_its_lines(failure: Failure) -> None:
    """No other gateway is tried: it rang there already."""
    assert one_round(Ladder(), [destination("P1", "a", "b")], failure) == [
        "ask",
        "ring P1 a",
        "dial P1",
        "ask P1",
        "dial region",
    ]


def test_a_psap_known_to_be_unreachable_is_not_offered_to() -> None:
    """The router's fresh word saves the caller two tries (R8)."""
    unreachable = destination("P1", "a", "b", reachable=False)
    assert one_round(Ladder(), [unreachable], Failure.FULL) == ["ask", "dial P1", "ask P1", "dial region"]


def test_no_psap_at_all_is_the_regions_desk_at_once() -> None:
    """The last rung, told why."""
    ladder = Ladder()
    ladder.found(None)
    assert ladder.climb() == DialLines("region", "ladder_exhausted", last=True)


def test_a_gateway_named_twice_is_tried_once() -> None:
    """Two tries are two different gateways."""
    steps = one_round(Ladder(), [destination("P1", "a", "a", "b")], Failure.UNREACHABLE)
    assert steps[:4] == ["ask", "ring P1 a", "ring P1 b", "dial P1"]


def test_a_router_that_names_the_excluded_psap_again_is_not_believed() -> None:
    """The PSAP has had its turn in this round."""
    steps = one_round(Ladder(), [destination("P1", "a"), destination("P1", "a", "b")], Failure.FULL)
    assert steps == ["ask", "ring P1 a", "ask P1", "dial P1", "dial region"]


def test_a_policys_desk_comes_first_and_once() -> None:
    """A desk that does not answer is no reason to hang up; in later rounds the call goes the usual way."""
    ladder = Ladder("poison-desk", "policy")
    assert one_round(ladder, [], Failure.REFUSED) == ["dial poison-desk", "ask", "dial region"]
    ladder.again()
    assert one_round(ladder, [], Failure.FULL) == ["ask", "dial region"]


@pytest.mark.parametrize("desk", ["region", "P1"])
def test_a_policys_desk_that_stands_on_the_ladder_is_dialled_once_a_round(desk: str) -> None:
    """Whose lines they are does not matter: they have had their turn, and have it again in the next round."""
    ladder = Ladder(desk, "policy")
    usual = ["ask", "ring P1 a", "dial P1", "ask P1", "dial region"]
    expected = [f"dial {desk}", *(step for step in usual if step != f"dial {desk}")]
    assert one_round(ladder, [destination("P1", "a")], Failure.UNREACHABLE) == expected
    ladder.again()
    assert one_round(ladder, [destination("P1", "a")], Failure.UNREACHABLE) == usual
