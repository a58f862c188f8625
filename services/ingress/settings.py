"""What an operator can set of an ingress."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from services.host.settings import Address, Addresses, ServiceSettings


class IngressSettings(ServiceSettings):
    """Durations say their unit. The protocol's budgets are here to be seen; change them with a measurement in hand."""

    service: ClassVar[str] = "ingress"

    advertise: Address | None = Field(
        None, description="Where failover replicas reach this ingress, host:port, as its facts say. None: as bound."
    )
    firewalls: Addresses = Field((), description="Firewalls to ask, host:port separated by commas. None: unscreened.")
    routers: Addresses = Field((), description="Routers to ask, host:port separated by commas. None: own atlas.")
    failovers: Addresses = Field((), description="Failover replicas that dial lines, host:port separated by commas.")
    gateways: Addresses = Field(
        (), description="PSAP gateways for the own atlas, when no router answers; host:port separated by commas."
    )
    setups_max: int = Field(
        16,
        ge=1,
        le=10_000,
        description="Calls set up at once, up to their first ringing; the next wait their turn (L1).",
    )
    waiting_max: int = Field(
        300,
        ge=0,
        le=100_000,
        description="Calls that may wait for their turn; the next go to lines at once (L1). About two seconds' worth.",
    )
    parked_max: int = Field(
        1_000,
        ge=0,
        le=100_000,
        description="Calls at lines, or parked, for want of a place; beyond it an offer is refused, counted (L1).",
    )
    diverts_share_max: float = Field(
        0.20, ge=0, le=1, description="Share of the screened calls that the firewall may divert; beyond it none is."
    )
    diverts_calls: int = Field(
        50, ge=1, le=10_000, description="The newest screened calls, of which the share of diverts is taken."
    )
    diverts_min: int = Field(
        10, ge=1, le=10_000, description="Diverts among them below which every divert is followed, whatever the share."
    )
    diverts_callers_min: int = Field(
        10,
        ge=1,
        le=10_000,
        description="Distinct callers diverted within an hour, from which on their share of all callers counts too.",
    )
    diverts_hold_s: float = Field(
        60.0, ge=1, le=3_600, description="Seconds for which no divert is followed, at least, once there were too many."
    )
    screen_budget_ms: int = Field(
        150, ge=1, le=5_000, description="Milliseconds to wait for a verdict; then the call goes on unscreened."
    )
    route_budget_ms: int = Field(
        150, ge=1, le=5_000, description="Milliseconds to wait for a route; then the own atlas decides."
    )
    reach_budget_ms: int = Field(
        300, ge=10, le=10_000, description="Milliseconds until a PSAP rings; then the next gateway or rung."
    )
    ring_timeout_ms: int = Field(
        15_000, ge=100, le=300_000, description="Milliseconds that a PSAP or line rings before the next is rung too."
    )
    append_budget_ms: int = Field(
        50, ge=1, le=5_000, description="Milliseconds to wait for the first fact's acknowledgement before `Accepted`."
    )
    offer_within_ms: int = Field(
        5_000, ge=100, le=60_000, description="Milliseconds until a stream must have offered its call."
    )
    queue_facts_max: int = Field(
        10_000,
        ge=1,
        description="Facts that wait in memory for Kafka, of each topic; beyond it they are lost, counted.",
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
    caller_hash_key: str = Field(
        "throughline",
        min_length=1,
        max_length=64,
        description="Key of the hash that joins the calls of one caller; the same everywhere in an installation.",
    )
