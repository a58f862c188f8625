"""Looks at the whole again and again: what a prober hears of each process, and whether all has come to rest.

Each look takes what is new since the last one, so that a long run costs no more for being looked at often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from loadtest.books import Reading
from services.journal import Record, Topic
from simulator.injuries import Scene

PROBES_EACH_S: Final = 0.5
REMEMBERS: Final = "breakers: "
"""What a firewall says of what it remembers, for up to an hour: it waits for nothing."""
ENDS: Final = frozenset({"connected", "rung_back", "cancelled", "rejected", "have"})


def is_waited_out(remark: str) -> bool:
    """Whether a run goes on until a process has no such remark: it tells of something that is to be over soon."""
    return not remark.startswith(REMEMBERS)


@dataclass(frozen=True, slots=True)
class Said:
    """What a process said against itself, from the first look to the last without a pause; the schedule's seconds."""

    text: str
    from_s: float
    to_s: float


class Settling:
    """One run's. `reading` holds the journal as far as it was read, `alarms` what each process said against itself."""

    def __init__(self, scene: Scene) -> None:
        self.reading = Reading()
        self.alarms: dict[str, list[Said]] = {}
        self._began_s = asyncio.get_running_loop().time()
        self._scene = scene
        self._read: dict[int, list[Record]] = {number: [] for number in scene.broker.partitions(Topic.CALLS)}
        """By partition, all that ever landed, also what is past its retention by now."""
        self._ended: dict[int, int] = {}
        """By partition, where it ended at the last look."""
        self._far_end_read = 0
        self._rings: dict[tuple[str, str, str], None] = {}

    async def probe(self) -> None:
        """Asks every process how it is, until cancelled: as /readyz would tell."""
        while True:
            self.read_on()  # while who else reads it has just read it, and nothing is decoded again
            for name, replica in self._scene.installation.in_use().items():
                said = (*replica.troubles(), *replica.remarks())
                if said:
                    self._note(self.alarms.setdefault(name, []), said)
            await asyncio.sleep(PROBES_EACH_S)

    def _note(self, noted: list[Said], said: Iterable[str]) -> None:
        at_s = asyncio.get_running_loop().time() - self._began_s
        lasting = {each.text: n for n, each in enumerate(noted) if at_s - each.to_s < PROBES_EACH_S * 1.5}
        for text in said:
            if text in lasting:
                noted[lasting[text]] = replace(noted[lasting[text]], to_s=at_s)
            else:
                noted.append(Said(text, at_s, at_s))

    @property
    def records(self) -> list[Record]:
        """All that was read, each partition's in their order."""
        return [record for records in self._read.values() for record in records]

    def read_on(self) -> Reading:
        """Takes what has landed on `calls` since the last time."""
        for number, read in self._read.items():
            partition = self._scene.broker.partition(Topic.CALLS, number)
            fresh = partition.read(read[-1].offset + 1 if read else 0, partition.end, None)
            self.reading.take(fresh)
            read += fresh
        return self.reading

    def unsettled(self) -> list[str]:
        """What has not come to rest."""
        self.read_on()
        behind = list(self._ledger_is_behind())
        replicas = self._scene.installation.in_use().items()
        return [
            *(
                f"{name} is not ready: {', '.join(replica.troubles())}"
                for name, replica in replicas
                if not replica.ready
            ),
            *(
                f"{name}: {remark}"
                for name, replica in replicas
                for remark in replica.remarks()
                if is_waited_out(remark)
            ),
            *(["calls are in progress"] if self.reading.in_progress() else []),
            *behind,
            *self._still_rings(),
        ]

    def _ledger_is_behind(self) -> Iterator[str]:
        """Nothing tells that a database is slow but the ledger's place in the journal."""
        broker, installation = self._scene.broker, self._scene.installation
        ended, self._ended = self._ended, {
            number: broker.partition(Topic.CALLS, number).end for number in broker.partitions(Topic.CALLS)
        }  # fmt: skip
        if installation.store is None or not all(replica.ready for replica in installation.of("ledger")):
            return  # that is said already
        positions = installation.store.positions()
        if any(positions.get(number, 0) < end for number, end in ended.items()):
            yield "the ledger has not read what was there at the last look"

    def _still_rings(self) -> Iterator[str]:
        """A leg whose caller is gone holds its rings for a moment (P7), after the books have closed the call."""
        entries: list[dict[str, Any]] = self._scene.outside.far_end
        for entry in entries[self._far_end_read :]:
            key = (entry.get("attempt", ""), entry.get("psap_id", ""), entry.get("line", ""))
            if entry["event"] == "ringing":
                self._rings[key] = None
            elif entry["event"] in ENDS:
                self._rings.pop(key, None)
        self._far_end_read = len(entries)
        for attempt, psap_id, line in self._rings:
            yield f"{attempt} rings still at {line or psap_id}"
