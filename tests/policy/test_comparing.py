"""How two bundles differ: whatever can change a verdict, a limit or a rollout is told, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.domain.policy import Divert, Flag, Pass
from services.policy.attributes import Listed
from services.policy.bundle import Bundle, CanaryStep, Limits, NamedList, Rule
from services.policy.replays.comparing import lines

FLAG = Rule("odd", "odd_hour", "hour == 3", Flag(40, "odd", "odd_hour"), "desk", 0.01, 10**13)
DIVERT = Rule("often", "repeats", "number_calls_60s > 5", Divert("nuisance-desk", "often", "repeats"), "desk", 0.01, 10)
NUISANCE = NamedList("nuisance", Listed.NUMBER, frozenset({"+16175550100", "+16175550101"}))
OLD = Bundle("b", 1, "a", (FLAG, DIVERT), {"nuisance": NUISANCE})


def told(new: Bundle) -> list[str]:
    return [f"{line.sign.value} {line.text}" for line in lines(OLD, new)]


def test_a_bundle_differs_from_itself_in_nothing() -> None:
    """Another version with the same words is none."""
    assert told(replace(OLD, version=2, author="b", digest="cd")) == []


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (replace(OLD, rules=(FLAG,)), "- rule often: number_calls_60s > 5 -> divert: nuisance-desk"),
        (
            replace(OLD, rules=(FLAG, DIVERT, replace(FLAG, rule_id="night", verdict=Pass()))),
            "+ rule night: hour == 3 -> pass",
        ),
        (replace(OLD, rules=(replace(FLAG, when="hour == 4"), DIVERT)), "~ rule odd, when: hour == 3 -> hour == 4"),
        (
            replace(OLD, rules=(FLAG, replace(DIVERT, forecast_share=0.5))),
            "~ rule often, forecast_share: 0.01 -> 0.5",
        ),
        (replace(OLD, rules=(FLAG, replace(DIVERT, owner="b"))), "~ rule often, owner: desk -> b"),
        (replace(OLD, rules=(DIVERT, FLAG)), "~ the order of rules: odd, often -> often, odd"),
        (replace(OLD, lists={}), "- list nuisance: 2 items (+16175550100, +16175550101)"),
        (
            replace(OLD, lists={"nuisance": replace(NUISANCE, items=NUISANCE.items | {"+16175550102"})}),
            "+ list nuisance: 1 item (+16175550102)",
        ),
        (
            replace(OLD, lists={"nuisance": replace(NUISANCE, kind=Listed.TRUNK)}),
            "~ list nuisance, kind: number -> trunk",
        ),
        (replace(OLD, limits=Limits(0.01, 0.2)), "~ limit diverted_share: 0.05 -> 0.01"),
        (
            replace(OLD, rules=(FLAG, replace(DIVERT, expires_ms=1_814_400_000_000))),
            "~ rule often, expires: 1970-01-01T00:00:00Z -> 2027-07-01T00:00:00Z",
        ),
        (replace(OLD, canary=OLD.canary[:2]), "- canary step 3: 100%, 100 calls, 15 min"),
        (
            replace(OLD, canary=(CanaryStep(0.01, calls_min=1), *OLD.canary[1:])),
            "~ canary step 1: 1%, 100 calls, 15 min -> 1%, 1 call, 15 min",
        ),
        (
            replace(OLD, canary=(*OLD.canary[:2], CanaryStep(1.0, minutes_min=0.5))),
            "~ canary step 3: 100%, 100 calls, 15 min -> 100%, 100 calls, 0.5 min",
        ),
        (
            replace(OLD, canary=(CanaryStep(0.005, frozenset({"Lynn", "Ayer"})), *OLD.canary[1:])),
            "~ canary step 1: 1%, 100 calls, 15 min -> 0.5% and Ayer and Lynn, 100 calls, 15 min",
        ),
    ],
)
def test_each_kind_of_change_is_told_once(new: Bundle, expected: str) -> None:
    """AT&T, March 2017: a list changed with an unrelated change, and nobody saw it."""
    assert told(new) == [expected]


def test_a_list_that_doubled_is_told_by_its_size() -> None:
    """Cloudflare, November 2025: three examples and the number, not ten thousand lines."""
    many = frozenset(f"+1{200 + index // 100}55501{index % 100:02d}" for index in range(5_000)) | NUISANCE.items
    [line] = told(replace(OLD, lists={"nuisance": replace(NUISANCE, items=many)}))
    assert line.startswith("+ list nuisance: 5,000 items (")
    assert line.endswith(", ...)")


def test_one_town_more_among_many_is_told() -> None:
    """The names of forty towns in one line are read by nobody."""
    towns = frozenset(f"Town {number}" for number in range(10))
    old = replace(OLD, canary=(CanaryStep(0.0, towns),))
    new = replace(OLD, canary=(CanaryStep(0.0, towns | {"Lynn"}),))
    assert [f"{line.sign.value} {line.text}" for line in lines(old, new)] == [
        "~ canary step 1: 10 areas, 100 calls, 15 min -> 11 areas, 100 calls, 15 min",
        "+ canary step 1, areas: 1 item (Lynn)",
    ]
