"""What holds for every call, whatever bundle is live: windows, inputs, evaluation, guards and breakers together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.domain.identity import identity_of, is_one_caller
from services.domain.offer import SOS_URN, TEST_URN, Attestation, Device, Offer, Verification
from services.domain.place import Circle
from services.domain.policy import Divert, Flag, Pass, Verdict
from services.policy.bundle import Bundle, Limits
from services.policy.checks.check import check
from services.policy.files.reading import read_bundle
from services.policy.language import printing
from services.policy.language.tree import Node
from services.policy.verdicts.credit import UNPROVEN_CALLS
from services.policy.verdicts.evaluating import BundleUnfit, Evaluation
from services.policy.verdicts.scopes import CALLS_OF_ONE_MAX, REPEATERS_MAX, SLACK_CALLS, WINDOWS_S, Heard
from services.policy.verdicts.windows import LONGEST_S
from tests.policy.expressions import bundle, diverting, passing, rule, trees
from tests.policy.replicas import DESKS, Came, played
from tests.policy.test_language import unwritable
from tests.tidy.test_rooms import ROOT

NUMBERS = [f"+1617555010{n}" for n in range(4)]
CALLERS = [*NUMBERS, "", "anonymous", "911", "+19115550100", "\0é", "+0000"]
"""Four phones; nobody; some that nobody can ring back; a phone without service; odd ones."""


offers = st.builds(
    Offer,
    st.just(""),
    st.integers(1, 3),
    st.sampled_from(CALLERS),
    st.sampled_from([SOS_URN, SOS_URN, SOS_URN, "urn:service:sos.police", "", TEST_URN]),
    st.sampled_from([None, Circle(42.36, -71.06, 100.0), Circle(41.0, -71.0, 5.0), Circle(float("nan"), 0.0, 1.0)]),
    st.sampled_from(Attestation),
    st.sampled_from(["", "carrier-a", "漢"]),
    verification=st.sampled_from(Verification),
    trunk=st.sampled_from(["", "trunk-1"]),
    device=st.sampled_from(Device),
    display_name=st.sampled_from(["", "a", "\n"]),
)


@st.composite
def streams(draw: st.DrawFn, least: int = 1, most: int = 60) -> list[Came]:
    """Calls close together and far apart; some are another leg of an earlier call."""
    pauses = st.floats(0, 2) | st.sampled_from([0.0, 30.0, 400.0, 4_000.0])
    drawn = draw(
        st.lists(st.tuples(pauses, st.integers(0, 7), offers, st.integers(0, 15)), min_size=least, max_size=most)
    )
    stream: list[Came] = []
    for n, (pause_s, where, offer, again) in enumerate(drawn):
        earlier = stream[-again] if 0 < again <= min(3, len(stream)) else None
        offered = replace(offer, call_id=f"call-{n}") if earlier is None else replace(earlier.offer, leg=2)
        stream.append(Came(pause_s, where, offered))
    return stream


LIKELY = [
    "true",
    "number_calls_600s >= 2",
    "number_calls_600s >= 6",
    'source == "carrier-a"',
    'number == ""',
    "hour < 20",
]
VERDICTS: list[Verdict] = [
    Pass(),
    Flag(40, "rule", "reason"),
    Divert("nuisance-desk", "rule", "reason"),
    Divert("empty", "rule", "reason"),
]


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    """Any that loads, as bad as may be: no checker has seen it."""
    whens = st.sampled_from(LIKELY) | trees(depth=2).filter(_writable).map(printing.text)
    said = st.tuples(whens, st.sampled_from([*VERDICTS, VERDICTS[2]]), st.sampled_from([0.0, 0.01, 1.0]))
    drawn = draw(st.lists(said, min_size=1, max_size=5))
    rules = [
        rule(when, f"rule-{n}", _named(verdict, n), forecast_share=share)
        for n, (when, verdict, share) in enumerate(drawn)
    ]
    limits = draw(st.builds(Limits, st.sampled_from([0.0, 0.05]), st.sampled_from([0.0, 0.2])))
    made = bundle(*rules, limits=limits, digest="d" * 64)
    try:
        Evaluation(made)
    except BundleUnfit:
        assume(False)
    return made


def _writable(node: Node) -> bool:
    return not unwritable(node)


def _named(verdict: Verdict, number: int) -> Verdict:
    return verdict if isinstance(verdict, Pass) else replace(verdict, rule=f"rule-{number}")


@given(bundles(), streams(), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=150)
def test_every_call_gets_a_verdict_that_ends_at_a_person(
    live: Bundle, stream: list[Came], replicas: int, behind_calls: int
) -> None:
    """Pass, flag, or a desk that has lines: nothing else, and for each call; the same again gives the same (P1, L3)."""
    said, _ = played(live, stream, replicas, behind_calls)
    assert len(said) == len(stream)
    for told in said:
        assert isinstance(told.verdict, Pass | Flag) or (
            isinstance(told.verdict, Divert) and told.verdict.desk in DESKS
        )
        assert told.kept or told.verdict == told.proposed
    assert played(live, stream, replicas, behind_calls)[0] == said


@given(bundles(), streams(), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=100)
def test_the_first_call_of_any_source_is_never_diverted(
    live: Bundle, stream: list[Came], replicas: int, behind_calls: int
) -> None:
    """Nobody of its identity has called within the longest window, wherever that was screened; nor a leg of it."""
    newest: dict[tuple[bool, str], float] = {}
    first: dict[str, bool] = {}
    for told in played(live, stream, replicas, behind_calls)[0]:
        who = told.offer.test, identity_of(told.offer)
        if told.offer.call_id not in first:
            first[told.offer.call_id] = who not in newest or newest[who] <= told.now - LONGEST_S
            newest[who] = told.now
        assert not (first[told.offer.call_id] and isinstance(told.verdict, Divert))


def test_a_first_call_that_comes_back_where_nobody_knows_of_it_is_not_diverted() -> None:
    """Found by chance: its firewall dies, and before the other one has heard of it the same caller's second call is
    screened there, and then its next leg."""
    one = Offer("first", 1, NUMBERS[0], SOS_URN, None)
    stream = [Came(0.0, 1, one), Came(0.5, 0, replace(one, call_id="second")), Came(0.5, 0, replace(one, leg=2))]
    said, _ = played(bundle(diverting("true", forecast_share=1.0), digest="e" * 64), stream, 2, behind_calls=2)
    assert [isinstance(told.verdict, Pass) for told in said] == [True, True, True]


@given(bundles(), streams(least=20, most=100), st.integers(1, 3), st.integers(0, 5))
@settings(max_examples=100)
def test_what_is_diverted_stays_in_budget(live: Bundle, stream: list[Came], replicas: int, behind_calls: int) -> None:
    """At each divert, by what its replica knows: the state's share of ordinary calls, or the slack, of one caller's own
    number two; a number of callers who repeat; and of a bundle that let no ordinary call pass, five calls in all."""
    for replica in played(live, stream, replicas, behind_calls)[1]:
        for upto, (now, _, diverted) in enumerate(replica.knows, 1):
            if not diverted:
                continue
            known = replica.knows[:upto]
            for window_s in WINDOWS_S:
                within = [(heard, was) for at, heard, was in known if now - window_s < at <= now]
                ordinary = [(heard, was) for heard, was in within if not heard.repeats]
                if behind_calls == 0 or replicas == 1:
                    budget = max(SLACK_CALLS, live.limits.diverted_share * len(ordinary))
                    assert _counted(heard for heard, was in ordinary if was) <= budget
                    assert len({heard.caller for heard, was in within if was and heard.repeats}) <= REPEATERS_MAX
            passed = any(not heard.rule and not heard.repeats for _, heard, _ in known)
            late = behind_calls if replicas > 1 else 0
            assert passed or sum(was for _, _, was in known) <= UNPROVEN_CALLS + late


def _counted(diverted: Iterable[Heard]) -> int:
    """As breakers count: one person with a grudge stops no rule that is meant for others too."""
    of_each = Counter(heard.caller for heard in diverted)
    return sum(min(CALLS_OF_ONE_MAX, calls) if is_one_caller(who) else calls for who, calls in of_each.items())


def test_of_one_caller_two_diverts_count() -> None:
    """Found by chance: who calls five times before they repeat, and another who calls three times, are diverted six
    times by a rule that may divert five, the first call of each being spared."""
    live = bundle(diverting("number_dials", forecast_share=0.0), limits=Limits(0.0, 0.0), digest="d" * 64)
    one = Offer("", 1, "", SOS_URN, None)
    callers = [*[NUMBERS[0]] * 5, *[NUMBERS[1]] * 2, "", NUMBERS[1]]
    said, (replica,) = played(
        live, [Came(0.0, 0, replace(one, call_id=f"call-{n}", caller=who)) for n, who in enumerate(callers)]
    )
    assert sum(isinstance(told.verdict, Divert) for told in said) == 6
    assert _counted(heard for _, heard, was in replica.knows if was) == 4


@given(bundles(), streams(), streams())
@settings(max_examples=60)
def test_test_calls_change_nothing(live: Bundle, stream: list[Came], tests: list[Came]) -> None:
    """The verdicts on real calls are the same with any test calls between them, and with none."""
    real = [came for came in stream if not came.offer.test]
    between = [
        Came(0.0, 0, replace(came.offer, call_id=f"test-{came.offer.call_id}", service_urn=TEST_URN)) for came in tests
    ]
    mixed = [each for n, came in enumerate(real) for each in [*between[n : n + 1], came]]
    said = [told for told in played(live, mixed)[0] if not told.offer.test]
    assert said == played(live, real)[0]


@given(bundles(), streams())
@settings(max_examples=100)
def test_nobody_is_diverted_merely_for_what_a_caller_cannot_help(live: Bundle, stream: list[Came]) -> None:
    """By a bundle that the checker accepts, a call of no number of its own, from nowhere known, is never even proposed
    to be, whatever its attestation, device, hour and service."""
    kept = tuple(each for each in live.rules if not check(bundle(each)).errors)
    assume(any(each.diverts for each in kept))
    bare = [
        replace(came, offer=replace(came.offer, caller=caller, place=None, source="", trunk="", display_name=""))
        for came, caller in zip(stream, ["", "anonymous", "911", "+19115550100", "+0000"] * len(stream), strict=False)
        if came.offer.leg == 1
    ]
    for told in played(replace(live, rules=kept), bare)[0]:
        without_number = told.offer.caller != "+19115550100"  # a phone without service has a number, and can repeat
        assert not (without_number and isinstance(told.proposed, Divert))


EVERYTHING = [
    bundle(diverting("true", forecast_share=1.0), digest="e" * 64),
    bundle(diverting("hour >= 0", forecast_share=0.0), passing("true", "p"), digest="f" * 64),
]


@given(st.sampled_from(EVERYTHING), streams(least=60, most=150), st.integers(1, 8), st.integers(0, 10))
@settings(max_examples=80)
def test_a_bundle_that_diverts_everything_diverts_twenty_calls_at_most(
    live: Bundle, stream: list[Came], replicas: int, behind_calls: int
) -> None:
    """Over all replicas, whoever repeats, however slowly calls come, however long it stays: five of which all know, and
    those of which they had not heard."""
    said, _ = played(live, stream, replicas, behind_calls)
    diverted = {told.offer.call_id for told in said if isinstance(told.verdict, Divert) and not told.offer.test}
    assert len(diverted) <= UNPROVEN_CALLS + min(behind_calls, UNPROVEN_CALLS * (replicas - 1)) <= 20


def test_a_call_that_comes_again_after_an_hour_is_heard_by_all_replicas_again() -> None:
    """What its first answer was is forgotten by then, so it is screened anew; were its record taken for a copy, the
    others would not know of its divert, and six would be diverted."""
    one = Offer("", 1, "", SOS_URN, None)
    stream: list[Came] = []

    def comes(where: int, callers: str, pause_s: float, call_id: str = "") -> None:
        for number, caller in enumerate(callers):
            offer = replace(one, call_id=call_id or f"call-{len(stream)}", caller=f"+1617555010{caller}")
            stream.append(Came(0.1 if number else pause_s, where, offer))

    comes(0, "000", 0.0)  # two are diverted
    comes(0, "111", 4_000.0)  # and two
    comes(0, "2346", 0.1)
    comes(0, "1", 0.1, "kept back")  # by the breaker of the state
    comes(0, "7", 0.1)  # by then all have heard of it
    comes(1, "1", 3_700.0, "kept back")  # and diverted now: five
    comes(2, "5555", 0.1)
    said, _ = played(EVERYTHING[0], stream, 3)
    diverted = [told.offer.call_id for told in said if isinstance(told.verdict, Divert)]
    assert len(diverted) == UNPROVEN_CALLS and diverted[-1] == "kept back"


def test_a_test_call_makes_nobody_forget_a_real_one() -> None:
    """An hour later the same call comes again, twice, with a test call between."""
    live, one = EVERYTHING[0], Offer("", 1, NUMBERS[0], SOS_URN, None)
    real = [Came(pause_s, 0, replace(one, call_id="call")) for pause_s in (0.0, 4_000.0, 0.0)]
    between = Came(0.0, 0, replace(one, call_id="test", service_urn=TEST_URN))
    mixed = [told for told in played(live, [*real[:2], between, real[2]])[0] if not told.offer.test]
    assert mixed == played(live, real)[0]


def test_four_replicas_apart_divert_twenty_calls_of_callers_who_repeat() -> None:
    """The bound is met, so nothing smaller is promised: Kafka is away, four callers call again and again."""
    one = Offer("", 1, "", SOS_URN, None)
    stream = [Came(0.1, n % 4, replace(one, call_id=f"call-{n}", caller=NUMBERS[n % 4])) for n in range(200)]
    said, _ = played(EVERYTHING[0], stream, 4, behind_calls=10_000)
    assert sum(isinstance(told.verdict, Divert) for told in said) == 4 * UNPROVEN_CALLS == 20


@pytest.mark.parametrize("ordinary_every", [2, 11, 40])
def test_an_honest_rule_still_diverts_a_flood_of_fifty_sources(ordinary_every: int) -> None:
    """data/policy/examples/flood.yaml over two replicas: ordinary callers pass, all of the flood but its beginning goes
    to the desk."""
    live = read_bundle((ROOT / "data/policy/examples/flood.yaml").read_bytes())
    one = Offer("", 1, "", SOS_URN, Circle(42.36, -71.06, 100.0), trunk="trunk-1")
    stream = []
    for n in range(2_000):
        number = f"+1508{n:03d}0100" if n % ordinary_every == 0 else f"+16175550{100 + n % 50}"
        stream.append(Came(0.1, n % 2, replace(one, call_id=f"call-{n}", caller=number)))
    said, _ = played(live, stream, 2, behind_calls=3)
    assert not any(
        isinstance(told.verdict, Divert) for told in said[::ordinary_every] if told.offer.caller[2:5] == "508"
    )
    late = [told for told in said[600:] if told.offer.caller[2:5] != "508"]
    assert sum(isinstance(told.verdict, Divert) for told in late) >= 0.99 * len(late)


def test_an_honest_rule_still_diverts_a_nuisance_caller_through_the_night() -> None:
    """data/policy/examples/nuisance.yaml: two ordinary calls in the evening, then one of its numbers alone."""
    live = read_bundle((ROOT / "data/policy/examples/nuisance.yaml").read_bytes())
    one = Offer("", 1, "", SOS_URN, None)
    evening = [Came(60.0, 0, replace(one, call_id=f"e-{n}", caller=f"+1508555010{n}")) for n in range(2)]
    night = [Came(100.0, 0, replace(one, call_id=f"n-{n}", caller="+16175550190")) for n in range(100)]
    replica_said, _ = played(live, [*evening, *night])
    assert sum(isinstance(told.verdict, Divert) for told in replica_said) == 98
