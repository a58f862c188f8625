"""The log on Kafka: a `Log` over aiokafka, with every default that loses calls set on purpose.

The facts of calls have a producer of their own: one produce request is in flight for each broker, and a fact that
opens a debt must not wait behind a batch of screenings. Nothing here joins a consumer group (architecture.md: a queue
is where an emergency call dies unseen). When Kafka is absent, everything starts all the same and connects in the
background.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from services.journal import Follower, Topic
from services.journal.kafka_access import PLAIN_TEXT, Access
from services.journal.kafka_follower import KafkaFollower
from services.journal.kafka_lane import Lane
from services.journal.kafka_way import hash_of


class KafkaLog:
    """See `Log`. `bootstrap`: addresses with commas between them. `deadline_s`: after it an append is unknown."""

    def __init__(self, bootstrap: str, client_id: str, *, access: Access = PLAIN_TEXT, deadline_s: float = 5.0) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._access = access
        others = [topic for topic in Topic if topic is not Topic.CALLS]
        self._calls = Lane(bootstrap, f"{client_id}-calls", [Topic.CALLS], deadline_s, access)
        self._others = Lane(bootstrap, f"{client_id}-events", others, deadline_s, access)
        self._followers: set[KafkaFollower] = set()

    async def start(self) -> None:
        """See `Log.start`. Waits a moment for the first answer, so that an ordinary start begins durable."""
        await asyncio.gather(self._calls.start(), self._others.start())

    def append(self, topic: Topic, key: str, value: bytes, *, partition: int | None = None) -> asyncio.Future[None]:
        """See `Log.append`."""
        return self._lane(topic).append(topic, key, value, partition)

    def leader_of(self, topic: Topic, key: str) -> str:
        """See `Log.leader_of`."""
        return self._lane(topic).leader_of(topic, key)

    def partition_of(self, topic: Topic, key: str) -> int:
        """See `Log.partition_of`."""
        return hash_of(key.encode()) % len(self.partitions(topic))

    def partitions(self, topic: Topic) -> range:
        """See `Log.partitions`."""
        return self._lane(topic).partitions(topic)

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> Follower:
        """See `Log.follow`."""
        assert since_ms is None or offsets is None, "follow() takes an instant or offsets; both were given"
        follower = KafkaFollower(
            self._bootstrap,
            self._client_id,
            topic,
            since_ms,
            offsets,
            on_stop=self._followers.discard,
            access=self._access,
        )
        self._followers.add(follower)
        return follower

    def health(self) -> str | None:
        """See `Log.health`."""
        parts: list[Lane | KafkaFollower] = [self._calls, self._others, *self._followers]
        reasons = [reason for reason in (part.health() for part in parts) if reason is not None]
        return "; ".join(dict.fromkeys(reasons)) or None

    async def close(self) -> None:
        """See `Log.close`."""
        await asyncio.gather(self._calls.close(), self._others.close())

    def _lane(self, topic: Topic) -> Lane:
        return self._calls if topic is Topic.CALLS else self._others
