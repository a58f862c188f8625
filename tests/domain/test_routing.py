"""Where to: the fold of the gateways' snapshots (R8), the order of gateways (R4), and the choice among candidates."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.routing import (
    STALE_AFTER_SECONDS,
    Reach,
    Route,
    RouteReason,
    Snapshot,
    StatusView,
    choose,
)

NOW = 1_000.0
PSAPS = ("boston", "quincy", "milton")

snapshots = st.builds(
    Snapshot,
    gateway_id=st.sampled_from(["g1", "g2", "g3"]),
    address=st.sampled_from(["a:1", "b:1", "c:1"]),
    incarnation=st.sampled_from(["1", "2"]),
    seq=st.integers(0, 3),
    at=st.floats(NOW - 20, NOW),
    rows=st.dictionaries(st.sampled_from(PSAPS), st.sampled_from(Reach)),
    calls=st.dictionaries(st.sampled_from(PSAPS), st.integers(1, 3)),
)
views = st.lists(snapshots, max_size=6).map(lambda told: reduce(StatusView.fold, told, StatusView()))
candidate_lists = st.lists(st.sampled_from(PSAPS), unique=True)
gateway_lists = st.lists(st.sampled_from(["a:1", "b:1", "c:1", "d:1"]), unique=True)


def view_of(*rows: tuple[str, float, dict[str, Reach]]) -> StatusView:
    """A view in which each (gateway, seconds ago, rows) has spoken once."""
    told = [Snapshot(name, f"{name}:1", "1", 1, NOW - ago, said) for name, ago, said in rows]
    return reduce(StatusView.fold, told, StatusView())


def route(view: StatusView, *candidates: str, excluded: tuple[str, ...] = (), gateways: tuple[str, ...] = ()) -> Route:
    return choose(candidates or PSAPS, excluded, view, NOW, gateways)


@given(st.data(), st.lists(snapshots, max_size=8))
def test_the_order_and_the_repetition_of_snapshots_do_not_matter(data: st.DataObject, told: list[Snapshot]) -> None:
    """R8: a compacted topic may be read from anywhere, twice, and gateways interleave."""
    shuffled = data.draw(st.permutations(told + told[: data.draw(st.integers(0, len(told)))]))
    assert reduce(StatusView.fold, shuffled, StatusView()) == reduce(StatusView.fold, told, StatusView())


@given(snapshots, snapshots)
def test_an_older_snapshot_of_a_gateway_is_ignored(one: Snapshot, other: Snapshot) -> None:
    """R8: a newer incarnation or sequence number wins, whatever arrives last."""
    view = StatusView().fold(one).fold(other)
    if one.gateway_id == other.gateway_id and (one.incarnation, one.seq) > (other.incarnation, other.seq):
        assert view.newest[one.gateway_id] == one
    elif (other.incarnation, other.seq) > (one.incarnation, one.seq):
        assert view.newest[other.gateway_id] == other


def test_a_snapshot_that_is_delivered_twice_does_not_become_fresh_again() -> None:
    """R8: age is counted from what was said, not from the last copy of it."""
    first = Snapshot("g1", "g1:1", "1", 7, NOW - 30, {"boston": Reach.REACHABLE})
    again = Snapshot("g1", "g1:1", "1", 7, NOW, {"boston": Reach.REACHABLE})
    assert StatusView().fold(first).fold(again).reach_by_address("boston", NOW) == {"g1:1": Reach.UNKNOWN}


@given(views, st.sampled_from(PSAPS), st.floats(NOW, NOW + 30))
def test_the_calls_at_a_psap_are_the_most_that_one_gateway_freshly_says(
    view: StatusView, psap_id: str, now: float
) -> None:
    """R8: a stale snapshot says nothing, nobody's word is none, and gateways that know the same calls add nothing."""
    fresh = [each for each in view.newest.values() if now - each.at <= STALE_AFTER_SECONDS]
    said = [each.calls.get(psap_id, 0) for each in fresh]
    assert view.calls_at(psap_id, now) == max([0, *said])


def test_a_call_that_two_gateways_know_is_one_call() -> None:
    """R5: the hello to the second names what the first has connected, and a dead one's word stands for six seconds."""
    both = [Snapshot(name, f"{name}:1", "1", 1, NOW, {}, {"boston": 5}) for name in ("g1", "g2")]
    view = reduce(StatusView.fold, both, StatusView())
    assert view.calls_at("boston", NOW + STALE_AFTER_SECONDS) == 5
    assert view.calls_at("quincy", NOW) == view.calls_at("boston", NOW + STALE_AFTER_SECONDS + 0.1) == 0


@given(candidate_lists, st.sets(st.sampled_from(PSAPS)), views, gateway_lists)
def test_a_candidate_that_is_left_is_always_returned_with_every_gateway(
    candidates: list[str], excluded: set[str], view: StatusView, gateways: list[str]
) -> None:
    """R8: status is advice; no state of the view makes a PSAP or a gateway disappear."""
    chosen = choose(candidates, excluded, view, NOW, gateways)
    left = [psap_id for psap_id in candidates if psap_id not in excluded]
    if not left:
        assert (chosen.psap_id, chosen.gateways, chosen.reachable) == (None, (), False)
        assert chosen.reason is (RouteReason.ALL_EXCLUDED if candidates else RouteReason.NO_CANDIDATES)
        return
    assert chosen.psap_id in left
    assert sorted(chosen.gateways) == sorted({*gateways, *(said.address for said in view.newest.values())})
    if left[0] == candidates[0]:
        assert chosen.psap_id == candidates[0], "a primary is never passed over"


@given(views, gateway_lists)
def test_gateways_come_reachable_first_then_unknown_then_unreachable(view: StatusView, gateways: list[str]) -> None:
    """R4: fresh first; those that say no come last, for a re-attachment may be newer than the view."""
    said = view.reach_by_address("boston", NOW)
    order = [Reach.REACHABLE, Reach.UNKNOWN, Reach.UNREACHABLE]
    ranks = [order.index(said.get(a, Reach.UNKNOWN)) for a in route(view, "boston", gateways=tuple(gateways)).gateways]
    assert ranks == sorted(ranks)


def test_one_fresh_row_makes_a_psap_reachable() -> None:
    """R8: reachable if any fresh row says so."""
    view = view_of(("g1", 1, {"boston": Reach.UNREACHABLE}), ("g2", 1, {"boston": Reach.REACHABLE}))
    assert route(view) == Route("boston", ("g2:1", "g1:1"), True, RouteReason.PRIMARY)


def test_a_primary_that_every_fresh_gateway_denies_is_returned_as_unreachable() -> None:
    """The ladder goes to its own lines then; skipping it here would hide them."""
    view = view_of(("g1", 1, {"boston": Reach.UNREACHABLE}), ("g2", 1, {"boston": Reach.UNREACHABLE}))
    chosen = route(view)
    assert (chosen.psap_id, chosen.reachable, chosen.reason) == ("boston", False, RouteReason.PRIMARY_UNREACHABLE)
    assert sorted(chosen.gateways) == ["g1:1", "g2:1"]


@pytest.mark.parametrize(
    "second_gateway",
    [
        ("g2", STALE_AFTER_SECONDS + 0.1, {"boston": Reach.UNREACHABLE}),
        ("g2", 1.0, {"quincy": Reach.REACHABLE}),
        ("g2", 1.0, {"boston": Reach.UNKNOWN}),
    ],
)
def test_stale_or_silent_means_unknown_and_unknown_means_try(
    second_gateway: tuple[str, float, dict[str, Reach]],
) -> None:
    """R8: one gateway that does not freshly deny is enough to try."""
    chosen = route(view_of(("g1", 1, {"boston": Reach.UNREACHABLE}), second_gateway))
    assert chosen == Route("boston", ("g2:1", "g1:1"), True, RouteReason.PRIMARY_UNKNOWN)


def test_a_snapshot_is_fresh_for_exactly_its_time() -> None:
    """R8: three missed snapshots."""
    rows = {"boston": Reach.UNREACHABLE}
    assert not route(view_of(("g1", STALE_AFTER_SECONDS, rows))).reachable
    assert route(view_of(("g1", STALE_AFTER_SECONDS + 0.001, rows))).reachable


def test_when_all_is_stale_all_gateways_are_tried() -> None:
    """R8: all stale, or nothing heard yet, is no reason to keep a call from its PSAP."""
    rows = {"boston": Reach.UNREACHABLE}
    view = view_of(("g1", 60, rows), ("g2", 60, rows))
    assert sorted(route(view, gateways=("g3:1",)).gateways) == ["g1:1", "g2:1", "g3:1"]
    assert route(StatusView(), gateways=("g3:1",)) == Route("boston", ("g3:1",), True, RouteReason.PRIMARY_UNKNOWN)


def test_an_alternate_that_is_unreachable_is_passed_over_while_another_is_not() -> None:
    """An alternate only stands in: one that can be reached is better than one that cannot."""
    view = view_of(("g1", 1, {"quincy": Reach.UNREACHABLE, "milton": Reach.REACHABLE}))
    assert route(view, excluded=("boston",)) == Route("milton", ("g1:1",), True, RouteReason.ALTERNATE)
    view = view_of(("g1", 1, {"quincy": Reach.UNREACHABLE, "milton": Reach.UNREACHABLE}))
    assert route(view, excluded=("boston",)) == Route("quincy", ("g1:1",), False, RouteReason.ALTERNATE_UNREACHABLE)


def test_when_every_candidate_is_excluded_the_answer_says_so() -> None:
    """The ladder then has only lines left."""
    assert route(StatusView(), excluded=PSAPS) == Route(None, (), False, RouteReason.ALL_EXCLUDED)


def test_unknown_gateways_are_shared_out_and_keep_their_order() -> None:
    """R4: rendezvous order spreads PSAPs, and a gateway that leaves changes nothing between the others."""
    gateways = ("g1:1", "g2:1", "g3:1")
    firsts = []
    for number in range(300):
        order = choose([f"psap-{number}"], (), StatusView(), NOW, gateways).gateways
        without = choose([f"psap-{number}"], (), StatusView(), NOW, ("g1:1", "g3:1")).gateways
        assert without == tuple(address for address in order if address != "g2:1")
        firsts.append(order[0])
    assert all(60 <= firsts.count(address) <= 140 for address in gateways)
