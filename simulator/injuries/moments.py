"""Injuries that wait for their moment: the conductor of a call dies just when something happens to that call.

What two processes do within a few milliseconds is hit by an instant that is drawn once in thousands of schedules. These
wait until the outside sees the event, and strike then. They are drawn only where they are named.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, seconds

SOON_S = 0.006
"""Within this after the event."""


def _draw(by: random.Random) -> Drawn:
    return (), seconds(by, *LONG_S), round(by.uniform(0.0, SOON_S), 4)


def _kills_at(event: str) -> Callable[[Scene, Injury], None]:
    def strike(scene: Scene, injury: Injury) -> None:
        def seen(entry: Mapping[str, Any]) -> None:
            if entry["event"] != event or injury not in scene.waiting:
                return
            name = _conductor_of(scene, entry)
            if name:
                del scene.waiting[injury]
                scene.struck[injury] = name
                kill = scene.installation.replicas[name].kill
                asyncio.get_running_loop().call_later(injury.amount, kill, scene.by, context=scene.network.context)

        scene.waiting[injury] = None
        scene.outside.listen(seen)

    return strike


def _heal(scene: Scene, injury: Injury) -> None:
    """Whoever was killed is started again; nobody waits for the moment any more."""
    scene.waiting.pop(injury, None)
    name = scene.struck.pop(injury, "")
    if name:
        scene.installation.replicas[name].start()


def _conductor_of(scene: Scene, entry: Mapping[str, Any]) -> str:
    """The ingress to which the newest leg of this call was offered; empty where it was not offered yet."""
    for seen in reversed(scene.outside.callers):
        if seen["event"] == "offered" and seen["call_id"] == entry["call_id"]:
            return str(seen["ingress"]).partition(":")[0]
    return ""


KINDS = tuple(
    Kind(
        f"kill_when_{event}",
        f"the conductor of a call is killed when it is {event}",
        _draw,
        _kills_at(event),
        _heal,
        0.0,
    )
    for event in ("ringing", "answered", "confirmed", "connected", "ended")
)
