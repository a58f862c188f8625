"""Failover's real shells when a conductor dies: who notices, who acts, and what is said (protocol.md T1 to T5, J4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from throughline.v1 import delivery_pb2

from services.domain.events import Fact, FactKind
from services.domain.fold import Outcome
from services.domain.holding import UNKNOWN, Holding, Standing
from services.domain.where import Where
from services.host.network.memory import MemoryNetwork
from services.journal import Record, Topic
from services.journal.memory import MemoryLog
from services.journal.memory_follower import MemoryFollower
from services.wire import facts
from services.wire.methods import WHO_HAS
from simulator.virtual_loop import run_virtual
from tests.services.failover_stage import P1_FIRST, P1_SECOND, Diversion, rings
from tests.services.succession_stage import CALLER, Ingress, Scene, Succession


def play(scene: Scene, **stage: Any) -> None:
    async def staged() -> None:
        async with Succession(**stage) as on:
            await scene(on)

    run_virtual(staged(), limit_s=6_000)


def now() -> float:
    return asyncio.get_running_loop().time()


async def until_listed(stage: Succession, calls: int, within_s: float) -> float:
    """Waits for so many entries; returns how long that took."""
    began = now()
    while len(set(stage.listed())) < calls:
        assert now() - began < within_s, f"{stage.listed()} after {within_s} s"
        await asyncio.sleep(0.05)
    return now() - began


def test_a_killed_ingress_leaves_urgent_entries_within_a_second_and_once() -> None:
    """Its stream breaks and does not come back; nobody has the calls; rank 0 says so at once (T1, T3, T4)."""

    async def scene(stage: Succession) -> None:
        dying, living = stage.ingresses
        for n in range(4):
            await dying.call(f"dead-{n}")
            await living.call(f"alive-{n}")
        await dying.kill()
        assert await until_listed(stage, 4, 2.0) < 1.5
        await asyncio.sleep(2)
        assert stage.listed() == [f"dead-{n}" for n in range(4)]
        assert {each.call_id for each in stage.facts(FactKind.TAKEN_OVER)} == {f"dead-{n}" for n in range(4)}
        assert all("stream_broken by failover-" in each.reason for each in stage.facts(FactKind.TAKEN_OVER))
        assert stage.books().real.outcomes[Outcome.CALLBACK_OPEN] == 4
        assert stage.books().sound

    play(scene)


@pytest.mark.parametrize(
    ("where", "kind"), [(Where("P1"), FactKind.ANSWERED), (Where("P1", P1_FIRST), FactKind.DIVERTED)]
)
def test_what_somebody_attests_is_recorded_and_nobody_is_called_back(where: Where, kind: FactKind) -> None:
    """The conductor died after the connection: the PSAP's or the trunk's own mouth settles the call (T3)."""

    async def scene(stage: Succession) -> None:
        await stage.ingresses[0].call("call-1")
        stage.holds["call-1"] = Holding(Standing.CONNECTED, "call-1/1/1", where)
        await stage.ingresses[0].kill()
        await asyncio.sleep(10)
        (told,) = stage.facts(kind)
        assert (told.attempt, told.where, told.reason, told.settled) == ("call-1/1/1", where, "attested", True)
        assert stage.listed() == []
        assert stage.dialled == []

    play(scene)


@pytest.mark.parametrize("said", [UNKNOWN, Holding(Standing.RINGING, "call-1/1/1", Where("P1"))])
def test_a_call_that_nobody_surely_has_is_called_back(said: Holding) -> None:
    """It may ring there, or nobody can say: without a conductor it can never be connected (T3)."""

    async def scene(stage: Succession) -> None:
        await stage.ingresses[0].call("call-1")
        stage.says = said
        await stage.ingresses[0].kill()
        await until_listed(stage, 1, 2.0)

    play(scene)


def test_a_call_offered_again_elsewhere_is_left_alone() -> None:
    """A higher leg before anything was said (T3)."""

    async def scene(stage: Succession) -> None:
        dying, living = stage.ingresses
        await dying.call("call-1")
        await dying.kill()
        await living.call("call-1", leg=2)
        await asyncio.sleep(30)
        assert stage.listed() == []
        assert stage.facts(FactKind.TAKEN_OVER) == []

    play(scene)


def test_a_higher_leg_that_rings_somewhere_is_seen_though_the_log_has_nothing_of_it() -> None:
    """Kafka is away, and the new conductor's facts wait: the ring itself tells (T3). When it ends, nobody has it."""

    async def scene(stage: Succession) -> None:
        await stage.ingresses[0].call("call-1")
        stage.holds["call-1"] = Holding(Standing.RINGING, "call-1/2/1", Where("P1"))
        await stage.ingresses[0].kill()
        await asyncio.sleep(20)
        assert stage.facts(FactKind.TAKEN_OVER) == []
        del stage.holds["call-1"]
        await until_listed(stage, 1, 2.5)
        stage.holds["call-1"] = Holding(Standing.ANSWERED, "call-1/2/1", Where("P1"))
        await asyncio.sleep(20)
        assert stage.dialled == []

    play(scene)


@pytest.mark.parametrize("carries_on", ["leg", "answer"])
def test_what_comes_while_it_is_asked_who_has_the_call_leaves_nothing_to_say(carries_on: str) -> None:
    """The last look is taken just before the word (T3)."""

    async def scene(stage: Succession) -> None:
        dying, living = stage.ingresses
        stage.says_after_s = 0.3
        await dying.call("call-1")
        answered = dying.fact("call-1", FactKind.ANSWERED, settled=True)
        await dying.kill()
        await asyncio.sleep(0.5)  # it is due after 0.3 s, and a replica has begun to ask
        if carries_on == "leg":
            await living.call("call-1", leg=2)
        else:
            living.write(answered)
        await asyncio.sleep(5)
        assert stage.listed() == []
        assert stage.facts(FactKind.TAKEN_OVER) == []
        assert sum(stage.count(number, "take_overs_total", outcome="withdrawn") for number in (1, 2)) == 1

    play(scene)


def test_an_ingress_that_lives_and_is_cut_off_from_kafka_keeps_its_calls() -> None:
    """Its facts are late by the log's time; its stream says that it lives (T1, T2)."""

    async def scene(stage: Succession) -> None:
        cut, _ = stage.ingresses
        cut.write(cut.offered("call-1", due_in_ms=3_000))
        await asyncio.sleep(0.1)
        cut.log.fail(absent=True)
        await asyncio.sleep(60)
        assert stage.listed() == []
        cut.log.fail()
        await asyncio.sleep(10)
        assert stage.listed() == []

    play(scene)


def test_a_paused_ingress_is_silent_and_its_calls_are_taken_up_after_a_second() -> None:
    """Its own ticks were there until the silence (T1); asked about, since all that is open is due (T5 needs ten)."""

    async def scene(stage: Succession) -> None:
        paused, _ = stage.ingresses
        await paused.call("call-1")
        paused.paused = True
        took_s = await until_listed(stage, 1, 4.0)
        assert 0.9 < took_s < 2.5
        assert "silent by" in stage.facts(FactKind.TAKEN_OVER)[0].reason

    play(scene)


def test_a_restarted_ingress_owes_what_its_old_incarnation_owed_and_keeps_its_own_calls() -> None:
    """Another incarnation answers at the address (T1)."""

    async def scene(stage: Succession) -> None:
        old, _ = stage.ingresses
        await old.call("call-1")
        await old.kill()
        new = Ingress(stage, 1, "000000000000-0002")
        await new.start()
        await new.call("call-2")
        await until_listed(stage, 1, 3.0)
        await asyncio.sleep(20)
        assert stage.listed() == ["call-1"]

    play(scene)


def test_an_ingress_of_an_older_version_is_asked_since_it_cannot_be_watched() -> None:
    """Mixed versions: it keeps its calls while it answers, and loses them when it dies (T1)."""

    async def scene(stage: Succession) -> None:
        older = Ingress(stage, 9)
        await older.start(watchable=False)
        await older.call("call-1")
        await asyncio.sleep(30)
        assert stage.listed() == []
        await older.kill()
        await until_listed(stage, 1, 2.0)

    play(scene)


def test_what_a_restarted_ingress_back_fills_is_judged_when_the_rest_of_it_has_come() -> None:
    """Old facts trigger nothing by themselves (J5): one call was answered, as its next old fact says; one was not."""

    async def scene(stage: Succession) -> None:
        old, _ = stage.ingresses
        old.log.fail(absent=True)
        told = [old.offered("call-1", caller=""), old.offered("call-2", caller="")]
        answered = old.fact("call-1", FactKind.ANSWERED, settled=True)
        await asyncio.sleep(5)
        await old.kill()
        await asyncio.sleep(5)
        new = Ingress(stage, 1, "000000000000-0002")
        await new.start()
        await asyncio.sleep(1)
        new.write(*(replace(each, age_ms=10_000) for each in told))
        await asyncio.sleep(1)
        new.write(replace(answered, age_ms=10_000))
        assert stage.listed() == []
        await until_listed(stage, 1, 3.0)
        await asyncio.sleep(10)
        assert stage.listed() == ["call-2"]

    play(scene)


def test_a_call_of_which_its_living_conductor_says_nothing_more_is_left_to_the_ledger() -> None:
    """Late by T2, but its conductor is heard: no replica takes a call from one that may have the caller's stream."""

    async def scene(stage: Succession) -> None:
        forgetful, _ = stage.ingresses
        forgetful.write(forgetful.offered("call-1", due_in_ms=1_000))
        await asyncio.sleep(120)
        assert stage.listed() == []

    play(scene)


def test_the_first_replica_dies_in_the_middle_and_the_next_goes_on() -> None:
    """All replicas but one die; every debt is on the list, in one entry each (T4)."""

    async def scene(stage: Succession) -> None:
        dying, _ = stage.ingresses
        for n in range(12):
            await dying.call(f"call-{n:02}")
        await dying.kill()
        await asyncio.sleep(0.42)
        await stage.kill(1)
        await stage.kill(2)
        await until_listed(stage, 12, 6.0)
        due = stage.facts(FactKind.CALLBACK_DUE)
        assert len({each.identity for each in due}) == 12
        assert stage.books().real.outcomes[Outcome.CALLBACK_OPEN] == 12

    play(scene, replicas=3)


def test_a_replica_that_starts_after_the_death_finds_the_debts() -> None:
    """It reads fifteen minutes back, tries the address, and gives an incarnation that never answered it two seconds."""

    async def scene(stage: Succession) -> None:
        dying, _ = stage.ingresses
        await dying.call("call-1")
        await stage.kill(1)
        await dying.kill()
        await asyncio.sleep(60)
        assert stage.listed() == []
        await stage.start(1)
        await until_listed(stage, 1, 6.0)

    play(scene, replicas=1)


def test_a_thousand_debts_of_a_killed_ingress_are_worked_off_within_seconds() -> None:
    """A broken stream is not silence: no doubt, bounded at each replica (T5); nothing twice."""

    async def scene(stage: Succession) -> None:
        dying, _ = stage.ingresses
        for n in range(1_000):
            dying.write(dying.offered(f"call-{n:04}", caller=""))
        await asyncio.sleep(1)
        await dying.kill()
        took_s = await until_listed(stage, 1_000, 20.0)
        assert took_s < 5
        await asyncio.sleep(5)
        assert len(stage.listed()) == 1_000
        assert all(stage.count(number, "suspicions_total") == 0 for number in (1, 2))
        assert stage.books().real.outcomes[Outcome.CALLBACK_OPEN] == 1_000

    play(scene)


def test_many_silent_at_once_are_asked_first_and_worked_off_at_twenty_a_second() -> None:
    """More than a fifth of all debts: the replica doubts itself, says so, and goes slowly (T5)."""

    async def scene(stage: Succession) -> None:
        paused, _ = stage.ingresses
        for n in range(100):
            paused.write(paused.offered(f"call-{n:03}", caller=""))
        await asyncio.sleep(1)
        paused.paused = True
        await asyncio.sleep(4)
        assert stage.count(1, "suspects_itself") == 1
        assert 20 <= len(stage.listed()) <= 60
        await until_listed(stage, 100, 10.0)

    play(scene, replicas=1)


def test_silence_that_is_ours_alone_takes_nothing() -> None:
    """The streams are silent but the ingress answers when it is asked: it keeps its calls (T5)."""

    async def scene(stage: Succession) -> None:
        quiet, _ = stage.ingresses
        for n in range(100):
            quiet.write(quiet.offered(f"call-{n:03}", caller="", due_in_ms=1_000))
        await asyncio.sleep(1)
        quiet.unheard = True
        await asyncio.sleep(20)
        assert stage.listed() == []

    play(scene, replicas=1)


class Stumbling(MemoryNetwork):
    """A port with a mistake in it: the first questions who has a call raise what no port should."""

    def __init__(self, mistakes: int) -> None:
        super().__init__(latency_s=0.001)
        self._mistakes = mistakes

    async def ask(self, address: str, question: Any, said: Any, *, within_s: float) -> Any:
        if question is WHO_HAS and self._mistakes:
            self._mistakes -= 1
            raise RuntimeError("a mistake of ours")
        return await super().ask(address, question, said, within_s=within_s)


def test_a_mistake_in_one_take_over_is_told_and_the_debt_is_taken_up_at_the_next_look() -> None:
    """Loud, and it goes on: a debt is not lost to a mistake of ours (T3)."""

    async def scene(stage: Succession) -> None:
        for n in range(3):
            await stage.ingresses[0].call(f"call-{n}")
        await stage.ingresses[0].kill()
        await until_listed(stage, 3, 3.0)
        assert stage.count(1, "mistakes_total") > 0
        assert any("a take-over failed" in remark for remark in stage.replicas[1].remarks())

    play(scene, replicas=1, network=Stumbling(5))


def test_a_call_that_was_once_parked_is_taken_over_like_any_other() -> None:
    """Parked means on the list with the caller on the line (L1): its conductor's death is everybody's business (T1)."""

    async def scene(stage: Succession) -> None:
        dying, _ = stage.ingresses
        for name in ("parked", "parked-then-connected"):
            overflow = dying.fact(name, FactKind.CALLBACK_DUE, reason="overflow", due_in_ms=240_000)
            dying.write(dying.offered(name), overflow, dying.ringing(name, Where("P1")))
        held = Holding(Standing.CONNECTED, "parked-then-connected/1/1", Where("P1"))
        stage.holds["parked-then-connected"] = held
        await asyncio.sleep(0.1)
        await dying.kill()
        await asyncio.sleep(5)
        assert stage.listed() == ["parked"]
        assert [each.call_id for each in stage.facts(FactKind.ANSWERED)] == ["parked-then-connected"]

    play(scene)


class Ending(MemoryFollower):
    """A reader that ends in ways that no reader should: with a mistake, by itself, or as if it had been cancelled."""

    ways: ClassVar[list[BaseException | None]] = []

    async def __aiter__(self) -> AsyncIterator[list[Record]]:
        if self.ways:
            way = self.ways.pop()
            if way is None:
                return
            raise way
        async for batch in super().__aiter__():
            yield batch


class EndingLog(MemoryLog):
    """Its followers of calls end at first."""

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> MemoryFollower:
        if topic is not Topic.CALLS:
            return super().follow(topic, since_ms, offsets=offsets)
        return Ending(self._broker, lambda: self.faults, topic, since_ms, offsets)


@pytest.mark.parametrize("way", [RuntimeError("a mistake"), asyncio.CancelledError(), None])
def test_a_reader_of_the_journal_that_ends_is_told_and_started_again(way: BaseException | None) -> None:
    """Nothing but the end of the process ends it; a replica that is deaf says so for as long as it is (T2)."""

    async def scene(stage: Succession) -> None:
        await stage.kill(1)
        Ending.ways = [way] * 5
        stage.log_of = EndingLog
        await stage.start(1)
        await asyncio.sleep(1.5)
        said = "failover reads the journal"
        assert any(said in remark for remark in stage.replicas[1].remarks())
        assert stage.count(1, "mistakes_total") >= 2
        await asyncio.sleep(10)
        assert not Ending.ways
        await stage.ingresses[0].call("call-1")
        await asyncio.sleep(1)
        await stage.ingresses[0].kill()
        await until_listed(stage, 1, 3.0)
        assert any(said in remark for remark in stage.replicas[1].remarks()), "for a while"
        await asyncio.sleep(300)
        assert not any(said in remark for remark in stage.replicas[1].remarks())

    play(scene, replicas=1)


def test_a_reader_that_never_works_is_told_of_for_as_long_as_that() -> None:
    """Not for five minutes only (T2)."""

    async def scene(stage: Succession) -> None:
        await stage.kill(1)
        Ending.ways = [None] * 1_000_000
        stage.log_of = EndingLog
        await stage.start(1)
        await asyncio.sleep(900)
        assert any("failover reads the journal" in remark for remark in stage.replicas[1].remarks())
        Ending.ways = []

    play(scene, replicas=1)


# Kept copies.


def test_what_is_kept_is_dropped_when_the_log_has_it() -> None:
    """By the fact's identity, or when its call is settled (J4)."""

    async def scene(stage: Succession) -> None:
        ingress, _ = stage.ingresses
        first, second = ingress.offered("call-1"), ingress.offered("call-2")
        assert await ingress.keep("failover:1", first, second)
        assert await ingress.keep("failover:1", first), "the same again is kept already"
        assert stage.count(1, "copies_kept_now") == 2
        ingress.write(first)
        ingress.write(ingress.fact("call-2", FactKind.ANSWERED, settled=True))
        await asyncio.sleep(1)
        assert stage.count(1, "copies_kept_now") == 0

    play(scene)


def test_a_copy_that_does_not_fit_is_refused() -> None:
    """The ingress then says at_risk, not durable (J4)."""

    async def scene(stage: Succession) -> None:
        stage.disks[1].room_bytes = 10
        assert not await stage.ingresses[0].keep("failover:1", stage.ingresses[0].offered("call-1"))
        assert stage.count(1, "copies_refused_total") == 1
        assert await stage.ingresses[0].keep("failover:2", stage.ingresses[0].offered("call-1"))

    play(scene)


def test_kafka_is_gone_and_the_conductor_dies_and_its_keeper_acts_alone() -> None:
    """The keeper of the copy is the only one who knows of the call; back again, Kafka has everything once (J4, T4)."""

    async def scene(stage: Succession) -> None:
        dying, _ = stage.ingresses
        await asyncio.sleep(1)
        stage.kafka(gone=True)
        await asyncio.sleep(5)
        kept = [dying.offered(f"call-{n}", caller="") for n in range(3)]
        assert await dying.keep("failover:2", *kept)
        await dying.kill()
        await asyncio.sleep(3)
        assert stage.count(2, "take_overs_total", outcome="callback_due") == 3
        assert stage.count(1, "take_overs_total", outcome="callback_due") == 0
        for log in stage.logs.values():
            log.fail()
        await until_listed(stage, 3, 10.0)
        await asyncio.sleep(20)
        told = [(each.call_id, each.kind) for each in stage.facts()]
        for kind in (FactKind.OFFERED, FactKind.TAKEN_OVER, FactKind.CALLBACK_DUE):
            assert sorted(call_id for call_id, each in told if each is kind) == ["call-0", "call-1", "call-2"]
        assert all(each.age_ms > 0 for each in stage.facts(FactKind.OFFERED))
        assert stage.count(2, "copies_kept_now") == 0

    play(scene)


def test_a_call_that_was_settled_after_kafka_went_is_nobodys_debt_when_its_conductor_dies() -> None:
    """Both replicas know the debt from the log, the settlement from their copies alone; the talk is over by then, so
    nobody attests it. A replica without the copy would have the caller rung back (J4, T3)."""

    async def scene(stage: Succession) -> None:
        dying = stage.ingresses[0]
        await dying.call("call-1")
        stage.kafka(gone=True)
        settled = dying.fact("call-1", FactKind.ANSWERED, where=Where("P1"), attempt="call-1/1/1", settled=True)
        for replica in ("failover:1", "failover:2"):
            assert await dying.keep(replica, settled)
        await asyncio.sleep(5)
        await dying.kill()
        await asyncio.sleep(20)
        assert stage.dialled == []
        stage.kafka(gone=False)
        await asyncio.sleep(10)
        assert stage.listed() == []
        assert stage.books().real.outcomes[Outcome.ANSWERED] == 1

    play(scene)


def test_a_keeper_that_is_restarted_still_has_its_copies() -> None:
    """On its disk through its own death, with Kafka away all the while (J4)."""

    async def scene(stage: Succession) -> None:
        dying, _ = stage.ingresses
        stage.kafka(gone=True)
        await asyncio.sleep(5)
        assert await dying.keep("failover:1", dying.offered("call-1", caller=""))
        await stage.kill(1)
        await dying.kill()
        await stage.start(1)
        stage.logs[1].fail(absent=True)
        await asyncio.sleep(20)
        assert stage.count(1, "take_overs_total", outcome="callback_due") == 1
        stage.logs[1].fail()
        await until_listed(stage, 1, 10.0)

    play(scene, replicas=1)


def test_a_restarted_keeper_rings_nobody_back_who_was_answered_long_ago() -> None:
    """What lies in a segment that is still needed comes up again, dropped or not: the old goes to the log (J4)."""

    async def scene(stage: Succession) -> None:
        dying, other = stage.ingresses
        held = other.offered("held", due_in_ms=3_000_000)
        assert await other.keep("failover:1", held), "it keeps the segment on the disk"
        for n in range(3):
            offered = dying.offered(f"done-{n}")
            assert await dying.keep("failover:1", offered)
            dying.write(offered, dying.fact(f"done-{n}", FactKind.ANSWERED, where=Where("P1"), settled=True))
        await asyncio.sleep(3_600)
        await dying.kill()
        await asyncio.sleep(5)
        await stage.kill(1)
        await stage.start(1)
        await asyncio.sleep(20)
        assert stage.listed() == []
        assert stage.dialled == []
        again = [each for each in stage.facts(FactKind.OFFERED) if each.call_id == "done-0"]
        assert [each.age_ms > 3_600_000 for each in again] == [False, True], "given to the log, with its age"

    play(scene, replicas=1)


def test_a_copy_that_comes_after_its_fact_is_not_kept() -> None:
    """The disk is slower than Kafka: nothing more would ever drop it (J4)."""

    async def scene(stage: Succession) -> None:
        ingress, _ = stage.ingresses
        stage.disks[1].slow_s = 0.05
        for n in range(5):
            offered = ingress.offered(f"call-{n}")
            keeping = asyncio.ensure_future(ingress.keep("failover:1", offered))
            await asyncio.sleep(0.02)
            ingress.write(offered)
            assert await keeping
        assert await ingress.keep("failover:1", offered), "the log has it"
        await asyncio.sleep(1)
        assert stage.count(1, "copies_kept_now") == 0
        assert not [path for path in stage.disks[1].files if "kept" in path.parts]

    play(scene, replicas=1)


def test_a_hung_disk_keeps_no_replica_from_starting() -> None:
    """It dials lines and takes up debts without one, and says so (J4)."""

    async def scene(stage: Succession) -> None:
        await stage.kill(1)
        stage.disks[1].hangs_s = 1e6
        async with asyncio.timeout(10):
            await stage.start(1)
        assert any(remark.startswith("kept copies: ") for remark in stage.replicas[1].remarks())
        await stage.ingresses[0].call("call-1")
        await asyncio.sleep(5)
        await stage.ingresses[0].kill()
        await until_listed(stage, 1, 5.0)

    play(scene, replicas=1)


def test_a_disk_that_is_well_again_keeps_copies_and_brings_up_the_old_ones() -> None:
    """Broken at the start only, or full of what a former process kept: it is opened again by itself (J4)."""

    async def scene(stage: Succession) -> None:
        dying, living = stage.ingresses
        stage.kafka(gone=True)
        assert await dying.keep("failover:1", dying.offered("call-1", caller=""))
        await stage.kill(1)
        stage.kafka(gone=False)
        stage.disks[1].broken = "mounted too late"
        await stage.start(1)
        assert not await living.keep("failover:1", living.offered("call-2"))
        await dying.kill()
        await asyncio.sleep(10)
        stage.disks[1].broken = ""
        await until_listed(stage, 1, 10.0)
        assert await living.keep("failover:1", living.offered("call-2"))
        assert not any(remark.startswith("kept copies: ") for remark in stage.replicas[1].remarks())

    play(scene, replicas=1)


# Lines that ring back.


async def connects(dialled: Any) -> None:
    """Somebody at the line answers; the caller's telephone is picked up a while after the connect."""
    await dialled.ring()
    await asyncio.sleep(4)
    await dialled.answer()
    assert await dialled.hear() == "connect"
    await asyncio.sleep(10)
    await dialled.connected()


async def caller_is_busy(dialled: Any) -> None:
    """The person answers, and the caller's line is busy."""
    await dialled.ring()
    await dialled.answer()
    if await dialled.hear() == "connect":
        await dialled.reject(delivery_pb2.REJECTION_NO_ANSWER)


def test_a_line_is_asked_to_ring_the_caller_back_and_the_entry_is_closed_when_they_talk() -> None:
    """After three seconds without a higher leg: the own lines of where it was tried (T3)."""

    async def scene(stage: Succession) -> None:
        stage.script = connects
        await stage.ingresses[0].call("call-1")
        await stage.ingresses[0].kill()
        took_s = await until_listed(stage, 1, 2.0)
        while not stage.dialled:
            await asyncio.sleep(0.1)
            took_s += 0.1
        assert took_s < 6
        number = stage.dialled[0].number
        assert (number.callback, number.caller, number.where.psap_id, number.where.line) == (
            True,
            CALLER,
            "P1",
            P1_FIRST,
        )
        assert (number.reason, number.keep_free, number.leg) == ("conductor_lost", 1, 1)
        assert stage.facts(FactKind.RECONNECTED) == [], "not before they talk"
        await asyncio.sleep(20)
        (told,) = stage.facts(FactKind.RECONNECTED)
        assert (told.settled, told.where) == (True, Where("P1", P1_FIRST))
        assert len(stage.facts(FactKind.CALLBACK_ATTEMPTED)) == 1
        assert stage.books().real.outcomes[Outcome.CALLBACK_CLOSED] == 1
        await asyncio.sleep(120)
        assert len(stage.dialled) == 1, "one line, once, by one replica"

    play(scene)


def test_a_caller_who_is_busy_is_tried_three_times_and_then_left_to_people() -> None:
    """Further and further apart, the last time by the region's own line; the entry stays open (T3)."""

    async def scene(stage: Succession) -> None:
        stage.script = caller_is_busy
        await stage.ingresses[0].call("call-1")
        await stage.ingresses[0].kill()
        await asyncio.sleep(200)
        assert [each.number.where.psap_id for each in stage.dialled] == ["P1", "P1", "region"]
        pauses = [later.at - before.at for before, later in zip(stage.dialled, stage.dialled[1:], strict=False)]
        assert 15 < pauses[0] < 17 and 45 < pauses[1] < 47
        assert len(stage.facts(FactKind.CALLBACK_ATTEMPTED)) == 6
        assert stage.facts(FactKind.RECONNECTED) == []
        assert stage.books().real.outcomes[Outcome.CALLBACK_OPEN] == 1

    play(scene)


def test_a_higher_leg_takes_the_task_back_from_the_line() -> None:
    """The caller's side has offered again: the telephone there stops ringing (T3)."""

    async def scene(stage: Succession) -> None:
        dying, living = stage.ingresses
        await dying.call("call-1")
        await dying.kill()
        await asyncio.sleep(6)
        (dialled,) = stage.dialled
        assert not dialled.released.is_set()
        await living.call("call-1", leg=2)
        await asyncio.wait_for(dialled.released.wait(), 1.0)
        await asyncio.sleep(100)
        assert len(stage.dialled) == 1

    play(scene)


def test_somebody_who_attests_after_all_settles_it_before_any_line_rings() -> None:
    """Asked once more before the first try (T3)."""

    async def scene(stage: Succession) -> None:
        stage.says = UNKNOWN
        await stage.ingresses[0].call("call-1")
        await stage.ingresses[0].kill()
        await until_listed(stage, 1, 2.0)
        stage.holds["call-1"] = Holding(Standing.CONNECTED, "call-1/1/1", Where("P1"))
        await asyncio.sleep(10)
        assert stage.dialled == []
        assert len(stage.facts(FactKind.ANSWERED)) == 1

    play(scene)


@pytest.mark.parametrize("line", ["answers", "is_full"])
def test_who_could_not_say_is_asked_again_before_the_caller_is_rung_and_after_a_try(line: str) -> None:
    """The trunk that has the caller could not be asked: nobody's telephone rings beside a talk, and the list has one
    entry less as soon as it can be (T3)."""
    heard: list[str | None] = []

    async def scene(stage: Succession) -> None:
        async def is_heard_again(dialled: Any) -> None:
            stage.holds["call-1"] = Holding(Standing.CONNECTED, "call-1/1/2", Where("P1", P1_SECOND))
            if line == "is_full":
                await dialled.reject(delivery_pb2.REJECTION_FULL)
                return
            await dialled.ring()
            await dialled.answer()
            heard.append(await dialled.hear())

        stage.says, stage.script = UNKNOWN, is_heard_again
        await stage.ingresses[0].call("call-1")
        await stage.ingresses[0].kill()
        await until_listed(stage, 1, 2.0)
        await asyncio.sleep(8)
        assert heard == (["release"] if line == "answers" else [])
        (told,) = stage.facts(FactKind.DIVERTED)
        assert (told.reason, told.attempt, told.where) == ("attested", "call-1/1/2", Where("P1", P1_SECOND))
        dials = len(stage.dialled)
        assert sum(stage.count(each, "ring_backs_total", outcome="attested") for each in (1, 2)) == 1
        await asyncio.sleep(100)
        assert len(stage.dialled) == dials
        outcomes = stage.books().real.outcomes
        assert (outcomes[Outcome.DIVERTED], outcomes[Outcome.CALLBACK_OPEN]) == (1, 0)

    play(scene)


def test_a_caller_of_whom_somebody_still_says_nothing_is_rung_back_all_the_same() -> None:
    """Who stays silent costs the person at the line half a second, and the caller nothing (T3, P4)."""

    async def scene(stage: Succession) -> None:
        stage.says_after_s, stage.script = 60.0, connects
        await stage.ingresses[0].call("call-1")
        await stage.ingresses[0].kill()
        await asyncio.sleep(30)
        assert len(stage.facts(FactKind.RECONNECTED)) == 1
        assert len(stage.dialled) == 1

    play(scene)


def test_the_replica_that_asked_a_line_dies_and_another_goes_on() -> None:
    """The line rings no more with its replica; nothing is heard for a while, then the next try is another's (T4)."""

    async def scene(stage: Succession) -> None:
        await stage.ingresses[0].call("call-1")
        await stage.ingresses[0].kill()
        await asyncio.sleep(6)
        (begun,) = stage.facts(FactKind.CALLBACK_ATTEMPTED)
        dead = int(begun.reason.rpartition("-")[2])
        await stage.kill(dead)
        await asyncio.sleep(130)
        assert len(stage.dialled) == 2
        assert stage.dialled[1].number.attempt == "call-1/1/1002"

    play(scene)


def test_a_line_that_rings_a_caller_back_gives_way_at_once_to_a_caller_who_is_on_the_line() -> None:
    """The one is on the list and is tried again; the other hears it ring (R6, R7)."""
    taken: list[str] = []

    async def one_channel(dialled: Any) -> None:
        if taken or dialled.line != P1_FIRST:
            await dialled.reject(delivery_pb2.REJECTION_FULL)
            return
        taken.append(dialled.number.call_id)
        await dialled.ring()
        await dialled.hear()
        await asyncio.sleep(0.05)
        taken.clear()

    async def scene(stage: Succession) -> None:
        stage.script = one_channel
        await stage.ingresses[0].call("call-1")
        await stage.ingresses[0].kill()
        await asyncio.sleep(6)
        assert taken == ["call-1"]
        diversion = Diversion(stage.network, "P1", "full", "on-the-line")
        began = now()
        await diversion.offer()
        assert await diversion.rung() == P1_FIRST
        assert now() - began < 0.2
        await asyncio.sleep(1)
        assert [each.reason for each in stage.facts(FactKind.CALLBACK_ATTEMPTED)][1:] == ["given_back"]
        assert stage.books().real.outcomes[Outcome.CALLBACK_OPEN] == 1

    play(scene, replicas=1)


def test_nobody_is_rung_back_whose_conductor_lives_after_all() -> None:
    """Its address refused us for a moment: its calls are on the list, but it has the callers on its lines (T1, T3)."""

    async def scene(stage: Succession) -> None:
        ingress, _ = stage.ingresses
        await ingress.call("call-1")
        await ingress.refuse()
        await until_listed(stage, 1, 2.0)
        await ingress.serve()
        for _ in range(20):
            await asyncio.sleep(1)
            ingress.write(ingress.ringing("call-1", Where("P1")))
        assert stage.dialled == []
        await ingress.kill()
        await asyncio.sleep(6)
        assert len(stage.dialled) == 1, "and now nobody has them"

    play(scene)


def test_an_ingress_whose_stream_broke_is_asked_before_anything_is_taken_from_it() -> None:
    """Streams cannot be opened, and it answers questions all the same: it keeps its calls (T1)."""

    async def scene(stage: Succession) -> None:
        ingress, _ = stage.ingresses
        await ingress.call("call-1")
        await ingress.refuse(streams_alone=True)
        await asyncio.sleep(10)
        assert stage.listed() == []
        await ingress.kill()
        await until_listed(stage, 1, 2.0)

    play(scene)


class PausingFollower(MemoryFollower):
    """Gives one record at a time, and nothing for a while after an urgent entry."""

    async def __aiter__(self) -> AsyncIterator[list[Record]]:
        async for batch in super().__aiter__():
            for record in batch:
                yield [record]
                said = facts.read(record.value)
                if isinstance(said, Fact) and said.urgent:
                    await asyncio.sleep(8)


class PausingLog(MemoryLog):
    """A log that is slow to give what it holds of calls."""

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> MemoryFollower:
        if topic is not Topic.CALLS:
            return super().follow(topic, since_ms, offsets=offsets)
        return PausingFollower(self._broker, lambda: self.faults, topic, since_ms, offsets)


def test_a_replica_that_still_reads_the_journal_rings_nobody_back() -> None:
    """Kafka is slow with the rest, in which the entry was closed (T3)."""

    async def scene(stage: Succession) -> None:
        await stage.ingresses[0].call("call-1")
        await stage.ingresses[0].kill()
        await until_listed(stage, 1, 2.0)
        closer = stage.ingresses[1]
        closer.write(closer.fact("call-1", FactKind.CLOSED_BY_HUMAN, settled=True))
        await asyncio.sleep(1)
        await stage.kill(1)
        stage.log_of = PausingLog
        await stage.start(1)
        await asyncio.sleep(60)
        assert stage.dialled == []

    play(scene, replicas=1)


@pytest.mark.parametrize("too_late", [False, True])
def test_what_is_told_of_a_try_names_the_attempt_that_was_dialled(too_late: bool) -> None:
    """A higher leg comes while the line rings, or in the instant in which they begin to talk there (T3, J1)."""
    leg_has_come = asyncio.Event()

    async def talks_then(dialled: Any) -> None:
        await dialled.ring()
        await dialled.answer()
        assert await dialled.hear() == "connect"
        await leg_has_come.wait()
        await dialled.connected()

    async def scene(stage: Succession) -> None:
        stage.script = talks_then if too_late else rings
        dying, living = stage.ingresses
        await dying.call("call-1")
        await dying.kill()
        await asyncio.sleep(6)
        assert [each.number.attempt for each in stage.dialled] == ["call-1/1/1001"]
        living.write(living.offered("call-1", leg=5))
        await asyncio.sleep(0.01)
        leg_has_come.set()
        await asyncio.sleep(20)
        told = stage.facts(FactKind.CALLBACK_ATTEMPTED, FactKind.RECONNECTED)
        assert [(each.attempt, each.leg) for each in told] == [("call-1/1/1001", 1)] * 2
        assert told[-1].kind is (FactKind.RECONNECTED if too_late else FactKind.CALLBACK_ATTEMPTED)

    play(scene)
