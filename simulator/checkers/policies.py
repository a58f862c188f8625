"""What firewalls say of calls, whatever bundles they are given: who is diverted, how many, where to, and by whose word.

The evidence is what they publish on `screenings` and what stands on `policy`; both are read once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from throughline.v1 import screening_pb2

from loadtest.tries import planned_as
from services.domain.fold import Outcome
from services.domain.offer import TEST_URN
from services.policy.files.built_in import built_in
from services.policy.files.signing import TWO, read_keys
from services.policy.life.lifecycle import Pointer, Stage, State
from services.policy.life.shelf import Shelf
from services.policy.verdicts.guards import BREAKER
from services.wire import policy_records, screenings
from services.wire.methods import Unreadable
from simulator.checkers.agreed import BYPASS_MS, DIVERTED_SHARE, REPEATS_CALLS_MIN, SLACK_CALLS
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.checkers.weather import CLOCKS
from simulator.injuries import FAMILIES
from simulator.installation import SERVICE_OF
from simulator.region import KEYS_FILE, LINES, texts

DIVERTED_MAX: Final = 20
WITHIN_MS: Final = 10_000
"""A bundle that diverts everybody may divert so many, or for so long, before everything passes."""
HEARD_MS: Final = 1_000
"""What one firewall has published the others have heard after this."""
QUARANTINED_MS: Final = 500
TOLD_MS: Final = 500
AGAIN_MS: Final = 4_000
"""A firewall that was hurt has read what it missed so long after."""
_FILE: Final = "bypass_file"
_ORDERED: Final = "bypass_ordered"
_DELAYS: Final = frozenset(
    {"policy_late", *(kind.name for family in ("kafka", "process", "network", "clock") for kind in FAMILIES[family])}
)
_OWNERS: Final = frozenset(line.owner for line in LINES)
_BUILT_IN: Final = built_in().digest


@dataclass(frozen=True, slots=True)
class Told:
    """One record of `screenings`. `number` and `calls`: whose call it is and the how manieth within an hour, as it was
    counted; empty and 0 of a call that was known already."""

    record: screening_pb2.Screening
    landed_ms: int
    number: str
    calls: int
    repeats: bool

    @property
    def call_id(self) -> str:
        return self.record.call_id

    @property
    def at_ms(self) -> int:
        return self.record.at_ms

    @property
    def said_ms(self) -> int:
        """When the verdict stood."""
        return self.record.at_ms + self.record.took_us // 1000

    @property
    def diverts(self) -> bool:
        return self.record.verdict.WhichOneof("said") == "divert"

    @property
    def proposed(self) -> bool:
        """Whether a rule would have diverted it, kept back or not."""
        return self.diverts or self.record.proposed.WhichOneof("said") == "divert"

    @property
    def first(self) -> bool:
        """Whether it was judged, and not only told again what it was told before."""
        return len(self.record.inputs) > 0


def screened(evidence: Evidence) -> Iterator[Finding]:
    """Everything that must hold of what firewalls say."""
    told = told_of(evidence)
    if not told:
        return
    yield from _end_at_a_person(evidence, told)
    yield from _few(evidence, told)
    yield from _first_calls(told)
    if not _clocks_were_set(evidence):
        yield from _budget(evidence, told)
        yield from _counted(evidence, told)
        yield from _same(evidence, told)
    yield from _bypass(evidence, told)
    yield from _verified(evidence, told)
    yield from _quarantined(evidence, told)


def told_of(evidence: Evidence) -> list[Told]:
    """What answered calls, by time: nothing of shadows."""
    found = []
    for each in evidence.seen.screenings:
        record = screenings.read(each.value)
        if record.shadow:
            continue
        inputs = screenings.inputs_of(record)
        repeats = int(inputs.get("number_calls_600s", 0)) >= REPEATS_CALLS_MIN
        number, calls = str(inputs.get("number", "")), int(inputs.get("number_calls_3600s", 0))
        found.append(Told(record, each.log_ms, number, calls, repeats))
    return sorted(found, key=lambda each: each.at_ms)


def is_hurt(evidence: Evidence, each: Told, since_ms: int = 0) -> bool:
    """Whether this firewall, its ways or its journal were hurt around that moment: it may not know then what others
    do."""
    for injury in evidence.weather.during(since_ms or each.at_ms, each.said_ms, AGAIN_MS):
        whom = [target for target in injury.targets if SERVICE_OF.get(target) in ("firewall", None)]
        if injury.kind in _DELAYS and (each.record.firewall in whom or any(name not in SERVICE_OF for name in whom)):
            return True
    return False


def _clocks_were_set(evidence: Evidence) -> bool:
    """Whether a firewall's or a broker's wall clock was wrong: then no record says when it was, and a call that looks
    old is counted less, which makes a verdict milder."""
    return any(
        injury.kind in CLOCKS and any(SERVICE_OF.get(target) in ("firewall", None) for target in injury.targets)
        for injury in evidence.seen.schedule.injuries
    )


def _end_at_a_person(evidence: Evidence, told: Sequence[Told]) -> Iterator[Finding]:
    """Each divert is to a desk that people staff, and each diverted call ends at a person or on the list."""
    ended = {Outcome.ANSWERED, Outcome.DIVERTED, Outcome.CALLBACK_OPEN, Outcome.CALLBACK_CLOSED}
    for each in told:
        if not each.diverts:
            continue
        desk = each.record.verdict.divert.desk
        if desk not in _OWNERS:
            yield Finding("desks", each.call_id, f"diverted to {desk}, which has no lines")
        call = evidence.calls.get(each.call_id)
        if evidence.seen.settled and call is not None and call.facts and not ended & set(call.outcomes):
            yield Finding("desks", each.call_id, f"diverted, and ended {', '.join(call.outcomes) or 'nowhere'}")


def _few(evidence: Evidence, told: Sequence[Told]) -> Iterator[Finding]:
    """At most twenty calls in all, or ten seconds, until a bundle that diverts everybody diverts nobody."""
    diverted: dict[str, dict[str, int]] = defaultdict(dict)
    for each in told:
        if each.diverts and not each.repeats:
            diverted[each.record.bundle].setdefault(each.call_id, each.at_ms)
    for bundle, calls in diverted.items():
        took_ms = max(calls.values()) - min(calls.values())
        if len(calls) > DIVERTED_MAX and took_ms > WITHIN_MS:
            yield Finding("few_diverted", "", f"{bundle[:12]} diverted {len(calls)} calls within {took_ms} ms")


def _budget(evidence: Evidence, told: Sequence[Told]) -> Iterator[Finding]:
    """What other firewalls divert counts here, too: past the state's budget nobody is diverted."""
    share = DIVERTED_SHARE
    real = [each for each in told if each.first and not each.record.test and not each.repeats]
    landed = sorted(_earliest((one.call_id, one.landed_ms) for one in real if one.proposed).values())
    began = sorted(_earliest((one.call_id, one.at_ms) for one in real).values())
    for each in real:
        if not each.diverts:
            continue
        known = bisect_right(landed, each.at_ms - HEARD_MS)
        calls = bisect_right(began, each.said_ms)
        if known > max(SLACK_CALLS, share * calls) and not is_hurt(evidence, each):
            words = f"{each.record.firewall} diverts it, and {known} were to be diverted before"
            yield Finding("budget", each.call_id, words)


def _earliest(told: Iterable[tuple[str, int]]) -> dict[str, int]:
    """By call."""
    found: dict[str, int] = {}
    for call_id, at_ms in told:
        found[call_id] = min(at_ms, found.get(call_id, at_ms))
    return found


def _first_calls(told: Sequence[Told]) -> Iterator[Finding]:
    """The first call of a number is never diverted."""
    seen: dict[str, str] = {}
    for each in told:
        if not each.first or not each.number or each.record.test:
            continue
        if seen.setdefault(each.number, each.call_id) == each.call_id and each.diverts:
            yield Finding("first_calls", each.call_id, "diverted, and nobody of its number has called before")


def _counted(evidence: Evidence, told: Sequence[Told]) -> Iterator[Finding]:
    """Windows count each real call that was screened, wherever it was, and no test call."""
    plans = {planned.call_id: planned for planned in evidence.seen.schedule.calls}
    offered: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for entry in evidence.seen.callers:
        planned = plans.get(planned_as(entry.get("call_id", "")))
        if planned is not None and entry["event"] == "offered" and planned.service_urn != TEST_URN:
            offered[planned.caller].append((entry["call_id"], entry["at_ms"]))
    landed: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for each in told:
        if each.first and each.number and not each.record.test:
            landed[each.number].append((each.call_id, each.landed_ms))
    offers = {number: sorted(_earliest(calls).values()) for number, calls in offered.items()}
    known = {number: sorted(_earliest(calls).values()) for number, calls in landed.items()}
    for each in told:
        if not each.first or each.number not in offers or each.record.test or is_hurt(evidence, each):
            continue
        most = bisect_right(offers[each.number], each.said_ms)
        least = bisect_right(known[each.number], each.at_ms - HEARD_MS)
        if not least <= each.calls <= most:
            words = f"{each.record.firewall} counts {each.calls} calls of its number: {least} to {most} there were"
            yield Finding("windows", each.call_id, words)


def _same(evidence: Evidence, told: Sequence[Told]) -> Iterator[Finding]:
    """The same call is told the same, whoever screens it, save what is kept back (L3)."""
    answers: dict[str, list[Told]] = defaultdict(list)
    for each in told:
        for before in answers[each.call_id]:
            if each.record.kept_from or before.record.kept_from or _word(each) == _word(before):
                continue
            knew = before.landed_ms + HEARD_MS <= each.at_ms and not is_hurt(evidence, each, before.at_ms)
            alike = before.record.bundle == each.record.bundle and before.record.inputs == each.record.inputs
            if (before.record.firewall == each.record.firewall and not is_hurt(evidence, each, before.at_ms)) or knew:
                yield Finding("same_verdict", each.call_id, f"{_word(before)} first, then {_word(each)}")
            elif alike and each.first:
                yield Finding("same_verdict", each.call_id, f"{_word(before)} and {_word(each)} of the same inputs")
        answers[each.call_id].append(each)


def _word(told: Told) -> str:
    said = told.record.verdict.WhichOneof("said") or ""
    rule = getattr(told.record.verdict, said).rule if said in ("flag", "divert") else ""
    return f"{said} by {rule}" if rule else said


def _bypass(evidence: Evidence, told: Sequence[Told]) -> Iterator[Finding]:
    """While the bypass is on nobody is diverted."""
    for injury in evidence.seen.injuries:
        if injury.kind not in (_FILE, _ORDERED):
            continue
        from_ms, to_ms = evidence.weather.window_ms(injury)
        from_ms += BYPASS_MS + TOLD_MS if injury.kind == _FILE else TOLD_MS
        for each in told:
            away = _gone(evidence, each, from_ms - TOLD_MS)
            if each.diverts and from_ms <= each.at_ms and each.said_ms < to_ms and not away:
                yield Finding("bypass", each.call_id, f"diverted by {each.record.firewall} while the bypass was on")


def _gone(evidence: Evidence, each: Told, from_ms: int) -> bool:
    """Whether an order could not be told it: it, or its ways, were hurt when it was given."""
    unkind = {kind.name for family in ("process", "network") for kind in FAMILIES[family]}
    return any(
        injury.kind in unkind and each.record.firewall in injury.targets
        for injury in evidence.weather.during(from_ms, each.at_ms, AGAIN_MS)
    )


def _verified(evidence: Evidence, told: Sequence[Told]) -> Iterator[Finding]:
    """Whatever diverts is a bundle that was made live, and that two people had signed then, whose word counted then."""
    stood = _stood(evidence)
    for each in told:
        digest = each.record.bundle
        if not digest and each.diverts:
            yield Finding("verified", each.call_id, "diverted, and no bundle said so")
        elif digest and digest != _BUILT_IN and each.first:
            since_ms, signers = stood.get(digest, (0, 0))
            if not since_ms or since_ms > each.said_ms:
                yield Finding("verified", each.call_id, f"{digest[:12]} answers it, and was not live")
            elif signers < TWO:
                yield Finding("verified", each.call_id, f"{digest[:12]} answers it, and {signers} had signed it")


def states(evidence: Evidence) -> Iterator[tuple[int, State, Shelf]]:
    """What stood on `policy`, each state from its instant in wall milliseconds on, with the shelf as it was then."""
    shelf = Shelf()
    for record in evidence.seen.policies:
        entry = None
        with suppress(Unreadable):
            entry = policy_records.read(record.key, record.value)
        if entry is not None:
            shelf.put(entry)
        if isinstance(entry, State) and shelf.state is entry:
            yield record.log_ms, entry, shelf


def _stood(evidence: Evidence) -> dict[str, tuple[int, int]]:
    """Bundles that were to answer calls: since when, and how many people's signatures counted at that moment."""
    keys = read_keys(texts()[KEYS_FILE].encode())
    found: dict[str, tuple[int, int]] = {}
    for log_ms, state, shelf in states(evidence):
        for pointer in _answering(state):
            if pointer.version and pointer.digest not in found:
                signed = keys.of_bundle(pointer.version, pointer.digest, shelf.signatures(pointer), log_ms)
                found[pointer.digest] = log_ms, len(signed.signers)
    return found


def _answering(state: State) -> list[Pointer]:
    canary = state.stage is Stage.CANARY and state.candidate is not None
    return [state.live, *([state.candidate] if canary and state.candidate is not None else [])]


def _quarantined(evidence: Evidence, told: Sequence[Told]) -> Iterator[Finding]:
    """What trips a firewall's breaker is asked by it no more, and what stands in quarantine by nobody. Whose proposals
    alone came before the first trip is the one that tripped: a scope that is tripped already trips at no other."""
    stands = _in_quarantine(evidence)
    culprits: set[str] = set()
    tripped: dict[str, Told] = {}
    for each in told:
        if not each.first:
            continue
        if not tripped and each.proposed:
            culprits.add(each.record.bundle)
        if each.record.kept_from.startswith(BREAKER):
            tripped.setdefault(each.record.firewall, each)
        by = tripped.get(each.record.firewall)
        since_ms = stands.get(each.record.bundle, each.at_ms) + HEARD_MS
        if by is not None and culprits == {each.record.bundle} == {by.record.bundle}:
            since_ms = min(since_ms, by.said_ms + QUARANTINED_MS)
        if each.at_ms > since_ms and not is_hurt(evidence, each, since_ms):
            words = f"{each.record.firewall} asks {each.record.bundle[:12]}, which is in quarantine"
            yield Finding("quarantine", each.call_id, words)


def _in_quarantine(evidence: Evidence) -> dict[str, int]:
    """Since when, of those that stay there; it has no end but by an operator's order, which nobody gives here."""
    found: dict[str, int] = {}
    for log_ms, state, _ in states(evidence):
        for digest in state.quarantined:
            found.setdefault(digest, log_ms)
    return found
