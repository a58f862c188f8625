"""A way into Kafka for some topics, always: connects, replaces a producer that is worn out, and says what is wrong.

Nothing ends this but `close`: an error that nobody thought of is told to the loop's exception handler, and the lane
connects anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.journal import Topic, Unavailable
from services.journal.kafka_access import Access
from services.journal.kafka_patience import teach_patience
from services.journal.kafka_refusal import why_not
from services.journal.kafka_way import Way, end
from services.journal.topics import TOPICS, too_large

REQUEST_TIMEOUT_MS: Final = 2_000
METADATA_MAX_AGE_MS: Final = 10_000
BATCH_BYTES_MAX: Final = 256 * 1024
CONNECT_LIMIT_S: Final = 5.0
START_PATIENCE_S: Final = 2.0
PAUSE_FIRST_S: Final = 0.1
PAUSE_MAX_S: Final = 1.0
UNANSWERED_S: Final = 1.0


class Lane:
    """See the module. `deadline_s`: after it an append is unknown."""

    def __init__(
        self, bootstrap: str, client_id: str, topics: Sequence[Topic], deadline_s: float, access: Access
    ) -> None:
        self._bootstrap = bootstrap
        self._access = access
        self._client_id = client_id
        self._topics = [str(topic) for topic in topics]
        self._deadline_s = deadline_s
        self._way: Way | None = None
        self._reason: str | None = f"not connected yet to {bootstrap}"
        self._tried = asyncio.Event()
        self._replace = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect, in the background if it takes longer than a moment."""
        self._running = asyncio.get_running_loop().create_task(self._run(), name=f"kafka {self._client_id}")
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                await self._tried.wait()
        except TimeoutError:
            pass  # health() says so

    def append(self, topic: Topic, key: str, value: bytes, partition: int | None = None) -> asyncio.Future[None]:
        """See `Log.append`."""
        if len(value) <= TOPICS[topic].value_bytes_max and self._way is not None:
            return self._way.append(topic, key, value, partition)
        acked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._way is None and len(value) <= TOPICS[topic].value_bytes_max:
            acked.set_exception(Unavailable(self._reason or "the producer is being replaced"))
        else:
            acked.set_exception(too_large(topic, value))
        return acked

    def leader_of(self, topic: Topic, key: str) -> str:
        """See `Log.leader_of`."""
        return "" if self._way is None else self._way.leader_of(topic, key)

    def partitions(self, topic: Topic) -> range:
        """See `Log.partitions`."""
        there = 0 if self._way is None else self._way.partitions(topic)
        return range(there or TOPICS[topic].partitions)

    def health(self) -> str | None:
        """None when well, else the reason in one line."""
        if self._reason is None and self._way is not None:
            trouble = self._way.trouble(UNANSWERED_S)
            return None if trouble is None else f"{self._bootstrap}: {trouble}"
        return self._reason

    async def close(self) -> None:
        """Let go of Kafka. What is on its way is unknown."""
        tasks = {task for task in (self._running, *self._retiring) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        way, self._way, self._reason = self._way, None, "closed"
        if way is not None:
            await way.abandon("the log was closed")

    async def _run(self) -> None:
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                way = Way(await self._connected(), self._deadline_s, self._worn_out)
            except (KafkaError, OSError, TimeoutError) as error:
                self._failed(await why_not(self._bootstrap, self._access, error))
            except Exception as mistake:
                self._failed(f"{self._bootstrap}: a mistake of our own or of the client library ({mistake!r})")
                _tell(f"kafka {self._client_id}: connecting anew after a mistake", mistake)
            else:
                pause_s = PAUSE_FIRST_S
                worn_out, self._way, self._reason = self._way, way, None
                if worn_out is not None:
                    self._retire(worn_out)
                self._replace.clear()
                self._tried.set()
                await self._replace.wait()
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _failed(self, reason: str) -> None:
        self._tried.set()
        if self._way is None:
            self._reason = reason

    def _worn_out(self, way: Way, reason: str) -> None:
        """Replace a producer, unless it is replaced already; one that still serves is kept until the next is there."""
        if way is not self._way:
            return
        if way.dead:
            self._way = None
            self._reason = f"{self._bootstrap}: {reason}"
            self._retire(way)
        self._replace.set()

    def _retire(self, way: Way) -> None:
        retiring = asyncio.get_running_loop().create_task(way.retire(), name=f"kafka {self._client_id} retiring")
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retired)

    def _retired(self, task: asyncio.Task[None]) -> None:
        self._retiring.discard(task)
        if not task.cancelled() and (mistake := task.exception()) is not None:
            _tell(f"kafka {self._client_id}: a replaced producer did not end", mistake)

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
            **self._access.client_options(),
        )
        teach_patience(producer.client)
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await producer.start()
                await producer.client.set_topics(self._topics)
        except BaseException:
            await end(producer)
            raise
        return producer


def _tell(message: str, mistake: BaseException) -> None:
    """To the loop's exception handler, which logs it: a health line alone would go stale unseen."""
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": mistake})
