"""What the rules are given of a call: every attribute, as `attributes.ATTRIBUTES` names and types it. Pure.

The same offer, counts, place and instant give the same inputs, and the record of a screening holds them all: so a
verdict can be explained, and reached again, from its record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from math import isfinite
from typing import Final

from services.domain.identity import anonymous, cell_of, own_number
from services.domain.offer import Offer, can_be_rung_back, without_service
from services.domain.place import Circle, centre, flaw
from services.policy.attributes import ATTRIBUTES, Type, Value
from services.policy.verdicts.windows import Counts


@dataclass(frozen=True, slots=True)
class Located:
    """What the region says of the call's place; empty and 0.0 where it is not known."""

    area: str = ""
    """The town."""
    psap: str = ""
    """Its home PSAP."""
    psap_load: float = 0.0
    """Calls that ring or talk there."""

    @classmethod
    def of(cls, town: str | None, candidates: Sequence[str], calls_at: Callable[[str], int] = lambda _: 0) -> Located:
        """By what a region answers, and who knows how many calls a PSAP has. At sea far out there are candidates too,
        and none of them is at home there."""
        return NOWHERE if town is None else cls(town, candidates[0], float(calls_at(candidates[0])))


NOWHERE: Final = Located()
_KINDS: Final = {Type.STRING: str, Type.INT: int, Type.DOUBLE: float, Type.BOOL: bool}


def of(offer: Offer, counts: Counts, located: Located, wall_ms: int, zone: tzinfo) -> dict[str, Value]:
    """Every attribute of a call that came at `wall_ms`, in the region's own time. Never raises for any offer."""
    place = offer.place
    lat = lon = radius_m = 0.0
    known = place is not None and flaw(place) is None
    if place is not None and known:
        lat, lon = centre(place)
        if isinstance(place, Circle) and isfinite(place.radius_m) and place.radius_m > 0.0:
            radius_m = place.radius_m
    local = datetime.fromtimestamp(wall_ms / 1000, zone)
    return {
        "number": offer.caller,
        "number_dials": can_be_rung_back(offer.caller),
        "without_service": without_service(offer.caller),
        "attestation": offer.attestation.value,
        "verification": offer.verification.value,
        "source": offer.source,
        "trunk": offer.trunk,
        "service": offer.service_urn,
        "place_known": known,
        "lat": lat,
        "lon": lon,
        "radius_m": radius_m,
        "cell": cell_of(place),
        "area": located.area,
        "psap": located.psap,
        "device": offer.device.value,
        "display_name": offer.display_name,
        "hour": local.hour,
        "minute": local.minute,
        "weekday": local.isoweekday(),
        **counts.by_name,
        "psap_load": located.psap_load,
        "state_load": counts.state_load,
    }


def identity_in(inputs: Mapping[str, Value]) -> str:
    """The identity (services/domain/identity.py) of the call that had these inputs."""
    number = own_number(str(inputs.get("number", "")))
    return number or anonymous(*(str(inputs.get(name, "")) for name in ("source", "trunk", "cell")))


def completed(inputs: Mapping[str, Value]) -> dict[str, Value]:
    """The same, with its unknown value for each attribute that is missing or not of its type: a record of another
    version is still a call."""
    return {
        name: inputs[name] if type(inputs.get(name)) is _KINDS[each.type] else each.unknown
        for name, each in ATTRIBUTES.items()
    }
