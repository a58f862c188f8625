"""Why Kafka does not let us in: each broker is asked at once, and the question itself can cost nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest
from aiokafka.errors import IllegalSaslStateError, KafkaConnectionError, SaslAuthenticationFailed

from services.journal import kafka_refusal
from services.journal.kafka_access import PLAIN_TEXT
from services.journal.kafka_refusal import ANSWERS_WITHIN_S, why_not
from simulator.virtual_loop import run_virtual

BROKERS = "a:1, b:2,c:3"


def say(monkeypatch: pytest.MonkeyPatch, brokers: str = BROKERS, **what: BaseException) -> str:
    """By host, what comes of asking it; a host that is not named never answers. A mistake is heard, with the rest."""

    async def create_conn(host: str, port: int, **_: Any) -> Any:
        if host in what:
            raise what[host]
        await asyncio.Event().wait()

    async def asked() -> str:
        loop = asyncio.get_running_loop()
        told: list[BaseException] = []
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        begun = loop.time()
        why = await why_not(brokers, PLAIN_TEXT, KafkaConnectionError("nobody"))
        assert loop.time() - begun <= ANSWERS_WITHIN_S + 0.01
        return "; ".join([why, *(f"told: {mistake!r}" for mistake in told)])

    monkeypatch.setattr(kafka_refusal, "create_conn", create_conn)
    return run_virtual(asked(), limit_s=60)


def test_brokers_that_hang_are_asked_at_once_and_the_one_that_refuses_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane waits for this before its next try: for one answer's time, however many brokers there are."""
    assert say(monkeypatch, c=SaslAuthenticationFailed("invalid credentials")).startswith("c:3 does not let us in")
    assert say(monkeypatch).startswith("no broker answers at")


@pytest.mark.parametrize("away", [ConnectionRefusedError(), TimeoutError(), socket.gaierror("x")], ids=repr)
def test_who_is_not_there_has_refused_nothing(monkeypatch: pytest.MonkeyPatch, away: Exception) -> None:
    """An ordinary outage: nothing is told as a mistake."""
    said = say(monkeypatch, a=away, b=away, c=away)
    assert said.startswith("no broker answers at")
    assert "told" not in said


@pytest.mark.parametrize(
    "refusal", [IllegalSaslStateError("first a handshake"), ssl.SSLError("certificate verify failed")], ids=repr
)
def test_whatever_kafka_or_tls_says_is_told(monkeypatch: pytest.MonkeyPatch, refusal: Exception) -> None:
    """The reason is theirs, whichever it is."""
    assert f"b:2 does not let us in by PLAINTEXT: {refusal}" in say(monkeypatch, b=refusal)


def test_addresses_are_read_as_the_client_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka's own port may be left out, and brackets stand around an address of version 6."""
    refusal = SaslAuthenticationFailed("invalid credentials")
    assert say(monkeypatch, "a", a=refusal).startswith("a:9092 does not let us in")
    assert say(monkeypatch, "[::1]:9", **{"::1": refusal}).startswith("::1:9 does not let us in")


@pytest.mark.parametrize("mistake", [AttributeError("moved"), TypeError("x"), AssertionError(), ValueError()], ids=repr)
def test_a_mistake_of_the_library_in_asking_is_no_answer_and_is_told(
    monkeypatch: pytest.MonkeyPatch, mistake: Exception
) -> None:
    """Out of `why_not` it would end a lane's task for good; kept to itself nobody would mend it."""
    said = say(monkeypatch, a=mistake, b=mistake, c=mistake)
    assert said.startswith("no broker answers at")
    assert said.count(f"told: {mistake!r}") == 3
