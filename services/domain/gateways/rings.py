"""The attempts that a gateway has in hand, by name and by PSAP, and the ways in which one comes to its end."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Final

from services.domain.deliveries import Became, Outcome
from services.domain.events import Failure
from services.domain.gateways.attachments import Attachment, Memory
from services.domain.gateways.patching import Cancel, Effect, Release, TakeUp

TAKE_UP_S: Final = 0.300
"""A PSAP says `ringing` or `reject` within this, or it has failed a delivery."""
CONFIRM_S: Final = 1.0
"""From answer to connect; this timer is the authority (P4)."""
ACKNOWLEDGE_S: Final = 2.0
"""From connect to the acknowledgement."""
RETURN_S: Final = 1.0
"""A PSAP that lost its stream while it was to connect says within this, by a new hello, whether it has (R5)."""
UNCLAIMED_S: Final = 2.0
"""What rings at a PSAP by its own word rings on for this long without a conductor's offer (R5)."""

UNWANTED: Final = "unwanted"
NEVER_AGAIN_MAX: Final = 8192
"""Attempts that are remembered so that they never ring again, the newest."""


class Stage(StrEnum):
    OFFERED = auto()
    RINGING = auto()
    ANSWERED = auto()
    CONNECTING = auto()


_STEPS: Final = {Stage.OFFERED: 0, Stage.RINGING: 1, Stage.ANSWERED: 2, Stage.CONNECTING: 2}


class Due(StrEnum):
    """What a deadline of a switchboard is for."""

    TAKE_UP = auto()
    CONFIRM = auto()
    ACKNOWLEDGE = auto()
    DOUBT = auto()
    SILENCE = auto()
    PROBE = auto()
    RETURN = auto()
    UNCLAIMED = auto()
    QUESTION = auto()


ACCUSES: Final = frozenset(
    {Due.TAKE_UP, Due.DOUBT, Due.SILENCE, Due.ACKNOWLEDGE, Due.RETURN, Due.UNCLAIMED, Due.QUESTION},
)
"""At these somebody is found wanting, whose word may wait in the socket of a process that was held up."""
LIMIT_S: Final = {
    Due.TAKE_UP: (Stage.OFFERED, TAKE_UP_S),
    Due.CONFIRM: (Stage.ANSWERED, CONFIRM_S),
    Due.ACKNOWLEDGE: (Stage.CONNECTING, ACKNOWLEDGE_S),
}
"""How long an attempt may stand at which stage, in seconds."""


class Ring:
    """One attempt: where it stands, and since when."""

    __slots__ = ("call_id", "doubted", "name", "psap", "since", "stage")

    def __init__(self, name: str, call_id: str, psap: Attachment, now: float) -> None:
        self.name = name
        self.call_id = call_id
        self.psap = psap
        self.stage = Stage.OFFERED
        self.since = now
        self.doubted = False
        """Its conductor was told that the PSAP has fallen silent."""

    @property
    def waits(self) -> bool:
        """Whether it rings, or is answered and not confirmed yet."""
        return self.stage in (Stage.RINGING, Stage.ANSWERED)

    @property
    def so_far(self) -> list[Outcome]:
        """The steps that its conductor has heard of."""
        return [Outcome.RINGING, Outcome.ANSWERED][: _STEPS[self.stage]]

    def enter(self, stage: Stage, now: float) -> None:
        self.stage = stage
        self.since = now


class Rings:
    """All of them. What is to be done is put on `effects`, in order."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.ended: list[Ring] = []
        """Those that were forgotten since somebody last looked."""
        self.connected_once = Memory(NEVER_AGAIN_MAX)
        """Attempts that were connected: one attempt, one connection."""
        self.resumed = Memory(NEVER_AGAIN_MAX)
        """Attempts that a newer leg has asked about: not to be rung here any more (P5)."""
        self.unwanted = Memory(NEVER_AGAIN_MAX)
        """Attempts whose caller is gone, or with somebody else: nobody is to talk under them (P5)."""
        self._by_name: dict[str, Ring] = {}
        self._by_psap: dict[str, dict[str, Ring]] = {}
        self._by_call: dict[str, dict[str, Ring]] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> Ring | None:
        return self._by_name.get(name)

    def at(self, psap: Attachment) -> list[Ring]:
        """What rings at a PSAP; a copy."""
        return list(self._by_psap.get(psap.psap_id, {}).values())

    def of(self, call_id: str) -> list[Ring]:
        """What rings of a call; a copy."""
        return list(self._by_call.get(call_id, {}).values())

    def count_at(self, psap: Attachment) -> int:
        return len(self._by_psap.get(psap.psap_id, ()))

    def begin(self, name: str, call_id: str, psap: Attachment, now: float) -> None:
        """An attempt is offered to a PSAP."""
        ring = Ring(name, call_id, psap, now)
        self._by_name[name] = self._by_psap.setdefault(psap.psap_id, {})[name] = ring
        self._by_call.setdefault(call_id, {})[name] = ring
        psap.over.discard(name)
        psap.released.discard(name)
        psap.claimed.discard(name)

    def forget(self, ring: Ring) -> None:
        """It is over, by the PSAP's own word; the PSAP may still speak of it."""
        del self._by_name[ring.name]
        del self._by_psap[ring.psap.psap_id][ring.name]
        of_the_call = self._by_call[ring.call_id]
        del of_the_call[ring.name]
        if not of_the_call:
            del self._by_call[ring.call_id]
        self.ended.append(ring)
        ring.psap.over.add(ring.name)

    def give_back(self, ring: Ring, reason: str, *, unwanted: bool = False) -> None:
        """It is over, and the PSAP is to stop: where it rings, or where it has answered.

        What was offered and not heard of may be connected there, through another gateway: a cancel leaves that as it is
        (R5), and only who says that the call is `unwanted` has it released.
        """
        self.forget(ring)
        if ring.psap.link is None:
            return
        if ring.stage is Stage.RINGING or (ring.stage is Stage.OFFERED and not unwanted):
            self.effects.append(Cancel(ring.psap.link, ring.name, reason))
        else:
            self.release(ring.psap, ring.psap.link, ring.name, reason)

    def let_go(self, psap: Attachment, name: str) -> None:
        """Whichever stream has it at the PSAP, it is this one's from now on, and released, connected or not (P5).

        Said once on a stream: who does not do as it is told says `have` again.
        """
        psap.held.discard(name)
        psap.claimed.discard(name)
        psap.over.add(name)
        if psap.link is not None and name not in psap.released:
            self.effects.append(TakeUp(psap.link, name))
            self.release(psap, psap.link, name, UNWANTED)

    def release(self, psap: Attachment, link: int, name: str, reason: str) -> None:
        """The PSAP is to let go of it, connected or not."""
        psap.released.add(name)
        self.effects.append(Release(link, name, reason))

    def became(self, ring: Ring, outcome: Outcome, failure: Failure | None = None, reason: str = "") -> None:
        self.effects.append(Became(ring.name, outcome, failure, reason))

    def fail(self, ring: Ring, failure: Failure, reason: str) -> None:
        """Ends an attempt that the PSAP itself has not ended."""
        self.give_back(ring, reason)
        self.became(ring, Outcome.FAILED, failure, reason)

    def connected(self, ring: Ring) -> None:
        """The PSAP has said that the two are connected."""
        self.forget(ring)
        ring.psap.held.add(ring.name)
        self.connected_once.add(ring.name)
        self.became(ring, Outcome.CONNECTED)

    def lose_all_at(self, psap: Attachment, reason: str) -> list[Ring]:
        """Its stream is gone: all fail but those that it was to connect, which it may have done. Returns these."""
        for ring in self.at(psap):
            if ring.stage is not Stage.CONNECTING:
                self.fail(ring, Failure.UNREACHABLE, reason)
        return self.at(psap)

    def fail_all_at(self, psap: Attachment, reason: str) -> None:
        """The PSAP is not there any more."""
        for ring in self.at(psap):
            self.fail(ring, Failure.UNREACHABLE, reason)
