"""Judges a stretch of calls by what three witnesses wrote down, who share no code on the way of a call: callers, the
far end, and the journal as read back from Kafka. Pure: entries in, findings out.

`loadtest/witness.py` compares all that they say. On top of it, in rules of its own, short enough to be believed: an
accepted call is *lost* when its caller talked to nobody and nobody is asked to ring back; *connected twice* when two
people have it, at the far end or in the journal; *unheard* instead when something was hurt between the first and the
second, the second was told that there may be somebody (P5), and the caller was never joined with the first; and
*woken* when a conductor, a gateway or failover that stood still connected it after its caller had gone on (P3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any, Final

from chaos.felt import Window
from loadtest.call_told import Connection, Lossy
from loadtest.witness import JOURNAL_CONNECTS, MAYBE_CONNECTED, OUTCOMES_LEFT, compare

Entry = Mapping[str, Any]
LEFT_AFTER_MS: Final = 2_000
"""A caller's side leaves a leg on which nothing is heard for a second (P2); what came later may still be there."""
CROSSES_MS: Final = 1_000
"""Who hangs up and who connects may pass each other; by then each has heard of the other."""
TAKEN_BACK_MS: Final = 1_000
"""Who has a caller beside somebody else is released by then."""
RECOVERS_MS: Final = 4_000
"""A dial that met a bad network tries for the last time so long after the network is whole (TCP's 1, 2 and 4 s)."""


@dataclass(frozen=True, slots=True)
class Stood:
    """A process that stood still: its name, service and address, and from when to when, in wall milliseconds."""

    name: str
    service: str
    address: str
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


@dataclass(frozen=True, slots=True)
class Talk:
    """A person who had the caller, and from when. `to_ms` is None while nobody took the talk back."""

    who: Connection
    from_ms: int
    to_ms: int | None = None


def judge(
    callers: Sequence[Entry],
    far_end: Sequence[Entry],
    journal: Sequence[Entry],
    stood: Sequence[Stood] = (),
    struck: Sequence[Window] = (),
    killed: Lossy = MappingProxyType({}),
) -> Judged:
    """Compares the three. All entries are of the calls in question; `struck` is when something was hurt, `killed` which
    processes died, and from when to when they said what may have been in memory alone (J5): between a call's opening
    and its settlement, which are in two places, a fact of theirs of that time may be lost (J4)."""
    verdict = compare(callers, far_end, journal, killed)
    twice = _twice(far_end, journal)
    unheard = _unheard(twice, callers, journal, struck)
    disagreements = [each for each in verdict.disagreements if not (each.call_id in unheard and _of_two(each.words))]
    return Judged(
        calls=verdict.calls,
        accepted=verdict.accepted,
        connected=verdict.connected,
        never_accepted=verdict.never_accepted,
        lost=tuple(sorted(_lost(callers, far_end, journal))),
        twice=tuple(sorted(twice.keys() - unheard)),
        unheard=tuple(sorted(unheard)),
        woken=tuple(sorted(_woken(callers, far_end, journal, stood))),
        disagreements=tuple(map(str, disagreements)),
    )


def reached(callers: Sequence[Entry], far_end: Sequence[Entry]) -> set[str]:
    """Calls whose callers came to a person: connected, rung back, or gone in the instant of being connected."""
    crossed = {entry["call_id"] for entry, _ in _crossed(callers, far_end)}
    return _calls(callers, "connected") | _calls(far_end, "rung_back") | crossed


def _lost(callers: Sequence[Entry], far_end: Sequence[Entry], journal: Sequence[Entry]) -> set[str]:
    listed = {entry["call_id"] for entry in journal if entry.get("outcome") in OUTCOMES_LEFT}
    return _calls(callers, "accepted") - reached(callers, far_end) - listed


def _crossed(callers: Sequence[Entry], far_end: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Connections, and the hang-ups that they crossed: a person had the caller, who had confirmed and was not told yet.

    One that had ended before the caller left is none: who is connected to nobody, and waits, is lost.
    """
    left = {entry["call_id"]: entry for entry in callers if entry["event"] in ("hung_up", "gave_up")}
    confirmed = _attempts(callers, "confirmed")
    over = {
        (entry["call_id"], Connection.of(entry)): entry["at_ms"]
        for entry in far_end
        if entry["event"] in ("ended", "cancelled")
    }
    for entry in far_end:
        leaves = left.get(entry["call_id"])
        if entry["event"] != "connected" or leaves is None or (entry["call_id"], entry["attempt"]) not in confirmed:
            continue
        over_ms = over.get((entry["call_id"], Connection.of(entry)), leaves["at_ms"])
        if abs(leaves["at_ms"] - entry["at_ms"]) <= CROSSES_MS and over_ms >= leaves["at_ms"]:
            yield entry, leaves


def _twice(far_end: Sequence[Entry], journal: Sequence[Entry]) -> dict[str, list[tuple[Talk, Talk]]]:
    """Calls that two people have, and each two of them, the earlier first.

    A talk that ended counts for ever: one call has one answer. One that was taken back counts with who came more than
    a second before that.
    """
    talks: defaultdict[str, list[Talk]] = defaultdict(list)
    for entry in far_end:
        of_call, who = talks[entry["call_id"]], Connection.of(entry)
        if entry["event"] == "connected":
            of_call.append(Talk(who, entry["at_ms"]))
        elif entry["event"] == "cancelled" and entry.get("stage", "connected") == "connected":
            of_call[:] = [
                Talk(who, each.from_ms, entry["at_ms"]) if each.who == who and each.to_ms is None else each
                for each in of_call
            ]
    told: defaultdict[str, dict[Connection, Talk]] = defaultdict(dict)
    for entry in journal:
        if entry.get("kind") in JOURNAL_CONNECTS:
            who = Connection.of(entry)
            told[entry["call_id"]].setdefault(who, Talk(who, entry["at_ms"]))
    found: defaultdict[str, list[tuple[Talk, Talk]]] = defaultdict(list)
    for call_id, of_call in talks.items():
        by_time = sorted(of_call, key=lambda talk: talk.from_ms)
        found[call_id] += [two for two in combinations(by_time, 2) if _at_once(*two)]
    for call_id, by_who in told.items():
        # Each writer has a clock of its own, so that which was first is what the far end says, where it says it.
        ranks = {talk.who: talk.from_ms for talk in talks[call_id]} if call_id in talks else {}
        by_time = sorted(by_who.values(), key=lambda talk: ranks.get(talk.who, talk.from_ms))
        found[call_id] += combinations(by_time, 2)
    return {call_id: pairs for call_id, pairs in found.items() if pairs}


def _at_once(earlier: Talk, later: Talk) -> bool:
    if earlier.who == later.who:
        return False  # the same attempt at the same place, rung anew through another gateway (R5)
    ends_ms = [talk.to_ms for talk in (earlier, later) if talk.to_ms is not None]
    return not ends_ms or min(ends_ms) - later.from_ms > TAKEN_BACK_MS


def _unheard(
    twice: Mapping[str, Sequence[tuple[Talk, Talk]]],
    callers: Sequence[Entry],
    journal: Sequence[Entry],
    struck: Sequence[Window],
) -> set[str]:
    """Those of whom each second person was told, by a word that could not come while something was hurt (P5)."""
    flagged = {(e["call_id"], e["attempt"]) for e in journal if e.get("reason") == MAYBE_CONNECTED}
    joined = _attempts(callers, "connected")
    confirmed = _attempts(callers, "confirmed")

    def explained(call_id: str, earlier: Talk, later: Talk) -> bool:
        first, second = (call_id, earlier.who.attempt), (call_id, later.who.attempt)
        return (
            second in flagged
            and {first, second} <= confirmed
            and first not in joined
            and any(
                window.from_ms <= later.from_ms and window.to_ms + RECOVERS_MS >= earlier.from_ms for window in struck
            )
        )

    return {call_id for call_id, pairs in twice.items() if all(explained(call_id, *two) for two in pairs)}


def _of_two(words: str) -> bool:
    """Whether the comparer says of a call that two people have it."""
    return words.startswith(("connected: the caller says", "the far end connected it twice"))


def _woken(
    callers: Sequence[Entry], far_end: Sequence[Entry], journal: Sequence[Entry], stood: Sequence[Stood]
) -> set[str]:
    slept = [each for each in stood if each.to_ms - each.from_ms > LEFT_AFTER_MS]
    conductor = {
        (entry["call_id"], entry["leg"]): entry["writer"].partition("/")[0]
        for entry in journal
        if entry.get("kind") == "offered"
    }
    offered = {(entry["call_id"], entry["leg"]): entry["at_ms"] for entry in callers if entry["event"] == "offered"}
    # The next leg's conductor may connect what an earlier leg rang (P5): then the caller has heard of it. Who had hung
    # up as a line or a PSAP connected is crossed, by whomever.
    heard = _attempts(callers, "connected")
    crossed = {(entry["call_id"], entry["attempt"]) for entry, _ in _crossed(callers, far_end)}
    handed: dict[tuple[str, str], Entry] = {}
    found = set()
    for entry in far_end:
        call_id, attempt = entry.get("call_id", ""), entry.get("attempt", "")
        if entry["event"] in ("offered", "ringing"):
            handed[call_id, attempt] = entry
        if entry["event"] != "connected" or (call_id, attempt) in heard:
            continue
        leg = call_id, _leg_of(attempt)
        for each in slept:
            if entry["at_ms"] < each.to_ms:
                continue
            offered_ms = offered.get(leg)
            left = offered_ms is not None and offered_ms < each.to_ms - LEFT_AFTER_MS
            if left and conductor.get(leg) == each.name:
                found.add(call_id)
            by = handed.get((call_id, attempt))
            if (
                by is not None
                and by["at_ms"] < each.from_ms
                and _carried(by, each)
                and (call_id, attempt) not in crossed
            ):
                found.add(call_id)
    return found


def _carried(offer: Entry, stood: Stood) -> bool:
    """Whether what stood still may have been between a conductor and this ring: which failover dialled a line, nobody
    at the far end can tell."""
    if offer.get("line"):
        return stood.service == "failover"
    return stood.service == "psap_gateway" and offer.get("gateway") == stood.address


def _leg_of(attempt: str) -> int:
    """An attempt is named `<call>/<leg>/<number>`; 0 where it is not."""
    parts = attempt.rsplit("/", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0


def _calls(entries: Iterable[Entry], *events: str) -> set[str]:
    return {entry["call_id"] for entry in entries if entry["event"] in events and "call_id" in entry}


def _attempts(entries: Iterable[Entry], event: str) -> set[tuple[str, str]]:
    """Calls and attempts of which this happened."""
    return {(entry["call_id"], entry["attempt"]) for entry in entries if entry["event"] == event}
