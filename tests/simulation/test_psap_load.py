"""A rule that asks for a PSAP's load, in a whole installation: it speaks while so many calls ring and talk there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from throughline.v1 import place_pb2, screening_pb2

from loadtest.callers import Planned
from services.wire import screenings
from simulator.outside import SOURCES
from simulator.region import PSAP_OF_TOWN, centre_of
from simulator.run import virtually
from simulator.scenarios.bundles import bundle, flagging
from simulator.scenarios.stage import Stage

BUSY_FROM: Final = 3
POLICY: Final = bundle(1, [flagging("psap-busy", f"psap_load >= {BUSY_FROM}.0", 30)])
SAID_EACH_MS: Final = 2_000
"""A gateway says so often how many calls it knows (R8)."""
ON_ITS_WAY_MS: Final = 100
_BEGINS: Final = frozenset({"offered"})
_ENDS: Final = frozenset({"ended", "cancelled", "rejected"})


@dataclass
class Told:
    """What is left of a run."""

    screened: Sequence[screening_pb2.Screening]
    far_end: Sequence[dict[str, Any]]
    began_ms: int


def planned(town: str, calls: int, from_s: float) -> list[Planned]:
    """A call each 0.7 s from a town's middle, each of somebody else."""
    lat, lon = centre_of(town)
    circle = place_pb2.Circle(centre=place_pb2.Point(latitude=lat, longitude=lon), radius_m=50.0)
    area = {"Birch": "617", "Cedar": "774"}[town]
    return [
        Planned(
            from_s + 0.7 * n, f"{town}-{n}", f"+1{area}55501{n:02d}", "urn:service:sos", SOURCES[n % 2],
            place_pb2.Place(circle=circle),
        )
        for n in range(calls)
    ]  # fmt: skip


def play(plan: Sequence[Planned], away_s: tuple[float, float] | None = None) -> Told:
    """These calls while the policy is live; firewalls are without Kafka for a while, where that is wanted."""
    told: list[Told] = []

    async def main() -> None:
        stage = Stage(1, 4)

        async def script(stage: Stage) -> None:
            await stage.force_live(POLICY)
            if away_s is not None:
                await stage.at(away_s[0])
                stage.kafka_is_away(True)
                await stage.at(away_s[1])
                stage.kafka_is_away(False)

        await stage.play(plan, script)
        assert not stage.failures()
        began_ms = min(entry["at_ms"] for entry in stage.outside.callers)
        told.append(Told(stage.screenings(), stage.outside.far_end, began_ms - round(plan[0].at_s * 1000)))

    assert virtually(main, 1, 600.0) == []
    return told[0]


def at_the_psap(far_end: Sequence[dict[str, Any]], psap_id: str, at_ms: int) -> int:
    """How many calls ring or talk there, by what the PSAP itself wrote down."""
    there: set[str] = set()
    for entry in far_end:
        if entry["at_ms"] <= at_ms and entry.get("psap_id") == psap_id:
            if entry["event"] in _BEGINS:
                there.add(entry["call_id"])
            elif entry["event"] in _ENDS:
                there.discard(entry["call_id"])
    return len(there)


def test_the_rule_speaks_while_so_many_calls_ring_and_talk_at_the_callers_psap() -> None:
    """R8: by the PSAP's own account it had what each verdict was given, within the two seconds between snapshots."""
    plan = [*planned("Birch", 16, 3.0), *planned("Cedar", 2, 8.0)]
    told = play(plan)
    flagged = []
    for each in told.screened:
        inputs = screenings.inputs_of(each)
        load, psap_id = inputs["psap_load"], str(inputs["psap"])
        since_ms = each.at_ms - SAID_EACH_MS - ON_ITS_WAY_MS
        had = {at_the_psap(told.far_end, psap_id, at_ms) for at_ms in range(since_ms, each.at_ms + 1, 10)}
        assert load in had, f"{each.call_id} was given {load}; {psap_id} had {sorted(had)}"
        assert isinstance(load, float)
        assert each.verdict.HasField("flag") == (load >= BUSY_FROM)
        flagged += [psap_id] if each.verdict.HasField("flag") else []
    assert {each.call_id for each in told.screened} >= {each.call_id for each in plan}
    assert set(flagged) == {PSAP_OF_TOWN["Birch"]} and len(flagged) >= 5


def test_without_kafka_the_rule_falls_silent_within_six_seconds_and_every_call_is_answered_for() -> None:
    """R8, L6: a load that nobody confirms is unknown; that is all that happens."""
    told = play(planned("Birch", 30, 3.0), away_s=(10.0, 60.0))
    for each in told.screened:
        second = (each.at_ms - told.began_ms) / 1000
        load = screenings.inputs_of(each)["psap_load"]
        if 16.2 < second < 60.0:
            assert load == 0.0 and each.verdict.HasField("pass")
    flagged_at = [(each.at_ms - told.began_ms) / 1000 for each in told.screened if each.verdict.HasField("flag")]
    assert flagged_at and max(flagged_at) < 16.2
