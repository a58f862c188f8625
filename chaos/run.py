"""One run: rounds of the schedule, each with callers of its own, struck, judged and written down.

The load is open and goes on from round to round. A round is judged when its last caller is done, while later rounds
go on already; and everything is judged once more at the end, in case something came late.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from chaos.bursts import Burst
from chaos.checker import Judged, judge, reached
from chaos.felt import Window, read_calls
from chaos.hands import BROKER, Hurt, gateways_of, in_hand, waited
from chaos.patience import OutOfReach, who_waited
from chaos.record import RoundRecord, Setting, Totals, append
from chaos.schedule import AIMED, EVERYBODY, KAFKA_KINDS, NETWORK_KINDS, Kind, Round, Strike, possible
from chaos.stage import HUMANS, RING_TIMEOUT_MS, Stage
from chaos.strikes import Striker
from chaos.tables import Compared
from chaos.whole import replicas
from chaos.witnesses import Accounts
from deploy.kafka import CannotStart
from loadtest.diary import wall_ms
from loadtest.humans import Humans
from services.launch.child import ChildFailed

FINISHES_WITHIN_S: Final = 300.0
SETTLES_WITHIN_S: Final = 90.0
LOOKS_EVERY_S: Final = 1.0
TELLS_EVERY_S: Final = 5.0
FAILOVER: Final = "failover"
AT_THEIR_LINES_S: Final = 0.5
"""After its PSAP is cut off a call has long been dialled through."""
MISSED: Final = (ChildFailed, CannotStart, TimeoutError)
"""Somebody does not come back."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Played:
    """What was done in a round, and what should not have been."""

    kills: Mapping[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    hurts: list[Hurt] = field(default_factory=list)
    backfilled_s: float | None = None


class Run:
    """Rounds on one stage. Every judged round goes to `runs`."""

    def __init__(
        self, setting: Setting, stage: Stage, striker: Striker, accounts: Accounts, say: Say, runs: Path
    ) -> None:
        self.totals = Totals()
        self._setting = setting
        self._stage = stage
        self._striker = striker
        self._accounts = accounts
        self._say = say
        self._runs = runs
        self._now: dict[Strike, float] = {}
        self._killing = asyncio.Lock()
        self._struck: list[Window] = []
        """When something was hurt, in the whole run: a call may outlast its round."""
        self._out_of_reach: list[OutOfReach] = []
        self._judged: list[tuple[Burst, RoundRecord]] = []
        self._judging: set[asyncio.Task[None]] = set()
        self._bursts: list[Burst] = []

    async def run(self, rounds: Iterable[Round]) -> None:
        """Through all rounds, and until all are judged. Cancelled, it leaves what is judged on record."""
        beside: list[asyncio.Task[Any]] = [asyncio.create_task(self._tell())]
        try:
            coming = list(rounds)
            burst = await self._ready(coming[0])
            for each, after in zip(coming, [*coming[1:], None], strict=True):
                preparing = asyncio.create_task(self._ready(after)) if after else None
                beside += [preparing] if preparing else []
                await self._play(each, burst)
                if preparing:
                    burst = await preparing
            self._say("the last callers are waited for")
            await asyncio.gather(*self._judging)
            await self._judge_again()
        finally:
            beside += self._judging
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, *(burst.stop() for burst in self._bursts), return_exceptions=True)

    async def _ready(self, each: Round) -> Burst:
        burst = Burst(
            self._stage,
            f"round{each.number}",
            for_s=each.ends_s - each.begins_s,
            calls_a_s=self._setting.rate,
            seed=self._setting.seed * 1000 + each.number,
            crowds=each.kind in AIMED,
        )
        await burst.ready()
        self._bursts.append(burst)
        return burst

    async def _play(self, each: Round, burst: Burst) -> None:
        """One round, from its first call to its last; the judgement goes on by itself."""
        each, left_out = possible(each, self._striker.why_not)
        played = Played(skipped=[left_out] if left_out else [])
        before = Counter(self._striker.kills)
        burst.begin()
        await asyncio.gather(*(self._strike(strike, each, burst, played) for strike in each.strikes))
        await burst.second(each.ends_s - each.begins_s)
        try:
            await self._striker.all_well()
        except TimeoutError:
            played.troubles.append("not everybody is back a minute after the strike")
        for found in (self._striker.troubles, self._stage.deaths):
            played.troubles += found
            found.clear()
        played.kills = dict(self._striker.kills - before)
        played.backfilled_s, self._striker.backfilled_s = self._striker.backfilled_s, None
        judging = asyncio.create_task(self._settle(each, burst, played))
        self._judging.add(judging)

    async def _strike(self, strike: Strike, each: Round, burst: Burst, played: Played) -> None:
        await burst.second(strike.at_s - each.begins_s)
        if strike.kind is not Kind.KILL:
            async with self._aimed(strike, burst):
                await self._hurt(strike, played)
            return
        async with self._killing:  # on a slow machine the next is killed when the last is well: one after the other
            try:
                await self._striker.well(strike.victim)
            except MISSED as missed:
                played.troubles.append(str(missed) or f"{strike}: the one before is not well in time")
                return
            async with self._aimed(strike, burst):
                if burst.over():
                    played.skipped.append(f"{strike}: no callers were left when the one before was well again")
                else:
                    await self._hurt(strike, played)

    @asynccontextmanager
    async def _aimed(self, strike: Strike, burst: Burst) -> AsyncIterator[None]:
        """Goes on when a crowd's calls are where the strike is to find them: with failover once they ring at lines,
        since their PSAPs are cut off as long as the block lasts. At once where no crowds come."""
        crowd = await burst.crowd()
        if not crowd or strike.victim not in replicas()[FAILOVER]:
            yield
            return
        window = Window(wall_ms())
        self._struck.append(window)
        psaps = {self._stage.region.psap_of_town[call.town] for call in crowd}
        self._out_of_reach.append(OutOfReach(window, psaps))
        for psap_id in psaps:
            self._stage.strike(psap_id, "cut")
        try:
            await asyncio.sleep(AT_THEIR_LINES_S)
            yield
        finally:
            for psap_id in psaps:
                self._stage.strike(psap_id, "heal")
            window.close(wall_ms())

    async def _hurt(self, strike: Strike, played: Played) -> None:
        window = Window(wall_ms())
        if strike.kind is not Kind.CALM:
            self._struck.append(window)
        if strike.kind in NETWORK_KINDS and strike.peer == EVERYBODY:
            address = self._stage.installation.children[strike.victim].address
            self._out_of_reach.append(OutOfReach(window, ingress=address))
        self._now[strike] = strike.ends_s
        try:
            async with self._striker.struck(strike, window):
                await asyncio.sleep(strike.lasts_s)  # from when it is done: on a busy machine that takes its time
            if not strike.lasts_s:
                await self._stage.installation.back(strike.victim)
        except MISSED as missed:
            played.troubles.append(str(missed) or f"{strike}: not back in time")
        finally:
            window.close(wall_ms())
            played.hurts += self._hurts(strike, window)
            del self._now[strike]

    def _hurts(self, strike: Strike, window: Window) -> Iterator[Hurt]:
        if strike.kind in KAFKA_KINDS:
            yield Hurt(strike.kind, BROKER, "", window)
        child = self._stage.installation.children.get(strike.victim)
        if child is not None:
            yield Hurt(strike.kind, child.service, child.address, window)
        elif strike.kind not in KAFKA_KINDS:
            yield Hurt(strike.kind, "", "", window)

    # The judgement.

    async def _settle(self, each: Round, burst: Burst, played: Played) -> None:
        """Waits for the last caller, then until the witnesses agree and the ledger has caught up, or have had the time
        to."""
        await burst.finished(FINISHES_WITHIN_S)
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLES_WITHIN_S
        while True:
            judged, tables = self._judge(burst), await self._accounts.tables(burst.run)
            if (judged.sound and not tables.differences) or loop.time() >= until:
                break
            if not self._striker.kafka_up.is_set():
                until = loop.time() + SETTLES_WITHIN_S
            await asyncio.sleep(LOOKS_EVERY_S)
        told = self._recorded(each, burst, judged, tables, played)
        self._judged.append((burst, told))
        self._write(told)

    def _judge(self, burst: Burst) -> Judged:
        accounts = self._accounts.of(burst.run, burst.diary)
        return judge(*accounts, self._striker.stood, self._struck, self._striker.killed)

    def _recorded(self, each: Round, burst: Burst, judged: Judged, tables: Compared, played: Played) -> RoundRecord:
        callers, far_end, _ = self._accounts.of(burst.run, burst.diary)
        calls, gateways = read_calls(callers), gateways_of(far_end)
        hit, meanwhile = waited(calls, played.hurts, gateways)
        patience = who_waited(
            calls,
            reached(callers, far_end),
            Humans(burst.seed, HUMANS),
            RING_TIMEOUT_MS / 1000,
            self._stage.region.psap_of_town,
            self._out_of_reach,
        )
        if unreadable := self._accounts.journal.unreadable(burst.run):
            played.troubles.append(f"{unreadable} records of the journal cannot be read")
        return RoundRecord(
            number=each.number,
            kind=each.kind,
            strikes=[str(strike) for strike in each.strikes],
            skipped=played.skipped,
            kills=played.kills,
            calls=judged.calls,
            accepted=judged.accepted,
            connected=judged.connected,
            never_accepted=judged.never_accepted,
            lost=list(judged.lost),
            twice=list(judged.twice),
            unheard=list(judged.unheard),
            woken=list(judged.woken),
            patient=patience.patient,
            in_vain=list(patience.in_vain),
            for_nothing=list(patience.for_nothing),
            disagreements=list(judged.disagreements),
            ledger=list(tables.differences),
            tabled=tables.calls,
            listed=tables.listed,
            durability=dict(Counter(call.durability or "never" for call in calls)),
            hands=[
                {
                    "kind": hurt.kind,
                    "service": hurt.service,
                    "calls": [call.call_id for call in in_hand(calls, hurt, gateways)],
                }
                for hurt in played.hurts
                if hurt.kind != Kind.CALM
            ],
            hit_ms=hit.ms,
            rang=hit.rang,
            went_on=hit.went_on,
            meanwhile_ms=meanwhile.ms,
            copies=self._accounts.journal.copies(burst.run),
            backfilled_s=played.backfilled_s,
            troubles=played.troubles,
            load=round(os.getloadavg()[0], 1),
        )

    def _write(self, told: RoundRecord) -> None:
        append(self._setting, told, self._runs)
        self.totals.add(told)
        verdict = "all well" if told.sound else "NOT SOUND: " + "; ".join(told.findings())
        self._say(f"round {told.number} ({', '.join(told.strikes)}): {told.calls} calls, {verdict}")
        if told.in_vain:
            self._say(f"round {told.number}: waited, and reached nobody: {', '.join(told.in_vain)}")
        if told.unheard:
            self._say(f"round {told.number}: a call-taker found nobody on the line: {', '.join(told.unheard)}")
        for skipped in told.skipped:
            self._say(f"round {told.number}: left out: {skipped}")

    async def _judge_again(self) -> None:
        """What came after a round was judged counts as a finding of its own; when all is over the sums of the ledger's
        tables are those of the journal, too."""
        different = await self._in_the_end()
        for burst, told in self._judged:
            judged = self._judge(burst)
            late = replace(
                told,
                calls=0, accepted=0, connected=0, never_accepted=0, kills={}, durability={}, hit_ms=[], rang=0,
                went_on=0, meanwhile_ms=[],
                lost=sorted({*judged.lost} - {*told.lost}),
                twice=sorted({*judged.twice} - {*told.twice}),
                unheard=[],
                woken=sorted({*judged.woken} - {*told.woken}),
                disagreements=sorted({*judged.disagreements} - {*told.disagreements}),
                ledger=sorted({*different[burst.run]} - {*told.ledger}),
                tabled=0, listed=0, patient=0, in_vain=[], for_nothing=[],
                copies=0, backfilled_s=None, troubles=[], skipped=[],
            )  # fmt: skip
            if not late.sound:
                self._write(late)

    async def _in_the_end(self) -> Mapping[str, Sequence[str]]:
        """Where the ledger's tables differ still, by burst, once it has had the time to catch up. Sums are of all;
        where only these differ, it is told of the last burst."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLES_WITHIN_S
        while True:
            different = {
                burst.run: [*(await self._accounts.tables(burst.run)).differences] for burst, _ in self._judged
            }
            if self._judged and not any(different.values()):
                different[self._judged[-1][0].run] += await self._accounts.sums()
            if not any(different.values()) or loop.time() >= until:
                return different
            await asyncio.sleep(LOOKS_EVERY_S)

    # What is told meanwhile.

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(TELLS_EVERY_S)
                now = ", ".join(str(strike) for strike in self._now) or "nothing is hurt"
                called = sum(burst.called() for burst in self._bursts)
                self._say(f"{loop.time() - began:5.0f} s  {now}; {called} callers; {self.totals}")
