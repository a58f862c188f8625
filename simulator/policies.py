"""What people do to policies while a schedule runs: ann and bob, who have keys, and a stranger, who has not.

They write to the topic as any firewall would that took their word, so that what a checker would refuse, and what nobody
may want, comes to every firewall all the same. Orders go to the firewalls themselves, as `throughline policy` sends
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Final

from throughline.v1 import policy_pb2

from services.domain.publication import parts_of
from services.host.network import Broken
from services.host.network.memory import MemoryNetwork
from services.journal import Topic
from services.journal.memory import MemoryBroker
from services.places.directory import NUISANCE_DESK
from services.policy.files.canonical import Action, Order
from services.policy.files.reading import read_bundle
from services.policy.files.signing import sign_bundle, sign_order
from services.policy.life.lifecycle import BUILT_IN_POINTER, Pointer, Stage, State, Warrant, warranted
from services.policy.life.shelf import Shelf, SignedBy, Submitted
from services.wire import policy_records
from services.wire.methods import DIRECT_POLICY, Unreadable
from simulator.region import OPERATORS
from simulator.virtual_loop import virtual_wall_ms

STRANGER: Final = "mallory"
DAY_MS: Final = 86_400_000
TOLD_WITHIN_S: Final = 5.0
_PRIVATE: Final = {**OPERATORS, STRANGER: sha256(STRANGER.encode()).hexdigest()}

EVERYBODY: Final = 'service != ""'
REPEATS: Final = "number_calls_600s >= 6"
SELDOM: Final = "number_calls_600s >= 600"
"""Nobody calls so often: a bundle that passes everybody, and says so."""
CANARY_SHARE: Final = 0.3
"""Of the calls, for longer than a schedule lasts."""
UNFIT: Final = "phase_of_the_moon >= 6"
"""What a reader takes, and no evaluator: there is no such attribute."""


def shelf_of(broker: MemoryBroker) -> Shelf:
    """What stands on the topic at this moment."""
    shelf = Shelf()
    for record in broker.records(Topic.POLICY):
        with suppress(Unreadable):
            entry = policy_records.read(record.key, record.value)
            if entry is not None:
                shelf.put(entry)
    return shelf


def next_version(broker: MemoryBroker) -> int:
    """Above all that was signed or stands."""
    shelf = shelf_of(broker)
    return max(shelf.version_max, shelf.state.live.version, shelf.state.last_good.version) + 1


def hand_in(
    broker: MemoryBroker,
    name: str,
    when: str,
    *,
    desk: str = NUISANCE_DESK,
    signers: Collection[str] = tuple(OPERATORS),
    signed_ago_ms: int = 0,
    valid_ms: int = DAY_MS,
    canary: str = "",
) -> Pointer:
    """A bundle of one rule, signed by these."""
    version = next_version(broker)
    content = (_text(name, version, when, desk) + canary).encode()
    bundle = read_bundle(content)
    pointer, now_ms = Pointer(bundle.version, bundle.digest), virtual_wall_ms()
    for part in parts_of(content):
        broker.land(Topic.POLICY, *policy_records.encode(part))
    submitted = Submitted(pointer, len(content), name, "policy desk", now_ms)
    broker.land(Topic.POLICY, *policy_records.encode(submitted))
    for who in signers:
        signature = sign_bundle(_PRIVATE[who], who, bundle, now_ms - signed_ago_ms, valid_ms)
        broker.land(Topic.POLICY, *policy_records.encode(SignedBy(pointer, signature)))
    return pointer


def make_live(broker: MemoryBroker, pointer: Pointer) -> None:
    """Past every gate."""
    ordered = _ordered(Action.PROMOTE, pointer, force=True)
    _stand(broker, lambda state: warranted(replace(state, live=pointer, last_good=state.live), ordered))


def shadow(broker: MemoryBroker, pointer: Pointer) -> None:
    """Watched, and asked by no call."""
    now_ms = virtual_wall_ms()
    _stand(broker, lambda state: replace(state, candidate=pointer, stage=Stage.SHADOW, step=0, since_ms=now_ms))


def try_out(broker: MemoryBroker, pointer: Pointer) -> None:
    """It answers the first step of its canary."""
    ordered, now_ms = _ordered(Action.CANARY, pointer), virtual_wall_ms()

    def tried(state: State) -> State:
        return replace(state, candidate=pointer, stage=Stage.CANARY, step=0, since_ms=now_ms)

    _stand(broker, lambda state: warranted(tried(state), ordered))


def revert(broker: MemoryBroker) -> None:
    """Whatever stands gives way to the built-in policy."""
    _stand(broker, lambda state: warranted(replace(state, live=BUILT_IN_POINTER, last_good=BUILT_IN_POINTER)))


async def order(network: MemoryNetwork, firewalls: Collection[str], action: Action) -> None:
    """Each of these is told, as `throughline policy bypass on` tells them."""
    said = Order(action, virtual_wall_ms())
    signature = sign_order(_PRIVATE["ann"], "ann", said, said.made_ms)
    asked = policy_pb2.DirectRequest(
        order=policy_records.order_to_wire(said), signatures=[policy_records.signature_to_wire(signature)]
    )
    host = network.host("operator")

    async def tell(name: str) -> None:
        with suppress(Broken):
            await host.ask(f"{name}:1", DIRECT_POLICY, asked, within_s=TOLD_WITHIN_S)

    await asyncio.gather(*(tell(name) for name in firewalls))


def _ordered(action: Action, pointer: Pointer, *, force: bool = False) -> Warrant:
    """By all operators."""
    said = Order(action, virtual_wall_ms(), pointer.version, pointer.digest, force=force)
    return Warrant(said, tuple(sign_order(_PRIVATE[who], who, said, said.made_ms) for who in OPERATORS))


def _stand(broker: MemoryBroker, change: Callable[[State], State]) -> None:
    state = shelf_of(broker).state
    alone = replace(state, serial=state.serial + 1, candidate=None, stage=Stage.NONE, step=0, at_ms=virtual_wall_ms())
    after = replace(change(alone), by="ann, bob", why="simulated")
    broker.land(Topic.POLICY, *policy_records.encode(after, f"operators-{after.serial}"))


def _text(name: str, version: int, when: str, desk: str) -> str:
    return (
        f"name: {name}\nversion: {version}\nauthor: policy desk\nrules:\n  - id: {name}\n    reason: flood\n"
        f"    when: {when}\n    verdict: {{divert: {desk}}}\n    forecast_share: 0.02\n"
        "    expires: 2100-01-01T00:00:00Z\n    owner: policy desk\n"
    )
