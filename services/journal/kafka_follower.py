"""Reads one topic of Kafka for ever, without a consumer group: a `Follower`.

Every partition is assigned, the place to begin is our own decision (protocol.md J7), and so is what happens when an
offset is no longer there: `auto_offset_reset` would jump over records, or back to the beginning, and tell nobody.

Only `stop` ends it, or a cancel of its reader. Whatever else comes out of the client library, a CancelledError of one
of its own tasks included, costs the connection and no more: a reader that ends unseen would leave a service deaf.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from services.journal import BATCH_RECORDS_MAX, Gap, Record, Topic
from services.journal.kafka_access import PAPER, PLAIN_TEXT, Access
from services.journal.kafka_ending import stop_client
from services.journal.kafka_patience import teach_patience

REQUEST_TIMEOUT_MS = 5_000
METADATA_MAX_AGE_MS = 10_000
FETCH_WAIT_MAX_MS = 500
CONNECT_LIMIT_S = 10.0
START_PATIENCE_S = 2.0
CLOSE_LIMIT_S = 3.0
PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 1.0
STALLED_S = 10.0


class KafkaFollower:
    """See `Follower`. `stalled_s`: a consumer without an answer for so long is replaced. `consumer_of` makes one."""

    def __init__(
        self,
        bootstrap: str,
        client_id: str,
        topic: Topic,
        since_ms: int | None,
        offsets: Mapping[int, int] | None,
        on_stop: Callable[[KafkaFollower], None],
        *,
        access: Access = PLAIN_TEXT,
        stalled_s: float = STALLED_S,
        consumer_of: Callable[[str, str], AIOKafkaConsumer] | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._topic = topic
        self._since_ms = since_ms
        self._wanted = dict(offsets or {})
        self._on_stop = on_stop
        self._stalled_s = stalled_s
        self._consumer_of = consumer_of or partial(_consumer, access)
        self._caught_up = asyncio.Event()
        self._gaps: list[Gap] = []
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._opening: asyncio.Task[AIOKafkaConsumer] | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._stopped = asyncio.Event()
        self._reason: str | None = None
        self._pause_s = 0.0  # before the next try; none while answers come
        self._polled = (0, 0.0)  # the newest answer that we know of, and when we saw it first

    @property
    def caught_up(self) -> asyncio.Event:
        """See `Follower.caught_up`."""
        return self._caught_up

    @property
    def positions(self) -> Mapping[int, int]:
        """See `Follower.positions`."""
        return self._positions

    @property
    def gaps(self) -> list[Gap]:
        """See `Follower.gaps`."""
        return self._gaps

    def health(self) -> str | None:
        """None when well, else the reason in one line."""
        return self._reason

    async def start(self) -> None:
        """See `Follower.start`. Waits a moment, so that what is appended after an ordinary start is surely read."""
        self._opening = self._begin_to_open()
        await asyncio.wait({self._opening}, timeout=START_PATIENCE_S)

    async def stop(self) -> None:
        """See `Follower.stop`."""
        self._stopped.set()
        self._on_stop(self)
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
            if not self._opening.cancelled():
                await _close(self._opening.result())
        if self._consumer is not None:
            await _close(self._consumer)

    async def __aiter__(self) -> AsyncIterator[list[Record]]:
        """See `Follower.__aiter__`."""
        while not self._stopped.is_set():
            assert self._opening is not None, "a follower is started before it is iterated, and iterated once"
            await asyncio.wait({self._opening})
            if self._stopped.is_set():
                return
            if not self._opening.cancelled():
                self._consumer = self._opening.result()
                self._opening = None
                try:
                    while not self._stopped.is_set():
                        await self._note_caught_up(self._consumer)
                        batch = await self._poll(self._consumer)
                        if batch:
                            yield batch
                            await asyncio.sleep(0)  # what the library has fetched, megabytes, it hands out unawaited
                except (Exception, asyncio.CancelledError) as error:
                    self._failed(error)
                finally:
                    await _close(self._consumer)
            if not self._stopped.is_set():
                self._opening = self._begin_to_open()

    def _failed(self, error: BaseException) -> None:
        """The next try comes after a pause. Whoever cancels the task in which this runs has their way."""
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise error
        if self._stopped.is_set():
            return  # a stop from outside ends a consumer in the middle of its work
        self._pause_s = min(max(self._pause_s * 2, PAUSE_FIRST_S), PAUSE_MAX_S)
        if isinstance(error, TopicAuthorizationFailedError):
            self._reason = f"{self._topic}: no ACL of Kafka's lets us read there ({PAPER})"
        else:
            self._reason = f"cannot read {self._topic} from {self._bootstrap} ({error!r})"
        if not isinstance(error, KafkaError | OSError):
            message = f"kafka {self._client_id} {self._topic}: connecting anew after a mistake"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})

    async def _poll(self, consumer: AIOKafkaConsumer) -> list[Record]:
        found = await consumer.getmany(timeout_ms=FETCH_WAIT_MAX_MS, max_records=BATCH_RECORDS_MAX)
        batch = [_record(self._topic, each) for records in found.values() for each in records]
        # All positions or none: a batch that comes to nothing on its way to the reader is read again.
        self._positions |= {each.partition: await consumer.position(each) for each in found}
        if batch:
            self._pause_s = 0.0
        else:
            self._note_silence(consumer)
        return batch

    def _note_silence(self, consumer: AIOKafkaConsumer) -> None:
        """Even an empty topic answers every half second. If no partition does, the connections are worth nothing."""
        now = asyncio.get_running_loop().time()
        newest = max((consumer.last_poll_timestamp(each) or 0 for each in consumer.assignment()), default=0)
        if newest != self._polled[0]:
            self._polled = (newest, now)
            self._reason = None
            self._pause_s = 0.0
        elif now - self._polled[1] > self._stalled_s:
            raise KafkaError(f"no answer for {self._stalled_s} s")

    async def _note_caught_up(self, consumer: AIOKafkaConsumer) -> None:
        """A consumer's position also passes offsets without a record, which compaction leaves behind."""
        if not self._caught_up.is_set():
            for number, end in self._ends.items():
                if await consumer.position(TopicPartition(str(self._topic), number)) < end:
                    return
            self._caught_up.set()

    def _begin_to_open(self) -> asyncio.Task[AIOKafkaConsumer]:
        return asyncio.get_running_loop().create_task(self._open(), name=f"kafka {self._client_id} {self._topic}")

    async def _open(self) -> AIOKafkaConsumer:
        """Try until it works, with growing pauses."""
        while True:
            await asyncio.sleep(self._pause_s)
            try:
                consumer = await self._opened()
            except (Exception, asyncio.CancelledError) as error:
                self._failed(error)
            else:
                self._reason = None
                self._polled = (0, asyncio.get_running_loop().time())
                return consumer

    async def _opened(self) -> AIOKafkaConsumer:
        consumer = self._consumer_of(self._bootstrap, f"{self._client_id}-{self._topic}")
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await consumer.start()
                await self._place(consumer)
        except BaseException:
            await _close(consumer)
            raise
        return consumer

    async def _place(self, consumer: AIOKafkaConsumer) -> None:
        """The ends first, then where to begin: what lands in between is then read, never skipped (J7)."""
        topic = str(self._topic)
        numbers = await consumer._client._wait_on_metadata(topic)  # the public calls answer None until somebody asked
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        places = {each: self._positions.get(each.partition, self._wanted.get(each.partition)) for each in partitions}
        if self._since_ms is not None and not self._positions:
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, self._since_ms))
            places = {each: ends[each] if at is None else at.offset for each, at in found.items()}
        consumer.assign(partitions)
        for each, wanted in places.items():
            place = begins[each] if wanted is None else wanted
            if not begins[each] <= place <= ends[each]:
                self._gaps.append(Gap(self._topic, each.partition, place, begins[each]))
                place = begins[each]
            consumer.seek(each, place)
            self._positions[each.partition] = place
        if not self._caught_up.is_set():
            self._ends = {each.partition: end for each, end in ends.items()}


def _consumer(access: Access, bootstrap: str, client_id: str) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_uncommitted",
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        retry_backoff_ms=50,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        fetch_max_wait_ms=FETCH_WAIT_MAX_MS,
        check_crcs=True,
        **access.client_options(),
    )
    teach_patience(consumer._client)
    return consumer


async def _close(consumer: AIOKafkaConsumer) -> None:
    """Closes it, within a limit, whatever comes out of that.

    A consumer whose broker is gone may end its own `stop` with the CancelledError of a task of its own. In the reader's
    task it would pass for a cancel of the reader, which then reads no more and tells nobody.
    """
    closing = await stop_client(consumer._client, consumer.stop())
    done, _ = await asyncio.wait({closing}, timeout=CLOSE_LIMIT_S)
    if not done:
        closing.cancel()
    elif not closing.cancelled():
        closing.exception()  # looked at: there is nothing to be done about it


def _record(topic: Topic, record: ConsumerRecord) -> Record:
    """A record as aiokafka gives it. A missing key or value, from a stranger, reads as an empty one."""
    key = (record.key or b"").decode(errors="replace")
    return Record(topic, record.partition, record.offset, key, record.value or b"", record.timestamp)
