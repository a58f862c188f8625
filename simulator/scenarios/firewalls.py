"""The firewall itself is hung, slow or killed: every replica at once."""

from __future__ import annotations

from typing import Final

from simulator.scenarios.bundles import GOOD
from simulator.scenarios.callers import callers
from simulator.scenarios.plain_filter import PlainFilter
from simulator.scenarios.scenario import Scenario
from simulator.scenarios.stage import Stage

STRIKES_S: Final = 60.0
LASTS_S: Final = 30.0
SLOW_S: Final = 0.3


async def before(stage: Stage, plain: PlainFilter) -> None:
    """No answer is no, for as long as it lasts."""
    plain.take(GOOD)
    await stage.at(STRIKES_S)
    stage.strikes()
    plain.trouble = "it does not answer"
    await stage.at(STRIKES_S + LASTS_S)
    plain.trouble = ""


async def hung(stage: Stage) -> None:
    """As by SIGSTOP."""
    await stage.force_live(GOOD)
    await stage.at(STRIKES_S)
    stage.strikes()
    for replica in stage.firewalls:
        replica.pause()
    await stage.at(STRIKES_S + LASTS_S)
    for replica in stage.firewalls:
        replica.go_on()
    await _back(stage)


async def slow(stage: Stage) -> None:
    """Each evaluation takes three times its deadline."""
    await stage.force_live(GOOD)
    await stage.at(STRIKES_S)
    stage.strikes()
    for replica in stage.firewalls:
        replica.ailment.slow_s = SLOW_S
    await stage.at(STRIKES_S + LASTS_S)
    for replica in stage.firewalls:
        replica.ailment.slow_s = 0.0
    await _back(stage)


async def killed(stage: Stage) -> None:
    """As by SIGKILL, and nobody starts them for half a minute."""
    await stage.force_live(GOOD)
    await stage.at(STRIKES_S)
    stage.strikes()
    for replica in stage.firewalls:
        replica.kill(stage.by)
    await stage.at(STRIKES_S + LASTS_S)
    for replica in stage.firewalls:
        replica.start()
    await _back(stage)


async def _back(stage: Stage) -> None:
    stage.notes["unscreened"] = stage.unscreened()
    since_ms = stage.now_ms() + 10_000
    await stage.at(STRIKES_S + LASTS_S + 30)
    stage.notes["screened again since 10 s after"] = stage.screened(since_ms)
    stage.notes["not screened by rules since then"] = stage.failed_open(since_ms)
    stage.notes["serves then"] = await stage.serving()


_THEN: Final = "A filter that stands in the way of calls and does not answer has decided: nobody passes."
HUNG: Final = Scenario("firewall-hung", _THEN, "Every firewall is stopped for 30 s.", callers, before, hung)
SLOW: Final = Scenario("firewall-slow", _THEN, "Every evaluation takes 300 ms for 30 s.", callers, before, slow)
KILLED: Final = Scenario(
    "firewall-killed", _THEN, "Every firewall is killed and away for 30 s.", callers, before, killed
)
