"""What the world had before: a border firewall that blocks what its rules say, and everything when it does not answer.

It stands between the originating networks and 911, asks the same rules by the same evaluator, and has one word more
than ours: where a rule would divert, it blocks. Nobody undoes anything in the time of a scenario; on 18 June 2024 that
took two hours.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from zoneinfo import ZoneInfo

from loadtest.carrier import Carrier, Outcome
from loadtest.leg import Call, Carried
from services.domain.offer import Attestation, Offer
from services.domain.place import Circle
from services.policy.files.built_in import CONTENT
from services.policy.files.reading import BundleRefused, read_bundle
from services.policy.verdicts.evaluating import Evaluation
from services.policy.verdicts.inputs import NOWHERE
from services.policy.verdicts.inputs import of as inputs_of
from services.policy.verdicts.windows import Keys, Windows
from simulator.virtual_loop import virtual_wall_ms

ZONE: Final = ZoneInfo("America/New_York")


class PlainFilter:
    """One of them, before all networks."""

    def __init__(self) -> None:
        self.trouble = ""
        """Why it does not answer; then no call passes."""
        self._windows = Windows()
        self.take(CONTENT)

    def take(self, content: bytes) -> None:
        """Other rules; those that it cannot read are its end, until somebody comes."""
        try:
            self._bundle = read_bundle(content)
            self._evaluation = Evaluation(self._bundle)
        except BundleRefused as refused:
            self.trouble = f"cannot load its rules: {refused}"

    def blocks(self, call: Call) -> str:
        """Why the call does not pass; empty where it does."""
        circle = call.place.circle
        where = Circle(circle.centre.latitude, circle.centre.longitude, circle.radius_m)
        offer = Offer(call.call_id, 1, call.caller, call.service_urn, where, Attestation.A, call.source)
        counts = self._windows.seen(call.call_id, Keys.of(offer), asyncio.get_running_loop().time())
        if self.trouble:
            return self.trouble
        wall_ms = virtual_wall_ms()
        decision = self._evaluation.decide(inputs_of(offer, counts, NOWHERE, wall_ms, ZONE), wall_ms)
        rule = self._bundle.rule(decision.rule_id) if decision.rule_id is not None else None
        return rule.rule_id if rule is not None and rule.diverts else ""


def behind(plain: PlainFilter) -> type[Carrier]:
    """A network whose calls go through it."""

    class Behind(Carrier):
        """See Carrier."""

        async def carry(self, call: Call, patience_s: float, **about: Any) -> Outcome:
            """See Carrier. Who is blocked hears nothing that helps, and mostly dials again."""
            why = plain.blocks(call)
            if not why:
                return await super().carry(call, patience_s, **about)
            now = asyncio.get_running_loop().time()
            carried = Carried(call, self._diary, now, now + patience_s)
            carried.leg = 1
            carried.write("offered", **about)
            carried.write("blocked", why=why)
            return Outcome.GAVE_UP

    return Behind
