"""Plays a scenario: the same callers twice, before the plain filter and before Throughline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from loadtest.callers import Planned
from loadtest.carrier import Carrier
from simulator.run import virtually
from simulator.scenarios.figures import Figures
from simulator.scenarios.plain_filter import PlainFilter, behind
from simulator.scenarios.scenario import Scenario, Told
from simulator.scenarios.stage import Script, Stage
from simulator.virtual_loop import Stuck

LIMIT_S: Final = 2_000.0
"""Virtual seconds; more is a deadlock."""
SEED: Final = 1


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is left of one run: nothing that lives."""

    ordinary: Figures
    flood: Figures
    notes: Mapping[str, Any]


def play(scenario: Scenario) -> Told:
    """The whole of it. The same code plays the same to the last call, on any machine."""
    plan = scenario.plan()
    plain = PlainFilter()
    old = _run(scenario, plan, lambda stage: scenario.before(stage, plain), behind(plain))
    new = _run(scenario, plan, scenario.after)
    if not scenario.floods:
        return Told(scenario, old.ordinary, new.ordinary, new.notes)
    quiet = _run(scenario, [call for call in plan if not is_flood(call.call_id)], scenario.after)
    return Told(scenario, old.ordinary, new.ordinary, new.notes, quiet.ordinary, old.flood, new.flood)


def _run(scenario: Scenario, plan: Sequence[Planned], script: Script, carrier: type[Carrier] = Carrier) -> _Seen:
    seen: list[_Seen] = []

    async def main() -> None:
        stage = Stage(SEED, scenario.desk_channels, carrier)
        await stage.play(plan, script)
        ordinary = stage.figures(lambda call_id: not is_flood(call_id))
        stage.notes["mistakes"] = stage.failures()
        seen.append(_Seen(ordinary, stage.figures(is_flood), stage.notes))

    mistakes = virtually(main, SEED, LIMIT_S)
    if not seen:
        raise Stuck("; ".join(mistakes) or "it did not come to its end")
    return replace(seen[0], notes={**seen[0].notes, "mistakes": [*seen[0].notes["mistakes"], *mistakes]})


def is_flood(call_id: str) -> bool:
    """Whether the call is one of the flood's."""
    return call_id.startswith("f")
