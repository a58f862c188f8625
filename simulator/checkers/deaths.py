"""Whose calls are taken over, and how soon callers are rung back (T1, T3)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import Final

from loadtest.ring import order_of
from services.domain.events import Fact, FactKind, Tick
from services.domain.take_overs.facts import LOST_CONDUCTOR, Leg, attempt_name
from services.domain.take_overs.taking_over import Cause
from services.wire import facts
from services.wire.methods import Unreadable
from simulator.checkers.agreed import AFTER_S, PAUSES_S, TRIES_MAX
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.injuries import FAMILIES, Injury

TICKED_FOR_MS: Final = 4_000
TICKED_SINCE_MS: Final = 1_500
TICK_GAP_MS: Final = 1_000
"""Ticks come each 500 ms."""
LOG_SLACK_MS: Final = 500
"""What an append and its way to the line may take, where Kafka is well."""
AFTER_MS: Final = round(AFTER_S * 1000)
"""Read once: what the services believe now is not what was agreed."""
CUTS: Final = frozenset({"cut", "cut_one_way", "cut_off"})
PROVEN_AFTER_MS: Final = 2_500
PAUSE_MS: Final = round(PAUSES_S[0] * 1000)
_TRIES_ABOVE: Final = order_of(attempt_name(Leg("", 0, "", False), 0))[1]
_KAFKA: Final = frozenset(kind.name for kind in FAMILIES["kafka"])


def only_the_dead(evidence: Evidence) -> Iterator[Finding]:
    """Whoever ticks all the while lives, whatever its stream does (T1): nothing is taken from it by a replica that
    reads the log. What is late may be taken (T2)."""
    taken, ticks, writers = _read(evidence)
    for fact, log_ms in taken:
        if fact.reason.startswith(Cause.LATE) or fact.age_ms:
            continue
        by = fact.reason.rpartition(" ")[2]
        hosts = {by, *(writer.partition("/")[0] for writer in writers.get((fact.call_id, fact.leg), ()))}
        if any(
            _excuses(injury, hosts, evidence, log_ms)
            for injury in evidence.weather.during(log_ms - TICKED_FOR_MS, log_ms)
        ):
            continue
        for writer in writers.get((fact.call_id, fact.leg), ()):
            if _ticks_throughout(ticks.get(writer, []), log_ms - TICKED_FOR_MS, log_ms + TICKED_SINCE_MS):
                words = f"{by} took leg {fact.leg} from {writer}, which ticked before and after"
                yield Finding("take_overs", fact.call_id, words)


def _excuses(injury: Injury, hosts: Collection[str], evidence: Evidence, log_ms: int) -> bool:
    """A replica that does not read the log knows of no tick, and one that was held up reads it late. In the first two
    seconds of a silence no tick proves anything yet: it may have been under way."""
    if injury.kind in _KAFKA:
        return True
    if not set(hosts) & set(injury.targets):
        return False
    strikes_ms, _ = evidence.weather.window_ms(injury)
    return injury.kind not in CUTS or log_ms - strikes_ms < PROVEN_AFTER_MS


def not_too_early(evidence: Evidence) -> Iterator[Finding]:
    """A caller has three seconds to come back by a higher leg before a line rings them (T3)."""
    rung = {e["call_id"] for e in evidence.seen.far_end if e["event"] == "rings_caller"}
    if not rung:
        return
    listed_ms: dict[str, int] = {}
    for record in evidence.seen.records:
        if record.key in rung and record.key not in listed_ms:
            fact = facts.decode(record.value)
            if fact.kind is FactKind.CALLBACK_DUE and fact.reason == LOST_CONDUCTOR:
                listed_ms[record.key] = record.log_ms
    for entry in evidence.seen.far_end:
        if entry["event"] != "rings_caller":
            continue
        at_ms, listed = entry["at_ms"], listed_ms.get(entry["call_id"], 0)
        if any(injury.kind in _KAFKA for injury in evidence.weather.during(listed - TICKED_FOR_MS, at_ms)):
            continue
        if at_ms - listed < AFTER_MS - LOG_SLACK_MS:
            yield Finding("callbacks", entry["call_id"], f"rung back {at_ms - listed} ms after it was put on the list")


def tried_three_times(evidence: Evidence) -> Iterator[Finding]:
    """A line is asked three times at most to ring a caller back, further and further apart (T3)."""
    for call in evidence.calls.values():
        asked_ms: dict[tuple[int, int], int] = {}
        for entry in call.far_end:
            leg, n = order_of(entry["attempt"])
            number = n - _TRIES_ABOVE
            if entry["event"] != "offered" or number < 1 or (leg, number) in asked_ms:
                continue
            asked_ms[leg, number] = entry["at_ms"]
            if number > TRIES_MAX:
                yield Finding("callbacks", call.call_id, f"a line is asked for the {number}th time to ring them back")
            before = asked_ms.get((leg, number - 1))
            if before is not None and entry["at_ms"] - before < PAUSE_MS:
                words = f"a line is asked to ring them back {entry['at_ms'] - before} ms after the last one was"
                yield Finding("callbacks", call.call_id, words)


def _read(
    evidence: Evidence,
) -> tuple[list[tuple[Fact, int]], Mapping[str, list[int]], Mapping[tuple[str, int], set[str]]]:
    """Who was taken over and when, the ticks of each writer, and who conducted which leg. Where nobody was, nothing is
    read."""
    ids = {fact["call_id"] for fact in evidence.seen.journal if fact.get("kind") == "taken_over"}
    taken: list[tuple[Fact, int]] = []
    ticks: dict[str, list[int]] = {}
    writers: dict[tuple[str, int], set[str]] = {}
    for record in evidence.seen.records if ids else ():
        if record.key and record.key in evidence.calls and record.key not in ids:
            continue
        try:
            fact = facts.read(record.value)
        except Unreadable:
            continue
        if isinstance(fact, Tick):
            ticks.setdefault(fact.writer, []).append(record.log_ms)
        elif fact.kind is FactKind.TAKEN_OVER:
            taken.append((fact, record.log_ms))
        elif fact.conductor is not None:
            writers.setdefault((fact.call_id, fact.leg), set()).add(fact.writer)
    return taken, {writer: sorted(times) for writer, times in ticks.items()}, writers


def _ticks_throughout(times: list[int], from_ms: int, to_ms: int) -> bool:
    """Whether no second of the span went by without a tick."""
    inside = [from_ms, *(at for at in times if from_ms < at < to_ms), to_ms]
    return all(later - sooner < TICK_GAP_MS for sooner, later in pairwise(inside))
