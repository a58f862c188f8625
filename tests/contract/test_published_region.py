"""A publication on both logs; and on a real Kafka, after its compaction has removed what it may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.domain.publication import Whole
from services.host.clock import wall_ms
from services.journal import Log, Record, Topic
from services.journal.kafka import KafkaLog
from services.journal.kafka_topics import admin_client
from services.journal.topics import TOPICS
from services.launch.publishing import publish, revert, shelf_of
from services.places.region import REGION_FILES, Region
from services.readers.reading import read_to_end

SAMPLE = Path(__file__).parents[2] / "data" / "massachusetts"
COMPACTED_WITHIN_S = 90
AT_ONCE = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "min.compaction.lag.ms": "0"}
"""The cleaner leaves the newest segment alone and comes each 15 s: with these it has work whenever it comes."""


def sample(note: str = "") -> dict[str, bytes]:
    """The sample region; `note` stands in a column that nobody reads."""
    contents = {name: (SAMPLE / name).read_bytes() for name in REGION_FILES}
    return {**contents, "region.csv": contents["region.csv"] + note.encode()}


async def records_on(log: Log) -> int:
    count = 0

    def take(records: Sequence[Record]) -> None:
        nonlocal count
        count += len(records)

    await read_to_end(log, Topic.ROUTING, take)
    return count


async def test_what_is_published_is_read_back_whole_by_another(log_of: Callable[[], Log]) -> None:
    """A real region, its largest file in parts; then an older one again (architecture.md, Topics)."""
    mine, anothers = log_of(), log_of()
    await asyncio.gather(mine.start(), anothers.start())
    first = await publish(mine, sample("\n"), "a person", "first", wall_ms)
    standing = (await shelf_of(anothers)).standing()
    assert standing == Whole(first.version, sample("\n"))
    Region.from_texts(dict(standing.contents))
    second = await publish(mine, sample("\n\n"), "a person", "second", wall_ms)
    back = await revert(anothers, first.version.number, "another", "back", wall_ms)
    assert [back.version.number, second.version.number] == [first.version.number + 2, first.version.number + 1]
    assert (await shelf_of(mine)).standing() == Whole(back.version, sample("\n"))
    assert not (await publish(mine, sample("\n"), "a person", "", wall_ms)).fresh
    await asyncio.gather(mine.close(), anothers.close())


async def test_compaction_loses_nothing_that_is_current_or_that_history_names(kafka: str) -> None:
    """The real cleaner ran: fewer records, the same current version, and an old version can still be had."""
    log = KafkaLog(kafka, "compacted")
    await log.start()
    old = await publish(log, sample("\n\n\n"), "a person", "old", wall_ms)
    await _configure(kafka, TOPICS[Topic.ROUTING].config | AT_ONCE)
    for lines in range(4, 8):
        await publish(log, sample("\n" * lines), "a person", f"{lines} lines", wall_ms)
    before = await shelf_of(log)
    written = await records_on(log)
    until = time.monotonic() + COMPACTED_WITHIN_S
    while await records_on(log) >= written:
        assert time.monotonic() < until, "the cleaner did not come"
        await asyncio.sleep(1)
    after = await shelf_of(log)
    assert isinstance(before.standing(), Whole)
    assert after.standing() == before.standing()
    assert after.versions == before.versions
    assert after.numbered(old.version.number) == Whole(old.version, sample("\n\n\n"))
    await _configure(kafka, TOPICS[Topic.ROUTING].config)
    await log.close()


async def _configure(kafka: str, config: dict[str, str]) -> None:
    async with admin_client(kafka) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, str(Topic.ROUTING), config)])
