"""What firewalls recorded of calls, read from `screenings`: to replay, and to explain one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence

from throughline.v1 import screening_pb2

from services.journal import Record, Topic
from services.policy.attributes import Value
from services.policy.difference import Call
from services.policy.retelling import of_records
from services.readers.reading import read_to_end
from services.wire.methods import Unreadable, parse


def inputs_of(screening: screening_pb2.Screening) -> dict[str, Value]:
    """What the rules were given, by name; what is of a kind not known here is left out."""
    found: dict[str, Value] = {}
    for each in screening.inputs:
        kind = each.WhichOneof("value")
        if kind is not None:
            found[each.name] = getattr(each, kind)
    return found


async def recorded_calls(kafka: str, since_ms: int) -> list[Call]:
    """Real calls screened since an instant, each once, in order of time; raises NoJournal."""
    from services.journal.kafka import KafkaLog  # aiokafka takes a while to import; --help needs none of it

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)  # its troubles are in our own line
    told: list[tuple[str, int, Mapping[str, Value]]] = []

    def take(records: Sequence[Record]) -> None:
        for record in records:
            with contextlib.suppress(Unreadable):
                screening = parse(screening_pb2.Screening, record.value)
                if screening.inputs and not screening.test and not screening.shadow:
                    told.append((screening.call_id, screening.at_ms, inputs_of(screening)))

    log = KafkaLog(kafka, client_id="throughline-policy")
    await log.start()
    try:
        await read_to_end(log, Topic.SCREENINGS, take, since_ms)
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await log.close()
    told.sort(key=lambda each: (each[1], each[0]))
    return list(of_records(told))
