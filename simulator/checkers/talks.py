"""Who talks to a caller: one person at a time, and only where the caller's own stream led to it (P3, P4, T3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from loadtest.call_told import CallTold, Connection, Entry
from loadtest.witness import ATTESTED, MAYBE_CONNECTED
from services.domain.take_overs.facts import Leg, attempt_name
from simulator.checkers.agreed import CONFIRM_MS, TRIES_MAX
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.checkers.hearing import replicas_of
from simulator.checkers.weather import CABLES, PROCESSES
from simulator.injuries import FAMILIES
from simulator.installation import names_of

BEGINS: Final = frozenset({"connected", "rung_back"})
NEAR_MS: Final = 20
"""What the few messages between a gateway's second and the PSAP's hearing of it take."""
BY_ANOTHERS_WORD: Final = frozenset({ATTESTED, "resumed", "seen_connected", "connected_already"})
"""Reasons of a connection that its writer did not make: whoever has the caller said so (P5, R3, T3)."""
ALONE_MS: Final = 3_000
"""What the conductor's word to the gateways and theirs to the PSAP take, said twice, where the PSAP is far or attaches
again meanwhile."""
HEARS_NOTHING: Final = (CABLES | PROCESSES) - {"far"}
IS_NOT_REACHED: Final = (HEARS_NOTHING - {"reset"}) | {
    *("psap_cut", "psap_silent", "trunk_gone", "trunk_hung", "trunk_mute")
}
"""Kinds of injury by which a conductor misses what its caller says, and a person's place what it is told."""
SILENCE: Final = frozenset(kind.name for family in ("process", "network", "far_end") for kind in FAMILIES[family])
"""Kinds of injury of which somebody falls silent."""
KEEPS_BACK: Final = frozenset({"trunk_hung", "psap_silent"})


def one_at_a_time(evidence: Evidence) -> Iterator[Finding]:
    """At most one person is connected to a caller at any moment, one that is taken back included.

    One thing nobody could know: that a person has the caller, where all who could have said so are gone; whoever is
    rung next is told that (P5).
    """
    for call in evidence.calls.values():
        talking: dict[Connection, Entry] = {}
        told_so = {fact["attempt"] for fact in call.facts if fact["reason"] == MAYBE_CONNECTED}
        for entry in call.far_end:
            event = entry["event"]
            if event in BEGINS:
                here = Connection.of(entry)
                unknown: set[Connection] = set()
                if event == "connected" and here.attempt in told_so:
                    unknown = {each for each, talk in talking.items() if _nobody_could_say(evidence, call, talk, entry)}
                for other in talking.keys() - {here} - unknown:
                    yield Finding("one_person", call.call_id, f"{here} is {event} while {other} talks to the caller")
                talking[here] = entry
            elif event in ("ended", "cancelled"):
                talking.pop(Connection.of(entry), None)


def _nobody_could_say(evidence: Evidence, call: CallTold, talk: Entry, entry: Entry) -> bool:
    """Whether it was asked after, and the far end itself, the conductor, or all who might have asked the far end, were
    silenced meanwhile. Kafka, disks and clocks silence nobody."""
    if not _asked_after(call, talk["attempt"], entry["at_ms"]):
        return False
    hurt = {
        target.partition(":")[0]
        for injury in evidence.weather.during(talk["at_ms"], entry["at_ms"])
        if injury.kind in SILENCE
        for target in injury.targets
    }
    conductors = {each["ingress"].partition(":")[0] for each in call.caller if each["event"] == "offered"}
    end = talk["trunk"].partition(":")[0] if talk.get("line") else talk["psap_id"]
    asked = names_of("failover" if talk.get("line") else "psap_gateway")
    return bool(hurt & (conductors | {end})) or hurt.issuperset(asked)


def _asked_after(call: CallTold, attempt: str, before_ms: int) -> bool:
    """A conductor asks after what the caller confirmed: on an earlier leg, or on this one where it was lost on its way
    to be connected (P5)."""
    legs = {each["leg"] for each in call.caller if each["event"] == "confirmed" and each["attempt"] == attempt}
    higher = any(
        each["event"] == "offered" and each["leg"] > min(legs) and each["at_ms"] <= before_ms
        for each in (call.caller if legs else ())
    )
    lost = any(fact["kind"] == "delivery_failed" and fact["attempt"] == attempt for fact in call.facts)
    return bool(legs) and (higher or lost)


def with_a_caller(evidence: Evidence) -> Iterator[Finding]:
    """Who was joined to a caller sits with nobody for no longer than `ALONE_MS`: where the caller has hung up and never
    heard of them, or was told of somebody else (P5). Not where the ingress that was told so is hurt, or where the
    person's place is out of reach; nor where a conductor said `Connected` as the caller went.
    """
    source_of = {planned.call_id: planned.source for planned in evidence.seen.schedule.calls}
    over: Entry = {"event": "over", "at_ms": evidence.ends_ms}
    for call in evidence.calls.values():
        last = next((each for each in reversed(call.caller) if each["event"] in ("hung_up", "connected")), None)
        if last is None:
            continue
        told = {entry["attempt"] for entry in call.heard("connected")}
        told |= {fact["attempt"] for fact in call.kept("answered", "diverted") if fact["reason"] != ATTESTED}
        talking: dict[Connection, Entry] = {}
        for entry in (*call.far_end, over):
            here = Connection.of(entry)
            left = talking if entry is over else {here: talking[here]} if here in talking else {}
            if entry["event"] == "connected" and here.attempt not in told:
                talking[here] = entry
            elif entry["event"] in ("ended", "cancelled", "over"):
                for each, talk in left.items():
                    since_ms = max(talk["at_ms"], last["at_ms"])
                    alone_ms = entry["at_ms"] - since_ms
                    source = source_of.get(call.planned, "")
                    if alone_ms > ALONE_MS and not _out_of_reach(evidence, call, last, talk, source, since_ms):
                        words = f"{each} sat with nobody for {alone_ms} ms: at most {ALONE_MS}"
                        yield Finding("alone", call.call_id, words)
                talking.pop(here, None)


def _out_of_reach(evidence: Evidence, call: CallTold, last: Entry, talk: Entry, source: str, since_ms: int) -> bool:
    """Whether the conductor may not have heard what became of the caller, or could not tell it to who sits there."""
    leg = next(each for each in reversed(call.caller) if each["event"] == "offered" and each["leg"] == last["leg"])
    by_line = bool(talk.get("line"))
    end, by = (talk["trunk"], names_of("failover")) if by_line else (talk["psap_id"], names_of("psap_gateway"))
    unheard: set[str] = set()
    unreached: set[str] = set()
    for injury in evidence.weather.during(last["at_ms"], since_ms + ALONE_MS):
        hosts = {target.partition(":")[0] for target in injury.targets}
        unheard |= hosts if injury.kind in HEARS_NOTHING else set()
        unreached |= hosts if injury.kind in IS_NOT_REACHED else set()
    conductor = leg["ingress"].partition(":")[0]
    return bool(unheard & {conductor, source}) or end.partition(":")[0] in unreached or unreached.issuperset(by)


def only_by_the_stream(evidence: Evidence) -> Iterator[Finding]:
    """Nobody is connected whom the caller's side did not confirm, on a stream of the very conductor that connects."""
    for call in evidence.calls.values():
        confirmed = {e["attempt"]: e for e in reversed(call.caller) if e["event"] == "confirmed"}
        ingress_of = {e["leg"]: e["ingress"].partition(":")[0] for e in call.caller if e["event"] == "offered"}
        answered_ms: dict[str, int] = {}
        for entry in call.far_end:
            attempt = entry["attempt"]
            if entry["event"] == "answered":
                answered_ms[attempt] = entry["at_ms"]
            elif entry["event"] == "connected":
                yield from _confirmed(call, entry, confirmed.get(attempt))
                yield from _in_time(evidence, call, entry, answered_ms.get(attempt))
        for fact in call.facts:
            if fact["kind"] in ("answered", "diverted") and fact["reason"] not in BY_ANOTHERS_WORD:
                yield from _by_its_conductor(call, fact, confirmed.get(fact["attempt"]), ingress_of)


def _confirmed(call: CallTold, entry: Entry, confirm: Entry | None) -> Iterator[Finding]:
    where = Connection.of(entry)
    if confirm is None:
        yield Finding("callers_stream", call.call_id, f"connected as {where}, which the caller never confirmed")
    elif confirm["at_ms"] > entry["at_ms"]:
        yield Finding("callers_stream", call.call_id, f"connected as {where} before the caller confirmed it")


def _in_time(evidence: Evidence, call: CallTold, entry: Entry, answered_ms: int | None) -> Iterator[Finding]:
    """An answer is followed by Connect within a second, or released (P4). Whoever hears the answer keeps the clock: a
    message that is under way between those two, or a far end that keeps its answer back, comes on top; what is slow
    between them and the caller does not."""
    if answered_ms is None:
        return  # the witnesses say that
    took_ms = entry["at_ms"] - answered_ms
    weather = evidence.weather
    kept_back = any(each.kind in KEEPS_BACK for each in weather.during(answered_ms, entry["at_ms"]))
    end = entry["trunk"].partition(":")[0] if entry.get("line") else entry["psap_id"]
    keep_the_clock = replicas_of("failover" if entry.get("line") else "psap_gateway")
    held_up = kept_back or weather.held_up((end, *keep_the_clock), answered_ms, entry["at_ms"])
    if took_ms > CONFIRM_MS + NEAR_MS and not held_up:
        words = f"connected as {Connection.of(entry)} {took_ms} ms after the answer: at most {CONFIRM_MS}"
        yield Finding("callers_stream", call.call_id, words)


def _by_its_conductor(
    call: CallTold, fact: Entry, confirm: Entry | None, ingress_of: dict[int, str]
) -> Iterator[Finding]:
    """The leg under which it connected, and the leg on which it was confirmed, were both offered to who says so."""
    writer = fact["writer"].partition("/")[0]
    legs = {fact["leg"], confirm["leg"] if confirm is not None else fact["leg"]}
    for leg in sorted(legs):
        if ingress_of.get(leg) != writer:
            words = f"{writer} connected {fact['attempt']} of leg {leg}, which was offered to {ingress_of.get(leg)}"
            yield Finding("callers_stream", call.call_id, words)


def rung_back_once(evidence: Evidence) -> Iterator[Finding]:
    """A caller is rung by failover's tries alone, by one at a time, and not once they were connected (T3)."""
    for call in evidence.calls.values():
        rings_backs: frozenset[str] | None = None
        ringing: set[Connection] = set()
        talked_to = ""
        for entry in call.far_end:
            event, here = entry["event"], Connection.of(entry)
            if event in ("rings_caller", "connected", "rung_back"):
                if rings_backs is None:
                    rings_backs = _tries(call)
                if (here.attempt in rings_backs) is (event == "connected"):
                    yield Finding(
                        "callbacks", call.call_id, f"{event} as {here}: failover's tries ring back, no others"
                    )
            if event == "rings_caller":
                for other in ringing - {here}:
                    yield Finding("callbacks", call.call_id, f"rung back as {here} while {other} rings the caller too")
                if talked_to:
                    yield Finding("callbacks", call.call_id, f"rung back as {here} after {talked_to} talked to them")
                ringing.add(here)
            elif event == "rung_back":
                talked_to = str(here)
            if event in ("rung_back", "ended", "cancelled", "rejected"):
                ringing.discard(here)


def _tries(call: CallTold) -> frozenset[str]:
    """Every name under which failover may have this caller rung back."""
    legs = {entry["leg"] for entry in call.caller if "leg" in entry}
    return frozenset(
        attempt_name(Leg(call.call_id, leg, "", False), n) for leg in legs for n in range(1, TRIES_MAX + 1)
    )
