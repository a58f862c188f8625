"""Which copies of facts a replica keeps for others, and until when (protocol.md J4).

A copy is dropped when its fact is seen on the log, or its call is settled there, or its leg is closed (J2). Those of a
conductor that is gone are handed to the log by the keeper, in whose hands they then are the only ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from services.domain.events import Conductor, Fact

Handle = TypeVar("Handle")
Key = TypeVar("Key")
Identity = tuple[str, int, int, str]
SEEN_MAX: Final = 10_000
"""Facts that are remembered as seen on the log: of ten seconds, in a region that takes a hundred calls a second; a copy
comes within one."""


@dataclass(slots=True)
class Copy(Generic[Handle]):
    """One fact that is kept: its bytes, whose it is, the wall time at which it came, and where it is on the disk."""

    fact: Fact
    raw: bytes
    conductor: Conductor
    kept_ms: int
    handle: Handle
    handed_over: bool = False


class KeptCopies(Generic[Handle]):
    """Every copy, by the identity of its fact."""

    def __init__(self, *, seen_max: int = SEEN_MAX) -> None:
        self._seen: OrderedDict[Identity, None] = OrderedDict()
        self._seen_max = seen_max
        self._by_identity: dict[Identity, Copy[Handle]] = {}
        self._by_call: dict[str, dict[Identity, None]] = {}  # in the order in which they came
        self._by_conductor: dict[Conductor, dict[Identity, None]] = {}

    def __len__(self) -> int:
        return len(self._by_identity)

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._by_identity

    def keeps(self, call_id: str) -> bool:
        """Whether a fact of this call is kept."""
        return call_id in self._by_call

    def conductors(self) -> list[Conductor]:
        """Those of whom facts are kept."""
        return list(self._by_conductor)

    def put(self, copy: Copy[Handle]) -> None:
        """Keeps it; the fact is not kept yet."""
        identity = copy.fact.identity
        assert identity not in self._by_identity, "a fact is kept once"
        self._by_identity[identity] = copy
        self._by_call.setdefault(copy.fact.call_id, {})[identity] = None
        self._by_conductor.setdefault(copy.conductor, {})[identity] = None

    def seen(self, fact: Fact) -> list[Handle]:
        """The fact is on the log: what need not be kept any more."""
        self._seen[fact.identity] = None
        if len(self._seen) > self._seen_max:
            self._seen.popitem(last=False)
        if fact.settled:
            copies = [self._by_identity[identity] for identity in self._by_call.get(fact.call_id, ())]
            return [self._drop(copy.fact.identity) for copy in copies if copy.fact.leg <= fact.closes_through]
        return [self._drop(fact.identity)] if fact.identity in self._by_identity else []

    def was_seen(self, fact: Fact) -> bool:
        """Whether it was seen on the log lately: a copy that comes now comes late, and need not be kept."""
        return fact.identity in self._seen

    def to_hand_over(self, conductor: Conductor) -> Iterable[Copy[Handle]]:
        """What this conductor leaves, each once."""
        copies = [self._by_identity[identity] for identity in self._by_conductor.get(conductor, ())]
        left = sorted((each for each in copies if not each.handed_over), key=lambda each: each.fact.seq)
        for copy in left:
            copy.handed_over = True
        return left

    def _drop(self, identity: Identity) -> Handle:
        copy = self._by_identity.pop(identity)
        _discard(self._by_call, copy.fact.call_id, identity)
        _discard(self._by_conductor, copy.conductor, identity)
        return copy.handle


def _discard(index: dict[Key, dict[Identity, None]], key: Key, identity: Identity) -> None:
    index[key].pop(identity, None)
    if not index[key]:
        del index[key]
