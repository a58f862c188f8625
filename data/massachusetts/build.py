"""Builds the sample region from the public records named in SOURCES.md.

    python data/massachusetts/build.py SOURCE_FOLDER [OUTPUT_FOLDER]

The output is the same byte for byte each time. A number that could be somebody's stops the build: every administrative
line must be +1, a Massachusetts area code, 555, 01XX. The builder imports nothing of the project: the loader in
services/places is an independent check of what it writes.
"""

import csv
import io
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import cos, hypot, radians
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

DEFAULT_PSAPS = ("3175", "3178", "3174", "3177")
"""State Police centres, answering for calls without a usable place: Framingham, Northampton, Danvers, Middleborough."""
HAND_MATCHED_TOWNS = {"8400": "Harvard", "3151": "Falmouth"}
"""Centres on former bases that lie in several towns: Devens, Otis. The registry's county decides for Devens."""
BACK_UP_OR_CLOSED = {"8185": "back_up", "8186": "back_up", "7745": "military"}
KINDS = {"municipal_or_other": "municipal", "regional_or_county": "regional", "state_police": "state_police"}
OVERLAYS = {"508": "774", "781": "339", "978": "351", "617": "857"}
ALTERNATES_MIN, ALTERNATES_MAX = 3, 5
REAL_LOOKING = "a number that could be somebody's: expected +1, a Massachusetts area code, 555, 01XX; got {!r}"
METRES_PER_DEGREE = 111_195.0


@dataclass(frozen=True, slots=True)
class Town:
    name: str
    county: str
    population: int
    outline: BaseGeometry

    def metres_to(self, other: "Town") -> float:
        mine, theirs = self.outline.centroid, other.outline.centroid
        east_west = (mine.x - theirs.x) * cos(radians(42.0))
        return hypot(east_west, mine.y - theirs.y) * METRES_PER_DEGREE


@dataclass(frozen=True, slots=True)
class Psap:
    psap_id: str
    name: str
    town: str
    kind: str


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as text:
        return list(csv.DictReader(text))


def rounded(coordinates: Any, digits: int) -> Any:
    if isinstance(coordinates[0], int | float):
        return [round(float(value), digits) for value in coordinates]
    return [rounded(part, digits) for part in coordinates]


def read_towns(source: Path) -> dict[str, Town]:
    counties = json.loads((source / "geo/counties_ma_and_neighbours.geojson").read_text())["features"]
    county_names = {feature["properties"]["fips"]: feature["properties"]["name"] for feature in counties}
    towns = {}
    for feature in json.loads((source / "geo/ma_towns_351.geojson").read_text())["features"]:
        properties, geometry = feature["properties"], feature["geometry"]
        outline = shape({**geometry, "coordinates": rounded(geometry["coordinates"], 5)})
        assert outline.is_valid, f"{properties['town']}: {shapely.is_valid_reason(outline)}"
        county = county_names[properties["county_fips"]]
        towns[properties["town"]] = Town(properties["town"], county, properties["pop2010"], outline)
    assert len(towns) == 351, f"expected 351 towns, got {len(towns)}"
    return dict(sorted(towns.items()))


def read_psaps(source: Path, towns: dict[str, Town]) -> list[Psap]:
    psaps = []
    for row in read_csv(source / "psap/psap_ma.csv"):
        if row["live"] != "True":
            continue
        psap_id = row["psap_id"]
        town = HAND_MATCHED_TOWNS.get(psap_id, row["town"])
        assert town in towns, f"PSAP {psap_id}: no such town: {town!r}"
        kind = BACK_UP_OR_CLOSED.get(psap_id, KINDS[row["kind"]])
        psaps.append(Psap(psap_id, " ".join(row["name"].split()), town, kind))
    return sorted(psaps, key=lambda psap: int(psap.psap_id))


def choose_primary(town: Town, towns: dict[str, Town], psaps: Sequence[Psap]) -> tuple[Psap, str]:
    """The PSAP that serves a town, and how it was chosen. Never a back-up site or a base."""
    serving = [psap for psap in psaps if psap.kind not in BACK_UP_OR_CLOSED.values()]
    for kind, how in (("municipal", "own"), ("regional", "own_regional"), ("state_police", "own_state_police")):
        for psap in serving:
            if psap.town == town.name and psap.kind == kind:
                return psap, how
    nearest = sorted(serving, key=lambda psap: (town.metres_to(towns[psap.town]), int(psap.psap_id)))
    for kinds, how in (
        (("regional",), "regional_in_county"),
        (("state_police",), "state_police_in_county"),
        (("municipal",), "nearest_in_county"),
    ):
        for psap in nearest:
            if psap.kind in kinds and towns[psap.town].county == town.county:
                return psap, how
    return nearest[0], "nearest"


def alternates_of(psap: Psap, towns: dict[str, Town], primaries: dict[str, Psap], psaps: Sequence[Psap]) -> list[Psap]:
    """Others in the same town, then the PSAPs of neighbouring towns, then any; nearest first within each."""
    served = [town for town in towns.values() if primaries[town.name] == psap] or [towns[psap.town]]
    touching = {
        primaries[town.name]
        for town in towns.values()
        if any(town.outline.distance(mine.outline) * METRES_PER_DEGREE < 100.0 for mine in served)
    }

    def nearness(other: Psap) -> tuple[bool, bool, float, int]:
        metres = towns[psap.town].metres_to(towns[other.town])
        return other.town != psap.town, other not in touching, metres, int(other.psap_id)

    others = sorted((o for o in psaps if o != psap and (o in touching or o.kind != "military")), key=nearness)
    near = [other for other in others if other in touching or other.town == psap.town]
    return (near if len(near) >= ALTERNATES_MIN else others[:ALTERNATES_MIN])[:ALTERNATES_MAX]


class Numbers:
    """Hands out synthetic numbers, each once."""

    def __init__(self, area_codes: Iterable[str], taken: Iterable[str]) -> None:
        self._area_codes = set(area_codes)
        self._taken = {self.checked(number) for number in taken}

    def checked(self, number: str) -> str:
        match = re.fullmatch(r"\+1(\d{3})55501\d{2}", number)
        if match is None or match[1] not in self._area_codes:
            raise SystemExit(REAL_LOOKING.format(number))
        return number

    def next_in(self, *area_codes: str) -> str:
        """The first free number, by area code in the order given: each has only a hundred."""
        for area_code in area_codes:
            for suffix in range(100):
                number = self.checked(f"+1{area_code}55501{suffix:02d}")
                if number not in self._taken:
                    self._taken.add(number)
                    return number
        raise SystemExit(f"area codes {area_codes}: their synthetic numbers are used up")


def build_lines(source: Path, psaps: Sequence[Psap], population: dict[str, int]) -> list[tuple[str, int, str, int]]:
    first = {row["psap_id"]: row["admin_e164"] for row in read_csv(source / "phone/psap_ma_admin_lines_SYNTHETIC.csv")}
    area_codes = {row["npa"] for row in read_csv(source / "phone/areacodes_npm_all_us.csv") if row["state"] == "MA"}
    numbers = Numbers(area_codes, first.values())
    assert len(set(first.values())) == len(first) == len(psaps), "expected one distinct number a PSAP"
    lines = []
    for psap in psaps:
        area_code = first[psap.psap_id][2:5]
        more_codes = (OVERLAYS.get(area_code, area_code), "857", "617")
        own = [first[psap.psap_id], numbers.next_in(*more_codes)]
        if psap.kind in ("regional", "state_police") or population[psap.psap_id] >= 60_000:
            own.append(numbers.next_in(*more_codes))
        channels = min(2 + population[psap.psap_id] // 50_000, 12)
        lines += [(psap.psap_id, order, number, channels) for order, number in enumerate(own, 1)]
    lines += [("region", order, numbers.next_in("857", "617"), 30) for order in (1, 2, 3, 4)]
    lines += [("nuisance-desk", order, numbers.next_in("857", "617"), 10) for order in (1, 2)]
    return lines


def features(rows: Iterable[tuple[dict[str, Any], BaseGeometry]], digits: int) -> str:
    """GeoJSON with one feature a line, so that a difference can be read."""
    lines = []
    for properties, geometry in rows:
        coordinates = rounded(mapping(geometry)["coordinates"], digits)
        shaped = {"type": geometry.geom_type, "coordinates": coordinates}
        feature = {"type": "Feature", "properties": properties, "geometry": shaped}
        lines.append(json.dumps(feature, separators=(",", ":")))
    return '{"type":"FeatureCollection","features":[\n' + ",\n".join(lines) + "\n]}\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def build(source: Path) -> dict[str, str]:
    """File name -> its text."""
    towns = read_towns(source)
    print(f"towns: {len(towns)}, {sum(town.population for town in towns.values()):,} people")
    psaps = read_psaps(source, towns)
    print(f"PSAPs: {len(psaps)} live rows in the registry")
    chosen = {town.name: choose_primary(town, towns, psaps) for town in towns.values()}
    primaries = {town: psap for town, (psap, _) in chosen.items()}
    ways: dict[str, int] = defaultdict(int)
    population = dict.fromkeys((psap.psap_id for psap in psaps), 0)
    for town, (psap, how) in chosen.items():
        ways[how] += 1
        population[psap.psap_id] += towns[town].population
    print("service areas: " + ", ".join(f"{how} {count}" for how, count in sorted(ways.items())))
    alternates = {psap: alternates_of(psap, towns, primaries, psaps) for psap in psaps}
    print(f"alternates: {sum(map(len, alternates.values()))}")
    lines = build_lines(source, psaps, population)
    print(f"lines: {len(lines)}, {sum(line[3] for line in lines)} channels")
    states = json.loads((source / "geo/states_ma_and_neighbours.geojson").read_text())["features"]
    around = shapely.box(-75.0, 39.9, -68.4, 44.3)
    neighbours = [
        ({"name": state["properties"]["name"]}, shape(state["geometry"]).intersection(around))
        for state in sorted(states, key=lambda state: str(state["properties"]["name"]))
        if state["properties"]["state"] != "MA"
    ]
    settings = [("name", "Massachusetts"), *(("default_psap", psap_id) for psap_id in DEFAULT_PSAPS)]
    settings += [("nearest_town_within_m", "5000"), ("sea_within_m", "100000")]
    return {
        "region.csv": table(("key", "value"), settings),
        "towns.geojson": features(
            (({"town": t.name, "county": t.county, "population": t.population}, t.outline) for t in towns.values()), 5
        ),
        "neighbours.geojson": features(neighbours, 4),
        "psaps.csv": table(
            ("psap_id", "name", "town", "county", "kind"),
            ((p.psap_id, p.name, p.town, towns[p.town].county, p.kind) for p in psaps),
        ),
        "service_areas.csv": table(
            ("town", "psap_id", "how"), ((town, psap.psap_id, how) for town, (psap, how) in chosen.items())
        ),
        "alternates.csv": table(
            ("psap_id", "order", "alternate_id"),
            ((p.psap_id, order, a.psap_id) for p, found in alternates.items() for order, a in enumerate(found, 1)),
        ),
        "lines.csv": table(("owner", "order", "number", "channels"), lines),
    }


def main(arguments: Sequence[str]) -> None:
    if len(arguments) not in (1, 2) or not Path(arguments[0]).is_dir():
        raise SystemExit("expected: build.py SOURCE_FOLDER [OUTPUT_FOLDER]; SOURCES.md names what the source must hold")
    output = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).parent
    output.mkdir(parents=True, exist_ok=True)
    for name, text in build(Path(arguments[0])).items():
        (output / name).write_bytes(text.encode())
        print(f"{output / name}: {len(text.encode()):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
