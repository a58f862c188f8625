"""What a firewall answers operators: hand a bundle in, follow a signed order, say what stands.

Nobody logs in: a bundle and an order say by their signatures who wants them. To go back, and the bypass on or off, is
followed at once and without the topic; everything else takes effect by what stands on it, or not at all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from throughline.v1 import policy_pb2, screening_pb2

from services.domain.publication import parts_of
from services.firewall.policies.bypass import Bypass
from services.firewall.policies.checking import Checked
from services.firewall.policies.feed import PolicyFeed
from services.firewall.policies.reading import NotRead
from services.firewall.policies.settings import PolicySettings
from services.firewall.policies.vetting import signed_ever
from services.host.network import Answers, Refuse, Served, Status
from services.host.world import World
from services.journal import Rejected, Topic, Unavailable, Unknown
from services.policy.bundle import BUILT_IN
from services.policy.files.canonical import Action, Order, Signature
from services.policy.files.reading import BundleRefused
from services.policy.files.signing import SIGNATURES_MAX, TWO, Signed, people_for_bundle, people_for_order
from services.policy.life.lifecycle import BUILT_IN_POINTER, OrderRefused, Pointer, Warrant, obey
from services.policy.life.shelf import Entry, Shelf, SignedBy, Submitted
from services.wire import policy_records
from services.wire.methods import (
    DIRECT_POLICY,
    EXPLAIN,
    POLICY_BUNDLE,
    POLICY_HISTORY,
    POLICY_STATUS,
    SUBMIT_POLICY,
)

STANDS_WITHIN_S: Final = 3.0
EXPLAINED_CALLS_MAX: Final = 3_000
"""The newest; older ones stand on `screenings`. As bytes: a message takes four times the room."""
ORDER_WHY_CHARS_MAX: Final = 2_000
EXPLAINED_EACH_MAX: Final = 8
_URGENT: Final = (Action.REVERT, Action.BYPASS_ON, Action.BYPASS_OFF)


async def _no_check(content: bytes) -> Checked:
    return Checked()


class PolicyService:
    """`check` is the bundle's last gate before it is taken in, by the evaluator that will screen with it."""

    def __init__(
        self,
        world: World,
        settings: PolicySettings,
        feed: PolicyFeed,
        bypass: Bypass,
        check: Callable[[bytes], Awaitable[Checked]] = _no_check,
    ) -> None:
        self._world = world
        self._settings = settings
        self._feed = feed
        self._bypass = bypass
        self._check = check
        self._submitting = False
        self._screenings: OrderedDict[str, list[bytes]] = OrderedDict()

    def served(self) -> Sequence[Served]:
        """What the firewall's server serves beside its screening."""
        return [
            Answers(SUBMIT_POLICY, self._submit),
            Answers(DIRECT_POLICY, self._direct),
            Answers(POLICY_STATUS, self._status),
            Answers(POLICY_HISTORY, self._history),
            Answers(POLICY_BUNDLE, self._bundle),
            Answers(EXPLAIN, self._explain),
        ]

    def heard(self, screening: screening_pb2.Screening) -> None:
        """One record, remembered for who asks why. This firewall's own comes again, from `screenings`."""
        found = self._screenings.setdefault(screening.call_id, [])
        raw = screening.SerializeToString(deterministic=True)
        if len(found) < EXPLAINED_EACH_MAX and raw not in found:
            found.append(raw)
        self._screenings.move_to_end(screening.call_id)
        if len(self._screenings) > EXPLAINED_CALLS_MAX:
            self._screenings.popitem(last=False)

    # Handing in.

    async def _submit(self, asked: policy_pb2.SubmitRequest) -> policy_pb2.SubmitResponse:
        """One at a time: to read and check a large one takes seconds of a processor."""
        if self._submitting:
            raise Refuse(Status.RESOURCE_EXHAUSTED, "another bundle is being handed in here; hand yours in again")
        self._submitting = True
        try:
            return await self._take_in(asked)
        finally:
            self._submitting = False

    async def _take_in(self, asked: policy_pb2.SubmitRequest) -> policy_pb2.SubmitResponse:
        self._ready()
        content = asked.content
        try:
            bundle = await self._feed.read_file(content)
        except BundleRefused as refused:
            raise Refuse(Status.INVALID_ARGUMENT, str(refused)) from None
        except NotRead as later:
            raise Refuse(Status.UNAVAILABLE, f"{later}; hand it in again") from None
        if bundle.name == BUILT_IN:
            raise Refuse(Status.INVALID_ARGUMENT, f"the name {BUILT_IN} is the built-in policy's own; take another")
        pointer = Pointer(bundle.version, bundle.digest)
        signatures = policy_records.signatures_to_domain(asked.signatures[:SIGNATURES_MAX])
        signed = self._feed.keys.of_bundle(bundle.version, bundle.digest, signatures, self._world.wall_ms())
        if signed.doubts or not signed.signers:
            raise Refuse(Status.PERMISSION_DENIED, signed.lacks(len(signed.signers) + 1))
        known = self._feed.shelf.submitted(pointer)
        newest = self._feed.shelf.version_max
        if known is None and bundle.version <= newest:
            raise Refuse(
                Status.ALREADY_EXISTS,
                f"version {bundle.version} after {newest}: versions only rise; write {newest + 1}",
            )
        checked = await self._check(content)
        if checked.errors:
            raise Refuse(Status.INVALID_ARGUMENT, "; ".join(checked.errors)[:2_000])
        entries: list[Entry] = list(parts_of(content))
        if known is None:
            entries.append(Submitted(pointer, len(content), bundle.name, bundle.author, self._world.wall_ms()))
        entries += [SignedBy(pointer, each) for each in signatures]
        await self._append(entries)
        if not await self._feed.wait_for(lambda shelf: _holds(shelf, pointer, signatures), STANDS_WITHIN_S):
            raise Refuse(
                Status.UNAVAILABLE, "`policy` was written, and is not read: look with `throughline policy status`"
            )
        counts = self._signers(pointer)
        needed = people_for_bundle(self._feed.live(), bundle)
        return policy_pb2.SubmitResponse(
            version=pointer.version,
            sha256=pointer.digest,
            signers=sorted(counts),
            signers_needed=needed,
            warnings=checked.warnings,
        )

    async def _append(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            key, value = policy_records.encode(entry)
            try:
                await self._world.log.append(Topic.POLICY, key, value)
            except (Unavailable, Rejected, Unknown) as trouble:
                told = f"{key[:100]} was not acknowledged: {trouble}; nothing took effect, hand it in again"
                raise Refuse(Status.UNAVAILABLE, told) from trouble

    def _signers(self, pointer: Pointer) -> frozenset[str]:
        signatures = self._feed.shelf.signatures(pointer)
        return self._feed.keys.of_bundle(pointer.version, pointer.digest, signatures, self._world.wall_ms()).signers

    # Orders.

    async def _direct(self, asked: policy_pb2.DirectRequest) -> policy_pb2.DirectResponse:
        order = policy_records.order_to_domain(asked.order)
        if order is None:
            raise Refuse(Status.INVALID_ARGUMENT, "expected an action that is known here, with the bundle it means")
        if len(order.why) > ORDER_WHY_CHARS_MAX:
            told = f"a why of {len(order.why)} characters; limit {ORDER_WHY_CHARS_MAX}"
            raise Refuse(Status.INVALID_ARGUMENT, told)  # it goes with the record of what it did
        signatures = policy_records.signatures_to_domain(asked.signatures[:SIGNATURES_MAX])
        signed = self._feed.keys.of_order(order, signatures, self._world.wall_ms())
        lacks = signed.lacks(people_for_order(order))
        if lacks:
            raise Refuse(Status.PERMISSION_DENIED, f"the order is not followed: {lacks}")
        urgent = order.action in _URGENT
        if not urgent:
            self._ready()
            await self._vet(order)
        warrant = Warrant(order, _counted(signatures, signed))
        return await self._follow(warrant, ", ".join(sorted(signed.signers)), urgent)

    async def _follow(self, warrant: Warrant, by: str, urgent: bool) -> policy_pb2.DirectResponse:
        order, signatures = warrant.order, warrant.signatures
        now_ms, done = self._world.wall_ms(), self._feed.canary_done()
        try:
            obey(self._feed.state, order, by, now_ms, done)
        except OrderRefused as refused:
            raise Refuse(Status.INVALID_ARGUMENT, str(refused)) from None
        following = partial(obey, order=order, by=by, now_ms=now_ms, canary_done=done, signatures=signatures)
        wish = self._feed.wish(following, urgent)
        self._world.logger.warning("policy.ordered", order=order.action.name.lower(), version=order.version, by=by)
        done_in_time, _ = await asyncio.wait({wish.fulfilled}, timeout=STANDS_WITHIN_S)
        everywhere = bool(done_in_time)
        if everywhere and (refused_since := wish.fulfilled.exception()) is not None:
            raise Refuse(Status.INVALID_ARGUMENT, str(refused_since))
        if not everywhere and not urgent:
            self._feed.withdraw(wish)
            raise Refuse(Status.UNAVAILABLE, "`policy` cannot be written: look with `throughline policy status`")
        return policy_pb2.DirectResponse(state=policy_records.state_to_wire(self._feed.state), everywhere=everywhere)

    async def _vet(self, order: Order) -> None:
        """Refuses an order of a bundle that is not there, or that too few have signed."""
        pointer = Pointer(order.version, order.digest)
        bundle = await self._feed.bundle(pointer)
        if bundle is None:
            raise Refuse(Status.NOT_FOUND, f"version {order.version} of that SHA-256 is not there: submit it first")
        live = self._feed.live()
        signatures = self._feed.shelf.signatures(pointer)
        signed = self._feed.keys.of_bundle(pointer.version, pointer.digest, signatures, self._world.wall_ms())
        lacks = signed.lacks(people_for_bundle(live, bundle))
        if lacks:
            raise Refuse(Status.PERMISSION_DENIED, f"version {order.version} may not go on: {lacks}")

    def _ready(self) -> None:
        if not self._feed.caught_up:
            raise Refuse(
                Status.UNAVAILABLE, "`policy` has not been read to its end yet; ask again, or another firewall"
            )

    # Answers.

    async def _status(self, asked: policy_pb2.PolicyServiceStatusRequest) -> policy_pb2.PolicyServiceStatusResponse:
        feed = self._feed
        candidate = feed.candidate()
        return policy_pb2.PolicyServiceStatusResponse(
            state=policy_records.state_to_wire(feed.state),
            serving_version=feed.serving.version,
            serving_sha256=feed.serving.digest,
            serving_label=feed.live().label,
            bypassed_by=[str(each) for each in self._bypass.by],
            bypass_drilled_at_ms=self._bypass.drilled_ms,
            remarks=[*feed.remarks(), *self._bypass.remarks()],
            canary=feed.trials.progress(feed.state, candidate) if candidate is not None else None,
            bundles=[policy_records.bundle_to_wire(each) for each in feed.shelf.bundles[-100:]],
            firewall=self._settings.name,
        )

    async def _history(self, asked: policy_pb2.HistoryRequest) -> policy_pb2.HistoryResponse:
        changes = self._feed.shelf.changes[::-1]
        wanted = changes[: asked.limit] if asked.limit else changes
        return policy_pb2.HistoryResponse(changes=[policy_records.state_to_wire(each) for each in wanted])

    async def _bundle(self, asked: policy_pb2.BundleRequest) -> policy_pb2.BundleResponse:
        shelf = self._feed.shelf
        if asked.version:
            pointers = [each.pointer for each in shelf.bundles if each.pointer.version == asked.version]
        else:
            pointers = [self._feed.serving]
        signed = [each for each in pointers if signed_ever(self._feed.keys, each, shelf.signatures(each))]
        pointer = next(iter([*signed, *pointers]), None)
        if pointer == BUILT_IN_POINTER:
            return policy_pb2.BundleResponse(content=self._feed.built_in_content)
        content = self._feed.content(pointer) if pointer is not None else None
        if pointer is None or content is None:
            raise Refuse(Status.NOT_FOUND, f"version {asked.version} is not there, or is held no more")
        signatures = [policy_records.signature_to_wire(each) for each in shelf.signatures(pointer)]
        return policy_pb2.BundleResponse(content=content, signatures=signatures)

    async def _explain(self, asked: policy_pb2.ExplainRequest) -> policy_pb2.ExplainResponse:
        found = self._screenings.get(asked.call_id)
        if found is None:
            raise Refuse(
                Status.NOT_FOUND, "no screening of that call is remembered here; `screenings` holds older ones"
            )
        return policy_pb2.ExplainResponse(screenings=map(screening_pb2.Screening.FromString, found))


def _counted(signatures: Sequence[Signature], signed: Signed) -> tuple[Signature, ...]:
    """As many as an order takes, of those that count: they go with the record of what it did."""
    of = {each.signer: each for each in signatures if each.signer in signed.signers}
    return tuple(of[signer] for signer in sorted(of))[:TWO]


def _holds(shelf: Shelf, pointer: Pointer, signatures: Sequence[Signature]) -> bool:
    there = shelf.submitted(pointer) is not None and shelf.content(pointer) is not None
    return there and set(signatures) <= set(shelf.signatures(pointer))
