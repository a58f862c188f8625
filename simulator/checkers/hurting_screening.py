"""Whether what firewalls were given, or what was done to their evaluators, hurt in a run: as hurting.py asks it."""

from __future__ import annotations

from typing import Final

from services.wire import screenings
from simulator.checkers.agreed import DIVERTED_SHARE, REPEATS_CALLS_MIN, SLACK_CALLS
from simulator.checkers.evidence import Evidence
from simulator.checkers.hurting import FIREWALLS, INGRESSES, SURE, alone_lasts, beside, was_asked
from simulator.injuries import FAMILIES, Injury
from simulator.installation import names_of

POLICIES: Final = frozenset(kind.name for kind in FAMILIES["policy"])
PROPOSED_SURE: Final = SLACK_CALLS + 1
"""So many calls to be diverted are more than the state's budget has room for, unless there are very many calls."""
OVERDUE_SURE_S: Final = 0.15
"""An evaluator has 100 ms."""


def overdrew(evidence: Evidence, injury: Injury) -> bool:
    """The bundle would have diverted more callers than the budget has room for, and no other came before it: what has
    tripped already trips at no second one."""
    from_ms, to_ms = evidence.weather.window_ms(injury)
    schedule = evidence.seen.schedule.injuries
    if any(each.kind in POLICIES and each is not injury and each.at_s <= injury.at_s for each in schedule):
        return False
    proposed = set()
    for each in evidence.seen.screenings:
        record = screenings.read(each.value)
        repeats = int(screenings.inputs_of(record).get("number_calls_600s", 0)) >= REPEATS_CALLS_MIN
        would = "divert" in (record.verdict.WhichOneof("said"), record.proposed.WhichOneof("said"))
        if from_ms <= record.at_ms <= to_ms and would and not (record.shadow or record.test or repeats):
            proposed.add(record.call_id)
    few = DIVERTED_SHARE * len(evidence.calls) < PROPOSED_SURE
    return few and len(proposed) >= PROPOSED_SURE and not beside(evidence, injury, injury.targets)


def rules_were_needed(evidence: Evidence, injury: Injury) -> bool:
    """Calls came that one of the firewalls that were hit must have been asked about, and nothing else hurt them or who
    asks."""
    if injury.kind == "evaluators_slow" and injury.amount < OVERDUE_SURE_S:
        return False
    from_ms, to_ms = evidence.weather.window_ms(injury)
    screened = sum(
        fact["kind"] == "screened" and from_ms + 500 <= fact["at_ms"] <= to_ms - 500 and was_asked(fact)
        for call in evidence.calls.values()
        for fact in call.facts
    )
    enough = 1 if set(names_of("firewall")) <= set(injury.targets) else SURE
    return screened >= enough and not beside(evidence, injury, (*FIREWALLS, *INGRESSES))


def call_was_screened(evidence: Evidence, injury: Injury) -> bool:
    """A call came while the bundle stood, and after it was taken; nothing else hurt those who screen."""
    from_ms, to_ms = evidence.weather.window_ms(injury)
    asked = any(
        fact["kind"] == "screened" and from_ms + 1_600 <= fact["at_ms"] <= to_ms - 700
        for call in evidence.calls.values()
        for fact in call.facts
    )
    return asked and alone_lasts(0.0)(evidence, injury)
