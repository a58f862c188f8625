"""What checkers ask of the injuries of a run."""

from __future__ import annotations

import pytest

from simulator.checkers.agreed import START_MS
from simulator.checkers.weather import AFTERWARDS_MS, Weather
from simulator.injuries import Injury


@pytest.mark.parametrize(
    ("injuries", "lossy"),
    [
        ((Injury("disk_lost", 5.0, 1.0, ("ingress-1",)),), {"ingress-1"}),
        ((Injury("disk_full", 1.0, 1.0, ("ingress-1",)), Injury("kill", 5.0, 1.0, ("ingress-1",))), {"ingress-1"}),
        ((Injury("disk_full", 1.0, 1.0, ("ingress-1",)), Injury("kill", 20.0, 1.0, ("ingress-1",))), set()),
        ((Injury("disk_full", 6.0, 1.0, ("ingress-1",)), Injury("kill", 5.0, 1.0, ("ingress-1",))), set()),
        ((Injury("disk_full", 1.0, 1.0, ("ingress-2",)), Injury("kill", 5.0, 1.0, ("ingress-1",))), set()),
        ((Injury("kafka_gone", 1.0, 9.0, ("broker-1",)), Injury("kill", 5.0, 1.0, ("ingress-1",))), {"ingress-1"}),
        ((Injury("kafka_gone", 1.0, 9.0, ("broker-1",)), Injury("roll", 5.0, 1.0, ("ingress-1",))), set()),
        ((Injury("kafka_gone", 6.0, 9.0, ("broker-1",)), Injury("kill", 5.0, 1.0, ("ingress-1",))), set()),
        ((Injury("steps", 5.0, 1.0, ("caller ringing conductor wipes",)),), set()),
        ((Injury("steps", 5.0, 1.0, ("caller ringing conductor kills",)),), set()),
        ((Injury("kill", 5.0, 1.0, ("ingress-1",)), Injury("pause", 6.0, 1.0, ("ingress-1",))), set()),
    ],
)
def test_only_who_died_after_its_disk_was_hurt_may_have_lost_what_it_wrote(
    injuries: tuple[Injury, ...], lossy: set[str]
) -> None:
    """J4: a disk that is well brings back all that was written, whoever is killed; without Kafka, but for what was said
    in the moment before."""
    assert Weather(injuries, 0).lost_what_they_wrote().keys() == lossy


@pytest.mark.parametrize(
    ("other", "hurts_ms"),
    [
        (Injury("kafka_gone", 5.5, 9.0, ("broker-1",)), 6_000 + AFTERWARDS_MS + START_MS),
        (Injury("kafka_gone", 9.0, 9.0, ("broker-1",)), 6_000 + AFTERWARDS_MS),
        (Injury("kafka_gone", 1.0, 4.0, ("broker-1",)), 6_000 + AFTERWARDS_MS),
        (Injury("clock_skew", 5.5, 9.0, ("ingress-1",)), 6_000 + AFTERWARDS_MS),
    ],
)
def test_a_process_that_starts_without_kafka_is_hurt_for_as_long_as_its_start_waits(
    other: Injury, hurts_ms: int
) -> None:
    """Two seconds for the topic of regions or for a disk, and no longer (docs/decisions/0022)."""
    weather = Weather((Injury("kill", 5.0, 1.0, ("ingress-1",)), other), 0)
    assert weather.held_up({"ingress-1"}, hurts_ms, hurts_ms)
    assert not weather.held_up({"ingress-1"}, hurts_ms + 1, hurts_ms + 1)


def test_what_a_step_says_hurts_nobody_until_it_is_done() -> None:
    """A step waits for its moment, and may wait in vain; what it did stands beside it."""
    steps = Injury("steps", 5.0, 10.0, ("caller ringing conductor wipes",))
    assert Weather((steps,), 0).quiet(6_000, 6_000, 0)
    done = Injury("disk_lost", 7.0, 8.0, ("ingress-2",))
    weather = Weather((steps, done), 0)
    assert weather.quiet(6_000, 6_000, 0) and not weather.quiet(8_000, 8_000, 0)
    assert weather.lost_what_they_wrote() == {"ingress-2": [(6_000, 7_000)]}
