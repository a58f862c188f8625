"""What an operator can set of a router."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from services.host.settings import Addresses, ServiceSettings


class RouterSettings(ServiceSettings):
    """See docs/configuration.md."""

    service: ClassVar[str] = "router"

    gateways: Addresses = Field(
        (), description="PSAP gateways to try where none was heard of, host:port separated by commas."
    )
