"""The firewall's life: one verdict a question. Whatever goes wrong inside is a pass."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from throughline.v1 import screening_pb2

from services.domain.offer import Offer
from services.domain.policy import Pass, Verdict
from services.firewall.metrics import FirewallMetrics
from services.firewall.rulebook import Rule, Rulebook
from services.firewall.settings import FirewallSettings
from services.host.network import Answers, Refuse, Server, Status
from services.host.world import World
from services.journal import Topic
from services.journal.journal import Journal, JournalEvent
from services.wire import offers, screenings, verdicts
from services.wire.methods import SCREEN

BUILT_IN: Final = "built-in-1"
FAILED_OPEN: Final = "failed-open"


class Policy(Protocol):
    """What screens: the rulebook now, a policy written by others later."""

    @property
    def name(self) -> str:
        """As verdicts carry it."""
        ...

    def judge(self, offer: Offer, now: float) -> Verdict:
        """The verdict; `now` is loop time. The same call_id gets the same verdict again."""
        ...


def built_in(settings: FirewallSettings) -> Rulebook:
    """The few rules of `settings`, the sterner first."""
    rules = [
        Rule(
            "nuisance-repeats",
            settings.nuisance_calls_min,
            settings.repeat_window_s,
            callers=frozenset(settings.nuisance_numbers),
            desk=settings.nuisance_desk,
        ),
        Rule("caller-repeats", settings.repeat_calls_min, settings.repeat_window_s, score=settings.repeat_score),
    ]
    return Rulebook(BUILT_IN, rules)


class Firewall:
    """See the package."""

    def __init__(self, world: World, settings: FirewallSettings, policy: Policy | None = None) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._metrics = FirewallMetrics(world.registry)
        self._journal = Journal(world.log, on_event=self._journal_event)
        self._policy: Policy = policy or built_in(settings)
        self._server: Server | None = None
        self._draining = False

    async def start(self) -> None:
        """Binds and serves; Kafka may come later."""
        await self._journal.start()
        self._server = await self._world.network.serve(self._settings.listen, [Answers(SCREEN, self._screen)])
        self.address = self._server.address

    def troubles(self) -> Sequence[str]:
        """Why this firewall should not be asked."""
        return ["draining"] if self._draining else []

    def remarks(self) -> Sequence[str]:
        """What an operator should know though it answers."""
        trouble = self._journal.health()
        return [f"journal: {trouble}"] if trouble else []

    async def stop(self, grace_s: float) -> None:
        """Answers what was asked, then closes."""
        self._draining = True
        if self._server is not None:
            self._server.set_ready(False)
            await self._server.stop(min(grace_s, 1.0))
        await self._journal.close()

    async def _screen(self, asked: screening_pb2.ScreenRequest) -> screening_pb2.ScreenResponse:
        """The verdict on one call, told and recorded."""
        if self._draining:
            raise Refuse(Status.UNAVAILABLE, "draining")
        loop = asyncio.get_running_loop()
        began = loop.time()
        offer = asked.offer
        verdict, answer = self._judge(asked, began)
        took_s = loop.time() - began
        self._metrics.verdicts[type(verdict)].inc()
        self._metrics.took.observe(took_s)
        if not isinstance(verdict, Pass):
            self._metrics.rules.labels(verdict.rule).inc()
        self._world.logger.info(
            "call.screened",
            call_id=offer.call_id,
            leg=offer.leg,
            verdict=type(verdict).__name__.lower(),
            rule="" if isinstance(verdict, Pass) else verdict.rule,
            policy=answer.policy,
        )
        record = screenings.encode(
            offer.call_id, offer.leg, self._settings.name, answer, self._world.wall_ms(), round(took_s * 1e6)
        )
        self._journal.append_soon(Topic.SCREENINGS, offer.call_id, record)
        return screening_pb2.ScreenResponse(verdict=answer)

    def _judge(self, asked: screening_pb2.ScreenRequest, now: float) -> tuple[Verdict, screening_pb2.Verdict]:
        """The policy's verdict, and the same as a message; a pass where the policy fails, loudly.

        The one place with a wide net: a firewall that failed closed is why this project exists.
        """
        try:
            verdict = self._policy.judge(offers.to_domain(asked.offer), now)
            answer: screening_pb2.Verdict | None = verdicts.to_wire(verdict, self._policy.name)
            if answer is None:
                raise TypeError(f"expected a Verdict of the policy {self._policy.name!r}, got {verdict!r}")
        except Exception as mistake:
            self._metrics.failed_open.inc()
            self._world.logger.error("policy.failed_open", call_id=asked.offer.call_id, exc_info=mistake)
            return Pass(), verdicts.to_wire(Pass(), FAILED_OPEN)
        return verdict, answer

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
        self._metrics.journal_queued.set(event.queued)
