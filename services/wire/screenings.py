"""A firewall's decision as the bytes of a record on `screenings`."""

from __future__ import annotations

from throughline.v1 import screening_pb2


def encode(call_id: str, leg: int, firewall: str, verdict: screening_pb2.Verdict, at_ms: int, took_us: int) -> bytes:
    """The record's value; `took_us` is how long the decision took."""
    return screening_pb2.Screening(
        call_id=call_id, leg=leg, firewall=firewall, verdict=verdict, at_ms=at_ms, took_us=took_us
    ).SerializeToString()
