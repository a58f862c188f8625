"""Judges a stretch of calls by what three witnesses wrote down, who share no code on the way of a call: callers, the
far end, and the journal as read back from Kafka. Pure: entries in, findings out.

`loadtest/witness.py` compares all that they say. On top of it, in rules of its own, short enough to be believed: an
accepted call is *lost* when its caller talked to nobody and nobody is asked to ring back; *connected twice* when two
people have it, at the far end or in the journal; *unheard* instead when the second of them was told that it may be so
(P5) and the caller was joined with one alone; and *woken* when a conductor that stood still connected it after its
caller had left that leg (P3).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtest.witness import JOURNAL_CONNECTS, OUTCOMES_LEFT, compare

Entry = Mapping[str, Any]
LEFT_AFTER_MS: Final = 2_000
"""A caller's side leaves a leg on which nothing is heard for a second (P2); what came later may still be there."""


MAYBE_CONNECTED: Final = "maybe_connected"
"""Why the journal says that somebody was rung who was told so (P5)."""


@dataclass(frozen=True, slots=True)
class Stood:
    """A conductor that stood still: its name, and from when to when, in wall milliseconds."""

    name: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of some calls; names of those with whom something is wrong."""

    calls: int
    accepted: int
    connected: int
    never_accepted: int
    lost: tuple[str, ...]
    twice: tuple[str, ...]
    unheard: tuple[str, ...]
    """Whoever confirmed, whose `Connected` was lost with who was to bring it, and who was joined with another."""
    woken: tuple[str, ...]
    disagreements: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not (self.lost or self.twice or self.woken or self.disagreements)

    def troubles(self) -> list[str]:
        """In a line each."""
        return [
            *(f"{call_id}: lost" for call_id in self.lost),
            *(f"{call_id}: connected twice" for call_id in self.twice),
            *(f"{call_id}: connected by a conductor that woke" for call_id in self.woken),
            *self.disagreements,
        ]


def judge(
    callers: Sequence[Entry], far_end: Sequence[Entry], journal: Sequence[Entry], stood: Sequence[Stood] = ()
) -> Judged:
    """Compares the three. All entries are of the calls in question."""
    verdict = compare(callers, far_end, journal)
    twice = _twice(far_end, journal)
    unheard = _unheard(twice, callers, far_end, journal)
    disagreements = [each for each in verdict.disagreements if not (each.call_id in unheard and _of_two(each.words))]
    return Judged(
        calls=verdict.calls,
        accepted=verdict.accepted,
        connected=verdict.connected,
        never_accepted=verdict.never_accepted,
        lost=tuple(sorted(_lost(callers, far_end, journal))),
        twice=tuple(sorted(twice - unheard)),
        unheard=tuple(sorted(unheard)),
        woken=tuple(sorted(_woken(callers, far_end, journal, stood))),
        disagreements=tuple(map(str, disagreements)),
    )


def _lost(callers: Sequence[Entry], far_end: Sequence[Entry], journal: Sequence[Entry]) -> set[str]:
    accepted = _calls(callers, "accepted")
    talked = _calls(callers, "connected") | _calls(far_end, "rung_back")
    listed = {entry["call_id"] for entry in journal if entry.get("outcome") in OUTCOMES_LEFT}
    # Who hung up in the instant of being connected had somebody on the line: the far end says so.
    crossed = _calls(callers, "hung_up", "gave_up") & _calls(far_end, "connected")
    return accepted - talked - listed - crossed


def _twice(far_end: Sequence[Entry], journal: Sequence[Entry]) -> set[str]:
    people: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for entry in far_end:
        if entry["event"] == "connected":
            people[entry["call_id"]].add(_who(entry))
    for entry in far_end:
        if entry["event"] == "cancelled" and entry.get("stage", "connected") == "connected":
            people[entry["call_id"]].discard(_who(entry))
    told: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for entry in journal:
        if entry.get("kind") in JOURNAL_CONNECTS:
            told[entry["call_id"]].add(_who(entry))
    return {call_id for seen in (people, told) for call_id, who in seen.items() if len(who) > 1}


def _unheard(twice: set[str], callers: Sequence[Entry], far_end: Sequence[Entry], journal: Sequence[Entry]) -> set[str]:
    flagged = {entry["call_id"] for entry in journal if entry.get("reason") == MAYBE_CONNECTED}
    joined = Counter(entry["call_id"] for entry in callers if entry["event"] == "connected")
    confirmed = {(entry["call_id"], entry["attempt"]) for entry in callers if entry["event"] == "confirmed"}
    strangers = {
        entry["call_id"]
        for entry in far_end
        if entry["event"] == "connected" and (entry["call_id"], entry["attempt"]) not in confirmed
    }
    return {call_id for call_id in twice & flagged - strangers if joined[call_id] <= 1}


def _of_two(words: str) -> bool:
    """Whether the comparer says of a call that two people have it."""
    return words.startswith(("connected: the caller says", "the far end connected it twice"))


def _who(entry: Entry) -> tuple[str, ...]:
    return entry.get("attempt", ""), entry.get("psap_id", ""), entry.get("line", "")


def _woken(
    callers: Sequence[Entry], far_end: Sequence[Entry], journal: Sequence[Entry], stood: Sequence[Stood]
) -> set[str]:
    conductor = {
        (entry["call_id"], entry["leg"]): entry["writer"].partition("/")[0]
        for entry in journal
        if entry.get("kind") == "offered"
    }
    offered = {(entry["call_id"], entry["leg"]): entry["at_ms"] for entry in callers if entry["event"] == "offered"}
    # The next leg's conductor may connect what an earlier leg rang (P5): then the caller has heard of it.
    heard = {(entry["call_id"], entry.get("attempt")) for entry in callers if entry["event"] == "connected"}
    found = set()
    for entry in far_end:
        attempt = entry.get("attempt", "")
        leg = entry.get("call_id", ""), _leg_of(attempt)
        if entry["event"] != "connected" or leg not in offered or (entry["call_id"], attempt) in heard:
            continue
        found |= {
            entry["call_id"]
            for each in stood
            if conductor.get(leg) == each.name
            and entry["at_ms"] >= each.to_ms
            and offered[leg] < each.to_ms - LEFT_AFTER_MS
            and each.to_ms - each.from_ms > LEFT_AFTER_MS
        }
    return found


def _leg_of(attempt: str) -> int:
    """An attempt is named `<call>/<leg>/<number>`; 0 where it is not."""
    parts = attempt.rsplit("/", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0


def _calls(entries: Iterable[Entry], *events: str) -> set[str]:
    return {entry["call_id"] for entry in entries if entry["event"] in events and "call_id" in entry}
