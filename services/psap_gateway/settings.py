"""What an operator can set of a PSAP gateway. The protocol's budgets are not among it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from services.host.settings import Address, ServiceSettings


class PsapGatewaySettings(ServiceSettings):
    """See docs/configuration.md."""

    service: ClassVar[str] = "psap_gateway"

    advertise: Address | None = Field(
        None, description="Where conductors reach this gateway, host:port, as it tells routers. None: as bound."
    )
    status_every_ms: int = Field(
        2_000, ge=100, le=5_000, description="Milliseconds between snapshots of PSAP status; changes go out at once."
    )
