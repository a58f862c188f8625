"""One PSAP as one gateway knows it: whether it is there, whether an offer may be tried, and whether it behaves.

Two doubts are kept apart. *Silent*: nothing at all was heard for 2.5 s; any word ends it. *Suspect*: an offer found no
taker, although the stream lives; a heartbeat proves nothing about that, so only an offer that is taken up (late is good
enough), or a new attachment, ends it. A suspect is not stuck: each 2 s the row turns hopeful again, and one offer is
let through as a probe, while the others are answered at once (protocol.md R4, R8).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SILENT_AFTER_S: Final = 2.5
PROBE_EACH_S: Final = 2.0
MESSAGES_PER_S_MAX: Final = 200.0
MESSAGES_BURST_MAX: Final = 400.0
MESSAGES_EARNED_MAX: Final = 4_000.0
MESSAGES_FOR_AN_OFFER: Final = 8
"""What an offer may be answered with, whatever the rate: a busy PSAP is not a flood."""
REMEMBERED_MAX: Final = 1024


class Offence(StrEnum):
    """Why a PSAP's stream is ended by the gateway."""

    NO_HELLO = "no_hello"
    WRONG_CREDENTIAL = "wrong_credential"
    OUT_OF_TURN = "out_of_turn"
    ANOTHERS_ID = "anothers_id"
    FLOOD = "flood"
    UNREADABLE = "unreadable"
    DEAF = "deaf"
    """It does not read what it is sent."""
    REPLACED = "replaced"
    """No offence of its own: the same PSAP has attached again."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a gateway publishes of a PSAP (R8)."""

    psap_id: str
    attached: bool
    reason: str
    ringing: int
    connected: int


class Memory:
    """The newest names, at most `REMEMBERED_MAX`: so that a word that crossed ours is told from a lie."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > REMEMBERED_MAX:
            del self._names[next(iter(self._names))]

    def discard(self, name: str) -> None:
        self._names.pop(name, None)

    def keep(self, names: Iterable[str]) -> None:
        """Forgets all but these."""
        kept = set(names)
        self._names = {name: None for name in self._names if name in kept}


class Allowance:
    """A token bucket for a PSAP's messages; what we ask for is paid in advance."""

    def __init__(self, now: float) -> None:
        self._tokens = MESSAGES_BURST_MAX
        self._filled_at = now

    def earn(self) -> None:
        """An offer was sent."""
        self._tokens = min(self._tokens + MESSAGES_FOR_AN_OFFER, MESSAGES_EARNED_MAX)

    def take(self, now: float) -> bool:
        """One message has come; False when it is one too many."""
        if self._tokens < MESSAGES_BURST_MAX:
            gained = (now - self._filled_at) * MESSAGES_PER_S_MAX
            self._tokens = min(MESSAGES_BURST_MAX, self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Attachment:
    """A PSAP that has attached at least once. `link` names its present stream; None while it has none."""

    __slots__ = (
        "allowance",
        "gone_reason",
        "heard_at",
        "held",
        "link",
        "over",
        "probe_at",
        "psap_id",
        "silent",
        "state",
        "watched",
    )

    def __init__(self, psap_id: str) -> None:
        self.psap_id = psap_id
        self.link: int | None = None
        self.gone_reason = ""
        self.heard_at = 0.0
        self.silent = False
        self.watched = False
        """Whether a look at its silence is set."""
        self.probe_at: float | None = None
        """Suspect, and from this instant on an offer may be tried as a probe; None: not suspect."""
        self.state = ""
        """What it says of itself (i3 ServiceState): published, never a gate."""
        self.allowance = Allowance(0.0)
        self.held = Memory()
        """Attempts that are connected there through this gateway."""
        self.over = Memory()
        """Attempts that are no longer ours to ring, but that it may still speak of."""

    def attach(self, link: int, ringing: Sequence[str], held: Sequence[str], now: float) -> None:
        """A stream with a good hello: all doubts are forgotten."""
        self.link = link
        self.heard_at = now
        self.silent = False
        self.probe_at = None
        self.state = ""
        self.allowance = Allowance(now)
        for attempt in (*ringing, *held):
            self.over.add(attempt)
        self.held.keep(held)

    def detach(self, reason: str) -> None:
        """Its stream is gone."""
        self.link = None
        self.gone_reason = reason

    def suspect(self, now: float) -> None:
        """An offer found no taker."""
        self.probe_at = now + PROBE_EACH_S

    def why_unreachable(self, now: float) -> str:
        """Empty when an offer may be tried."""
        if self.silent:
            return "silent"
        if self.probe_at is not None and now < self.probe_at:
            return "no_word_on_an_offer"
        return ""

    def row(self, ringing: int, now: float) -> Row:
        if self.link is None:
            return Row(self.psap_id, False, self.gone_reason, ringing, len(self.held))
        why = self.why_unreachable(now)
        reason = why or ("probe_due" if self.probe_at is not None else self.state)
        return Row(self.psap_id, not why, reason, ringing, len(self.held))
