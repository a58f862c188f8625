"""Makes a Kafka cluster agree with the table of topics, and says where it does not.

What is missing is created. What differs is reported, never changed: to shorten retention or to alter a topic's
timestamps under live calls is a person's decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from services.journal import Topic, Unavailable
from services.journal.kafka_access import PLAIN_TEXT, Access
from services.journal.kafka_refusal import why_not
from services.journal.topics import TOPICS, TopicSpec, in_sync_replicas_min, replication_factor

REQUEST_TIMEOUT_MS = 5_000
LED_LIMIT_MS = 20_000
EXISTS_ALREADY = 36


@dataclass(frozen=True, slots=True)
class Difference:
    """Something about a topic that is not as the table wants it."""

    topic: Topic
    what: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"{self.topic}: expected {self.what} {self.expected}, came {self.came}"


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did and what it found."""

    created: tuple[Topic, ...]
    differences: tuple[Difference, ...]


async def apply(bootstrap: str, access: Access = PLAIN_TEXT) -> Applied:
    """Create the topics that are missing and compare the others.

    Raises `Unavailable` when the cluster does not answer.
    """
    try:
        async with admin_client(bootstrap, access) as admin:
            brokers = len((await admin.describe_cluster())["brokers"])
            there = await _described(admin)
            missing = [spec for topic, spec in TOPICS.items() if topic not in there]
            created = await _create(admin, missing, brokers)
            await _until_led(bootstrap, access, missing)
            found = [d for topic in there for d in compare_layout(TOPICS[topic], there[topic], brokers)]
            found += await compare_configs(admin, [TOPICS[topic] for topic in there])
            return Applied(created, tuple(found))
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(await why_not(bootstrap, access, error)) from error


async def _until_led(bootstrap: str, access: Access, specs: list[TopicSpec]) -> None:
    """Wait until each partition answers: a topic is created before its leaders know of it, and appends would wait."""
    if not specs:
        return  # and a consumer that is stopped as soon as it was started raises CancelledError
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id="throughline-topics",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=LED_LIMIT_MS,
        **access.client_options(),
    )
    try:
        await consumer.start()
        await consumer.end_offsets([TopicPartition(str(s.topic), n) for s in specs for n in range(s.partitions)])
    finally:
        await consumer.stop()


async def count_brokers(address: str) -> int:
    """How many brokers the broker at an address counts in its cluster; 0 when it does not answer."""
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        async with admin_client(address) as admin:
            return len((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError, TimeoutError):
        return 0


@asynccontextmanager
async def admin_client(bootstrap: str, access: Access = PLAIN_TEXT) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, started, and closed at the end."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap,
        client_id="throughline-topics",
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        **access.client_options(),
    )
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _described(admin: AIOKafkaAdminClient) -> dict[Topic, list[list[int]]]:
    """The replicas of each partition, for those of our topics that exist."""
    known = {str(topic) for topic in Topic}
    return {
        Topic(entry["topic"]): [partition["replicas"] for partition in entry["partitions"]]
        for entry in await admin.describe_topics()
        if entry["topic"] in known and entry["error_code"] == 0
    }


async def _create(admin: AIOKafkaAdminClient, specs: list[TopicSpec], brokers: int) -> tuple[Topic, ...]:
    if not specs:
        return ()
    in_sync = {"min.insync.replicas": str(in_sync_replicas_min(brokers))}
    response = await admin.create_topics(
        [
            NewTopic(str(spec.topic), spec.partitions, replication_factor(brokers), topic_configs=spec.config | in_sync)
            for spec in specs
        ]
    )
    created = []
    for name, code, *message in response.topic_errors:
        if code == 0:
            created.append(Topic(name))
        elif code != EXISTS_ALREADY:  # somebody else created it meanwhile
            raise Unavailable(f"topic {name} was not created: {for_code(code).__name__} {message}")
    return tuple(created)


def compare_layout(spec: TopicSpec, partitions: list[list[int]], brokers: int) -> list[Difference]:
    """Partitions and copies; `partitions` has the replicas of each."""
    found = []
    if len(partitions) != spec.partitions:
        found.append(Difference(spec.topic, "partitions", str(spec.partitions), str(len(partitions))))
    copies = min(len(replicas) for replicas in partitions)
    if copies < replication_factor(brokers):
        found.append(Difference(spec.topic, "copies of each record", str(replication_factor(brokers)), str(copies)))
    return found


async def compare_configs(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> list[Difference]:
    """The settings of topics that exist."""
    if not specs:
        return []
    resources = [ConfigResource(ConfigResourceType.TOPIC, str(spec.topic)) for spec in specs]
    found = []
    for response in await admin.describe_configs(resources):
        for code, _message, _kind, name, entries in response.resources:
            if code != 0:
                raise for_code(code)(name)
            settings = {entry[0]: entry[1] for entry in entries}
            expected = TOPICS[Topic(name)].config
            found += [
                Difference(Topic(name), key, value, str(settings.get(key)))
                for key, value in expected.items()
                if settings.get(key) != value
            ]
    return found
