"""The language's reader: what it accepts means one thing, what it refuses it refuses quickly and with a way out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.language import patterns, plain, printing
from services.policy.language.grammar import DEPTH_MAX, NODES_MAX
from services.policy.language.read import read
from services.policy.language.tokens import LENGTH_MAX
from services.policy.language.tree import At, Literal, Negative, Node, NotInLanguage, walk
from tests.policy.expressions import KINDS, call, trees

WORDS = [
    "number", "lists.nuisance", "hour", "lat", "place_known", "in", "(", ")", "[", "]", "&&", "||", "!", "-", "==",
    "<", "?", ":", ",", ".", "1", "2.5", '"a"', "r'\\'", ".size()", '.matches("(")', "startsWith", "\u202e", "\ud800",
    "9" * 30, "0x1", "'''", "//", "and", "all", "\n", "é",
]  # fmt: skip


def unwritable(node: Node) -> bool:
    """A minus before a literal is a literal; before another minus it is refused."""
    return any(isinstance(each, Negative) and isinstance(each.operand, Negative | Literal) for each in walk(node))


def refusal(text: str) -> NotInLanguage | None:
    """Why a text is refused; None where it is read."""
    try:
        read(text, KINDS)
    except NotInLanguage as refused:
        return refused
    return None


@given(trees())
@settings(max_examples=100)
def test_what_is_printed_reads_as_the_same_tree(node: Node) -> None:
    """Two rules say the same exactly when they print the same: shadowing and the library both rest on it."""
    if unwritable(node) or len(printing.text(node)) > LENGTH_MAX:
        return
    assert read(printing.text(node), KINDS) == node


@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.text(max_size=200))
@settings(max_examples=300)
def test_any_text_is_read_or_refused_at_a_place_within_it(text: str) -> None:
    """Whatever is thrown at it, one error: with a place, what is wrong and what to write instead."""
    refused = refusal(text)
    if refused is not None:
        lines = text.split("\n")
        assert 1 <= refused.at.line <= len(lines)
        assert 1 <= refused.at.column <= len(lines[refused.at.line - 1]) + 1
        assert refused.what and refused.instead


@pytest.mark.parametrize(
    ("text", "column", "what", "instead"),
    [
        ('number_calls_60s == "a"', 18, "int == string", "whole digits"),
        ("numbr == 'a'", 1, "no attribute is called numbr", "did you mean number?"),
        ("hour == 2.0", 6, "int == double", "without quotes or a point"),
        ("lat > 41", 5, "double > int", "41.0"),
        ("number == 5", 8, "string == int", '"5"'),
        ('device == "mobile"', 11, 'never "mobile"', "wireless"),
        ('device in ["voip", "mobile"]', 8, 'never "mobile"', "wireless"),
        ('number < "a"', 8, "string < string", "startsWith"),
        ("1 < hour < 5", 10, "chain", "a < b && b < c"),
        ("hour > 1 and hour < 5", 10, "another language", "&&"),
        ('source = "x"', 8, "another language", "=="),
        ("source in lists.nuisance", 8, "values of number", "ask number in it"),
        ("number in lists.nuisnce", 8, "no list is called nuisnce", "nuisance"),
        ("hour in lists.nuisance", 6, "hour is in no list", "=="),
        ("lists.nuisance.exists(x, x == number)", 1, "a list as a value", "in lists.LIST"),
        ("number.all(x, true)", 8, "all walks through a list", "in lists.LIST"),
        ("size(number) > 3", 1, "the function size", ".size()"),
        ('number.matches("(a")', 16, "does not end", "close it"),
        ("number.matches(source)", 16, "not written here", '"..."'),
        ("hour", 1, "a rule that is int", ">= 3"),
        ("!hour", 2, "turns a condition round", ">= 3"),
        ("!!place_known", 2, "! after !", "one sign"),
        ("place_known ? 1 : 2.0", 13, "a choice between", "same type"),
        ("true ? true ? 1 : 2 : 3", 13, "? where : should stand", "parentheses"),
        ("hour == 9223372036854775808", 9, "too large", "9223372036854775807"),
        ("lat < 1e999", 7, "too large", "double"),
        ("hour == 0x10", 9, "not a number", "decimal"),
        ('number == "a\u202eb"', 13, "U+202E", "escape"),
        ('number == "\\x41"', 12, "escape", "backslash"),
        ('number == """a"""', 11, "three quotes", "in one"),
        ("true // why", 6, "a comment", "YAML"),
        ("[1] == [1]", 1, "a list or map as a value", "right of `in`"),
        ("true\n  && nope", 6, "no attribute is called nope", "docs/policy-language.md"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_write(text: str, column: int, what: str, instead: str) -> None:
    """An operator at three in the morning needs the column and the words."""
    with pytest.raises(NotInLanguage) as refused:
        read(text, KINDS)
    assert (refused.value.at.column, refused.value.at.line) == (column, text[:-1].count("\n") + 1)
    assert what in refused.value.what
    assert instead in refused.value.instead


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4_000,
        "(" * (DEPTH_MAX + 1) + "true" + ")" * (DEPTH_MAX + 1),
        "!(" * 1_000 + "true" + ")" * 1_000,
        "true ? " * 500 + "true" + " : true" * 500,
        " && ".join(["true"] * (NODES_MAX + 1)),
        "hour == " + "+".join(["1"] * 400),
        f"hour in [{','.join(['1'] * 400)}]",
        '"' + "a" * 5_000_000,
        " " * 5_000_000 + "true",
        "true " * 900,
        "number" + '.startsWith("a")' * 200,
    ],
    ids=lambda text: f"{text[:12]}...{len(text)}",
)
def test_a_hostile_text_is_refused_before_it_costs_anything(text: str) -> None:
    """Depth, length and size are bounded while reading; the library's parser would die of some of these."""
    with pytest.raises(NotInLanguage):
        read(text, KINDS)


def test_what_is_at_the_bounds_is_accepted() -> None:
    """Bounds that refused honest rules would be worked around."""
    for text in (
        "(" * DEPTH_MAX + "place_known" + ")" * DEPTH_MAX,
        "hour == -9223372036854775808",
        " || ".join([f"hour == {hour}" for hour in range(24)] * 2),
        'number.startsWith("+1617") && display_name.size() < 3 && -hour + 2 * minute % 7 > -3 && lat / 2.0 < 1e1',
        "number == r'\\d' && source != '\\'\\u00e9'",
        "place_known == !number_dials",
    ):
        read(text, KINDS)


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        (r"^\+1617555\d{4}$", ["+16175550101"], ["+1617555010", "x+16175550101", "+1617555010٣"]),
        ("(?i)free (cruise|money)", ["FREE money now"], ["free"]),
        (r"^[^0-9\]]+$", ["abc漢"], ["a1", "a]"]),
        (r"a/b|c\.d", ["xa/b", "c.d"], ["cxd"]),
        (r"^[\w-]{2,3}$", ["a-b", "__"], ["abcd", "é-"]),
        (r"^(?:ab?){2}$", ["aba", "abab", "aa"], ["a", "ababa"]),
        (r"^\s[&~-]", [" &", "\t~", " -"], ["x&"]),
        ("a$", ["ba"], ["a\n", "ab"]),
    ],
)
def test_a_pattern_means_what_it_says(pattern: str, found: list[str], not_found: list[str]) -> None:
    """Found anywhere, unless it says where; classes are of ASCII."""
    engine = patterns.compiled(patterns.read(pattern, At(1, 1)).engine)
    assert [text for text in found if not engine.isinstance_python(text)] == []
    assert [text for text in not_found if engine.isinstance_python(text)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "(a*)*{3}", "(((a{64}){64}){64})", r"(\w{20}){20}", ".{30}", "(?i)[a-z]{64}k{64}", "a**", "a|", "", "()",
        "(?s).", r"\b", r"\pL", "[[:alpha:]]", "[é]", "a{0}", "a{3,2}", "a{999}", "((((((((a))))))))", "x" * 201, "^*",
        "a)", "[a", "*", "\\", "(?=a)", r"(a)\1", "a{", "[]", "[z-a]",
    ],
)  # fmt: skip
def test_a_pattern_that_costs_or_misleads_is_refused(pattern: str) -> None:
    """The engine is linear in text times pattern: so the pattern is bounded before it is compiled."""
    with pytest.raises(NotInLanguage):
        patterns.read(pattern, At(1, 1))


@given(st.text(st.sampled_from("ab1.*+?()[]{}|^$\\-,dws:i&~é "), max_size=20))
@settings(max_examples=300)
def test_every_accepted_pattern_compiles(pattern: str) -> None:
    """What the reader accepts the engine must take: the two must never disagree once a bundle is loaded."""
    try:
        engine = patterns.read(pattern, At(1, 1)).engine
    except NotInLanguage:
        return
    patterns.compiled.__wrapped__(engine).isinstance_python("ab1" * 40)


def test_size_counts_characters() -> None:
    """The library counts bytes; here a letter is one, whatever its alphabet."""
    assert plain.holds(read("display_name.size() == 2", KINDS), call(display_name="漢😀"), {})
