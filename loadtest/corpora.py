"""Calls to try a policy on before a live one meets it: a storm, an ordinary day, a flood. The same each time.

The storm is the recorded trace (loadtest/bursts) placed in Massachusetts as everywhere else here. No day of
Massachusetts is public call by call, so the day is drawn: 8,800 calls, the hours weighted so that the busiest has 1.58
times the mean; callers who try again within minutes, some phones without service or number, a few numbers that call
all day, and of each kind of call some: wireless, wireline, VoIP and text, and those who ask for police, fire brigade or
ambulance by its own URN. The flood is that day's busiest hour with fifty sources that together call ten times as often.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Final

from loadtest.region_tables import SHIPPED_REGION, RegionTables
from loadtest.workload import STORM, WIRELESS_RADIUS_M, WIRELINE_RADIUS_M, Towns, plan, read_trace
from services.domain.offer import SOS_URN, Attestation, Device, Offer, Verification
from services.domain.place import Circle

DAY_CALLS: Final = 8_800
STORM_BEGINS_MS: Final = round(datetime(2016, 2, 24, 23, 0, 51, tzinfo=UTC).timestamp() * 1000)
DAY_BEGINS_MS: Final = round(datetime(2024, 6, 18, 4, 0, tzinfo=UTC).timestamp() * 1000)
"""Midnight in Boston, on the day of the outage."""
_HOURS: Final = (
    0.66, 0.54, 0.47, 0.41, 0.39, 0.44, 0.60, 0.82, 0.98, 1.07, 1.13, 1.20,
    1.25, 1.27, 1.32, 1.43, 1.54, 1.58, 1.49, 1.36, 1.23, 1.12, 0.94, 0.76,
)  # fmt: skip
_NETWORKS: Final = (("mobile-one", 0.42), ("mobile-two", 0.27), ("mobile-three", 0.11), ("wireline", 0.2))
_TEXT_SHARE: Final = 0.002 / 0.8
"""Of the calls of mobile networks, so that 0.2 % of all are text."""
_VOIP_SHARE: Final = 0.3
"""Of the calls of `wireline`."""
_SERVICES: Final = (
    (SOS_URN, 0.97),
    (f"{SOS_URN}.police", 0.015),
    (f"{SOS_URN}.ambulance", 0.01),
    (f"{SOS_URN}.fire", 0.005),
)
_REDIAL_SHARE: Final = 0.09
_NUISANCE: Final = tuple(f"+1617555019{last}" for last in range(4))
_NUISANCE_CALLS: Final = 30
_BUSY_FROM_S, _BUSY_TO_S = 17 * 3600, 18 * 3600
_FLOOD_SOURCES: Final = 50
_FLOOD_TIMES: Final = 10

Offered = tuple[int, Offer]
"""A call, and when it is offered, in milliseconds since 1970."""


def storm(folder: Path = SHIPPED_REGION) -> list[Offered]:
    """386 calls in six hours, 27 of them within ten minutes; every caller once."""
    calls = plan(read_trace(STORM), RegionTables(folder), seed=1, run="storm", service_urn=SOS_URN, source="mobile-one")
    return [
        (
            STORM_BEGINS_MS + round(call.at_s * 1000),
            Offer(
                call.call_id,
                1,
                call.caller,
                call.service_urn,
                Circle(call.lat, call.lon, call.radius_m),
                source=call.source,
                device=Device.WIRELESS if call.radius_m > WIRELINE_RADIUS_M else Device.WIRELINE,
            ),
        )
        for call in calls
    ]


def day(folder: Path = SHIPPED_REGION) -> list[Offered]:
    """8,800 calls of one day."""
    return _told("day", _of_each_kind(_day(folder)))


def flood(folder: Path = SHIPPED_REGION) -> list[Offered]:
    """The hour from five in the afternoon, with ten times its calls again from fifty sources."""
    by = random.Random("flood")
    ordinary = [call for call in _day(folder) if _BUSY_FROM_S <= call[0] < _BUSY_TO_S]
    towns = Towns(RegionTables(folder))
    sources = [
        _offer(by, towns, f"+1{code}5550{line}", _NETWORKS[0][0], "trunk-7")
        for code, line in ((by.choice(_AREA_CODES), 100 + each) for each in range(_FLOOD_SOURCES))
    ]
    calls = len(ordinary) * _FLOOD_TIMES
    flooding = [(by.uniform(_BUSY_FROM_S, _BUSY_TO_S), by.choice(sources)) for _ in range(calls)]
    return _told("flood", [*ordinary, *flooding])


CORPORA: Final[Mapping[str, Callable[[Path], list[Offered]]]] = MappingProxyType(
    {"storm": storm, "day": day, "flood": flood}
)

_AREA_CODES: Final = tuple(
    code for code in range(200, 990) if code // 10 % 10 != 9 and code % 100 != 11
)  # three digits that can be an area code, whether anybody has it or not: 555-01XX is nobody's in each of them


def _day(folder: Path) -> list[tuple[float, Offer]]:
    by = random.Random("day")
    towns = Towns(RegionTables(folder))
    numbers = _numbers(by)
    hours = list(accumulate(_HOURS))
    calls: list[tuple[float, Offer]] = []
    for number in _NUISANCE:
        offer = _offer(by, towns, number, "mobile-two", "trunk-3")
        calls += [(by.uniform(9 * 3600, 21 * 3600), offer) for _ in range(_NUISANCE_CALLS)]
    while len(calls) < DAY_CALLS:
        at_s = (bisect(hours, by.uniform(0, hours[-1])) + by.random()) * 3600
        network, trunk = _network(by), f"trunk-{by.randrange(1, 7)}"
        offer = _offer(by, towns, _caller(by, numbers), network, trunk)
        calls.append((at_s, offer))
        while len(calls) < DAY_CALLS and by.random() < _REDIAL_SHARE:
            at_s += by.uniform(5, 120)
            calls.append((at_s, offer))
    return calls


def _of_each_kind(calls: list[tuple[float, Offer]]) -> list[tuple[float, Offer]]:
    """Some by VoIP or text, some to a service of its own; who tries again does so by the same."""
    by = random.Random("kinds")
    kinds: dict[int, Offer] = {}
    for _, offer in calls:
        if id(offer) not in kinds:
            kinds[id(offer)] = replace(offer, device=_device(by, offer.device), service_urn=_service(by))
    return [(at_s, kinds[id(offer)]) for at_s, offer in calls]


def _device(by: random.Random, device: Device) -> Device:
    share, other = (_TEXT_SHARE, Device.TEXT) if device is Device.WIRELESS else (_VOIP_SHARE, Device.VOIP)
    return other if by.random() < share else device


def _service(by: random.Random) -> str:
    return by.choices([urn for urn, _ in _SERVICES], [share for _, share in _SERVICES])[0]


def _told(run: str, calls: list[tuple[float, Offer]]) -> list[Offered]:
    """In their order, each with an id of its own."""
    ordered = sorted(calls, key=lambda call: call[0])
    return [
        (
            DAY_BEGINS_MS + round(at_s * 1000),
            replace(offer, call_id=f"{run}-{index:05d}"),
        )
        for index, (at_s, offer) in enumerate(ordered)
    ]


def _offer(by: random.Random, towns: Towns, number: str, network: str, trunk: str) -> Offer:
    _, lat, lon = towns.draw(by)
    wireless = network != "wireline"
    radius_m = by.uniform(*WIRELESS_RADIUS_M) if wireless else WIRELINE_RADIUS_M
    attested = by.choices((Attestation.A, Attestation.B, Attestation.C, Attestation.NONE), (70, 12, 8, 10))[0]
    verified = {Attestation.A: Verification.PASSED, Attestation.C: Verification.FAILED}
    place = None if by.random() < 0.02 else Circle(round(lat, 6), round(lon, 6), round(radius_m, 1))
    return Offer(
        "",
        1,
        number,
        SOS_URN,
        place,
        attested,
        network,
        verification=verified.get(attested, Verification.NONE),
        trunk=trunk,
        device=Device.WIRELESS if wireless else Device.WIRELINE,
    )


def _caller(by: random.Random, numbers: Iterator[str]) -> str:
    drawn = by.random()
    if drawn < 0.01:
        return ""
    if drawn < 0.03:
        return f"+1911555{by.randrange(100, 200):04d}"  # a phone without service
    return next(numbers)


def _numbers(by: random.Random) -> Iterator[str]:
    """Numbers in E.164, each once; more than a day's callers."""
    numbers = [f"+1{code}555{last:04d}" for code in _AREA_CODES for last in range(100, 200)]
    by.shuffle(numbers)
    yield from (number for number in numbers if number not in _NUISANCE)


def _network(by: random.Random) -> str:
    return by.choices([name for name, _ in _NETWORKS], [share for _, share in _NETWORKS])[0]
