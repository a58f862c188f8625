"""Injuries of several kinds to one part: none is over before its own time."""

from __future__ import annotations

import pytest

from services.domain.events import Tick
from services.wire import facts
from simulator.injuries import Injury
from simulator.run import Observed, run
from simulator.schedule import Schedule, draw

BROKERS = ("broker-1", "broker-2", "broker-3")


def instants(seen: Observed, writer: str = "") -> list[float]:
    """When something landed on the log: ticks of this writer, or anything."""
    said = ((facts.read(each.value), (each.log_ms - seen.began_ms) / 1000) for each in seen.records)
    return [at_s for fact, at_s in said if not writer or (isinstance(fact, Tick) and fact.writer.startswith(writer))]


@pytest.mark.parametrize(
    ("longer", "shorter", "writer"),
    [
        (Injury("kill", 2.0, 8.0, ("ingress-1",)), Injury("power", 3.0, 1.0, ("ingress-1",)), "ingress-1/"),
        (Injury("kafka_gone", 2.0, 8.0, BROKERS), Injury("leader_moved", 3.0, 0.5, BROKERS[:2]), ""),
    ],
)  # fmt: skip
def test_what_is_healed_of_one_kind_is_not_healed_of_another(longer: Injury, shorter: Injury, writer: str) -> None:
    """The longer injury stands until its own end."""
    seen = run(Schedule(5, draw(5, 6).calls, (longer, shorter)))
    assert not [at_s for at_s in instants(seen, writer) if 5.0 < at_s < 9.9]
    assert [at_s for at_s in instants(seen, writer) if at_s > 10.0]
