"""The checker: what it says of a rule holds for every call, and a divert that rests on nothing is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.policy import Divert, Flag, Verdict
from services.policy.attributes import ATTRIBUTES, Listed, Type, Value
from services.policy.bundle import Bundle, CanaryStep, Limits, NamedList, Pass, Rule
from services.policy.checks.check import FINDINGS_MAX, check
from services.policy.checks.finding import Finding
from services.policy.checks.grounds import COUNTS_MIN, ORDINARY, groundless
from services.policy.checks.reasoning import LOOKS_MAX, Room, meets, ways
from services.policy.checks.shadows import shadows
from services.policy.files.strict_yaml import NAME_CHARS_MAX
from services.policy.language.read import read
from services.policy.language.tree import Node, Size, walk
from tests.policy.expressions import (
    FAR_MS,
    ITEMS,
    KINDS,
    LISTS,
    attribute_values,
    bundle,
    call,
    diverting,
    inputs,
    passing,
    rule,
    trees,
)
from tests.policy.test_evaluating import outcome

NUMBERS = ["+16175550101", "+16175550102", "+16175550103", "+16175550104", ""]
CONDITIONS = [
    "number in lists.nuisance", "number in lists.known", 'number == "+16175550101"', 'number.startsWith("+1617555")',
    "number_calls_60s >= 3", "number_calls_60s > 1", "number_calls_60s == 0", "hour < 6", "hour >= 22", "place_known",
    'source == "carrier-a"', "source in lists.carriers", 'source != ""', 'device == "voip"', 'attestation != "A"',
    "lat > 42.0", "lat > 41.0", 'number == ""', 'number.endsWith("0101")', "number_calls_60s > source_calls_60s",
]  # fmt: skip


@st.composite
def likely(draw: st.DrawFn, depth: int = 2) -> str:
    """Rules of a few conditions that often imply or exclude each other."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(CONDITIONS))
    left, right = draw(likely(depth - 1)), draw(likely(depth - 1))
    return draw(st.sampled_from([f"({left}) && ({right})", f"({left}) || ({right})", f"!({left}) && ({right})"]))


likely_calls: st.SearchStrategy[dict[str, Value]] = st.builds(
    call,
    number=st.sampled_from(NUMBERS),
    number_calls_60s=st.integers(0, 4),
    source_calls_60s=st.integers(0, 4),
    hour=st.integers(0, 23),
    place_known=st.booleans(),
    source=st.sampled_from(["", "carrier-a", "carrier-b"]),
    device=attribute_values("device"),
    attestation=attribute_values("attestation"),
    lat=st.sampled_from([0.0, 41.5, 42.5]),
)


def room() -> Room:
    return Room(ITEMS)


FLOODS = [
    "source_calls_10s >= 8", "source_calls_3600s >= 300", "trunk_calls_600s > 39", "cell_calls_60s >= 6",
    "source_calls_600s >= 2", "cell_calls_3600s > 1", "!(trunk_calls_60s < 2)", "source in lists.carriers",
    'cell == "42.36,-71.06"', "lat > 42.3 && lat < 42.4 && lon > -71.1 && lon < -71.0",
    'display_name.contains("cruise")', 'number.startsWith("+1413555")', "number_calls_3600s >= 2",
]  # fmt: skip
BESIDE = [
    "!number_dials", "number_dials", "without_service", "!without_service", 'number == ""', 'number.matches("^$")',
    '!number.startsWith("+")', "number.size() == 0", 'attestation == "C"', 'attestation != "C"',
    'verification == "failed"', 'device == "text"', 'device != "alarm"', 'area == "Lynn"', 'area != "Lynn"',
    "hour < 6", "!place_known", "radius_m > 5.0", "radius_m > 50.0", "trunk_calls_60s > cell_calls_60s",
    "number_calls_3600s < 2", "number_calls_3600s < 1", 'display_name == ""', 'cell != ""', 'cell == ""',
    'service == "urn:service:sos.police"', "source_calls_60s < 5000", *CONDITIONS,
]  # fmt: skip
SELDOM_SEEN = "+14135550177"
"""A number that could be rung back, and that nobody has listed."""


@st.composite
def rested(draw: st.DrawFn) -> Node:
    """Rules that rest on a flood, a way or a caller, with what may and may not stand beside."""
    flood = st.sampled_from(FLOODS)
    some = st.builds(lambda ground, beside: [ground, *beside], flood, st.lists(st.sampled_from(BESIDE), max_size=2))
    alternatives = draw(st.lists(some.map(" && ".join), min_size=1, max_size=2))
    return read(" || ".join(f"({each})" for each in alternatives), KINDS)


helpless = st.fixed_dictionaries(
    {
        "number": st.sampled_from(["", "anonymous", "+19115550101", SELDOM_SEEN]),
        "number_dials": st.booleans(),
        "without_service": st.booleans(),
        "attestation": attribute_values("attestation"),
        "verification": attribute_values("verification"),
        "device": attribute_values("device"),
        "source": st.sampled_from(["", "carrier-a"]),
        "trunk": st.sampled_from(["", "test-1"]),
        "cell": st.sampled_from(["", "42.36,-71.06"]),
        "display_name": st.sampled_from(["", "ANONYMOUS", "free cruise"]),
        "place_known": st.booleans(),
        "lat": st.sampled_from([0.0, 42.35]),
        "lon": st.sampled_from([0.0, -71.05]),
        "radius_m": st.sampled_from([0.0, 10.0, 5_000.0]),
        "area": st.sampled_from(["", "Lynn", "Boston"]),
    }
)
"""Callers of whom a network says this and that, none of it anything that they did."""


def possible(known: Mapping[str, Value]) -> bool:
    """Within the ranges that attributes have, where a number is a number."""
    ranges = {"hour": range(24), "minute": range(60), "weekday": range(1, 8)}
    return all(known[name] in numbers for name, numbers in ranges.items()) and all(
        int(known[name]) >= 0 for name, each in ATTRIBUTES.items() if each.type is Type.INT
    )


def told(found: Iterable[Finding], what: str) -> list[str]:
    """The rules of which this is told."""
    return [each.rule_id for each in found if what in each.what]


@given(likely().map(lambda text: read(text, KINDS)) | trees(depth=2), likely_calls | inputs)
@settings(max_examples=200)
def test_a_call_that_makes_a_rule_true_or_false_takes_a_way_that_was_found(node: Node, known: dict[str, Value]) -> None:
    """Never true, always true, shadows and grounds all rest on it: no call takes a way that is thought to be closed."""
    if any(isinstance(each, Size) for each in walk(node)):
        return
    found = outcome(node, known)
    in_range = {**known, "hour": 5, "minute": 5, "weekday": 5}
    known = known if possible(known) else {
        name: 0 if ATTRIBUTES[name].type is Type.INT and name not in ("hour", "minute", "weekday") else value
        for name, value in in_range.items()
    }  # fmt: skip
    found = outcome(node, known)
    if found == "fails":
        return
    opened = ways(node, room(), holds=found is True)
    if opened is None:
        return
    taken = [
        way for way in opened if all(not each.name or meets(each, each.name, known[each.name], room()) for each in way)
    ]
    assert taken


@given(st.lists(likely(), min_size=2, max_size=4), st.lists(likely_calls, min_size=20, max_size=20))
@settings(max_examples=100)
def test_a_rule_that_is_said_to_be_shadowed_never_speaks(texts: list[str], calls: list[dict[str, Value]]) -> None:
    """Whenever it is true, so is the earlier one."""
    made = [(rule(text, f"rule-{number}"), read(text, KINDS)) for number, text in enumerate(texts)]
    nodes = {each.rule_id: node for each, node in made}
    for later, earlier in shadows(made, room()):
        for known in calls:
            if outcome(nodes[later.rule_id], known) is True:
                assert outcome(nodes[earlier.rule_id], known) is True


@given(rested(), inputs, helpless, st.integers(0, 1))
@settings(max_examples=400)
def test_no_accepted_divert_is_true_of_a_caller_of_whom_nothing_speaks(
    node: Node, known: dict[str, Value], cannot_help: dict[str, Value], calls: int
) -> None:
    """Whatever a network says of number, phone and hour: without a ground nobody is diverted, and on a way in flood
    nobody whom an ordinary caller, who comes the same way at the same instant, would not follow."""
    singles_nobody_out(node, known, cannot_help, calls)


@given(trees(depth=2), inputs, helpless, st.integers(0, 1))
@settings(max_examples=200)
def test_no_accepted_divert_of_any_form_is_either(
    node: Node, known: dict[str, Value], cannot_help: dict[str, Value], calls: int
) -> None:
    """Calculations, choices and comparisons too."""
    singles_nobody_out(node, known, cannot_help, calls)


def singles_nobody_out(node: Node, known: dict[str, Value], cannot_help: dict[str, Value], calls: int) -> None:
    """Or nothing is asserted of it: the checker refuses it."""
    opened = ways(node, room())
    if opened is None or groundless(opened, room()) is not None:
        return
    counts = {name: calls if name.startswith("number") else least - 1 for name, least in COUNTS_MIN.items()}
    known = {**known, "hour": 3, "minute": 3, "weekday": 3, **counts, **cannot_help}
    nothing = {name: each.unknown for name, each in ATTRIBUTES.items() if each.ground and name not in counts}
    assert outcome(node, {**known, **nothing, "number": cannot_help["number"]}) is not True
    known |= {name: 1_000 + n for n, name in enumerate(counts) if not name.startswith("number")}
    if outcome(node, known) is True:
        number = known["number"] if known["number"] == SELDOM_SEEN else ORDINARY["number"][0]
        like_most = {name: values[0] for name, values in ORDINARY.items()} | {"number": number}
        assert all(outcome(node, {**known, **like_most, "device": each}) is True for each in ORDINARY["device"])


@pytest.mark.parametrize(
    "when",
    [
        'number == ""',
        "!number_dials",
        "without_service",
        'attestation != "A"',
        'verification == "failed" && device == "voip"',
        "hour < 6",
        'number.startsWith("+1911")',
        'number.startsWith("+1")',
        "number in lists.undialled",
        'number != "+16175550101"',
        'source != "carrier-a"',
        'source == ""',
        "!(source in lists.carriers)",
        "number_calls_60s >= 1",
        "number_calls_60s < 3",
        "lat < 50.0",
        "number_calls_60s >= 3 || without_service",
        "true ? without_service : source == 'a'",
        'display_name.matches("^x*$")',
        'source.matches(".") && attestation == "C"',
        'trunk.matches("[a-z0-9]") && attestation == "C"',
        'lat != 0.0 && attestation == "C"',
        'psap == "3156"',
        'psap in ["3156", "3157"] && attestation == "C"',
        'area == "Lynn" && hour < 6',
        'source.contains("a")',
        'trunk.startsWith("t") && device == "voip"',
        'source.matches("mo")',
        'source.matches("(?i)[a-z][0-9]|carrier-q")',
        "lon < 0.0",
        "lat > 41.0 && lat < 42.0",
        "lat > 42.3 && lat < 42.4 && lon < -71.0",
        "lat > 42.3 && lat < 42.4 && lon > -72.0 && lon < -71.0",
        "lat > -0.05 && lat < 0.05 && lon > -0.05 && lon < 0.05",
        'cell.startsWith("42.36,")',
        'cell.matches("42.36")',
        "number_calls_60s >= source_calls_60s",
        "psap_load > 3.0 || state_load > 2.0",
        "psap_load < 1.0 || state_load == 0.0",
        'number == "" && source_calls_3600s >= 2',
        "!number_dials && cell_calls_3600s >= 2",
        "without_service && trunk_calls_3600s >= 2",
        'attestation == "C" && source_calls_3600s >= 2',
        'verification == "failed" && source_calls_3600s >= 2',
        'device == "text" && source_calls_3600s >= 2',
        'area == "Provincetown" && source_calls_3600s >= 2',
        "hour == 4 && source_calls_3600s >= 2",
        'number == "" && (source_calls_60s >= 2 || trunk_calls_3600s >= 2 || cell_calls_3600s >= 2)',
        "source_calls_3600s >= 5",
        "trunk_calls_600s >= 39",
        "cell_calls_3600s in [16, 15]",
        "source_calls_3600s != 3",
        'number == "" && source_calls_3600s >= 100000',
        "!number_dials && trunk_calls_600s >= 1000",
        'without_service && cell == "42.36,-71.06" && cell_calls_60s > 10',
        'number == "" && source == "mobile-two"',
        'number == "" && source in lists.carriers',
        '!number.startsWith("+") && trunk == "test-1"',
        'attestation != "A" && trunk.startsWith("test-")',
        'attestation == "C" && number.startsWith("+1617555")',
        'device == "wireless" && source == "mobile-two"',
        'area == "Boston" && trunk == "test-1"',
        "lat > 42.0 && trunk_calls_600s >= 1000",
        "!place_known && source_calls_60s >= 1000",
        'cell == "" && trunk == "test-1"',
        'cell_calls_60s == 0 && trunk == "test-1"',
        "number_calls_3600s == 0 && source_calls_3600s >= 1000",
        "number_calls_3600s < 1 && trunk_calls_60s >= 1000",
        'number.size() == 0 && trunk == "test-1"',
        'display_name == "" && trunk == "test-1"',
        'display_name == "Anonymous"',
        'display_name.matches("(?i)anonymous")',
        'display_name in ["UNAVAILABLE", "free cruise"]',
        'service == "urn:service:sos.police" && source_calls_600s >= 1000',
        "number_calls_60s >= 2 || source_calls_60s >= 2",
    ],
)
def test_a_divert_for_what_a_caller_cannot_help_is_an_error(when: str) -> None:
    """A call is never diverted merely for a missing number, a phone without service, failed attestation."""
    lists = {**LISTS, "undialled": NamedList("undialled", Listed.NUMBER, frozenset({"+16175550101", "anonymous"}))}
    report = check(bundle(diverting(when), lists=lists))
    assert told(report.errors, "cannot help") == ["rule"]
    assert told(check(bundle(rule(when), lists=lists)).errors, "cannot help") == []  # a flag may


@pytest.mark.parametrize(
    "when",
    [
        "number_calls_60s >= 3",
        "number in lists.nuisance && hour < 6",
        'number == "+16175550101" || source == "carrier-a"',
        'number.startsWith("+1617555")',
        'without_service && cell == "42.36,-71.06" && number_calls_3600s >= 2',
        'number in lists.nuisance && attestation == "C"',
        'cell == "42.36,-71.06" && cell_calls_60s > 10',
        "number_dials ? source_calls_10s >= 8 : number_calls_600s >= 2",
        'source_calls_3600s >= 300 && attestation != "C" && device != "alarm" && number_dials && !without_service',
        'trunk == "test-1" && !(number in lists.known) && area != "Boston" && hour < 6 && state_load > 3.0',
        "trunk_calls_60s >= 12 && trunk_calls_60s < 900 && source in lists.carriers && place_known",
        'source == "carrier-a" && number_calls_3600s >= 1',
        'trunk == "test-1" && source_calls_600s > trunk_calls_600s',
        'display_name.matches("(?i)free cruise")',
        "!(number_calls_60s < 3)",
        "lat > 42.3 && 42.4 >= lat && !(lon > -71.0) && lon >= -71.2",
        'trunk == "test-1"',
        'trunk.startsWith("test-")',
        "cell_calls_600s > 20",
        'psap == "3156" && number_calls_600s >= 4',
        'source.matches("^mob-[0-9]+$")',
    ],
)
def test_a_divert_with_a_ground_in_each_of_its_ways_is_accepted(when: str) -> None:
    """What floods and nuisance look like can be said."""
    assert check(bundle(diverting(when))).errors == ()


@pytest.mark.parametrize(
    ("when", "instead"),
    [
        ('number == "" && source_calls_3600s >= 2', "number_calls_3600s >= 3"),
        ('number == "" && source_calls_3600s >= 2', 'source_calls_3600s >= 300 or more, without number == ""'),
        ("source_calls_3600s >= 5", "write source_calls_3600s >= 300 or more"),
        ('number == "" && source == "mobile-two"', 'leave out number == ""'),
        ("!number_dials && trunk_calls_600s >= 1000", "leave out !number_dials"),
        ("lat > 42.0 && trunk_calls_600s >= 1000", "leave out lat > 42.0"),
        ('number == ""', "number_calls_60s >= 3"),
    ],
)
def test_a_divert_without_a_ground_is_told_what_to_write_instead(when: str, instead: str) -> None:
    """An author who is only told no tries the next number."""
    assert [instead in each.instead for each in check(bundle(diverting(when))).errors] == [True]


def test_what_is_written_instead_of_a_shared_count_is_accepted() -> None:
    """For every window."""
    for name, least in COUNTS_MIN.items():
        assert check(bundle(diverting(f"{name} >= {least}"))).errors == ()
        assert told(check(bundle(diverting(f"{name} >= {least - 1}"))).errors, "cannot help") == ["rule"]


@pytest.mark.parametrize(
    "when",
    [
        "hour == 24",
        "hour > 22 && hour < 6",
        'device == "voip" && device == "text"',
        "number in lists.empty2",
        "number in lists.nuisance && !(number in lists.nuisance)",
        'number in lists.nuisance && number == "+16175550109"',
        'number.startsWith("+1617") && number.startsWith("+1413")',
        'number.startsWith("+1617") && !number.startsWith("+16")',
        'number.contains("55") && !number.contains("5")',
        "number_calls_60s > 3 && number_calls_60s < 4",
        "number_calls_60s < 0",
        "weekday == 0 || minute == 60",
        "false",
        "2 < 1",
        "place_known && !place_known",
        'source in ["a", "b"] && source.matches("c")',
        "place_known ? false : place_known",
    ],
)
def test_what_is_never_true_is_told(when: str) -> None:
    """Harmless where it would divert; an error where it was to let through."""
    lists = {**LISTS, "empty2": NamedList("empty2", Listed.NUMBER, frozenset())}
    assert told(check(bundle(rule(when), lists=lists)).warnings, "never true") == ["rule"]
    assert told(check(bundle(passing(when), lists=lists)).errors, "never true") == ["rule"]


@pytest.mark.parametrize(
    "when",
    ["true", "hour >= 0", "hour < 12 || hour >= 12", 'number.contains("")', "place_known || !place_known", "1 == 1"],
)
def test_what_is_always_true_is_told(when: str) -> None:
    """An error where it would divert every call of the state: that is how 18 June 2024 begins."""
    assert told(check(bundle(rule(when))).warnings, "always true") == ["rule"]
    assert told(check(bundle(diverting(when))).errors, "always true") == ["rule"]


def test_ordinary_rules_are_neither_never_nor_always_true() -> None:
    """A checker that cries wolf is switched off."""
    report = check(bundle(*(rule(when, f"rule-{n}") for n, when in enumerate(CONDITIONS))))
    assert told(report.warnings, "always true") == told(report.warnings, "never true") == []


def test_a_rule_behind_one_that_is_true_whenever_it_is_never_speaks() -> None:
    """A warning; an error where it was to let through what the earlier one diverts."""
    shadowing = diverting("number_calls_60s >= 3", "flood")
    behind = "number in lists.nuisance && number_calls_60s > 5"
    assert told(check(bundle(shadowing, rule(behind, "later"))).warnings, "never speaks") == ["later"]
    assert told(check(bundle(shadowing, passing(behind, "schools"))).errors, "never speaks") == ["schools"]
    assert told(check(bundle(passing(behind, "schools"), shadowing)).errors, "never speaks") == []
    brief = replace(shadowing, expires_ms=1_000)
    assert told(check(bundle(brief, rule(behind, "later"))).warnings, "never speaks") == []
    apart = ['number == "+16175550101" && hour < 6', 'number == "+16175550102" && hour < 5']
    assert told(check(bundle(*apart)).warnings, "never speaks") == []


def test_a_mistake_in_a_rule_is_told_with_its_line_and_the_others_are_still_checked() -> None:
    """One run tells all that is wrong."""
    report = check(bundle(rule("numbr == 'a'", "first", line=12), rule("hour == 24", "second", line=15)))
    assert [(each.line, each.rule_id) for each in report.errors] == [(12, "first")]
    assert "line 1, column 1" in report.errors[0].what and "number" in report.errors[0].instead
    assert told(report.warnings, "never true") == ["second"]


@pytest.mark.parametrize("rule_id", ["Drop", "lists", "bypass", "a b", "", "x" * 65, "1st"])
def test_a_rule_cannot_be_called_what_means_something_else(rule_id: str) -> None:
    """Records name rules: nobody may mistake one for the firewall's own word."""
    assert told(check(bundle(rule("place_known", rule_id))).errors, "cannot be called") == [rule_id[:64]]


def test_names_that_are_taken_are_errors() -> None:
    """Two rules of one name, and a list that is called as an attribute is."""
    lists = {"number": NamedList("number", Listed.NUMBER, frozenset({"+16175550101"}), 3)}
    report = check(bundle(rule("place_known", line=5), rule("number in lists.number", line=6), lists=lists))
    assert [(each.line, each.what.partition(" ")[0]) for each in report.errors] == [(3, "a"), (6, "line")]


def test_expired_rules_overlapping_and_unused_lists_are_told() -> None:
    """What is idle is a warning."""
    old = rule("number in lists.nuisance", expires_ms=5_000)
    warnings = check(bundle(old), wall_ms=5_000).warnings
    assert told(warnings, "has expired") == ["rule"]
    assert [each.what for each in warnings if "in common" in each.what] == [
        "lists nuisance and known have 1 item in common"
    ]
    assert sorted(each.what for each in warnings if "no rule asks" in each.what) == [
        f"no rule asks list {name}" for name in ("carriers", "empty", "known")
    ]
    assert told(check(bundle(old), wall_ms=4_000).warnings, "within a week") == ["rule"]


def test_forecasts_that_are_over_the_limit_together_are_an_error() -> None:
    """Each by itself looks small."""
    many = [diverting("number_calls_60s >= 3", f"rule-{n}", forecast_share=0.02) for n in range(3)]
    assert [each.what for each in check(bundle(*many)).errors] == [
        "its rules forecast to divert 6.00% of all calls; limit 5.00%"
    ]
    assert check(bundle(*many[:2])).errors == ()


def reasoned(when: str, rule_id: str, reason: str, verdict: str = "flag", **known: object) -> Rule:
    """A rule with a reason of its own."""
    said: Verdict = Divert("nuisance-desk", rule_id, reason) if verdict == "divert" else Flag(40, rule_id, reason)
    return replace(rule(when, rule_id, Pass() if verdict == "pass" else said, **known), reason=reason)


def test_a_reason_that_one_rule_flags_and_another_diverts_is_an_error() -> None:
    """A router's rules may use the score: for each reason one of the two may divert, and breakers see all of it."""
    soon = reasoned("number_calls_600s >= 4", "soon", "repeats", line=3)
    late = reasoned("number_calls_600s >= 9", "late", "repeats", "divert", line=9)
    for first, second in ((soon, late), (late, soon)):
        [found] = check(bundle(first, second)).errors
        assert (found.line, found.rule_id) == (second.line, second.rule_id)
        assert f"{first.rule_id} of line {first.line}" in found.what
        assert "another reason for the flag, such as repeats_flagged" in found.instead
    more = [reasoned(f"number_calls_600s >= {n}", f"more-{n}", "repeats", "divert") for n in (10, 11)]
    assert len(check(bundle(soon, late, *more)).errors) == 1  # a reason is told once


def test_reasons_that_are_only_flagged_or_only_diverted_are_nobodys_mistake() -> None:
    """Nor is one that lets calls pass, or that speaks no more."""
    flags = [reasoned(f"number_calls_600s >= {n}", f"flag-{n}", "repeats") for n in (4, 5)]
    diverts = [reasoned(f"number_calls_600s >= {n}", f"divert-{n}", "floods", "divert") for n in (9, 10)]
    passes = [reasoned("number in lists.known", f"pass-{reason}", reason, "pass") for reason in ("repeats", "floods")]
    expired = reasoned("number_calls_600s >= 3", "expired", "floods", expires_ms=5_000)
    assert check(bundle(*passes, *flags, *diverts, expired), wall_ms=5_000).errors == ()


def test_the_reason_that_is_proposed_for_a_flag_can_be_written() -> None:
    """However long the one is that it is made of."""
    long = "r" * NAME_CHARS_MAX
    made = bundle(reasoned("hour > 3", "soon", long), reasoned("number_calls_60s >= 3", "late", long, "divert"))
    [found] = check(made).errors
    proposed = found.instead.partition("such as ")[2].partition(":")[0]
    assert proposed != long and len(proposed) <= NAME_CHARS_MAX


def test_hours_that_a_set_of_rules_leaves_out_or_covers_twice_are_told() -> None:
    """By night and by day should be all hours, each once."""
    by_night = rule('source == "a" && (hour > 22 || hour < 6)', "by-night")
    by_day = rule('source == "a" && hour >= 6 && hour <= 22 && weekday < 6', "by-day")
    at_weekends = rule('source == "a" && weekday >= 6 && hour > 4', "at-weekends")
    found = [each.what for each in check(bundle(by_night, by_day, at_weekends)).warnings if "the hours" in each.what]
    assert found == ["the hours of by-night, by-day, at-weekends cover twice Sat/Sun 5:00-6:00, 23:00-24:00"]
    found = [each.what for each in check(bundle(by_night, by_day)).warnings if "the hours" in each.what]
    assert found == ["the hours of by-night, by-day leave out Sat/Sun 6:00-23:00"]
    alone = check(bundle(by_night, rule('source == "b" && hour < 6', "other"))).warnings
    assert [each for each in alone if "the hours" in each.what] == []


def corpus(repeats: int, others: int, **known: Value) -> list[dict[str, Value]]:
    return [call(number_calls_60s=5, **known)] * repeats + [call(number_calls_60s=1, **known)] * others


def test_a_rule_that_diverts_more_of_the_corpus_than_its_forecast_is_an_error() -> None:
    """What it does is measured by the evaluator that screens."""
    made = bundle(diverting("number_calls_60s >= 3", forecast_share=0.01))
    assert check(made, corpus(4, 196)).errors == ()
    assert told(check(made, corpus(6, 194)).errors, "6 of 200 calls") == ["rule"]
    flags = bundle(rule("number_calls_60s >= 3", forecast_share=0.01))
    assert told(check(flags, corpus(6, 194)).warnings, "6 of 200 calls") == ["rule"]


def test_a_bundle_that_diverts_more_of_the_state_or_a_psap_than_its_limits_is_an_error() -> None:
    """Whatever its rules forecast."""
    made = bundle(diverting("number_calls_60s >= 3", forecast_share=0.05), limits=Limits(0.05, 0.2))
    found = check(made, corpus(6, 4, psap="fcc-1") + corpus(0, 90, psap="fcc-2")).errors
    assert [each.what for each in found if "it would divert" in each.what] == [
        "it would divert 6 of 100 calls of the corpus; limit 5.00%",
        "it would divert 6 of 10 calls of fcc-1; limit 20.00%",
    ]


def test_a_kind_of_call_that_the_corpus_does_not_have_is_told() -> None:
    """Such a rule was tried on nothing."""
    some = [call(device="text", service="urn:service:sos"), call(device="wireless", service="urn:service:sos.police")]
    asked = [
        'device == "alarm"', 'hour > 2 && !("voip" == device)', 'service == "urn:service:sos.fire"',
        'device == "text"', 'service.startsWith("urn:service:sos")', 'device != "alarm"', 'device in ["alarm", "text"]',
    ]  # fmt: skip
    assert told(check(bundle(*asked), some).warnings, "no call of the corpus has") == ["rule-0", "rule-1", "rule-2"]
    assert told(check(bundle(*asked)).warnings, "no call of the corpus has") == []


def test_a_rule_that_fails_on_the_corpus_is_told() -> None:
    """Once, with why."""
    found = check(bundle("10 / hour > 1"), [call(hour=0)] * 3).warnings
    assert told(found, "ZeroDivisionError") == ["rule-0"]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ([CanaryStep(1.0, calls_min=1, minutes_min=0.0)], "its first step has 100% of all calls"),
        ([CanaryStep(0.01), CanaryStep(1.0, calls_min=1)], "step 2 may be over after 1 calls and 15 minutes"),
        ([CanaryStep(0.1, minutes_min=0.5), CanaryStep(1.0)], "step 1 may be over after 100 calls and 0.5 minutes"),
        ([CanaryStep(0.1, calls_min=10, minutes_min=5.0), CanaryStep(1.0)], ""),
        ([CanaryStep(0.0, areas=frozenset({"Boston"})), CanaryStep(1.0)], ""),
    ],
)
def test_a_canary_in_name_alone_is_told(plan: list[CanaryStep], said: str) -> None:
    """All calls after one call and no minute is `--force` by another name; those who sign it should see that."""
    found = [each.what for each in check(replace(bundle(), canary=tuple(plan))).warnings if "canary" in each.what]
    assert found == ([f"its canary hardly tries it: {said}"] if said else [])


def test_the_checker_refuses_what_the_evaluator_refuses() -> None:
    """It asks the evaluator itself: a checker that is not its twin lets a bundle through that nobody can run."""
    found = check(bundle(*["hour > 1 && place_known"] * 41)).errors
    assert [each.instead for each in found] == ["write it simpler"]


def hostile() -> Bundle:
    """A thousand rules over lists of a hundred thousand, in which nothing is quickly found out."""
    lists = {
        f"l{n}": NamedList(f"l{n}", Listed.NUMBER, frozenset(f"{n if i else 0}-{i}" for i in range(20_000)))
        for n in range(5)
    }
    every = " && ".join(f'number in lists.l{n} && number.contains("{n}")' for n in range(5))
    return bundle(
        *(
            diverting(f"{every} && hour > {n % 23} && lat > {n}.0 && !(number in lists.l1)", f"r{n}")
            for n in range(300)
        ),
        lists=lists,
    )


def test_looking_through_a_hostile_bundle_ends() -> None:
    """There is so much room, and no more: what is left unseen is told, and the bundle is refused for what was seen."""
    made = hostile()
    limited = Room({name: each.items for name, each in made.lists.items()})
    for each in made.rules:
        ways(read(each.when, dict.fromkeys(made.lists, Listed.NUMBER)), limited)
    assert limited.left > -LOOKS_MAX
    report = check(made)
    assert report.errors
    assert len(report.errors) <= FINDINGS_MAX + 1


def test_a_pass_rule_is_not_asked_for_grounds() -> None:
    """Letting through needs none."""
    made = check(bundle(passing("without_service")))
    assert made.errors == () and isinstance(bundle(passing("true")).rules[0].verdict, Pass)
    assert FAR_MS > 0
