"""The last good policy as one file on a replica's own disk: what it screens by when it starts without Kafka.

One JSON document, replaced whole, that a person can read. Beside the bundle it holds what must outlive a restart though
the topic has not heard of it yet: the bypass, and bundles in quarantine.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from throughline.v1 import policy_pb2

from services.domain.publication import NUMBER_MAX
from services.firewall.policies.metrics import PolicyMetrics
from services.host.files import FileTrouble
from services.host.world import World
from services.policy.files.canonical import Signature
from services.policy.life.latest import NONE_YET, Latest
from services.policy.life.lifecycle import BUILT_IN_POINTER, Pointer, State, Warrant, tripped, warranted
from services.wire import policy_records
from services.wire.methods import Unreadable, parse


class KeptRefused(Exception):
    """A file that is not as it was kept; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one replica keeps. `content` is empty while the built-in policy answers calls."""

    serial: int = 0
    pointer: Pointer = BUILT_IN_POINTER
    content: bytes = b""
    signatures: tuple[Signature, ...] = ()
    quarantined: tuple[str, ...] = ()
    bypass: bool = False
    latest: Latest = NONE_YET
    """Of the orders that were followed."""
    warrants: tuple[Warrant, ...] = ()
    counted: Latest = NONE_YET
    """Of the orders that ever counted here."""

    @property
    def state(self) -> State:
        """What stood when it was kept."""
        return State(
            self.serial,
            self.pointer,
            quarantined=self.quarantined,
            bypass=self.bypass,
            latest=self.latest,
            warrants=self.warrants,
        )


def encode(kept: Kept) -> str:
    """The file's text. The content is UTF-8: it is of a bundle that was read."""
    document = {
        "version": kept.pointer.version,
        "sha256": kept.pointer.digest,
        "serial": kept.serial,
        "bypass": kept.bypass,
        "ordered_ms": kept.latest.made_ms,
        "ordered": list(kept.latest.identities),
        "newest_ms": kept.counted.made_ms,
        "newest": list(kept.counted.identities),
        "warrants": [base64.b64encode(_warrant(each)).decode() for each in kept.warrants],
        "quarantined": list(kept.quarantined),
        "signatures": [
            {"signer": s.signer, "signed_ms": s.signed_ms, "expires_ms": s.expires_ms, "ed25519": s.ed25519.hex()}
            for s in kept.signatures
        ],
        "content": kept.content.decode("utf-8"),
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def decode(text: str) -> Kept:
    """What was kept; raises KeptRefused where it is not as it was."""
    try:
        document: dict[str, Any] = json.loads(text)
        content = str(document["content"]).encode()
        pointer = Pointer(_number(document["version"]), str(document["sha256"]))
        if (sha256(content).hexdigest() if pointer.version else "") != pointer.digest:
            raise KeptRefused("its content is not what was kept; remove the file, the topic has it again")
        signatures = tuple(
            Signature(
                str(s["signer"]), _number(s["signed_ms"]), _number(s["expires_ms"]), bytes.fromhex(str(s["ed25519"]))
            )
            for s in document["signatures"]
        )
        return Kept(
            _number(document["serial"]),
            pointer,
            content,
            signatures,
            tuple(str(each) for each in document["quarantined"]),
            document["bypass"] is True,
            _latest(document["ordered_ms"], document.get("ordered", [])),
            tuple(_warranted(str(each)) for each in document.get("warrants", [])),
            _latest(document.get("newest_ms", 0), document.get("newest", [])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise KeptRefused(f"expected a policy as this program keeps it: {error!r}; remove the file") from error


def _warrant(warrant: Warrant) -> bytes:
    return policy_records.warrant_to_wire(warrant).SerializeToString(deterministic=True)


def _warranted(told: str) -> Warrant:
    try:
        warrant = policy_records.warrant_to_domain(parse(policy_pb2.SignedOrder, base64.b64decode(told)))
    except Unreadable as unreadable:
        raise ValueError(unreadable.why) from unreadable
    if warrant is None:
        raise ValueError("expected an order")
    return warrant


def _latest(made_ms: object, identities: Iterable[object]) -> Latest:
    return Latest(_number(made_ms), tuple(str(each) for each in identities))


def _number(told: object) -> int:
    if not isinstance(told, int) or not 0 <= told <= NUMBER_MAX:
        raise ValueError(f"expected 0 to {NUMBER_MAX}")
    return told


def bypass_kept(kept: Kept, by: str, now_ms: int, state: State) -> State | None:
    """The bypass as it was kept, where the order that switched it is not known there, nor a later one. Other orders say
    nothing of it; the file of an older version does not tell them apart."""
    switched = [each for each in kept.warrants if not each.order.action.names_bundle]
    said = NONE_YET.after(switched[-1].order) if switched else kept.latest
    if state.bypass == kept.bypass or not (switched or kept.bypass) or state.latest.knows(said):
        return None
    after = replace(state, serial=state.serial + 1, bypass=kept.bypass, latest=state.latest.joined(kept.latest))
    after = warranted(after, switched[-1] if switched else None)
    return replace(after, at_ms=now_ms, by=by, why="bypass, kept over a restart")


def quarantine_kept(kept: Kept, digest: str, by: str, now_ms: int, state: State) -> State | None:
    """A quarantine as it was kept, where nothing later stands that knew of it."""
    return None if state.serial > kept.serial else tripped(state, digest, "kept over a restart", by, now_ms)


class LastGood:
    """The file of one replica; without a path nothing is kept."""

    def __init__(self, world: World, path: Path | None, metrics: PolicyMetrics) -> None:
        self._world = world
        self._path = path
        self._metrics = metrics
        self._written: Kept | None = None
        self.trouble = ""
        """What an operator should know of it."""

    async def read(self) -> Kept | None:
        """What was kept; None where there is nothing, or nothing that can be used."""
        if self._path is None:
            return None
        try:
            return decode(await self._world.files.read_text(self._path))
        except FileTrouble as trouble:
            self._world.logger.info("policy.no_last_good", why=str(trouble))
        except KeptRefused as refused:
            self.failed(str(refused))
        return None

    async def write(self, kept: Kept) -> None:
        """Keeps it, where it is another than what was written last."""
        if self._path is None or kept == self._written:
            return
        try:
            text = await self._world.run_blocking(lambda: encode(kept))
            await self._world.files.write_text(self._path, text)
        except FileTrouble as trouble:
            self.failed(f"version {kept.pointer.version} could not be kept: {trouble}")
        else:
            self._written, self.trouble = kept, ""

    def failed(self, why: str) -> None:
        """Tells of it once each time."""
        self.trouble = f"last good on disk: {why}"
        self._metrics.cache_troubles.inc()
        self._world.logger.error("policy.cache_trouble", why=why)
