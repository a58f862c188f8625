"""The region that a service serves, from its start to its end: baked in, last good on disk, then what is published.

At the start the last good published region on this replica's own disk is taken, else the baked-in folder; then the
topic `routing` is read to its end and followed. A newer version takes effect by one assignment between two turns of
the event loop, so that no decision sees two regions. A version that is torn or refused never does: what was served
goes on being served, and log, metrics and `/readyz` say so. Kafka away: the same, and it is followed when it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, Generic, TypeVar

from services.domain.publication import Entry, Shelf, Torn, Version, Whole
from services.host.entries import Batch, batches
from services.host.files import FileTrouble
from services.host.readers import Readers
from services.host.region import Hashes, Kind, baked_in, load_credentials
from services.host.region_cache import decode, encode
from services.host.region_metrics import NotServed, RegionMetrics
from services.host.settings import ServiceSettings
from services.host.world import World
from services.journal import Follower, Topic
from services.places.directory import Directory
from services.places.refusal import RegionRefused
from services.places.snapshot import Source, first_good
from services.wire import region_records

KEPT_AGAIN_S: Final = 10.0
"""Between two tries to keep a version that a disk did not take."""
START_PATIENCE_S: Final = 2.0
"""How long a start waits for the topic, so that an ordinary one begins with what is published."""

T = TypeVar("T")


class RegionFeed(Generic[T]):
    """`kind` says what of a region is wanted. Made before the start, so that its metrics are there from then on."""

    def __init__(self, world: World, settings: ServiceSettings, kind: Kind[T]) -> None:
        self._world = world
        self._settings = settings
        self._kind = kind
        self._metrics = RegionMetrics(world.registry)
        self._hashes: Hashes = {}
        self._region: T | None = None
        self._version: Version | None = None
        self._source = ""
        self._shelf = Shelf()
        self._readers = Readers(self._ended)
        self._changed = asyncio.Event()
        self._looked = asyncio.Event()
        self._doubt = ""
        self._refused = ("", "")
        self._cache_trouble = ""
        self._unkept: Whole | None = None
        """What is served and not on the disk yet."""
        self._start_trouble = ""
        self._failed = False

    def newest(self) -> T:
        """The region to decide by. Ask anew for each decision, and hold it for no longer than that."""
        assert self._region is not None, "a region is asked for after the start"
        return self._region

    async def start(self) -> None:
        """Takes the best that is here, then waits a moment for the topic; raises FileTrouble or RegionRefused."""
        if self._kind.admit is not None:
            self._hashes = await load_credentials(self._world.files, self._settings)
        await self._take_what_is_here()
        follower = self._world.log.follow(Topic.ROUTING)
        self._readers.follow(follower)
        self._readers.begin(self._follow(follower), "routing follower")
        self._readers.begin(self._look_on(follower), "region feed")
        with suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE_S):
                await self._looked.wait()

    async def stop(self) -> None:
        """Follows no longer; `newest` still answers."""
        await self._readers.stop()

    def remarks(self) -> list[str]:
        """What an operator should know, one line each."""
        found = [self._start_trouble, self._doubt, self._cache_trouble]
        if not self._looked.is_set():
            found.append(f"`routing` has not been read yet; {self._source} goes on")
        if isinstance(self._region, Directory) and (strangers := sorted(self._hashes.keys() - self._region.psaps)):
            named = ", ".join(strangers[:5]) + (" ..." if len(strangers) > 5 else "")
            found.append(f"credentials are there for {named}, whom {self._source} does not name: they cannot attach")
        if self._failed:
            found.append(
                f"the reader of `routing` has ended, by a mistake of ours: {self._source} goes on until a restart"
            )
        return [f"region: {line}" for line in found if line]

    # What is here at the start.

    async def _take_what_is_here(self) -> None:
        kept = await self._last_good()
        sources = [] if kept is None else [Source("last good on disk", kept.contents)]
        baked = f"the region baked in at {self._settings.region_dir}"
        try:
            texts = await baked_in(self._world.files, self._settings, self._kind.files)
        except FileTrouble as trouble:
            if kept is None:
                raise
            self._start_trouble = f"the baked-in one cannot be read: {trouble}"
        else:
            sources.append(Source(baked, texts))
        chosen = first_good(sources, self._kind.read)
        for refused in chosen.refused:
            self._cache_failed(f"{refused.source} was refused: {refused.reason}")
        self._serve(chosen.region, kept.version if kept is not None and chosen.source != baked else None, chosen.source)

    async def _last_good(self) -> Whole | None:
        path = self._settings.region_cache_file
        if path is None:
            return None
        try:
            return decode(await self._world.files.read_text(path))
        except FileTrouble as trouble:
            self._world.logger.info("region.no_last_good", why=str(trouble))
        except RegionRefused as refused:
            self._cache_failed(f"last good on disk: {refused.reason}")
        return None

    # What is published.

    async def _follow(self, follower: Follower) -> None:
        read: AsyncIterator[Batch[Entry]] = batches(follower, region_records.read, self._unreadable)
        async for batch in read:
            if batch.anew:
                self._shelf = Shelf()
            for offset, entry in batch.entries:
                self._shelf.put(offset, entry)
            self._changed.set()

    def _unreadable(self, offset: int, why: str) -> None:
        self._metrics.unreadable.inc()
        self._world.logger.warning("routing.unreadable", offset=offset, why=why)

    async def _look_on(self, follower: Follower) -> None:
        """Looks once the end seen at the start is reached, then after each change; never in the middle of history."""
        await follower.caught_up.wait()
        while True:
            self._changed.clear()
            await self._look()
            self._looked.set()
            while self._unkept is not None and not await self._changes_within(KEPT_AGAIN_S):
                await self._keep(self._unkept)
            await self._changed.wait()

    async def _changes_within(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                return await self._changed.wait()
        except TimeoutError:
            return False

    async def _look(self) -> None:
        """Serves what the topic calls current, or says why not."""
        standing = self._shelf.standing()
        served = self._version
        if standing is None:
            lost = served is not None
            self._judge(
                NotServed.OLDER if lost else None, "`routing` is empty: publish the region again" if lost else ""
            )
        elif isinstance(standing, Torn):
            self._judge(NotServed.TORN, f"version {standing.number} on `routing` is torn: {standing.reason}")
        elif served is not None and standing.version.digest == served.digest:
            self._judge(None, "")
        elif served is not None and standing.version.older_than(served):
            self._judge(
                NotServed.OLDER,
                f"`routing` calls version {standing.version.number} current, which is older than {served.number}: "
                "records were lost; publish the region again",
            )
        elif standing.version.digest == self._refused[0]:
            self._judge(NotServed.REFUSED, self._refused[1])
        else:
            await self._take(standing)

    async def _take(self, whole: Whole) -> None:
        version = whole.version
        try:
            region = await self._world.run_blocking(lambda: self._kind.checked(whole.contents))
        except RegionRefused as refused:
            self._refused = (version.digest, f"version {version.number} on `routing` is refused: {refused.reason}")
            self._judge(NotServed.REFUSED, self._refused[1])
            return
        self._serve(region, version, f"version {version.number}")
        self._judge(None, "")
        self._metrics.taken.inc()
        self._world.logger.info(
            "region.taken", version=version.number, author=version.author, note=version.note, digest=version.digest
        )
        self._shelf.forget_settled()
        await self._keep(whole)

    def _serve(self, region: T, version: Version | None, source: str) -> None:
        admit = self._kind.admit
        self._region = region if admit is None else admit(region, self._hashes)
        self._version, self._source = version, source
        self._metrics.version.set(version.number if version is not None else 0)

    def _judge(self, why: NotServed | None, doubt: str) -> None:
        """Loud once for each doubt; quiet again when there is none."""
        self._metrics.not_current.set(0 if why is None else 1)
        told = f"{doubt}; {self._source} goes on" if doubt else ""
        if told and told != self._doubt and why is not None:
            self._metrics.not_served[why].inc()
            self._world.logger.error("region.not_served", why=why, reason=told)
        self._doubt = told

    async def _keep(self, whole: Whole) -> None:
        path = self._settings.region_cache_file
        if path is None:
            return
        self._unkept = whole
        try:
            text = await self._world.run_blocking(lambda: encode(whole))
            await self._world.files.write_text(path, text)
            self._cache_trouble, self._unkept = "", None
        except FileTrouble as trouble:
            self._cache_failed(f"version {whole.version.number} could not be kept: {trouble}")

    def _cache_failed(self, why: str) -> None:
        self._cache_trouble = why
        self._metrics.cache_troubles.inc()
        self._world.logger.error("region.cache_trouble", why=why)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ended it, a cancel by nobody included: no newer version is taken any more."""
        if not self._readers.stopping:
            mistake = None if task.cancelled() else task.exception()
            self._failed = True
            self._world.logger.error("region.feed_failed", cancelled=task.cancelled(), exc_info=mistake)
