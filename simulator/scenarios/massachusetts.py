"""18 June 2024: the filter diverts everybody, two ways: pushed as is right, and forced past every gate."""

from __future__ import annotations

from typing import Final

from services.policy.files.built_in import CONTENT as BUILT_IN
from services.policy.files.canonical import Action
from simulator.scenarios import gates
from simulator.scenarios.bundles import bundle, diverting
from simulator.scenarios.callers import callers
from simulator.scenarios.plain_filter import PlainFilter
from simulator.scenarios.scenario import Scenario
from simulator.scenarios.stage import BOTH, Stage

STRIKES_S: Final = 60.0
SHADOW_S: Final = 30.0
EVERYTHING: Final = bundle(8, [diverting("flood-over-a-network", "source_calls_60s >= 15")])
"""It looks modest: on no ordinary day has a network fifteen calls within a minute. In a storm every network has."""


async def before(stage: Stage, plain: PlainFilter) -> None:
    """The same rule, taken at once."""
    await stage.at(STRIKES_S)
    stage.strikes()
    plain.take(EVERYTHING)


async def after(stage: Stage) -> None:
    """Check, replay, shadow, promote, as is right; then by force."""
    stage.notes["check"] = gates.checked(EVERYTHING) or "finds nothing: no ordinary day has such a count"
    stage.notes["replay"] = gates.replayed(BUILT_IN, EVERYTHING, callers())
    await stage.at(SHADOW_S)
    refused = await stage.hand_in(EVERYTHING, *BOTH) or await stage.order(Action.SHADOW, EVERYTHING, "ann")
    assert not refused, refused
    await stage.at(STRIKES_S - 5)
    stage.notes["in shadow it would have diverted"] = sum(
        each.shadow and each.verdict.WhichOneof("said") == "divert" for each in stage.screenings()
    )
    stage.notes["live calls touched in shadow"] = len(stage.diverted())
    stage.notes["promoting it without force"] = await stage.order(Action.PROMOTE, EVERYTHING, *BOTH)
    await stage.at(STRIKES_S)
    stage.strikes()
    stage.notes["forced"] = await stage.order(Action.PROMOTE, EVERYTHING, *BOTH, force=True) or "by two, at once"
    await stage.at(STRIKES_S + 20)
    stage.notes["serves then"] = await stage.serving()
    stage.notes["history"] = stage.history()


SCENARIO: Final = Scenario(
    "massachusetts-2024",
    "A firewall before 911 kept every call of a state from its call-takers, for two hours.",
    "A bundle that diverts nearly everybody is pushed the normal way, then forced past all gates by two operators.",
    callers,
    before,
    after,
)
