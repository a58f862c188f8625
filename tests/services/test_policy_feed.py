"""A firewall's policies under virtual time: from handed in to live and back, with and without Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from throughline.v1 import policy_pb2

from services.domain.publication import parts_of
from services.firewall.policies.metrics import NotTaken
from services.host.network import Broken, Status
from services.journal import Topic
from services.journal.memory import MemoryBroker
from services.policy.files.canonical import Action
from services.policy.files.reading import read_bundle
from services.policy.files.signing import sign_bundle
from services.policy.life.lifecycle import Pointer
from services.policy.life.shelf import Entry, SignedBy, Submitted
from services.wire import policy_records
from services.wire.methods import EXPLAIN, POLICY_BUNDLE, POLICY_HISTORY, SUBMIT_POLICY
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.policy.files import text
from tests.services.policy_stage import BUILT_IN, CACHE, DAY_MS, KEYS, PRIVATE, SWITCH, PolicyStage

Scene = Callable[[PolicyStage], Coroutine[Any, Any, None]]


def play(scene: Scene, limit_s: float = 3_600.0, **stage: Any) -> None:
    async def staged() -> None:
        async with PolicyStage(**stage) as made:
            await scene(made)

    run_virtual(staged(), limit_s)


async def refused(asking: Coroutine[Any, Any, Any]) -> Broken:
    with pytest.raises(Broken) as broken:
        await asking
    return broken.value


def test_a_policy_goes_from_handed_in_to_live_on_every_firewall() -> None:
    """Submit, shadow, canary step by step, promote; each replica serves it, and the one before is the last good."""

    async def scene(stage: PolicyStage) -> None:
        assert [one.feed.live() for one in stage.all] == [BUILT_IN, BUILT_IN]
        told = await stage.submit(7, "ann", "bob")
        assert (told.version, list(told.signers), told.signers_needed) == (7, ["ann", "bob"], 2)
        assert list(told.warnings) == ["a warning"]
        await stage.direct(Action.SHADOW, 7)
        await asyncio.sleep(0.2)
        for one in stage.all:
            shadowed = one.feed.shadowed()
            assert shadowed is not None and shadowed.version == 7
            assert one.feed.candidate_for("call-1", "") is None
        await stage.direct(Action.CANARY, 7, at=2)
        await asyncio.sleep(0.2)
        candidate = stage.first.feed.candidate()
        assert candidate is not None
        under = [call for call in (f"call-{n}" for n in range(400)) if stage.first.feed.candidate_for(call, "")]
        assert 150 < len(under) < 250
        assert under == [
            call for call in (f"call-{n}" for n in range(400)) if stage.all[1].feed.candidate_for(call, "")
        ]
        assert "has not run through its canary" in (await refused(stage.direct(Action.PROMOTE, 7))).detail
        for step in range(2):
            for one in stage.all:
                for number in range(10):
                    one.hears(f"call-{step}-{number}", candidate)
            await asyncio.sleep(70)
        await stage.direct(Action.PROMOTE, 7)
        await asyncio.sleep(0.2)
        for one in stage.all:
            assert (one.feed.live().version, one.feed.candidate(), one.feed.remarks()) == (7, None, [])
            assert one.count("version") == 7
        history: policy_pb2.HistoryResponse = await stage.ask(POLICY_HISTORY, policy_pb2.HistoryRequest())
        assert [each.why for each in history.changes] == ["promote 7", "canary step 2", "canary 7", "shadow 7"]
        fetched: policy_pb2.BundleResponse = await stage.ask(POLICY_BUNDLE, policy_pb2.BundleRequest())
        assert (fetched.content, len(fetched.signatures)) == (text(7).encode(), 2)

    play(scene)


def test_a_canary_goes_on_by_calls_and_time_together() -> None:
    """Neither a minute without calls nor calls within a second moves it."""

    async def scene(stage: PolicyStage) -> None:
        candidate = await stage.in_canary(7)
        await asyncio.sleep(300)
        status = await stage.status()
        assert (status.canary.step, status.canary.waits_for) == (0, "0 of 10 calls")
        for number in range(10):
            stage.first.hears(f"call-{number}", candidate, test=True)
            stage.first.hears(f"shadow-{number}", candidate, shadow=True)
            stage.first.hears(f"other-{number}", BUILT_IN)
        assert (await stage.status()).canary.calls == 0
        for number in range(10):
            stage.first.hears(f"call-{number}", candidate)
        await asyncio.sleep(10)
        assert (await stage.status()).canary.step == 1
        assert (await stage.status(2)).canary.step == 1
        for number in range(10):
            stage.first.hears(f"call-{number}", candidate)
        await asyncio.sleep(10)
        assert "minutes" in (await stage.status()).canary.waits_for

    play(scene)


def test_what_a_candidate_in_shadow_would_have_done_is_said_before_its_canary() -> None:
    """Counted beside the live policy, of calls it did not answer; a forecast it misses takes nothing back yet."""

    async def scene(stage: PolicyStage) -> None:
        await stage.submit(7, "ann", "bob")
        await stage.direct(Action.SHADOW, 7)
        await asyncio.sleep(0.2)
        candidate = stage.first.feed.shadowed()
        assert candidate is not None
        for number in range(5):
            stage.first.hears(f"call-{number}", candidate, diverts=True, shadow=True)
            stage.first.hears(f"other-{number}", candidate, diverts=True)
        status = await stage.status()
        assert (status.canary.calls, status.canary.diverted) == (5, 5)
        assert not any("in shadow" in remark for remark in status.remarks)
        stage.first.hears("call-5", candidate, diverts=True, shadow=True)
        status = await stage.status()
        assert any("in shadow, rule nuisance spoke for 6 of 6 calls" in remark for remark in status.remarks)
        assert (stage.first.feed.candidate(), list(status.state.quarantined)) == (candidate, [])
        await stage.direct(Action.CANARY, 7)
        await asyncio.sleep(0.2)
        assert (await stage.status()).canary.calls == 0

    play(scene)


def test_a_canary_that_diverts_far_past_its_forecast_is_taken_back_by_itself() -> None:
    """At once where it was seen, everywhere a moment later, and not to come again without two people."""

    async def scene(stage: PolicyStage) -> None:
        before = await stage.forced_live(6)
        candidate = await stage.in_canary(7)
        for number in range(6):
            stage.first.hears(f"call-{number}", candidate, diverts=True)
        assert stage.first.feed.candidate_for("call-1", "") is None
        await asyncio.sleep(0.2)
        for one in stage.all:
            assert (one.feed.candidate(), one.feed.live().digest) == (None, before.digest)
        state = (await stage.status(2)).state
        assert list(state.quarantined) == [candidate.digest]
        assert "spoke for 6 of 6 calls" in state.why
        assert stage.first.count("reverts_total") == 1
        assert "quarantined" in (await refused(stage.direct(Action.SHADOW, 7))).detail

    play(scene)


def test_a_live_policy_that_trips_is_gone_at_once_and_everywhere() -> None:
    """The last good one stands in, with no operator asked."""

    async def scene(stage: PolicyStage) -> None:
        six, seven = await stage.forced_live(6), await stage.forced_live(7)
        assert stage.first.feed.live().digest == seven.digest
        stage.first.feed.tripped(seven.digest, "breaker_state")
        stage.all[1].feed.tripped(seven.digest, "breaker_state")
        assert stage.first.feed.live().digest == six.digest
        await asyncio.sleep(0.5)
        for one in stage.all:
            assert (one.feed.live().digest, one.feed.remarks()) == (six.digest, [])
        assert (await stage.status()).state.serial == 3
        stage.first.feed.tripped(BUILT_IN.digest, "breaker_state")
        await asyncio.sleep(0.2)
        assert (await stage.status()).state.serial == 3

    play(scene)


def test_a_quarantine_alarms_until_a_newer_policy_is_live() -> None:
    """Not merely until the fallen one is asked no more, half a second later; on both replicas, over a restart."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(6)
        seven = await stage.forced_live(7)
        assert stage.first.count("bundles_quarantined") == 0
        stage.first.feed.tripped(seven.digest, "hung")
        assert stage.first.count("bundles_quarantined") == 1
        await asyncio.sleep(600)
        await stage.first.again()
        assert [one.count("bundles_quarantined") for one in stage.all] == [1, 1]
        await stage.forced_live(8)
        assert [one.count("bundles_quarantined") for one in stage.all] == [0, 0]

    play(scene)


def test_without_kafka_a_trip_a_revert_and_the_bypass_hold_where_they_were_said() -> None:
    """They only let calls pass; the topic has them once it can be written. Nothing else is followed."""

    async def scene(stage: PolicyStage) -> None:
        six, seven = await stage.forced_live(6), await stage.forced_live(7)
        await stage.submit(8, "ann", "bob")
        stage.first.log.fail(absent=True)
        answer = await stage.direct(Action.BYPASS_ON)
        assert (answer.everywhere, answer.state.bypass, stage.first.bypass.on) == (False, True, True)
        assert not stage.all[1].bypass.on
        stage.first.feed.tripped(seven.digest, "hung")
        assert stage.first.feed.live().digest == six.digest
        assert any("hold here alone" in remark for remark in stage.first.feed.remarks())
        assert stage.first.count("changes_unwritten") == 2
        assert (
            await refused(stage.direct(Action.PROMOTE, 8, by=("ann", "bob"), force=True))
        ).status is Status.UNAVAILABLE
        stage.first.log.fail()
        await asyncio.sleep(10)
        for one in stage.all:
            assert (one.bypass.on, one.feed.live().digest) == (True, six.digest)
        assert not any("alone" in remark for remark in stage.first.feed.remarks())

    play(scene)


def test_a_revert_elsewhere_is_followed_while_a_large_bundle_is_read_here() -> None:
    """A helper may take half a minute over four megabytes; to go back waits for nobody."""

    async def scene(stage: PolicyStage) -> None:
        six = await stage.forced_live(6)
        await stage.forced_live(7)
        stage.first.slow_s = 30.0
        await stage.submit(8, "ann", "bob", at=2)
        await stage.direct(Action.SHADOW, 8, at=2)
        await asyncio.sleep(0.2)
        await stage.direct(Action.REVERT, at=2)
        await asyncio.sleep(0.2)
        assert [one.feed.live().digest for one in stage.all] == [six.digest] * 2
        await asyncio.sleep(120)
        assert [one.feed.live().digest for one in stage.all] == [six.digest] * 2

    play(scene)


def test_a_revert_without_kafka_after_a_restart_goes_to_the_built_in_policy() -> None:
    """What the topic says is not known then; what was kept is the live one, and behind it is the built-in."""

    async def scene(stage: PolicyStage) -> None:
        seven = await stage.forced_live(7)
        await stage.first.again(kafka=False)
        assert stage.first.feed.live().digest == seven.digest
        assert (await stage.direct(Action.REVERT)).everywhere is False
        assert stage.first.feed.live() is BUILT_IN

    play(scene)


def test_the_last_good_policy_and_the_bypass_outlive_a_restart_without_kafka() -> None:
    """On the replica's own disk, whole; a disk that holds something else is told, and the built-in one answers."""

    async def scene(stage: PolicyStage) -> None:
        seven = await stage.forced_live(7)
        await stage.direct(Action.BYPASS_ON)
        await asyncio.sleep(0.2)
        await stage.first.again(kafka=False)
        assert (stage.first.feed.live().digest, stage.first.bypass.on) == (seven.digest, True)
        held: policy_pb2.BundleResponse = await stage.ask(POLICY_BUNDLE, policy_pb2.BundleRequest())
        assert read_bundle(held.content).digest == seven.digest
        kept = CACHE / "policy-firewall-1.json"
        for hurt in ("{", stage.first.files.texts[kept].replace("nuisance-desk", "another-desk")):
            stage.first.files.texts[kept] = hurt
            await stage.first.again(kafka=False)
            assert stage.first.feed.live() is BUILT_IN
            assert any("last good on disk" in remark for remark in stage.first.feed.remarks())
            assert stage.first.count("cache_troubles_total") == 1

    play(scene)


def test_a_quarantine_outlives_a_restart_without_kafka() -> None:
    """A restart is no way round it: what hung is not evaluated again."""

    async def scene(stage: PolicyStage) -> None:
        seven = await stage.forced_live(7)
        stage.first.log.fail(absent=True)
        stage.first.feed.tripped(seven.digest, "hung")
        await asyncio.sleep(1)
        await stage.first.again(kafka=False)
        assert stage.first.feed.live() is BUILT_IN
        stage.first.log.fail()
        await asyncio.sleep(10)
        assert [one.feed.live() for one in stage.all] == [BUILT_IN, BUILT_IN]
        assert list((await stage.status(2)).state.quarantined) == [seven.digest]

    play(scene)


def test_a_bypass_switched_without_kafka_outlives_a_restart_and_reaches_the_others() -> None:
    """The order was signed; that this process died does not unmake it."""

    async def scene(stage: PolicyStage) -> None:
        stage.first.log.fail(absent=True)
        await stage.direct(Action.BYPASS_ON)
        await asyncio.sleep(6)
        await stage.first.again()
        await asyncio.sleep(3)
        assert [one.bypass.on for one in stage.all] == [True, True]
        await stage.direct(Action.BYPASS_OFF, at=2)
        await asyncio.sleep(0.2)
        assert [one.bypass.on for one in stage.all] == [False, False]

    play(scene)


def test_a_firewall_that_was_away_while_the_bypass_was_switched_off_does_not_switch_it_on_again() -> None:
    """The newer order counts."""

    async def scene(stage: PolicyStage) -> None:
        await stage.direct(Action.BYPASS_ON)
        await asyncio.sleep(0.5)
        await stage.first.stop()
        await stage.direct(Action.BYPASS_OFF, at=2)
        await asyncio.sleep(0.5)
        await stage.first.again()
        await asyncio.sleep(3)
        assert [one.bypass.on for one in stage.all] == [False, False]

    play(scene)


def test_what_is_not_signed_by_two_people_does_not_go_on() -> None:
    """One may hand it in; the second signs the same bytes later."""

    async def scene(stage: PolicyStage) -> None:
        assert (await refused(stage.submit(7))).status is Status.PERMISSION_DENIED
        told = await stage.submit(7, "ann")
        assert (list(told.signers), told.signers_needed) == (["ann"], 2)
        broken = await refused(stage.direct(Action.SHADOW, 7))
        assert (broken.status, "expected 2 different people" in broken.detail) == (Status.PERMISSION_DENIED, True)
        assert list((await stage.submit(7, "bob", at=2)).signers) == ["ann", "bob"]
        await stage.direct(Action.SHADOW, 7)
        forced = await refused(stage.direct(Action.PROMOTE, 7, force=True))
        assert "expected 2 different people" in forced.detail
        nobody = await refused(stage.direct(Action.BYPASS_ON, by=()))
        assert nobody.status is Status.PERMISSION_DENIED

    play(scene)


def test_what_is_handed_in_is_read_and_checked_and_of_a_new_version() -> None:
    """A refusal names the line; nothing reaches the topic."""

    async def scene(stage: PolicyStage) -> None:
        await stage.submit(7, "ann")
        before = len(stage.broker.records(Topic.POLICY))
        assert (await refused(stage.submit(7, "ann", when="'true'"))).status is Status.ALREADY_EXISTS
        assert "write 8" in (await refused(stage.submit(6, "ann"))).detail
        stage.first.errors = ("line 10: always true",)
        assert "always true" in (await refused(stage.submit(8, "ann"))).detail
        unread = policy_pb2.SubmitRequest(content=b"name: a\nname: b\n")
        assert "line 2" in (await refused(stage.ask(SUBMIT_POLICY, unread))).detail
        assert len(stage.broker.records(Topic.POLICY)) == before

    play(scene)


def test_two_bundles_are_not_taken_in_at_once() -> None:
    """To read a large one costs seconds of a thread: who floods with them is told to come again."""

    async def scene(stage: PolicyStage) -> None:
        both = await asyncio.gather(stage.submit(7, "ann"), stage.submit(8, "ann"), return_exceptions=True)
        (told,) = [each for each in both if isinstance(each, policy_pb2.SubmitResponse)]
        (broken,) = [each for each in both if isinstance(each, Broken)]
        assert broken.status is Status.RESOURCE_EXHAUSTED
        await stage.submit(told.version + 2, "ann")

    play(scene)


async def forged(stage: PolicyStage, content: bytes, parts: bool = True) -> None:
    """A stranger who can write to Kafka calls this bundle live; nobody has signed it."""
    pointer = Pointer(9, sha256(content).hexdigest())
    state = stage.first.feed.shelf.state
    entries: list[Entry] = [*(parts_of(content) if parts else ()), Submitted(pointer, len(content), "x", "x", 1)]
    for entry in [*entries, replace(state, serial=state.serial + 1, live=pointer, last_good=state.live)]:
        stage.broker.land(Topic.POLICY, *policy_records.encode(entry, "a stranger"))
    await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("content", "parts", "why"),
    [
        (text(9, when="true").encode(), True, NotTaken.UNSIGNED),
        (text(9, when="true").encode(), False, NotTaken.TORN),
        (b"name: [\n", True, NotTaken.UNREADABLE),
        (text(8).encode(), True, NotTaken.UNREADABLE),
    ],
)
def test_what_is_called_live_and_may_not_be_is_not_served_and_alarms(
    content: bytes, parts: bool, why: NotTaken
) -> None:
    """Unsigned, torn, no bundle, another version than it says: the last good one stays, loudly, each told once."""

    async def scene(stage: PolicyStage) -> None:
        six = await stage.forced_live(6)
        await forged(stage, content, parts)
        await asyncio.sleep(20)
        for one in stage.all:
            assert one.feed.live().digest == six.digest
            assert any("live version 9" in remark and six.label in remark for remark in one.feed.remarks())
            assert (one.count("doubt", why=why), one.count("not_taken_total", why=why)) == (1, 1)

    play(scene)


@pytest.mark.parametrize("before", [8, 9])
def test_who_writes_to_kafka_and_has_signed_alone_brings_no_policy_live(before: int) -> None:
    """What is called the last good policy says how many people it takes only where it is one."""

    async def scene(stage: PolicyStage) -> None:
        state = await stage.forced_live(7)
        pointers = {}
        for version in (8, 9):
            content = text(version, when="number_calls_600s > 3").encode()
            bundle = read_bundle(content)
            pointers[version] = pointer = Pointer(version, bundle.digest)
            signature = sign_bundle(PRIVATE["ann"], "ann", bundle, virtual_wall_ms(), DAY_MS)
            signed = (Submitted(pointer, 1, "x", "x", 1), SignedBy(pointer, signature))
            entries: list[Entry] = [*parts_of(content), *signed]
            for entry in entries:
                stage.broker.land(Topic.POLICY, *policy_records.encode(entry))
        stands = stage.first.feed.shelf.state
        forged_state = replace(stands, serial=stands.serial + 1, live=pointers[9], last_good=pointers[before])
        stage.broker.land(Topic.POLICY, *policy_records.encode(forged_state, "a stranger"))
        await asyncio.sleep(0.2)
        assert stage.first.feed.live().digest == state.digest
        assert "expected 2 different people" in "".join(stage.first.feed.remarks())
        await stage.all[1].again()
        assert stage.all[1].feed.live().version != 9
        for _ in range(2):
            await stage.direct(Action.REVERT)
            await asyncio.sleep(0.2)
            assert all(one.feed.live().version != 9 for one in stage.all)
        assert all(one.feed.live() is BUILT_IN for one in stage.all)

    play(scene)


def test_a_policy_that_one_person_signed_since_it_diverts_less_outlives_a_restart() -> None:
    """Each follows the one before it, the last two by one signature: where they were taken, and kept on disk."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(7)
        for version in (8, 9):
            await stage.submit(version, "ann")
            await stage.send(stage.order(Action.PROMOTE, version, True), "ann", "bob")
            await asyncio.sleep(0.2)
            assert [(one.feed.live().version, one.feed.remarks()) for one in stage.all] == [(version, [])] * 2
        await stage.all[1].again()
        await asyncio.sleep(0.2)
        assert (stage.all[1].feed.live().version, stage.all[1].feed.remarks()) == (9, [])

    play(scene)


def test_a_version_that_a_stranger_wrote_bars_no_new_one() -> None:
    """2**53 is handed in by nobody: the next policy still comes live."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(7)
        forged = Submitted(Pointer(2**53, "f" * 64), 1, "x", "x", 1)
        stage.broker.land(Topic.POLICY, *policy_records.encode(forged))
        await asyncio.sleep(0.2)
        eight = await stage.forced_live(8)
        assert [one.feed.live().digest for one in stage.all] == [eight.digest] * 2

    play(scene)


def test_a_record_that_is_none_of_a_policys_life_is_counted_and_passed_over() -> None:
    """What comes after it is read. One without a value, by which Kafka deletes a key, is none either; and who is
    started is told of all of them again (docs/runbooks)."""

    async def scene(stage: PolicyStage) -> None:
        for key in ("state/9/x", "bundle/1/x", "item/x/0", "signature/x/y"):
            stage.broker.land(Topic.POLICY, key, b"\xff")
        stage.broker.land(Topic.POLICY, "state/8/x", b"")
        stage.broker.land(Topic.POLICY, "another/kind", b"of a later version")
        seven = await stage.forced_live(7)
        assert (stage.first.feed.live().digest, stage.first.count("records_unreadable_total")) == (seven.digest, 5)
        await stage.first.again()
        await asyncio.sleep(0.2)
        assert (stage.first.feed.live().digest, stage.first.count("records_unreadable_total")) == (seven.digest, 5)

    play(scene)


def test_a_signature_that_expires_leaves_what_is_live_and_alarms() -> None:
    """i3: the last good policy is kept when a signature expires; a firewall without a disk starts with the built-in."""

    async def scene(stage: PolicyStage) -> None:
        await stage.submit(7, "ann", "bob", valid_ms=60_000)
        await stage.direct(Action.PROMOTE, 7, by=("ann", "bob"), force=True)
        await asyncio.sleep(0.2)
        assert (stage.first.feed.live().version, stage.first.feed.remarks()) == (7, [])
        await asyncio.sleep(70)
        assert stage.first.feed.live().version == 7
        assert any("expired" in remark for remark in stage.first.feed.remarks())
        assert stage.first.count("doubt", why="expired") == 1
        await stage.first.again()
        assert stage.first.feed.live().version == 7
        del stage.first.files.texts[CACHE / "policy-firewall-1.json"]
        await stage.first.stop()
        stage.first.files.texts.pop(CACHE / "policy-firewall-1.json", None)
        await stage.first.again()
        assert (stage.first.feed.live(), stage.first.count("doubt", why="expired")) == (BUILT_IN, 1)

    play(scene)


def test_to_go_back_does_not_fail_by_a_signature_that_has_expired_since() -> None:
    """The last good one was good; and what was left does not go on answering calls, whatever becomes of the other."""

    async def scene(stage: PolicyStage) -> None:
        await stage.submit(6, "ann", "bob", valid_ms=60_000)
        await stage.direct(Action.PROMOTE, 6, by=("ann", "bob"), force=True)
        await stage.forced_live(7)
        await asyncio.sleep(70)
        await stage.direct(Action.REVERT)
        await asyncio.sleep(0.2)
        assert [one.feed.live().version for one in stage.all] == [6, 6]
        await asyncio.sleep(20)
        assert [one.feed.live().version for one in stage.all] == [6, 6]

    play(scene)


def test_a_way_back_to_what_cannot_be_taken_ends_at_the_built_in_policy() -> None:
    """What an operator has left must not go on."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(6)
        await stage.forced_live(7)
        (part,) = parts_of(text(6).encode())
        compacted = MemoryBroker(virtual_wall_ms)  # the newest of each key is left, and that part's is a stranger's
        for record in stage.broker.records(Topic.POLICY):
            if record.key != policy_records.encode(part)[0]:
                compacted.land(Topic.POLICY, record.key, record.value)
        compacted.land(Topic.POLICY, *policy_records.encode(replace(part, content=b"forged")))
        stage.broker = compacted
        for one in stage.all:
            await one.again()
        assert stage.all[1].feed.live().version == 7
        await stage.direct(Action.REVERT, at=2)
        await asyncio.sleep(0.2)
        assert (stage.first.feed.live(), stage.first.count("doubt", why="torn")) == (BUILT_IN, 1)

    play(scene)


def test_a_topic_that_lost_its_records_does_not_turn_the_policy_back() -> None:
    """Older than what stood here: the last good one stays, loudly, until somebody says again what is to stand."""

    async def scene(stage: PolicyStage) -> None:
        seven = await stage.forced_live(7)
        await asyncio.sleep(0.2)
        stage.broker = MemoryBroker(virtual_wall_ms)
        for one in stage.all:
            await one.again()
        for one in stage.all:
            assert one.feed.live().digest == seven.digest
            assert one.count("doubt", why="older") == 1
        eight = await stage.forced_live(8)
        for one in stage.all:
            assert (one.feed.live().digest, one.feed.remarks()) == (eight.digest, [])

    play(scene)


def test_a_firewall_without_keys_starts_with_the_built_in_policy_and_says_so() -> None:
    """A firewall that did not start would be the outage."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(7)
        stage.first.files.texts[KEYS] = "ann: 12\n"
        await stage.first.again()
        assert stage.first.feed.live() is BUILT_IN
        assert any("nobody can sign" in remark for remark in stage.first.feed.remarks())

    play(scene)


def test_an_order_sent_to_every_firewall_is_followed_once() -> None:
    """As the command does in an incident."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(6)
        await stage.forced_live(7)
        order = stage.order(Action.REVERT)
        answers = await asyncio.gather(*(stage.send(order, "bob", at=at) for at in (1, 2)))
        assert [answer.everywhere for answer in answers] == [True, True]
        await asyncio.sleep(1)
        assert [one.feed.live().version for one in stage.all] == [6, 6]
        assert (await stage.status()).state.serial == 3

    play(scene)


def test_why_a_call_was_screened_so_is_remembered() -> None:
    """Each screening of it, and the candidate's word beside it."""

    async def scene(stage: PolicyStage) -> None:
        told = [stage.first.hears("call-1", BUILT_IN), stage.first.hears("call-1", BUILT_IN, shadow=True)]
        found: policy_pb2.ExplainResponse = await stage.ask(EXPLAIN, policy_pb2.ExplainRequest(call_id="call-1"))
        assert list(found.screenings) == told
        unknown = stage.ask(EXPLAIN, policy_pb2.ExplainRequest(call_id="call-2"))
        assert (await refused(unknown)).status is Status.NOT_FOUND

    play(scene)


def test_the_file_and_the_environment_switch_the_bypass_on_without_anything_else() -> None:
    """Neither Kafka nor Kubernetes nor a login."""

    async def scene(stage: PolicyStage) -> None:
        stage.first.log.fail(absent=True)
        assert not stage.first.bypass.on
        stage.first.files.texts[SWITCH] = ""
        await asyncio.sleep(1.5)
        assert (stage.first.bypass.on, list((await stage.status()).bypassed_by)) == (True, ["file"])
        assert stage.first.count("bypassed", by="file") == 1
        assert any("every call passes" in remark for remark in stage.first.bypass.remarks())
        del stage.first.files.texts[SWITCH]
        await asyncio.sleep(1.5)
        assert (stage.first.bypass.on, stage.first.count("bypassed", by="file")) == (False, 0)

    play(scene)

    async def by_environment(stage: PolicyStage) -> None:
        assert stage.first.bypass.by == ("environment",)

    play(by_environment, environment=True)


def test_a_file_that_is_there_and_cannot_be_read_switches_it_on_too() -> None:
    """Root's, of mode 0600, from somebody in a hurry: only where nothing is, it is off."""

    async def scene(stage: PolicyStage) -> None:
        stage.first.files.unreadable.add(SWITCH)
        await asyncio.sleep(1.5)
        assert (stage.first.bypass.on, stage.first.count("bypassed", by="file")) == (True, 1)
        assert any("permission denied" in remark for remark in stage.first.bypass.remarks())
        stage.first.files.unreadable.clear()
        await asyncio.sleep(1.5)
        assert (stage.first.bypass.on, stage.first.bypass.remarks()) == (False, [])

    play(scene)


def test_the_bypass_is_drilled_every_hour_both_ways() -> None:
    """Off, the drill's call is diverted; on, it passes. Its last success is a metric."""

    async def scene(stage: PolicyStage) -> None:
        await asyncio.sleep(70)
        assert stage.first.drills == ["", "bypass"]
        first = stage.first.bypass.drilled_ms
        assert stage.first.count("bypass_drill_success_timestamp_seconds") == first / 1000
        await asyncio.sleep(3 * 3_600)
        assert stage.first.drills == ["", "bypass"] * 4
        assert stage.first.bypass.drilled_ms > first
        assert stage.first.bypass.remarks() == []

    play(scene, 4 * 3_600, firewalls=1)


@pytest.mark.parametrize("says", ["", "bypass", "first_call", None, KeyError("an untested path")], ids=str)
def test_a_drill_that_does_not_go_well_is_told_and_tried_again_soon(says: str | Exception | None) -> None:
    """Cloudflare, December 2025: diverted though it was on; passed by the bypass though it was off; passed by something
    else though it was on; nothing proposed; an error on the way."""

    async def scene(stage: PolicyStage) -> None:
        def drilled(on: bool) -> str | None:
            if isinstance(says, Exception):
                raise says
            return says

        stage.first.drill_says = drilled
        await asyncio.sleep(70)
        assert stage.first.count("bypass_drills_failed_total") == 1
        assert any("the drill failed" in remark for remark in stage.first.bypass.remarks())
        await asyncio.sleep(3 * 3_600)
        assert stage.first.count("bypass_drills_failed_total") > 30
        assert stage.first.bypass.drilled_ms == 0
        assert any("not drilled with success" in remark for remark in stage.first.bypass.remarks())

    play(scene, 4 * 3_600, firewalls=1)
