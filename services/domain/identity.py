"""Whose call it is, as far as a firewall can tell: by what calls are counted, and which replica counts them.

An ingress asks the replica that rendezvous hashing of this identity names, so that one caller's windows are in one
place; the firewall counts by the same words. A number is an identity only where it can be but one phone's: `anonymous`
is many callers, and to count them as one would divert people for a number that they do not have.
"""

from __future__ import annotations

from math import floor
from typing import Final

from services.domain.offer import Offer, can_be_rung_back, without_service
from services.domain.place import Place, centre, flaw

CELL_DEGREES: Final = 0.02
_CELLS_A_DEGREE: Final = 50
_JOINED: Final = "\0"


def own_number(caller: str) -> str:
    """The number where it can be one phone's alone: one that can be dialled, or that of a phone without service."""
    return caller if can_be_rung_back(caller) or without_service(caller) else ""


def cell_of(place: Place) -> str:
    """The south-west corner of its cell of 0.02 degrees, such as `42.36,-71.08`; empty for a place without use."""
    if place is None or flaw(place) is not None:
        return ""
    lat, lon = centre(place)
    return f"{_corner(lat):.2f},{_corner(lon):.2f}"


def _corner(degrees: float) -> float:
    return floor(round(degrees * _CELLS_A_DEGREE, 6)) / _CELLS_A_DEGREE + 0.0  # + 0.0: there is no cell -0.00


def identity_of(offer: Offer) -> str:
    """The caller's own number; without one, where the call came from: network, trunk and cell."""
    number = own_number(offer.caller)
    return number or anonymous(offer.source, offer.trunk, cell_of(offer.place))


def anonymous(source: str, trunk: str, cell: str) -> str:
    """Who has no number of their own is as one with all others who come the same way. No number looks like it."""
    return f"{source}{_JOINED}{trunk}{_JOINED}{cell}"


def is_one_caller(identity: str) -> bool:
    """Whether it is somebody's own number, and not what many may share who have none."""
    return bool(identity) and _JOINED not in identity
