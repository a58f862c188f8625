"""Whose calls are taken over, and how soon callers are rung back (T1, T3)."""

from __future__ import annotations

from collections import defaultdict
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
from simulator.installation import SERVICE_OF

TICKED_FOR_MS: Final = 4_000
TICKED_SINCE_MS: Final = 1_500
TICK_GAP_MS: Final = 1_000
"""Ticks come each 500 ms."""
LOG_SLACK_MS: Final = 500
"""What an append and its way to the line may take, where Kafka is well."""
AFTER_MS: Final = round(AFTER_S * 1000)
KILLS: Final = frozenset({"kill", "crash", "kill_all"})
"""A death that closes its connections: it is noticed at once."""
TAKEN_WITHIN_MS: Final = 1_500
"""300 ms in which the stream may come back, the question whether it lives, half a second in which all are asked who
has the call, and what looks each 100 ms and ways add."""
ACCEPTED_MS: Final = 300
"""By then the offer is on the log, or a copy of it is kept."""
BEFORE_MS: Final = 6_000
TWO_HAVE_IT: Final = frozenset({"offers_twice"})
ENDS: Final = frozenset({"connected", "hung_up", "gave_up", "leg_broken", "refused", "misbehaved"})
READS_LATE: Final = frozenset({"kafka_late", "kafka_deaf"})
CUTS: Final = frozenset({"cut", "cut_one_way", "cut_off", "hears_nobody", "heard_by_nobody", "split"})
IS_HEARD: Final = frozenset({"hears_nobody"})
"""Kinds in which a silence begins when who is hit finds its connections dead, and closes them."""
FOUND_MS: Final = 6_000
WRONG_STAMPS: Final = frozenset({"broker_skew", "broker_jump"})
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
    silent_ms = strikes_ms + (FOUND_MS if injury.kind in IS_HEARD else 0)
    return injury.kind not in CUTS or log_ms - silent_ms < PROVEN_AFTER_MS


def soon_enough(evidence: Evidence) -> Iterator[Finding]:
    """Whoever was on the line of an ingress that is killed, and has no other leg, is taken over at once (T1, T4), where
    nobody but ingresses was hurt meanwhile."""
    deaths = [
        (evidence.weather.window_ms(injury)[0], name)
        for injury in evidence.seen.injuries
        if injury.kind in KILLS
        for name in injury.targets
        if SERVICE_OF.get(name) == "ingress"
    ]
    if not deaths:
        return
    for call in evidence.calls.values():
        offered = [entry for entry in call.caller if entry["event"] == "offered"]
        if not offered or call.misbehaved() & TWO_HAVE_IT:
            continue
        last = offered[-1]
        ends = [e["at_ms"] for e in call.caller if e["event"] in ENDS and e["leg"] == last["leg"]]
        for at_ms, name in deaths:
            on_the_line = last["at_ms"] + ACCEPTED_MS < at_ms and not any(end_ms <= at_ms for end_ms in ends)
            if last["ingress"].partition(":")[0] != name or not on_the_line or _others_are_hurt(evidence, at_ms):
                continue
            told_ms = [fact["at_ms"] for fact in call.facts if fact["leg"] == last["leg"] and fact["at_ms"] > at_ms]
            if not told_ms or min(told_ms) - at_ms > TAKEN_WITHIN_MS:
                took = f"{min(told_ms) - at_ms} ms later" if told_ms else "by nobody"
                words = f"{name} died with leg {last['leg']}, which was taken over {took}: at most {TAKEN_WITHIN_MS}"
                yield Finding("take_overs", call.call_id, words)


def _others_are_hurt(evidence: Evidence, at_ms: int) -> bool:
    """Whether anybody but ingresses was hurt then, or shortly before."""
    return any(
        SERVICE_OF.get(target) != "ingress"
        for injury in evidence.weather.during(at_ms, at_ms + TAKEN_WITHIN_MS, BEFORE_MS)
        for target in injury.targets
    )


def late_by_its_own_clock(evidence: Evidence) -> Iterator[Finding]:
    """What is taken over as late is so by the stamps of its own partition (T2): the newest of these is past the latest
    fact's, less its age, and the time within which another was owed; or of one that has just landed, and may be known
    or not. A replica that reads late knows less."""
    if any(injury.kind in READS_LATE for injury in evidence.seen.injuries):
        return
    if not any(fact.get("kind") == "taken_over" for fact in evidence.seen.journal):
        return
    newest_ms: dict[int, int] = {}
    said: dict[str, list[tuple[Fact, int]]] = defaultdict(list)
    for record in evidence.seen.records:
        newest_ms[record.partition] = max(record.log_ms, newest_ms.get(record.partition, 0))
        fact = facts.fact_in(record.value)
        if fact is None:
            continue
        if fact.kind is FactKind.TAKEN_OVER and not fact.age_ms and fact.reason.startswith(Cause.LATE):
            known_ms = record.log_ms - LOG_SLACK_MS
            told = sorted((each for each in said[fact.call_id] if each[0].leg == fact.leg), key=_when_said)
            known = max((n for n, (_, ms) in enumerate(told) if ms < known_ms), default=len(told))
            owed_ms = min((ms - each.age_ms + each.due_in_ms for each, ms in told[known:]), default=0)
            early_ms = owed_ms - newest_ms[record.partition]
            if early_ms > 0:
                words = f"leg {fact.leg} was taken over as late {early_ms} ms before it was"
                yield Finding("take_overs", fact.call_id, words)
        elif fact.conductor is not None:
            said[fact.call_id].append((fact, record.log_ms))


def _when_said(told: tuple[Fact, int]) -> tuple[int, int, str]:
    return told[0].at_ms, told[0].seq, told[0].writer


def not_too_early(evidence: Evidence) -> Iterator[Finding]:
    """A caller has three seconds to come back by a higher leg before a line rings them (T3); since when, a broker's
    stamp says, if its clock is right."""
    rung = {e["call_id"] for e in evidence.seen.far_end if e["event"] == "rings_caller"}
    if not rung or any(injury.kind in WRONG_STAMPS for injury in evidence.seen.injuries):
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
