"""The heartbeat goes on whatever goes wrong with one of those who are to hear it, under virtual time."""

from __future__ import annotations

import asyncio

from services.host.heartbeat import beat
from simulator.virtual_loop import run_virtual

EVERY_S = 0.2


def test_a_mistake_with_one_silences_no_other() -> None:
    """Each hears its word each time, who comes after the mistake too; the mistake is told with its owner (P1, T1)."""
    said: list[tuple[float, str]] = []
    mistakes: list[tuple[str, str]] = []

    def say(who: str) -> None:
        if who == "bad":
            raise ZeroDivisionError
        said.append((round(asyncio.get_running_loop().time(), 3), who))

    async def scene() -> None:
        beating = asyncio.ensure_future(
            beat(
                EVERY_S, lambda: ("one", "bad", "two"), say, lambda mistake, who: mistakes.append((repr(mistake), who))
            )
        )
        await asyncio.sleep(0.7)
        beating.cancel()

    run_virtual(scene(), limit_s=60)
    assert said == [(at, who) for at in (0.2, 0.4, 0.6) for who in ("one", "two")]
    assert mistakes == [("ZeroDivisionError()", "bad")] * 3


def test_who_comes_or_goes_while_the_others_are_told_does_no_harm() -> None:
    """A word may end the call it is said to."""
    everybody = {"one", "two", "three"}

    async def scene() -> None:
        beating = asyncio.ensure_future(beat(EVERY_S, lambda: everybody, everybody.discard, lambda mistake, who: None))
        await asyncio.sleep(EVERY_S * 1.5)
        assert not beating.done()
        beating.cancel()

    run_virtual(scene(), limit_s=60)
    assert everybody == set()
