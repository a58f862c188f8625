"""Why Kafka does not let us in: each broker is asked at once, and the question itself can cost nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed

from services.journal import kafka_refusal
from services.journal.kafka_access import PLAIN_TEXT
from services.journal.kafka_refusal import ANSWERS_WITHIN_S, why_not
from simulator.virtual_loop import run_virtual

BROKERS = "a:1, b:2,c:3"


def say(monkeypatch: pytest.MonkeyPatch, **what: BaseException) -> str:
    """By host, what comes of asking it; a host that is not named never answers."""

    async def create_conn(host: str, port: int, **_: Any) -> Any:
        if host in what:
            raise what[host]
        await asyncio.Event().wait()

    async def asked() -> str:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        why = await why_not(BROKERS, PLAIN_TEXT, KafkaConnectionError("nobody"))
        assert loop.time() - begun <= ANSWERS_WITHIN_S + 0.01
        return why

    monkeypatch.setattr(kafka_refusal, "create_conn", create_conn)
    return run_virtual(asked(), limit_s=60)


def test_brokers_that_hang_are_asked_at_once_and_the_one_that_refuses_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane waits for this before its next try: for one answer's time, however many brokers there are."""
    assert say(monkeypatch, c=SaslAuthenticationFailed("invalid credentials")).startswith("c:3 does not let us in")
    assert say(monkeypatch).startswith("no broker answers at")


@pytest.mark.parametrize("mistake", [AttributeError("moved"), TypeError("x"), AssertionError(), ValueError()], ids=repr)
def test_a_mistake_of_the_library_in_asking_is_no_answer(monkeypatch: pytest.MonkeyPatch, mistake: Exception) -> None:
    """Out of `why_not` it would end a lane's task for good."""
    assert say(monkeypatch, a=mistake, b=mistake, c=mistake).startswith("no broker answers at")
