"""What firewalls recorded of calls, read from `screenings`, to be replayed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from throughline.v1 import screening_pb2

from services.journal import Log, Record, Topic
from services.policy.replays.difference import Call
from services.policy.replays.retelling import of_record
from services.policy_cli.progress import Progress
from services.readers.reading import read_to_end
from services.wire import screenings
from services.wire.methods import Unreadable


async def recorded_calls(kafka: str, since_ms: int, progress: Progress) -> list[Call]:
    """Real calls that firewalls screened since an instant, from the Kafka there; raises NoJournal."""
    from services.host.kafka_settings import commands_access
    from services.journal.kafka import KafkaLog  # aiokafka takes a while to import; --help needs none of it

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)  # its troubles are in our own line
    log = KafkaLog(kafka, client_id="throughline-policy", access=commands_access())
    await log.start()
    try:
        return await calls_in(log, since_ms, progress)
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await log.close()


async def calls_in(log: Log, since_ms: int, progress: Progress) -> list[Call]:
    """Those of a log, each once, in order of time: as its first screening recorded it."""
    told: list[screening_pb2.Screening] = []

    def take(records: Sequence[Record]) -> None:
        for record in records:
            with contextlib.suppress(Unreadable):
                screening = screenings.read(record.value)
                if screening.inputs and not screening.test and not screening.shadow:
                    told.append(screening)
        progress.come(lambda: f"{len(told):,} screenings are read")

    await read_to_end(log, Topic.SCREENINGS, take, since_ms)
    told.sort(key=lambda each: (each.at_ms, each.call_id, each.leg, each.firewall))
    first: dict[str, screening_pb2.Screening] = {}
    for each in told:
        first.setdefault(each.call_id, each)
    return list(map(call_of, first.values()))


def call_of(told: screening_pb2.Screening) -> Call:
    """The call that a screening recorded."""
    first = told.first_call if told.HasField("first_call") else None
    return of_record(told.call_id, told.leg, told.at_ms, screenings.inputs_of(told), first)
