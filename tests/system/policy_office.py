"""The operators' office of a whole installation: their commands as they give them, and callers who call meanwhile.

A stage (chaos/stage.py) with a real Kafka and two firewalls. Ordinary callers call once each; one calls all day, and is
on the list of nuisance callers that the policies here are about.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from throughline.v1 import policy_pb2, screening_pb2

from chaos.bursts import Burst
from chaos.stage import Stage
from loadtest.diary import wall_ms
from loadtest.workload import PlannedCall
from services.domain.offer import SOS_URN
from services.host.network import Broken, Status
from services.host.network.grpc import GrpcNetwork
from services.host.settings import ROOT
from services.journal import Record, Topic
from services.journal.kafka import KafkaLog
from services.launch.child import Child
from services.launch.credentials import OPERATORS
from services.readers.reading import read_to_end
from services.wire import screenings
from services.wire.methods import EXPLAIN, POLICY_HISTORY, POLICY_STATUS

COUNTS: Final = {"firewall": 2, "router": 1, "psap_gateway": 1, "failover": 1, "ledger": 0, "ingress": 2}
NUISANCE: Final = "+16175550190"
NUISANCE_EVERY_S: Final = 1.5
NUISANCE_TOWN: Final = ("Framingham", 42.2793, -71.4162, 120.0)
ORDINARY_A_S: Final = 8
CALL_FOR_S: Final = 110.0
"""Longer than all tests take: who still waits is sent home at the end."""
ENDS_WITHIN_S: Final = 30.0
WITHIN_S: Final = 60.0
ANSWERS_WITHIN_S: Final = 5.0
FIREWALLS: Final = ("firewall-1", "firewall-2")
PolicyStatus = policy_pb2.PolicyServiceStatusResponse
T = TypeVar("T")
LOOK_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, its result, and what it said beside that: why it did not, or how far it was."""

    code: int
    said: str
    beside: str


async def wait_for(look: Callable[[], Awaitable[T | None]], told: Callable[[], str], within_s: float = WITHIN_S) -> T:
    """Looks until there is something; fails with what was waited for."""
    try:
        async with asyncio.timeout(within_s):
            while (found := await look()) is None:  # noqa: ASYNC110 - only its pages and answers say it
                await asyncio.sleep(LOOK_EVERY_S)
            return found
    except TimeoutError:
        raise AssertionError(f"waited {within_s} s in vain: {told()}") from None


class Office:
    """See above. `seen` is what callers saw, by call, in the order in which they saw it."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(folder, counts=COUNTS)
        self.folder = folder
        self.seen: dict[str, list[Mapping[str, Any]]] = {}
        self._network = GrpcNetwork()
        self._version = 6

    async def __aenter__(self) -> Office:
        await self.stage.__aenter__()
        try:
            await self._begin()
        except BaseException as why:
            await self.__aexit__(type(why))
            raise
        return self

    async def __aexit__(self, why: type[BaseException] | None, *_: object) -> None:
        await self._network.close()
        await self.stage.__aexit__(why)

    async def _begin(self) -> None:
        """From now on callers call."""
        callers = Burst(self.stage, "callers", for_s=CALL_FOR_S, calls_a_s=ORDINARY_A_S, seed=11)
        callers.planned = [*(each for each in callers.planned if each.caller != NUISANCE), *_nuisance()]
        await callers.ready(self._hear)
        self.stage.stack.push_async_callback(callers.stop)
        callers.begin()

    def _hear(self, entry: Mapping[str, Any]) -> None:
        if "call_id" in entry:
            self.seen.setdefault(entry["call_id"], []).append(entry)

    # What operators do.

    def key(self, name: str) -> Path:
        """The private key of ann or bob."""
        return self.folder / "operators" / f"{name}.key"

    def write(self, name: str, text: str) -> tuple[Path, int]:
        """A bundle's file under the next version, which the text names `{version}`."""
        self._version += 1
        path = self.folder / f"{name}.yaml"
        path.write_text(text.replace("{version}", str(self._version)))
        return path, self._version

    async def ends(self, *words: str | Path | int, firewalls: Sequence[str] = FIREWALLS) -> Ended:
        """`throughline policy WORDS`, in a process of its own, with these firewalls named."""
        children = self.stage.installation.children
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.cli", "policy", *map(str, words)),
            cwd=ROOT,
            env={**os.environ, "THROUGHLINE_INGRESS_FIREWALLS": ",".join(children[each].address for each in firewalls)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                said, beside = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Ended(process.returncode, said.decode(), beside.decode())

    async def well(self, *words: str | Path | int, firewalls: Sequence[str] = FIREWALLS) -> str:
        """What it says; it must end well."""
        ended = await self.ends(*words, firewalls=firewalls)
        assert ended.code == 0, f"{words}: {ended.said}{ended.beside}"
        return ended.said

    async def hand_in(self, path: Path, *signers: str) -> str:
        """Signed by these, and submitted."""
        await asyncio.gather(*(self.well("sign", path, "--key", self.key(name)) for name in signers or OPERATORS))
        return await self.well("submit", path)

    # What firewalls say.

    def firewall(self, name: str) -> Child:
        return self.stage.installation.children[name]

    async def status(self, name: str = "firewall-1") -> PolicyStatus:
        """Of one firewall, as `throughline policy status` asks it."""
        said = policy_pb2.PolicyServiceStatusRequest()
        answer: PolicyStatus = await self._network.ask(
            self.firewall(name).address, POLICY_STATUS, said, within_s=ANSWERS_WITHIN_S
        )
        return answer

    async def states(self) -> list[policy_pb2.PolicyState]:
        """Every change, the oldest first."""
        said = policy_pb2.HistoryRequest(limit=100)
        address = self.firewall("firewall-1").address
        history: policy_pb2.HistoryResponse = await self._network.ask(
            address, POLICY_HISTORY, said, within_s=ANSWERS_WITHIN_S
        )
        return sorted(history.changes, key=lambda state: state.serial)

    async def screened(self, name: str, digest: str, since_ms: int) -> screening_pb2.Screening:
        """The first that this firewall remembers of a call offered since then, by that bundle; waits for one."""
        asked: set[str] = set()

        async def look() -> screening_pb2.Screening | None:
            rings = [each for each, (first, *_) in self.seen.items() if first["at_ms"] >= since_ms]
            for call_id in [each for each in rings if each not in asked and "ringing" in self.met(each)]:
                asked.add(call_id)
                for told in await self.explained(name, call_id):
                    if (told.firewall, told.bundle) == (name, digest):
                        return told
            return None

        return await wait_for(look, lambda: f"a call screened by {name}")

    async def explained(self, name: str, call_id: str) -> list[screening_pb2.Screening]:
        """What a firewall remembers of a call."""
        said = policy_pb2.ExplainRequest(call_id=call_id)
        try:
            found: policy_pb2.ExplainResponse = await self._network.ask(
                self.firewall(name).address, EXPLAIN, said, within_s=ANSWERS_WITHIN_S
            )
        except Broken as broken:
            if broken.status is not Status.NOT_FOUND:
                raise
            return []
        return list(found.screenings)

    async def until(self, stands: Callable[[PolicyStatus], bool], *names: str) -> PolicyStatus:
        """Waits until the status of each of these firewalls is like this; returns the last one's."""
        for name in names or FIREWALLS:
            found = await self._until(stands, name)
        return found

    async def _until(self, stands: Callable[[PolicyStatus], bool], name: str) -> PolicyStatus:
        async def look() -> PolicyStatus | None:
            status = await self.status(name)
            return status if stands(status) else None

        return await wait_for(look, lambda: f"of {name}")

    async def counted(self, metric: str, least: float, within_s: float = WITHIN_S, **labels: str) -> float:
        """Waits until the firewalls' pages sum up to that many."""

        async def look() -> float | None:
            value = await self.stage.counted("firewall", metric, **labels)
            return value if value >= least else None

        return await wait_for(look, lambda: f"{metric}{labels} of {least}", within_s)

    async def recorded(self) -> list[screening_pb2.Screening]:
        """All that stands on `screenings`, by instant."""
        told: list[screening_pb2.Screening] = []

        def take(records: Sequence[Record]) -> None:
            told.extend(screenings.read(record.value) for record in records)

        log = KafkaLog(self.stage.kafka, client_id="office-witness")
        await log.start()
        try:
            await read_to_end(log, Topic.SCREENINGS, take)
        finally:
            await log.close()
        return sorted(told, key=lambda each: each.at_ms)

    # What callers see.

    def nuisance(self, since_ms: int = 0) -> list[str]:
        """The calls of the nuisance caller that were offered since then."""
        return [
            call_id
            for call_id, entries in self.seen.items()
            if call_id.startswith("nuisance") and entries[0]["at_ms"] >= since_ms
        ]

    async def call(self, calls: Callable[[], Iterable[str]], *events: str) -> str:
        """Waits until one of these calls has met all of these, and says which."""

        async def look() -> str | None:
            return next((each for each in calls() if set(events) <= set(self.met(each))), None)

        return await wait_for(look, lambda: f"{events} of a call in { {each: self.met(each) for each in calls()} }")

    def met(self, call_id: str) -> list[str]:
        """What its caller met, in order."""
        return [entry["event"] for entry in self.seen[call_id]]

    async def diverted(self, *events: str) -> str:
        """A call of the nuisance caller, offered from now on, that was diverted, and met these as well."""
        now_ms = wall_ms()
        return await self.call(lambda: self.nuisance(now_ms), "diverting", *events)

    async def passed(self) -> str:
        """One that rang where it would have rung without a firewall."""
        now_ms = wall_ms()
        call_id = await self.call(lambda: self.nuisance(now_ms), "ringing")
        assert "diverting" not in self.met(call_id), self.seen[call_id]
        return call_id


def _nuisance() -> list[PlannedCall]:
    """One telephone, again and again from the same place."""
    return [
        PlannedCall(number * NUISANCE_EVERY_S, f"nuisance-{number:03}", NUISANCE, SOS_URN, "faults", *NUISANCE_TOWN)
        for number in range(int(CALL_FOR_S / NUISANCE_EVERY_S))
    ]
