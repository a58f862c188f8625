"""Whether a bundle that stands on `policy` may answer calls: its bytes, its signatures, its form. Says why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.firewall.policies.kept import Kept
from services.firewall.policies.metrics import NotTaken, PolicyMetrics
from services.firewall.policies.reading import NotRead, ReadFile
from services.host.files import FileTrouble
from services.host.world import World
from services.policy.bundle import Bundle
from services.policy.files.canonical import Signature
from services.policy.files.reading import BundleRefused, read_bundle
from services.policy.files.signing import NO_KEYS, Doubt, Keys, Signed, people_for_bundle, read_keys
from services.policy.files.strict_yaml import FileRefused
from services.policy.life.lifecycle import Pointer, State
from services.policy.life.shelf import Shelf

READ_MAX: Final = 6
REFUSED_MAX: Final = 100


class Vetting:
    """Bundles that were read once are remembered, as long as something points at them."""

    def __init__(self, world: World, metrics: PolicyMetrics, read_file: ReadFile) -> None:
        self._world = world
        self._read_file = read_file
        self._unread: dict[Pointer, str] = {}
        self._metrics = metrics
        self._read: dict[Pointer, Bundle] = {}
        self._good: set[Pointer] = set()
        self._refused: dict[Pointer, str] = {}
        self._why: dict[str, NotTaken | None] = {}
        self.keys_trouble = ""
        self.doubts: dict[str, str] = {}
        """What is not taken, by its part: the live one, a candidate."""

    async def load_keys(self, path: Path | None) -> Keys:
        """The operators' keys; nobody's where the file cannot be used, which is told."""
        if path is None:
            return NO_KEYS
        try:
            return read_keys((await self._world.files.read_text(path)).encode())
        except (FileTrouble, FileRefused) as trouble:
            self.keys_trouble = f"nobody can sign, the keys cannot be used: {trouble}"
            self._world.logger.error("policy.no_keys", why=str(trouble))
            return NO_KEYS

    def known(self, pointer: Pointer) -> Bundle | None:
        """A bundle that was taken before."""
        return self._read.get(pointer) if pointer in self._good else None

    async def read(self, shelf: Shelf, pointer: Pointer) -> Bundle | None:
        """A bundle of the topic, whoever has signed it; None where it is none, or not there."""
        known = self._read.get(pointer)
        content = shelf.content(pointer) if known is None and pointer.version else None
        return known if content is None else await self._reading(pointer, content, self._read_file)

    async def take(
        self,
        part: str,
        shelf: Shelf,
        pointer: Pointer,
        keys: Keys,
        before: Bundle,
        now_ms: int | None,
        unordered: str = "",
    ) -> Bundle | None:
        """The bundle, or None with the doubt told. `before` is what it follows: it says how many people it takes.

        Without `now_ms` signatures count that have expired since: to go back must not fail by that. `unordered`: why
        no order of people stands behind it.
        """
        label = f"{part} version {pointer.version}"
        bundle = await self.read(shelf, pointer)
        if bundle is None and pointer in self._unread:
            self.doubt(part, NotTaken.UNREADABLE, f"{label} is not read yet: {self._unread[pointer]}")
            return None
        if bundle is None and pointer not in self._refused:
            self.doubt(part, NotTaken.TORN, f"{label} is torn: records of it are missing")
            return None
        if bundle is None:
            self.doubt(part, NotTaken.UNREADABLE, f"{label} is no bundle: {self._refused[pointer]}")
            return None
        signatures = shelf.signatures(pointer)
        if now_ms is None:
            signed = Signed(signed_ever(keys, pointer, signatures))
        else:
            signed = keys.of_bundle(pointer.version, pointer.digest, signatures, now_ms)
        lacks = signed.lacks(people_for_bundle(before, bundle))
        if lacks:
            self.doubt(part, _why(signed), f"{label} is not taken: {lacks}")
            return None
        if unordered:
            self.doubt(part, NotTaken.UNORDERED, f"{label} is not taken: {unordered}")
            return None
        self.doubt(part, None, "")
        self._forget(shelf)
        self._good.add(pointer)
        return bundle

    async def before(self, shelf: Shelf, state: State, keys: Keys, built_in: Bundle, served: Bundle | None) -> Bundle:
        """What the live bundle followed, where that was taken here or enough people have signed it; else the built-in
        one. Who writes to the topic could name as last good what one person signed, and so bring more of it live.
        `served` is the live bundle where it answers calls here already."""
        if (taken := self.known(state.last_good)) is not None:
            return taken
        if served is not None:
            return served
        before = await self.read(shelf, state.last_good)
        signers = signed_ever(keys, state.last_good, shelf.signatures(state.last_good))
        enough = before is not None and len(signers) >= people_for_bundle(built_in, before)
        return before if before is not None and enough else built_in

    async def kept(self, kept: Kept, keys: Keys) -> Bundle | None:
        """The last good one from the disk, signed by somebody known; its signatures may have expired since."""
        if not signed_ever(keys, kept.pointer, kept.signatures):
            return None
        bundle = await self._reading(kept.pointer, kept.content, self._in_a_thread)
        if bundle is not None:
            self._good.add(kept.pointer)
        return bundle

    def doubt(self, part: str, why: NotTaken | None, told: str) -> None:
        """Loud once for each doubt; quiet again when there is none."""
        if told and told != self.doubts.get(part) and why is not None:
            self._metrics.not_taken[why].inc()
            self._world.logger.error("policy.not_taken", why=why, reason=told)
        self.doubts[part] = told
        self._why[part] = why
        for each, gauge in self._metrics.doubts.items():
            gauge.set(each in self._why.values())

    async def _in_a_thread(self, content: bytes) -> Bundle:
        """At a start: no call is screened yet, and no helper may be there."""
        return await self._world.run_blocking(lambda: read_bundle(content))

    async def _reading(self, pointer: Pointer, content: bytes, read_file: ReadFile) -> Bundle | None:
        if pointer in self._refused:
            return None
        self._unread.clear()
        if len(self._refused) > REFUSED_MAX:
            self._refused.clear()
        try:
            bundle = await read_file(content)
        except NotRead as later:
            self._unread[pointer] = str(later)
            return None
        except BundleRefused as refused:
            self._refused[pointer] = str(refused)
            return None
        if (bundle.version, bundle.digest) != (pointer.version, pointer.digest):
            self._refused[pointer] = f"it says version {bundle.version}"
            return None
        self._read[pointer] = bundle
        return bundle

    def _forget(self, shelf: Shelf) -> None:
        state = shelf.state
        pinned = {state.live, state.last_good, state.candidate}
        for pointer in [each for each in self._read if each not in pinned]:
            if len(self._read) > READ_MAX:
                del self._read[pointer]
                self._good.discard(pointer)


def signed_ever(keys: Keys, pointer: Pointer, signatures: Sequence[Signature]) -> frozenset[str]:
    """Who known has signed it, however long ago."""
    found = (keys.of_bundle(pointer.version, pointer.digest, [each], each.signed_ms) for each in signatures)
    return frozenset(signer for signed in found for signer in signed.signers)


def _why(signed: Signed) -> NotTaken:
    doubts = {doubt for _, doubt in signed.doubts}
    if Doubt.WRONG in doubts:
        return NotTaken.WRONG
    return NotTaken.EXPIRED if Doubt.EXPIRED in doubts else NotTaken.UNSIGNED
