"""The counts that rules ask for: bounded in memory and in error, and to the milder side (L3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.domain.identity import identity_of
from services.domain.offer import Offer
from services.domain.place import Circle
from services.policy.attributes import ATTRIBUTES, WINDOWS_S, Counted, counter
from services.policy.verdicts.windows import LONGEST_S, PARTS, Keys, Windows

CALLS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.floats(0, 900), st.floats(0, 4000)), max_size=60
)


def keys(number: str = "", source: str = "") -> Keys:
    return Keys(number, source, "", "", number or f"{source}\0\0")


@given(CALLS)
def test_a_count_is_of_no_call_too_old_and_of_each_of_the_newest_nineteen_parts_in_twenty(
    calls: list[tuple[str, int, float, float]],
) -> None:
    """Against a list of all calls, told in any order: the stated error, and to the milder side."""
    windows = Windows()
    came_at: dict[str, tuple[str, float]] = {}
    heard_at: dict[str, float] = {}
    now = 0.0
    for number, which, pause_s, age_s in calls:
        now += pause_s
        call_id = f"{number}{which}"
        counts = windows.seen(call_id, keys(number), now, age_s)
        if not counts.again:  # its first call has left every window by then
            assert now - heard_at.get(call_id, -LONGEST_S) >= LONGEST_S
            came_at[call_id], heard_at[call_id] = (number, now - age_s), now
        of_number = [at for each, at in came_at.values() if each == number]
        for window_s in WINDOWS_S:
            told = counts.by_name[counter(Counted.NUMBER, window_s)]
            assert told <= sum(at > now - window_s for at in of_number)
            assert told >= sum(at > now - window_s * (PARTS - 1) / PARTS + 1e-6 for at in of_number)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([1.0, 600.0, 3599.0, 3601.0])), max_size=30))
def test_an_identity_is_new_only_where_nobody_of_it_called_within_the_longest_window(
    calls: list[tuple[str, float]],
) -> None:
    """Whose first call it is, is never diverted: so it must not be somebody's second."""
    windows = Windows()
    newest: dict[str, float] = {}
    now = 0.0
    for n, (number, pause_s) in enumerate(calls):
        now += pause_s
        first = windows.seen(f"call-{n}", keys(number), now).first
        assert first == (number not in newest or newest[number] <= now - LONGEST_S)
        newest[number] = now


def test_the_same_call_is_counted_once_and_stays_the_first_of_its_caller() -> None:
    """Screening is idempotent by call_id (L3): a second leg is no second call."""
    windows = Windows()
    first = windows.seen("call-1", keys("n"), 0.0)
    again = windows.seen("call-1", keys("n"), 1.0)
    assert (first.first, first.again, again.first, again.again) == (True, False, True, True)
    assert again.by_name[counter(Counted.NUMBER, 60)] == 1


def test_what_is_remembered_is_bounded_and_forgetting_makes_a_count_smaller() -> None:
    """However many numbers are made up: the one that was silent longest is forgotten."""
    windows = Windows(keys_max=10, calls_max=10)
    for n in range(3):
        windows.seen(f"a{n}", keys("a"), 0.0)
    for n in range(200):
        windows.seen(f"b{n}", keys(f"b{n // 2}"), 1.0)
    counts = windows.seen("a3", keys("a"), 2.0)
    assert counts.first and counts.by_name[counter(Counted.NUMBER, 60)] == 1


def test_calls_without_a_number_of_their_own_are_counted_by_nobodys_number() -> None:
    """`anonymous` is many callers: to count them as one would divert people for a number they do not have."""
    windows = Windows()
    for n in range(20):
        offer = Offer(
            f"call-{n}", 1, "anonymous", "urn:service:sos", Circle(42.36, -71.06, 50.0), source="net", trunk="t"
        )
        counts = windows.seen(offer.call_id, Keys.of(offer), float(n))
    assert counts.by_name[counter(Counted.NUMBER, 600)] == 0
    assert counts.by_name[counter(Counted.SOURCE, 600)] == counts.by_name[counter(Counted.CELL, 600)] == 20
    assert identity_of(offer) == "net\0t\x0042.36,-71.06"


def test_every_count_is_an_attribute_and_the_state_s_load_is_of_its_own_hour() -> None:
    """The windows fill what the language names; 20 calls in the newest minute, 40 in the hour: 30 times the mean."""
    windows = Windows()
    for n in range(20):
        windows.seen(f"early-{n}", keys(source="net"), 0.0)
    for n in range(20):
        counts = windows.seen(f"late-{n}", keys(source="net"), 3_500.0)
    assert set(counts.by_name) == {name for name in ATTRIBUTES if "_calls_" in name}
    assert counts.state_load == 20 / (40 / 60)


@given(st.lists(st.floats(0.0, 400.0), min_size=1, max_size=60))
def test_the_state_s_load_says_nothing_until_an_hour_is_known(pauses: list[float]) -> None:
    """Who has just started would take the first calls for a flood (L3): 0.0 until 19/20 of an hour, 60.0 at most."""
    windows, now = Windows(), 0.0
    for n, pause_s in enumerate(pauses):
        now += pause_s
        load = windows.seen(f"call-{n}", keys("n"), now).state_load
        assert (load > 0.0) == (now - pauses[0] >= LONGEST_S * 19 / 20)
        assert load <= 60.0


def test_a_restart_knows_the_hour_by_what_was_screened_before() -> None:
    """J7: told with their ages, in any order; one from before the hour, by whosever clock, says nothing of the hour."""
    windows = Windows()
    assert windows.seen("ancient", keys("n"), 10.0, LONGEST_S + 1.0).state_load == 0.0
    assert windows.seen("late", keys("n"), 10.0, 30.0).state_load == 0.0
    assert windows.seen("early", keys("n"), 10.0, LONGEST_S - 175.0).state_load == 1 / (2 / 60)


def test_what_came_first_by_a_later_leg_is_first_for_all_replicas() -> None:
    """Its answer is forgotten after ten minutes, and the next leg may come to any of them."""
    here, there = Windows(), Windows()
    here.seen("second", keys("n"), 0.0)
    assert here.seen("first", keys("n"), 1.0, leg=2).first
    there.heard("second", keys("n"), 2.0, 2.0)
    there.heard("first", keys("n"), 2.0, 1.0, leg=2)
    assert there.seen("first", keys("n"), 1_000.0, leg=3).first
