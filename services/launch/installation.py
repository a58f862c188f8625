"""The waves in which an installation comes up, how it goes down again, and what can be done to it in between.

A replica keeps its address for as long as the installation stands, whether a person starts it again or the supervision
does: others find it where it was, as they would behind a service's name.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from services.host.lifeline import Lifeline
from services.host.run import EXIT_PORT
from services.launch import credentials
from services.launch.child import Child, ChildFailed, start
from services.launch.frozen import Frozen

COUNTS: Final[Mapping[str, int]] = {
    "firewall": 1,
    "router": 1,
    "psap_gateway": 2,
    "failover": 1,
    "ledger": 1,
    "ingress": 2,
}
"""How many of each, where nothing else is said: two of what callers and PSAPs hold streams to."""
LISTENS_WITHIN_S: Final = 30.0
WATCH_EVERY_S: Final = 0.2
PORT_TRIES_MAX: Final = 5
_ACCESS: Final = re.compile(r"THROUGHLINE_([A-Z_]+_)?KAFKA_")
PORT_AGAIN_S: Final = 0.5


def names(service: str, counts: Mapping[str, int]) -> list[str]:
    """What the replicas of a service are called."""
    return [f"{service.replace('_', '-')}-{number}" for number in range(1, counts[service] + 1)]


class Installation:
    """All services on this machine.

    `settings` are environment variables for all children, such as `{"THROUGHLINE_INGRESS_RING_TIMEOUT_MS": "1500"}`,
    `own` for single ones, by their names; `within` gives the command that puts one of that name where it is to run,
    such as a network namespace of its own. `inherits_kafka_access`: the services come to Kafka as this process's
    environment says (`THROUGHLINE_KAFKA_PROTOCOL` and its like); else in plain text, as to a Kafka of our own.
    `on_death` is told of a child that ended without being asked to or killed here. With `restart_after_s`, whatever
    ended without being asked to, or was killed, is started again after so many seconds.
    """

    def __init__(
        self,
        folder: Path,
        lifeline: Lifeline,
        *,
        kafka: str,
        inherits_kafka_access: bool = False,
        region_dir: Path,
        trunks: Sequence[str] = (),
        counts: Mapping[str, int] = COUNTS,
        settings: Mapping[str, str] | None = None,
        own: Mapping[str, Mapping[str, str]] | None = None,
        within: Callable[[str], Sequence[str]] = lambda name: (),
        restart_after_s: float | None = None,
        on_death: Callable[[Child], None] = lambda child: None,
    ) -> None:
        self.folder = folder
        self.region_dir = region_dir
        self.children: dict[str, Child] = {}
        self.tokens = folder / "tokens"
        self.operator_keys: Path | None = None
        """Where the keys of this installation's own operators are; None where its environment names others'."""
        self._lifeline = lifeline
        self._kafka = kafka
        self._inherits_kafka_access = inherits_kafka_access
        self._trunks = trunks
        self._counts = {**COUNTS, **counts}
        self._settings = settings or {}
        self._own = own or {}
        self._within = within
        self._restart_after_s = restart_after_s
        self._on_death = on_death
        self._watching: asyncio.Task[None] | None = None
        self._returning: dict[str, asyncio.Task[None]] = {}
        self._frozen: dict[str, Frozen] = {}
        self._environment: dict[str, str] = {}

    def addresses(self, service: str) -> list[str]:
        """Where the replicas of a service listen, in the order of their names."""
        return [child.address for child in self.of(service)]

    def of(self, service: str) -> list[Child]:
        """The replicas of a service, those that have ended included."""
        return [child for child in self.children.values() if child.service == service]

    async def start(self) -> None:
        """Comes up in waves, each told where those before it listen; raises ChildFailed, with the child's last lines,
        when one does not."""
        regions = self.folder / "regions"
        regions.mkdir(parents=True, exist_ok=True)
        self.tokens, table = await asyncio.to_thread(credentials.mint, self.region_dir, self.folder)
        self._environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if self._inherits_kafka_access or not _ACCESS.match(name)
            },
            "THROUGHLINE_KAFKA": self._kafka,
            "THROUGHLINE_REGION_DIR": str(self.region_dir),
            "THROUGHLINE_CREDENTIALS_FILE": str(table),
            "THROUGHLINE_REGION_CACHE": str(regions),
            "THROUGHLINE_FAILOVER_TRUNKS": ",".join(self._trunks),
            "THROUGHLINE_INGRESS_SPOOL_DIR": str(self.folder / "spool"),
            "THROUGHLINE_FAILOVER_SPOOL_DIR": str(self.folder / "spool"),
            "THROUGHLINE_LEDGER_DATABASE": f"sqlite:///{self.books}",
            **self._settings,
        }
        policies, self.operator_keys = await asyncio.to_thread(
            credentials.policy_settings, self.folder, self._environment
        )
        self._environment |= policies
        await self._wave("firewall", "psap_gateway", "ledger", "router")
        self._environment["THROUGHLINE_FAILOVER_GATEWAYS"] = ",".join(self.addresses("psap_gateway"))
        await self._wave("failover")
        self._environment |= {
            "THROUGHLINE_INGRESS_FIREWALLS": ",".join(self.addresses("firewall")),
            "THROUGHLINE_INGRESS_ROUTERS": ",".join(self.addresses("router")),
            "THROUGHLINE_INGRESS_FAILOVERS": ",".join(self.addresses("failover")),
            "THROUGHLINE_INGRESS_GATEWAYS": ",".join(self.addresses("psap_gateway")),
        }
        await self._wave("ingress")
        self._watching = asyncio.create_task(self._watch())

    async def restart(self, name: str, **environment: str) -> Child:
        """Starts a replica that has ended anew, under its name and where it listened; raises ChildFailed."""
        old = self.children[name]
        assert not old.running(), f"{name} still runs; end it first"
        prefix = f"THROUGHLINE_{old.service.upper()}"
        where = {f"{prefix}_LISTEN": old.address, f"{prefix}_METRICS_LISTEN": old.metrics_address}
        for left in reversed(range(PORT_TRIES_MAX)):
            child = self._start(old.service, name, {**where, **environment})
            child.address, child.metrics_address = old.address, old.metrics_address
            child.expected_to_end = True  # until it listens, its end is told here
            try:
                await child.listening(LISTENS_WITHIN_S)
            except ChildFailed:
                # Somebody's outgoing connection may have been given its port meanwhile; such connections are short.
                if child.process.poll() != EXIT_PORT or not left:
                    raise
                await asyncio.sleep(PORT_AGAIN_S)
            else:
                child.expected_to_end = False
                return child
        raise AssertionError("the last try returns or raises")

    @property
    def books(self) -> Path:
        """The ledger's database, an SQLite file."""
        return self.folder / "ledger.sqlite"

    async def kill(self, name: str) -> None:
        """`kill -9`. Nobody is told of a death; under supervision it comes back by itself."""
        child = self.children[name]
        child.killed = True
        child.process.kill()
        await asyncio.to_thread(child.process.wait)
        await self._thaw(name)

    async def pause(self, name: str) -> None:
        """SIGSTOP: its connections stand, and nothing is said on them. Returns when it stands still."""
        assert name not in self._frozen, f"{name} stands still already"
        self._frozen[name] = await asyncio.to_thread(Frozen, self.children[name].pid, self._lifeline)

    async def go_on(self, name: str) -> None:
        """SIGCONT, for one that was paused."""
        assert name in self._frozen, f"{name} was not paused"
        await self._thaw(name)

    async def back(self, name: str, within_s: float = LISTENS_WITHIN_S) -> Child:
        """Waits until the supervision has one that died up again; raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not self.children[name].running() or self.children[name].expected_to_end:  # noqa: ASYNC110
                await asyncio.sleep(WATCH_EVERY_S / 10)
        return self.children[name]

    async def stop(self, within_s: float = 15.0) -> list[str]:
        """Ingresses first, then what they ask, the ledger last; returns the names of those that had to be killed."""
        for task in (self._watching, *self._returning.values()):
            if task is not None:
                task.cancel()
        for name in list(self._frozen):
            await self._thaw(name)
        killed: list[str] = []
        for wave in (("ingress",), ("firewall", "router", "psap_gateway", "failover"), ("ledger",)):
            children = [child for service in wave for child in self.of(service) if child.running()]
            codes = await asyncio.gather(*(child.end(within_s) for child in children))
            killed += [child.name for child, code in zip(children, codes, strict=True) if code == -signal.SIGKILL]
        return killed

    async def _wave(self, *services: str) -> None:
        started = [self._start(service, name, {}) for service in services for name in names(service, self._counts)]
        await asyncio.gather(*(child.listening(LISTENS_WITHIN_S) for child in started))

    def _start(self, service: str, name: str, more: Mapping[str, str]) -> Child:
        own = {f"THROUGHLINE_{service.upper()}_NAME": name, **self._own.get(name, {}), **more}
        environment = {**self._environment, **own}
        child = start(service, name, self.folder, self._lifeline, environment, self._within(name))
        self.children[name] = child
        return child

    async def _thaw(self, name: str) -> None:
        frozen = self._frozen.pop(name, None)
        if frozen is not None:
            await asyncio.to_thread(frozen.thaw)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            for child in list(self.children.values()):
                if child.running() or child.expected_to_end:
                    continue
                child.expected_to_end = True
                if not child.killed:
                    self._on_death(child)
                if self._restart_after_s is not None:
                    self._returning[child.name] = asyncio.create_task(self._return(child.name, self._restart_after_s))

    async def _return(self, name: str, after_s: float) -> None:
        while True:
            await asyncio.sleep(after_s)
            if self.children[name].running():
                return  # somebody was quicker
            try:
                await self.restart(name)
            except ChildFailed:
                self._on_death(self.children[name])
            else:
                return

    async def __aenter__(self) -> Installation:
        try:
            await self.start()
        except BaseException:
            await self.stop(2.0)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
