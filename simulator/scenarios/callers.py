"""Who calls in a scenario: the arrivals of a recorded storm, quickened, from the simulator's six towns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from throughline.v1 import place_pb2

from loadtest.callers import Planned
from loadtest.workload import STORM, read_trace
from services.domain.offer import SOS_URN, Attestation, Offer
from services.domain.place import Circle
from simulator.outside import SOURCES
from simulator.region import LINES, TOWNS, centre_of

CALLS: Final = 120
LASTS_S: Final = 120.0
PEOPLE: Final = 40
"""They call three times each: nobody is diverted at a first call, so people who never call again would show nothing."""
RADIUS_M: Final = 50.0
_NUMBERS: Final = tuple(
    number
    for number in (f"+1{area}55501{n:02d}" for area in ("617", "774", "781", "857", "978") for n in range(100))
    if number not in {line.number for line in LINES}
)


def callers(calls: int = CALLS, lasts_s: float = LASTS_S, people: int = PEOPLE, seed: int = 1) -> tuple[Planned, ...]:
    """So many calls of the storm's first, within so many seconds."""
    by = random.Random(repr((seed, "scenario")))
    instants = read_trace(STORM)[:calls]
    numbers = _NUMBERS[:people]
    return tuple(
        planned(by, f"c{n}", at_s * lasts_s / instants[-1], numbers[n % people]) for n, at_s in enumerate(instants)
    )


def flooding(calls: int, from_s: float, lasts_s: float, sources: int, seed: int = 1) -> tuple[Planned, ...]:
    """So many calls of so few sources, evenly."""
    by = random.Random(repr((seed, "flood")))
    numbers = _NUMBERS[-sources:]
    return tuple(planned(by, f"f{n}", from_s + lasts_s * n / calls, numbers[n % sources]) for n in range(calls))


def together(*plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """In the order of their instants."""
    return tuple(sorted((each for plan in plans for each in plan), key=lambda each: each.at_s))


def offer_of(call: Planned) -> Offer:
    """What its network offers."""
    circle = call.place.circle
    where = Circle(circle.centre.latitude, circle.centre.longitude, circle.radius_m)
    return Offer(call.call_id, 1, call.caller, call.service_urn, where, Attestation.A, call.source)


def planned(by: random.Random, call_id: str, at_s: float, number: str) -> Planned:
    """One call from a town that is drawn."""
    town = by.choice(TOWNS)
    latitude, longitude = centre_of(town)
    circle = place_pb2.Circle(centre=place_pb2.Point(latitude=latitude, longitude=longitude), radius_m=RADIUS_M)
    at_s += by.random() / 2
    return Planned(round(at_s, 3), call_id, number, SOS_URN, by.choice(SOURCES), place_pb2.Place(circle=circle), town)
