"""What was not built: the same stages as a chain of Kafka consumer groups, one topic a stage.

Two members serve each stage, so that another is there when one is killed. They are set as well as the broker allows:
the session timeout is its floor of 6 s (aiokafka's default is 10 s), heartbeats come each second. A killed member's
partitions still stand idle until its session runs out, and the calls in them wait, unseen.

`python -m bench.chain stage JSON` is a member of a stage; `... callers JSON` offers calls and hears of them at the end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from throughline.v1 import call_pb2

from bench.child import commands, run, say

STAGES = ("screen", "route", "deliver")
MEMBERS = 2
SESSION_TIMEOUT_MS = 6_000
LAST_CALL_WITHIN_S = 20.0
PARTITIONS = 6


def topic(stage_number: int) -> str:
    """What a stage reads; the number after the last stage's is what callers hear."""
    return f"chain-{stage_number}-{(*STAGES, 'connected')[stage_number]}"


async def _producer(kafka: str) -> Any:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=0, request_timeout_ms=5_000
    )
    await producer.start()
    return producer


async def stage(kafka: str, number: int) -> None:
    """Reads each call of its partitions and hands it to the next stage."""
    producer = await _producer(kafka)
    consumer = AIOKafkaConsumer(
        topic(number),
        bootstrap_servers=kafka,
        group_id=f"chain-{STAGES[number]}",
        enable_auto_commit=True,
        auto_commit_interval_ms=500,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=1_000,
        request_timeout_ms=5_000,
    )
    await consumer.start()
    say({"ready": True})
    following = topic(number + 1)
    async for record in consumer:
        offer = call_pb2.Offer.FromString(record.value)
        await producer.send(following, offer.SerializeToString(), offer.call_id.encode())


class Callers:
    """Offers calls into the first topic and hears of them from the last."""

    def __init__(self, producer: Any, consumer: Any, seed: int) -> None:
        self._producer = producer
        self._consumer = consumer
        self._random = random.Random(seed)
        self._loop = asyncio.get_running_loop()
        self._offered: dict[str, float] = {}
        self._delays: list[tuple[float, float]] = []
        self._all_heard = asyncio.Event()

    async def hear(self) -> None:
        """Every call that comes through, once."""
        async for record in self._consumer:
            call_id = record.key.decode()
            offered = self._offered.pop(call_id, None)
            if offered is not None:
                self._delays.append((offered, (self._loop.time() - offered) * 1000))
            if not self._offered:
                self._all_heard.set()

    async def offer(self, rate: float, seconds: float) -> dict[str, Any]:
        """Open loop; waits for the last call, within bounds."""
        self._delays.clear()
        self._offered.clear()
        run_id = f"{time.time_ns():x}"
        began = due = self._loop.time()
        number = 0
        while (due := due + self._random.expovariate(rate)) < began + seconds:
            await asyncio.sleep(due - self._loop.time())
            number += 1
            offer = call_pb2.Offer(call_id=f"chain-{run_id}-{number}", leg=1, service_urn="urn:service:test.sos")
            self._offered[offer.call_id] = self._loop.time()
            self._all_heard.clear()
            await self._producer.send(topic(0), offer.SerializeToString(), offer.call_id.encode())
        try:
            async with asyncio.timeout(LAST_CALL_WITHIN_S):
                await self._all_heard.wait()
        except TimeoutError:
            pass  # what did not come is told below
        return {
            "connected_ms": [delay for _, delay in self._delays],
            "connected_at_s": [offered - began for offered, _ in self._delays],
            "failed": len(self._offered),
        }


async def callers(kafka: str) -> None:
    """Serves commands `{"rate": calls a second, "seconds": s, "seed": n}`."""
    producer = await _producer(kafka)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, request_timeout_ms=5_000)
    await consumer.start()
    partitions = [TopicPartition(topic(len(STAGES)), number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    say({"ready": True})
    async for wanted in commands():
        calls = Callers(producer, consumer, wanted["seed"])
        hearing = asyncio.create_task(calls.hear())
        felt = await calls.offer(wanted["rate"], wanted["seconds"])
        hearing.cancel()
        say(felt)


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of the member that is killed on purpose
    known = json.loads(sys.argv[2])
    run(stage(**known) if sys.argv[1] == "stage" else callers(**known))
