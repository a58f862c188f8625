"""Carries a take-over out: ask who has the call, then say what they attest, or put it onto the list (protocol.md T3).

The plan is `services/domain/take_overs/taking_over.py`; here it is looked at ten times a second, and what it wants is
done. It connects nobody. Between the question and the word the plan is asked once more: a higher leg, or its conductor
heard again, leaves nothing to say.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from services.domain.events import Fact
from services.domain.holding import Standing
from services.domain.take_overs.facts import attested, callback_due, taken_over
from services.domain.take_overs.open_call import OpenCall
from services.domain.take_overs.taking_over import Due
from services.failover.asking import Attesters
from services.failover.keeping import Keeper
from services.failover.metrics import FailoverMetrics, TakenUp
from services.failover.mistakes import Mistakes
from services.failover.view import View
from services.failover.watching import Watching
from services.host.world import World
from services.journal import Topic
from services.journal.journal import Journal
from services.wire import facts

LOOK_EVERY_S: Final = 0.1
LATE_S: Final = 0.050
AT_ONCE_MAX: Final = 64
"""Take-overs under way in one replica."""
KEPT_ALONE_AFTER_S: Final = 5.0
"""A replica that has not read the log to its end in this time judges at least the calls whose copies it keeps."""
ASKED_AGAIN_S: Final = 1.0
"""Where a higher leg rings of which the log knows nothing yet."""
TIDY_EVERY_S: Final = 5.0


class TakingOver:
    """See the module."""

    def __init__(
        self,
        world: World,
        view: View,
        watching: Watching,
        keeper: Keeper,
        attesters: Attesters,
        journal: Journal,
        metrics: FailoverMetrics,
        mistakes: Mistakes,
    ) -> None:
        self.read_to_end = False
        """Whether the journal has been read to the end that it had at the start."""
        self._world = world
        self._view = view
        self._watching = watching
        self._keeper = keeper
        self._attesters = attesters
        self._journal = journal
        self._metrics = metrics
        self._mistakes = mistakes
        self._under_way: dict[asyncio.Task[None], None] = {}
        self._suspected = False
        self._dropped = 0
        self._began = asyncio.get_running_loop().time()
        self._tidied_at = self._began

    def look(self, late_s: float) -> None:
        """Does what there is to do now. `late_s`: by how much this look itself comes late."""
        loop, view = asyncio.get_running_loop(), self._view
        now = loop.time()
        if late_s > LATE_S:
            view.watch.held_up(now)
        self._watching.follow_watch()
        if self.read_to_end or now - self._began >= KEPT_ALONE_AFTER_S:
            self._keeper.hand_over(now)
            look = view.take_overs.look(now, read=self.read_to_end, room=AT_ONCE_MAX - len(self._under_way))
            for conductor in look.ask:
                self._watching.ask(conductor, view.take_overs.no_answer)
            for due in look.begin:
                task = loop.create_task(self._take_over(due), name=f"take over {due.call_id}")
                self._under_way[task] = None
                task.add_done_callback(partial(self._over, due))
        if now - self._tidied_at >= TIDY_EVERY_S:
            self._tidied_at = now
            view.tidy(now)
        self._count()

    async def stop(self) -> None:
        """What is under way is left to the next rank."""
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _take_over(self, due: Due) -> None:
        call = self._view.debts.get(due.call_id)
        if call is None:
            return
        holding = await self._attesters.who_has(due.call_id, tuple(call.tried))
        now = asyncio.get_running_loop().time()
        if not self._view.take_overs.stands(due, now):
            self._note(call, due, TakenUp.WITHDRAWN)
            return
        if holding.carries_on(due.leg) and call.defer(now, ASKED_AGAIN_S):
            return
        at_ms = self._world.wall_ms()
        self.say(taken_over(call, due.cause, self._world.name, at_ms))
        if holding.standing is Standing.CONNECTED:
            self.say(attested(call, holding, at_ms))
            self._note(call, due, TakenUp.ATTESTED)
        else:
            self.say(callback_due(call, at_ms))
            self._note(call, due, TakenUp.CALLBACK_DUE)

    def say(self, fact: Fact) -> None:
        """Tells the journal, and knows it here at once. What cannot be said changes nothing here either."""
        said = facts.encode(fact)
        self._view.tell(fact, self._world.wall_ms(), asyncio.get_running_loop().time())
        self._journal.append_soon(Topic.CALLS, fact.call_id, said)

    def _over(self, due: Due, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        self._view.take_overs.over(due.call_id)
        self._mistakes.ended("a take-over", task)

    def _note(self, call: OpenCall, due: Due, came: TakenUp) -> None:
        self._metrics.taken_over[came].inc()
        self._world.logger.warning(
            "call.taken_over", call_id=due.call_id, leg=due.leg, cause=due.cause, outcome=came, test=call.test
        )

    def _count(self) -> None:
        metrics, view = self._metrics, self._view
        metrics.debts_open.set(len(view.debts))
        for cause, number in view.take_overs.due_now.items():
            metrics.debts_due[cause].set(number)
        metrics.watched.set(len(self._watching))
        metrics.silent.set(view.watch.silent(asyncio.get_running_loop().time()))
        metrics.debts_dropped.inc(view.debts.dropped - self._dropped)
        self._dropped = view.debts.dropped
        if view.take_overs.suspects != self._suspected:
            self._suspected = view.take_overs.suspects
            metrics.suspects.set(self._suspected)
            metrics.suspicions.inc(self._suspected)
            self._world.logger.error(
                "view.suspected" if self._suspected else "view.trusted_again",
                debts=len(view.debts),
                due={str(cause): number for cause, number in view.take_overs.due_now.items() if number},
            )
