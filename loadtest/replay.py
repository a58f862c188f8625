"""Replays a trace of calls against a running installation: test calls, unless real ones are asked for.

It only plays callers; who answers is the installation's affair. A production installation refuses real calls from here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtest.call_seen import Went
from loadtest.children import Outsider
from loadtest.diary import wall_ms
from loadtest.region_tables import RegionTables
from loadtest.scene import Scene
from loadtest.workload import PlannedCall, plan, read_trace

TEST_URN: Final = "urn:service:test.sos"
SOS_URN: Final = "urn:service:sos"
SOURCE: Final = "loadtest"
READY_WITHIN_S: Final = 20.0
DRAINS_WITHIN_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class Replay:
    """What to replay, where to, how fast. `speed` is for arrivals, `human_speed` for people."""

    trace: Path
    ingresses: Sequence[str]
    speed: float
    human_speed: float
    real: bool
    seed: int
    witness: Path | None
    """Keep what the callers saw there; None: do not keep it."""

    def plan(self, region: RegionTables) -> list[PlannedCall]:
        """Everybody's calls; their ids differ from those of every other replay. Raises ValueError, OSError."""
        return plan(
            read_trace(self.trace),
            region,
            seed=self.seed,
            run=f"replay-{wall_ms():x}",
            speed=self.speed,
            service_urn=SOS_URN if self.real else TEST_URN,
            source=SOURCE,
        )


async def replay(wanted: Replay, scene: Scene, calls: Sequence[PlannedCall]) -> Mapping[str, Any]:
    """Lets everybody call, and waits for the last; returns the callers' process's own lateness.

    Raises ChildEnded, and FileExistsError where the witness's file is there already.
    """
    with tempfile.TemporaryDirectory(prefix="throughline-replay-") as name:
        folder = Path(name)
        (folder / "plan.jsonl").write_text("".join(call.to_json() + "\n" for call in calls))
        witness = wanted.witness or folder / "caller.jsonl"
        witness.open("x").close()
        callers = await Outsider.start(
            "originating",
            *("--plan", folder / "plan.jsonl", "--witness", witness.resolve(), "--seed", str(wanted.seed)),
            *("--human-speed", str(wanted.human_speed), "--tell"),
            log=folder / "caller.log",
            on_entry=lambda entry: scene.hear_caller(entry) if "call_id" in entry else None,
        )
        try:
            await callers.told("ready", READY_WITHIN_S)
            scene.begin(wall_ms())
            callers.do(do="start", ingresses=list(wanted.ingresses))
            return await callers.told("finished", calls[-1].at_s + DRAINS_WITHIN_S)
        finally:
            await callers.stop()


def all_taken(scene: Scene) -> bool:
    """Whether every caller was taken by somebody, or left by themselves."""
    went = scene.outcomes()
    return not went[Went.REFUSED] and not went[Went.IN_HAND]
