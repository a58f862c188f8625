"""What firewalls recorded of calls, read from `screenings`, to be replayed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence

from services.journal import Log, Record, Topic
from services.policy.attributes import Value
from services.policy.replays.difference import Call
from services.policy.replays.retelling import of_records
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
    told: list[tuple[str, int, Mapping[str, Value]]] = []

    def take(records: Sequence[Record]) -> None:
        for record in records:
            with contextlib.suppress(Unreadable):
                screening = screenings.read(record.value)
                if screening.inputs and not screening.test and not screening.shadow:
                    told.append((screening.call_id, screening.at_ms, screenings.inputs_of(screening)))
        progress.come(lambda: f"{len(told):,} screenings are read")

    await read_to_end(log, Topic.SCREENINGS, take, since_ms)
    told.sort(key=lambda each: (each[1], each[0]))
    first: dict[str, tuple[str, int, Mapping[str, Value]]] = {}
    for each in told:
        first.setdefault(each[0], each)
    return list(of_records(first.values()))
