"""What an operator can set of a failover replica. The protocol's budgets are not among it."""

from __future__ import annotations

from pathlib import Path
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
    gateways: Addresses = Field(
        (),
        description="PSAP gateways that are asked who has a dead conductor's call, host:port separated by commas. "
        "None: only trunks are asked, and the rest is called back.",
    )
    spool_dir: Path = Field(
        Path("spool"),
        description="Folder of facts that Kafka has not acknowledged; a replica's own are in a folder of its name.",
    )
    spool_bytes_max: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes that the spool may hold; beyond it facts wait in memory alone, counted.",
    )
