"""The ration of a candidate that is only watched: it could never hold a core."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.firewall.shadowing import SAVED_MAX_S, SHARE_MAX, Ration

ASKED = st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 0.1)), max_size=200)


@given(ASKED)
def test_what_is_used_is_never_more_than_its_share_of_the_time_and_what_was_saved(
    asked: list[tuple[float, float]],
) -> None:
    """However often it is asked, and whatever its rules cost; by one evaluation at most."""
    ration, now, used_s, longest_s = Ration(), 0.0, 0.0, 0.0
    for pause_s, takes_s in asked:
        now += pause_s
        if ration.has_left(now):
            ration.use(takes_s)
            used_s, longest_s = used_s + takes_s, max(longest_s, takes_s)
        assert used_s <= SAVED_MAX_S + now * SHARE_MAX + longest_s + 1e-9


def test_a_candidate_that_costs_little_is_asked_about_every_call() -> None:
    """A tenth of a millisecond each, a thousand calls a second."""
    ration = Ration()
    for n in range(10_000):
        assert ration.has_left(n / 1000)
        ration.use(0.0001)
