"""Every accepted call is a debt that is paid once, in the journal and in the ledger's own tables (J2, J3)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from services.domain.fold import Outcome
from services.domain.offer import TEST_URN
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.checkers.weather import CLOCKS
from simulator.installation import names_of

PAID: Final = frozenset({Outcome.ANSWERED, Outcome.DIVERTED})
LAST: Final = "\U0010ffff"
"""No call's name sorts behind it."""
LISTED: Final = frozenset({Outcome.CALLBACK_OPEN, Outcome.CALLBACK_CLOSED})


def end_once(evidence: Evidence) -> Iterator[Finding]:
    """An accepted call has one outcome: a person who has it, or the callback list."""
    for call in evidence.calls.values():
        events = {entry["event"] for entry in call.caller}
        if "accepted" not in events:
            continue
        if len(call.outcomes) != 1:
            yield Finding("one_outcome", call.call_id, f"accepted, and its outcomes are {call.outcomes}")
        elif Outcome(call.outcomes[0]) not in PAID | LISTED:
            yield Finding("one_outcome", call.call_id, f"accepted, and it is {call.outcomes[0]} at the end")
        elif "connected" in events and Outcome(call.outcomes[0]) not in PAID:
            yield Finding("one_outcome", call.call_id, f"the caller is connected, and it is {call.outcomes[0]}")


def balance(evidence: Evidence) -> Iterator[Finding]:
    """Offered = answered + diverted + callback open + callback closed + in progress; nobody is connected twice."""
    books = evidence.seen.books
    if books is None:
        return  # the run did not reach its end, and that is found
    for columns in (books.real, books.tests):
        if not columns.balanced:
            told = ", ".join(f"{outcome} {count}" for outcome, count in columns.outcomes.items() if count)
            yield Finding("books", "", f"{columns.offered} offered do not balance with {told}")
        for call_id in columns.never_offered.call_ids:
            yield Finding("books", call_id, "it ended somehow, and was never offered")
        for call_id in columns.connected_twice.call_ids:
            yield Finding("books", call_id, "two attempts of it are connected in the journal")


def ledger_agrees(evidence: Evidence) -> Iterator[Finding]:
    """The ledger's tables say what the fold of the journal says, call by call on the list, and by sums elsewhere."""
    ledger = evidence.seen.ledger
    if ledger is None or evidence.seen.books is None or _rebuilt_from_a_part(evidence):
        return
    folded = Counter({name: count for name, count in evidence.seen.books.real.outcomes.items() if count})
    kept = Counter({name: count for (name, test), count in ledger.sums.items() if count and not test})
    for outcome in Outcome:
        if folded[outcome] != kept[outcome]:
            words = f"the journal has {folded[outcome]} calls {outcome}, the tables {kept[outcome]}"
            yield Finding("ledger", "", words)
    tests = {planned.call_id for planned in evidence.seen.schedule.calls if planned.service_urn == TEST_URN}
    opened = {
        call.call_id
        for call in evidence.calls.values()
        if call.outcomes == [Outcome.CALLBACK_OPEN] and call.planned not in tests
    }  # fmt: skip
    times = Counter(ledger.listed)
    for call_id in opened - times.keys():
        yield Finding("ledger", call_id, "a callback is owed, and the ledger's list does not have it")
    for call_id, count in times.items():
        if call_id not in opened:
            yield Finding("ledger", call_id, "it is on the ledger's list, and no callback is owed")
        if count > 1:
            yield Finding("ledger", call_id, f"it is on the ledger's list {count} times")


def closes_rightly(evidence: Evidence) -> Iterator[Finding]:
    """The ledger infers that a caller was reached where another real call of that number was connected since the leg
    was offered, by the instant of which it speaks, and only there (J2). By conductors' clocks: where one of these was
    wrong, nothing is said."""
    if any(injury.kind in CLOCKS for injury in evidence.seen.injuries):
        return
    numbers = {planned.call_id: planned.caller for planned in evidence.seen.schedule.calls}
    tests = {planned.call_id for planned in evidence.seen.schedule.calls if planned.service_urn == TEST_URN}
    connected: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for call in evidence.calls.values():
        if call.planned in numbers and call.planned not in tests:
            connected[numbers[call.planned]] += [(f["at_ms"], call.call_id) for f in call.kept("answered", "diverted")]
    for told in connected.values():
        told.sort()
    for call in evidence.calls.values():
        leg = max((fact["leg"] for fact in call.facts), default=0)
        inferred = {fact["leg"]: fact for fact in call.kept("reconnected") if not fact["attempt"]}
        closed = inferred.get(leg)
        if closed is None:
            continue
        said_ms = [fact["at_ms"] for fact in call.facts if fact["leg"] == leg and fact is not closed]
        offered_ms = min(said_ms, default=0)  # the closure itself bears the instant of the other call's connection
        others = connected.get(numbers.get(call.planned, ""), [])
        since = others[bisect_left(others, (offered_ms, "")) : bisect_right(others, (closed["at_ms"], LAST))]
        if all(by == call.call_id for _, by in since):
            words = f"leg {leg} is taken off the list ({closed['reason']}), and nobody of that number was reached since"
            yield Finding("closures", call.call_id, words)


def _rebuilt_from_a_part(evidence: Evidence) -> bool:
    """Whether the tables were lost after a part of the journal was past its retention: what is left is in them (J2)."""
    aged_s = min((each.at_s for each in evidence.seen.injuries if each.kind == "aged"), default=None)
    return aged_s is not None and any(
        each.kind == "disk_lost" and each.at_s > aged_s and set(each.targets) & set(names_of("ledger"))
        for each in evidence.seen.injuries
    )
