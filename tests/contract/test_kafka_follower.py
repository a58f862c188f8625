"""A follower of Kafka outlives whatever comes out of the client library, and says so; only its stop ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.structs import OffsetAndTimestamp

from services.journal import Record, Topic
from services.journal.kafka_follower import KafkaFollower
from simulator.virtual_loop import run_virtual

PLACE = TopicPartition("calls", 0)


class Landed:
    """A record as aiokafka gives it."""

    partition, key, timestamp = 0, b"a", 1

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.value = b"%d" % offset


class Broker:
    """One partition behind consumers that fail as they are told; answers are empty while there is nothing new.

    `wrong`: by method, what comes out of it, one after the other, each once. `gone`: nothing answers any more, and a
    consumer that is stopped then ends with the CancelledError of a task of its own, as aiokafka's does.
    """

    def __init__(self, **wrong: Iterable[BaseException]) -> None:
        self.ends_at = 3
        self.gone = False
        self.made = 0
        self.wrong = {name: list(errors) for name, errors in wrong.items()}

    def consumer(self, bootstrap: str, client_id: str) -> Any:
        """Given to a follower in place of the client library."""
        self.made += 1
        return Consumer(self)

    def meets(self, name: str) -> None:
        """What goes wrong in this method now."""
        if self.wrong.get(name):
            raise self.wrong[name].pop(0)


class Consumer:
    """As much of aiokafka's consumer as a follower uses."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._client = self
        self._conns: dict[str, object] = {}
        self._at = 0
        self._answered_ms = 0
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        self._broker.meets("start")
        if self._broker.gone:
            raise KafkaError("nobody answers")

    async def stop(self) -> None:
        self._stopped.set()
        self._broker.meets("stop")
        if self._broker.gone:
            raise asyncio.CancelledError

    async def _wait_on_metadata(self, topic: str) -> set[int]:
        self._broker.meets("metadata")
        return {0}

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {PLACE: self._broker.ends_at}

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {PLACE: 0}

    async def offsets_for_times(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, OffsetAndTimestamp]:
        return {PLACE: OffsetAndTimestamp(0, 0)}

    def assign(self, places: list[TopicPartition]) -> None:
        assert places == [PLACE]

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._at = offset

    async def position(self, place: TopicPartition) -> int:
        self._broker.meets("position")
        return self._at

    def last_poll_timestamp(self, place: TopicPartition) -> int:
        return self._answered_ms

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Landed]]:
        self._broker.meets("getmany")
        if self._at == self._broker.ends_at or self._broker.gone:
            await asyncio.wait({asyncio.ensure_future(self._stopped.wait())}, timeout=timeout_ms / 1000)
        if self._broker.gone:
            return {}
        self._answered_ms += 1
        landed = [Landed(offset) for offset in range(self._at, self._broker.ends_at)]
        self._at = self._broker.ends_at
        return {PLACE: landed} if landed else {}


class Reader:
    """A follower of that broker with whoever reads it, and all that the loop was told."""

    def __init__(self, broker: Broker) -> None:
        self.offsets: list[int] = []
        self.told: list[BaseException] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.told.append(context["exception"]))
        self.follower = KafkaFollower(
            "broker:1", "test", Topic.CALLS, None, None, lambda _: None, consumer_of=broker.consumer
        )

    async def start(self) -> None:
        await self.follower.start()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for batch in self.follower:
            self._take(batch)

    def _take(self, batch: list[Record]) -> None:
        self.offsets += [record.offset for record in batch]

    async def stop(self) -> None:
        """It ends by the stop and by nothing before."""
        assert not self.task.done()
        await self.follower.stop()
        await asyncio.wait_for(self.task, 5)


def play(scene: Callable[[Broker, Reader], Coroutine[Any, Any, None]], **wrong: Iterable[BaseException]) -> None:
    async def staged() -> None:
        broker = Broker(**wrong)
        reader = Reader(broker)
        await reader.start()
        await scene(broker, reader)
        await reader.stop()

    run_virtual(staged(), limit_s=600)


@pytest.mark.parametrize("gone_s", [3.0, 12.0, 60.0])
def test_a_follower_reads_on_within_seconds_of_a_kafka_that_was_gone_for_long(gone_s: float) -> None:
    """J7: after 10 s without an answer its consumer is replaced, and what comes out of the old one's end stays there.

    That is a CancelledError of the consumer's own. In the reader's task it would pass for a cancel of the reader.
    """

    async def scene(broker: Broker, reader: Reader) -> None:
        await asyncio.sleep(1)
        broker.gone = True
        await asyncio.sleep(gone_s)
        broker.gone = False
        broker.ends_at = 5
        await asyncio.sleep(1.6)
        assert reader.offsets == [0, 1, 2, 3, 4]
        assert (broker.made > 1) == (gone_s > 10)
        assert reader.follower.health() is None
        assert reader.told == []  # an absence is no mistake

    play(scene)


@pytest.mark.parametrize("method", ["start", "metadata", "getmany", "position", "stop"])
@pytest.mark.parametrize("mistake", [asyncio.CancelledError(), RuntimeError("x"), KeyError("x")], ids=repr)
def test_whatever_comes_out_of_the_client_library_costs_a_connection_and_is_told(
    method: str, mistake: BaseException
) -> None:
    """J7: nothing is skipped and nothing read twice, and the reader goes on."""

    async def scene(broker: Broker, reader: Reader) -> None:
        await asyncio.sleep(2)
        broker.ends_at = 5
        await asyncio.sleep(2)
        assert reader.offsets == [0, 1, 2, 3, 4]
        assert reader.told == [mistake]
        assert broker.made == 2
        assert reader.follower.health() is None
        assert reader.follower.caught_up.is_set()

    if method == "stop":  # of a consumer that is replaced for another reason
        told_of: dict[str, list[BaseException]] = {"stop": [KeyError("lost")], "getmany": [mistake]}
        play(scene, **told_of)
    else:
        play(scene, **{method: [mistake]})


def test_what_fails_at_once_each_time_is_tried_again_with_growing_pauses() -> None:
    """A record that the library cannot read must not cost a core."""

    async def scene(broker: Broker, reader: Reader) -> None:
        await asyncio.sleep(60)
        assert 55 < broker.made < 70
        assert "corrupt" in (reader.follower.health() or "")
        broker.wrong.clear()
        await asyncio.sleep(1.6)
        assert reader.offsets == [0, 1, 2]

    play(scene, getmany=[KafkaError("corrupt") for _ in range(1000)])


@pytest.mark.parametrize("method", ["metadata", "getmany"])
def test_a_refusal_to_read_is_said_in_words_and_ends_with_a_right_given_later(method: str) -> None:
    """A name may describe a topic and not read it, or neither."""

    async def scene(broker: Broker, reader: Reader) -> None:
        await asyncio.sleep(60)
        assert reader.follower.health() == "calls: no ACL of Kafka's lets us read there (docs/firewall.md)"
        broker.wrong.clear()
        await asyncio.sleep(1.6)
        assert reader.offsets == [0, 1, 2]
        assert reader.follower.health() is None
        assert reader.told == []

    play(scene, **{method: [TopicAuthorizationFailedError({"calls"}) for _ in range(1000)]})


@pytest.mark.parametrize("gone", [False, True])
def test_who_cancels_a_reader_or_an_opening_has_their_way(gone: bool) -> None:
    """A process that ends cancels its tasks; none of them may go on."""

    async def scene() -> None:
        broker = Broker()
        broker.gone = gone
        reader = Reader(broker)
        await reader.start()
        await asyncio.sleep(0.1)
        reader.task.cancel()
        await asyncio.wait({reader.task}, timeout=5)
        assert reader.task.cancelled()
        await reader.follower.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert reader.told == []

    run_virtual(scene())
