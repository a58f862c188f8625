"""The calls that a policy is tried on: corpora, and what firewalls recorded."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from throughline.v1 import screening_pb2

from loadtest.corpora import DAY_CALLS, day, flood, storm
from services.domain.offer import SOS_URN, Device, Offer
from services.host.settings import ROOT
from services.journal import Topic
from services.journal.memory import MemoryBroker, MemoryLog
from services.policy.checks.grounds import COUNTS_MIN
from services.policy.files.built_in import built_in
from services.policy.files.reading import read_bundle
from services.policy.replays.difference import Call
from services.policy.replays.replaying import Judging, replay
from services.policy.verdicts.evaluating import Evaluation
from services.policy_cli.corpora import calls_of, read_region
from services.policy_cli.progress import Progress
from services.policy_cli.recordings import call_of, calls_in
from services.wire import screenings

BOSTON = ZoneInfo("America/New_York")
REGION = ROOT / "data" / "massachusetts"
FICTION = re.compile(r"\+1\d{3}55501\d\d|\+1911\d{7}|")
DAY_S_MAX = 10.0


@pytest.fixture(scope="module")
def one_day() -> list[tuple[int, Offer]]:
    return day(REGION)


def called(offered: list[tuple[int, Offer]]) -> list[Call]:
    return list(calls_of(offered, read_region(REGION), BOSTON))


def test_a_day_has_its_calls_its_busiest_hour_and_callers_who_are_nobody(one_day: list[tuple[int, Offer]]) -> None:
    """8,800 calls, the busiest hour near 1.58 times the mean, each number 555-01XX or of a phone without service."""
    assert len(one_day) == DAY_CALLS
    assert [at_ms for at_ms, _ in one_day] == sorted(at_ms for at_ms, _ in one_day)
    assert [offer for _, offer in one_day if not FICTION.fullmatch(offer.caller)] == []
    hours = Counter(datetime.fromtimestamp(at_ms / 1000, BOSTON).hour for at_ms, _ in one_day)
    assert 1.4 < max(hours.values()) / (DAY_CALLS / 24) < 1.8
    assert len({offer.call_id for _, offer in one_day}) == DAY_CALLS


def test_a_day_has_calls_of_each_kind(one_day: list[tuple[int, Offer]]) -> None:
    """A rule for those who text, or who ask for the police, is tried on some."""
    devices = Counter(offer.device for _, offer in one_day)
    assert {Device.WIRELESS, Device.WIRELINE, Device.VOIP, Device.TEXT} == set(devices)
    assert devices[Device.TEXT] / DAY_CALLS == pytest.approx(0.002, abs=0.001)
    assert (devices[Device.WIRELESS] + devices[Device.TEXT]) / DAY_CALLS == pytest.approx(0.8, abs=0.02)
    services = Counter(offer.service_urn for _, offer in one_day)
    assert {f"{SOS_URN}{kind}" for kind in ("", ".police", ".fire", ".ambulance")} == set(services)
    assert services[SOS_URN] / DAY_CALLS > 0.95


def test_no_call_of_an_ordinary_day_or_of_the_storm_meets_a_shared_count_that_is_a_ground(
    one_day: list[tuple[int, Offer]],
) -> None:
    """What tells a flood from the ordinary: or a trunk's ordinary callers would be diverted for an ordinary hour."""
    for call in [*called(one_day), *called(storm(REGION))]:
        for name, least in COUNTS_MIN.items():
            assert name.startswith("number") or int(call.inputs[name]) < least, (name, call.inputs[name])


def test_a_corpus_is_the_same_each_time() -> None:
    """Or two people could not compare their replays."""
    assert storm(REGION) == storm(REGION)


def test_a_flood_is_ten_times_its_hour_from_fifty_numbers() -> None:
    """And ordinary callers between."""
    calls = Counter(offer.caller for _, offer in flood(REGION))
    flooding = [number for number, count in calls.items() if count > 30 and number]
    assert len(flooding) == 50
    flooded = sum(calls[number] for number in flooding)
    assert flooded == pytest.approx(10 * (calls.total() - flooded), rel=0.01)


def test_a_massachusetts_day_is_replayed_in_ten_seconds(one_day: list[tuple[int, Offer]]) -> None:
    """Of CPU, by a machine that does other things meanwhile: windows, two bundles, guards and breakers."""
    bundle = read_bundle((ROOT / "data" / "policy" / "examples" / "nuisance.yaml").read_bytes())
    began = time.process_time()
    sides = [Judging(each, Evaluation(each), {"nuisance-desk"}, time.thread_time_ns) for each in (built_in(), bundle)]
    difference = replay(sides[0], sides[1], called(one_day))
    assert time.process_time() - began < DAY_S_MAX
    assert difference.calls == DAY_CALLS


def test_a_call_far_out_at_sea_has_no_town() -> None:
    """The region's default PSAP is not its home: no rule of a PSAP or town may be true for it."""
    [call] = called([(1_000, Offer("c", 1, "+16175550100", "urn:service:sos", None))])
    assert (call.inputs["area"], call.inputs["psap"], call.first) == ("", "", True)


async def test_recorded_calls_are_replayed_as_they_were_screened(tmp_path: Path) -> None:
    """By the inputs and counts of then, once a call; test calls and a shadow's word are not among them."""
    offered = storm(REGION)[:40]
    repeated = [*offered, *((at_ms + 5_000, offer) for at_ms, offer in offered[:3])]
    wanted = called([(at_ms, offer) for at_ms, offer in repeated[:40]])
    log = MemoryLog(MemoryBroker(lambda: 0))
    await log.start()
    for call in wanted:
        for leg, shadow in ((1, False), (2, False), (1, True)):
            record = screening_pb2.Screening(call_id=call.call_id, leg=leg, at_ms=call.at_ms + leg - 1, shadow=shadow)
            record.inputs.extend(screenings.inputs_to_wire(call.inputs))
            record.first_call = call.first
            await log.append(Topic.SCREENINGS, call.call_id, record.SerializeToString())
    test = screening_pb2.Screening(call_id="test", leg=1, at_ms=1, test=True)
    test.inputs.extend(screenings.inputs_to_wire(wanted[0].inputs))
    await log.append(Topic.SCREENINGS, "test", test.SerializeToString())
    await log.append(Topic.SCREENINGS, "odd", b"\xff\xff")
    assert await calls_in(log, 0, Progress(lambda: 0.0, print)) == wanted
    await log.close()


@pytest.mark.parametrize(("leg", "calls", "first"), [(1, 1, True), (1, 2, False), (2, 2, True), (1, 0, True)])
def test_a_record_that_does_not_say_so_is_of_a_first_call_where_it_may_be(leg: int, calls: int, first: bool) -> None:
    """Of a version before: a later leg, or a number that is not known to have called."""
    record = screening_pb2.Screening(call_id="c", leg=leg, at_ms=1)
    record.inputs.extend(screenings.inputs_to_wire({"number": "+16175550100", "number_calls_3600s": calls}))
    assert call_of(record).first is first
    record.first_call = not first
    assert call_of(record).first is not first
