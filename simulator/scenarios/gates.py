"""What the gates say of a bundle before a live call meets it: the check, and a replay over the scenario's own calls."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from loadtest.callers import Planned
from services.places.region import Region
from services.policy.checks.check import check
from services.policy.files.reading import read_bundle
from services.policy.replays.findings import Weight, findings
from services.policy.replays.replaying import Judging, no_stopwatch, replay
from services.policy.verdicts.evaluating import Evaluation
from services.policy_cli.corpora import calls_of
from simulator.region import contents
from simulator.scenarios.callers import offer_of
from simulator.scenarios.plain_filter import ZONE
from simulator.virtual_loop import EPOCH_MS


def checked(content: bytes) -> list[str]:
    """The errors of `policy check`."""
    return [str(each) for each in check(read_bundle(content), wall_ms=EPOCH_MS).errors]


def replayed(live: bytes, candidate: bytes, plan: Sequence[Planned], zone: ZoneInfo = ZONE) -> list[str]:
    """The grave findings of `policy replay`, of the candidate beside the live bundle, over these callers' calls."""
    region = Region.from_texts(contents())
    offered = [(EPOCH_MS + round(call.at_s * 1000), offer_of(call)) for call in plan]
    desks = frozenset(region.directory.lines)
    old, new = (
        Judging(each, Evaluation(each), desks, no_stopwatch) for each in (read_bundle(live), read_bundle(candidate))
    )
    difference = replay(old, new, calls_of(offered, region, zone))
    return [f"{each.kind}: {each.text}" for each in findings(difference, new.bundle) if each.weight is Weight.GRAVE]
