"""Long work says how far it is, and short work says nothing."""

from __future__ import annotations

from services.policy_cli.progress import EVERY_S, Progress


def test_a_line_comes_every_two_seconds_and_none_of_what_is_soon_done() -> None:
    """Each call takes half a second here; a terminal that says nothing for a minute looks hung."""
    now = [0.0]
    said: list[str] = []
    progress = Progress(lambda: now[0], said.append)
    for _ in progress.through(["call"] * 3, "calls are replayed"):
        now[0] += EVERY_S / 4
    assert said == []
    for _ in progress.through(["call"] * 1_000, "calls are replayed"):
        now[0] += EVERY_S / 4
    assert said[:2] == ["4 of 1,000 calls are replayed", "8 of 1,000 calls are replayed"]
    assert len(said) == 249


def test_what_is_read_without_a_known_end_is_told_by_its_number() -> None:
    """A week of screenings takes a while to come."""
    now = [0.0]
    said: list[str] = []
    progress = Progress(lambda: now[0], said.append)
    progress.come(lambda: "10 screenings are read")
    now[0] = EVERY_S
    progress.come(lambda: "20 screenings are read")
    assert said == ["20 screenings are read"]
