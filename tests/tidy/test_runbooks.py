"""Each alarm has a page that says what to do: docs/metrics.md says what is one, docs/runbooks where its page is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
INDEX = RUNBOOKS / "README.md"
PARTS = ("**What callers feel.**", "**Look at.**", "**Do.**")

_METRIC = re.compile(r"^\| `(throughline_\w+)` \|.* Alarm: ([^|]+)\. \|$", re.MULTILINE)
_ROW = re.compile(r"^\| `(throughline_\w+)` \| ([^|]+) \| \[([\w-]+\.md)\]\(\3\) \|$", re.MULTILINE)
_NAMED = re.compile(r"\bthroughline_\w+")


def alarms() -> dict[str, str]:
    """The metrics that say of themselves when they are an alarm, and when that is."""
    return dict(_METRIC.findall((ROOT / "docs" / "metrics.md").read_text("utf-8")))


def rows() -> dict[str, tuple[str, str]]:
    """The index: each metric's alarm, and its page."""
    return {metric: (when, page) for metric, when, page in _ROW.findall(INDEX.read_text("utf-8"))}


def pages() -> list[Path]:
    return sorted(path for path in RUNBOOKS.glob("*.md") if path != INDEX)


def test_every_alarm_has_a_runbook_and_every_row_is_an_alarm() -> None:
    """Who is woken finds what to do, under the name that woke them and with the same condition."""
    assert alarms()
    assert {metric: when for metric, (when, _) in rows().items()} == alarms()
    for metric, (_, page) in rows().items():
        assert metric in (RUNBOOKS / page).read_text("utf-8").split("**", 1)[0], f"{page} does not begin with {metric}"


def test_every_alarm_of_the_firewall_is_marked() -> None:
    """What a firewall says of a policy that failed is nobody's to overlook: these at least are alarms."""
    wanted = ("doubt", "bypass_drills_failed_total", "changes_unwritten", "bypassed", "bundles_quarantined")
    assert {f"throughline_policy_{name}" for name in (*wanted, "records_unreadable_total")} <= set(alarms())
    firewalls = ("breaker_trips_total", "failed_open_total")
    assert {f"throughline_firewall_{name}" for name in firewalls} <= set(alarms())


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.stem)
def test_a_runbook_says_what_callers_feel_what_to_look_at_and_what_to_do(page: Path) -> None:
    """The same three parts, in that order; it stands in the index, and every metric that it names exists."""
    text = page.read_text("utf-8")
    at = [text.find(part) for part in PARTS]
    assert -1 not in at and at == sorted(at), f"{page.name}: expected {PARTS}"
    assert page.name in {name for _, name in rows().values()}
    known = set(
        re.findall(r"^\| `(throughline_\w+)` \|", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.MULTILINE)
    )
    assert set(_NAMED.findall(text)) - known == set()
    assert len(text.splitlines()) <= 30, "somebody reads it at three in the morning"
