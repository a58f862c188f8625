"""Publishing a region on the topic `routing`: what `throughline routing` does with a log.

The parts first, then the version, then `current`, each acknowledged by all in-sync replicas before the next: whoever
dies in between has published nothing. Afterwards the topic is read again, since Kafka keeps two people from publishing
at the same moment by no lock: whoever wrote last sees what came of it, and mends it where the two got mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.domain.publication import Current, Entry, Shelf, Torn, Version, Whole, draft, parts_of
from services.journal import Log, Record, Rejected, Topic, Unavailable, Unknown
from services.readers.reading import read_to_end
from services.wire import region_records
from services.wire.methods import Unreadable

TRIES_MAX: Final = 3


class NotPublished(Exception):
    """What was wanted did not take effect; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Published:
    """The version that is current now; `fresh` is False where it was before, with the same content."""

    version: Version
    fresh: bool


async def shelf_of(log: Log) -> Shelf:
    """The topic to its end; raises NoJournal where it cannot be read."""
    shelf = Shelf()

    def take(records: Sequence[Record]) -> None:
        for record in records:
            try:
                entry = region_records.read(record.key, record.value)
            except Unreadable:
                continue  # the services count and log these
            if entry is not None:
                shelf.put(record.offset, entry)

    await read_to_end(log, Topic.ROUTING, take)
    return shelf


async def publish(
    log: Log,
    contents: Mapping[str, bytes],
    author: str,
    note: str,
    wall_ms: Callable[[], int],
    reverts_to: int = 0,
) -> Published:
    """Makes these files current, which the caller has checked; raises NotPublished or NoJournal."""
    parts = [part for content in contents.values() for part in parts_of(content)]
    for _ in range(TRIES_MAX):
        shelf = await shelf_of(log)
        if draft(shelf, contents, author, note, wall_ms(), reverts_to) is None:
            standing = shelf.standing()
            assert isinstance(standing, Whole), "nothing is drafted where the same content is current"
            return Published(standing.version, fresh=False)
        await _append(log, parts)
        before, shelf = shelf.current, await shelf_of(log)
        drafted = draft(shelf, contents, author, note, wall_ms(), reverts_to)
        if drafted is None or shelf.current != before:
            continue  # somebody was quicker while the parts were written
        version = region_records.signed(drafted)
        await _append(log, [version, Current(version.number, version.digest)])
        standing = (await shelf_of(log)).standing()
        if isinstance(standing, Whole):
            if standing.version.digest == version.digest:
                return Published(version, fresh=True)
            other = standing.version
            raise NotPublished(
                f"version {other.number} by {other.author or 'somebody'} was published at the same time and is "
                "current; see `throughline routing history`, and publish again if yours should be"
            )
    raise NotPublished(f"others publish at the same time; {TRIES_MAX} tries got mixed with theirs. Agree, then publish")


async def revert(log: Log, number: int, author: str, note: str, wall_ms: Callable[[], int]) -> Published:
    """Publishes an old version's files again, as a new version; raises NotPublished or NoJournal."""
    old = (await shelf_of(log)).numbered(number)
    if isinstance(old, Torn):
        raise NotPublished(f"version {number} cannot be had again: {old.reason}; see `throughline routing history`")
    return await publish(log, old.contents, author, note, wall_ms, reverts_to=number)


async def _append(log: Log, entries: Sequence[Entry]) -> None:
    for entry in entries:
        key, value = region_records.encode(entry)
        try:
            await log.append(Topic.ROUTING, key, value)
        except (Unavailable, Rejected, Unknown) as trouble:
            unsure = isinstance(trouble, Unknown) and key == region_records.CURRENT_KEY
            told = "it may take effect yet: look with `throughline routing status`" if unsure else "nothing took effect"
            raise NotPublished(f"{key} was not acknowledged ({trouble}); {told}") from trouble
