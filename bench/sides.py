"""The two sides of the comparison as running processes, and the calls' world that both share.

The processes on a call's way, one of each: ingress, firewall, router, PSAP gateway. Failover and ledger are not on the
way of a call that is answered; `--all-services` starts them too, to see what they take from it on the same cores.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import shapely

from bench.programs import Crew, Program
from services.domain.place import Circle
from services.host.lifeline import Lifeline
from services.launch.installation import Installation
from services.places.region import REGION_FILES, Region

TOWNS = 8
TOPICS = ("calls", "screenings", "routings", "deliveries")
"""What is counted on both sides; the floor's have a prefix."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side, running. `services` are process ids by name."""

    name: str
    ingress: str
    gateway: str
    services: Mapping[str, int]
    topic_prefix: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Places of callers, and the PSAPs that answer for them."""

    places: list[tuple[float, float]]
    psaps: list[str]


def scene(region_dir: Path) -> Scene:
    """A point in each of some neighbouring towns, and all PSAPs that may be asked to answer for them: their own and
    the alternates of those. Read by the project's own atlas, so that the router agrees."""
    texts = {name: (region_dir / name).read_text("utf-8") for name in REGION_FILES}
    region = Region.from_texts(texts)
    points: dict[str, tuple[float, float]] = {}
    for feature in json.loads(texts["towns.geojson"])["features"]:
        point = shapely.from_geojson(json.dumps(feature["geometry"])).representative_point()
        located = region.locate(Circle(point.y, point.x, 25.0))
        points.setdefault(located.candidates[0], (round(point.y, 5), round(point.x, 5)))
    towns = [next(iter(points))]
    for psap_id in towns:  # grows while it is walked: alternates of alternates
        near = [each for each in region.directory.candidates_from(psap_id) if each in points and each not in towns]
        towns += near[: TOWNS - len(towns)]
    psaps = dict.fromkeys(each for psap_id in towns for each in region.directory.candidates_from(psap_id))
    return Scene([points[psap_id] for psap_id in towns], list(psaps))


async def start_floor(crew: Crew, kafka: str, psaps: list[str]) -> Side:
    """The floor's four processes."""

    async def start(role: str, **known: object) -> Program:
        return await crew.start(f"floor's {role}", "bench.floor", role, json.dumps({"kafka": kafka, **known}))

    firewall, gateway = await asyncio.gather(start("firewall"), start("psap_gateway"))
    router = await start("router", psaps=psaps, gateway=gateway.address)
    ingress = await start("ingress", firewall=firewall.address, router=router.address)
    services = {"ingress": ingress.pid, "firewall": firewall.pid, "router": router.pid, "psap_gateway": gateway.pid}
    return Side("floor", ingress.address, gateway.address, services, "floor-")


async def start_throughline(installation: Installation) -> Side:
    """Throughline as an operator would run it, each service at its defaults."""
    await installation.start()
    services = {child.service: child.pid for child in installation.children.values()}
    return Side(
        "throughline",
        installation.addresses("ingress")[0],
        installation.addresses("psap_gateway")[0],
        services,
        "",
    )


def installation(lifeline: Lifeline, kafka: str, region_dir: Path, folder: Path, *, all_services: bool) -> Installation:
    """One of each service on a call's way; the others if wanted."""
    others = 1 if all_services else 0
    counts = {"psap_gateway": 1, "ingress": 1, "failover": others, "ledger": others}
    return Installation(folder, lifeline, kafka=kafka, region_dir=region_dir, counts=counts)


async def start_far_end(crew: Crew, side: Side, psaps: list[str], tokens: Path | None) -> Program:
    """Every PSAP of the scene, attached to one side's gateway."""
    given = json.dumps({"gateway": side.gateway, "psaps": psaps, "tokens": str(tokens or "")})
    return await crew.start(f"{side.name}'s far end", "bench.far", given)
