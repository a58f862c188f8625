"""What each scenario must show of Throughline: one table. A promise that does not hold ends `scenario` with code 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from simulator.scenarios.flood import QUOTA, SOURCES
from simulator.scenarios.scenario import Told

TOUCHED_MAX: Final = 20
WITHIN_S: Final = 10.0
BUDGET_MS: Final = 150
"""An ingress waits so long for a verdict."""
SLACK_MS: Final = 100
"""For what else differs between one minute's calls and the next: a full PSAP, a line instead."""
QUIET_TIMES: Final = 2
MISTAKEN_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Promise:
    """One of them, in words, and whether it holds."""

    words: str
    holds: Callable[[Told], bool]


def _noted(key: str) -> Callable[[Told], bool]:
    return lambda told: bool(told.notes[key])


def _is(key: str, value: object) -> Callable[[Told], bool]:
    return lambda told: bool(told.notes[key] == value)


def _says(key: str, *words: str) -> Callable[[Told], bool]:
    return lambda told: all(word in str(told.notes[key]) for word in words)


ALWAYS: Final = (
    Promise("no call is lost", lambda told: told.throughline.lost == 0),
    Promise(
        "a person answers every diverted call; whoever hung up first is on the callback list",
        lambda told: told.throughline.touched == told.throughline.diverted_answered + told.throughline.diverted_hung_up,
    ),
    Promise("no process ends by itself", _is("mistakes", [])),
    Promise(
        "the plain filter loses calls by the same, so that the scenario is one",
        lambda told: (told.filtered_flood or told.filtered).lost > 0,
    ),
)
_BOUNDED: Final = Promise(
    f"at most {TOUCHED_MAX} calls or {WITHIN_S:.0f} s, over all replicas, until everything passes",
    lambda told: (
        told.throughline.touched <= TOUCHED_MAX
        or (told.throughline.passes_after_s is not None and told.throughline.passes_after_s <= WITHIN_S)
    ),
)
_UNTOUCHED: Final = Promise("no policy touches a call", lambda told: told.throughline.touched == 0)
_IN_TIME: Final = Promise(
    f"p99 to ringing is at most {BUDGET_MS + SLACK_MS} ms above that before the strike",
    lambda told: told.throughline.ringing_p99_ms <= told.throughline.quiet_p99_ms + BUDGET_MS + SLACK_MS,
)
_SCREENED_AGAIN: Final = Promise(
    "calls are screened again within 10 s of the end", _noted("screened again since 10 s after")
)
_BY_RULES: Final = Promise("by rules, all of them", _is("not screened by rules since then", 0))
_SLOWED: Final = (_BY_RULES, _UNTOUCHED, _IN_TIME, _SCREENED_AGAIN)
_BACK_TO_BUILT_IN: Final = Promise("the bundle is quarantined, the last good one serves", _is("serves then", [0, 0]))
_LAST_GOOD: Final = Promise("the last good bundle serves on every firewall", _is("serves then", [1, 1]))

PROMISES: Final[Mapping[str, tuple[Promise, ...]]] = MappingProxyType(
    {
        "massachusetts-2024": (
            Promise("replay finds it before any live call meets it", _noted("replay")),
            Promise("shadow shows it", _noted("in shadow it would have diverted")),
            Promise("no live call is touched on the normal way", _is("live calls touched in shadow", 0)),
            Promise(
                "without force it cannot skip its canary", _says("promoting it without force", "has not run through")
            ),
            _BOUNDED,
            _BACK_TO_BUILT_IN,
        ),
        "att-2017": (
            Promise("replay finds it before any live call meets it", _noted("replay")),
            Promise("one person cannot have it tried", _says("signed by one", "expected 2")),
            Promise("no live call is touched before it is forced", _is("touched before", 0)),
            _BOUNDED,
            _LAST_GOOD,
        ),
        "cloudflare-2019": (
            Promise(
                "the pattern of that day is taken, as patterns take linear time", _says("the pattern of 2019", "taken:")
            ),
            Promise("in shadow it is dropped, and touches no call", _is("touched in shadow", 0)),
            Promise("shadow says why", _says("after shadow", "tripped")),
            _UNTOUCHED,
            _IN_TIME,
            Promise("live it is quarantined", _says("history", "tripped")),
            _LAST_GOOD,
        ),
        "cloudflare-nov-2025": (
            Promise("handed in, it is refused with its line", _says("handed in", "line 5", "more than 100")),
            _UNTOUCHED,
            Promise("an alarm says that it is not taken", _noted("alarm")),
            _LAST_GOOD,
        ),
        "cloudflare-dec-2025": (
            Promise("the drill says that it fails, before the switch is needed", _noted("the drill said before")),
            _BOUNDED,
            Promise(
                "the bypass by file works without Kafka, though none may read it",
                _is("diverted since the switch", 0),
            ),
            Promise("its verdicts say so", _noted("kept by the bypass")),
            Promise("the firewalls say that it is on", _noted("bypass on")),
        ),
        "crowdstrike-2024": (
            Promise("every check accepts it", _is("check", "finds nothing")),
            _UNTOUCHED,
            _IN_TIME,
            _LAST_GOOD,
            Promise("calls are screened by rules again", _is("not screened by rules then", 0)),
        ),
        "expired-signature": (
            _UNTOUCHED,
            Promise("an alarm says that it has expired", _noted("alarm")),
            _LAST_GOOD,
            Promise("after a restart too", _is("serves after a restart", [1, 1])),
            Promise("what is signed so is refused", _says("handed in with expired signatures", "expired")),
        ),
        "firewall-hung": (*_SLOWED, Promise("calls go on unscreened", _noted("unscreened"))),
        "firewall-slow": _SLOWED,
        "firewall-killed": (*_SLOWED, Promise("calls go on unscreened", _noted("unscreened"))),
        "flood": (
            Promise(
                "ordinary callers' p99 to ringing is at most twice that of the same callers without a flood",
                lambda told: (
                    told.quiet is not None
                    and told.throughline.ringing_p99_ms <= QUIET_TIMES * told.quiet.ringing_p99_ms
                ),
            ),
            Promise(
                "at most 1 % of them are diverted by mistake",
                lambda told: told.throughline.touched <= MISTAKEN_SHARE * told.throughline.offered,
            ),
            Promise(
                "the flood's calls reach a person, or hang up and are on the callback list",
                lambda told: told.flood is not None and told.flood.lost == 0,
            ),
            Promise(
                f"of each telephone's flood a PSAP has the first {QUOTA} calls, and the desk what comes after",
                lambda told: told.flood is not None and 0 < told.flood.reached_psap <= SOURCES * QUOTA,
            ),
        ),
    }
)


def broken(told: Told) -> list[str]:
    """The promises that do not hold, in words."""
    promises = (*ALWAYS, *PROMISES[told.scenario.name])
    return [promise.words for promise in promises if not promise.holds(told)]
