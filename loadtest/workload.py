"""Turns a trace of true seconds into callers of the region: who dials when, from where, with which number.

A trace (loadtest/bursts) says when people called, and nothing of where. Each call is placed by the seed alone: a town
is drawn by its population and a point inside its outline; four callers of five are wireless, with an uncertainty of 50
to 300 m, the others stand at an address. Numbers are 555-01XX, which belong to nobody: an area code has a hundred, and
those of administrative lines are left out. When the region's own are used up, visitors from next door call.
"""

from __future__ import annotations

import csv
import json
import math
import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Final

import shapely
from shapely.geometry import shape

from loadtest.region_tables import RegionTables

BURSTS: Final = Path(__file__).resolve().parent / "bursts"
STORM: Final = BURSTS / "storm-2016-02-24.csv"
WIRELESS_SHARE: Final = 0.8
WIRELESS_RADIUS_M: Final = (50.0, 300.0)
WIRELINE_RADIUS_M: Final = 10.0
AREA_CODES: Final = ("339", "351", "413", "508", "617", "774", "781", "857", "978")
VISITORS_AREA_CODES: Final = ("203", "207", "401", "475", "518", "603", "802", "860", "959")


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One line of a plan: a caller's first try, `at_s` seconds after the start. Degrees are WGS84."""

    at_s: float
    call_id: str
    caller: str
    service_urn: str
    source: str
    town: str
    lat: float
    lon: float
    radius_m: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def read_trace(path: Path) -> list[float]:
    """Seconds of each call after the first, ascending. Raises ValueError with the line that cannot be read."""
    instants = []
    with path.open(encoding="utf-8", newline="") as text:
        for number, row in enumerate(csv.DictReader(text), 2):
            try:
                instants.append(datetime.fromisoformat(row["ts_call"]))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path}, line {number}: expected a column ts_call such as 2016-02-24 18:00:51; got {row}"
                ) from error
    if not instants:
        raise ValueError(f"{path}: expected at least one call")
    instants.sort()
    return [(instant - instants[0]).total_seconds() for instant in instants]


def plan(
    trace_s: Sequence[float],
    region: RegionTables,
    *,
    seed: int,
    run: str,
    speed: float = 1.0,
    service_urn: str = "urn:service:test.sos",
    source: str = "loadtest",
) -> list[PlannedCall]:
    """Places a trace in the region; arrivals come `speed` times as fast. `run` begins each call_id."""
    by = random.Random(repr((seed, "places")))
    towns = Towns(region)
    numbers = caller_numbers(region, by)
    calls: list[tuple[float, PlannedCall]] = []
    for index, at_s in enumerate(trace_s):
        town, lat, lon = towns.draw(by)
        wireless = by.random() < WIRELESS_SHARE
        radius_m = by.uniform(*WIRELESS_RADIUS_M) if wireless else WIRELINE_RADIUS_M
        place = (town, round(lat, 6), round(lon, 6), round(radius_m, 1))
        # Whole seconds hold several calls: inside its second each has an instant of its own.
        instant = (at_s + by.random()) / speed
        number = next(numbers)
        calls.append(
            (instant, PlannedCall(round(instant, 3), f"{run}-{index:04d}", number, service_urn, source, *place))
        )
    return [call for _, call in sorted(calls, key=lambda each: each[0])]


def caller_numbers(region: RegionTables, by: random.Random) -> Iterator[str]:
    """Callers' numbers in E.164, each once until they are used up; then from the start again."""
    lines = {line.number for line in region.lines}
    while True:
        for area_codes in (AREA_CODES, VISITORS_AREA_CODES):
            numbers = [f"+1{code}55501{last:02d}" for code in area_codes for last in range(100)]
            free = [number for number in numbers if number not in lines]
            by.shuffle(free)
            yield from free


class Towns:
    """The region's towns, to draw places in."""

    def __init__(self, region: RegionTables) -> None:
        features = region.towns
        self._names = [str(feature["properties"]["town"]) for feature in features]
        self._outlines = [shape(feature["geometry"]) for feature in features]
        self._people = list(accumulate(feature["properties"]["population"] for feature in features))
        for outline in self._outlines:
            shapely.prepare(outline)

    def draw(self, by: random.Random) -> tuple[str, float, float]:
        """A town by its people, and a point (lat, lon) inside its outline, uniform over its area."""
        index = bisect(self._people, by.randrange(self._people[-1]))
        outline = self._outlines[index]
        west, south, east, north = outline.bounds
        while True:
            # Uniform on the ground: the sine of the latitude, not the latitude, is drawn evenly.
            lat = math.degrees(math.asin(by.uniform(math.sin(math.radians(south)), math.sin(math.radians(north)))))
            lon = by.uniform(west, east)
            if outline.contains(shapely.Point(lon, lat)):
                return self._names[index], lat, lon


def busiest_psaps(
    calls: Sequence[PlannedCall], region: RegionTables, from_s: float, to_s: float, count: int
) -> list[str]:
    """The PSAPs whose towns call most within a window of the plan, busiest first; those equal, by id."""
    tally: dict[str, int] = {}
    for call in calls:
        if from_s <= call.at_s < to_s:
            psap_id = region.psap_of_town[call.town]
            tally[psap_id] = tally.get(psap_id, 0) + 1
    return sorted(tally, key=lambda psap_id: (-tally[psap_id], psap_id))[:count]
