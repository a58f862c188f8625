"""A gateway's snapshot of its PSAPs as the bytes of a record on `psap-status`, and back (protocol.md R8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from throughline.v1 import psap_status_pb2

from services.domain.gateways.attachments import Row
from services.domain.routing import Reach, Snapshot
from services.wire.methods import parse

STATUS_BYTES_MAX: Final = 1024 * 1024
"""What a broker takes in one record by default: some ten thousand PSAPs."""


def encode(gateway: str, address: str, incarnation: str, seq: int, at_ms: int, rows: Sequence[Row]) -> bytes:
    """The record's value; `at_ms` is the gateway's wall clock, `seq` counts the snapshots of this incarnation."""
    return psap_status_pb2.PsapStatus(
        gateway=gateway,
        address=address,
        incarnation=incarnation,
        seq=seq,
        at_ms=at_ms,
        rows=[
            psap_status_pb2.PsapRow(
                psap_id=row.psap_id,
                attached=row.attached,
                reason=row.reason,
                ringing=row.ringing,
                connected=row.connected,
            )
            for row in rows
        ],
    ).SerializeToString()


def decode(raw: bytes, now: float, wall_ms: int) -> Snapshot:
    """The snapshot of a record, as old as it is: `now` and `wall_ms` are the reader's two clocks at this moment.

    A gateway whose wall clock runs ahead counts as fresh. Who talks at a PSAP that is not attached is not counted: the
    gateway does not hear when that ends. Raises Unreadable where the bytes are no snapshot.
    """
    message = parse(psap_status_pb2.PsapStatus, raw, STATUS_BYTES_MAX)
    calls = {row.psap_id: row.ringing + (row.connected if row.attached else 0) for row in message.rows}
    return Snapshot(
        message.gateway,
        message.address,
        message.incarnation,
        message.seq,
        now - max(0, wall_ms - message.at_ms) / 1000,
        {row.psap_id: Reach.REACHABLE if row.attached else Reach.UNREACHABLE for row in message.rows},
        {psap_id: count for psap_id, count in calls.items() if count},
    )
