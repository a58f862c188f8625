"""Compares what three witnesses saw of each call: the callers, the far end, and the journal.

Each comes as plain entries (JSON lines); this module knows nothing of how the backbone decides, and imports nothing of
it. Every call that was accepted must be accounted for by all three: connected for the caller at the place where the far
end connected it and where the journal says so; or hung up, and on the callback list. Nobody is connected twice. What
does not fit is told in plain words, one line a finding.

    python -m loadtest.witness CALLER_FILE FAR_END_FILE JOURNAL_FILE

An entry of the journal is a fact, `{"event": "fact", "call_id", "leg", "seq", "writer", "kind", "attempt", "psap_id",
"line", "at_ms"}`, or what the books make of a call, `{"event": "outcome", "call_id", "outcome"}`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from loadtest.call_told import CallTold, Connection, Entry, Lossy, by_call
from loadtest.diary import read_diary

CALLER_ENDS: Final = frozenset({"connected", "hung_up", "gave_up", "refused"})
JOURNAL_CONNECTS: Final = {"answered": False, "diverted": True}
"""Kind of fact -> whether it is a line that answered."""
JOURNAL_LISTS: Final = frozenset({"abandoned", "callback_due"})
LISTERS_KINDS: Final = frozenset(
    {"callback_due", "callback_attempted", "called_back", "reconnected", "closed_by_human", "taken_over"}
)
"""Those who only keep the list give each kind a number of its own; a conductor counts its facts from 0 (J1)."""
NUMBERED_BY_KIND: Final = frozenset({"failover", "ledger"})
"""Writers whose numbers say which fact it is, not how many came before."""
ATTESTED: Final = "attested"
"""The reason of a connection that is told by whoever took a dead conductor's call over (T3)."""
CONNECTS_LATE: Final = "connects_late"
"""What a PSAP says that it did wrong with an attempt (mischief.py)."""
MAYBE_CONNECTED: Final = "maybe_connected"
"""Why an attempt is offered, where nobody could say whether the caller has somebody already (P5)."""
OUTCOMES_LEFT: Final = frozenset({"callback_open", "callback_closed"})
"""What the books may say of a call whose caller left unanswered."""
ORDER: Final = (
    *(("ringing", "offered"), ("answered", "ringing")),
    *(("connected", "answered"), ("rung_back", "answered")),
)
"""(what happens at the far end, what must have happened before)."""
ACCEPTED_WITHIN_MS: Final = 1_000
"""A leg that stood for this long must have been accepted."""
READS_NOTHING: Final = "reads_nothing"
"""What a network says that it did wrong with a leg (leg.py)."""
READS_AFTER_MS: Final = 5_000
"""So long such a one does not hear that it is accepted, nor that nobody is there."""
UNWANTED: Final = "unwanted"
"""Why a person is let go of whose caller had gone before hearing of them (P5)."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One thing that does not fit."""

    call_id: str
    words: str

    def __str__(self) -> str:
        return f"{self.call_id}: {self.words}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison came to. Counts are of calls."""

    calls: int
    accepted: int
    connected: int
    left_unanswered: int
    never_accepted: int
    disagreements: tuple[Disagreement, ...]


def compare(
    caller: Iterable[Entry], far_end: Iterable[Entry], journal: Iterable[Entry], lossy: Lossy = MappingProxyType({})
) -> Verdict:
    """What the three come to, joined on call_id; `lossy` as in `judge`."""
    return judge(by_call(caller, far_end, journal), lossy)


def judge(calls: Mapping[str, CallTold], lossy: Lossy = MappingProxyType({})) -> Verdict:
    """What calls come to that are joined already.

    `lossy`: names of writers that died with what their disk did not have, or with the disk, and from when to when they
    said what may be lost by it. Facts that open or settle a call are in two places (J4); of those between them some may
    be missing of these writers, said in that time, and of no other."""
    disagreements = [Disagreement(call.call_id, words) for call in calls.values() for words in _judge(call, lossy)]
    everybody = list(calls.values())
    return Verdict(
        calls=len(everybody),
        accepted=sum(bool(call.heard("accepted")) for call in everybody),
        connected=sum(bool(call.heard("connected")) for call in everybody),
        left_unanswered=sum(bool(call.heard("hung_up", "gave_up")) for call in everybody),
        never_accepted=sum(bool(call.caller) and not call.heard("accepted") for call in everybody),
        disagreements=tuple(sorted(disagreements, key=str)),
    )


def _judge(call: CallTold, lossy: Lossy) -> Iterator[str]:
    yield from _caller_alone(call)
    yield from _far_end_alone(call)
    yield from _journal_alone(call, lossy)
    yield from _together(call, lossy)


# Each witness must first agree with itself.


def _caller_alone(call: CallTold) -> Iterator[str]:
    if not call.caller:
        yield "nobody placed this call, yet " + ("the far end saw it" if call.far_end else "the journal knows of it")
        return
    offered = {entry["leg"]: entry["after_ms"] for entry in call.heard("offered")}
    for leg in sorted({entry["leg"] for entry in call.caller} - set(offered)):
        yield f"the caller's side never offered leg {leg}, yet something became of it"
    ends = call.heard(*CALLER_ENDS)
    if len(ends) != 1:
        said = " and ".join(entry["event"] for entry in ends) or "neither connected nor gone"
        yield f"the caller should have one end, and is {said}"
    confirmed = {entry["attempt"] for entry in call.heard("confirmed")}
    for entry in call.heard("connected"):
        if entry["attempt"] not in confirmed:
            yield f"connected under {entry['attempt']}, which the caller never confirmed"
    deaf = {entry["leg"] for entry in call.heard("misbehaved") if entry.get("mischief") == READS_NOTHING}
    if not call.heard("accepted", "refused"):
        for entry in call.heard("connected"):
            if f"/{entry['leg']}/" in entry["attempt"]:  # what an earlier leg began may be connected at once (P7)
                yield "connected without having been accepted"
        for entry in call.heard("hung_up"):
            within_ms = ACCEPTED_WITHIN_MS + (READS_AFTER_MS if entry["leg"] in deaf else 0)
            if entry["after_ms"] - offered.get(entry["leg"], entry["after_ms"]) > within_ms:
                yield "hung up after more than a second on the line, and was never accepted"


def _far_end_alone(call: CallTold) -> Iterator[str]:
    came: dict[Connection, set[str]] = {}
    for entry in call.far_end:
        came.setdefault(Connection.of(entry), set()).add(entry["event"])
    for attempt, events in came.items():
        for event, before in ORDER:
            if event in events and before not in events:
                yield f"the far end says {attempt} was {event}, and not that it was {before}"
        if "ringing" in events and not events & {"connected", "rung_back", "cancelled", "rejected"}:
            yield f"the far end says that {attempt} rings still"
        if "ended" in events and not events & {"connected", "rung_back"}:
            yield f"the far end says that the talk of {attempt} ended, and not that it began"
    standing = _standing(call)
    if len({connection.attempt for connection in standing}) > 1:
        yield "the far end connected it twice: " + ", ".join(map(str, standing))


def _journal_alone(call: CallTold, lossy: Lossy) -> Iterator[str]:
    if call.facts and not call.kept("offered"):
        yield "the journal has facts of it, and no offer"
    sequences: dict[tuple[int, str], set[int]] = {}
    for fact in call.facts:
        sequences.setdefault((fact["leg"], fact["writer"]), set()).add(fact["seq"])
    for (leg, writer), numbers in sequences.items():
        if writer in NUMBERED_BY_KIND or all(
            f["kind"] in LISTERS_KINDS for f in call.facts if (f["leg"], f["writer"]) == (leg, writer)
        ):
            continue
        missing = sorted(set(range(max(numbers))) - numbers)
        lacks = next((seq for seq in missing if not call.may_be_lost(leg, writer, seq, lossy)), None)
        if lacks is not None:
            yield f"the journal lacks fact {lacks} of leg {leg} by {writer}"
    yield from _taken_over(call)
    connects = {Connection.of(fact) for fact in call.kept(*JOURNAL_CONNECTS)}
    if len(connects) > 1:
        yield "the journal connected it twice: " + ", ".join(sorted(map(str, connects)))
    for fact in call.kept(*JOURNAL_CONNECTS):
        if bool(fact.get("line")) is not JOURNAL_CONNECTS[fact["kind"]]:
            yield f"the journal says {fact['kind']} of {Connection.of(fact)}"
    if call.facts and len(call.outcomes) != 1:
        yield f"the books should have one outcome for it, and have {call.outcomes or 'none'}"
    for outcome in call.outcomes:
        if outcome == "in_progress":
            yield "the books have it in progress, and all is over"
        elif connects and outcome not in JOURNAL_CONNECTS:
            yield f"the journal has a connection, and the books say {outcome}"
        elif not connects and outcome in JOURNAL_CONNECTS:
            yield f"the books say {outcome}, and the journal has no connection"
        elif outcome in OUTCOMES_LEFT and not _on_the_list(call):
            yield f"the books say {outcome}, and the journal has no entry on the callback list"


def _attests(fact: Entry) -> bool:
    return fact["kind"] in JOURNAL_CONNECTS and fact.get("reason") == ATTESTED


def _newest_leg(call: CallTold) -> int:
    return max((fact["leg"] for fact in call.facts), default=0)


def _on_the_list(call: CallTold) -> bool:
    """Whether somebody is asked to ring this caller back; an entry is void once there is a higher leg (J2), unless a
    line has rung the caller by then."""
    listed = any(fact["leg"] == _newest_leg(call) for fact in call.kept(*JOURNAL_LISTS))
    return listed or _rung_for_an_older_leg(call)


def _rung_for_an_older_leg(call: CallTold) -> bool:
    """A line that was dialled for one leg says what came of it under that leg, whatever has come since (T3)."""
    return any(fact["leg"] < _newest_leg(call) for fact in call.kept("reconnected") if fact.get("attempt"))


def _taken_over(call: CallTold) -> Iterator[str]:
    """Who takes a leg over says so, and then what it found: a person who has the caller, or nobody: then the call goes
    onto the list, unless the caller's side has offered a higher leg by then."""
    takers = {(fact["leg"], fact["writer"]) for fact in call.kept("taken_over")}
    found = {(f["leg"], f["writer"]) for f in call.facts if f["kind"] == "callback_due" or _attests(f)}
    for leg, writer in sorted({(f["leg"], f["writer"]) for f in call.facts if _attests(f)} - takers):
        yield f"{writer} attests a connection of leg {leg}, and never took it over"
    newest = 0 if _rung_for_an_older_leg(call) else _newest_leg(call)
    for leg, writer in sorted((leg, writer) for leg, writer in takers - found if leg == newest):
        yield f"{writer} took leg {leg} over, and neither attested a connection nor put the call on the list"


# Then all three together.


def _together(call: CallTold, lossy: Lossy) -> Iterator[str]:
    accepted = {entry["leg"] for entry in call.heard("accepted")} - _settled_since(call, lossy)
    for leg in sorted(accepted - {fact["leg"] for fact in call.kept("offered")}):
        yield f"leg {leg} was accepted, and the journal has no offer of it"
    heard = {Connection.of(entry) for entry in call.heard("connected")}
    yield from _rung_back(call)
    seen = set(_standing(call))
    kept = {Connection.of(fact) for fact in call.kept(*JOURNAL_CONNECTS)}
    if not heard and _crossed(call, seen, kept):
        return
    if not heard == seen == kept:
        yield f"connected: the caller says {_told(heard)}, the far end {_told(seen)}, the journal {_told(kept)}"
    if call.heard("hung_up", "gave_up") and call.heard("accepted") and not _on_the_list(call):
        yield "the caller left unanswered, and the journal has no entry on the callback list"
    rang = {Connection.of(entry) for entry in call.seen("ringing")}
    for who, rings in (("caller", call.heard("ringing")), ("journal", call.kept("ringing"))):
        for ring in sorted({Connection.of(entry) for entry in rings} - rang, key=str):
            yield f"the {who} says that it rang as {ring}, and the far end does not"


def _settled_since(call: CallTold, lossy: Lossy) -> set[int]:
    """Legs whose conductor lost its disk, and whose call a higher one settled: their copies are dropped then, and need
    not have come to the log (J4)."""
    newest = max((fact["leg"] for fact in call.kept(*JOURNAL_CONNECTS)), default=0)
    offered = {entry["leg"]: entry.get("ingress", "").partition(":")[0] for entry in call.heard("offered")}
    return {leg for leg, ingress in offered.items() if leg < newest and ingress in lossy}


def _rung_back(call: CallTold) -> Iterator[str]:
    """A caller who was rung back talks where the journal says so, and with nobody else."""
    talked = {Connection.of(entry) for entry in call.seen("rung_back")}
    told = {Connection.of(fact) for fact in call.kept("reconnected") if fact.get("attempt")}
    if talked != told:
        yield f"rung back: the far end says {_told(talked)}, the journal {_told(told)}"
    heard = {Connection.of(entry) for entry in call.heard("connected")}
    connected_ms = min((e["at_ms"] for e in call.seen("connected") if Connection.of(e) in heard), default=None)
    for each in sorted(talked, key=str) if connected_ms is not None else ():
        # The telephone may have rung already when the caller came back by a higher leg: nobody could know.
        rang_ms = min(e["at_ms"] for e in call.seen("rings_caller", "rung_back") if Connection.of(e) == each)
        if rang_ms > connected_ms:
            yield f"the caller was connected, and then rung back as {each}"


def _crossed(call: CallTold, seen: set[Connection], kept: set[Connection]) -> bool:
    """The caller hung up in the instant of being connected: confirmed, and gone before hearing of it.

    The journal may have it as connected, or the caller's word may have come first: then the caller is on the list. The
    person may have been let go of since.
    """
    left = call.heard("hung_up", "gave_up")
    confirmed = {entry["attempt"] for entry in call.heard("confirmed")}
    unwanted = {Connection.of(entry) for entry in call.seen("cancelled") if entry.get("reason") == UNWANTED}
    seen = seen or unwanted & {Connection.of(entry) for entry in call.seen("connected")}
    if not left or len(seen) != 1 or next(iter(seen)).attempt not in confirmed:
        return False
    return seen == kept or (not kept and _on_the_list(call))


def _standing(call: CallTold) -> list[Connection]:
    """Connections at the far end that were not taken back at once by the backbone.

    By place, not by attempt alone: one attempt may ring several lines, one after the other. A ring that was cancelled
    before anybody was connected took nothing back: under the same name it may ring anew through another gateway (R5).
    """
    ends = [entry for entry in call.seen("cancelled") if entry.get("stage", "connected") == "connected"]
    taken_back = {Connection.of(entry) for entry in ends} | _never_told(call)
    return [each for each in map(Connection.of, call.seen("connected")) if each not in taken_back]


def _never_told(call: CallTold) -> set[Connection]:
    """Connections that nobody but the far end has heard of, and by right: no caller was ever joined to one (P4).

    A PSAP may own up that it kept its `connected` to itself until the talk was over. Or all who could have brought the
    word were lost, and whoever was rung next, after that connection, was told so and has the caller (P5).
    """
    known = {Connection.of(entry) for entry in (*call.heard("connected"), *call.kept(*JOURNAL_CONNECTS))}
    owned_up = {Connection.of(e) for e in call.seen("misbehaved") if e.get("mischief") == CONNECTS_LATE}
    told_so = {fact["attempt"] for fact in call.kept("attempting") if fact.get("reason") == MAYBE_CONNECTED}
    confirmed = {entry["attempt"] for entry in call.heard("confirmed")}
    warned_ms = max((_last_ms(call, each, "offered") for each in known if each.attempt in told_so), default=0)
    lost = {
        Connection.of(entry)
        for entry in call.seen("connected")
        if entry["attempt"] in confirmed - told_so and entry["at_ms"] <= warned_ms
    }
    return (owned_up | lost) - known


def _last_ms(call: CallTold, connection: Connection, event: str) -> float:
    """When the far end last saw this of it; 0 where it never did."""
    return max((entry["at_ms"] for entry in call.seen(event) if Connection.of(entry) == connection), default=0)


def _told(connections: set[Connection]) -> str:
    return " and ".join(sorted(map(str, connections))) or "nothing"


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 3:
        print("expected: python -m loadtest.witness CALLER_FILE FAR_END_FILE JOURNAL_FILE", file=sys.stderr)
        return 64
    caller, far_end, journal = (read_diary(Path(name)) for name in arguments)
    verdict = compare(caller, far_end, journal)
    for disagreement in verdict.disagreements:
        print(disagreement)
    print(f"{verdict.calls} calls, {verdict.accepted} accepted, {len(verdict.disagreements)} disagreements")
    return 1 if verdict.disagreements else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
