"""What an originating network offers: one call, one leg, as believed after reading it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.domain.place import Place
from services.domain.where import Where

TEST_URN: Final = "urn:service:test.sos"
SOS_URN: Final = "urn:service:sos"
_DIALLABLE: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_WITHOUT_SERVICE: Final = re.compile(r"\+1911[0-9]{7}")  # phones without service: 911 and part of a serial number


class Attestation(StrEnum):
    """STIR/SHAKEN's word on the caller's number: an input to a policy, never a reason to refuse."""

    A = "A"
    B = "B"
    C = "C"
    NONE = "none"


class Verification(StrEnum):
    """What the originating network found of the number's signature: an input to a policy, as the attestation is."""

    PASSED = "passed"
    FAILED = "failed"
    NONE = "none"


class Device(StrEnum):
    """What the caller uses."""

    WIRELESS = "wireless"
    WIRELINE = "wireline"
    VOIP = "voip"
    TEXT = "text"
    ALARM = "alarm"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Offer:
    """A call offered. Every field but the ids may be empty or odd; an odd call is still a call."""

    call_id: str
    leg: int
    caller: str
    service_urn: str
    place: Place
    attestation: Attestation = Attestation.NONE
    source: str = ""
    confirmed_attempt: str = ""
    i3_call_id: str = ""
    i3_incident_id: str = ""
    confirmed_where: Where | None = None
    """Where `confirmed_attempt` rang: whom to ask whether it is connected (P5)."""
    unreadable: bool = False
    """The bytes could not be read; what stands here was salvaged or minted."""
    verification: Verification = Verification.NONE
    trunk: str = ""
    device: Device = Device.UNKNOWN
    display_name: str = ""

    @property
    def test(self) -> bool:
        """A test call (RFC 6881): carried as any other, kept apart in the books."""
        return self.service_urn.startswith(TEST_URN)


def without_service(caller: str) -> bool:
    """Whether this is the number of a phone without service: it can call, and cannot be called."""
    return bool(_WITHOUT_SERVICE.fullmatch(caller))


def can_be_rung_back(caller: str) -> bool:
    """Whether a person could dial this number: E.164, and not the number of a phone without service."""
    return bool(_DIALLABLE.fullmatch(caller)) and not without_service(caller)
