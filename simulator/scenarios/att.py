"""8 March 2017: a change of something else takes a list of the trusted along, and it is the wrong one."""

from __future__ import annotations

from typing import Final

from services.policy.files.canonical import Action
from simulator.scenarios import gates
from simulator.scenarios.bundles import bundle, diverting, flagging, listing
from simulator.scenarios.callers import callers
from simulator.scenarios.plain_filter import PlainFilter
from simulator.scenarios.scenario import Scenario
from simulator.scenarios.stage import BOTH, Stage

STRIKES_S: Final = 60.0
_STRANGERS: Final = diverting("strangers", "source_calls_60s >= 15 && !(source in lists.trusted)")
BEFORE: Final = bundle(
    1, [_STRANGERS, flagging("caller-repeats", "number_calls_60s >= 6", 40)],
    [listing("trusted", "source", ["wireless", "wireline"])],
)  # fmt: skip
AFTER: Final = bundle(
    2, [_STRANGERS, flagging("caller-repeats", "number_calls_60s >= 6", 50)],
    [listing("trusted", "source", ["wireline"])],
)  # fmt: skip
"""What was meant is the score."""


async def before(stage: Stage, plain: PlainFilter) -> None:
    """The same change, taken at once."""
    plain.take(BEFORE)
    await stage.at(STRIKES_S)
    stage.strikes()
    plain.take(AFTER)


async def after(stage: Stage) -> None:
    """The good bundle is live; its successor is replayed, tried without force, then forced."""
    await stage.force_live(BEFORE)
    stage.notes["check"] = gates.checked(AFTER) or "finds nothing: it is one list that is wrong"
    stage.notes["replay"] = gates.replayed(BEFORE, AFTER, callers())
    await stage.at(STRIKES_S - 5)
    stage.notes["signed by one"] = await stage.hand_in(AFTER, "ann") or await stage.order(Action.SHADOW, AFTER, "ann")
    stage.notes["touched before"] = len(stage.diverted())
    await stage.at(STRIKES_S)
    stage.strikes()
    await stage.hand_in(AFTER, *BOTH)
    stage.notes["forced"] = await stage.order(Action.PROMOTE, AFTER, *BOTH, force=True) or "by two, at once"
    await stage.at(STRIKES_S + 20)
    stage.notes["serves then"] = await stage.serving()
    stage.notes["history"] = stage.history()


SCENARIO: Final = Scenario(
    "att-2017",
    "A change in a carrier's network took a wrong list of trusted addresses along: 12,600 calls to 911 failed.",
    "A bundle that means to change a score carries a list in which a whole network is missing; two sign it unseen.",
    callers,
    before,
    after,
)
