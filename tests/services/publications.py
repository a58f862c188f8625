"""Regions to publish in tests: the sample with a change in it, and small ones around the PSAPs of a stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from services.domain.publication import Version
from services.journal.memory import MemoryBroker, MemoryLog
from services.launch.publishing import publish
from services.places.region import REGION_FILES
from simulator.virtual_loop import virtual_wall_ms

SAMPLE = Path(__file__).parents[2] / "data" / "massachusetts"
WORCESTER_PSAP = "3203"
ELSEWHERE_PSAP = "8186"
"""The first alternate of Worcester's."""


def sample() -> dict[str, bytes]:
    """The region that services have baked in in these tests."""
    return {name: (SAMPLE / name).read_bytes() for name in REGION_FILES}


def moved(psap_id: str = ELSEWHERE_PSAP) -> dict[str, bytes]:
    """The sample, but Worcester's calls go to this PSAP."""
    contents = sample()
    areas = contents["service_areas.csv"].decode()
    changed = areas.replace(f"Worcester,{WORCESTER_PSAP},", f"Worcester,{psap_id},")
    assert psap_id == WORCESTER_PSAP or changed != areas
    return {**contents, "service_areas.csv": changed.encode()}


def broken() -> dict[str, bytes]:
    """The sample, but Worcester's calls go to a PSAP that there is not."""
    return moved("nowhere")


def small(psap_ids: Iterable[str], lines: Iterable[str]) -> dict[str, bytes]:
    """One town, whose calls go to the first of these PSAPs; `lines` are rows of lines.csv."""
    ids = list(psap_ids)
    ring = "[[-72,42],[-71,42],[-71,43],[-72,43],[-72,42]]"
    town = (
        f'{{"type":"Feature","properties":{{"town":"Weston"}},"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}'
    )
    texts = {
        "region.csv": f"key,value\nname,Small\ndefault_psap,{ids[0]}\nnearest_town_within_m,1000\nsea_within_m,1000\n",
        "towns.geojson": f'{{"type":"FeatureCollection","features":[{town}]}}',
        "neighbours.geojson": '{"type":"FeatureCollection","features":[]}',
        "psaps.csv": "psap_id,name,town,kind\n" + "".join(f"{each},{each},Weston,municipal\n" for each in ids),
        "service_areas.csv": f"town,psap_id\nWeston,{ids[0]}\n",
        "alternates.csv": "psap_id,order,alternate_id\n",
        "lines.csv": "owner,order,number,channels\n" + "".join(f"{line}\n" for line in lines),
    }
    return {name: text.encode() for name, text in texts.items()}


async def published(broker: MemoryBroker, contents: Mapping[str, bytes]) -> Version:
    """Publishes as `throughline routing publish` does, but without its check: services must not rely on it."""
    done = await publish(MemoryLog(broker), contents, "a person", "a test", virtual_wall_ms)
    assert done.fresh
    return done.version
