"""A lane into Kafka outlives whatever goes wrong in it, and says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.journal import Topic, Unavailable
from services.journal.kafka import KafkaLog
from services.journal.kafka_lane import Lane

LIMIT_S = 20


async def test_an_error_that_nobody_thought_of_is_loud_and_does_not_end_reconnecting() -> None:
    """An address that the client library cannot even parse raises no KafkaError: told each time, tried again."""
    told: list[dict[str, Any]] = []
    again = asyncio.Event()

    def hear(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        told.append(context)
        if len(told) >= 6:
            again.set()

    asyncio.get_running_loop().set_exception_handler(hear)
    log = KafkaLog("127.0.0.1:not-a-port", "mistaken")
    await log.start()
    await asyncio.wait_for(again.wait(), LIMIT_S)
    assert {type(context["exception"]) for context in told} == {ValueError}
    assert "connecting anew after a mistake" in told[0]["message"]
    assert "mistake" in (log.health() or "")
    with pytest.raises(Unavailable):
        await log.append(Topic.CALLS, "a", b"")
    await log.close()


async def test_one_part_of_a_log_hides_no_trouble_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an ACL forbids may stay so for weeks; what all parts say is told once."""
    log = KafkaLog("127.0.0.1:1", "two")
    assert log.health() == "not connected yet to 127.0.0.1:1"
    monkeypatch.setattr(Lane, "health", lambda lane: lane._client_id)
    assert log.health() == "two-calls; two-events"
