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
from simulator.injuries import FAMILIES
from simulator.installation import SERVICE_OF, names_of
from simulator.region import PSAPS

BEGINS: Final = frozenset({"connected", "rung_back"})
NEAR_MS: Final = 20
"""What the few messages between a gateway's second and the PSAP's hearing of it take."""
BY_ANOTHERS_WORD: Final = frozenset({ATTESTED, "resumed", "seen_connected", "connected_already"})
"""Reasons of a connection that its writer did not make: whoever has the caller said so (P5, R3, T3)."""
SILENCE: Final = frozenset(kind.name for family in ("process", "network", "far_end") for kind in FAMILIES[family])
"""Kinds of injury of which somebody falls silent."""
KEEPS_BACK: Final = frozenset({"trunk_hung", "psap_silent"})
_EVERYBODY: Final = frozenset((*SERVICE_OF, *PSAPS))


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
    """An answer is followed by Connect within a second, or released (P4); a message that is under way meanwhile is what
    a hurt way or process adds, or the far end itself that keeps its answer back (whoever hears it keeps the clock)."""
    if answered_ms is None:
        return  # the witnesses say that
    took_ms = entry["at_ms"] - answered_ms
    weather = evidence.weather
    kept_back = any(each.kind in KEEPS_BACK for each in weather.during(answered_ms, entry["at_ms"]))
    held_up = kept_back or weather.held_up(_EVERYBODY, answered_ms, entry["at_ms"])
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
