"""The world outside in the simulator's own process: networks and their callers, PSAPs, trunks, and what they saw.

It is loadtest's own code, the same that `make demo` runs over gRPC, on a memory network and under virtual time. The two
accounts are kept in memory as entries for the comparer (loadtest/witness.py); nothing here judges.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from loadtest.answering_point import Fault
from loadtest.attachment import BEAT_S, Switchboard
from loadtest.callers import Callers, Lateness, Planned
from loadtest.carrier import Carrier
from loadtest.diary import Account, MemoryDiary, silent
from loadtest.humans import Humans
from loadtest.leg import NetworkMischief
from loadtest.mischief import Mischief, MischievousPoint
from loadtest.region_tables import AdminLine
from loadtest.trunk import Trunk, TrunkFault
from loadtest.trunk_server import TrunkServer
from services.host.network.memory import MemoryHost
from simulator.wire import NetworkWire

SOURCES: Final = ("wireless", "wireline")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who is there, and where the backbone is found."""

    positions: Mapping[str, int]
    """PSAP id -> call-takers."""
    credentials: Mapping[str, str]
    lines: Sequence[AdminLine]
    gateways: Sequence[str]
    ingresses: Sequence[str]
    trunks: Sequence[str]
    """Addresses at which trunks are served; each has every line, with channels of its own."""
    sources: Sequence[str] = SOURCES
    """Originating networks, as their offers name them."""


class Outside:
    """All of it. `network_of` gives each party its own place in the network: a PSAP, a source, a trunk's address."""

    def __init__(
        self,
        around: Surroundings,
        network_of: Callable[[str], MemoryHost],
        *,
        seed: int,
        wall_ms: Callable[[], int],
        human_speed: float = 1.0,
        carrier: type[Carrier] = Carrier,
    ) -> None:
        humans = Humans(seed, human_speed)
        self._around = around
        self._caller_diary = MemoryDiary("caller", wall_ms)
        self._far_diary = MemoryDiary("far-end", wall_ms)
        overheard: dict[str, str] = {}
        self._points = {
            psap_id: MischievousPoint(psap_id, positions, humans, self._far_diary, overheard=overheard)
            for psap_id, positions in around.positions.items()
        }
        self._switchboards = [
            Switchboard([point], NetworkWire(network_of(psap_id)), random.Random(repr((seed, psap_id))), silent)
            for psap_id, point in self._points.items()
        ]
        self._carriers = {
            source: carrier(
                around.ingresses,
                self._caller_diary,
                random.Random(repr((seed, source))),
                NetworkWire(network_of(source)),
            )
            for source in around.sources
        }
        self._callers = {source: Callers(each, humans, Lateness()) for source, each in self._carriers.items()}
        self._trunks = {
            address: TrunkServer(
                Trunk(around.lines, humans, _OfTrunk(self._far_diary, address), partial(self._busy, address)),
                NetworkWire(network_of(address)),
            )
            for address in around.trunks
        }
        self._beating: asyncio.Task[None] | None = None

    @property
    def callers(self) -> list[dict[str, Any]]:
        """What the originating networks saw, oldest first."""
        return self._caller_diary.entries

    @property
    def far_end(self) -> list[dict[str, Any]]:
        """What PSAPs and trunks saw, oldest first."""
        return self._far_diary.entries

    async def start(self) -> None:
        """Trunks serve, and PSAPs begin to attach."""
        for address, trunk in self._trunks.items():
            await trunk.serve(address)
        for switchboard in self._switchboards:
            switchboard.attach(self._around.gateways, self._around.credentials)
        self._beating = asyncio.ensure_future(self._beat())

    async def stop(self) -> None:
        """Everybody is gone; who talks at a PSAP or a line is not waited for."""
        if self._beating is not None:
            self._beating.cancel()
        for switchboard in self._switchboards:
            await switchboard.close()
        for trunk in self._trunks.values():
            await trunk.stop()

    async def run(self, plan: Sequence[Planned]) -> None:
        """Everybody in the plan dials at their instant, by the network of their source; returns when all are done."""
        unknown = {planned.source for planned in plan} - set(self._callers)
        assert not unknown, f"expected sources among {sorted(self._callers)}, got {sorted(unknown)}"
        async with asyncio.TaskGroup() as group:
            for source, callers in self._callers.items():
                group.create_task(callers.run([planned for planned in plan if planned.source == source]))

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BEAT_S)
            for switchboard in self._switchboards:
                switchboard.beat(loop.time())

    def _busy(self, trunk: str, caller: str) -> bool:
        """Whoever rings a caller whose call is carried, or who is rung back by the other trunk, finds their one
        telephone busy (T3)."""
        others = (each.trunk for address, each in self._trunks.items() if address != trunk)
        return any(each.carries(caller) for each in self._carriers.values()) or any(
            each.on_the_phone(caller) for each in others
        )

    def told_of(self, ingresses: Sequence[str], gateways: Sequence[str]) -> None:
        """Networks offer to these from now on, and PSAPs attach to these too; a PSAP that has a list tries on."""
        for carrier in self._carriers.values():
            carrier.ingresses = ingresses
        for switchboard in self._switchboards:
            switchboard.attach(gateways, self._around.credentials)

    def listen(self, told: Callable[[Mapping[str, Any]], None]) -> None:
        """`told` hears of each entry of either witness when it is written."""
        self._caller_diary.readers.append(told)
        self._far_diary.readers.append(told)

    # What is wrong with whom.

    def fault(self, psap_id: str, fault: Fault) -> None:
        """From now on this is wrong with the PSAP."""
        self._points[psap_id].strike(fault)

    def heal(self, psap_id: str) -> None:
        """All is well with the PSAP again, and it does no mischief."""
        self._points[psap_id].mischief = Mischief.NONE
        self._points[psap_id].heal()

    def mischief(self, psap_id: str, mischief: Mischief) -> None:
        """From now on the PSAP does this wrong with each new ring."""
        self._points[psap_id].mischief = mischief

    def network_mischief(self, source: str, mischief: NetworkMischief) -> None:
        """From now on the network does this wrong with each new call."""
        self._carriers[source].mischief = mischief

    async def trunk_fault(self, address: str, fault: TrunkFault) -> None:
        """From now on this is wrong with the trunk; TrunkFault.NONE heals it."""
        await self._trunks[address].strike(fault)


class _OfTrunk:
    """What one trunk writes down, with its address: every trunk has every line."""

    def __init__(self, diary: Account, address: str) -> None:
        self._diary = diary
        self._address = address

    def write(self, event: str, **seen: Any) -> None:
        """See Account."""
        self._diary.write(event, **seen, trunk=self._address)
