"""Who waited for a person, and reached nobody.

Whoever is not answered hangs up when their patience ends, and that is drawn from the seed and their name, whatever we
do (loadtest/humans.py): it may end before anybody could have picked up. So *patient* are those alone who stay on the
line through three ring time-outs, in which their PSAP, its lines and the next place ring in full. Each of these whose
call was accepted should talk to somebody. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from chaos.felt import CallFelt, Window
from loadtest.humans import Humans

RINGS: Final = 3
AFTERWARDS_MS: Final = 4_000
"""So long after a network is whole, or a PSAP may attach again, somebody may still try to reach it."""


@dataclass(frozen=True, slots=True)
class OutOfReach:
    """When people were hurt, and not the services: PSAPs that were cut off, or an ingress that had a bad network to all
    others."""

    window: Window
    psaps: AbstractSet[str] = frozenset()
    ingress: str = ""

    def hides(self, call: CallFelt, psap_id: str) -> bool:
        """Whether it may have been in the way of this caller, who belongs to that PSAP."""
        until_ms = call.ended_ms if call.ended_ms is not None else self.window.to_ms
        if self.window.from_ms > until_ms or call.offered_ms > self.window.to_ms + AFTERWARDS_MS:
            return False
        return psap_id in self.psaps or any(leg.ingress == self.ingress for leg in call.legs)


@dataclass(frozen=True, slots=True)
class Waited:
    """Of patient callers whose calls were accepted: how many there were, who of them reached nobody, and for which of
    these no PSAP's or network's hurt accounts."""

    patient: int
    in_vain: tuple[str, ...]
    for_nothing: tuple[str, ...]


def who_waited(
    calls: Iterable[CallFelt],
    reached: AbstractSet[str],
    humans: Humans,
    ring_s: float,
    psap_of_town: Mapping[str, str],
    out_of_reach: Sequence[OutOfReach],
) -> Waited:
    """Of these calls, of which those in `reached` came to a person. `humans` are the ones who drew their patience."""
    patient = [call for call in calls if call.durability and humans.patience(call.call_id) >= RINGS * ring_s]
    in_vain = [call for call in patient if call.call_id not in reached]
    for_nothing = [
        call for call in in_vain if not any(each.hides(call, psap_of_town.get(call.town, "")) for each in out_of_reach)
    ]
    return Waited(len(patient), _names(in_vain), _names(for_nothing))


def _names(calls: Iterable[CallFelt]) -> tuple[str, ...]:
    return tuple(sorted(call.call_id for call in calls))
