"""What an operator can set of a failover replica. The protocol's budgets are not among it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from services.host.settings import Addresses, ServiceSettings


class FailoverSettings(ServiceSettings):
    """See docs/configuration.md."""

    service: ClassVar[str] = "failover"

    trunks: Addresses = Field(
        (),
        description="Trunks to dial through, host:port separated by commas, the preferred first. None: no line rings.",
    )
