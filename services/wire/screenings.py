"""A firewall's decision as the bytes of a record on `screenings`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from throughline.v1 import screening_pb2

from services.wire.methods import parse

SCREENING_BYTES_MAX: Final = 64 * 1024

Value = str | int | float | bool


def inputs_to_wire(inputs: Mapping[str, Value]) -> list[screening_pb2.Input]:
    """What the rules were given, each by its name and in its own type."""
    return [_input(name, value) for name, value in inputs.items()]


def _input(name: str, value: Value) -> screening_pb2.Input:
    match value:
        case bool():
            return screening_pb2.Input(name=name, truth=value)
        case str():
            return screening_pb2.Input(name=name, text=value)
        case int():
            return screening_pb2.Input(name=name, whole=value)
        case _:
            return screening_pb2.Input(name=name, number=value)


def inputs_of(screening: screening_pb2.Screening) -> dict[str, Value]:
    """The same, read; one of a type that this version does not know is left out."""
    found: dict[str, Value] = {}
    for each in screening.inputs:
        kind = each.WhichOneof("value")
        if kind is not None:
            found[each.name] = getattr(each, kind)
    return found


def read(raw: bytes) -> screening_pb2.Screening:
    """The record of these bytes; raises Unreadable."""
    return parse(screening_pb2.Screening, raw, SCREENING_BYTES_MAX)
