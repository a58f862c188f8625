"""What an operator could hear of an injury: metrics that others count, and what processes say of themselves.

Never the simulator's own knowledge of who is well; of that one thing alone: whose page does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from simulator.checkers.evidence import Evidence
from simulator.injuries import Injury
from simulator.installation import SERVICE_OF, SPARE, names_of
from simulator.run import COUNTED_ON, Counts

Heard = Callable[[Evidence, Injury], bool]
TELLS_WITHIN_S: Final = 1.0
"""From an injury's end: what it brought about is counted by then."""
NO_ANSWER: Final = frozenset({"down", "paused", "starting"})
"""What a prober notes of a page that does not answer."""


def replicas_of(service: str) -> tuple[str, ...]:
    """All that may ever run."""
    return (*names_of(service), *([SPARE[service]] if service in SPARE else ()))


def counted(names: Iterable[str], metric: str, *labels: str) -> Heard:
    """Whether one of these replicas counted more of this metric, under one of these labels, while the injury stood."""
    names, metric = tuple(names), _kept(metric)
    wanted = [f"{metric}{{{label}}}" for label in labels] or [metric]
    return lambda evidence, injury: any(_grew(evidence, injury, name, each) for name in names for each in wanted)


def counted_any(names: Iterable[str], metric: str) -> Heard:
    """The same, under whichever labels."""
    names, metric = tuple(names), _kept(metric)

    def heard(evidence: Evidence, injury: Injury) -> bool:
        before, _, after = _around(evidence, injury)
        return any(_sum(after.get(name, {}), metric) > _sum(before.get(name, {}), metric) for name in names)

    return heard


def _sum(counts: Mapping[str, float], metric: str) -> float:
    return sum(value for name, value in counts.items() if name.partition("{")[0] == metric)


def about_targets(service: str, metric: str, label: str) -> Heard:
    """The same, under a label that names the address of one of the injury's targets."""
    names, metric = replicas_of(service), _kept(metric)
    return lambda evidence, injury: any(
        _grew(evidence, injury, name, f"{metric}{{{label}={target}:1}}") for name in names for target in injury.targets
    )


def _kept(metric: str) -> str:
    assert metric in COUNTED_ON, f"the course of {metric} is not kept; add it to COUNTED_ON"
    return metric


def _grew(evidence: Evidence, injury: Injury, name: str, metric: str) -> bool:
    before, _, after = _around(evidence, injury)
    return after.get(name, {}).get(metric, 0.0) > before.get(name, {}).get(metric, 0.0)


def stood(service: str, gauge: str, *, below: bool = False, by: float = 0.0) -> Heard:
    """Whether a gauge of one of these replicas stood higher, or lower, when the injury was about to be healed than when
    it struck; by more than so much of the injury's amount."""
    names, gauge = replicas_of(service), _kept(gauge)

    def heard(evidence: Evidence, injury: Injury) -> bool:
        before, while_hurt, _ = _around(evidence, injury)
        rises = (while_hurt.get(name, {}).get(gauge, 0.0) - before.get(name, {}).get(gauge, 0.0) for name in names)
        return any((-rise if below else rise) > by * injury.amount for rise in rises)

    return heard


def _around(evidence: Evidence, injury: Injury) -> tuple[Counts, Counts, Counts]:
    """What had been counted when it struck, when it was about to be healed, and at the first look after it was over."""
    looks, heals_s = evidence.seen.looks, injury.at_s + injury.lasts_s

    def since(at_s: float) -> Counts:
        return next((counts for looked_s, counts in looks if looked_s >= at_s), evidence.seen.counts)

    return since(injury.at_s), since(heals_s), since(heals_s + TELLS_WITHIN_S)


def said(begins: str, names: Callable[[Injury], Collection[str]]) -> Heard:
    """Whether each of these said so of itself while the injury stood."""
    return lambda evidence, injury: all(said_by(evidence, injury, name, begins) for name in names(injury))


def said_by(evidence: Evidence, injury: Injury, name: str, begins: str) -> bool:
    """Whether this one said something that begins so."""
    return any(text.startswith(begins) for text in _said(evidence, injury, name))


def page_gone(evidence: Evidence, injury: Injury) -> bool:
    """Whether the page of each target did not answer."""
    return all(NO_ANSWER & set(_said(evidence, injury, name)) for name in injury.targets)


def _said(evidence: Evidence, injury: Injury, name: str) -> list[str]:
    until_s = injury.at_s + injury.lasts_s + TELLS_WITHIN_S
    remarks = evidence.seen.alarms.get(name, ())
    return [each.text for each in remarks if each.from_s <= until_s and injury.at_s <= each.to_s]


def ours(injury: Injury) -> list[str]:
    """Those of its targets that are processes of ours."""
    return [name for name in injury.targets if name in SERVICE_OF]


def everybody(_: Injury) -> list[str]:
    """All replicas that always run."""
    return [name for service in dict.fromkeys(SERVICE_OF.values()) for name in names_of(service)]


def either(*any_of: Heard) -> Heard:
    """Whether any of this was heard."""
    return lambda evidence, injury: any(each(evidence, injury) for each in any_of)
