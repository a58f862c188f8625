"""What the run looks like from outside, kept up to date line by line: for the live view and the report.

It folds what callers and far end tell while the run goes on. The verdict does not come from here: it is the comparer's,
from the witnesses' files (witness.py).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from loadtest.call_seen import CallSeen, Felt, Went
from loadtest.deaths import Conducted, DeathSeen, Degraded
from loadtest.policy_pushed import PushSeen
from loadtest.region_tables import RegionTables
from loadtest.story import BAD_POLICY, KILLINGS, PHASES, Phase, Stricken, phase_at

LATEST_MAX: Final = 6


@dataclass(slots=True)
class FaultSeen:
    """One failure: when it struck and ended (seconds of the story), and what it hit."""

    stricken: Stricken
    state: str = "well"
    struck_s: float | None = None
    healed_s: float | None = None
    in_hand: list[str] = field(default_factory=list)


class Scene:
    """All calls, failures and deaths of one run."""

    def __init__(self, region: RegionTables, stricken: Iterable[Stricken], phases: Sequence[Phase] = PHASES) -> None:
        self.phases = phases
        self.calls: dict[str, CallSeen] = {}
        self.faults = {each.psap_id: FaultSeen(each) for each in stricken}
        self.deaths = {each.victim: DeathSeen(each) for each in KILLINGS if each.phase in phases}
        self.push = PushSeen() if BAD_POLICY in phases else None
        self.conducted: Conducted | None = None
        """What the conductors wrote down; known when the journal has been read."""
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
            phase = phase_at(self.second(entry["at_ms"]), self.phases)
            call = CallSeen(entry["call_id"], home, phase, entry["at_ms"], "redial_of" in entry)
            self.calls[call.call_id] = call
        call.hear(entry)

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

    def in_hand(self, ingress: str = "") -> list[CallSeen]:
        """The calls under way; of one ingress, where its address is given."""
        calls = [call for call in self.calls.values() if call.went is Went.IN_HAND]
        return [call for call in calls if not ingress or call.ingress == ingress]

    def died(self, victim: str, at_ms: int, ingress: str = "") -> None:
        """One of the processes that are to die is killed now; `ingress` is its address where it conducts calls."""
        death = self.deaths[victim]
        death.died_ms, death.in_hand = at_ms, [call.call_id for call in self.in_hand(ingress)]
        self.say(at_ms, f"{victim}: killed, {len(death.in_hand)} calls in hand")

    def is_back(self, victim: str, at_ms: int) -> None:
        """It serves again."""
        self.deaths[victim].back_ms = at_ms
        self.say(at_ms, f"{victim}: back")

    # What can be told of it.

    def each_phase(self) -> tuple[Phase | None, ...]:
        """The phases, then all of them together."""
        return (*self.phases, None)

    def outcomes(self, phase: Phase | None = None) -> Counter[Went]:
        return Counter(call.went for call in self._of(phase))

    def to_ringing(self, phase: Phase | None = None) -> Felt:
        return Felt.of(call.rang_ms - call.offered_ms for call in self._of(phase) if call.rang_ms is not None)

    def to_answer(self, phase: Phase | None = None) -> Felt:
        calls = self._of(phase)
        return Felt.of(call.connected_ms - call.offered_ms for call in calls if call.connected_ms is not None)

    def degraded(self, phase: Phase | None = None) -> Degraded:
        """What the calls of a phase had to do without."""
        return Degraded.of(self._of(phase), self.conducted)

    @property
    def all_back_ms(self) -> int | None:
        """Since when all that died serves again; None while something is away, and where nothing was to die."""
        backs = [death.back_ms for death in self.deaths.values()]
        return None if not backs or None in backs else max(back_ms for back_ms in backs if back_ms is not None)

    def since_all_back(self) -> list[CallSeen]:
        """The calls offered since then."""
        back_ms = self.all_back_ms
        return [call for call in self.calls.values() if back_ms is not None and call.offered_ms >= back_ms]

    def struck(self, death: DeathSeen) -> list[CallSeen]:
        """The calls that a death could be felt by: in hand when it came, or offered until it was over."""
        in_hand = set(death.in_hand)
        return [call for call in self.calls.values() if call.call_id in in_hand or death.lasted_at(call.offered_ms)]

    def degraded_in(self, death: DeathSeen) -> Degraded:
        """What those calls had to do without."""
        return Degraded.of(self.struck(death), self.conducted)

    def felt_of(self, death: DeathSeen, *, in_hand: bool = False) -> Felt:
        """Until somebody rang for them; `in_hand`: of those alone that were in hand, until it rang again for them."""
        if death.died_ms is None:
            return Felt.of(())
        struck = [call for call in self.struck(death) if not in_hand or call.call_id in death.in_hand]
        delays = (call.felt_since(death.died_ms) for call in struck)
        return Felt.of(delay for delay in delays if delay is not None)

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


def in_words(went: Mapping[Went, int]) -> str:
    """`5 own line, 2 alternate`, most first; a dash where there is nothing."""
    ordered = sorted(went.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count} {where}" for where, count in ordered if count) or "-"
