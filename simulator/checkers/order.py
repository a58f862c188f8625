"""The facts of one leg come to the journal in their order, and lie in it on every disk (J5, J6).

Two things may bring a later fact to the log before an earlier one: a Kafka that answers some appends of a process and
not others, which takes the later one before the earlier one is known to be refused; and a death, which leaves facts in
several hands. Either excuses that process alone, and facts that it had in hand then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from loadtest.call_told import Entry
from loadtest.witness import NUMBERED_BY_KIND
from services.domain.events import Fact
from services.ingress.scribe import OPENS_OR_SETTLES
from services.journal import Topic
from services.journal.segments import read
from services.wire import facts
from simulator.checkers.agreed import APPEND_MS
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.checkers.spools import KEPT
from simulator.checkers.weather import DEATHS
from simulator.injuries import FAMILIES
from simulator.installation import SERVICE_OF
from simulator.replicas import SEGMENT

CLOCKS: Final = frozenset({"clock_skew", "clock_jump"})
COPIED: Final = frozenset(map(str, OPENS_OR_SETTLES))
"""Of these failover has copies, which it hands to the log itself when it thinks their conductor gone (J4): they may
come before what the conductor back-fills later."""
BROKERS_CLOCKS: Final = frozenset({"broker_skew", "broker_jump"})
KEEPS_WHAT_IT_GETS: Final = frozenset({"broker_hung", "broker_falls", "kafka_hung"})
GOES_AWAY: Final = frozenset({"kafka_gone", "broker_gone"})
"""Nothing is given to who is gone; what was under way then is sent again when somebody leads."""
UNDER_WAY_MS: Final = 200
"""No append to brokers that are well takes longer. One over its budget stays under way: its client keeps sending it."""
SLOW: Final = "kafka_slow"
STANDS_STILL: Final = frozenset({"pause", "held_up"})
AGE_SLACK_MS: Final = 20
APPEND_LASTS_MS: Final = 5_500
"""A partition that misses its deadline of five seconds takes nothing more; what it was given may land until then."""
IN_ORDER: Final = frozenset({"kafka_gone", "kafka_deaf", "kafka_late", "compacted", "aged"})
"""Kinds of a hurt Kafka that treat all appends of a process alike."""
SOME: Final = frozenset(kind.name for kind in FAMILIES["kafka"]) - IN_ORDER
DIES: Final = DEATHS | {"disk_lost"}


def in_order(evidence: Evidence) -> Iterator[Finding]:
    """A key's later facts wait behind its earlier ones."""
    landed_ms: dict[tuple[str, int, int, str], int] | None = None
    for call in evidence.calls.values():
        newest: dict[tuple[int, str], int] = {}
        for fact in call.facts:  # by offset, each where it came first
            key = (fact["leg"], fact["writer"])
            if fact["writer"] in NUMBERED_BY_KIND:
                continue
            ahead = newest.get(key, -1)
            if fact["seq"] < ahead:
                landed_ms = _landed(evidence) if landed_ms is None else landed_ms
                found_ms = landed_ms.get((call.call_id, fact["leg"], fact["seq"], fact["writer"]))
                at_ms: int = fact["at_ms"] if found_ms is None else found_ms
                if not _excused(evidence, fact, at_ms):
                    words = f"fact {fact['seq']} of leg {fact['leg']} by {fact['writer']} came behind fact {ahead}"
                    yield Finding("order", call.call_id, words)
            if fact["kind"] not in COPIED:
                newest[key] = max(fact["seq"], ahead)


def lies_in_order(evidence: Evidence) -> Iterator[Finding]:
    """What a process has written down of a call lies on its disk in the order in which it was said, whatever was hurt,
    at every moment: whoever is killed between two writes leaves no later fact without the earlier ones."""
    told: set[str] = set()
    for disks in (*evidence.seen.disks, evidence.seen.spools):
        for name, files in disks.items():
            for call_id, words in _lies_wrongly(files):
                if f"{name} {words}" not in told:
                    told.add(f"{name} {words}")
                    yield Finding("order", call_id, f"{name}: {words}")


def says_its_age(evidence: Evidence) -> Iterator[Finding]:
    """What comes to the log late says how late (J5): a fact's stamp, less its age, is the instant at which it was said,
    but for what an append may take. Of clocks that were wrong, and of processes that stood still, nothing is said."""
    injuries = evidence.seen.injuries
    if any(injury.kind in BROKERS_CLOCKS for injury in injuries):
        return
    skewed = {target for injury in injuries if injury.kind in CLOCKS for target in injury.targets}
    stood_still = any(injury.kind in STANDS_STILL for injury in injuries)
    for record in evidence.seen.records:
        fact = facts.fact_in(record.value)
        if fact is None or fact.writer in NUMBERED_BY_KIND or fact.writer.partition("/")[0] in skewed:
            continue
        off_ms = record.log_ms - fact.age_ms - fact.at_ms
        long_ago = off_ms > APPEND_LASTS_MS and not stood_still and not _hung(evidence, fact, record.log_ms)
        if off_ms < -AGE_SLACK_MS or long_ago:
            words = f"fact {fact.seq} of leg {fact.leg} by {fact.writer}, {record.log_ms - fact.at_ms} ms old, says "
            yield Finding("ages", fact.call_id, words + f"that it is {fact.age_ms} ms old")


def _hung(evidence: Evidence, fact: Fact, landed_ms: int) -> bool:
    """Whether a broker took what it was given, and did nothing with it for a while, or all went while it was on its way
    to them: it may land late, and as it is."""
    given_ms = fact.at_ms + fact.age_ms
    takes_ms = UNDER_WAY_MS + _slow_ms(evidence, fact.writer.partition("/")[0], given_ms)
    for injury in evidence.weather.during(fact.at_ms, landed_ms):
        went_ms, _ = evidence.weather.window_ms(injury)
        under_way = went_ms - takes_ms <= given_ms <= went_ms
        if injury.kind in KEEPS_WHAT_IT_GETS or (injury.kind in GOES_AWAY and under_way):
            return True
    return False


def _slow_ms(evidence: Evidence, writer: str, given_ms: int) -> int:
    """By how much longer, at most, what this writer gave to the log then was under way. Behind a slow append those that
    come later wait too."""
    slow_ms = 0
    for injury in evidence.seen.injuries:
        strikes_ms, heals_ms = evidence.weather.window_ms(injury)
        most_ms = round(injury.amount * 1000)
        was_slow = strikes_ms - AGE_SLACK_MS <= given_ms <= heals_ms + most_ms
        if injury.kind == SLOW and writer in injury.targets and was_slow:
            slow_ms = max(slow_ms, most_ms)
    return slow_ms


def _lies_wrongly(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    newest: dict[tuple[str, int, str], int] = {}
    for path in sorted(each for each in files if each.endswith(SEGMENT) and KEPT not in each):
        for spooled in read(files[path]).entries:
            fact = facts.fact_in(spooled.value) if spooled.topic is Topic.CALLS else None
            if fact is None or fact.writer in NUMBERED_BY_KIND:
                continue
            key = (fact.call_id, fact.leg, fact.writer)
            if fact.seq < newest.get(key, -1):
                yield fact.call_id, f"fact {fact.seq} of leg {fact.leg} lies in {path} behind fact {newest[key]}"
            newest[key] = max(fact.seq, newest.get(key, -1))


def _landed(evidence: Evidence) -> dict[tuple[str, int, int, str], int]:
    """When each fact came to the log first, by the broker's clock; looked up only where something is out of order."""
    landed_ms: dict[tuple[str, int, int, str], int] = {}
    for record in evidence.seen.records:
        fact = facts.fact_in(record.value)
        if fact is not None:
            landed_ms.setdefault(fact.identity, record.log_ms)
    return landed_ms


def _excused(evidence: Evidence, fact: Entry, landed_ms: int) -> bool:
    """Whether its writer's own Kafka was hurt when it was said, or its writer died with it in hand."""
    writer = fact["writer"].partition("/")[0]
    said_ms = fact["at_ms"] - _ahead_ms(evidence, writer, fact["at_ms"])
    for injury in evidence.weather.during(said_ms, max(said_ms, landed_ms)):
        strikes_ms, heals_ms = evidence.weather.window_ms(injury)
        everybodys = not any(target in SERVICE_OF for target in injury.targets)
        if injury.kind in DIES and writer in injury.targets and strikes_ms >= said_ms - APPEND_MS:
            return True
        hurts = writer in injury.targets or everybodys
        if injury.kind in SOME and hurts and strikes_ms - APPEND_MS <= said_ms <= heals_ms + APPEND_MS:
            return True
    return False


def _ahead_ms(evidence: Evidence, writer: str, at_ms: int) -> int:
    """By how much the writer's clock was wrong when it wrote this instant down."""
    for injury in evidence.seen.injuries:
        strikes_ms, heals_ms = evidence.weather.window_ms(injury)
        ahead_ms = round(injury.amount)
        if injury.kind in CLOCKS and writer in injury.targets and strikes_ms <= at_ms - ahead_ms <= heals_ms:
            return ahead_ms
    return 0
