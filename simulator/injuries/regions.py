"""The region while calls are set up: published anew, torn, one that every service must refuse; then as it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

from services.domain.publication import Current, draft
from services.journal import Topic
from services.journal.memory import MemoryLog
from services.launch.publishing import NotPublished, publish, shelf_of
from services.readers.reading import NoJournal
from services.wire import region_records
from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, seconds
from simulator.region import TOWNS, contents
from simulator.virtual_loop import virtual_wall_ms

NOWHERE = "P99"
PUBLISHES_AGAIN_S = 1.0
TRIES_MAX = 60


def _draw(by: random.Random) -> Drawn:
    return (by.choice(TOWNS),), seconds(by, *LONG_S), 0.0


def _publishes(region: Callable[[Injury], Mapping[str, bytes]]) -> Callable[[Scene, Injury], None]:
    def strike(scene: Scene, injury: Injury) -> None:
        scene.errands.add(asyncio.ensure_future(_publish(scene, region(injury), list(scene.errands))))

    return strike


async def _publish(scene: Scene, region: Mapping[str, bytes], before: Sequence[asyncio.Future[None]]) -> None:
    """As a person does, who lets the last one end, looks what came of their own and tries again."""
    await asyncio.gather(*before)
    log = MemoryLog(scene.broker)
    for _ in range(TRIES_MAX):
        try:
            await publish(log, region, "somebody", "", virtual_wall_ms)
            return
        except (NotPublished, NoJournal):
            await asyncio.sleep(PUBLISHES_AGAIN_S)


def _tear(scene: Scene, injury: Injury) -> None:
    """A version is called current whose files Kafka has lost, or has under another version alone."""

    async def tear() -> None:
        log = MemoryLog(scene.broker)
        try:
            drafted = draft(await shelf_of(log), contents(injury.targets[0]), "somebody", "", virtual_wall_ms())
        except NoJournal:
            return
        if drafted is not None:
            version = region_records.signed(drafted)
            for entry in (version, Current(version.number, version.digest)):
                scene.broker.land(Topic.ROUTING, *region_records.encode(entry))

    scene.errands.add(asyncio.ensure_future(tear()))


_as_it_was = _publishes(lambda _: contents())

KINDS = (
    Kind("region_changed", "a town's calls go to its neighbour's PSAP, by a new version of the region", _draw,
         _publishes(lambda injury: contents(injury.targets[0])), _as_it_was),
    Kind("region_torn", "a version is current of which a file is missing", _draw, _tear, _as_it_was, 0.5),
    Kind("region_wrong", "a version is current that sends a town's calls to nobody", _draw,
         _publishes(lambda injury: contents(injury.targets[0], NOWHERE)), _as_it_was, 0.5),
)  # fmt: skip
