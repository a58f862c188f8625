"""What stands of policies: every reader folds the same, whoever writes at once, and versions only rise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.files.canonical import Action, Order
from services.policy.files.signing import ORDER_VALID_MS, SKEW_MS
from services.policy.life.latest import LATEST_MAX, Latest
from services.policy.life.lifecycle import (
    BUILT_IN_POINTER,
    OrderRefused,
    Pointer,
    Stage,
    State,
    flaw,
    obey,
    stepped,
    tripped,
)
from services.policy.life.shelf import Shelf

NOW = 1_800_000_000_000


def pointer(version: int) -> Pointer:
    return Pointer(version, f"{version:064x}")


def ordered(action: Action, version: int = 0, made: int = NOW, force: bool = False) -> Order:
    return Order(action, made, version, pointer(version).digest if version else "", force)


def follow(state: State, *orders: Order, done: bool = True) -> State:
    for at, order in enumerate(orders, 1):
        made_ms = state.latest.made_ms + 1 if state.latest.made_ms else NOW + at
        state = obey(state, replace(order, made_ms=made_ms), "ann", NOW, done) or state
    return state


GATES = (Action.SHADOW, Action.CANARY, Action.PROMOTE)


def live(*versions: int) -> State:
    return follow(State(), *[ordered(action, version) for version in versions for action in GATES])


def test_a_bundle_comes_live_through_shadow_and_canary() -> None:
    """Each gate in its turn; the one before becomes the last good."""
    state = live(7, 9)
    assert (state.live, state.last_good, state.candidate, state.stage) == (pointer(9), pointer(7), None, Stage.NONE)


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (ordered(Action.CANARY, 9), "has not been in shadow"),
        (ordered(Action.PROMOTE, 9), "has not run through its canary"),
        (ordered(Action.SHADOW, 7), "versions only rise"),
        (ordered(Action.SHADOW, 6), "versions only rise"),
        (ordered(Action.PROMOTE, 6, force=True), "versions only rise"),
    ],
)
def test_a_gate_that_was_not_passed_refuses(order: Order, why: str) -> None:
    """Nobody skips one without force, and force does not turn versions back."""
    with pytest.raises(OrderRefused, match=why):
        follow(live(7), order)


def test_force_goes_past_the_gates_and_out_of_quarantine() -> None:
    """It takes two people (signing); what it does is told in the history."""
    state = follow(live(7), ordered(Action.PROMOTE, 9, force=True))
    assert (state.live, state.why) == (pointer(9), "forced promote 9")
    back = tripped(state, pointer(9).digest, "breaker_state", "firewall-1", NOW)
    assert back is not None
    with pytest.raises(OrderRefused, match="quarantined"):
        follow(back, ordered(Action.SHADOW, 9))
    assert follow(back, ordered(Action.PROMOTE, 9, force=True)).live == pointer(9)


def test_a_promotion_waits_for_its_canary() -> None:
    """`canary_done` is the gate."""
    state = follow(live(7), ordered(Action.SHADOW, 9), ordered(Action.CANARY, 9))
    with pytest.raises(OrderRefused):
        follow(state, ordered(Action.PROMOTE, 9), done=False)


def test_revert_drops_a_canarys_candidate_first_and_then_goes_back() -> None:
    """To the last good one, and from there to the one built in; then there is nothing."""
    state = follow(live(7, 9), ordered(Action.SHADOW, 10), ordered(Action.CANARY, 10))
    told = []
    for _ in range(3):
        state = follow(state, ordered(Action.REVERT))
        told.append((state.live.version, state.candidate))
    assert told == [(9, None), (7, None), (0, None)]
    with pytest.raises(OrderRefused, match="built-in"):
        follow(state, ordered(Action.REVERT))


def test_revert_while_a_candidate_is_in_shadow_goes_back_from_what_answers_calls() -> None:
    """At night somebody wants the callers back: what is only watched has not taken them. It goes too, and alone where
    nothing else is left to leave."""
    shadowed = follow(live(7, 9), ordered(Action.SHADOW, 10))
    state = follow(shadowed, ordered(Action.REVERT))
    assert (state.live, state.last_good, state.candidate, state.stage) == (
        pointer(7), BUILT_IN_POINTER, None, Stage.NONE,
    )  # fmt: skip
    assert flaw(shadowed, state) == ""
    alone = follow(State(), ordered(Action.SHADOW, 10), ordered(Action.REVERT))
    assert (alone.live, alone.candidate) == (BUILT_IN_POINTER, None)


def test_bypass_is_switched_by_one_order_each_way() -> None:
    """And changes nothing else."""
    on = follow(live(7), ordered(Action.BYPASS_ON))
    assert (on.bypass, on.live) == (True, pointer(7))
    assert not follow(on, ordered(Action.BYPASS_OFF)).bypass


def test_an_order_is_followed_once_and_not_by_an_old_copy() -> None:
    """The same order at a second firewall changes nothing; a replayed one is refused."""
    first = ordered(Action.BYPASS_ON, made=NOW)
    on = obey(State(), first, "ann", NOW, False)
    assert on is not None and obey(on, first, "ann", NOW, False) is None
    off = obey(on, ordered(Action.BYPASS_OFF, made=NOW + 1), "ann", NOW + 1, False)
    assert off is not None
    with pytest.raises(OrderRefused, match="or a later order"):
        obey(off, first, "ann", NOW + 2, False)


@pytest.mark.parametrize("now", [NOW + ORDER_VALID_MS, NOW - SKEW_MS - 1])
def test_an_order_made_long_ago_or_in_the_future_is_refused(now: int) -> None:
    """So that one that was kept back cannot be used later."""
    with pytest.raises(OrderRefused, match="order anew"):
        obey(State(), ordered(Action.BYPASS_ON), "ann", now, False)


def test_what_trips_is_quarantined_and_the_last_good_stands_in() -> None:
    """Candidate, live, last good: each falls back to what is behind it, at the end to the one built in."""
    state = follow(live(7, 9), ordered(Action.SHADOW, 10))
    no_candidate = tripped(state, pointer(10).digest, "hung", "firewall-1", NOW)
    assert no_candidate is not None and (no_candidate.candidate, no_candidate.live) == (None, pointer(9))
    back = tripped(no_candidate, pointer(9).digest, "breaker_state", "firewall-1", NOW)
    assert back is not None and (back.live, back.last_good) == (pointer(7), BUILT_IN_POINTER)
    end = tripped(back, pointer(7).digest, "breaker_state", "firewall-1", NOW)
    assert end is not None and end.live == BUILT_IN_POINTER
    assert tripped(end, pointer(7).digest, "again", "firewall-2", NOW) is None
    assert tripped(end, "", "the built-in one", "firewall-2", NOW) is None


def test_a_last_good_that_trips_is_never_gone_back_to() -> None:
    """A revert then ends at the one built in."""
    state = tripped(live(7, 9), pointer(7).digest, "hung", "firewall-1", NOW)
    assert state is not None
    assert follow(state, ordered(Action.REVERT)).live == BUILT_IN_POINTER


def test_a_step_is_taken_once_and_only_by_the_candidate_that_is_there() -> None:
    """Two firewalls that both see its time has come move it by one."""
    state = follow(State(), ordered(Action.SHADOW, 7), ordered(Action.CANARY, 7))
    further = stepped(state, pointer(7), 1, "firewall-1", NOW)
    assert further is not None and further.step == 1
    assert stepped(further, pointer(7), 1, "firewall-2", NOW) is None
    assert stepped(state, pointer(8), 1, "firewall-2", NOW) is None


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 2),  # who
        st.sampled_from(["read", "order", "trip", "step"]),
        st.sampled_from(Action),
        st.integers(1, 5),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(CHANGES, st.data())
def test_all_readers_agree_whatever_writers_do_at_once(
    changes: list[tuple[int, str, Action, int, bool]], data: st.DataObject
) -> None:
    """Three firewalls build on what each has read so far; a reader of the whole log, one who came in the middle and one
    after a compaction hold the same, live versions rise but for a way back, and nothing quarantined stands."""
    log: list[tuple[str, State]] = []
    shelves = [Shelf() for _ in range(3)]
    read = [0, 0, 0]
    for number, (who, what, action, version, flagged) in enumerate(changes):
        if what == "read":
            for _, state in log[read[who] :]:
                shelves[who].put(state)
            read[who] = len(log)
            continue
        before = shelves[who].state
        after: State | None = None
        if what == "order":
            try:
                after = obey(
                    before,
                    ordered(action, version if action.names_bundle else 0, NOW + number, flagged),
                    "ann",
                    NOW,
                    flagged,
                )
            except OrderRefused:
                continue
        elif what == "trip":
            after = tripped(before, pointer(version).digest, "t", f"firewall-{who}", NOW)
        elif before.candidate is not None:
            after = stepped(before, before.candidate, before.step + 1, f"firewall-{who}", NOW)
        if after is not None:
            assert flaw(before, after) == ""
            log.append((f"state/{after.serial}/{who}-{number}", after))
    for who, shelf in enumerate(shelves):
        for _, state in log[read[who] :]:
            shelf.put(state)
    whole = Shelf()
    for _, state in log:
        whole.put(state)
    newest = {key: at for at, (key, _) in enumerate(log)}
    compacted = Shelf()
    for at, (key, state) in enumerate(log):
        if newest[key] == at:
            compacted.put(state)
    assert len({shelf.state for shelf in [whole, compacted, *shelves]}) == 1
    was_live = [BUILT_IN_POINTER]
    for before, after in zip([State(), *whole.changes], whole.changes, strict=False):
        assert after.serial == before.serial + 1
        assert after.live.version > before.live.version or after.live in was_live
        assert after.live.digest not in after.quarantined
        was_live.append(after.live)


def test_a_stale_writers_state_changes_nothing() -> None:
    """A firewall that hung for an hour writes on what stood then: nobody takes it."""
    shelf = Shelf()
    old = live(7)
    for state in (replace(old, serial=1), replace(old, serial=2, bypass=True)):
        shelf.put(state)
    shelf.put(replace(old, serial=2, bypass=False))
    shelf.put(replace(old, serial=1))
    shelf.put(replace(old, serial=2**50))
    assert (shelf.state.serial, shelf.state.bypass) == (2, True)


@pytest.mark.parametrize("ahead_ms", [SKEW_MS + 1, 365 * 86_400_000, 2**53 - NOW])
@pytest.mark.parametrize("action", [Action.BYPASS_ON, Action.REVERT])
def test_an_order_that_a_clock_of_the_future_made_bars_none_of_now(ahead_ms: int, action: Action) -> None:
    """One wrong clock, once, and nobody could switch the bypass on for as long as it was ahead."""
    state = replace(live(7), latest=Latest(NOW + ahead_ms))
    after = obey(state, ordered(action), "ann", NOW, False)
    assert after is not None and after.latest.made_ms == NOW
    assert after.bypass is (action is Action.BYPASS_ON)
    shelf = Shelf()
    for each in (state, after):
        shelf.put(each)
    assert shelf.state == after


@pytest.mark.parametrize("ahead_ms", [0, 1, SKEW_MS])
def test_an_order_of_a_clock_that_may_be_so_far_ahead_bars_older_ones(ahead_ms: int) -> None:
    """A replay of an older order is not followed, within what clocks may differ by."""
    state = replace(live(7), latest=Latest(NOW + ahead_ms))
    with pytest.raises(OrderRefused, match="or a later order"):
        obey(state, ordered(Action.REVERT, made=NOW - 1), "ann", NOW, False)
    older = replace(state, serial=state.serial + 1, latest=Latest(NOW - 1), at_ms=NOW)
    assert "older order" in flaw(state, older)


def test_a_millisecond_has_room_for_so_many_orders_and_the_next_is_made_anew() -> None:
    """Else whoever has a key could let a state grow without end."""
    state, ons = State(), [replace(ordered(Action.BYPASS_ON), why=str(number)) for number in range(LATEST_MAX + 1)]
    for order in ons[:-1]:
        state = obey(state, order, "ann", NOW, False) or state
    assert len(state.latest.identities) == LATEST_MAX
    with pytest.raises(OrderRefused, match="order anew"):
        obey(state, ons[-1], "ann", NOW, False)
    after = obey(state, replace(ons[-1], made_ms=NOW + 1), "ann", NOW, False)
    assert after is not None and len(after.latest.identities) == 1


@pytest.mark.parametrize("action", Action)
def test_a_state_that_does_not_say_which_order_of_its_millisecond_it_followed_has_followed_any(action: Action) -> None:
    """As an older version writes it: what that one followed must not be followed again."""
    state = replace(live(7), latest=Latest(NOW))
    assert obey(state, ordered(action, 8 if action.names_bundle else 0), "ann", NOW, True) is None


LATESTS = st.builds(Latest, st.integers(1, 2), st.lists(st.sampled_from("abc"), unique=True).map(tuple))


@given(LATESTS, LATESTS)
def test_whoever_joins_the_latest_orders_of_another_knows_them(one: Latest, other: Latest) -> None:
    """And has not forgotten their own of that millisecond."""
    both = one if one.knows(other) else one.joined(other)
    assert both.knows(one) and both.knows(other)
