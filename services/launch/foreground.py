"""What `throughline up` does: a Kafka, the topics, every service, a table, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from services.host.lifeline import Held, Lifeline, wrapped
from services.host.stop import Stop
from services.journal import Unavailable
from services.journal.kafka_access import Access
from services.journal.kafka_topics import apply
from services.launch.child import Child, ChildFailed
from services.launch.credentials import OPERATORS
from services.launch.installation import Installation

STOP_WITHIN_S = 15.0
Show = Callable[[list[tuple[str, str, str, str]], list[str]], None]
T = TypeVar("T")


class NoStart(Exception):
    """It could not come up; `a_service` says whether a service of ours was the reason."""

    def __init__(self, why: str, *, a_service: bool = False) -> None:
        super().__init__(why)
        self.a_service = a_service


class _Stopped(Exception):
    """Somebody asked for the end while it was coming up."""


class Foreground:
    """One installation, from its start to its end, in a terminal's foreground. `access`: how we come to `kafka`."""

    def __init__(
        self,
        held: Held,
        stop: Stop,
        kafka: str | None,
        access: Access,
        brokers: int,
        trunks: Sequence[str],
        folder: Path | None,
        region_dir: Path,
        say: Callable[[str], None],
    ) -> None:
        self._held = held
        self._stop = stop
        self._kafka = kafka
        self._access = access
        self._brokers = brokers
        self._trunks = trunks
        self._folder = folder
        self._region_dir = region_dir
        self._say = say
        self._died: list[str] = []

    async def run(self, show: Show) -> list[str]:
        """Comes up, shows what runs, waits for the stop, goes down; returns the names of children that died meanwhile.

        Raises NoStart, with the reason in one line or with the last lines of the child that failed.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number)
        lifeline = Lifeline(self._held)
        try:
            async with AsyncExitStack() as stack:
                folder = self._own_folder(lifeline)
                bootstrap = self._kafka or ""
                if not bootstrap:
                    bootstrap = await self._until_stop(self._start_kafka(folder / "kafka", lifeline, stack))
                await self._until_stop(self._apply_topics(bootstrap))
                self._say("up: starting the services")
                installation = Installation(
                    folder,
                    lifeline,
                    kafka=bootstrap,
                    inherits_kafka_access=self._kafka is not None,
                    region_dir=self._region_dir,
                    trunks=self._trunks,
                    on_death=self._on_death,
                )
                stack.push_async_callback(self._end, installation)
                await self._until_stop(installation.start())
                show(_rows(installation), self._hints(bootstrap, installation))
                await self._stop.wait()
        except _Stopped:
            pass
        except ChildFailed as failed:
            raise NoStart(str(failed), a_service=True) from failed
        finally:
            await asyncio.to_thread(lifeline.close)
        return self._died

    def _own_folder(self, lifeline: Lifeline) -> Path:
        """The folder that was asked for, or a new one that is removed at the end, whatever ends this process."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            return self._folder.resolve()
        folder = Path(tempfile.mkdtemp(prefix="throughline-"))
        lifeline.spawn(wrapped([], remove=folder))
        return folder

    async def _start_kafka(self, folder: Path, lifeline: Lifeline, stack: AsyncExitStack) -> str:
        try:
            from deploy.kafka import CannotStart, Cluster
        except ModuleNotFoundError as missing:
            why = f"{missing.name} is missing, so no Kafka can be started here"
            raise NoStart(f"{why}; run `make setup`, or say --kafka HOST:PORT") from None
        scratch = self._folder is None
        cluster = Cluster(folder, brokers=self._brokers, lifeline=lifeline, scratch=scratch, say=self._say)
        self._say(f"up: starting Kafka ({self._brokers} broker{'s' if self._brokers > 1 else ''})")
        try:
            bootstrap = await asyncio.to_thread(cluster.start)
        except CannotStart as why:
            raise NoStart(str(why)) from None
        stack.push_async_callback(asyncio.to_thread, cluster.close)
        return bootstrap

    async def _apply_topics(self, bootstrap: str) -> None:
        try:
            applied = await apply(bootstrap, self._access)
        except Unavailable as why:
            raise NoStart(str(why)) from None
        for difference in applied.differences:
            self._say(f"up: {difference}")

    async def _until_stop(self, work: Awaitable[T]) -> T:
        """What `work` returns; raises _Stopped where the stop comes first."""
        working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            return working.result()
        working.cancel()
        await asyncio.wait({working})
        raise _Stopped

    async def _end(self, installation: Installation) -> None:
        self._say("up: stopping")
        for name in await installation.stop(STOP_WITHIN_S):
            self._say(f"up: {name} had to be killed, {STOP_WITHIN_S:.0f} s after it was asked to stop")

    def _on_death(self, child: Child) -> None:
        self._died.append(child.name)
        self._say(
            f"up: {child.name} ended by itself with exit code {child.process.returncode}. The others go on; nothing "
            f"here starts it again; {child.last_lines()}"
        )

    def _on_signal(self, number: signal.Signals) -> None:
        if not self._stop.ask(number.name, STOP_WITHIN_S):
            self._say(f"{number.name} again: ending at once")
            os._exit(128 + number)  # the lifeline ends every child

    def _hints(self, bootstrap: str, installation: Installation) -> list[str]:
        gateways = ",".join(installation.addresses("psap_gateway"))
        kept = "" if self._folder else " (removed at the end; --folder DIR keeps them)"
        return [
            f"Kafka: {bootstrap}. Try: throughline balance --kafka {bootstrap}",
            f"Books in SQL: throughline callbacks list --database sqlite:///{installation.books}",
            f"PSAPs attach at {gateways}; their tokens: {installation.tokens}",
            *_policy_hints(installation),
            f"Logs: {installation.folder}{kept}",
            *(["No trunk was given (--trunk HOST:PORT): lines cannot be dialled."] if not self._trunks else []),
        ]


def _rows(installation: Installation) -> list[tuple[str, str, str, str]]:
    """Name, address, metrics address and process id of each child."""
    return [
        (child.name, child.address, f"http://{child.metrics_address}/metrics", str(child.pid))
        for child in installation.children.values()
    ]


def _policy_hints(installation: Installation) -> list[str]:
    """Where policies are handed in and who signs them, and the switch past them all."""
    firewalls = ",".join(installation.addresses("firewall"))
    hints = [f"Policies: throughline policy status --firewall {firewalls}"]
    if installation.operator_keys is not None:
        hints.append(f"They are signed by --key {installation.operator_keys}/NAME.key ({' and '.join(OPERATORS)})")
    return [*hints, f"While {installation.folder / 'bypass'} is there, every call passes, whatever policies say"]
