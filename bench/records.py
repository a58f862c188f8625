"""How many records each side wrote, read from Kafka's own offsets: the proof that both sides append as much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

PARTITIONS = 6
"""As `services/journal/topics` has it for every topic counted here."""


async def create_topics(kafka: str, names: Sequence[str], *, log_append_time: Sequence[str] = ()) -> None:
    """Creates topics as large as the services' own; one that is there already stays."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        topics = [
            NewTopic(
                name,
                PARTITIONS,
                1,
                topic_configs={"message.timestamp.type": "LogAppendTime"} if name in log_append_time else {},
            )
            for name in names
        ]
        answer = await admin.create_topics(topics, timeout_ms=10_000)
        for name, code, *_ in answer.topic_errors:
            error = for_code(code)
            if code and error.__name__ != "TopicAlreadyExistsError":
                raise SystemExit(f"Kafka at {kafka} did not create the topic {name}: {error.__name__}")
    finally:
        await admin.close()


class Tally:
    """Counts the records of topics."""

    def __init__(self, kafka: str) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, request_timeout_ms=5_000)

    async def start(self) -> None:
        """Connects."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Lets go."""
        await self._consumer.stop()

    async def count(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Records ever written, by topic."""
        partitions = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        ends = await self._consumer.end_offsets(partitions)
        return {topic: sum(ends[TopicPartition(topic, number)] for number in range(PARTITIONS)) for topic in topics}
