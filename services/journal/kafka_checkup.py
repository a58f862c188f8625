"""Looks at a Kafka cluster for the doctor and changes nothing: brokers, topics, copies; one probe for its clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from services.journal import Topic, Unavailable
from services.journal.kafka_access import PLAIN_TEXT, Access
from services.journal.kafka_refusal import why_not
from services.journal.kafka_topics import (
    REQUEST_TIMEOUT_MS,
    Difference,
    admin_client,
    compare_configs,
    compare_layout,
)
from services.journal.topics import TOPICS, in_sync_replicas_min, replication_factor

PROBE_TOPIC: Final = "doctor"
_HOUR_MS: Final = 60 * 60 * 1000
_CONNECT_S: Final = 2.0
_PROBE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a cluster is like. `brokers` are host:port: those that the cluster counts and those that were asked for."""

    brokers: tuple[str, ...]
    answering: tuple[str, ...]
    topics: int
    partitions: int
    missing: tuple[Topic, ...]
    differences: tuple[Difference, ...]
    short: tuple[str, ...]
    """One line for each partition that has fewer copies in sync than it should."""


async def look(bootstrap: str, access: Access = PLAIN_TEXT) -> Seen:
    """Describes brokers and our topics; raises Unavailable when no broker answers."""
    try:
        async with admin_client(bootstrap, access) as admin:
            members = (await admin.describe_cluster())["brokers"]
            entries = {entry["topic"]: entry for entry in await admin.describe_topics() if entry["error_code"] == 0}
            ours = {topic: entries[str(topic)]["partitions"] for topic in TOPICS if str(topic) in entries}
            found = [
                difference
                for topic, partitions in ours.items()
                for difference in compare_layout(
                    TOPICS[topic], [partition["replicas"] for partition in partitions], len(members)
                )
            ]
            found += await compare_configs(admin, [TOPICS[topic] for topic in ours])
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(await why_not(bootstrap, access, error)) from error
    counted = [f"{member['host']}:{member['port']}" for member in members]
    asked = [server.strip() for server in bootstrap.split(",")]
    brokers = tuple(dict.fromkeys([*counted, *asked]))
    answers = await asyncio.gather(*(_answers(address) for address in brokers))
    return Seen(
        brokers=brokers,
        answering=tuple(address for address, answered in zip(brokers, answers, strict=True) if answered),
        topics=len(ours),
        partitions=sum(len(partitions) for partitions in ours.values()),
        missing=tuple(topic for topic in TOPICS if topic not in ours),
        differences=tuple(found),
        short=tuple(_short(ours)),
    )


async def probe(bootstrap: str, access: Access = PLAIN_TEXT) -> int:
    """Has one record kept by every in-sync copy; returns the broker's time of it in milliseconds.

    It goes to a topic of its own, made where it is missing, which forgets after an hour. Raises Unavailable.
    """
    try:
        async with asyncio.timeout(_PROBE_S):
            await _make_probe_topic(bootstrap, access)
            producer = AIOKafkaProducer(
                bootstrap_servers=bootstrap,
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                **access.client_options(),
            )
            await producer.start()
            try:
                kept = await producer.send_and_wait(PROBE_TOPIC, b"probe")
            finally:
                await producer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"expected a record to be kept within {_PROBE_S:.0f} s; came {error!r}") from error
    return int(kept.timestamp)


async def _make_probe_topic(bootstrap: str, access: Access) -> None:
    async with admin_client(bootstrap, access) as admin:
        if PROBE_TOPIC in await admin.list_topics():
            return
        brokers = len((await admin.describe_cluster())["brokers"])
        configs = {
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(_HOUR_MS),
            "min.insync.replicas": str(in_sync_replicas_min(brokers)),
        }
        await admin.create_topics([NewTopic(PROBE_TOPIC, 1, replication_factor(brokers), topic_configs=configs)])


async def _answers(address: str) -> bool:
    """Whether something listens there."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _short(ours: Mapping[Topic, Iterable[Mapping[str, Any]]]) -> Iterable[str]:
    for topic, partitions in ours.items():
        for each in partitions:
            wanted, there = len(each["replicas"]), len(each["isr"])
            if there < wanted:
                yield f"{topic} partition {each['partition']}: {there} of {wanted} copies are in sync"
