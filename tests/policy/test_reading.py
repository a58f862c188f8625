"""A policy's file is hostile input: a Bundle, or one refusal that says its line and what to write instead."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.domain.policy import Divert, Flag, Pass
from services.policy.attributes import Listed
from services.policy.bundle import DEFAULT_CANARY, Bundle, CanaryStep, Limits, NamedList
from services.policy.files.reading import BYTES_MAX, LIST_ITEMS_MAX, RULES_MAX, BundleRefused, read_bundle
from tests.policy.files import NUISANCE, bundle, text

HEAD = "name: a\nversion: 1\nauthor: b\n"


def refused(content: str | bytes) -> BundleRefused:
    with pytest.raises(BundleRefused) as refusal:
        read_bundle(content.encode() if isinstance(content, str) else content)
    return refusal.value


def test_a_bundle_is_read_as_it_is_written() -> None:
    """Values keep the form in which they stand: a plain number keeps its plus."""
    read = bundle()
    (rule,) = read.rules
    assert (read.name, read.version, read.author) == ("nuisance", 7, "a person")
    assert rule.verdict == Divert("nuisance-desk", "nuisance", "repeat_caller")
    assert (rule.forecast_share, rule.owner, rule.line) == (0.001, "the desk", 8)
    assert rule.expires_ms == 4_070_908_800_000
    assert read.lists == {"nuisance": NamedList("nuisance", Listed.NUMBER, frozenset({NUISANCE}), 4)}
    assert read.limits == Limits(diverted_share=0.02)
    assert read.canary == (CanaryStep(0.5, frozenset(), 10, 1.0), CanaryStep(1.0, frozenset(), 10, 1.0))
    assert len(read.digest) == 64


def test_what_is_left_out_has_its_default() -> None:
    """Name, version and author are enough for a bundle that passes everything."""
    read = read_bundle(HEAD.encode())
    assert (read.rules, read.lists, read.limits, read.canary) == ((), {}, Limits(), DEFAULT_CANARY)


@pytest.mark.parametrize(("said", "verdict"), [("pass", Pass()), ("{flag: 40}", Flag(40, "nuisance", "repeat_caller"))])
def test_a_rule_says_pass_flag_or_divert(said: str, verdict: Pass | Flag) -> None:
    """Promise 3: there are three words."""
    assert bundle(verdict=said).rules[0].verdict == verdict


@pytest.mark.parametrize("word", ["block", "drop", "reject", "busy", "Drop", "hang-up", "{block: x}", "{drop: 1}"])
def test_a_word_that_stops_calls_is_refused_with_what_to_write_instead(word: str) -> None:
    """Promise 3: i3 knows no block, and neither does a policy."""
    refusal = refused(text(verdict=word))
    assert refusal.line == 11
    assert "every call reaches a person" in refusal.what
    assert "divert: nuisance-desk" in refusal.instead


HOSTILE = [
    pytest.param("a: &a [x]\nb: *a\n", 1, "unknown field", id="unknown"),
    pytest.param(HEAD + "rules: &a []\n", 4, "anchor", id="anchor"),
    pytest.param(HEAD + "rules: *a\n", 4, "anchor or alias", id="alias"),
    pytest.param(HEAD + "rules: !!python/object/apply:os.system [x]\n", 4, "a tag", id="tag"),
    pytest.param(HEAD + "<<: {a: b}\n", 4, "a merge key", id="merge"),
    pytest.param("%TAG !a! tag:x,2000:\n---\n" + HEAD, 1, "directive", id="directive"),
    pytest.param(HEAD + "---\n" + HEAD, 4, "second document", id="document"),
    pytest.param(HEAD + "name: c\n", 4, "'name' is there twice, first at line 1", id="duplicate"),
    pytest.param(HEAD + "rules: [[[[[[]]]]]]\n", 4, "no mapping", id="nested"),
    pytest.param(HEAD + "rules: " + "[" * 100_000, 4, "", id="deep"),
    pytest.param(HEAD + "rules: \x00\n", 4, "not YAML", id="nul"),
    pytest.param(HEAD.encode() + b"rules: \xff\n", 4, "not UTF-8", id="utf8"),
    pytest.param("", 1, "nothing in it", id="empty"),
    pytest.param("just words\n", 1, "no mapping", id="words"),
    pytest.param("name: a\nversion: 1\n", 1, "author missing", id="missing"),
    pytest.param(HEAD + "verson: 2\n", 4, "unknown field 'verson'", id="slip"),
    pytest.param(HEAD + "rules:\n", 4, "no list of rules", id="nothing"),
    pytest.param("name: a\nversion: 0\nauthor: b\n", 2, "version", id="zero"),
    pytest.param(f"name: a\nversion: {2**53 + 1}\nauthor: b\n", 2, "version", id="huge"),
    pytest.param("name: a\nversion: '1'\nauthor: b\n", 2, "version", id="quoted"),
    pytest.param("name: a\nversion: 1_0\nauthor: b\n", 2, "version", id="underscore"),
    pytest.param(text(forecast_share=".nan"), 12, "forecast_share", id="nan"),
    pytest.param(text(forecast_share="1.5"), 12, "forecast_share", id="share"),
    pytest.param(text(expires="2027-13-01T00:00:00Z"), 13, "expires", id="month"),
    pytest.param(text(expires="2027-01-01"), 13, "expires", id="date"),
    pytest.param(text(limits="{diverted_share: 0.9}"), 5, "diverted_share", id="cap"),
    pytest.param(text(canary="[]"), 1, "canary has no step", id="canary"),
    pytest.param(text(canary="[{calls_min: 5}]"), 6, "a step of no calls", id="step"),
    pytest.param(text(verdict="{flag: 101}"), 11, "flag", id="score"),
    pytest.param(text(verdict="{flag: 1, divert: x}"), 11, "says 2 things", id="both"),
    pytest.param(text(lists='{a: {kind: number, items: [""]}}'), 4, "an item of 0 characters", id="no number"),
    pytest.param(text(lists="{a: {kind: number, items: [911x]}}"), 4, "no item", id="number"),
    pytest.param(text(lists="{a: {kind: device, items: [fax]}}"), 4, "no item", id="device"),
    pytest.param(text(lists="{a: {kind: caller, items: []}}"), 4, "kind", id="kind"),
    pytest.param(text(when="'" + "x" * 5_000 + "'"), 10, "more than 4096 bytes", id="text"),
    pytest.param(HEAD + "rules:\n" + "- {id: a}\n" * 2, 5, "missing", id="rule"),
]


@pytest.mark.parametrize(("content", "line", "what"), HOSTILE)
def test_what_is_hostile_or_wrong_is_refused_with_its_line(content: str | bytes, line: int, what: str) -> None:
    """Everything that YAML can do to a reader, and everything that a bundle may not say."""
    refusal = refused(content)
    assert refusal.line == line, refusal
    assert what in refusal.what
    assert refusal.instead


def test_two_rules_of_one_id_are_refused_with_both_lines() -> None:
    """A verdict names its rule, so a rule has one name."""
    one = text().partition("rules:\n")[2]
    refusal = refused(text() + one)
    assert refusal.line == 15
    assert "first at line 8" in refusal.what


def test_a_list_that_doubled_past_the_limit_is_refused_at_the_item_that_is_too_much() -> None:
    """Cloudflare, November 2025: a generated list doubles; here the last good one stays."""
    items = "".join(f"    - +1508555{number % 100 + 100:04}\n" for number in range(LIST_ITEMS_MAX + 1))
    refusal = refused(HEAD + "lists:\n  a:\n    kind: number\n    items:\n" + items)
    assert refusal.line == 8 + LIST_ITEMS_MAX
    assert f"more than {LIST_ITEMS_MAX} items" in refusal.what


def test_more_rules_than_may_be_are_refused_before_the_next_is_built() -> None:
    """10^6 rules cost what a thousand cost."""
    rest = "reason: r, when: 'true', verdict: pass, forecast_share: 0, expires: 2099-01-01T00:00:00Z, owner: o"
    rule = f"- {{id: r%d, {rest}}}\n"
    refusal = refused(HEAD + "rules:\n" + "".join(rule % number for number in range(RULES_MAX + 20)))
    assert refusal.line == 5 + RULES_MAX


def test_a_file_past_the_size_is_refused_unread() -> None:
    """Before any parse: a gigabyte costs its length and nothing more."""
    assert refused(b"#" * (BYTES_MAX + 1)).line == 0


def read_or_refused(content: bytes) -> Bundle | BundleRefused:
    try:
        return read_bundle(content)
    except BundleRefused as refusal:
        return refusal


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbf" + HEAD.encode())
def test_any_bytes_are_a_bundle_or_a_refusal(content: bytes) -> None:
    """Nothing else comes out, whatever goes in."""
    read_or_refused(content)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_bundle_with_a_few_bytes_changed_is_a_bundle_or_a_refusal(seed: int, changes: int) -> None:
    """Near misses reach deeper than noise; a refusal names a line that is there, and none drops a call."""
    dice = random.Random(seed)
    content = bytearray(text().encode())
    for _ in range(changes):
        at = dice.randrange(len(content))
        content[at : at + dice.randrange(3)] = bytes(
            dice.choice(b"-:[]{}&*!|>'\"%@# \n\x00\xff\x85azAZ019") for _ in range(dice.randrange(3))
        )
    read = read_or_refused(bytes(content))
    if isinstance(read, BundleRefused):
        assert 0 <= read.line <= content.count(b"\n") + 2
    else:
        assert all(isinstance(rule.verdict, Pass | Flag | Divert) for rule in read.rules)


def test_the_same_bytes_have_the_same_digest_and_others_another() -> None:
    """A signature is of the very bytes."""
    assert read_bundle(text().encode()).digest == bundle().digest
    assert read_bundle((text() + "\n").encode()).digest != bundle().digest
