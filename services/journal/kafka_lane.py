"""One producer and the appends on their way through it.

aiokafka's idempotent producer retries for ever, stays broken after one error in its sequence numbers, and does not
stop while there is something that it cannot deliver. So each append has a deadline here, and a producer that misses
one or reports an error is given up and replaced; what it had not delivered ends as `Unknown`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.journal import Topic, Unavailable, Unknown
from services.journal.topics import TOPICS, too_large

REQUEST_TIMEOUT_MS = 2_000
METADATA_MAX_AGE_MS = 10_000
BATCH_BYTES_MAX = 256 * 1024
CONNECT_LIMIT_S = 5.0
START_PATIENCE_S = 2.0
PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 2.0
UNANSWERED_S = 1.0


class _Sent:
    """An append that was handed to a producer. `acked` is the caller's."""

    __slots__ = ("acked", "gives_up_at")

    def __init__(self, acked: asyncio.Future[None], gives_up_at: float) -> None:
        self.acked = acked
        self.gives_up_at = gives_up_at


class Lane:
    """A way into Kafka for some topics."""

    def __init__(self, bootstrap: str, client_id: str, topics: Sequence[Topic], deadline_s: float) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._topics = [str(topic) for topic in topics]
        self._deadline_s = deadline_s
        self._producer: AIOKafkaProducer | None = None
        self._reason: str | None = f"not connected yet to {bootstrap}"
        self._tried = asyncio.Event()
        self._broken = asyncio.Event()
        self._sent: deque[_Sent] = deque()  # in the order of their deadlines
        self._deadline: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, in the background if it takes longer than a moment."""
        self._running = asyncio.get_running_loop().create_task(self._run(), name=f"kafka {self._client_id}")
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                await self._tried.wait()
        except TimeoutError:
            pass  # health() says so

    def append(self, topic: Topic, key: str, value: bytes) -> asyncio.Future[None]:
        """See `Log.append`. No task and no waiting: the producer takes the record at once, or it is not available."""
        loop = asyncio.get_running_loop()
        acked: asyncio.Future[None] = loop.create_future()
        producer = self._producer
        if len(value) > TOPICS[topic].value_bytes_max:
            acked.set_exception(too_large(topic, value))
        elif producer is None:
            acked.set_exception(Unavailable(self._reason or "the producer is being replaced"))
        elif producer.client.cluster.partitions_for_topic(topic) is None:
            producer.client.force_metadata_update()
            acked.set_exception(Unavailable(f"topic {topic} is missing; run `throughline topics apply`"))
        else:
            try:
                handed = _hand_over(producer, topic, key, value)
            except KafkaError as error:  # its sender has ended
                self._give_up(producer, f"the producer refuses records ({error!r})")
                acked.set_exception(Unavailable(f"the producer refuses records ({error!r})"))
                return acked
            if handed is None:
                acked.set_exception(Unavailable(f"a partition of {topic} is behind: its batch is full"))
                return acked
            sent = _Sent(acked, loop.time() + self._deadline_s)
            self._sent.append(sent)
            handed.add_done_callback(partial(self._answered, producer, sent))
            if self._deadline is None:
                self._deadline = loop.call_at(sent.gives_up_at, self._end_deadlines)
        return acked

    def health(self) -> str | None:
        """None when well, else the reason in one line."""
        if self._reason is None and self._sent:
            waited_s = asyncio.get_running_loop().time() - self._sent[0].gives_up_at + self._deadline_s
            if waited_s > UNANSWERED_S and not self._sent[0].acked.done():
                return f"appends to {self._bootstrap} are unanswered for {waited_s:.1f} s"
        return self._reason

    async def close(self) -> None:
        """Let go of Kafka. What is on its way is unknown."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        if self._deadline is not None:
            self._deadline.cancel()
        self._reason = "closed"
        self._lose_sent("the log was closed")

    def _answered(self, producer: AIOKafkaProducer, sent: _Sent, handed: asyncio.Future[object]) -> None:
        error = "cancelled" if handed.cancelled() else handed.exception()
        if error is not None:
            self._give_up(producer, f"an append failed ({error!r})")
        if not sent.acked.done():
            if error is None:
                sent.acked.set_result(None)
            else:
                sent.acked.set_exception(Unknown(f"no acknowledgement: {error!r}; the record may land later"))
        while self._sent and self._sent[0].acked.done():
            self._sent.popleft()

    def _end_deadlines(self) -> None:
        self._deadline = None
        loop = asyncio.get_running_loop()
        while self._sent and self._sent[0].acked.done():
            self._sent.popleft()
        if not self._sent:
            return
        if self._sent[0].gives_up_at > loop.time():
            self._deadline = loop.call_at(self._sent[0].gives_up_at, self._end_deadlines)
            return
        reason = f"no acknowledgement within {self._deadline_s} s"
        self._lose_sent(reason)
        if self._producer is not None:
            self._give_up(self._producer, reason)

    def _lose_sent(self, reason: str) -> None:
        for sent in self._sent:
            if not sent.acked.done():
                sent.acked.set_exception(Unknown(f"{reason}; the record may land later"))
        self._sent.clear()

    def _give_up(self, producer: AIOKafkaProducer, reason: str) -> None:
        """Replace a producer, unless it is replaced already."""
        if producer is self._producer:
            self._producer = None
            self._reason = f"{self._bootstrap}: {reason}"
            self._broken.set()

    async def _run(self) -> None:
        """Have a producer, always: connect, wait until it is broken, and again."""
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                producer = await self._connected()
            except (KafkaError, OSError, TimeoutError) as error:
                self._reason = f"no broker answers at {self._bootstrap} ({error!r})"
                self._tried.set()
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
                continue
            pause_s = PAUSE_FIRST_S
            self._broken.clear()
            self._producer, self._reason = producer, None
            self._tried.set()
            try:
                await self._broken.wait()
            finally:
                self._producer = None
                await _abandon(producer)

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,  # a retried batch is written once
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=max(spec.batch_bytes_max for spec in TOPICS.values()),
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=50,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await producer.start()
                await producer.client.set_topics(self._topics)
        except BaseException:
            await _abandon(producer)
            raise
        return producer


def _hand_over(producer: AIOKafkaProducer, topic: Topic, key: str, value: bytes) -> asyncio.Future[object] | None:
    """Put a record into the producer's batch; None if there was no room.

    `send` is a coroutine only because it may have to wait for metadata or for room. We looked for the first and do not
    want to wait for the second, so it is run to its end at once, without a task. Closed while it waits, it has put
    nothing anywhere.
    """
    sending = producer.send(str(topic), value, key.encode())
    try:
        sending.send(None)
    except StopIteration as ended:
        handed: asyncio.Future[object] = ended.value
        return handed
    sending.close()
    return None


async def _abandon(producer: AIOKafkaProducer) -> None:
    """End a producer without waiting for what it cannot deliver, which `stop` alone would do for ever.

    Its sender ends on a second cancellation: the first one makes it wait for its requests.
    """
    sender = producer._sender.sender_task
    while sender is not None and not sender.done():
        sender.cancel()
        await asyncio.wait({sender}, timeout=0.05)
    producer._message_accumulator.fail_all(KafkaError("the producer was given up"))
    await producer.stop()
