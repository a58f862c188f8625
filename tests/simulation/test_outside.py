"""The world outside beside the real services under virtual time: what three witnesses say of the same calls agrees."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest
from throughline.v1 import place_pb2, trunk_pb2

from loadtest.answering_point import Fault
from loadtest.books import Kept, Reading
from loadtest.callers import Planned
from loadtest.diary import MemoryDiary
from loadtest.humans import Humans
from loadtest.leg import NetworkMischief
from loadtest.mischief import Mischief
from loadtest.region_tables import RegionTables
from loadtest.trunk import Trunk, TrunkFault
from loadtest.witness import compare
from services.domain.fold import Outcome
from services.domain.place import Circle
from services.journal import Topic
from simulator.outside import Outside, Surroundings
from simulator.run import run
from simulator.schedule import Schedule, calls_of
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.services.ingress_stage import WORCESTER
from tests.simulation.backbone import REGION, Backbone, token_of
from tests.simulation.seeds import KILLED_AGAIN
from tests.simulation.test_one_call import worcester

HOME = worcester()[0]
BOSTON = place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=42.36, longitude=-71.06), radius_m=10))
ELSEWHERE = REGION.locate(Circle(42.36, -71.06, 0.0)).candidates[0]
GATEWAYS = ("gateway:1", "gateway:2")
INGRESSES = ("ingress:1", "ingress:2")
TRUNKS = ("trunk:1", "trunk:2")
SOURCES = ("wireless", "wireline")
LINES = RegionTables().lines
SETTLES_S = 40.0
"""Everybody has talked, and who is owed a callback has been rung."""
CALLS = 6

Trouble = Callable[[Outside], Awaitable[None]]


async def nothing(outside: Outside) -> None:
    """All is well."""


def planned(
    calls: int = CALLS,
    mischief: NetworkMischief = NetworkMischief.NONE,
    name: str = "call",
    place: place_pb2.Place = WORCESTER,
    from_s: float = 0.0,
) -> list[Planned]:
    """Callers of one town, two a second, by both networks in turn."""
    return [
        Planned(
            from_s + n / 2, f"{name}-{n}", f"+1508555010{n % 10}", "urn:service:sos", SOURCES[n % 2], place,
            mischief=mischief,
        )
        for n in range(calls)
    ]  # fmt: skip


class Told:
    """What the three witnesses said."""

    def __init__(self, outside: Outside, kept: Kept) -> None:
        self.callers = outside.callers
        self.far_end = outside.far_end
        self.kept = kept
        self.heard = Counter(entry["event"] for entry in self.callers)
        self.seen = Counter(entry["event"] for entry in self.far_end)
        self.verdict = compare(self.callers, self.far_end, kept.entries)


def play(plan: Sequence[Planned], trouble: Trouble = nothing, positions: int = 4) -> Told:
    """The plan's calls, with two PSAPs of the region attached, all of its lines, two trunks and two ingresses."""

    async def scene() -> Told:
        async with Backbone([], TRUNKS, INGRESSES) as backbone:
            around = Surroundings(
                {HOME: positions, ELSEWHERE: CALLS},
                {each: token_of(each) for each in (HOME, ELSEWHERE)},
                LINES,
                GATEWAYS,
                INGRESSES,
                TRUNKS,
                SOURCES,
            )
            outside = Outside(around, backbone.network.host, seed=7, wall_ms=virtual_wall_ms)
            await outside.start()
            await asyncio.sleep(1.0)
            await trouble(outside)
            await outside.run(plan)
            await asyncio.sleep(SETTLES_S)
            await outside.stop()
            reading = Reading()
            reading.take(backbone.broker.records(Topic.CALLS))
            return Told(outside, reading.kept())

    return run_virtual(scene(), limit_s=3600)


def test_three_witnesses_agree_about_twenty_calls() -> None:
    """P1 to P4, R1 to R7, J2: everybody talks to somebody or is rung back, and all three accounts say the same."""
    told = play(planned(20))
    assert told.verdict.disagreements == ()
    assert told.verdict.calls == told.verdict.accepted >= 20
    assert told.verdict.connected + told.verdict.left_unanswered == told.verdict.calls
    assert told.kept.books.sound
    outcomes = told.kept.books.real.outcomes
    assert outcomes[Outcome.ANSWERED] > 0 and outcomes[Outcome.DIVERTED] > 0


def test_the_comparer_finds_out_an_account_that_lacks_an_entry() -> None:
    """The agreement above is worth something: a connection that the far end did not see is missed (P4)."""
    told = play(planned())
    connected = next(entry for entry in told.far_end if entry["event"] == "connected")
    less = [entry for entry in told.far_end if entry is not connected]
    verdict = compare(told.callers, less, told.kept.entries)
    assert {each.call_id for each in verdict.disagreements} == {connected["call_id"]}


def test_one_seed_is_one_account() -> None:
    """The same plan twice leaves the same two accounts, entry for entry."""
    once, again = play(planned()), play(planned())
    assert (once.callers, once.far_end) == (again.callers, again.far_end)


@pytest.mark.parametrize("mischief", [each for each in NetworkMischief if each is not NetworkMischief.NONE])
def test_whatever_an_originating_network_does_wrong_its_calls_are_accounted_for(mischief: NetworkMischief) -> None:
    """P2, P4, P6, P8: the witnesses agree, and the books are sound."""
    told = play(planned(mischief=mischief))
    assert told.heard["misbehaved"] >= CALLS
    assert told.verdict.disagreements == ()
    assert told.kept.books.sound


def others_attempts(told: Told) -> list[tuple[str, str]]:
    """All that became of the calls elsewhere, at which PSAP or line, in order."""
    return [(entry["event"], entry["attempt"]) for entry in told.far_end if entry["call_id"].startswith("other")]


@pytest.fixture(scope="module")
def undisturbed() -> list[tuple[str, str]]:
    """What becomes of them where nobody does wrong."""
    return others_attempts(play([*planned(), *planned(name="other", place=BOSTON)]))


@pytest.mark.parametrize("mischief", [each for each in Mischief if each is not Mischief.NONE])
def test_whatever_a_psap_does_wrong_callers_are_connected_once_and_elsewhere_nobody_notices(
    mischief: Mischief, undisturbed: list[tuple[str, str]]
) -> None:
    """R2: it loses the stream, and not its calls; those at another PSAP ring and are answered as if nothing were."""

    async def misbehave(outside: Outside) -> None:
        outside.mischief(HOME, mischief)

    told = play([*planned(), *planned(name="other", place=BOSTON)], misbehave)
    assert told.seen["misbehaved"] > 0
    assert told.verdict.disagreements == ()
    assert told.verdict.connected == 2 * CALLS
    assert others_attempts(told) == undisturbed


@pytest.mark.parametrize("fault", [each for each in Fault if each is not Fault.NONE])
def test_whatever_is_wrong_with_a_psap_its_callers_are_connected(fault: Fault) -> None:
    """R5, R6: by its lines, where it cannot; and by itself again when it is well."""

    async def strike(outside: Outside) -> None:
        outside.fault(HOME, fault)
        asyncio.get_running_loop().call_later(60.0, outside.heal, HOME)

    told = play([*planned(), *planned(name="later", from_s=70.0)], strike)
    assert told.verdict.disagreements == ()
    assert told.verdict.connected == 2 * CALLS
    by_line = [entry for entry in told.callers if entry["event"] == "connected" and "line" in entry]
    assert len(by_line) < 2 * CALLS
    assert fault is Fault.LATE or len(by_line) >= CALLS


@pytest.mark.parametrize("fault", [each for each in TrunkFault if each is not TrunkFault.NONE])
def test_whatever_is_wrong_with_one_trunk_the_other_serves(fault: TrunkFault) -> None:
    """R7: each line is tried through each trunk."""

    async def strike(outside: Outside) -> None:
        outside.fault(HOME, Fault.REJECT)
        await outside.trunk_fault(TRUNKS[0], fault)

    told = play(planned(), strike)
    assert told.verdict.disagreements == ()
    assert told.verdict.connected == CALLS


def test_a_caller_whose_call_is_carried_still_is_not_reached_by_a_line_that_rings_them_back() -> None:
    """T3: they have one telephone, and it is off the hook while their network offers leg after leg."""
    seen = run(Schedule(46, calls_of(46, 30, KILLED_AGAIN), KILLED_AGAIN))
    carried_ms: dict[str, list[int]] = {}
    for entry in seen.callers:
        carried_ms.setdefault(entry["call_id"], []).append(entry["at_ms"])
    met_busy = 0
    for entry in seen.far_end:
        times = carried_ms[entry["call_id"]]
        still = times[0] <= entry["at_ms"] < times[-1]
        assert not (entry["event"] == "rung_back" and still), entry
        met_busy += still and entry.get("reason") == "caller_busy"
    assert met_busy > 0


@pytest.mark.parametrize("busy", [True, False])
def test_a_caller_who_dials_anew_while_they_are_rung_back_is_busy(busy: bool) -> None:
    """T3: who talks to them then is their own call's business."""

    async def scene() -> tuple[str, str]:
        dials: set[str] = set()
        diary = MemoryDiary("far-end", virtual_wall_ms)
        trunk = Trunk([LINES[0]], Humans(1), diary, dials.__contains__)
        number = place_pb2.Where(psap_id=LINES[0].owner, line=LINES[0].number)
        ring = trunk.dial(
            trunk_pb2.DialNumber(attempt="c/1/1", call_id="c", where=number, callback=True, caller="+15085550142")
        )
        while (word := await ring.unsaid.get()) is not None:
            said = str(word.WhichOneof("said"))
            if said == "answer":
                trunk.connect(ring)
                dials |= {"+15085550142"} if busy else set()
            elif said != "ringing":
                return said, word.rejected.reason
        raise AssertionError("the stream ended without a word")

    assert run_virtual(scene()) == (("rejected", "caller_busy") if busy else ("connected", ""))
