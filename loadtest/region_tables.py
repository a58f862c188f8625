"""The region's tables as the world outside sees them: who answers where, on which lines, for how many people.

Read here a second time, apart from services/places, on purpose: a witness must not share the reader of what it judges.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

SHIPPED_REGION = Path(__file__).resolve().parents[1] / "data" / "massachusetts"
PEOPLE_A_POSITION = 15_000
POSITIONS_MIN = 2


@dataclass(frozen=True, slots=True)
class AdminLine:
    """A ten-digit line: whose it is, and how many calls it takes at once."""

    owner: str
    number: str
    channels: int


class RegionTables:
    """One region's folder. Raises FileNotFoundError naming the file that is missing."""

    def __init__(self, folder: Path = SHIPPED_REGION) -> None:
        self.folder = folder

    @cached_property
    def towns(self) -> list[dict[str, Any]]:
        """GeoJSON features with town, county and population, in the file's order."""
        return list(json.loads((self.folder / "towns.geojson").read_text())["features"])

    @cached_property
    def psap_names(self) -> dict[str, str]:
        return {row["psap_id"]: row["name"] for row in self._rows("psaps.csv")}

    @cached_property
    def psap_of_town(self) -> dict[str, str]:
        return {row["town"]: row["psap_id"] for row in self._rows("service_areas.csv")}

    @cached_property
    def lines(self) -> list[AdminLine]:
        return [AdminLine(row["owner"], row["number"], int(row["channels"])) for row in self._rows("lines.csv")]

    @cached_property
    def positions(self) -> dict[str, int]:
        """Call-takers at each PSAP: by the people it answers for, at least two."""
        people: Counter[str] = Counter()
        for feature in self.towns:
            people[self.psap_of_town[feature["properties"]["town"]]] += feature["properties"]["population"]
        return {psap_id: max(POSITIONS_MIN, people[psap_id] // PEOPLE_A_POSITION) for psap_id in self.psap_names}

    def _rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(encoding="utf-8", newline="") as text:
            return list(csv.DictReader(text))
