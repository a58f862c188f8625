"""A firewall's pure parts, joined by hand, say what the real shell says: what is proved of the one holds for both."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from throughline.v1 import screening_pb2

from services.domain.policy import Verdict
from services.policy.bundle import Bundle
from services.policy.verdicts.breakers import UNPROVEN
from services.policy.verdicts.guards import BREAKER
from services.wire import offers, verdicts
from services.wire.methods import SCREEN
from tests.policy.replicas import Came, played
from tests.policy.test_promises import streams
from tests.services.firewall_stage import DIVERTS_ALL, DIVERTS_REPEATS, FLAGS_ALL, Stage, play


def by_the_shell(live: Bundle, stream: Sequence[Came]) -> list[Verdict | None]:
    """What a real firewall under virtual time answers."""
    said: list[Verdict | None] = []

    async def scene(stage: Stage) -> None:
        for came in stream:
            await asyncio.sleep(came.pause_s)
            asked = screening_pb2.ScreenRequest(offer=offers.to_wire(came.offer))
            answer: Any = await stage.network.ask("firewall-1:1", SCREEN, asked, within_s=0.15)
            said.append(verdicts.to_domain(answer.verdict))

    play(scene, standing=live)
    return said


@pytest.mark.parametrize("live", [DIVERTS_ALL, DIVERTS_REPEATS, FLAGS_ALL], ids=["all", "repeats", "flags"])
@given(stream=streams(least=10, most=40), pause_s=st.sampled_from([0.01, 0.5, 1.4]))
@settings(max_examples=10, suppress_health_check=[HealthCheck.differing_executors])
def test_a_firewall_says_what_its_pure_parts_say(live: Bundle, stream: list[Came], pause_s: float) -> None:
    """Call by call, within the minute after which a real one would miss answers of diverted calls."""
    stream = [replace(came, pause_s=pause_s, offer=replace(came.offer, place=None)) for came in stream]
    told = played(live, stream)[0]
    trips = [n for n, each in enumerate(told) if each.kept.startswith(BREAKER) and each.kept != BREAKER + UNPROVEN]
    until = trips[0] if trips else len(stream)  # a real firewall takes the bundle back then
    assert by_the_shell(live, stream[:until]) == [each.verdict for each in told[:until]]
