"""The entries of a compacted topic, a batch at a time: how `routing` and `policy` are followed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.journal import Follower
from services.wire.methods import Unreadable

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Batch(Generic[Entry]):
    """Entries with their offsets. `anew`: it is another topic of the same name, and what was read before is no more."""

    anew: bool
    entries: list[tuple[int, Entry]]


async def batches(
    follower: Follower, read: Callable[[str, bytes], Entry | None], unreadable: Callable[[int, str], None]
) -> AsyncIterator[Batch[Entry]]:
    """Starts the follower and reads for ever. `unreadable` is told the offset of a record that is none, and why; one of
    a kind that this version does not know (`read` gives None) is passed over."""
    gaps = 0
    await follower.start()
    async for records in follower:
        anew, gaps = len(follower.gaps) > gaps, len(follower.gaps)
        entries: list[tuple[int, Entry]] = []
        for record in records:
            try:
                entry = read(record.key, record.value)
            except Unreadable as why:
                unreadable(record.offset, why.why)
                continue
            if entry is not None:
                entries.append((record.offset, entry))
        yield Batch(anew, entries)
