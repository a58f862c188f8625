"""The firewall's real shell under virtual time, and its rulebook by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from throughline.v1 import call_pb2, place_pb2, screening_pb2

from services.domain.offer import Offer
from services.domain.policy import Divert, Flag, Pass, Verdict
from services.firewall.rulebook import CALLERS_REMEMBERED_MAX, Rule, Rulebook
from services.firewall.service import Firewall, Policy
from services.firewall.settings import FirewallSettings
from services.host.files import MemoryFiles
from services.host.network import Broken, Status
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.wire import verdicts
from services.wire.methods import SCREEN
from simulator.virtual_loop import run_virtual, virtual_wall_ms

NUISANCE = "+15085550199"


class Stage:
    """One firewall on a memory network."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.network = MemoryNetwork()
        self.broker = MemoryBroker(virtual_wall_ms)
        self.log = MemoryLog(self.broker)
        self.registry = CollectorRegistry()
        world = World(
            name="firewall-1",
            incarnation="000000000000-0001",
            network=self.network,
            log=self.log,
            wall_ms=virtual_wall_ms,
            random=random.Random(1),
            files=MemoryFiles(),
            disk=MemoryDisk(),
            registry=self.registry,
            logger=structlog.stdlib.get_logger(),
        )
        settings = FirewallSettings(name="firewall-1", listen="firewall:1", nuisance_numbers=(NUISANCE,))
        self.firewall = Firewall(world, settings, policy)

    async def screen(self, call_id: str, caller: str = "+15085550101", **offer: Any) -> screening_pb2.Verdict:
        said = screening_pb2.ScreenRequest(offer=call_pb2.Offer(call_id=call_id, leg=1, caller=caller, **offer))
        return (await self.network.ask("firewall:1", SCREEN, said, within_s=0.15)).verdict

    def published(self) -> list[screening_pb2.Screening]:
        records = self.broker.records(Topic.SCREENINGS)
        return [screening_pb2.Screening.FromString(record.value) for record in records]


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]], policy: Policy | None = None) -> None:
    async def staged() -> None:
        stage = Stage(policy)
        await stage.firewall.start()
        await scene(stage)
        await stage.firewall.stop(0.0)

    run_virtual(staged())


def test_a_call_passes_and_the_verdict_is_published() -> None:
    """Pass, under the policy's name; one record on `screenings`."""

    async def scene(stage: Stage) -> None:
        verdict = await stage.screen("call-1")
        assert verdicts.to_domain(verdict) == Pass()
        assert verdict.policy == "built-in-1"
        await asyncio.sleep(0.1)
        (told,) = stage.published()
        assert (told.call_id, told.leg, told.firewall, told.verdict) == ("call-1", 1, "firewall-1", verdict)

    play(scene)


def test_a_caller_who_repeats_is_flagged_and_never_stopped() -> None:
    """The sixth call within a minute carries a suspicion, and goes on."""

    async def scene(stage: Stage) -> None:
        said = [verdicts.to_domain(await stage.screen(f"call-{n}")) for n in range(7)]
        assert said[:5] == [Pass()] * 5
        assert said[5:] == [
            Flag(40, "caller-repeats", "6_calls_in_60_s"),
            Flag(40, "caller-repeats", "7_calls_in_60_s"),
        ]
        assert verdicts.to_domain(await stage.screen("call-x", caller="+15085550102")) == Pass()
        await asyncio.sleep(60)
        assert verdicts.to_domain(await stage.screen("call-y")) == Pass()

    play(scene)


def test_a_listed_number_that_repeats_goes_to_a_staffed_desk() -> None:
    """Divert to people, from its third call on; the first two pass as any other's."""

    async def scene(stage: Stage) -> None:
        said = [verdicts.to_domain(await stage.screen(f"call-{n}", caller=NUISANCE)) for n in range(3)]
        assert said == [Pass(), Pass(), Divert("nuisance-desk", "nuisance-repeats", "3_calls_in_60_s")]

    play(scene)


def test_screening_the_same_call_again_gives_the_same_verdict_and_counts_once() -> None:
    """Windows count distinct call_ids, and screening is idempotent by call_id (L3)."""

    async def scene(stage: Stage) -> None:
        for _ in range(50):
            assert verdicts.to_domain(await stage.screen("call-1")) == Pass()
        assert verdicts.to_domain(await stage.screen("call-2")) == Pass()

    play(scene)


def test_callers_without_a_number_are_not_one_caller() -> None:
    """Phones without a number are many; none of them is flagged for the others."""

    async def scene(stage: Stage) -> None:
        said = [verdicts.to_domain(await stage.screen(f"call-{n}", caller="")) for n in range(20)]
        assert said == [Pass()] * 20

    play(scene)


class _Raises:
    name = "broken-1"

    def judge(self, offer: Offer, now: float) -> Verdict:
        raise ZeroDivisionError("a rule that divides by the number of callers")


class _SaysNothing:
    name = "broken-2"

    def judge(self, offer: Offer, now: float) -> Verdict:
        return None  # type: ignore[return-value]


class _SaysTheImpossible:
    name = "broken-3"

    def judge(self, offer: Offer, now: float) -> Verdict:
        return Flag(-5, "rule", "a score that no message can carry")


@pytest.mark.parametrize("policy", [_Raises(), _SaysNothing(), _SaysTheImpossible()])
def test_whatever_goes_wrong_inside_is_a_pass(policy: Policy) -> None:
    """A firewall that fails, fails open, and says so (architecture.md, promise 2)."""

    async def scene(stage: Stage) -> None:
        verdict = await stage.screen("call-1")
        assert verdicts.to_domain(verdict) == Pass()
        assert verdict.policy == "failed-open"
        assert stage.registry.get_sample_value("throughline_firewall_failed_open_total") == 1

    play(scene, policy)


def test_an_odd_offer_is_screened_as_any_other() -> None:
    """NaN, an endless caller, no call_id: a verdict all the same."""

    async def scene(stage: Stage) -> None:
        nowhere = place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=float("nan"))))
        assert verdicts.to_domain(await stage.screen("", caller="x" * 5_000, place=nowhere)) == Pass()

    play(scene)


def test_without_kafka_verdicts_are_given_all_the_same() -> None:
    """A remark, no trouble; the record lands when Kafka is back (J6)."""

    async def scene(stage: Stage) -> None:
        stage.log.fail(absent=True)
        assert verdicts.to_domain(await stage.screen("call-1")) == Pass()
        await asyncio.sleep(0.1)
        assert stage.firewall.troubles() == []
        assert "journal" in stage.firewall.remarks()[0]
        stage.log.fail()
        await asyncio.sleep(3)
        assert [each.call_id for each in stage.published()] == ["call-1"]

    play(scene)


def test_a_firewall_that_stops_says_draining() -> None:
    """UNAVAILABLE("draining"): the conductor goes on unscreened at once (L4)."""

    async def scene(stage: Stage) -> None:
        asking = asyncio.ensure_future(stage.firewall.stop(1.0))
        await asyncio.sleep(0)
        with pytest.raises(Broken) as broken:
            await stage.screen("call-1")
        assert broken.value.status is Status.UNAVAILABLE
        await asking

    play(scene)


CALLS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.floats(0, 40)), max_size=40)


@given(CALLS)
def test_the_rulebook_agrees_with_counting_from_the_beginning(calls: list[tuple[str, int, float]]) -> None:
    """Against a plain model: the n-th distinct call of a caller within the window is what the rule says."""
    book = Rulebook("t", [Rule("r", 3, 30.0, score=9)])
    first_at: dict[str, float] = {}
    said: dict[str, Verdict] = {}
    now = 0.0
    for caller, number, pause in calls:
        now += pause
        call_id = f"{caller}{number}"
        verdict = book.judge(Offer(call_id, 1, caller, "urn:service:sos", None), now)
        if call_id not in first_at:
            first_at[call_id] = now
            count = sum(1 for each, at in first_at.items() if each[0] == caller and now - at < 30.0)
            said[call_id] = Flag(9, "r", f"{count}_calls_in_30_s") if count >= 3 else Pass()
        assert verdict == said[call_id]


def test_the_rulebook_forgets_the_oldest_caller_past_its_bound() -> None:
    """Memory is bounded whatever numbers are made up; forgetting only makes a verdict milder."""
    book = Rulebook("t", [Rule("r", 2, 1e9, score=9)])
    book.judge(Offer("first", 1, "first", "", None), 0.0)
    for number in range(CALLERS_REMEMBERED_MAX):
        book.judge(Offer(f"c{number}", 1, f"n{number}", "", None), 1.0)
    assert book.judge(Offer("second", 1, "first", "", None), 2.0) == Pass()
    again = Offer("third", 1, f"n{CALLERS_REMEMBERED_MAX - 1}", "", None)
    assert book.judge(again, 2.0) == Flag(9, "r", "2_calls_in_1e+09_s")
