"""What a rule can ask about a call: one table, from which the checker, the evaluator and the papers are made.

Every attribute is there for every call: what is not known has the value that its row names, so a rule never meets a
missing name. `ground` says on what a divert may rest: on what this caller did, or on a way that many share. What a
caller cannot help (no number, one that cannot be dialled, a phone without service, failed attestation) is never one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

Value = str | int | float | bool


class Type(StrEnum):
    """CEL's own names."""

    STRING = "string"
    INT = "int"
    DOUBLE = "double"
    BOOL = "bool"


class Listed(StrEnum):
    """What the items of a named list are, and so which attributes may be looked for in it."""

    NUMBER = "number"
    SOURCE = "source"
    TRUNK = "trunk"
    CELL = "cell"
    AREA = "area"
    PSAP = "psap"
    DEVICE = "device"
    DISPLAY_NAME = "display_name"


class Counted(StrEnum):
    """By what calls are counted in sliding windows."""

    NUMBER = "number"
    """The caller's number; calls without one are counted by nobody's number."""
    SOURCE = "source"
    CELL = "cell"
    TRUNK = "trunk"


class Ground(StrEnum):
    """What an attribute can be for a divert (`checks/grounds.py`)."""

    NONE = ""
    OWN = "own"
    """It speaks of this caller, and stands beside whatever else is asked."""
    SHARED = "shared"
    """It speaks of all who come the same way: whoever is diverted by it is diverted alike."""


WINDOWS_S: Final = (10, 60, 600, 3600)
"""The lengths of the sliding windows, in seconds."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One name that a rule may use."""

    name: str
    type: Type
    meaning: str
    """For the papers: what it is, its unit, and its value where it is not known."""
    unknown: Value
    ground: Ground
    listed: Listed | None = None


def counter(by: Counted, window_s: int) -> str:
    """The name of a count: `number_calls_60s`."""
    return f"{by}_calls_{window_s}s"


def _counts() -> list[Attribute]:
    what = {
        Counted.NUMBER: "of this number",
        Counted.SOURCE: "of this originating network",
        Counted.CELL: "from this cell of place",
        Counted.TRUNK: "over this trunk",
    }
    return [
        Attribute(
            counter(by, window_s),
            Type.INT,
            f"calls {what[by]} within {window_s} s, this one included; 0 where that is not known",
            0,
            Ground.OWN if by is Counted.NUMBER else Ground.SHARED,
        )
        for by in Counted
        for window_s in WINDOWS_S
    ]


_ALL: Final = [
    Attribute(
        "number",
        Type.STRING,
        'the caller\'s number as it came, best in E.164; "" where none',
        "",
        Ground.OWN,
        Listed.NUMBER,
    ),
    Attribute("number_dials", Type.BOOL, "whether a person could ring that number back", False, Ground.NONE),
    Attribute("without_service", Type.BOOL, "whether it is the number of a phone without service", False, Ground.NONE),
    Attribute("attestation", Type.STRING, 'STIR/SHAKEN: "A", "B", "C" or "none"', "none", Ground.NONE),
    Attribute("verification", Type.STRING, 'of the number: "passed", "failed" or "none"', "none", Ground.NONE),
    Attribute(
        "source",
        Type.STRING,
        'the originating network\'s own name; "" where it gives none',
        "",
        Ground.SHARED,
        Listed.SOURCE,
    ),
    Attribute(
        "trunk", Type.STRING, 'the trunk that it came over; "" where none is named', "", Ground.SHARED, Listed.TRUNK
    ),
    Attribute("service", Type.STRING, "the service URN, such as urn:service:sos.police", "", Ground.NONE),
    Attribute("place_known", Type.BOOL, "whether a place came that can be routed by", False, Ground.NONE),
    Attribute("lat", Type.DOUBLE, "latitude of its centre, WGS84 degrees; 0.0 where not known", 0.0, Ground.SHARED),
    Attribute("lon", Type.DOUBLE, "longitude of its centre, WGS84 degrees; 0.0 where not known", 0.0, Ground.SHARED),
    Attribute("radius_m", Type.DOUBLE, "radius of its uncertainty in metres; 0.0 where not known", 0.0, Ground.NONE),
    Attribute(
        "cell",
        Type.STRING,
        'its cell of 0.02 degrees, such as "42.36,-71.06"; "" where not known',
        "",
        Ground.SHARED,
        Listed.CELL,
    ),
    Attribute("area", Type.STRING, 'the town, where the region knows it; else ""', "", Ground.NONE, Listed.AREA),
    Attribute(
        "psap", Type.STRING, 'the id of its home PSAP, where the region knows it; else ""', "", Ground.NONE, Listed.PSAP
    ),
    Attribute(
        "device",
        Type.STRING,
        '"wireless", "wireline", "voip", "text", "alarm" or "unknown"',
        "unknown",
        Ground.NONE,
        Listed.DEVICE,
    ),
    Attribute(
        "display_name",
        Type.STRING,
        'as the network gives it, 128 characters at most; ""',
        "",
        Ground.SHARED,
        Listed.DISPLAY_NAME,
    ),
    Attribute("hour", Type.INT, "of the region's local time, 0 to 23", 0, Ground.NONE),
    Attribute("minute", Type.INT, "of the hour, 0 to 59", 0, Ground.NONE),
    Attribute("weekday", Type.INT, "1 is Monday, 7 is Sunday, of the region's local time", 1, Ground.NONE),
    *_counts(),
    Attribute(
        "psap_load",
        Type.DOUBLE,
        "calls that ring or talk at its home PSAP, as its gateways say each 2 s; 0.0 where none has said so for 6 s, "
        "or the PSAP is not known",
        0.0,
        Ground.NONE,
    ),
    Attribute(
        "state_load",
        Type.DOUBLE,
        "calls screened in the last minute, this one included, over the mean minute of the last hour, 60.0 at most; "
        "0.0 until an hour is known",
        0.0,
        Ground.NONE,
    ),
]

ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType({each.name: each for each in _ALL})
