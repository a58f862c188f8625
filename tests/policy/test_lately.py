"""What was noted lately (L3): known for a span at least, never for more than two, and bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.policy.verdicts.lately import Lately

SPAN_S = 10.0
NOTES = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.0, 0.5, 3.0, 9.9, 10.0, 25.0])), max_size=60)


@given(NOTES)
def test_a_name_is_known_for_a_span_at_least_and_two_at_most(notes: list[tuple[int, float]]) -> None:
    """Against the list of all that was noted; so few names that none is forgotten for want of room."""
    lately: Lately[str, int] = Lately(SPAN_S, 1_000, lambda _: {})
    noted_at: dict[str, tuple[int, float]] = {}
    now = 0.0
    for name, pause_s in notes:
        now += pause_s
        lately.note(f"c{name}", name, now)
        noted_at[f"c{name}"] = (name, now)
        for known, (value, at) in noted_at.items():
            found = lately.get(known, now)
            assert found == value or (found is None and now - at >= SPAN_S)
            assert found is None or now - at < 2 * SPAN_S


@given(st.integers(1, 40))
def test_past_its_room_the_newer_half_of_the_names_is_known(room: int) -> None:
    """Memory that does not grow with what strangers make up."""
    lately: Lately[str, int] = Lately(SPAN_S, room, lambda _: {})
    for name in range(200):
        lately.note(f"c{name}", name, 0.0)
        assert len(lately) <= max(2, room)
        assert all(lately.get(f"c{each}", 0.0) == each for each in range(max(0, name - room // 2 + 1), name + 1))
