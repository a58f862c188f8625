"""What the run looks like from outside, kept up to date line by line: for the live view and the report.

It folds what callers and far end tell while the run goes on. The verdict does not come from here: it is the comparer's,
from the witnesses' files (witness.py).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Any, Final

from loadtest.region_tables import RegionTables
from loadtest.story import PHASES, Phase, Stricken, phase_at

REGION_DESK: Final = "region"
LATEST_MAX: Final = 6


class Went(StrEnum):
    """Where a call went, as seen from the PSAP of its town."""

    OWN = "own PSAP"
    OWN_LINE = "own line"
    ALTERNATE = "alternate"
    ALTERNATE_LINE = "alternate's line"
    REGION_LINE = "region's line"
    LEFT = "hung up"
    REFUSED = "refused"
    IN_HAND = "in hand"


@dataclass(slots=True)
class CallSeen:
    """One call as its caller sees it. Milliseconds of wall time."""

    call_id: str
    home: str
    """The PSAP of the caller's town."""
    phase: Phase
    offered_ms: int
    redial: bool
    rang_ms: int | None = None
    connected_ms: int | None = None
    went: Went = Went.IN_HAND
    diverting: bool = False


@dataclass(slots=True)
class FaultSeen:
    """One failure: when it struck and ended (seconds of the story), and what it hit."""

    stricken: Stricken
    state: str = "well"
    struck_s: float | None = None
    healed_s: float | None = None
    in_hand: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Felt:
    """The delay that callers felt, milliseconds; None where nobody got so far."""

    calls: int
    median_ms: int | None
    worst_ms: int | None

    @classmethod
    def of(cls, delays_ms: Iterable[int]) -> Felt:
        delays = sorted(delays_ms)
        return cls(len(delays), round(median(delays)) if delays else None, delays[-1] if delays else None)


class Scene:
    """All calls and failures of one run."""

    def __init__(self, region: RegionTables, stricken: Iterable[Stricken]) -> None:
        self.calls: dict[str, CallSeen] = {}
        self.faults = {each.psap_id: FaultSeen(each) for each in stricken}
        self.latest: deque[str] = deque(maxlen=LATEST_MAX)
        self.began_ms = 0
        self._region = region

    def begin(self, at_ms: int) -> None:
        """The first caller may dial now: the story's second 0."""
        self.began_ms = at_ms

    def second(self, at_ms: int) -> float:
        return (at_ms - self.began_ms) / 1000

    # What is heard.

    def hear_caller(self, entry: Mapping[str, Any]) -> None:
        """One line of the callers' witness."""
        call = self.calls.get(entry["call_id"])
        if call is None:
            if entry["event"] != "offered":
                return
            home = self._region.psap_of_town.get(entry.get("town", ""), "")
            phase = phase_at(self.second(entry["at_ms"]))
            call = CallSeen(entry["call_id"], home, phase, entry["at_ms"], "redial_of" in entry)
            self.calls[call.call_id] = call
        match entry["event"]:
            case "ringing" if call.rang_ms is None:
                call.rang_ms = entry["at_ms"]
            case "diverting":
                call.diverting = True
            case "connected":
                call.connected_ms = entry["at_ms"]
                call.went = self._went(call.home, entry.get("psap_id", ""), entry.get("line", ""))
            case "hung_up" | "gave_up":
                call.went = Went.LEFT
            case "refused":
                call.went = Went.REFUSED
            case _:
                return

    def hear_far_end(self, event: Mapping[str, Any]) -> None:
        """One line of the far end's own: a failure struck, or is over."""
        fault = self.faults.get(event.get("psap_id", ""))
        if fault is None:
            return
        name = fault.stricken.name
        if event["event"] == "fault_struck":
            fault.state, fault.struck_s = str(fault.stricken.fault), self.second(event["at_ms"])
            fault.in_hand = list(event["ringing"])
            self.say(event["at_ms"], f"{name}: {fault.stricken.fault}, {len(fault.in_hand)} ringing there")
        elif event["event"] == "fault_healed":
            fault.state, fault.healed_s = "back", self.second(event["at_ms"])
            self.say(event["at_ms"], f"{name}: back")

    def arm(self, at_ms: int) -> None:
        """The failures wait for a call."""
        for fault in self.faults.values():
            fault.state = "waits for a ring"
        self.say(at_ms, "four PSAPs fail as soon as a call rings there")

    def say(self, at_ms: int, words: str) -> None:
        self.latest.append(f"{self.second(at_ms):5.1f} s  {words}")

    def _went(self, home: str, psap_id: str, line: str) -> Went:
        if line:
            if psap_id == REGION_DESK:
                return Went.REGION_LINE
            return Went.OWN_LINE if psap_id == home else Went.ALTERNATE_LINE
        return Went.OWN if psap_id == home else Went.ALTERNATE

    # What can be told of it.

    def outcomes(self, phase: Phase | None = None) -> Counter[Went]:
        return Counter(call.went for call in self._of(phase))

    def to_ringing(self, phase: Phase | None = None) -> Felt:
        return Felt.of(call.rang_ms - call.offered_ms for call in self._of(phase) if call.rang_ms is not None)

    def to_answer(self, phase: Phase | None = None) -> Felt:
        calls = self._of(phase)
        return Felt.of(call.connected_ms - call.offered_ms for call in calls if call.connected_ms is not None)

    def went_while(self, fault: FaultSeen) -> Counter[Went]:
        """Where the calls of that PSAP's towns went that were offered while it failed, calls in hand apart."""
        return Counter(call.went for call in self._home_calls(fault) if self._offered_while(fault, call))

    def went_after(self, fault: FaultSeen) -> Counter[Went]:
        """The same of those offered since it is back."""
        if fault.healed_s is None:
            return Counter()
        return Counter(call.went for call in self._home_calls(fault) if self.second(call.offered_ms) >= fault.healed_s)

    def went_in_hand(self, fault: FaultSeen) -> Counter[Went]:
        """The same of those that rang there when it struck."""
        return Counter(self.calls[call_id].went for call_id in fault.in_hand if call_id in self.calls)

    def _of(self, phase: Phase | None) -> list[CallSeen]:
        return [call for call in self.calls.values() if phase is None or call.phase is phase]

    def _home_calls(self, fault: FaultSeen) -> list[CallSeen]:
        psap_id = fault.stricken.psap_id
        return [call for call in self.calls.values() if call.home == psap_id and call.call_id not in fault.in_hand]

    def _offered_while(self, fault: FaultSeen, call: CallSeen) -> bool:
        if fault.struck_s is None:
            return False
        at_s = self.second(call.offered_ms)
        return fault.struck_s <= at_s and (fault.healed_s is None or at_s < fault.healed_s)


def each_phase() -> tuple[Phase | None, ...]:
    """The phases, then all of them together."""
    return (*PHASES, None)


def in_words(went: Mapping[Went, int]) -> str:
    """`5 own line, 2 alternate`, most first; a dash where there is nothing."""
    ordered = sorted(went.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count} {where}" for where, count in ordered if count) or "-"
