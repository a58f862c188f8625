"""A replay: what changes with the candidate, counted and told; the same calls give the same difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.policy.attributes import Value
from services.policy.bundle import Bundle, Limits, Rule
from services.policy.replays.difference import EXAMPLES_MAX, Call, Change, Difference, change
from services.policy.replays.findings import Kind, Weight, findings
from services.policy.replays.replaying import Judging, no_stopwatch, replay
from services.policy.verdicts.evaluating import Decision

NEVER_MS = 10**15
DESK = "nuisance-desk"
DIVERT = Divert(DESK, "repeats", "repeat_caller")
FLAG = Flag(40, "odd", "odd_hour")


class Numbers:
    """A bundle that speaks by rule for the numbers it knows: a stand-in for a compiled one."""

    def __init__(self, rules: Mapping[str, str], errors: tuple[tuple[str, str], ...] = ()) -> None:
        self._rules = {n(name): rule_id for name, rule_id in rules.items()}
        self._errors = errors

    def decide(self, inputs: Mapping[str, Value], wall_ms: int) -> Decision:
        return Decision(self._rules.get(str(inputs["number"])), self._errors)


def rule(verdict: Verdict, rule_id: str = "repeats", forecast_share: float = 0.5) -> Rule:
    return Rule(rule_id, "why", "true", verdict, "desk", forecast_share, NEVER_MS)


def bundle(*rules: Rule, limits: Limits | None = None) -> Bundle:
    return Bundle("nuisance", 7, "a", rules, limits=limits or Limits(1.0, 1.0))


def n(name: str) -> str:
    """A caller's number, which belongs to nobody: `a` to `z`, or one of a thousand others."""
    return f"+161755501{ord(name) - 97:02d}" if name.isalpha() else f"+1{200 + int(name)}5550100"


def call(name: str, nth: int = 2, call_id: str = "", at_ms: int = 1_000, psap: str = "3203") -> Call:
    inputs: dict[str, Value] = {"number": n(name), "number_calls_3600s": nth, "psap": psap, "area": "BOSTON"}
    return Call(call_id or f"{name}/{nth}", at_ms, inputs, nth == 1)


def judging(rules: Bundle, speaks: Mapping[str, str], errors: tuple[tuple[str, str], ...] = ()) -> Judging:
    return Judging(rules, Numbers(speaks, errors), {DESK}, no_stopwatch)


def compared(candidate: Bundle, speaks: Mapping[str, str], calls: Sequence[Call]) -> Difference:
    return replay(judging(bundle(), {}), judging(candidate, speaks), calls)


def test_every_pair_of_verdicts_has_its_change() -> None:
    """What the caller meets is compared; that another rule says the same is no change."""
    other = replace(DIVERT, desk="region-desk")
    expected: dict[tuple[Verdict, Verdict], Change] = {
        (Pass(), Pass()): Change.SAME,
        (Pass(), FLAG): Change.NEWLY_FLAGGED,
        (Pass(), DIVERT): Change.NEWLY_DIVERTED,
        (FLAG, Pass()): Change.NO_LONGER_FLAGGED,
        (FLAG, replace(FLAG, rule="another")): Change.SAME,
        (FLAG, replace(FLAG, score=41)): Change.OTHER_SCORE,
        (FLAG, DIVERT): Change.NEWLY_DIVERTED,
        (DIVERT, Pass()): Change.NO_LONGER_DIVERTED,
        (DIVERT, FLAG): Change.NO_LONGER_DIVERTED,
        (DIVERT, replace(DIVERT, rule="another")): Change.SAME,
        (DIVERT, other): Change.OTHER_DESK,
    }
    assert {pair: change(*pair) for pair in expected} == expected


def test_newly_diverted_calls_are_counted_by_rule_place_and_psap() -> None:
    """Three calls of one caller, one of another: the three are told wherever one would look for them."""
    calls = [call("a", 2), call("a", 3), call("a", 4), call("b", 2, psap="3204")]
    difference = compared(bundle(rule(DIVERT)), {"a": "repeats"}, calls)
    assert difference.calls == 4
    assert difference.changes == {Change.NEWLY_DIVERTED: 3, Change.SAME: 1}
    assert difference.candidate.rules["repeats"].diverted == 3
    assert difference.candidate.rules["repeats"].callers == {n("a")}
    assert (difference.psaps["3203"].calls, difference.psaps["3203"].newly) == (3, 3)
    assert (difference.psaps["3204"].calls, difference.psaps["3204"].newly) == (1, 0)
    assert difference.areas["BOSTON"].candidate == 3


def test_what_is_no_longer_diverted_names_the_rule_that_fell_silent() -> None:
    """Otherwise nobody could tell which rule was lost."""
    difference = replay(judging(bundle(rule(DIVERT)), {"a": "repeats"}), judging(bundle(), {}), [call("a")])
    assert difference.changes == {Change.NO_LONGER_DIVERTED: 1}
    assert difference.examples[0].rule == "repeats"
    assert difference.psaps["3203"].no_longer == 1


def test_a_callers_first_call_stays_with_its_psap_and_the_guard_is_told() -> None:
    """The guards stand behind a replayed bundle as they stand behind a live one."""
    difference = compared(bundle(rule(DIVERT)), {"a": "repeats"}, [call("a", 1), call("a", 2)])
    assert (difference.candidate.proposed, difference.candidate.diverted) == (2, 1)
    assert difference.candidate.kept == {"first_call": 1}
    assert difference.candidate.rules["repeats"].kept == 1


def test_a_call_that_was_recorded_twice_counts_once() -> None:
    """Each leg of a call is screened, and it is one call."""
    assert compared(bundle(), {}, [call("a", call_id="x"), call("a", call_id="x")]).calls == 1


def test_examples_are_few_for_each_change_and_rule() -> None:
    """A flood gives a handful, the first ones."""
    calls = [call("a", nth) for nth in range(2, 100)]
    difference = compared(bundle(rule(DIVERT)), {"a": "repeats"}, calls)
    assert [each.call.call_id for each in difference.examples] == [f"a/{nth}" for nth in range(2, 2 + EXAMPLES_MAX)]


def test_a_bundle_that_diverts_everything_is_grave_in_every_scope() -> None:
    """Massachusetts, 18 June 2024: caught before a live call meets it; five callers at most would have met it."""
    everything = bundle(rule(DIVERT, forecast_share=0.001), limits=Limits())
    names = [str(each) for each in range(39)]
    calls = [call(name, 1 + (name > "0")) for name in names]
    difference = compared(everything, dict.fromkeys(names, "repeats"), calls)
    found = findings(difference, everything)
    grave = {each.about for each in found if each.weight is Weight.GRAVE}
    assert grave == {"", "state", "psap:3203", "area:BOSTON", "rule:repeats", "repeats"}
    assert [each.kind for each in found if each.weight is Weight.NOTE] == [Kind.GUARDED]
    assert difference.candidate.diverted == 38
    assert difference.candidate.diverted - difference.candidate.broken <= 5


def test_a_desk_that_nobody_staffs_is_given_no_calls() -> None:
    """The guard of a firewall, told before the bundle is live."""
    nobody = bundle(rule(replace(DIVERT, desk="a-desk-that-was")))
    assert compared(nobody, {"a": "repeats"}, [call("a")]).candidate.kept == {"no_desk": 1}


def test_callers_who_repeat_are_no_part_of_the_share_that_is_limited() -> None:
    """A flood is what the rule is there for: nine calls of ten, and nothing grave."""
    flood = [call("a", nth) for nth in range(6, 96)]
    flood = [replace(each, inputs={**each.inputs, "number_calls_600s": 9}) for each in flood]
    quiet = [call(f"{each}") for each in range(10)]
    bundled = bundle(rule(DIVERT), limits=Limits())
    found = findings(compared(bundled, {"a": "repeats"}, [*quiet, *flood]), bundled)
    assert [(each.kind, each.weight) for each in found] == [(Kind.OVER_FORECAST, Weight.NOTE)]


def test_a_bundle_that_only_the_guards_hold_back_is_grave_still() -> None:
    """Callers who call once are kept by the guard today, and are more than that when the storm comes."""
    everything = bundle(rule(DIVERT, forecast_share=1.0), limits=Limits())
    calls = [call(f"{each}", 1) for each in range(20)]
    found = findings(compared(everything, {str(each): "repeats" for each in range(20)}, calls), everything)
    assert {each.kind for each in found} == {Kind.OVER_LIMIT, Kind.BREAKER, Kind.GUARDED}
    assert {each.about for each in found if each.kind is Kind.BREAKER} == {
        "state",
        "rule:repeats",
        "psap:3203",
        "area:BOSTON",
    }


def test_a_bundle_within_its_limits_and_forecasts_is_not_grave() -> None:
    """One nuisance caller among a thousand calls."""
    modest = bundle(rule(DIVERT, forecast_share=0.01), limits=Limits())
    calls = []
    for each in range(1_000):
        calls.append(call(f"{each}", at_ms=each * 1_000, psap=f"{each % 9}"))
        if each % 200 == 100:
            calls.append(call("a", 2 + each, at_ms=each * 1_000))
    assert findings(compared(modest, {"a": "repeats"}, calls), modest) == ()


def test_a_rule_that_fails_is_grave() -> None:
    """It counts as not true, and what it was for is not done."""
    difference = replay(
        judging(bundle(), {}), judging(bundle(rule(FLAG)), {}, (("repeats", "no such overload"),)), [call("a")]
    )
    [found] = findings(difference, bundle(rule(FLAG)))
    assert (found.kind, found.weight) == (Kind.FAILS, Weight.GRAVE)
    assert "no such overload" in found.text


def test_a_rule_that_never_speaks_is_told_where_its_author_expected_calls() -> None:
    """An allow-list with a slip in it looks like this."""
    expected = bundle(rule(FLAG, forecast_share=0.5))
    found = findings(compared(expected, {}, [call("a", nth) for nth in range(2, 20)]), expected)
    assert [each.kind for each in found] == [Kind.SILENT]


def test_no_calls_prove_nothing() -> None:
    """An empty corpus is no good report."""
    assert findings(compared(bundle(), {}, []), bundle())[0].weight is Weight.GRAVE


def test_only_what_is_slower_twice_is_told_as_slower() -> None:
    """A pause of the machine in the middle of one decision is no fault of a rule."""
    paused = iter([0, 1_000, 0, 9_000_000, 0, 1_000, 0, 1_000])
    live, candidate = (Judging(bundle(), Numbers({}), {DESK}, lambda: next(paused)) for _ in range(2))
    assert replay(live, candidate, [call("a")]).slower == ()
    truly = iter([0, 1_000, 0, 9_000_000, 0, 1_000, 0, 8_000_000])
    live, candidate = (Judging(bundle(), Numbers({}), {DESK}, lambda: next(truly)) for _ in range(2))
    [slower] = replay(live, candidate, [call("a")]).slower
    assert (slower.live_ns, slower.candidate_ns) == (1_000, 8_000_000)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 5), st.integers(0, 10**7)), max_size=40))
def test_the_sums_of_a_difference_agree_and_come_out_the_same_again(drawn: list[tuple[str, int, int]]) -> None:
    """Every call has one change; by PSAP, by place and by time the same calls are told."""
    calls = [call(number, nth, f"{index}", at_ms) for index, (number, nth, at_ms) in enumerate(drawn)]
    candidate = bundle(rule(DIVERT), rule(FLAG, "odd"))
    one, other = (compared(candidate, {"a": "repeats", "b": "odd"}, calls) for _ in range(2))
    assert one == other
    assert sum(one.changes.values()) == one.calls == len(calls)
    for shares in (one.psaps, one.areas, one.buckets):
        assert sum(each.calls for each in shares.values()) == len(calls)
        assert sum(each.candidate for each in shares.values()) == one.candidate.diverted
    assert one.candidate.proposed - one.candidate.diverted == one.candidate.kept["first_call"]
