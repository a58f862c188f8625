"""The storm itself: everybody calls, PSAPs fail and come back, processes die and come back, a bad policy is pushed.

What is done to the installation is done here, and nothing is done for it: a service that was killed is started again
by the installation's own supervision, Kafka's broker by whoever looks after it, which is here as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from deploy.kafka import Cluster
from loadtest.answering_point import Fault
from loadtest.children import Outsider
from loadtest.diary import wall_ms
from loadtest.policy_push import PolicyPush
from loadtest.scene import Scene
from loadtest.story import BROKER, FAILURES, FORCED_S, GATES_S, KAFKA_GONE_S, RECOVERY, STRIKES_BY_S, Killing
from services.launch.child import ChildFailed
from services.launch.installation import Installation

DRAINS_WITHIN_S: Final = 20.0
BACK_WITHIN_S: Final = 30.0
LOOKS_EACH_S: Final = 0.005


class Storm:
    """One storm over an installation that stands. `scene` is kept up to date with what is done."""

    def __init__(
        self,
        scene: Scene,
        callers: Outsider,
        far_end: Outsider,
        installation: Installation,
        cluster: Cluster,
        push: PolicyPush | None,
    ) -> None:
        self._scene = scene
        self._callers = callers
        self._far_end = far_end
        self._installation = installation
        self._cluster = cluster
        self._push = push
        self._began = 0.0

    async def run(self) -> Mapping[str, Any]:
        """Tells the story to its end; returns what the callers' process says of its own lateness.

        Raises ChildEnded, ChildFailed where a service does not come back, CannotStart where Kafka does not.
        """
        self._scene.begin(wall_ms())
        self._began = asyncio.get_running_loop().time()
        self._callers.do(do="start", ingresses=self._installation.addresses("ingress"))
        await self._psaps_fail()
        for death in self._scene.deaths.values():
            await self._dies(death.killing)
        if self._push is not None:
            await self._until(GATES_S)
            await self._push.by_the_gates()
            await self._until(FORCED_S)
            await self._push.past_them()
        await self._until(self._scene.phases[-1].to_s)
        if self._push is not None:
            await self._push.what_stands()
        self._scene.say(wall_ms(), "the storm is over; the last callers are waited for")
        finished = await self._callers.told("finished", DRAINS_WITHIN_S)
        return {key: finished[key] for key in ("offer_lag_ms_max", "loop_lag_ms_max")}

    async def _psaps_fail(self) -> None:
        stricken = [fault.stricken for fault in self._scene.faults.values()]
        await self._until(FAILURES.from_s)
        self._scene.arm(wall_ms())
        for each in stricken:
            self._far_end.do(do="fault", psap_id=each.psap_id, fault=str(each.fault), when="ringing")
        await self._until(STRIKES_BY_S)
        for each in stricken:
            if self._scene.faults[each.psap_id].struck_s is None:
                self._far_end.do(do="fault", psap_id=each.psap_id, fault=str(each.fault), when="now")
        await self._until(RECOVERY.from_s)
        for each in stricken:
            self._far_end.do(do="fault", psap_id=each.psap_id, fault=str(Fault.NONE))

    async def _dies(self, killing: Killing) -> None:
        """Kills, and waits until it serves again."""
        if killing.victim == BROKER:
            await self._until(killing.at_s)
            self._scene.died(BROKER, wall_ms())
            await asyncio.to_thread(self._cluster.kill, 1)
            await self._until(killing.at_s + KAFKA_GONE_S)
            await asyncio.to_thread(self._cluster.start_again, 1)
        else:
            child = self._installation.children[killing.victim]
            ingress = child.address if child.service == "ingress" else ""
            await self._until(killing.at_s)
            await self._until_in_hand(killing, ingress)
            self._scene.died(killing.victim, wall_ms(), ingress)
            await self._installation.kill(killing.victim)
            try:
                await self._installation.back(killing.victim, BACK_WITHIN_S)
            except TimeoutError:
                raise ChildFailed(f"{killing.victim} was killed and is not back after {BACK_WITHIN_S:.0f} s") from None
        self._scene.is_back(killing.victim, wall_ms())

    async def _until_in_hand(self, killing: Killing, ingress: str) -> None:
        """Waits for the calls that are to be in its hand, at most until it must die."""
        while self._now_s() < killing.by_s:
            calls = self._scene.in_hand(ingress)
            if len(calls) >= killing.calls_in_hand and sum(bool(call.rings) for call in calls) >= killing.rings_in_hand:
                return
            await asyncio.sleep(LOOKS_EACH_S)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._now_s()))
