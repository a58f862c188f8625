"""A small region for many calls: six towns in a row, each with a PSAP and two lines. Nothing of it is anywhere.

It is written as a region's files are, and read as they are, so that the services need nothing of their own for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from loadtest.region_tables import AdminLine
from services.policy.files.signing import public_key

FOLDER: Final = Path("region")
CREDENTIALS_FILE: Final = Path("credentials.csv")
KEYS_FILE: Final = Path("policy-keys.yaml")
OPERATORS: Final = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("ann", "bob")}
"""Who may sign policies, each with a private key; the public ones are in KEYS_FILE."""
TOWNS: Final = ("Ash", "Birch", "Cedar", "Elm", "Fir", "Hazel")
PSAPS: Final = tuple(f"P{n}" for n in range(1, len(TOWNS) + 1))
PSAP_OF_TOWN: Final = dict(zip(TOWNS, PSAPS, strict=True))
POSITIONS: Final = {psap_id: 3 + n % 3 for n, psap_id in enumerate(PSAPS)}
"""Call-takers."""
WEST: Final = -72.0
SOUTH: Final = 42.0
SIDE: Final = 0.1
"""Of a town, in degrees."""
LINES: Final = (
    *(AdminLine(psap_id, f"+150855501{2 * n + k:02d}", 2) for n, psap_id in enumerate(PSAPS) for k in range(2)),
    AdminLine("region", "+15085550130", 20),
    AdminLine("region", "+15085550131", 20),
    AdminLine("nuisance-desk", "+15085550140", 4),
)


def centre_of(town: str) -> tuple[float, float]:
    """Latitude and longitude of a town's middle."""
    return SOUTH + SIDE / 2, WEST + SIDE * (TOWNS.index(town) + 0.5)


def token_of(psap_id: str) -> str:
    """What a PSAP attaches with."""
    return f"token-of-{psap_id}"


def contents(town: str = "", psap_id: str = "") -> Mapping[str, bytes]:
    """The region as it is published; the calls of `town`, where one is given, go to this PSAP or to the next town's."""
    files = {path.name: text for path, text in texts().items() if path.parent == FOLDER}
    if town:
        moved = psap_id or PSAPS[(TOWNS.index(town) + 1) % len(PSAPS)]
        was, now = f"{town},{PSAP_OF_TOWN[town]},own", f"{town},{moved},own"
        files["service_areas.csv"] = files["service_areas.csv"].replace(was, now)
    return {name: text.encode() for name, text in files.items()}


def texts() -> Mapping[Path, str]:
    """Every file by its path, the installation's credentials too."""
    order = [(psap_id, k) for psap_id in PSAPS for k in (1, 2)]
    towns, lines = PSAP_OF_TOWN.items(), LINES
    named = {
        "region.csv": [
            *("key,value", "name,Simulated", "default_psap,P1", "default_psap,P4"),
            *("nearest_town_within_m,5000", "sea_within_m,100000"),
        ],
        "psaps.csv": [
            "psap_id,name,town,county,kind",
            *(f"{psap_id},{town} Police,{town},Simulated,municipal" for town, psap_id in towns),
        ],
        "service_areas.csv": ["town,psap_id,how", *(f"{town},{psap_id},own" for town, psap_id in towns)],
        "alternates.csv": [
            "psap_id,order,alternate_id",
            *(f"{each},{k},{PSAPS[(PSAPS.index(each) + k) % len(PSAPS)]}" for each, k in order),
        ],
        "lines.csv": [
            "owner,order,number,channels",
            *(f"{each.owner},{_order(each)},{each.number},{each.channels}" for each in lines),
        ],
    }
    files = {FOLDER / name: "\n".join(rows) + "\n" for name, rows in named.items()}
    files[FOLDER / "towns.geojson"] = _geojson([_town(n, town) for n, town in enumerate(TOWNS)])
    south = _square(WEST, SOUTH - 1.0, SIDE * len(TOWNS), 0.9)
    neighbour: dict[str, object] = {"type": "Feature", "properties": {"name": "South"}, "geometry": south}
    files[FOLDER / "neighbours.geojson"] = _geojson([neighbour])
    secrets = [f"{each},{hashlib.sha256(token_of(each).encode()).hexdigest()}" for each in PSAPS]
    files[CREDENTIALS_FILE] = "\n".join(["psap_id,sha256", *secrets]) + "\n"
    files[KEYS_FILE] = "".join(f"{name}: {public_key(private)}\n" for name, private in OPERATORS.items())
    return files


def _order(line: AdminLine) -> int:
    return [each.number for each in LINES if each.owner == line.owner].index(line.number) + 1


def _town(n: int, town: str) -> dict[str, object]:
    properties = {"town": town, "county": "Simulated", "population": 10_000}
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": _square(WEST + n * SIDE, SOUTH, SIDE, SIDE),
    }


def _square(west: float, south: float, width: float, height: float) -> dict[str, object]:
    corners = ((0, 0), (width, 0), (width, height), (0, height), (0, 0))
    return {"type": "Polygon", "coordinates": [[[round(west + x, 5), round(south + y, 5)] for x, y in corners]]}


def _geojson(features: list[dict[str, object]]) -> str:
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in features)
    return '{"type":"FeatureCollection","features":[\n' + lines + "\n]}\n"
