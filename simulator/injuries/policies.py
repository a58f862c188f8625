"""Policies that go wrong: bundles that people sign and should not have, the topic `policy`, and the switch past all.

None is drawn unless it is named. In a schedule with one of them firewalls know the operators' keys, keep their last
good policy, and look for the bypass file; some callers call again and again, and some calls are tests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from services.journal import Topic
from services.journal.memory import Faults
from services.places.directory import NUISANCE_DESK
from services.policy.files.canonical import Action
from services.policy.life.lifecycle import Pointer
from simulator import policies
from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, seconds
from simulator.installation import BYPASS_FILE, names_of
from simulator.policies import CANARY_SHARE, EVERYBODY, REPEATS, SELDOM, UNFIT

EXPIRED_AGO_MS: Final = 60_000
DESERTED_DESK: Final = "deserted-desk"
"""Nobody staffs a line of it."""


def _all(by: random.Random) -> Drawn:
    return names_of("firewall"), seconds(by, *LONG_S), 0.0


def _late(by: random.Random) -> Drawn:
    return names_of("firewall"), seconds(by, *LONG_S), round(by.uniform(0.5, 3.0), 3)


def _live(name: str, when: str, desk: str = NUISANCE_DESK) -> Callable[[Scene, Injury], None]:
    def strike(scene: Scene, _: Injury) -> None:
        policies.make_live(scene.broker, policies.hand_in(scene.broker, name, when, desk=desk))

    return strike


def _revert(scene: Scene, _: Injury) -> None:
    policies.revert(scene.broker)


def _burn(scene: Scene, injury: Injury) -> None:
    pointer = policies.hand_in(scene.broker, "burns", EVERYBODY)
    for name in injury.targets:
        ailment = scene.installation.replicas[name].ailment
        ailment.hangs, ailment.over = True, f'"digest": "{pointer.digest}", "inputs"'.encode()
    policies.make_live(scene.broker, pointer)


def _burned(scene: Scene, injury: Injury) -> None:
    for name in injury.targets:
        ailment = scene.installation.replicas[name].ailment
        ailment.hangs, ailment.over = False, b""
    _revert(scene, injury)


def _shadow(scene: Scene, _: Injury) -> None:
    policies.shadow(scene.broker, policies.hand_in(scene.broker, "shadow", EVERYBODY))


def _canary(scene: Scene, _: Injury) -> None:
    plan = f"canary:\n  - {{share: {CANARY_SHARE}, calls_min: 100, minutes_min: 60}}\n  - {{share: 1.0}}\n"
    policies.try_out(scene.broker, policies.hand_in(scene.broker, "canary", SELDOM, canary=plan))


def _suffer(scene: Scene, injury: Injury) -> None:
    for name in injury.targets:
        scene.installation.replicas[name].suffer(Faults(late_s=injury.amount))


def _well(scene: Scene, injury: Injury) -> None:
    for name in injury.targets:
        scene.installation.replicas[name].suffer(Faults())


def _unreadable(scene: Scene, _: Injury) -> None:
    """Records that are none, and a live bundle of which nothing is there."""
    serial = policies.shelf_of(scene.broker).state.serial + 1
    for key in (f"state/{serial}/nobody", "bundle/9/none", "signature/none/ann", "item/none/0", "unheard-of/1"):
        scene.broker.land(Topic.POLICY, key, b"\xff" + scene.by.randbytes(20))
    policies.make_live(scene.broker, Pointer(policies.next_version(scene.broker), "e" * 64))


def _forge(scene: Scene, _: Injury) -> None:
    forged = policies.hand_in(scene.broker, "forged", EVERYBODY, signers=(policies.STRANGER,))
    policies.make_live(scene.broker, forged)


def _expired(scene: Scene, _: Injury) -> None:
    pointer = policies.hand_in(
        scene.broker, "expired", EVERYBODY, signed_ago_ms=2 * EXPIRED_AGO_MS, valid_ms=EXPIRED_AGO_MS
    )
    policies.make_live(scene.broker, pointer)


def _expire(scene: Scene, injury: Injury) -> None:
    """Its signatures expire while it is live, and then a firewall is started again."""
    half_s = injury.lasts_s / 2
    pointer = policies.hand_in(scene.broker, "expires", REPEATS, valid_ms=round(half_s * 1000))
    policies.make_live(scene.broker, pointer)
    replica = scene.installation.replicas[scene.by.choice(injury.targets)]

    async def start_again() -> None:
        await asyncio.sleep(half_s)
        scene.done.append(Injury("kill", asyncio.get_running_loop().time(), 0.05, (replica.name,)))
        replica.kill(scene.by)
        replica.start()

    scene.errands.add(asyncio.ensure_future(start_again()))


def _ordered(action: Action) -> Callable[[Scene, Injury], None]:
    def strike(scene: Scene, injury: Injury) -> None:
        scene.errands.add(asyncio.ensure_future(policies.order(scene.network, injury.targets, action)))

    return strike


def _file(there: bool) -> Callable[[Scene, Injury], None]:
    def strike(scene: Scene, injury: Injury) -> None:
        for name in injury.targets:
            laid = scene.installation.replicas[name].laid.texts
            if there:
                laid[BYPASS_FILE] = ""
            else:
                laid.pop(BYPASS_FILE, None)

    return strike


KINDS = (
    Kind("policy_everybody", "a bundle that diverts everybody is live at once, signed by two", _all,
         _live("everybody", EVERYBODY), _revert, 0.0),
    Kind("policy_repeats", "a bundle that diverts who calls again and again is live", _all, _live("repeats", REPEATS),
         _revert, 0.0),
    Kind("policy_deserted", "a bundle that diverts to a desk without lines is live", _all,
         _live("deserted", EVERYBODY, DESERTED_DESK), _revert, 0.0),
    Kind("policy_unfit", "a bundle that no evaluator takes is live", _all, _live("unfit", UNFIT), _revert, 0.0),
    Kind("policy_burns", "a bundle over which evaluators never end is live", _all, _burn, _burned, 0.0),
    Kind("policy_shadow", "a bundle that would divert everybody is in shadow", _all, _shadow, _revert, 0.0),
    Kind("policy_canary", "a bundle that passes everybody answers a share of the calls", _all, _canary, _revert, 0.0),
    Kind("policy_late", "firewalls read what has landed so many seconds later", _late, _suffer, _well, 0.0),
    Kind("policy_unreadable", "`policy` has records that are none, and points at a bundle that is not there", _all,
         _unreadable, _revert, 0.0),
    Kind("policy_forged", "a bundle is live that somebody without a key has signed", _all, _forge, _revert, 0.0),
    Kind("policy_expired", "a bundle is live whose signatures had expired before", _all, _expired, _revert, 0.0),
    Kind("policy_expires", "the live bundle's signatures expire, and a firewall is started again", _all, _expire,
         _revert, 0.0),
    Kind("bypass_ordered", "the bypass is switched on by a signed order, and off", _all, _ordered(Action.BYPASS_ON),
         _ordered(Action.BYPASS_OFF), 0.0),
    Kind("bypass_file", "the bypass is switched on by a file, and off", _all, _file(True), _file(False), 0.0),
)  # fmt: skip
