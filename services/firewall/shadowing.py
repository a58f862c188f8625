"""A candidate that is only watched: asked off the calls' way, by a helper of its own, within a ration of time.

What it would have said is published beside what was answered. The helper yields the processor to everybody else
(niceness 19), and is asked for so much of each second that it could never hold a core, whatever its rules cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from throughline.v1 import screening_pb2

from services.firewall.evaluator import Evaluator, NotEvaluated
from services.firewall.metrics import FirewallMetrics
from services.policy.attributes import Value
from services.policy.bundle import Bundle
from services.policy.verdicts.judging import proposed_by
from services.wire import verdicts

WAITING_MAX: Final = 16
"""Calls that wait for the candidate's word; the next are not asked about."""
SHARE_MAX: Final = 0.2
"""Of each second, that its evaluations may take."""
SAVED_MAX_S: Final = 1.0


class Ration:
    """Time that may be used, earned as it passes. Pure; `now` in seconds."""

    def __init__(self, share: float = SHARE_MAX, saved_max_s: float = SAVED_MAX_S) -> None:
        self._share = share
        self._saved_max_s = saved_max_s
        self._saved_s = saved_max_s
        self._at: float | None = None

    def has_left(self, now: float) -> bool:
        """Whether anything is left at this moment."""
        earned_s = 0.0 if self._at is None else (now - self._at) * self._share
        self._at = now
        self._saved_s = min(self._saved_max_s, self._saved_s + earned_s)
        return self._saved_s > 0.0

    def use(self, took_s: float) -> None:
        """So much was used; it may be more than was left, and is then owed."""
        self._saved_s -= took_s


class Shadowing:
    """That of one firewall. Without an `evaluator` nobody is asked."""

    def __init__(self, metrics: FirewallMetrics, publish: Callable[[screening_pb2.Screening], None]) -> None:
        self.evaluator: Evaluator | None = None
        self._metrics = metrics
        self._publish = publish
        self._ration = Ration()
        self._asking: set[asyncio.Task[None]] = set()

    def begin(self, bundle: Bundle, record: screening_pb2.Screening, inputs: dict[str, Value], wall_ms: int) -> None:
        """Asks about a call that is answered, unless too many wait or the ration is used up; counted."""
        if self.evaluator is None:
            return
        loop = asyncio.get_running_loop()
        if len(self._asking) >= WAITING_MAX or not self._ration.has_left(loop.time()):
            self._metrics.shadowed.labels("left_out").inc()
            return
        beside = screening_pb2.Screening()
        beside.CopyFrom(record)
        task = loop.create_task(self._ask(self.evaluator, bundle, beside, inputs, wall_ms), name="shadow")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(
        self,
        evaluator: Evaluator,
        bundle: Bundle,
        record: screening_pb2.Screening,
        inputs: dict[str, Value],
        wall_ms: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            decision = await evaluator.decide(bundle, inputs, wall_ms)
        except NotEvaluated as failed:
            self._metrics.shadowed.labels(str(failed)).inc()
            return
        finally:
            self._ration.use(loop.time() - began)
        record.shadow, record.bundle = True, bundle.digest
        record.took_us = round((loop.time() - began) * 1e6)
        record.ClearField("proposed")
        record.ClearField("kept_from")
        record.verdict.CopyFrom(verdicts.to_wire(proposed_by(bundle, decision.rule_id), bundle.label))
        self._metrics.shadowed.labels("evaluated").inc()
        self._publish(record)
