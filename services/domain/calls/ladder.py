"""The ladder: whom to ring next when a rung has failed. Never a hang-up while a caller is on the line (protocol.md R6).

A PSAP that is *not there* (unreachable, not attached, does not answer) still has people: its own administrative lines
come next, then an alternate. A PSAP that is *there but cannot* (full, refused) has its people busy: the alternate comes
first, then its lines. Last the region's desk, then a pause, and up again from the bottom with everything forgiven.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from services.domain.events import Failure

REGION_DESK: Final = "region"
GATEWAYS_TRIED_MAX: Final = 2

_BUSY: Final = frozenset({Failure.FULL, Failure.REFUSED})
NOT_THERE: Final = frozenset({Failure.UNREACHABLE, Failure.NOT_ATTACHED})


@dataclass(frozen=True, slots=True)
class RingPsap:
    """Ring a PSAP's call-takers through the gateway at this address."""

    psap_id: str
    gateway: str
    reason: str
    others: tuple[str, ...] = field(default=(), compare=False)
    """Its other gateways: through them the same attempt goes on when this one is lost (R5)."""

    @property
    def owner(self) -> str:
        """Whose people ring."""
        return self.psap_id


@dataclass(frozen=True, slots=True)
class DialLines:
    """Dial the administrative lines of a PSAP or desk, in their order."""

    owner: str
    reason: str
    last: bool = False
    """The last rung: what rings lower down is not given up for it."""


@dataclass(frozen=True, slots=True)
class AskRoute:
    """Ask where to, these PSAPs being out of the question."""

    excluded: tuple[str, ...]
    own_atlas: bool = False
    """Nobody is to be asked: this process has no time for the answer."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Every rung has failed: wait, then climb again."""


@dataclass(frozen=True, slots=True)
class Park:
    """Nothing is left to try without a place among the calls that are set up: wait for one (L1)."""


Rung = RingPsap | DialLines


@dataclass(frozen=True, slots=True)
class Destination:
    """A route as the ladder sees it; no gateways and not reachable means its lines come first."""

    psap_id: str
    gateways: tuple[str, ...]
    reachable: bool
    reason: str


class _Target:
    """A PSAP on this round's ladder, and what became of it."""

    def __init__(self, destination: Destination) -> None:
        self.psap_id = destination.psap_id
        self.reason = destination.reason
        gateways = list(dict.fromkeys(destination.gateways))
        self.gateways = gateways[:GATEWAYS_TRIED_MAX] if destination.reachable else []
        self._all = tuple(self.gateways)
        self.failure = Failure.UNREACHABLE

    def rung(self) -> RingPsap:
        """This PSAP through the gateway at the head."""
        gateway = self.gateways[0]
        others = tuple(each for each in self._all if each != gateway)
        return RingPsap(self.psap_id, gateway, self.reason, others)

    def failed(self, failure: Failure) -> None:
        """The gateway at the head has failed; what the PSAP itself said goes for every gateway."""
        self.failure = failure
        if failure in NOT_THERE:
            del self.gateways[:1]
        else:
            self.gateways.clear()


class Ladder:
    """One call's way up. `climb` says the next step; `found`, `failed` and `again` say what became of it."""

    def __init__(self, desk: str = "", desk_reason: str = "") -> None:
        self._desk = desk
        self._desk_reason = desk_reason
        self._targets: list[_Target | None] = []  # the primary, then the alternate; None where none was found
        self._dialled: set[str] = set()  # owners whose lines have had their turn in this round
        self.rounds = 1

    def climb(self) -> Rung | AskRoute | Pause:
        """The next step. Pure: asked twice it answers the same, until told what became of the step."""
        if self._desk and self._desk not in self._dialled:
            return DialLines(self._desk, self._desk_reason or "policy")
        if not self._targets:
            return AskRoute(())
        primary = self._targets[0]
        if primary is None:
            return self._top()
        if primary.gateways:
            return primary.rung()
        if primary.failure not in _BUSY and primary.psap_id not in self._dialled:
            return DialLines(primary.psap_id, primary.failure)
        if len(self._targets) == 1:
            return AskRoute((primary.psap_id,))
        alternate = self._targets[1]
        if alternate is not None and alternate.gateways:
            return alternate.rung()
        for target in (primary, alternate):
            if target is not None and target.psap_id not in self._dialled:
                return DialLines(target.psap_id, target.failure)
        return self._top()

    def found(self, destination: Destination | None) -> None:
        """The answer to AskRoute; None when there is no PSAP to try. One that was excluded counts as none."""
        excluded = {target.psap_id for target in self._targets if target is not None}
        if destination is None or destination.psap_id in excluded:
            self._targets.append(None)
        else:
            self._targets.append(_Target(destination))

    def failed(self, rung: Rung, failure: Failure) -> None:
        """This rung did not bring the call to a person (or has rung long enough)."""
        if isinstance(rung, RingPsap):
            for target in self._targets:
                if target is not None and target.psap_id == rung.psap_id and rung.gateway in target.gateways[:1]:
                    target.failed(failure)
        else:
            self._dialled.add(rung.owner)

    def again(self) -> None:
        """After a pause: everything is forgiven, the desk of a policy apart (it has had its turn)."""
        self._targets.clear()
        self._dialled.clear()
        self._desk = ""
        self.rounds += 1

    def _top(self) -> DialLines | Pause:
        if REGION_DESK not in self._dialled:
            return DialLines(REGION_DESK, "ladder_exhausted", last=True)
        return Pause()
