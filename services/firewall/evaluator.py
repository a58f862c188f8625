"""The parent's side of evaluation: one helper, its deadline, and what becomes of a bundle that it fell over.

No call waits for a helper to start, nor longer than the deadline: without an answer it passes. A helper that burned
that time is killed and another is started; the bundle that it was asked about is quarantined, which leaves the last
good one and the built-in one. One that was only kept from the processor, or that we ourselves came late to (L2), says
nothing against its bundle.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from typing import Final

import structlog

from services.firewall import evaluating
from services.firewall.metrics import FirewallMetrics
from services.host.children import Busy, Child, Children, Gone, Program, Silent
from services.policy.attributes import Value
from services.policy.bundle import Bundle
from services.policy.verdicts.evaluating import Decision

START_S: Final = 20.0
"""Within which a helper must be there: a process that is started on a busy machine takes its time."""
HOLD_S: Final = 5.0
"""Within which a bundle must be compiled; reading and checking had their limits before."""
AGAIN_S: Final = 0.5
DEATHS_MAX: Final = 1
"""A bundle over which helpers ended more often than this within an hour is quarantined: once may be somebody else's
kill."""
DEATHS_WITHIN_S: Final = 3600.0
STARVED_MAX: Final = 5
"""A bundle over which so many helpers in a row were silent is quarantined, whoever had the processor."""
_BURNED: Final = 0.5


class NotEvaluated(Exception):
    """No rule was asked; the message is one word that says why."""


class Evaluator:
    """`wanted` says which bundles are to be held, the most important first; `tripped` takes those that are out.

    `own` are the digests of those that came with this program: nothing stands behind them, so they are asked again."""

    def __init__(
        self,
        children: Children,
        program: Program,
        budget_s: float,
        wanted: Callable[[], Iterable[Bundle]],
        tripped: Callable[[str, str], None],
        own: Container[str],
        metrics: FirewallMetrics,
        logger: structlog.stdlib.BoundLogger,
    ) -> None:
        self._children = children
        self._program = program
        self._budget_s = budget_s
        self._wanted = wanted
        self._tripped = tripped
        self._own = own
        self._metrics = metrics
        self._logger = logger
        self._child: Child | None = None
        self._held: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._deaths: Counter[str] = Counter()
        self._starved: Counter[str] = Counter()
        self._woken = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to keep a helper; the first is not waited for."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep(), name="firewall keeps its evaluator")

    async def stop(self) -> None:
        """Ends the helper."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        if self._child is not None:
            await self._child.kill()

    @property
    def trouble(self) -> str:
        """Why calls pass unevaluated now, or which bundle is not asked; empty where all is well."""
        if self._child is None or not self._child.lives:
            return "no evaluator runs: calls pass"
        return "; ".join(f"bundle {digest[:12]} is not asked: {why}" for digest, why in self._unfit.items())

    def holds(self, bundle: Bundle) -> bool:
        """Whether it can be asked about this bundle now."""
        there = self._child is not None and self._child.lives and bundle.digest in self._held
        if not there:
            self._woken.set()
        return there and bundle.digest not in self._unfit

    async def decide(self, bundle: Bundle, inputs: Mapping[str, Value], wall_ms: int) -> Decision:
        """Which rule speaks; raises NotEvaluated, and never takes longer than the budget."""
        child = self._child
        if child is None or not self.holds(bundle):
            raise NotEvaluated("not_ready")
        try:
            asked = evaluating.decide(bundle.digest, inputs, wall_ms)
            decision = evaluating.decided(await child.ask(asked, self._budget_s))
        except Busy:
            raise NotEvaluated("busy") from None
        except Silent as silent:
            self._fell(bundle, silent)
            raise NotEvaluated("silent") from silent
        except Gone as gone:
            self._died_over(bundle)
            raise NotEvaluated("gone") from gone
        except Exception as mistake:
            raise NotEvaluated("mistake") from mistake
        self._starved.pop(bundle.digest, None)
        return decision

    def _died_over(self, bundle: Bundle) -> None:
        self._woken.set()
        self._deaths[bundle.digest] += 1
        if self._deaths[bundle.digest] > DEATHS_MAX:
            self._quarantine(bundle, f"the evaluator ended {self._deaths[bundle.digest]} times over it")

    def _fell(self, bundle: Bundle, silent: Silent) -> None:
        self._woken.set()
        self._starved[bundle.digest] += 1
        if silent.burned_s >= _BURNED * silent.within_s or self._starved[bundle.digest] > STARVED_MAX:
            self._quarantine(bundle, str(silent))
        else:
            self._metrics.starved.inc()
            self._logger.warning("evaluator.starved", bundle=bundle.label, burned_s=silent.burned_s)

    def _quarantine(self, bundle: Bundle, why: str) -> None:
        """Not asked for as long as it is wanted; who wants it anew, after that, has had a reason."""
        if bundle.digest in self._own:
            self._logger.error("bundle.own_fell", bundle=bundle.label, why=why)
        elif bundle.digest not in self._unfit:
            self._unfit[bundle.digest] = why
            self._logger.error("bundle.quarantined", bundle=bundle.label, digest=bundle.digest, why=why)
            self._tripped(bundle.digest, why)

    # The helper.

    async def _keep(self) -> None:
        """A helper that lives, and holds what is wanted, for ever."""
        loop = asyncio.get_running_loop()
        counted_from = loop.time()
        while True:
            self._woken.clear()
            if loop.time() - counted_from > DEATHS_WITHIN_S:
                counted_from = loop.time()
                self._deaths.clear()
            try:
                if self._child is None or not self._child.lives:
                    await self._begin()
                await self._hold_wanted()
            except (Gone, Silent, Busy) as trouble:
                self._logger.warning("evaluator.trouble", why=str(trouble))
                await asyncio.sleep(AGAIN_S)
            except Exception as mistake:
                self._logger.error("evaluator.mistake", exc_info=mistake)
                await asyncio.sleep(AGAIN_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await self._woken.wait()

    async def _begin(self) -> None:
        self._held = set()
        child = await self._children.start(self._program)
        self._metrics.evaluators.inc()
        await child.ask(evaluating.decide("", {}, 0), START_S)
        self._child = child

    async def _hold_wanted(self) -> None:
        child = self._child
        assert child is not None, "it has begun"
        wanted = {bundle.digest: bundle for bundle in self._wanted()}
        self._unfit = {digest: why for digest, why in self._unfit.items() if digest in wanted}
        for digest, bundle in wanted.items():
            if digest in self._held or digest in self._unfit:
                continue
            try:
                asked = await evaluating.hold(bundle, set(wanted) & self._held)
                evaluating.held(await child.ask(asked, HOLD_S))
            except evaluating.Unfit as unfit:
                self._quarantine(bundle, unfit.why)
            except Silent as silent:
                self._fell(bundle, silent)
                raise
            except Gone:
                self._died_over(bundle)
                raise
            else:
                self._held = (self._held & set(wanted)) | {digest}
