"""What an operator can set of a firewall: the figures of its few rules."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from services.host.settings import Names, ServiceSettings
from services.places.directory import NUISANCE_DESK


class FirewallSettings(ServiceSettings):
    """See docs/configuration.md."""

    service: ClassVar[str] = "firewall"

    repeat_calls_min: int = Field(
        6, ge=2, le=1_000, description="Calls of one caller within the window from which the next are flagged."
    )
    repeat_window_s: float = Field(60.0, gt=0, le=3_600, description="Seconds of that window.")
    repeat_score: int = Field(
        40, ge=0, le=100, description="The suspicion (i3 CallSuspicion, 0 to 100) they are given."
    )
    nuisance_numbers: Names = Field(
        (), description="Numbers in E.164, separated by commas, that go to the nuisance desk once they repeat."
    )
    nuisance_calls_min: int = Field(
        3, ge=1, le=1_000, description="Calls of a nuisance number within the window from which they are diverted."
    )
    nuisance_desk: str = Field(
        NUISANCE_DESK, min_length=1, description="The staffed desk, an owner of lines in the directory, they go to."
    )
