"""Three outages of one company, each of a system of rules: one that burns, a list past a limit, a switch untried."""

from __future__ import annotations

from typing import Final

from services.places.directory import NUISANCE_DESK
from services.policy.files.canonical import Action
from services.policy.files.reading import LIST_ITEMS_MAX
from services.policy.life.bypass import drill_bundle
from simulator.scenarios.bundles import GOOD, REPEATS, bundle, diverting, listing
from simulator.scenarios.callers import callers
from simulator.scenarios.massachusetts import EVERYTHING
from simulator.scenarios.plain_filter import PlainFilter
from simulator.scenarios.scenario import Scenario
from simulator.scenarios.stage import BOTH, Stage, digest_of

STRIKES_S: Final = 60.0
SHADOW_S: Final = 20.0

# 2 July 2019.

_PATTERN: Final = 'number_calls_600s >= 6 && display_name.matches("(?:x|y|z)*.*(?:.*=.*)")'
BACKTRACKS: Final = bundle(2, [diverting("scanner", _PATTERN), REPEATS])
"""By itself a pattern that any "=" meets is no ground for a divert; beside one it may stand."""
BURNS: Final = bundle(3, [diverting("scanner", 'number_calls_600s >= 6 && display_name.contains("=")'), REPEATS])
"""Nothing is wrong with it that a check could see; the evaluator is made to burn over it."""


async def burns_before(stage: Stage, plain: PlainFilter) -> None:
    """It waits for its own rules for ever, and no call has a verdict."""
    await stage.at(STRIKES_S)
    stage.strikes()
    plain.trouble = "its rules have the processor"


async def burns_after(stage: Stage) -> None:
    """In shadow first, then live by force."""
    await stage.force_live(GOOD)
    refused = await stage.hand_in(BACKTRACKS, *BOTH)
    stage.notes["the pattern of 2019"] = refused or "taken: patterns here take linear time"
    stage.deciding_ails(digest_of(BURNS), hangs=True)
    await stage.at(SHADOW_S)
    refused = await stage.hand_in(BURNS, *BOTH) or await stage.order(Action.SHADOW, BURNS, "ann")
    assert not refused, refused
    await stage.at(STRIKES_S - 5)
    stage.notes["after shadow"] = stage.stands().why
    stage.notes["touched in shadow"] = len(stage.diverted())
    await stage.at(STRIKES_S)
    stage.strikes()
    stage.notes["forced"] = await stage.order(Action.PROMOTE, BURNS, *BOTH, force=True) or "by two, at once"
    await stage.at(STRIKES_S + 20)
    stage.notes["serves then"] = await stage.serving()
    stage.notes["history"] = stage.history()
    stage.notes["evaluators started"] = round(stage.counted("throughline_firewall_evaluators_started_total"))


BURN: Final = Scenario(
    "cloudflare-2019",
    "One rule took all the processor of every machine that evaluated it; the sites behind were gone for 27 minutes.",
    "A rule over which the evaluator burns, in shadow, then forced live.",
    callers,
    burns_before,
    burns_after,
)

# 18 November 2025.


def _generated(version: int, items: int) -> bytes:
    return bundle(
        version,
        [diverting("generated", "number_calls_600s >= 6 && source in lists.generated"), REPEATS],
        [listing("generated", "source", [f"network-{n}" for n in range(items)])],
    )


LIST: Final = LIST_ITEMS_MAX * 3 // 5


async def doubles_before(stage: Stage, plain: PlainFilter) -> None:
    """It cannot load the list, and nothing stands behind."""
    plain.take(_generated(1, LIST))
    await stage.at(STRIKES_S)
    stage.strikes()
    plain.take(_generated(2, 2 * LIST))


async def doubles_after(stage: Stage) -> None:
    """Handed in, it is refused; then it stands on the topic all the same, written past every tool."""
    await stage.force_live(_generated(1, LIST))
    await stage.at(STRIKES_S)
    stage.strikes()
    doubled = _generated(2, 2 * LIST)
    stage.notes["handed in"] = await stage.hand_in(doubled, *BOTH)
    await stage.write_past_the_firewalls(doubled)
    await stage.at(STRIKES_S + 20)
    stage.notes["serves then"] = await stage.serving()
    stage.notes["alarm"] = stage.alarms("version 2", "goes on")


DOUBLE: Final = Scenario(
    "cloudflare-nov-2025",
    "A generated list doubled past a limit in the program that read it, which ended: a part of the web was gone.",
    "A list of 60,000 becomes one of 120,000; handed in, then written to the topic past every tool.",
    callers,
    doubles_before,
    doubles_after,
)

# 5 December 2025.


async def untried_before(stage: Stage, plain: PlainFilter) -> None:
    """It is switched past its rules, on a way that nobody had ever gone, and falls."""
    await stage.at(STRIKES_S)
    stage.strikes()
    plain.take(EVERYTHING)
    await stage.at(STRIKES_S + 5)
    plain.trouble = "the switch past its rules raised"


async def untried_after(stage: Stage) -> None:
    """What the drill goes through fails from the start; then the switch is needed, Kafka is gone, and the file is one
    that no firewall may read."""
    stage.deciding_ails(drill_bundle(NUISANCE_DESK).digest, ends=True)
    await stage.at(STRIKES_S)
    stage.notes["the drill said before"] = stage.alarms("drill failed")
    stage.strikes()
    await stage.force_live(EVERYTHING)
    await stage.at(STRIKES_S + 2)
    stage.kafka_is_away(True)
    stage.bypass_by_file()
    await stage.at(STRIKES_S + 4)
    on = stage.now_ms()
    await stage.at(STRIKES_S + 30)
    stage.kafka_is_away(False)
    stage.notes["bypass on"] = stage.alarms("on, by file")
    await stage.at(STRIKES_S + 45)
    since = [each for each in stage.screenings() if each.at_ms >= on and not each.shadow]
    stage.notes["screened since the switch"] = len(since)
    stage.notes["diverted since the switch"] = sum(each.verdict.WhichOneof("said") == "divert" for each in since)
    stage.notes["kept by the bypass"] = sum(each.kept_from == "bypass" for each in since)


UNTRIED: Final = Scenario(
    "cloudflare-dec-2025",
    "A rule was switched off by a switch that had never been used on that kind of rule: the code behind it raised.",
    "The hourly drill cannot be evaluated, and says so; then the bypass is needed, without Kafka, by a file of root's.",
    callers,
    untried_before,
    untried_after,
)
