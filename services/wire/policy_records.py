"""What stands of policies, as the records of the topic `policy` and as messages to operators, and back.

The key of each record follows from its value (and of a state from who wrote it), so a record whose key says something
else was written by a stranger and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from throughline.v1 import policy_pb2

from services.domain.publication import NUMBER_MAX, Part
from services.policy.files.canonical import Action, Order, Signature
from services.policy.life.latest import LATEST_MAX, Latest
from services.policy.life.lifecycle import QUARANTINED_MAX, WHY_CHARS_MAX, Pointer, Stage, State, Warrant
from services.policy.life.shelf import Entry, SignedBy, Submitted
from services.wire.methods import Unreadable, parse

RECORD_BYTES_MAX: Final = 512 * 1024
WARRANTS_MAX: Final = 4
"""Of one state: live, last good, candidate, bypass."""
WARRANT_SIGNATURES_MAX: Final = 4
"""Of one order that was followed; it takes two at most."""
_ITEM: Final = "item/"
_BUNDLE: Final = "bundle/"
_SIGNATURE: Final = "signature/"
_STATE: Final = "state/"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_STAGES: Final = {
    Stage.NONE: policy_pb2.STAGE_UNSPECIFIED,
    Stage.SHADOW: policy_pb2.STAGE_SHADOW,
    Stage.CANARY: policy_pb2.STAGE_CANARY,
}
_STAGES_PB: Final = {number: stage for stage, number in _STAGES.items()}


def encode(entry: Entry, writer: str = "") -> tuple[str, bytes]:
    """The record's key and value. `writer` is of a state's key, and never the same for two tries."""
    match entry:
        case Part():
            item = policy_pb2.PolicyItem(
                sha256=entry.sha256, part=entry.number, parts=entry.parts, content=entry.content
            )
            return f"{_ITEM}{entry.sha256}/{entry.number}", item.SerializeToString()
        case Submitted():
            return _bundle_key(entry.pointer), bundle_to_wire(entry).SerializeToString()
        case SignedBy():
            signed = policy_pb2.PolicySignature(
                version=entry.pointer.version,
                sha256=entry.pointer.digest,
                signature=signature_to_wire(entry.signature),
            )
            return _signature_key(entry), signed.SerializeToString()
        case State():
            return f"{_STATE}{entry.serial}/{writer}", state_to_wire(entry).SerializeToString()


def read(key: str, value: bytes) -> Entry | None:
    """What a record says; None where its key is of a kind that this version does not know.

    Raises Unreadable where the bytes are no such record, or one of another key.
    """
    if key.startswith(_ITEM):
        item = parse(policy_pb2.PolicyItem, value, RECORD_BYTES_MAX)
        if not item.part < item.parts:
            raise Unreadable(f"{key[:100]}: expected a part below the number of parts", value)
        _expect(key, f"{_ITEM}{item.sha256}/{item.part}", value, item.sha256)
        return Part(item.sha256, item.part, item.parts, item.content)
    if key.startswith(_BUNDLE):
        told = parse(policy_pb2.PolicyBundle, value, RECORD_BYTES_MAX)
        _bounded(key, value, 1, told.version, told.at_ms)
        pointer = Pointer(told.version, told.sha256)
        _expect(key, _bundle_key(pointer), value, told.sha256)
        return Submitted(pointer, told.size_bytes, told.name[:WHY_CHARS_MAX], told.author[:WHY_CHARS_MAX], told.at_ms)
    if key.startswith(_SIGNATURE):
        signed = parse(policy_pb2.PolicySignature, value, RECORD_BYTES_MAX)
        _bounded(key, value, 1, signed.version)
        entry = SignedBy(Pointer(signed.version, signed.sha256), signature_to_domain(signed.signature))
        _expect(key, _signature_key(entry), value, signed.sha256)
        return entry
    if key.startswith(_STATE):
        state = _state(key, parse(policy_pb2.PolicyState, value, RECORD_BYTES_MAX), value)
        if not key.startswith(f"{_STATE}{state.serial}/"):
            raise Unreadable(f"{key[:100]}: the record says that it is serial {state.serial}", value)
        return state
    return None


def state_to_wire(state: State) -> policy_pb2.PolicyState:
    """As the topic holds it and operators see it."""
    return policy_pb2.PolicyState(
        serial=state.serial,
        live=_pointer(state.live),
        last_good=_pointer(state.last_good),
        candidate=_pointer(state.candidate) if state.candidate is not None else None,
        stage=_STAGES[state.stage],
        step=state.step,
        since_ms=state.since_ms,
        quarantined=state.quarantined,
        bypass=state.bypass,
        ordered_at_ms=state.latest.made_ms,
        ordered=state.latest.identities,
        at_ms=state.at_ms,
        by=state.by,
        why=state.why,
        warrants=[warrant_to_wire(each) for each in state.warrants],
    )


def warrant_to_wire(warrant: Warrant) -> policy_pb2.SignedOrder:
    """An order with its signatures, as it was followed."""
    return policy_pb2.SignedOrder(
        order=order_to_wire(warrant.order), signatures=[signature_to_wire(each) for each in warrant.signatures]
    )


def warrant_to_domain(message: policy_pb2.SignedOrder) -> Warrant | None:
    """An order with its signatures, checked by nobody yet; None where it is one that this version does not know."""
    order = order_to_domain(message.order)
    return None if order is None else Warrant(order, signatures_to_domain(message.signatures[:WARRANT_SIGNATURES_MAX]))


def bundle_to_wire(entry: Submitted) -> policy_pb2.PolicyBundle:
    """A bundle that was handed in."""
    return policy_pb2.PolicyBundle(
        version=entry.pointer.version,
        sha256=entry.pointer.digest,
        size_bytes=entry.size_bytes,
        name=entry.name,
        author=entry.author,
        at_ms=entry.at_ms,
    )


def signature_to_wire(signature: Signature) -> policy_pb2.Signature:
    """One person's signature."""
    return policy_pb2.Signature(
        signer=signature.signer,
        signed_at_ms=signature.signed_ms,
        expires_at_ms=signature.expires_ms,
        ed25519=signature.ed25519,
    )


def signature_to_domain(message: policy_pb2.Signature) -> Signature:
    """One person's signature, checked by nobody yet."""
    return Signature(message.signer, message.signed_at_ms, message.expires_at_ms, message.ed25519)


def signatures_to_domain(messages: Iterable[policy_pb2.Signature]) -> tuple[Signature, ...]:
    """Several."""
    return tuple(signature_to_domain(each) for each in messages)


def order_to_wire(order: Order) -> policy_pb2.Order:
    """An order, as it goes to a firewall."""
    return policy_pb2.Order(
        action=policy_pb2.Action.ValueType(order.action),
        version=order.version,
        sha256=order.digest,
        made_at_ms=order.made_ms,
        force=order.force,
        why=order.why,
    )


def order_to_domain(message: policy_pb2.Order) -> Order | None:
    """An order; None where it asks for something that this version does not know, or names a bundle wrongly."""
    try:
        action = Action(message.action)
    except ValueError:
        return None
    if not 0 <= message.made_at_ms <= NUMBER_MAX or message.version > NUMBER_MAX:
        return None
    if action.names_bundle and (not message.version or _SHA256.fullmatch(message.sha256) is None):
        return None
    return Order(action, message.made_at_ms, message.version, message.sha256, message.force, message.why)


def _state(key: str, told: policy_pb2.PolicyState, value: bytes) -> State:
    _bounded(key, value, 1, told.serial, told.since_ms, told.ordered_at_ms, told.at_ms)
    for pointer in (told.live, told.last_good, told.candidate):
        _bounded(key, value, 0, pointer.version)
        if (pointer.version == 0) != (pointer.sha256 == "") or (
            pointer.sha256 and _SHA256.fullmatch(pointer.sha256) is None
        ):
            raise Unreadable(f"{key[:100]}: expected a version with its SHA-256, or none of both", value)
    if told.stage not in _STAGES_PB or len(told.quarantined) > QUARANTINED_MAX:
        raise Unreadable(f"{key[:100]}: a stage that is not known here, or too many bundles in quarantine", value)
    return State(
        serial=told.serial,
        live=Pointer(told.live.version, told.live.sha256),
        last_good=Pointer(told.last_good.version, told.last_good.sha256),
        candidate=Pointer(told.candidate.version, told.candidate.sha256) if told.candidate.version else None,
        stage=_STAGES_PB[told.stage],
        step=told.step,
        since_ms=told.since_ms,
        quarantined=tuple(told.quarantined),
        bypass=told.bypass,
        latest=Latest(told.ordered_at_ms, tuple(told.ordered[:LATEST_MAX])),
        at_ms=told.at_ms,
        by=told.by[:WHY_CHARS_MAX],
        why=told.why[:WHY_CHARS_MAX],
        warrants=tuple(_warrants(told.warrants[:WARRANTS_MAX])),
    )


def _warrants(told: Iterable[policy_pb2.SignedOrder]) -> Iterator[Warrant]:
    """Those that this version understands; one that it does not is none."""
    for each in told:
        if (warrant := warrant_to_domain(each)) is not None:
            yield warrant


def _pointer(pointer: Pointer) -> policy_pb2.PolicyPointer:
    return policy_pb2.PolicyPointer(version=pointer.version, sha256=pointer.digest)


def _bounded(key: str, value: bytes, least: int, number: int, *others: int) -> None:
    if not least <= number <= NUMBER_MAX or not all(0 <= other <= NUMBER_MAX for other in others):
        raise Unreadable(f"{key[:100]}: expected numbers from {least} and instants from 0, up to {NUMBER_MAX}", value)


def _expect(key: str, expected: str, value: bytes, digest: str) -> None:
    if key != expected or _SHA256.fullmatch(digest) is None:
        raise Unreadable(f"{key[:100]}: the record says that it is {expected[:100]}", value)


def _bundle_key(pointer: Pointer) -> str:
    return f"{_BUNDLE}{pointer.version}/{pointer.digest}"


def _signature_key(entry: SignedBy) -> str:
    return f"{_SIGNATURE}{entry.pointer.digest}/{entry.signature.signer}"
