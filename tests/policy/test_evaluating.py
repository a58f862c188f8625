"""What a bundle proposes: the library agrees with a plain evaluator, the index loses no rule, nothing raises."""

from __future__ import annotations

from collections.abc import Mapping

import cel
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.domain.offer import Device, Verification
from services.policy.attributes import Listed, Value
from services.policy.bundle import NamedList
from services.policy.checks.check import check
from services.policy.language import plain, printing
from services.policy.language.patterns import PATTERNS_MAX
from services.policy.language.tree import Asked, Binary, Literal, Member, Name, Negative, Node, Op, Size, walk
from services.policy.language.tree import Matches as MatchesPattern
from services.policy.verdicts.evaluating import BundleUnfit, Decision, Evaluation
from services.policy.verdicts.indexing import ASKED_ALWAYS_MAX
from tests.policy.expressions import FAR_MS, HERE, ITEMS, bundle, call, inputs, rule, trees
from tests.policy.test_language import unwritable


def outcome(node: Node, known: Mapping[str, Value]) -> bool | str:
    """By the plain evaluator: true, false, or that it fails."""
    try:
        return plain.holds(node, known, ITEMS)
    except (ArithmeticError, TypeError):
        return "fails"


@given(trees(), inputs)
@settings(max_examples=150)
def test_the_library_and_the_plain_evaluator_agree(node: Node, known: dict[str, Value]) -> None:
    """Two readings of one rule, made by different people: where they differ, one of them is wrong about a call."""
    if unwritable(node) or any(isinstance(each, Size) for each in walk(node)):  # the library counts bytes
        return

    def whole(asked: Asked) -> str:
        if isinstance(asked, MatchesPattern):
            return f"{asked.name}.matches({printing.value(asked.pattern)})"
        if isinstance(asked, Member) and asked.list_name:
            return f"{asked.name} in [{', '.join(map(printing.value, sorted(ITEMS[asked.list_name])))}]"
        return printing.asked(asked)

    try:
        found: object = cel.compile(printing.text(node, whole)).execute(cel.Context(known))
    except (ArithmeticError, TypeError):
        found = "fails"
    assert found == outcome(node, known)


@given(st.lists(trees(depth=2), min_size=1, max_size=6), inputs)
@example(
    [Binary(Op.LESS, Negative(Name("trunk_calls_60s", HERE), HERE), Literal(0, HERE), HERE)],
    {**call(), "trunk_calls_60s": -(2**63)},
)
@settings(max_examples=60)
def test_a_decision_is_the_first_rule_that_is_plainly_true(nodes: list[Node], known: dict[str, Value]) -> None:
    """Index, slots and order change nothing: asking each rule plainly in the order of the file gives the same."""
    nodes = [node for node in nodes if not unwritable(node)]
    made = bundle(*(printing.text(node) for node in nodes))
    outcomes = [outcome(node, known) for node in nodes]
    first = next((f"rule-{number}" for number, found in enumerate(outcomes) if found is True), None)
    decision = Evaluation(made).decide(known, 0)
    assert decision.rule_id == first
    before = outcomes if first is None else outcomes[: outcomes.index(True)]
    failing = [f"rule-{number}" for number, found in enumerate(before) if found == "fails"]
    told = [rule_id for rule_id, _ in decision.errors]
    assert set(told) <= set(failing)  # one that its guard kept from being asked is not told
    assert [each for each in told if each in failing] == told
    assert Evaluation(made).all_true(known, 0) == tuple(
        f"rule-{n}" for n, found in enumerate(outcomes) if found is True
    )


def test_a_rule_that_fails_counts_as_not_true_and_is_told() -> None:
    """A mistake in one rule is not the end of the others."""
    found = Evaluation(bundle("10 / hour > 1", "place_known")).decide(call(place_known=True), 0)
    assert found.rule_id == "rule-1"
    assert [(rule_id, why.partition(":")[0]) for rule_id, why in found.errors] == [("rule-0", "ZeroDivisionError")]


def test_an_expired_rule_is_not_true() -> None:
    """From its instant on, exactly."""
    evaluation = Evaluation(bundle(rule("true", "brief", expires_ms=1_000)))
    assert evaluation.decide(call(), 999) == Decision("brief")
    assert evaluation.decide(call(), 1_000) == Decision(None)


def test_a_name_that_is_missing_has_its_unknown_value() -> None:
    """A rule never meets a missing name, and a call is decided though its inputs are short."""
    assert Evaluation(bundle('device == "unknown" && weekday == 1')).decide({}, 0) == Decision("rule-0")


def test_the_words_of_the_domain_are_inputs_as_they_are() -> None:
    """An enumeration's word is a text; the library takes texts alone."""
    evaluation = Evaluation(bundle('device == "voip" && verification.startsWith("fail")'))
    known = call(device=Device.VOIP, verification=Verification.FAILED)
    assert evaluation.decide(known, 0) == Decision("rule-0")


@given(st.dictionaries(st.sampled_from(["number", "hour", "lat", "place_known"]), st.none() | st.text() | st.integers()
                       | st.floats() | st.lists(st.integers()) | st.just("\ud800")))  # fmt: skip
def test_inputs_of_any_kind_are_decided(known: dict[str, Value]) -> None:
    """Nothing raises out of a decision: a surrogate, a wrong type, an int that is too large."""
    rules = ["number in lists.nuisance", "hour > 3", "lat < 1.0", "place_known", 'number.matches("a")', 'number == "b"']
    Evaluation(bundle(*rules)).decide(known, 0)


@pytest.mark.parametrize(
    "when",
    ["(" * 200 + "true" + ")" * 200, "number.exists(x, true)", "hour == 'a'", "hour", 'number.matches("(a{64}){64}")'],
)
def test_a_rule_that_cannot_be_read_makes_the_bundle_unfit(when: str) -> None:
    """Nothing reaches the library that the reader did not accept; it dies of some of these."""
    with pytest.raises(BundleUnfit) as unfit:
        Evaluation(bundle("true", when))
    assert unfit.value.rule_id == "rule-1"


def test_more_rules_without_a_guard_than_may_be_asked_always_are_refused() -> None:
    """Forty, and not forty-one; guarded ones are not counted."""
    always = ["hour > 1 && place_known"] * ASKED_ALWAYS_MAX
    guarded = [f'number == "+1617555010{n}" && hour > 1' for n in range(10)]
    Evaluation(bundle(*always, *guarded))
    with pytest.raises(BundleUnfit, match="number in lists"):
        Evaluation(bundle(*always, *guarded, 'place_known || number == "a"'))


def test_rules_that_one_call_meets_all_at_once_are_refused() -> None:
    """A guard that all calls share is none: the cost of the worst call is bounded, not that of a usual one."""
    Evaluation(bundle(*(f'source == "carrier-{n}" && hour > 1' for n in range(1_000))))
    with pytest.raises(BundleUnfit, match="one call can meet"):
        Evaluation(bundle(*['source == "carrier-a" && hour > 1'] * 1_000))
    everywhere = {f"l{n}": NamedList(f"l{n}", Listed.NUMBER, frozenset({"+16175550101", str(n)})) for n in range(500)}
    with pytest.raises(BundleUnfit, match="one call can meet"):
        Evaluation(bundle(*(f"number in lists.l{n} && hour > 1" for n in range(500)), lists=everywhere))


def test_more_patterns_than_memory_was_counted_for_are_refused() -> None:
    """By the evaluator and by the checker, which compiles none of them first."""
    whens = [f'number == "{n}" && display_name.matches("a{n}")' for n in range(PATTERNS_MAX + 1)]
    Evaluation(bundle(*whens[1:], whens[1]))
    with pytest.raises(BundleUnfit, match="different patterns"):
        Evaluation(bundle(*whens))
    assert [each.instead for each in check(bundle(*whens)).errors] == ["write fewer patterns"]


def test_conditions_that_are_too_long_together_are_refused_unread() -> None:
    """A thousand rules of four thousand characters each would be read for half a minute."""
    made = bundle(*["(" * 4_000] * 101)
    with pytest.raises(BundleUnfit, match="characters together"):
        Evaluation(made)
    assert [each.instead for each in check(made).errors] == ["name long lists under `lists`, and write fewer rules"]


def test_a_rule_joined_by_or_is_found_by_each_of_its_guards() -> None:
    """Neither half is lost to the index."""
    evaluation = Evaluation(bundle('number in lists.nuisance || source == "carrier-a"', rule("true", "last")))
    assert evaluation.index.always == (1,)
    assert evaluation.decide(call(source="carrier-a"), 0) == Decision("rule-0")
    assert evaluation.decide(call(number="+16175550102"), 0) == Decision("rule-0")
    assert evaluation.decide(call(number="+16175550103"), 0) == Decision("last")


def test_the_same_call_is_decided_the_same_again() -> None:
    """Nothing is carried from one call to the next: a verdict is a function of bundle, call and instant."""
    evaluation = Evaluation(bundle("number in lists.nuisance && hour == 1", 'number.matches("3$")'))
    calls = [call(number="+16175550101", hour=1), call(number="+16175550103"), call(), call(hour=1)]
    once = [evaluation.decide(each, FAR_MS - 1) for each in calls]
    assert [each.rule_id for each in once] == ["rule-0", "rule-1", None, None]
    assert [evaluation.decide(each, FAR_MS - 1) for each in reversed(calls)] == once[::-1]
