"""A replay's report as text, JSON and a page: the same figures, nobody's number, and nothing that a page could run."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

from rich.console import Console

from services.domain.policy import Divert, Flag
from services.policy.attributes import Value
from services.policy.bundle import Bundle, Limits, Rule
from services.policy.replays.difference import Call
from services.policy.replays.findings import findings
from services.policy.replays.replaying import Judging, no_stopwatch, replay
from services.policy.verdicts.evaluating import Evaluation
from services.policy.verdicts.inputs import completed
from services.policy_cli.replayed import Replayed
from services.policy_cli.report_page import html
from services.policy_cli.report_text import page

NEVER_MS = 10**14
NUMBER = "+16175550137"
HOSTILE = "<script>alert(1)</script>"
BOSTON = ZoneInfo("America/New_York")


def bundle(version: int, *rules: Rule) -> Bundle:
    return Bundle("nuisance", version, "a", rules, limits=Limits(1.0, 1.0), digest=f"{version:064x}")


def rule(rule_id: str, when: str, verdict: Divert | Flag) -> Rule:
    return Rule(rule_id, "why", when, verdict, "desk", 1.0, NEVER_MS)


def call(index: int, **inputs: Value) -> Call:
    place: dict[str, Value] = {"number": NUMBER, "lat": 42.3612345, "lon": -71.0612345, "cell": "42.36,-71.08"}
    given = completed({**place, "area": "Boston", "psap": "3203", "number_calls_60s": index, **inputs})
    return Call(f"call-{index}", 1_718_718_900_000 + index * 600_000, given, index == 0)


def replayed(candidate: Bundle, count: int = 8, show_numbers: bool = False) -> Replayed:
    live = bundle(6, rule("old", "number_calls_60s == 1", Divert("nuisance-desk", "old", "why")))
    sides = [Judging(each, Evaluation(each), {"nuisance-desk"}, no_stopwatch) for each in (live, candidate)]
    difference = replay(sides[0], sides[1], [call(index) for index in range(count)])
    return Replayed(live, candidate, "eight calls", difference, findings(difference, candidate), show_numbers, BOSTON)


def candidate(rule_id: str = "new") -> Bundle:
    return bundle(7, rule(rule_id, "number_calls_60s >= 5", Divert("nuisance-desk", rule_id, "why")))


def text_of(result: Replayed) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(page(result))
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


class Reader(HTMLParser):
    """Everything that a browser would take for an element or load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def read(result: Replayed) -> Reader:
    reader = Reader()
    reader.feed(html(result))
    return reader


def test_the_three_reports_tell_the_same_figures() -> None:
    """Three newly diverted, one no longer, four the same, of eight."""
    result = replayed(candidate())
    changes = result.as_json()["changes"]
    assert {name: calls for name, calls in changes.items() if calls} == {
        "same": 4,
        "newly_diverted": 3,
        "no_longer_diverted": 1,
    }
    text = text_of(result)
    assert re.search(r"newly diverted +3 +37.50%", text)
    assert re.search(r"no longer diverted +1 +12.50%", text)
    written = html(result)
    assert '<td>newly diverted</td><td class="n">3</td><td class="n">37.50%</td>' in written
    assert '<td>no longer diverted</td><td class="n">1</td>' in written


def test_a_program_can_read_the_json_whole() -> None:
    """It goes through JSON and back unchanged: no key or figure is of a kind that JSON does not have."""
    said = replayed(candidate()).as_json()
    assert json.loads(json.dumps(said)) == said


def test_no_report_tells_a_callers_number_or_place_unless_it_was_asked_for() -> None:
    """A report is kept with the change and sent around (style: never in clear); `--show-numbers` is for the desk."""
    hidden, shown = replayed(candidate()), replayed(candidate(), show_numbers=True)
    for told in (text_of(hidden), html(hidden), json.dumps(hidden.as_json())):
        assert NUMBER not in told
        assert "42.3612345" not in told
        assert "…37" in told or "\\u202637" in told
    for told in (text_of(shown), html(shown), json.dumps(shown.as_json())):
        assert NUMBER in told


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    """No script, no link, no address: it works offline and can be kept; its own policy forbids the rest."""
    reader = read(replayed(candidate()))
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(reader.tags)
    names = {name for name, _ in reader.attributes}
    assert not {"src", "href", "srcset", "action"} & names
    assert not [name for name in names if name.startswith("on")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in reader.attributes
    assert "http" not in html(replayed(candidate())).replace("http-equiv", "")
    assert "prefers-color-scheme:dark" in html(replayed(candidate()))
    assert reader.tags.count("svg") == 5


def test_what_a_stranger_wrote_is_text_on_the_page() -> None:
    """A rule's id, a town or a call's id is nobody's way to run something in an operator's browser."""
    result = replayed(candidate(HOSTILE))
    assert "script" not in read(result).tags
    assert HOSTILE not in html(result)
    assert html(result).count("&lt;script&gt;") >= 3
    sides = [Judging(each, Evaluation(each), {"nuisance-desk"}, no_stopwatch) for each in (result.live, candidate())]
    strange = [call(index, area=HOSTILE, psap=HOSTILE, cell=HOSTILE) for index in range(8)]
    other = Replayed(result.live, candidate(), HOSTILE, replay(sides[0], sides[1], strange), ())
    assert "script" not in read(other).tags


def test_the_same_replay_has_the_same_digest_and_another_has_another() -> None:
    """Two people compare one line, and know that they have looked at the same."""
    assert replayed(candidate()).digest == replayed(candidate()).digest
    assert replayed(candidate()).digest != replayed(candidate(), count=9).digest


def test_how_long_decisions_took_is_no_part_of_the_digest() -> None:
    """No two machines measure the same."""
    ticks = iter(range(0, 10**9, 777))
    timed = candidate()
    live = replayed(timed).live
    sides = [Judging(each, Evaluation(each), {"nuisance-desk"}, lambda: next(ticks)) for each in (live, timed)]
    difference = replay(sides[0], sides[1], [call(index) for index in range(8)])
    measured = Replayed(live, timed, "eight calls", difference, findings(difference, timed), False, BOSTON)
    assert measured.as_json()["measured"] != replayed(timed).as_json()["measured"]
    assert measured.digest == replayed(timed).digest


def test_a_replay_of_no_calls_has_a_report_too() -> None:
    """It says that nothing is known."""
    result = replayed(candidate(), count=0)
    assert "nothing is known" in text_of(result)
    assert "nothing is known" in html(result)
    assert result.grave
