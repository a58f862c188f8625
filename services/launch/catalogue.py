"""The services by name: where each one's class and settings are. Nothing is imported before it is asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # its import takes a quarter of a second, and `--help` needs none of it
    from services.host.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Runnable:
    """A service by name."""

    package: str
    service: str
    settings: str

    def load_settings(self) -> type[ServiceSettings]:
        """The class of its settings."""
        kind: type[ServiceSettings] = getattr(importlib.import_module(f"{self.package}.settings"), self.settings)
        return kind

    def load_service(self) -> Any:
        """The service's class; it is built from a World and settings of its own kind."""
        return getattr(importlib.import_module(f"{self.package}.service"), self.service)


SERVICES: Final = {
    "ingress": Runnable("services.ingress", "Ingress", "IngressSettings"),
    "firewall": Runnable("services.firewall", "Firewall", "FirewallSettings"),
    "router": Runnable("services.router", "Router", "RouterSettings"),
    "psap_gateway": Runnable("services.psap_gateway", "PsapGateway", "PsapGatewaySettings"),
    "failover": Runnable("services.failover", "Failover", "FailoverSettings"),
    "ledger": Runnable("services.ledger", "Ledger", "LedgerSettings"),
}
