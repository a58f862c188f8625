"""What `throughline routing` does with a log, under virtual time: publish, revert, and what can come in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import pytest

from services.domain.publication import Torn, Whole
from services.journal import Record, Topic
from services.journal.memory import MemoryBroker, MemoryLog
from services.launch.publishing import NotPublished, Published, publish, revert, shelf_of
from services.readers.reading import NoJournal
from simulator.virtual_loop import run_virtual, virtual_wall_ms

ONE = {"a.csv": b"1", "b.csv": b"2"}
TWO = {"a.csv": b"1", "b.csv": b"3"}


def play(scene: Callable[[MemoryBroker, MemoryLog], Coroutine[Any, Any, None]]) -> None:
    async def staged() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        await scene(broker, MemoryLog(broker))

    run_virtual(staged())


class Meddled(MemoryLog):
    """A log on which somebody else's whole publication lands just after our first append of a key like this."""

    def __init__(self, broker: MemoryBroker, key: str, others: Sequence[Record]) -> None:
        super().__init__(broker)
        self._others = others
        self._on = broker
        self._key = key

    def append(self, topic: Topic, key: str, value: bytes, **given: Any) -> asyncio.Future[None]:
        acked = super().append(topic, key, value, **given)
        if key.startswith(self._key) and self._others:
            others, self._others = self._others, ()

            def land(_: asyncio.Future[None]) -> None:
                for each in others:
                    self._on.land(each.topic, each.key, each.value)

            acked.add_done_callback(land)
        return acked


async def others_publication(broker: MemoryBroker, contents: Mapping[str, bytes]) -> list[Record]:
    """What somebody else would append now."""
    aside = MemoryBroker(virtual_wall_ms)
    before = broker.records(Topic.ROUTING)
    for record in before:
        aside.land(record.topic, record.key, record.value)
    await publish(MemoryLog(aside), contents, "another", "", virtual_wall_ms)
    return aside.records(Topic.ROUTING)[len(before) :]


async def current(broker: MemoryBroker) -> Whole | Torn | None:
    return (await shelf_of(MemoryLog(broker))).standing()


def test_what_is_published_is_current_with_who_when_and_why() -> None:
    """architecture.md, Topics: one record an item, one a version, and `current`; in that order."""

    async def scene(broker: MemoryBroker, log: MemoryLog) -> None:
        await asyncio.sleep(5)
        done = await publish(log, ONE, "a person", "a reason", virtual_wall_ms)
        assert (done.fresh, done.version.number, done.version.author, done.version.note) == (
            True, 1, "a person", "a reason",
        )  # fmt: skip
        assert done.version.at_ms == virtual_wall_ms()
        assert await current(broker) == Whole(done.version, ONE)
        kinds = [record.key.partition("/")[0] for record in broker.records(Topic.ROUTING)]
        assert kinds == ["item", "item", "version", "current"]

    play(scene)


def test_the_same_content_again_makes_no_new_version() -> None:
    """And writes nothing."""

    async def scene(broker: MemoryBroker, log: MemoryLog) -> None:
        first = await publish(log, ONE, "", "", virtual_wall_ms)
        landed = len(broker.records(Topic.ROUTING))
        again = await publish(log, ONE, "somebody else", "again", virtual_wall_ms)
        assert (again.fresh, again.version) == (False, first.version)
        assert len(broker.records(Topic.ROUTING)) == landed

    play(scene)


def test_a_revert_is_a_new_version_with_the_old_files() -> None:
    """Numbers only rise, and the history says what was done."""

    async def scene(broker: MemoryBroker, log: MemoryLog) -> None:
        await publish(log, ONE, "", "", virtual_wall_ms)
        await publish(log, TWO, "", "", virtual_wall_ms)
        done = await revert(log, 1, "a person", "2 was wrong", virtual_wall_ms)
        assert (done.version.number, done.version.reverts_to) == (3, 1)
        standing = await current(broker)
        assert isinstance(standing, Whole)
        assert standing.contents == ONE
        assert [each.number for each in (await shelf_of(log)).versions] == [1, 2, 3]
        assert not (await revert(log, 3, "", "", virtual_wall_ms)).fresh
        with pytest.raises(NotPublished, match="version/9 is missing"):
            await revert(log, 9, "", "", virtual_wall_ms)

    play(scene)


def test_a_publisher_that_cannot_write_has_published_nothing() -> None:
    """It says so, and what was current still is."""

    async def scene(broker: MemoryBroker, log: MemoryLog) -> None:
        await publish(log, ONE, "", "", virtual_wall_ms)
        log.fail(lost=True)
        with pytest.raises(NotPublished, match="nothing took effect"):
            await publish(log, TWO, "", "", virtual_wall_ms)
        log.fail(absent=True)
        with pytest.raises(NoJournal):
            await publish(log, TWO, "", "", virtual_wall_ms)
        log.fail()
        standing = await current(broker)
        assert isinstance(standing, Whole)
        assert standing.contents == ONE

    play(scene)


def test_a_publication_that_was_overtaken_while_it_wrote_begins_again() -> None:
    """Its number rises, and its parts come after the other's version: readers may have forgotten the first ones."""

    async def scene(broker: MemoryBroker, log: MemoryLog) -> None:
        others = await others_publication(broker, ONE)
        done = await publish(Meddled(broker, "item/", others), TWO, "me", "", virtual_wall_ms)
        assert (done.fresh, done.version.number) == (True, 2)
        keys = [record.key.partition("/")[0] for record in broker.records(Topic.ROUTING)]
        assert keys[-4:] == ["item", "item", "version", "current"]
        assert keys.count("item") == 2 + 2 + 2
        assert await current(broker) == Whole(done.version, TWO)

    play(scene)


def test_whoever_is_overtaken_at_the_end_is_told_by_whom() -> None:
    """Exit code 1, not a success that is none."""

    async def scene(broker: MemoryBroker, log: MemoryLog) -> None:
        others = await others_publication(broker, ONE)
        with pytest.raises(NotPublished, match="version 1 by another was published at the same time"):
            await publish(Meddled(broker, "current", others), TWO, "me", "", virtual_wall_ms)
        standing = await current(broker)
        assert isinstance(standing, Whole)
        assert standing.contents == ONE

    play(scene)


@pytest.mark.parametrize("slower_ms", range(0, 61, 4))
def test_of_two_who_publish_at_once_one_is_current_and_knows_it(slower_ms: int) -> None:
    """However their appends mingle: never a mixture, nor torn at the end; and whose version is current was told."""

    async def scene(broker: MemoryBroker, log: MemoryLog) -> None:
        slower = MemoryLog(broker)
        log.fail(delay_s=0.010)
        slower.fail(delay_s=0.010 + slower_ms / 1000)
        both = await asyncio.gather(
            publish(log, ONE, "one", "", virtual_wall_ms),
            publish(slower, TWO, "two", "", virtual_wall_ms),
            return_exceptions=True,
        )
        standing = await current(broker)
        assert isinstance(standing, Whole)
        assert standing.contents == (ONE if standing.version.author == "one" else TWO)
        told = [each.version for each in both if isinstance(each, Published)]
        assert standing.version in told
        assert all(isinstance(each, Published | NotPublished) for each in both)

    play(scene)
