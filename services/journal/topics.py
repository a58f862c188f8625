"""The topics as data: how many partitions, what is kept and for how long.

`kafka_topics.apply` makes a cluster agree with this table; both backends read the number of partitions from it, so
that a test on the memory log meets the same partitions as production.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from services.journal import Rejected, Topic

DAY_MS = 24 * 60 * 60 * 1000
BATCH_BYTES_SPARE = 512 * 1024  # room for the key and for the other records of a batch


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What one topic should be.

    A compacted topic keeps the newest record of each key for ever and has no retention.
    A record whose value is larger than `value_bytes_max` is rejected before it is sent: a broker's refusal would cost
    the producer its place in the sequence.
    """

    topic: Topic
    partitions: int
    retention_ms: int | None
    log_append_time: bool = False
    value_bytes_max: int = 512 * 1024

    @property
    def compacted(self) -> bool:
        """Whether only the newest record of each key matters."""
        return self.retention_ms is None

    @property
    def batch_bytes_max(self) -> int:
        """The largest batch that a broker takes."""
        return self.value_bytes_max + BATCH_BYTES_SPARE

    @property
    def config(self) -> dict[str, str]:
        """The settings as Kafka spells them."""
        settings = {
            "message.timestamp.type": "LogAppendTime" if self.log_append_time else "CreateTime",
            "max.message.bytes": str(self.batch_bytes_max),
        }
        if self.retention_ms is None:
            return settings | {"cleanup.policy": "compact"}
        return settings | {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


# `calls` outlives the longest callback by far; its timestamps are the broker's own because "late" is measured in them
# (T2). A compacted topic has one partition: it is small, each reader needs the whole, and one order of all its
# records is simplest.
TOPICS: Mapping[Topic, TopicSpec] = MappingProxyType(
    {
        spec.topic: spec
        for spec in (
            TopicSpec(Topic.CALLS, partitions=6, retention_ms=30 * DAY_MS, log_append_time=True),
            TopicSpec(Topic.SCREENINGS, partitions=6, retention_ms=7 * DAY_MS),
            TopicSpec(Topic.ROUTINGS, partitions=6, retention_ms=7 * DAY_MS),
            TopicSpec(Topic.DELIVERIES, partitions=6, retention_ms=7 * DAY_MS),
            # Whatever the transport lets through (P6: 16 MiB) is kept.
            TopicSpec(Topic.CALLS_UNREADABLE, partitions=6, retention_ms=7 * DAY_MS, value_bytes_max=16 * 1024 * 1024),
            TopicSpec(Topic.PSAP_STATUS, partitions=1, retention_ms=None),
            TopicSpec(Topic.ROUTING, partitions=1, retention_ms=None),
            TopicSpec(Topic.POLICY, partitions=1, retention_ms=None),
        )
    }
)


def replication_factor(brokers: int) -> int:
    """How many copies of each record: three where there are three brokers, else as many as there are."""
    return min(3, brokers)


def in_sync_replicas_min(brokers: int) -> int:
    """How many copies an acknowledgement stands for: two of three, so that one broker may be gone."""
    return 2 if replication_factor(brokers) == 3 else 1


def too_large(topic: Topic, value: bytes) -> Rejected:
    """What every backend answers to a value over its topic's limit."""
    return Rejected(f"{topic}: expected at most {TOPICS[topic].value_bytes_max} bytes; came {len(value)}")
