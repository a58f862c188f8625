"""The firewall's real shell under virtual time: verdicts, what keeps them back, and what is published."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from throughline.v1 import place_pb2, screening_pb2

from services.domain.policy import Divert, Flag, Pass
from services.firewall.policies.feed import START_PATIENCE_S
from services.firewall.policies.source import Standing
from services.host.network import Broken, Status
from services.journal import Topic
from services.policy.attributes import ATTRIBUTES
from services.policy.bundle import Limits
from services.policy.verdicts.scopes import SLACK_CALLS
from services.wire import screenings, verdicts
from tests.services.firewall_stage import (
    DESK,
    DIVERTS_ALL,
    DIVERTS_REPEATS,
    FLAGS_ALL,
    START_S,
    Replica,
    Stage,
    bundle,
    place_in,
    play,
    rule,
)

REPEATED = Divert(DESK, "repeats", "repeat_caller")


def test_a_call_passes_and_the_verdict_is_published_with_all_that_led_to_it() -> None:
    """Pass, under the policy's name; one record on `screenings`, with every input and the bundle's digest."""

    async def scene(stage: Stage) -> None:
        verdict = await stage.asked("call-1", place=place_in("Birch"))
        assert verdicts.to_domain(verdict) == Pass()
        assert verdict.policy.startswith("built-in-1-")
        (told,) = await stage.published()
        assert (told.call_id, told.leg, told.firewall, told.verdict) == ("call-1", 1, "firewall-1", verdict)
        inputs = screenings.inputs_of(told)
        assert set(inputs) == set(ATTRIBUTES)
        assert (inputs["area"], inputs["psap"], inputs["number_calls_60s"]) == ("Birch", "P2", 1)
        assert len(told.bundle) == 64 and not told.kept_from

    play(scene)


def test_a_caller_who_repeats_is_flagged_by_the_built_in_policy_and_never_stopped() -> None:
    """The sixth call within a minute carries a suspicion, and goes on; another's first does not."""

    async def scene(stage: Stage) -> None:
        said = [await stage.screen(f"call-{n}") for n in range(7)]
        assert said == [Pass()] * 5 + [Flag(40, "caller-repeats", "repeat_caller")] * 2
        assert await stage.screen("call-x", caller="+15085550102") == Pass()
        await asyncio.sleep(60)
        assert await stage.screen("call-y") == Pass()

    play(scene)


def test_a_rule_diverts_who_repeats_to_a_staffed_desk() -> None:
    """By the windows, from the third call on; the rule that spoke is counted."""

    async def scene(stage: Stage) -> None:
        said = [await stage.screen(f"call-{n}") for n in range(3)]
        assert said == [Pass(), Pass(), REPEATED]
        assert stage.replicas[0].count("rules_true_total", rule="repeats") == 1

    play(scene, DIVERTS_REPEATS)


def test_screening_the_same_call_again_gives_the_same_verdict_and_counts_once() -> None:
    """Windows count distinct call_ids, and screening is idempotent by call_id (L3), at once and later."""

    async def scene(stage: Stage) -> None:
        for _ in range(2):
            await asyncio.gather(*(stage.screen("call-1") for _ in range(20)))
        assert await stage.screen("call-2") == Pass()
        assert await stage.screen("call-3") == REPEATED
        assert await stage.screen("call-1", leg=2) == Pass()
        assert await stage.screen("call-3", leg=2) == REPEATED

    play(scene, DIVERTS_REPEATS)


def test_callers_without_a_number_of_their_own_are_not_one_caller() -> None:
    """No number, or one that is everybody's: none of them is diverted for the others."""

    async def scene(stage: Stage) -> None:
        for caller in ("", "anonymous"):
            said = [await stage.screen(f"{caller}-{n}", caller=caller) for n in range(20)]
            assert said == [Pass()] * 20

    play(scene, DIVERTS_REPEATS)


def test_the_first_call_of_a_number_passes_whatever_the_policy_says() -> None:
    """Kept back, and told: what was proposed and why it was not answered."""

    async def scene(stage: Stage) -> None:
        assert await stage.screen("call-1") == Pass()
        (told,) = await stage.published()
        assert (told.kept_from, told.proposed.divert.rule) == ("first_call", "everybody")
        assert await stage.screen("call-2") == Divert(DESK, "everybody", "wrong")
        assert stage.replicas[0].count("kept_total", by="first_call") == 1

    play(scene, DIVERTS_ALL)


def test_who_has_no_number_of_their_own_is_one_with_all_who_come_the_same_way() -> None:
    """L5: what is the first call of somebody cannot be told there; another network is another caller."""

    async def scene(stage: Stage) -> None:
        assert await stage.screen("call-1", caller="", source="one", trunk="trunk-1") == Pass()
        assert isinstance(await stage.screen("call-2", caller="anonymous", source="one", trunk="trunk-1"), Divert)
        assert await stage.screen("call-3", caller="", source="two", trunk="trunk-1") == Pass()

    play(scene, DIVERTS_ALL)


def test_a_desk_without_lines_gets_no_call() -> None:
    """A policy may name a desk that nobody staffs: the call passes."""
    nowhere = bundle(rule("true", Divert("moon-desk", "moon", "wrong")))

    async def scene(stage: Stage) -> None:
        await stage.screen("call-1")
        assert await stage.screen("call-2") == Pass()
        assert [told.kept_from for told in await stage.published()] == ["first_call", "no_desk"]

    play(scene, nowhere)


def test_the_bypass_lets_everything_pass_at_once_flags_too() -> None:
    """One switch; verdicts are still computed and published."""

    async def scene(stage: Stage) -> None:
        assert await stage.screen("call-1") == Flag(7, "all", "odd")
        stage.replicas[0].policies.bypass = True
        assert await stage.screen("call-2") == await stage.screen("call-1") == Pass()
        assert [told.kept_from for told in await stage.published()] == ["", "bypass", "bypass"]
        assert (await stage.published())[1].proposed.flag.score == 7

    play(scene, FLAGS_ALL)


def test_test_calls_count_among_themselves_alone() -> None:
    """RFC 6881: a hundred of them make no real caller one who repeats, and trip no breaker."""

    async def scene(stage: Stage) -> None:
        test = {"service_urn": "urn:service:test.sos"}
        said = [await stage.screen(f"test-{n}", **test) for n in range(50)]
        assert said == [Pass(), Pass()] + [REPEATED] * 48
        assert await stage.screen("call-1") == await stage.screen("call-2") == Pass()
        assert stage.replicas[0].count("verdicts_total", verdict="divert") == 0

    play(scene, DIVERTS_REPEATS)


def test_a_bundle_that_diverts_everybody_diverts_nobody_of_those_who_call_once() -> None:
    """Massachusetts: first calls pass, and what was proposed of them trips the breaker; the bundle is given up."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        said = [await stage.screen(f"call-{n}", caller=f"+150855501{n:02d}") for n in range(SLACK_CALLS + 2)]
        assert said == [Pass()] * (SLACK_CALLS + 2)
        assert [digest for digest, _ in replica.policies.trips][:1] == [DIVERTS_ALL.digest]
        assert "nothing is diverted of" in replica.firewall.remarks()[0]
        assert replica.count("breaker_trips_total", scope="state", why="share") == 1
        assert await stage.screen("again", caller="+15085550101") == Pass()

    play(scene, DIVERTS_ALL)


@pytest.mark.parametrize("shared", [True, False])
def test_forced_past_every_gate_it_diverts_twenty_calls_at_most_over_all_replicas(shared: bool) -> None:
    """Callers who are known already, three replicas, with the log and without: then everything passes."""

    async def scene(stage: Stage) -> None:
        callers = [f"+150855501{n:02d}" for n in range(60)]
        for n, caller in enumerate(callers):
            await stage.screen(f"before-{n}", caller, at=f"firewall-{n % 3 + 1}", service_urn="urn:service:sos")
        await asyncio.sleep(400)
        for replica in stage.replicas:
            replica.policies.tripped = lambda *_: None  # type: ignore[method-assign]
            replica.policies.on = DIVERTS_ALL
            if not shared:
                replica.log.fail(absent=True)
        await asyncio.sleep(1)
        said = []
        for n, caller in enumerate(callers * 3):
            said.append(await stage.screen(f"after-{n}", caller, at=f"firewall-{n % 3 + 1}"))
            await asyncio.sleep(1.0)
        diverts = [isinstance(each, Divert) for each in said]
        assert 1 <= sum(diverts) <= (SLACK_CALLS if shared else 3 * SLACK_CALLS)
        assert not any(diverts[20:])

    play(scene, replicas=3)


def test_a_replica_that_hears_of_it_late_does_not_blame_the_bundle_before() -> None:
    """Massachusetts: by then the last good one is live again, and to quarantine that would leave nothing of it."""

    async def scene(stage: Stage) -> None:
        before = replace(DIVERTS_REPEATS, version=6, digest=f"{6:064x}")
        back = await stage.start("firewall-2", before)
        for n in range(SLACK_CALLS + 2):
            await stage.screen(f"call-{n}", caller=f"+150855501{n:02d}")
        await asyncio.sleep(1.0)
        assert [digest for digest, _ in back.policies.trips] == [DIVERTS_ALL.digest] * len(back.policies.trips) != []
        assert back.policies.live() is before

    play(scene, DIVERTS_ALL)


def test_a_restart_is_no_way_round_a_limit_and_loses_no_window() -> None:
    """What was screened before stands on the log: the third call is the third, and a tripped breaker stays so."""

    async def scene(stage: Stage) -> None:
        for n in range(2):
            await stage.screen(f"call-{n}")
        await asyncio.sleep(0.1)
        await stage.stop(stage.replicas[0])
        await stage.start("firewall-1")
        assert await stage.screen("call-2") == REPEATED
        assert await stage.screen("call-1", leg=2) == Pass()

    play(scene, DIVERTS_REPEATS)


def test_windows_hold_across_replicas() -> None:
    """Who calls another replica, since theirs is gone, is known there; also what was answered (L3)."""

    async def scene(stage: Stage) -> None:
        for n in range(3):
            await stage.screen(f"call-{n}", at="firewall-1")
        await asyncio.sleep(0.1)
        assert await stage.screen("call-3", at="firewall-2") == REPEATED
        assert await stage.screen("call-2", at="firewall-2", leg=2) == REPEATED
        assert stage.replicas[1].count("heard_total") == 3

    play(scene, DIVERTS_REPEATS, replicas=2)


def test_until_its_history_is_read_a_firewall_diverts_nobody() -> None:
    """Kafka away at a start: it flags and passes, says why, and diverts again once the log is back."""

    async def scene(stage: Stage) -> None:
        replica = stage.replicas[0]
        await stage.stop(replica)
        replica = await _started_without_log(stage)
        said = [await stage.screen(f"call-{n}") for n in range(4)]
        assert said == [Pass()] * 4
        assert any("no call is diverted" in each for each in replica.firewall.remarks())
        replica.log.fail()
        await asyncio.sleep(10)
        assert {told.kept_from for told in await stage.published()} == {"", "no_history"}
        assert await stage.screen("call-5") == REPEATED

    play(scene, DIVERTS_REPEATS)


async def _started_without_log(stage: Stage) -> Replica:
    replica = Replica(stage, "firewall-1", Standing(stage.standing))
    replica.log.fail(absent=True)
    await replica.firewall.start()
    stage.replicas.append(replica)
    await asyncio.sleep(START_S)
    return replica


def test_a_start_without_kafka_waits_for_all_topics_at_once() -> None:
    """A moment for the regions, for the policies and for what was screened: together one, since nobody screens then."""

    async def scene(stage: Stage) -> None:
        replica = Replica(stage, "firewall-2", None)
        replica.log.fail(absent=True)
        began = asyncio.get_running_loop().time()
        await replica.firewall.start()
        assert asyncio.get_running_loop().time() - began < 1.5 * START_PATIENCE_S
        await replica.firewall.stop(0.0)

    play(scene)


def test_an_odd_offer_is_screened_as_any_other() -> None:
    """NaN, an endless caller, no call_id: a verdict all the same, and each its own."""

    async def scene(stage: Stage) -> None:
        nowhere = place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=float("nan"))))
        said = [stage.screen("", caller="x" * 5_000, place=nowhere) for _ in range(5)]
        assert await asyncio.gather(*said) == [Pass()] * 5
        assert len(await stage.published()) == 5

    play(scene)


def test_without_kafka_verdicts_are_given_all_the_same() -> None:
    """A remark, no trouble; the record lands when Kafka is back (J6)."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.log.fail(absent=True)
        assert await stage.screen("call-1") == Pass()
        await asyncio.sleep(0.1)
        assert replica.firewall.troubles() == []
        assert "journal" in replica.firewall.remarks()[0]
        replica.log.fail()
        await asyncio.sleep(3)
        assert [each.call_id for each in await stage.published()] == ["call-1"]

    play(scene)


def test_a_firewall_that_stops_says_draining() -> None:
    """UNAVAILABLE("draining"): the conductor goes on unscreened at once (L4)."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        stage.replicas.clear()
        asking = asyncio.ensure_future(replica.firewall.stop(1.0))
        await asyncio.sleep(0)
        with pytest.raises(Broken) as broken:
            await stage.asked("call-1")
        assert broken.value.status is Status.UNAVAILABLE
        await asking

    play(scene)


def test_a_candidate_in_shadow_is_asked_beside_and_answers_nobody() -> None:
    """What it would have done is an event of its own, after the answer."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.policies.candidate_bundle = FLAGS_ALL
        await asyncio.sleep(1)
        assert await stage.screen("call-1") == Pass()
        answered, beside = await stage.published()
        assert (answered.shadow, beside.shadow, beside.verdict.flag.score) == (False, True, 7)
        assert beside.bundle == FLAGS_ALL.digest != answered.bundle

    play(scene)


def test_what_a_canary_did_on_another_replica_is_held_to_its_own_forecast() -> None:
    """A rule that the live bundle does not have is no rule that was forecast to be silent."""
    limits = Limits(0.5, 0.5)
    of_a_trunk = rule('trunk == "trunk-9"', Divert(DESK, "of-a-trunk", "flood"), share=0.2)
    candidate = replace(bundle(of_a_trunk, version=8), limits=limits)
    live = replace(bundle(rule("number_calls_60s >= 9", Flag(7, "often", "odd"))), limits=limits)

    async def scene(stage: Stage) -> None:
        policies = stage.replicas[1].policies
        assert policies is not None
        policies.candidate_bundle = candidate
        await stage.stop(stage.replicas[0])
        await stage.start("firewall-1", candidate)
        for number in range(100):
            trunk = "trunk-9" if number % 10 == 0 else "trunk-1"
            await stage.screen(f"call-{number}", caller=f"+1508555{100 + number:04}", trunk=trunk)
            await asyncio.sleep(1)
        there, here = stage.replicas
        assert there.policies is not None and here.policies is not None
        assert there.count("heard_total") >= 99
        assert (here.policies.trips, there.policies.trips) == ([], [])

    play(scene, live, replicas=2)


def test_a_later_leg_of_a_diverted_call_passes_once_its_policy_was_reverted() -> None:
    """Who reverts wants the callers back, those too that are on their way."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        assert replica.policies is not None
        said = [await stage.screen(f"call-{n}") for n in range(3)]
        assert isinstance(said[-1], Divert) and await stage.screen("call-2", leg=2) == said[-1]
        replica.policies.tripped(DIVERTS_REPEATS.digest, "by an operator")
        assert await stage.screen("call-2", leg=3) == Pass()
        assert (await stage.published())[-1].kept_from == "reverted"

    play(scene, DIVERTS_REPEATS)


@pytest.mark.parametrize(
    ("desk", "rule_id", "digest"),
    [
        ("no-such-desk", "repeats", DIVERTS_REPEATS.digest),
        (DESK, "no-such-rule", DIVERTS_REPEATS.digest),
        (DESK, "repeats", "f" * 64),
        (DESK, "repeats", ""),
    ],
)
def test_a_record_that_no_bundle_bears_out_diverts_nobody(desk: str, rule_id: str, digest: str) -> None:
    """A stranger who can write to Kafka says that this call was diverted already."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        told = screening_pb2.Screening(call_id="call-1", firewall="a stranger", at_ms=replica.world.wall_ms())
        told.bundle = digest
        told.inputs.add(name="number", text="+15085550107")
        told.verdict.CopyFrom(verdicts.to_wire(Divert(desk, rule_id, "r"), "nuisance"))
        stage.broker.land(Topic.SCREENINGS, "call-1", told.SerializeToString())
        await asyncio.sleep(1.0)
        assert await stage.screen("call-1") == Pass()

    play(scene, DIVERTS_REPEATS)


def test_a_bundle_in_quarantine_does_not_stand_in_for_one_that_is_not_held_yet() -> None:
    """What answered before answers until the next is ready, unless it is out; then the built-in one does."""

    async def scene(stage: Stage) -> None:
        policies = stage.replicas[0].policies
        assert policies is not None
        assert (await stage.asked("one")).policy == DIVERTS_ALL.label
        policies.on = FLAGS_ALL
        assert (await stage.asked("two")).policy == DIVERTS_ALL.label
        policies.trips.append((DIVERTS_ALL.digest, "a breaker elsewhere"))
        policies.on = replace(FLAGS_ALL, digest="f" * 64)
        assert (await stage.asked("three")).policy.startswith("built-in")

    play(scene, DIVERTS_ALL)


def test_a_policy_that_was_gone_back_from_answers_nobody_while_the_one_before_is_made_ready() -> None:
    """Who reverts wants the callers back now, tripped or not: until the older one is held, the built-in one answers."""

    async def scene(stage: Stage) -> None:
        policies = stage.replicas[0].policies
        assert policies is not None
        assert (await stage.asked("one")).policy == DIVERTS_ALL.label
        policies.on = replace(FLAGS_ALL, version=6, digest=f"{6:064x}")
        assert (await stage.asked("two")).policy.startswith("built-in")
        await asyncio.sleep(1.0)
        assert (await stage.asked("three")).policy == policies.on.label

    play(scene, DIVERTS_ALL)


@pytest.mark.parametrize("by", ["a revert", "a breaker"])
def test_a_call_that_is_under_way_when_its_policy_is_taken_back_passes(by: str) -> None:
    """The evaluator's answer comes a moment after: nobody is diverted by what answers no calls any more."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        policies = replica.policies
        assert policies is not None
        await stage.screen("one")
        replica.ailment.slow_s = 0.05
        asking = asyncio.ensure_future(stage.screen("two"))
        await asyncio.sleep(0.02)
        if by == "a revert":
            policies.on = replace(FLAGS_ALL, version=6, digest=f"{6:064x}")
        else:
            policies.tripped(DIVERTS_ALL.digest, by)
        assert await asking == Pass()
        assert [told.kept_from for told in await stage.published()] == ["first_call", "reverted"]

    play(scene, DIVERTS_ALL)
