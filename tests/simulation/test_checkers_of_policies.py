"""The checkers of what firewalls say can fail: a run with a bad bundle is damaged in one small way for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from throughline.v1 import screening_pb2

from services.domain.offer import TEST_URN
from services.journal import Record, Topic
from services.wire import screenings
from simulator.checkers import check
from simulator.injuries import Injury
from simulator.installation import names_of
from simulator.run import Observed, run
from simulator.schedule import draw
from simulator.settling import is_waited_out

SEED = 0
CALLS = 60
FIREWALLS = names_of("firewall")
Change = Callable[[screening_pb2.Screening], None]


@pytest.fixture(scope="module")
def bad() -> Observed:
    """Sixty calls, some of them tests, while a bundle that diverts everybody is forced live, again and again."""
    return run(draw(SEED, CALLS, ("policy_everybody",)))


def of(name: str, seen: Observed) -> list[str]:
    """What one checker says, and of which call."""
    return [f"{each.call_id} {each.words}" for each in check(seen) if each.checker == name]


def a_record(
    seen: Observed, said: str = "divert", wanted: Callable[[screening_pb2.Screening], bool] = lambda _: True
) -> Record:
    """The first that says so, and counted its call."""
    for each in seen.screenings:
        record = screenings.read(each.value)
        if record.verdict.WhichOneof("said") == said and record.inputs and not record.test and wanted(record):
            return each
    raise AssertionError(f"no {said} was said")


def changed(seen: Observed, record: Record, change: Change) -> Observed:
    """The same run, in which this record says something else."""
    return replace(seen, screenings=[each if each is not record else _as(each, change) for each in seen.screenings])


def beside(seen: Observed, record: Record, *changes: Change) -> Observed:
    """The same run, with so many records more, each like this one but for its change."""
    return replace(seen, screenings=[*seen.screenings, *(_as(record, change) for change in changes)])


def _as(record: Record, change: Change) -> Record:
    told = screenings.read(record.value)
    at_ms = told.at_ms
    change(told)
    return replace(record, value=told.SerializeToString(), log_ms=record.log_ms + told.at_ms - at_ms)


def put(told: screening_pb2.Screening, name: str, value: int | str) -> None:
    """An input, which must be there."""
    found = next(each for each in told.inputs if each.name == name)
    if isinstance(value, int):
        found.whole = value
    else:
        found.text = value


def test_a_run_with_a_bad_bundle_has_no_findings(bad: Observed) -> None:
    """What the damage is done to is whole: somebody was diverted, and test calls were screened."""
    assert check(bad) == []
    assert a_record(bad)
    assert any(screenings.read(each.value).test for each in bad.screenings)


def test_a_divert_to_a_desk_without_lines_is_found(bad: Observed) -> None:
    """A diverted call goes to a desk that is staffed."""
    record = a_record(bad)

    def nowhere(told: screening_pb2.Screening) -> None:
        told.verdict.divert.desk = "nowhere"

    assert "which has no lines" in of("desks", changed(bad, record, nowhere))[0]


def test_a_diverted_call_that_ends_nowhere_is_found(bad: Observed) -> None:
    """Every diverted call ends at a person, or on the list (J2)."""
    call_id = screenings.read(a_record(bad).value).call_id
    journal = [e for e in bad.journal if (e["event"], e.get("call_id")) != ("outcome", call_id)]
    assert of("desks", replace(bad, journal=journal)) == [f"{call_id} diverted, and ended nowhere"]


@pytest.mark.parametrize(("calls", "apart_ms", "found"), [(21, 600, True), (19, 600, False), (21, 400, False)])
def test_more_than_twenty_diverts_for_longer_than_ten_seconds_are_found(
    bad: Observed, calls: int, apart_ms: int, found: bool
) -> None:
    """A bundle that diverts everybody is stopped after twenty calls, or ten seconds."""

    def another(n: int) -> Change:
        def change(told: screening_pb2.Screening) -> None:
            told.call_id, told.at_ms, told.bundle = f"another-{n}", told.at_ms + n * apart_ms, "b" * 64

        return change

    seen = beside(bad, a_record(bad), *(another(n) for n in range(calls)))
    assert bool(of("few_diverted", seen)) is found


def test_a_divert_past_the_budget_is_found(bad: Observed) -> None:
    """What another firewall has published counts here."""
    last_ms = max(screenings.read(each.value).at_ms for each in bad.screenings)

    def later(told: screening_pb2.Screening) -> None:
        told.call_id, told.at_ms = "later", last_ms + 2_000

    assert "were to be diverted before" in of("budget", beside(bad, a_record(bad), later))[0]


def test_a_first_call_that_is_diverted_is_found(bad: Observed) -> None:
    """The first call of a number is never diverted."""

    def a_stranger(told: screening_pb2.Screening) -> None:
        told.call_id = "stranger"
        put(told, "number", "+16175550199")

    assert len(of("first_calls", beside(bad, a_record(bad), a_stranger))) == 1


@pytest.mark.parametrize("counts", [0, 50])
def test_windows_that_count_too_few_or_too_many_are_found(bad: Observed, counts: int) -> None:
    """A window counts each real call that was screened, wherever it was, and no test call."""

    def has_called(told: screening_pb2.Screening) -> bool:
        return any(each.name == "number_calls_3600s" and each.whole >= 4 for each in told.inputs)

    def miscounted(told: screening_pb2.Screening) -> None:
        put(told, "number_calls_3600s", counts)

    record = a_record(bad, "pass", has_called)
    assert f"counts {counts} calls of its number" in of("windows", changed(bad, record, miscounted))[0]


@pytest.mark.parametrize(("kept_from", "found"), [("", True), ("breaker_state", False)])
def test_another_verdict_for_the_same_call_is_found(bad: Observed, kept_from: str, found: bool) -> None:
    """The same call is told the same by each firewall, save what is kept back (L3)."""

    def passed(told: screening_pb2.Screening) -> None:
        told.at_ms += 3_000
        told.leg, told.kept_from = 2, kept_from
        told.ClearField("inputs")
        getattr(told.verdict, "pass").SetInParent()

    assert bool(of("same_verdict", beside(bad, a_record(bad), passed))) is found


@pytest.mark.parametrize("kind", ["bypass_file", "bypass_ordered"])
def test_a_divert_while_the_bypass_is_on_is_found(bad: Observed, kind: str) -> None:
    """While the switch is on, every call passes."""
    at_s = (screenings.read(a_record(bad).value).at_ms - bad.began_ms) / 1000
    on = Injury(kind, at_s - 2.0, 4.0, names_of("firewall"))
    switched = replace(bad, schedule=replace(bad.schedule, injuries=(*bad.schedule.injuries, on)))
    assert "while the bypass was on" in of("bypass", switched)[0]
    early = replace(on, at_s=at_s - 0.2, lasts_s=0.4)
    assert of("bypass", replace(bad, schedule=replace(bad.schedule, injuries=(early,)))) == []


@pytest.mark.parametrize(("bundle", "words"), [("", "no bundle said so"), ("c" * 64, "was not live")])
def test_a_verdict_by_no_live_bundle_is_found(bad: Observed, bundle: str, words: str) -> None:
    """Only a bundle that stands on `policy` as live, or in its canary, answers calls."""

    def by_another(told: screening_pb2.Screening) -> None:
        told.bundle = bundle

    assert words in of("verified", changed(bad, a_record(bad), by_another))[0]


def test_a_bundle_that_nobody_has_signed_is_found(bad: Observed) -> None:
    """What can divert more takes two people's signatures."""
    unsigned = [each for each in bad.policies if not each.key.startswith("signature/")]
    assert "0 had signed it" in of("verified", replace(bad, policies=unsigned))[0]
    by_one = [each for each in bad.policies if not (each.key.startswith("signature/") and each.key.endswith("bob"))]
    assert "1 had signed it" in of("verified", replace(bad, policies=by_one))[0]


def test_a_bundle_that_is_asked_after_it_tripped_is_found(bad: Observed) -> None:
    """What is in quarantine answers no call, here at once and soon everywhere."""

    def again(told: screening_pb2.Screening) -> None:
        told.call_id, told.at_ms = "again", told.at_ms + 8_000
        told.kept_from = "first_call"

    culprit = screenings.read(a_record(bad).value).bundle  # those that were forced live after it divert nobody
    tripped = a_record(bad, "pass", lambda told: told.kept_from == "breaker_state" and told.bundle == culprit)
    assert bad.policies[0].topic is Topic.POLICY
    assert "which is in quarantine" in of("quarantine", beside(bad, tripped, again))[0]


def test_an_overdrawn_budget_of_which_no_breaker_tells_is_found() -> None:
    """A bad bundle is heard of by the breakers that it trips (docs/failure-modes.md)."""
    injury = Injury("policy_everybody", 5.0, 12.0, names_of("firewall"))
    seen = run(replace(draw(SEED, 100, ("policy_everybody",)), injuries=(injury,)))
    assert of("alarms", seen) == []
    silent = {n: {k: v for k, v in c.items() if "breaker_trips" not in k} for n, c in seen.counts.items()}
    assert "no firewall counted a breaker" in of("alarms", replace(seen, counts=silent, looks=[]))[0]


@pytest.mark.parametrize("is_test", [True, False])
def test_a_callback_is_owed_to_real_calls_alone(bad: Observed, is_test: bool) -> None:
    """A drill is rung back by nobody: it need not be on the list, and may not be; a real call must be (J2, J3)."""
    planned = {each.call_id for each in bad.schedule.calls if (each.service_urn == TEST_URN) is is_test}
    call_id = next(e["call_id"] for e in bad.journal if e["event"] == "outcome" and e["call_id"] in planned)
    lost = {"event": "outcome", "call_id": call_id, "outcome": "callback_open"}
    others = [e for e in bad.journal if (e["event"], e.get("call_id")) != ("outcome", call_id)]
    assert bad.ledger is not None and call_id not in bad.ledger.listed
    unlisted = replace(bad, journal=[*others, lost])
    assert (
        f"{call_id} a callback is owed, and the ledger's list does not have it" in of("ledger", unlisted)
    ) != is_test
    listed = replace(unlisted, ledger=replace(bad.ledger, listed=[*bad.ledger.listed, call_id]))
    assert (f"{call_id} it is on the ledger's list, and no callback is owed" in of("ledger", listed)) == is_test


def test_a_run_does_not_wait_for_breakers_and_for_every_other_remark(bad: Observed) -> None:
    """A firewall remembers for up to an hour what tripped, and says so to the end: that is no unrest. All else is."""
    lasted = {said.text: said for each in bad.alarms.values() for said in each if said.to_s > bad.ends_s - 2.0}
    assert bad.settled and bad.unsettled == []
    assert any(text.startswith("breakers: nothing is diverted of ") for text in lasted)
    assert [text for text in lasted if is_waited_out(text)] == []
    others = ["journal: breakers: 3 wait", "history: `screenings` is not read yet", "evaluator: none", "policy: old"]
    assert [text for text in others if not is_waited_out(text)] == []


@pytest.fixture(scope="module")
def tried() -> Observed:
    """Sixty calls while a bundle answers a share of them."""
    return run(
        replace(draw(SEED, CALLS, ("policy_canary",)), injuries=(Injury("policy_canary", 1.0, 18.0, FIREWALLS),))
    )


@pytest.mark.parametrize(("by_it", "said"), [(True, "of the candidate's share"), (False, "and not among its share")])
def test_a_call_that_the_wrong_bundle_of_a_canary_answers_is_found(tried: Observed, by_it: bool, said: str) -> None:
    """A candidate answers its share of the calls and no other (docs/firewall.md)."""
    assert check(tried) == []
    live = screenings.read(tried.screenings[0].value).bundle
    late = [each for each in tried.screenings if each.log_ms > tried.began_ms + 5_000]
    candidate = next(found for each in late if (found := screenings.read(each.value).bundle) != live)
    was, becomes = (candidate, live) if by_it else (live, candidate)
    record = next(
        each for each in late if (told := screenings.read(each.value)).bundle == was and told.inputs and not told.shadow
    )

    def another(told: screening_pb2.Screening) -> None:
        told.bundle = becomes

    assert any(said in words for words in of("canary", changed(tried, record, another)))
