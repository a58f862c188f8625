"""The whole backbone in one process: two of each service, three failover replicas, one ledger; and one more of
those that scale, which runs where a schedule adds it.

The services are the real ones, as `throughline run` builds them; what differs is the World that they are given.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from services.failover.service import Failover
from services.failover.settings import FailoverSettings
from services.firewall.service import Firewall
from services.firewall.settings import FirewallSettings
from services.host.run import Service
from services.host.world import World
from services.ingress.service import Ingress
from services.ingress.settings import IngressSettings
from services.ledger.service import Ledger
from services.ledger.settings import LedgerSettings
from services.ledger.sql import SqlStore
from services.psap_gateway.service import PsapGateway
from services.psap_gateway.settings import PsapGatewaySettings
from services.router.service import Router
from services.router.settings import RouterSettings
from simulator.region import CREDENTIALS_FILE, FOLDER, KEYS_FILE
from simulator.replicas import Ground, Replica
from simulator.tables import Tables

COUNTS: Final[Mapping[str, int]] = {
    "psap_gateway": 2,
    "firewall": 2,
    "router": 2,
    "failover": 3,
    "ledger": 1,
    "ingress": 2,
}
"""Replicas of each service, in the order in which they are started."""
HURT: Final[Mapping[str, int]] = {
    "ingress": 5,
    "failover": 2,
    "psap_gateway": 2,
    "firewall": 1,
    "router": 1,
    "ledger": 1,
}
"""How often a service is hurt beside the others: those most that have callers, persons or debts in their hands."""
TRUNKS: Final = ("trunk-1:1", "trunk-2:1")
BYPASS_FILE: Final = Path("bypass")
"""Whose presence on a firewall's machine lets every call pass there."""
RING_TIMEOUT_MS: Final = 3_000
"""People are five times as quick as in life, and ring times with them."""


def somebody(by: random.Random) -> str:
    """A service that is to be hurt."""
    return by.choices(tuple(HURT), tuple(HURT.values()))[0]


def names_of(service: str) -> tuple[str, ...]:
    """Its replicas."""
    return tuple(f"{service.replace('_', '-')}-{n}" for n in range(1, COUNTS[service] + 1))


def addresses_of(service: str) -> tuple[str, ...]:
    """Where they are found, each on a host of its name."""
    return tuple(f"{name}:1" for name in names_of(service))


ALL_NAMES: Final = tuple(name for service in COUNTS for name in names_of(service))
SPARE: Final[Mapping[str, str]] = {
    service: f"{service.replace('_', '-')}-{count + 1}" for service, count in COUNTS.items() if service != "ledger"
}
"""The replica that comes when a service is scaled up, by service: a name that nobody knew before."""
SERVICE_OF: Final = {
    **{name: service for service in COUNTS for name in names_of(service)},
    **{name: service for service, name in SPARE.items()},
}
"""Of every replica that may ever run."""


class Installation:
    """Every replica, by its name."""

    def __init__(self, ground: Ground) -> None:
        self.store: SqlStore | None = None
        """The ledger's, of its newest process."""
        apart = copy.copy(ground.by)  # a run in which nobody joins is the same, whoever might have
        self.replicas = {name: Replica(name, partial(self._build, name), ground) for name in ALL_NAMES}
        for name in SPARE.values():
            of_its_own = replace(ground, by=random.Random(f"{apart.getrandbits(64)} {name}"))
            self.replicas[name] = Replica(name, partial(self._build, name), of_its_own)
        self.known = {service: addresses_of(service) for service in COUNTS}
        """Whom a process is told of by its settings, when it starts."""

    def start(self) -> None:
        """All but the spare ones, in order."""
        for name in ALL_NAMES:
            self.replicas[name].start()

    def in_use(self) -> dict[str, Replica]:
        """All but the spare ones that nobody has added, or that were taken away."""
        spare = SPARE.values()
        return {name: each for name, each in self.replicas.items() if each.wanted or name not in spare}

    def close(self) -> None:
        """Lets go of what would outlive the run."""
        for replica in self.replicas.values():
            replica.tables.close()

    def of(self, service: str) -> list[Replica]:
        return [self.replicas[name] for name in names_of(service)]

    def _build(self, name: str, world: World, tables: Tables) -> Service:
        settings = _settings(name, self.known)
        match SERVICE_OF[name]:
            case "psap_gateway":
                return PsapGateway(world, settings)
            case "firewall":
                return Firewall(world, settings)
            case "router":
                return Router(world, settings)
            case "failover":
                return Failover(world, settings)
            case "ledger":
                self.store = SqlStore(tables.url)
                on_tables = settings.model_copy(update={"database": tables.url})
                return Ledger(world, on_tables, run_blocking=tables.run_blocking, store=self.store)
            case _:
                return Ingress(world, settings)


def _settings(name: str, known: Mapping[str, tuple[str, ...]]) -> Any:
    shared: dict[str, Any] = {
        "name": name,
        "listen": f"{name}:1",
        "region_dir": FOLDER,
        "credentials_file": CREDENTIALS_FILE,
        "region_cache": Path("cache"),
    }
    gateways = known["psap_gateway"]
    match SERVICE_OF[name]:
        case "psap_gateway":
            return PsapGatewaySettings(**shared)
        case "firewall":
            return FirewallSettings(
                policy_keys=KEYS_FILE, policy_cache=Path("cache"), bypass_file=BYPASS_FILE, **shared
            )
        case "router":
            return RouterSettings(gateways=gateways, **shared)
        case "failover":
            return FailoverSettings(trunks=TRUNKS, gateways=gateways, **shared)
        case "ledger":
            return LedgerSettings(database="sqlite://", **shared)
        case _:
            return IngressSettings(
                firewalls=known["firewall"],
                routers=known["router"],
                failovers=known["failover"],
                gateways=gateways,
                ring_timeout_ms=RING_TIMEOUT_MS,
                **shared,
            )
