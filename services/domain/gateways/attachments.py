"""One PSAP as one gateway knows it: whether it is there, whether an offer may be tried, and whether it behaves.

Three doubts are kept apart. *Doubted*: nothing was heard for 0.8 s while something rings, of a PSAP that promises a
word each 250 ms then; conductors are told, and nothing else comes of it. *Silent*: nothing at all was heard for 2.5 s;
any word ends it. *Suspect*: an offer found no taker, although the stream lives; a heartbeat proves nothing about that,
so only an offer that is taken up (late is good enough), or a new attachment, ends it. A suspect is not stuck: each 2 s
the row turns hopeful again, and one offer is let through as a probe, while the others are answered at once (protocol.md
R2, R4, R8).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DOUBTED_AFTER_S: Final = 0.8
"""Three heartbeats of a PSAP at which something rings, and a little more (R2)."""
SILENT_AFTER_S: Final = 2.5
PROBE_EACH_S: Final = 2.0
MESSAGES_PER_S_MAX: Final = 200.0
MESSAGES_BURST_MAX: Final = 400.0
MESSAGES_EARNED_MAX: Final = 4_000.0
MESSAGES_FOR_AN_OFFER: Final = 8
"""What an offer may be answered with, whatever the rate: a busy PSAP is not a flood."""
REMEMBERED_MAX: Final = 256
UNANSWERED_MAX: Final = 256
"""Questions that a PSAP may leave open; past that it is asked nothing more until it attaches again."""


NUMBER_MAX: Final = 2**32 - 1
"""Of a leg, and of an attempt in it."""
NUMBER_DIGITS_MAX: Final = 10


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
    """What a gateway publishes of a PSAP (R8). `connected` counts its own and what the PSAP's hello named."""

    psap_id: str
    attached: bool
    reason: str
    ringing: int
    connected: int


def call_of(attempt: str) -> str:
    """The call_id of call_id/leg/n."""
    return attempt.rsplit("/", 2)[0]


def is_attempt(name: str) -> bool:
    """Whether it has the form of an attempt's name, with a leg and a number that a message can carry."""
    call_id, *numbers = name.rsplit("/", 2)
    return bool(call_id) and len(numbers) == 2 and all(map(_is_number, numbers))


def _is_number(text: str) -> bool:
    return len(text) <= NUMBER_DIGITS_MAX and text.isascii() and text.isdecimal() and int(text) <= NUMBER_MAX


def is_attempt_of(name: str, call_id: str) -> bool:
    """Whether it is the name of an attempt of this very call."""
    return is_attempt(name) and call_of(name) == call_id


class Memory:
    """The newest names, at most `names_max`: so that a word that crossed ours is told from a lie."""

    def __init__(self, names_max: int = REMEMBERED_MAX) -> None:
        self._names: dict[str, None] = {}
        self._names_max = names_max

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > self._names_max:
            del self._names[next(iter(self._names))]

    def discard(self, name: str) -> None:
        self._names.pop(name, None)


class Conversations:
    """The attempts under which calls were connected, one a call, the newest `REMEMBERED_MAX`."""

    def __init__(self, attempts: Iterable[str] = ()) -> None:
        self._by_call: dict[str, str] = {}
        for attempt in attempts:
            self.add(attempt)

    def __contains__(self, attempt: str) -> bool:
        return self._by_call.get(call_of(attempt)) == attempt

    def __len__(self) -> int:
        return len(self._by_call)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_call.values())

    def of(self, call_id: str) -> str:
        """The attempt under which this call was connected; empty where it was not."""
        return self._by_call.get(call_id, "")

    def add(self, attempt: str) -> None:
        self._by_call[call_of(attempt)] = attempt
        if len(self._by_call) > REMEMBERED_MAX:
            del self._by_call[next(iter(self._by_call))]

    def discard(self, attempt: str) -> None:
        if attempt in self:
            del self._by_call[call_of(attempt)]


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
        "asked",
        "beats_while_ringing",
        "claimed",
        "gone_at",
        "gone_reason",
        "heard_at",
        "held",
        "link",
        "over",
        "overheard",
        "probe_at",
        "psap_id",
        "released",
        "silent",
        "spoken",
        "state",
        "watched",
    )

    def __init__(self, psap_id: str) -> None:
        self.psap_id = psap_id
        self.link: int | None = None
        self.gone_reason = ""
        self.gone_at = 0.0
        """When its last stream was lost."""
        self.heard_at = 0.0
        self.silent = False
        self.watched = False
        """Whether a look at its silence is set."""
        self.beats_while_ringing = False
        """Whether it promises a word each 250 ms while something rings; else its silence is judged by seconds alone."""
        self.overheard = False
        """Whether a look is set at whether it keeps that promise."""
        self.probe_at: float | None = None
        """Suspect, and from this instant on an offer may be tried as a probe; None: not suspect."""
        self.state = ""
        """What it says of itself (i3 ServiceState): published, never a gate."""
        self.allowance = Allowance(0.0)
        self.held = Conversations()
        """Attempts connected there: acknowledged here, or named by it, in its hello or since (R5)."""
        self.spoken = Conversations()
        """Attempts that were connected there; their conversations are over."""
        self.over = Memory()
        """Attempts that are no longer ours to ring, but that it may still speak of."""
        self.released = Memory()
        """Attempts that it was told on this stream to let go of, connected or not: it says no word of that here."""
        self.claimed: set[str] = set()
        """Attempts that ring there by its hello, and that no conductor has offered here (R5)."""
        self.asked: dict[str, deque[int]] = {}
        """Questions that it has not answered yet, by call, in the order in which they were put (T3)."""

    def attach(self, link: int, ringing: Sequence[str], held: Sequence[str], beats: bool, now: float) -> None:
        """A stream with a good hello: all doubts are forgotten, and what is connected there is what it says."""
        self.link = link
        self.beats_while_ringing = beats
        self.heard_at = now
        self.silent = False
        self.probe_at = None
        self.state = ""
        self.allowance = Allowance(now)
        before, self.held = self.held, Conversations(held)
        for attempt in before:
            if attempt not in self.held:
                self.spoken.add(attempt)
                self.over.add(attempt)
        self.claimed = {attempt for attempt in ringing[:REMEMBERED_MAX] if attempt not in self.over}
        self.asked = {}
        self.released = Memory()

    def detach(self, reason: str, now: float) -> None:
        """Its stream is gone."""
        self.link = None
        self.gone_reason = reason
        self.gone_at = now
        self.claimed = set()
        self.asked = {}

    def told_of(self, attempt: str) -> None:
        """It says that this is connected there, which may have crossed a release."""
        if attempt not in self.released:
            self.held.add(attempt)

    def ask(self, call_id: str, question: int) -> bool:
        """Notes that it is asked about a call; False when it has left too many questions open."""
        if sum(map(len, self.asked.values())) >= UNANSWERED_MAX:
            return False
        self.asked.setdefault(call_id, deque()).append(question)
        self.allowance.earn()
        return True

    def answered(self, call_id: str) -> int | None:
        """The oldest question about that call which is open, and no more; None where it was not asked."""
        waiting = self.asked.get(call_id)
        if waiting is None:
            return None
        question = waiting.popleft()
        if not waiting:
            del self.asked[call_id]
        return question

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
