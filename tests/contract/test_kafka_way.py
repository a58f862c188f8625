"""What a way into Kafka tells of itself: what an ACL forbids for as long as that is so, and all else beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from services.journal import Topic, Unavailable, Unknown
from services.journal.kafka_way import FORBIDDEN_TOLD_S, Way
from simulator.virtual_loop import run_virtual

SILENT_S = 1.0


class Cluster:
    """One partition for each topic, all led by the same broker."""

    def topics(self) -> set[str]:
        return {str(topic) for topic in Topic}

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0}

    available_partitions_for_topic = partitions_for_topic

    def leader_for_partition(self, _: Any) -> int:
        return 1


class Producer:
    """Takes every record; `answers` says what comes of it, by topic: nothing where there is no entry."""

    def __init__(self) -> None:
        self.client = self
        self.cluster = Cluster()
        self.answers: dict[str, Exception | None] = {}

    async def send(self, topic: str, value: bytes, key: bytes, *, partition: int) -> asyncio.Future[None]:
        handed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if topic in self.answers:
            answer = self.answers[topic]
            handed.set_result(None) if answer is None else handed.set_exception(answer)
        return handed


def play(scene: Callable[[Producer, Way], Awaitable[None]]) -> None:
    """Under virtual time."""

    async def main() -> None:
        producer = Producer()
        await scene(producer, Way(cast(Any, producer), 5.0, lambda _, __: None))

    run_virtual(main(), limit_s=600)


async def said(way: Way, topic: Topic) -> BaseException | None:
    (trouble,) = await asyncio.gather(way.append(topic, "key", b"", None), return_exceptions=True)
    return trouble


def test_what_is_forbidden_is_told_until_it_is_written_or_nobody_has_tried_for_long() -> None:
    """Only a try says whether it still is: whoever gave up trying is not kept unwell by what Kafka said once."""

    async def scene(producer: Producer, way: Way) -> None:
        producer.answers = {"deliveries": TopicAuthorizationFailedError("deliveries")}
        for _ in range(30):
            assert isinstance(await said(way, Topic.DELIVERIES), Unavailable)
            await asyncio.sleep(1.0)
            assert "deliveries: no ACL" in (way.trouble(SILENT_S) or "")
        await asyncio.sleep(FORBIDDEN_TOLD_S)
        assert way.trouble(SILENT_S) is None
        await said(way, Topic.DELIVERIES)
        assert way.trouble(SILENT_S) is not None
        producer.answers = {"deliveries": None}
        assert await said(way, Topic.DELIVERIES) is None
        assert way.trouble(SILENT_S) is None

    play(scene)


@pytest.mark.parametrize("failed", [False, True])
def test_what_is_forbidden_hides_no_other_trouble(failed: bool) -> None:
    """Neither another topic's, nor that another is forbidden too."""

    async def scene(producer: Producer, way: Way) -> None:
        refusal = TopicAuthorizationFailedError("x")
        producer.answers = {"deliveries": refusal, "policy": refusal}
        await said(way, Topic.DELIVERIES)
        await said(way, Topic.POLICY)
        if failed:
            producer.answers["routings"] = KafkaConnectionError("cut")
            assert isinstance(await said(way, Topic.ROUTINGS), Unknown)
        else:
            way.append(Topic.ROUTINGS, "key", b"", None)
            await asyncio.sleep(2.0)
        trouble = way.trouble(SILENT_S) or ""
        for part in ("deliveries: no ACL", "policy: no ACL", "routings/0"):
            assert part in trouble

    play(scene)
