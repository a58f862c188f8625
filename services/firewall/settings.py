"""What an operator can set of a firewall. What it says of calls stands in policies, not here."""

from __future__ import annotations

from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from services.firewall.policies.settings import PolicySettings


class FirewallSettings(PolicySettings):
    """See docs/configuration.md."""

    service: ClassVar[str] = "firewall"

    time_zone: str = Field(
        "America/New_York",
        description="The region's own time, for rules that ask for the hour; a name of the IANA data base.",
    )
    evaluation_budget_ms: int = Field(
        100,
        ge=5,
        le=1_000,
        description="Milliseconds within which the evaluator must answer; then the call passes, and the evaluator is "
        "killed.",
    )

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("expected a zone that this machine knows, such as America/New_York") from None
        return name
