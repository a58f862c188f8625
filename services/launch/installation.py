"""The waves in which an installation comes up, and how it goes down again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from services.host.lifeline import Lifeline
from services.launch import credentials
from services.launch.child import Child, start

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


class Installation:
    """All services on this machine.

    `settings` are environment variables for the children, such as `{"THROUGHLINE_INGRESS_RING_TIMEOUT_MS": "1500"}`;
    `on_death` is told of a child that ended without being asked to.
    """

    def __init__(
        self,
        folder: Path,
        lifeline: Lifeline,
        *,
        kafka: str,
        region_dir: Path,
        trunks: Sequence[str] = (),
        counts: Mapping[str, int] = COUNTS,
        settings: Mapping[str, str] | None = None,
        on_death: Callable[[Child], None] = lambda child: None,
    ) -> None:
        self.folder = folder
        self.region_dir = region_dir
        self.children: dict[str, Child] = {}
        self.tokens = folder / "tokens"
        self._lifeline = lifeline
        self._kafka = kafka
        self._trunks = trunks
        self._counts = {**COUNTS, **counts}
        self._settings = settings or {}
        self._on_death = on_death
        self._watching: asyncio.Task[None] | None = None
        self._environment: dict[str, str] = {}

    def addresses(self, service: str) -> list[str]:
        """Where the replicas of a service listen, in the order of their names."""
        return [child.address for child in self.of(service)]

    def of(self, service: str) -> list[Child]:
        """The replicas of a service, those that have ended included."""
        return [child for child in self.children.values() if child.service == service]

    async def start(self) -> None:
        """Comes up in two waves; raises ChildFailed, with the child's last lines, when one does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tokens, table = await asyncio.to_thread(credentials.mint, self.region_dir, self.folder)
        self._environment = {
            **os.environ,
            "THROUGHLINE_KAFKA": self._kafka,
            "THROUGHLINE_REGION_DIR": str(self.region_dir),
            "THROUGHLINE_CREDENTIALS_FILE": str(table),
            "THROUGHLINE_FAILOVER_TRUNKS": ",".join(self._trunks),
            "THROUGHLINE_INGRESS_SPOOL_DIR": str(self.folder / "spool"),
            "THROUGHLINE_FAILOVER_SPOOL_DIR": str(self.folder / "spool"),
            "THROUGHLINE_LEDGER_DATABASE": f"sqlite:///{self.folder / 'ledger.sqlite'}",
            **self._settings,
        }
        await self._wave("firewall", "psap_gateway", "failover", "ledger", "router")
        self._environment |= {
            "THROUGHLINE_INGRESS_FIREWALLS": ",".join(self.addresses("firewall")),
            "THROUGHLINE_INGRESS_ROUTERS": ",".join(self.addresses("router")),
            "THROUGHLINE_INGRESS_FAILOVERS": ",".join(self.addresses("failover")),
            "THROUGHLINE_INGRESS_GATEWAYS": ",".join(self.addresses("psap_gateway")),
        }
        await self._wave("ingress")
        self._watching = asyncio.create_task(self._watch())

    async def restart(self, name: str, **environment: str) -> Child:
        """Starts a replica that has ended anew, under its name; its port may differ."""
        old = self.children[name]
        assert not old.running(), f"{name} still runs; end it first"
        child = self._start(old.service, name, environment)
        await child.listening(LISTENS_WITHIN_S)
        return child

    async def stop(self, within_s: float = 15.0) -> list[str]:
        """Ingresses first, then what they ask, the ledger last; returns the names of those that had to be killed."""
        if self._watching is not None:
            self._watching.cancel()
        killed: list[str] = []
        for wave in (("ingress",), ("firewall", "router", "psap_gateway", "failover"), ("ledger",)):
            children = [child for service in wave for child in self.of(service) if child.running()]
            codes = await asyncio.gather(*(child.end(within_s) for child in children))
            killed += [child.name for child, code in zip(children, codes, strict=True) if code and code < 0]
        return killed

    async def _wave(self, *services: str) -> None:
        started = [
            self._start(service, f"{service.replace('_', '-')}-{number}", {})
            for service in services
            for number in range(1, self._counts[service] + 1)
        ]
        await asyncio.gather(*(child.listening(LISTENS_WITHIN_S) for child in started))

    def _start(self, service: str, name: str, environment: Mapping[str, str]) -> Child:
        own = {f"THROUGHLINE_{service.upper()}_NAME": name, **environment}
        child = start(service, name, self.folder, self._lifeline, {**self._environment, **own})
        self.children[name] = child
        return child

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            for child in self.children.values():
                if not child.running() and not child.expected_to_end:
                    child.expected_to_end = True
                    self._on_death(child)

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
