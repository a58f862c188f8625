"""The firewall's life: one verdict a question. Whatever goes wrong inside is a pass."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from zoneinfo import ZoneInfo

from throughline.v1 import screening_pb2

from services.domain.policy import Pass
from services.firewall.evaluating import BESIDE, PROGRAM
from services.firewall.evaluator import Evaluator
from services.firewall.following import Following
from services.firewall.metrics import FirewallMetrics
from services.firewall.policies.checking import checked
from services.firewall.policies.life import PolicyLife
from services.firewall.policies.source import Policies
from services.firewall.screening import FAILED_OPEN, Screener
from services.firewall.settings import FirewallSettings
from services.host.children import Program
from services.host.network import Answers, Refuse, Server, Status
from services.host.psap_statuses import PsapStatuses
from services.host.region import WHOLE
from services.host.region_feed import RegionFeed
from services.host.world import World
from services.journal import Topic
from services.journal.journal import Journal, JournalEvent
from services.places.directory import NUISANCE_DESK
from services.policy.files.built_in import CONTENT, built_in
from services.policy.life.bypass import drill_bundle
from services.wire import offers, verdicts
from services.wire.methods import SCREEN


class Firewall:
    """See the package."""

    def __init__(self, world: World, settings: FirewallSettings, policies: Policies | None = None) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._metrics = FirewallMetrics(world.registry)
        self._regions = RegionFeed(world, settings, WHOLE)
        self._journal = Journal(world.log, on_event=self._journal_event)
        self._statuses = PsapStatuses(world, self._journal, settings.service)
        standing = built_in()
        if policies is None:
            policies = PolicyLife(world, settings, standing, CONTENT, self._drill, partial(checked, world.children))
        self._policies: Policies = policies
        self._screener = Screener(
            world,
            settings.name,
            ZoneInfo(settings.time_zone),
            self._regions.newest,
            self._calls_at,
            self._policies,
            standing,
            drill_bundle(NUISANCE_DESK),
            self._metrics,
            self._publish,
        )
        self._evaluator = self._evaluates(PROGRAM)
        self._beside = self._evaluates(BESIDE)
        self._following = Following(world, self._journal, self._screener, self._policies, self._metrics)
        self._screening: dict[str, asyncio.Task[screening_pb2.Verdict]] = {}
        self._server: Server | None = None
        self._draining = False

    def _evaluates(self, program: Program) -> Evaluator:
        shadow = program is BESIDE
        return Evaluator(
            self._world.children,
            program,
            self._settings.evaluation_budget_ms / 1000,
            self._screener.watched if shadow else self._screener.wanted,
            self._policies.tripped,
            self._screener.own,
            self._metrics,
            self._world.logger,
        )

    async def start(self) -> None:
        """Binds and serves; Kafka and the evaluator may come later. Raises FileTrouble or RegionRefused."""
        await self._journal.start()
        self._screener.evaluator, self._screener.shadow.evaluator = self._evaluator, self._beside
        await self._evaluator.start()
        await self._beside.start()
        # Each waits a moment for its topic: side by side, since without Kafka calls wait for the sum of them.
        await asyncio.gather(self._regions.start(), self._policies.start())
        await self._following.start()
        await self._statuses.start()
        served = [Answers(SCREEN, self._screen), *self._policies.served()]
        self._server = await self._world.network.serve(self._settings.listen, served)
        self.address = self._server.address

    def troubles(self) -> Sequence[str]:
        """Why this firewall should not be asked."""
        return ["draining"] if self._draining else []

    def remarks(self) -> Sequence[str]:
        """What an operator should know though it answers."""
        found = [f"journal: {trouble}"] if (trouble := self._journal.health()) else []
        if trouble := self._evaluator.trouble:
            found.append(f"evaluator: {trouble}")
        loop = asyncio.get_running_loop()
        if tripped := self._screener.calls.breakers.tripped(loop.time()):
            found.append(f"breakers: nothing is diverted of {', '.join(tripped[:5])}")
        found += self._statuses.remarks("psap_load is 0.0" if self._screener.asks("psap_load") else "")
        return [*found, *self._following.remarks(), *self._policies.remarks(), *self._regions.remarks()]

    async def stop(self, grace_s: float) -> None:
        """Answers what was asked, then closes."""
        self._draining = True
        if self._server is not None:
            self._server.set_ready(False)
            await self._server.stop(min(grace_s, 1.0))
        await self._following.stop()
        await self._statuses.stop()
        await self._policies.stop()
        await self._evaluator.stop()
        await self._beside.stop()
        await self._world.children.close()
        await self._regions.stop()
        await self._journal.close()

    def _calls_at(self, psap_id: str) -> int:
        """How many calls a PSAP has, by what was heard so far; it never waits."""
        return self._statuses.view.calls_at(psap_id, asyncio.get_running_loop().time())

    async def _drill(self, call_id: str) -> str | None:
        return await self._screener.drill(call_id)

    async def _screen(self, asked: screening_pb2.ScreenRequest) -> screening_pb2.ScreenResponse:
        """The verdict on one call. Who gives up waiting ends nothing: the next leg, or the same question, is told what
        the first was."""
        if self._draining:
            raise Refuse(Status.UNAVAILABLE, "draining")
        call_id = offers.call_id_or_none(asked.offer.call_id)
        screening = self._screening.get(call_id)
        if screening is None:
            screening = asyncio.get_running_loop().create_task(self._judge(asked), name="screening")
            if call_id:
                self._screening[call_id] = screening
                screening.add_done_callback(partial(self._judged, call_id))
        return screening_pb2.ScreenResponse(verdict=await asyncio.shield(screening))

    def _judged(self, call_id: str, screening: asyncio.Task[screening_pb2.Verdict]) -> None:
        if self._screening.get(call_id) is screening:
            del self._screening[call_id]

    async def _judge(self, asked: screening_pb2.ScreenRequest) -> screening_pb2.Verdict:
        """The screener's verdict; a pass where it fails, loudly.

        The one place with a wide net: a firewall that failed closed is why this project exists.
        """
        try:
            return await self._screener.screen(asked.offer)
        except Exception as mistake:
            self._metrics.failed_open.labels("mistake").inc()
            self._world.logger.error("policy.failed_open", call_id=asked.offer.call_id, exc_info=mistake)
            return verdicts.to_wire(Pass(), FAILED_OPEN)

    def _publish(self, record: screening_pb2.Screening) -> None:
        said = record.verdict.WhichOneof("said") or ""
        self._world.logger.info(
            "call.screened",
            call_id=record.call_id,
            leg=record.leg,
            verdict=said,
            rule=getattr(record.verdict, said).rule if said in ("flag", "divert") else "",
            policy=record.verdict.policy,
            kept_from=record.kept_from,
            shadow=record.shadow,
        )
        self._journal.append_soon(Topic.SCREENINGS, record.call_id, record.SerializeToString())
        self._policies.heard(record)  # at once: while Kafka is away nothing comes back from it

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
        self._metrics.journal_queued.set(event.queued)
