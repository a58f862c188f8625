"""The topic `policy` as far as it was read: bundles, who signed them, and the chain of what stands. Pure.

Bundles and signatures are sets: their order does not matter. Whoever can write to the topic can write anything, and
never an end of it. So everything here is bounded, what nobody known has signed is held in a small room of its own and
makes way first, and nothing that is whole or signed is replaced by what is not: a content is known by its SHA-256, a
signature by its key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import Final, TypeVar

from services.domain.publication import NUMBER_MAX, Part
from services.policy.files.canonical import Signature
from services.policy.files.reading import BYTES_MAX
from services.policy.files.signing import SIGNATURES_MAX
from services.policy.life.lifecycle import Pointer, State, flaw

CONTENT_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of signed bundles that are held though nothing points at them, the newest first."""
LOOSE_BYTES_MAX: Final = 2 * BYTES_MAX
"""Of parts under way, and as much again of whole contents that nobody known has signed."""
PARTS_MAX: Final = 1_000
BUNDLES_MAX: Final = 1_000
"""Signed bundles that are known; past it the lowest version makes way."""
LOOSE_MAX: Final = 100
"""Bundles and signatures, each, for which nobody known stands; past it the oldest makes way."""
CHANGES_MAX: Final = 1_000
FIRST_SERIAL_MAX: Final = 2**40
"""Where a topic may begin, which had others before: behind it there are numbers for whatever happens."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A bundle that was handed in."""

    pointer: Pointer
    size_bytes: int
    name: str
    author: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SignedBy:
    """One signature of one bundle."""

    pointer: Pointer
    signature: Signature


Entry = Part | Submitted | SignedBy | State

K = TypeVar("K")
V = TypeVar("V")


def _anybody(signed: SignedBy) -> bool:
    return True


class Shelf:
    """Takes records in the log's order. `vouches` says whether a signature is one, by a person who is known here,
    expired or not; a reader without keys believes each."""

    def __init__(self, vouches: Callable[[SignedBy], bool] = _anybody) -> None:
        self.state = State()
        self.changes: list[State] = []
        """The newest last."""
        self._vouches = vouches
        self._parts: OrderedDict[str, dict[int, Part]] = OrderedDict()  # by content, those under way
        self._parts_bytes = 0
        self._contents: OrderedDict[str, bytes] = OrderedDict()  # whole, in the order in which they became so
        self._contents_bytes = 0
        self._submitted: dict[Pointer, Submitted] = {}
        self._loose: OrderedDict[Pointer, Submitted] = OrderedDict()  # signed by nobody known yet
        self._signed: dict[Pointer, dict[str, SignedBy]] = {}  # by signer
        self._doubtful: OrderedDict[tuple[Pointer, str], SignedBy] = OrderedDict()

    def put(self, entry: Entry) -> None:
        """Takes one record in."""
        match entry:
            case Part():
                self._put_part(entry)
            case Submitted():
                if entry.pointer in self._signed:
                    self._submitted.setdefault(entry.pointer, entry)
                elif entry.pointer not in self._loose:
                    self._loose[entry.pointer] = entry
                    _bounded(self._loose, LOOSE_MAX)
            case SignedBy():
                self._put_signature(entry)
            case State():
                if flaw(self.state, entry) == "" if self.changes else entry.serial <= FIRST_SERIAL_MAX:
                    self.state = entry
                    self.changes = [*self.changes[-CHANGES_MAX + 1 :], entry]

    @property
    def bundles(self) -> tuple[Submitted, ...]:
        """Every bundle that was handed in, by version."""
        found = chain(self._submitted.values(), self._loose.values())
        return tuple(sorted(found, key=lambda each: (each.pointer.version, each.pointer.digest)))

    @property
    def version_max(self) -> int:
        """The highest version that somebody known has signed: what a stranger calls a version bars none."""
        return max((pointer.version for pointer in self._submitted), default=0)

    def submitted(self, pointer: Pointer) -> Submitted | None:
        """That bundle, where it was handed in."""
        return self._submitted.get(pointer) or self._loose.get(pointer)

    def signatures(self, pointer: Pointer) -> tuple[Signature, ...]:
        """Of that bundle: those of known people, one each, then others as far as there is room."""
        known = self._signed.get(pointer, {})
        others = [each for (of, signer), each in self._doubtful.items() if of == pointer and signer not in known]
        return tuple(each.signature for each in [*known.values(), *others][:SIGNATURES_MAX])

    def content(self, pointer: Pointer) -> bytes | None:
        """That bundle's file, whole and as its SHA-256 says; None where a part is missing or another."""
        return self._contents.get(pointer.digest)

    def unmended(self, state: State) -> int:
        """Bundles in quarantine that no newer one has taken the place of. One of which nothing is known counts."""
        versions = {each.pointer.digest: each.pointer.version for each in self.bundles} if state.quarantined else {}
        return sum(versions.get(each, NUMBER_MAX) > state.live.version for each in state.quarantined)

    @property
    def held_bytes(self) -> int:
        """Of contents and their parts."""
        return self._contents_bytes + self._parts_bytes

    def forget(self) -> None:
        """Drops the contents of bundles that nothing points at, past the bounds, the oldest first."""
        state = self.state
        kept = {each.digest for each in (state.live, state.last_good, state.candidate) if each is not None}
        newest = sorted(self._submitted, key=lambda pointer: pointer.version, reverse=True)
        signed = [pointer.digest for pointer in newest]
        known = set(signed)
        loose = [digest for digest in reversed(self._contents) if digest not in known]
        kept |= self._fitting(signed, CONTENT_BYTES_MAX) | self._fitting(loose, LOOSE_BYTES_MAX)
        for digest in [each for each in self._contents if each not in kept]:
            self._contents_bytes -= len(self._contents.pop(digest))

    def _fitting(self, digests: list[str], room_bytes: int) -> set[str]:
        found = set()
        for digest in digests:
            room_bytes -= len(self._contents.get(digest, b""))
            if room_bytes < 0:
                break
            found.add(digest)
        return found

    def _put_part(self, part: Part) -> None:
        if part.sha256 in self._contents:
            return  # it is known by its hash: nothing else can be meant
        parts = self._parts.setdefault(part.sha256, {})
        self._parts_bytes += len(part.content) - len(parts[part.number].content if part.number in parts else b"")
        parts[part.number] = part
        if len(parts) >= part.parts and all(number in parts for number in range(part.parts)):
            content = b"".join(parts[number].content for number in range(part.parts))
            self._drop_parts(part.sha256)  # whole, or not what it says: then it has to come again, all of it
            if len(content) <= BYTES_MAX and sha256(content).hexdigest() == part.sha256:
                self._contents[part.sha256] = content
                self._contents_bytes += len(content)
                if self._contents_bytes > CONTENT_BYTES_MAX + LOOSE_BYTES_MAX:
                    self.forget()
        while self._parts_bytes > LOOSE_BYTES_MAX or sum(map(len, self._parts.values())) > PARTS_MAX:
            self._drop_parts(next(iter(self._parts)))

    def _drop_parts(self, digest: str) -> None:
        self._parts_bytes -= sum(len(part.content) for part in self._parts.pop(digest).values())

    def _put_signature(self, entry: SignedBy) -> None:
        pointer, signer = entry.pointer, entry.signature.signer
        if not self._vouches(entry):
            self._doubtful[pointer, signer] = entry
            _bounded(self._doubtful, LOOSE_MAX)
            return
        of = self._signed.setdefault(pointer, {})
        if signer not in of or of[signer].signature.expires_ms <= entry.signature.expires_ms:
            of[signer] = entry  # an older one, said again, takes nothing back
        if pointer in self._loose:
            self._submitted[pointer] = self._loose.pop(pointer)
        if len(self._signed) > BUNDLES_MAX:
            standing = {self.state.live, self.state.last_good, self.state.candidate}
            lowest = min((each for each in self._signed if each not in standing), key=lambda each: each.version)
            del self._signed[lowest]
            self._submitted.pop(lowest, None)


def _bounded(rooms: OrderedDict[K, V], rooms_max: int) -> None:
    while len(rooms) > rooms_max:
        rooms.popitem(last=False)
