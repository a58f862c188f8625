"""Who can write to `policy`, and has nobody's key: lets calls pass, and brings nothing live, on or off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.publication import NUMBER_MAX
from services.firewall.policies.kept import Kept, bypass_kept, decode, encode
from services.firewall.policies.metrics import NotTaken
from services.firewall.policies.warrants import Warrants
from services.journal import Topic
from services.policy.files.canonical import Action, Order, Signature
from services.policy.files.reading import read_bundle
from services.policy.files.signing import SKEW_MS, read_keys, sign_order
from services.policy.life.latest import LATEST_MAX, Latest
from services.policy.life.lifecycle import (
    BUILT_IN_POINTER,
    OrderRefused,
    Pointer,
    Stage,
    State,
    Warrant,
    flaw,
    obey,
    warranted,
)
from services.policy.life.shelf import FIRST_SERIAL_MAX
from services.wire import policy_records
from simulator.virtual_loop import run_virtual
from tests.policy.files import text
from tests.services.policy_stage import BUILT_IN, CACHE, KEYS_TEXT, PRIVATE, PolicyStage

Scene = Callable[[PolicyStage], Coroutine[Any, Any, None]]


def play(scene: Scene, limit_s: float = 3_600.0) -> None:
    async def staged() -> None:
        async with PolicyStage() as made:
            await scene(made)

    run_virtual(staged(), limit_s)


def pointer_of(version: int) -> Pointer:
    return Pointer(version, read_bundle(text(version).encode()).digest)


async def forge(scene: PolicyStage, **changed: Any) -> None:
    """A stranger writes the next state, with every warrant that ever stood on the topic."""
    shelf = scene.all[-1].feed.shelf
    warrants = {each.order: each for state in shelf.changes for each in state.warrants}
    forged = replace(shelf.state, serial=shelf.state.serial + 1, **{"warrants": tuple(warrants.values()), **changed})
    assert flaw(shelf.state, forged) == ""
    scene.broker.land(Topic.POLICY, *policy_records.encode(forged, "a stranger"))
    await asyncio.sleep(0.2)


def live_on(stage: PolicyStage) -> list[int]:
    return [one.feed.live().version if one.feed.live() is not BUILT_IN else 0 for one in stage.all]


def test_an_older_policy_that_two_people_signed_comes_not_back_by_a_strangers_word() -> None:
    """By way of the built-in one, versions rise again: 6 was live once, by an order that was followed then."""

    async def scene(stage: PolicyStage) -> None:
        for version in (6, 7, 8):
            await stage.forced_live(version)
        built_in = {"live": BUILT_IN_POINTER, "last_good": BUILT_IN_POINTER}
        await forge(stage, **built_in)
        assert live_on(stage) == [0, 0]
        await forge(stage, live=pointer_of(6))
        assert live_on(stage) == [0, 0]
        for one in stage.all:
            assert (one.count("doubt", why=NotTaken.UNORDERED), one.count("not_taken_total", why="unordered")) == (1, 1)
            assert any("followed before, and given up since" in remark for remark in one.feed.remarks())
        await stage.first.again()
        del stage.all[1].files.texts[CACHE / "policy-firewall-2.json"]
        await stage.all[1].stop()
        stage.all[1].files.texts.pop(CACHE / "policy-firewall-2.json", None)
        await stage.all[1].again()
        assert live_on(stage) == [0, 0]
        await stage.direct(Action.REVERT)
        nine = await stage.forced_live(9)
        assert [one.feed.live().digest for one in stage.all] == [nine.digest] * 2
        assert [one.feed.remarks() for one in stage.all] == [[], []]

    play(scene)


def test_between_two_policies_that_both_stand_a_stranger_may_choose() -> None:
    """The last good one, as a revert has it, and forth again: people have ordered both. The paper says so
    (docs/firewall.md); quarantine ends it."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(6)
        seven = await stage.forced_live(7)
        for live, last_good in ((6, 7), (7, 6)):
            await forge(stage, live=pointer_of(live), last_good=pointer_of(last_good))
            assert live_on(stage) == [live, live]
        await forge(stage, live=pointer_of(6), last_good=BUILT_IN_POINTER, quarantined=(seven.digest,))
        assert live_on(stage) == [6, 6]

    play(scene)


def test_a_policy_that_was_handed_in_and_never_ordered_comes_not_live_by_a_strangers_word() -> None:
    """Two people have signed it, for a day that has not come: what answers calls goes on."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(7)
        await stage.submit(8, "ann", "bob")
        await forge(stage, live=pointer_of(8), last_good=pointer_of(7))
        assert live_on(stage) == [7, 7]
        assert any("the signed order to promote it" in remark for remark in stage.first.feed.remarks())
        await stage.direct(Action.REVERT)
        await asyncio.sleep(0.2)
        assert live_on(stage) == [7, 7]

    play(scene)


def test_a_policy_in_shadow_answers_no_call_by_a_strangers_word() -> None:
    """Nor does a canary go faster than its plan: a step that nobody waited for is not taken."""

    async def scene(stage: PolicyStage) -> None:
        await stage.submit(7, "ann", "bob")
        await stage.direct(Action.SHADOW, 7)
        await asyncio.sleep(0.2)
        await forge(stage, stage=Stage.CANARY, step=1)
        calls = [f"call-{number}" for number in range(100)]
        for one in stage.all:
            assert not any(one.feed.candidate_for(call, "") for call in calls)
        await stage.direct(Action.REVERT)
        await stage.in_canary(8)
        await forge(stage, step=1)
        assert 20 < sum(stage.first.feed.candidate_for(call, "") is not None for call in calls) < 80
        await asyncio.sleep(65)
        assert all(stage.first.feed.candidate_for(call, "") is not None for call in calls)

    play(scene)


def test_a_canary_goes_no_faster_by_an_order_that_a_stranger_made_up() -> None:
    """The plan's time counts from the order that people signed: one of long ago in the same state says nothing."""

    async def scene(stage: PolicyStage) -> None:
        seven = await stage.in_canary(7)
        real = stage.first.feed.shelf.state.warrants
        orders = [Order(action, 1, 7, seven.digest, False) for action in (Action.CANARY, Action.PROMOTE)]
        made_up = tuple(Warrant(each, (Signature("ann", 1, 2**52, b"x" * 64),)) for each in orders)
        await forge(stage, step=1, since_ms=1, warrants=(*made_up, *real))
        calls = [f"call-{number}" for number in range(100)]
        for one in stage.all:
            assert 20 < sum(one.feed.candidate_for(call, "") is not None for call in calls) < 80

    play(scene)


def test_a_canary_is_not_through_before_its_plans_time_whatever_the_topic_says_of_it() -> None:
    """A stranger says the last step long begun, and makes up its calls: a promotion is refused all the same."""

    async def scene(stage: PolicyStage) -> None:
        seven = await stage.in_canary(7)
        await forge(stage, step=1, since_ms=1)
        for one in stage.all:
            for number in range(10):
                one.hears(f"call-{number}", seven)
        with pytest.raises(Exception, match="has not run through its canary"):
            await stage.direct(Action.PROMOTE, 7)
        assert live_on(stage) == [0, 0]
        await asyncio.sleep(120)
        await stage.direct(Action.PROMOTE, 7)
        await asyncio.sleep(0.2)
        assert live_on(stage) == [7, 7]

    play(scene)


def test_a_policy_that_fell_comes_not_out_of_quarantine_by_a_strangers_word() -> None:
    """What a breaker reverted stays gone, though two people signed it and its promotion."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(6)
        seven = await stage.forced_live(7)
        stage.first.feed.tripped(seven.digest, "breaker_state")
        await asyncio.sleep(0.5)
        await forge(stage, live=pointer_of(7), quarantined=())
        assert live_on(stage) == [6, 6]
        await stage.direct(Action.REVERT)
        await asyncio.sleep(0.2)
        assert live_on(stage) == [0, 0]
        await forge(stage, live=pointer_of(7), quarantined=())
        assert live_on(stage) == [0, 0]

    play(scene)


@pytest.mark.parametrize("serial", [NUMBER_MAX, FIRST_SERIAL_MAX + 1, FIRST_SERIAL_MAX])
def test_a_stranger_who_writes_first_leaves_room_for_a_next_state(serial: int) -> None:
    """On a topic without one any serial begins; from the last number that there is nothing could go on, and what a
    replica keeps on its disk of it would outlive the topic."""

    async def scene(stage: PolicyStage) -> None:
        first = State(serial, at_ms=1, by="a stranger")
        stage.broker.land(Topic.POLICY, *policy_records.encode(first, "a stranger"))
        await asyncio.sleep(0.2)
        seven = await stage.forced_live(7)
        assert [one.feed.live().digest for one in stage.all] == [seven.digest] * 2
        await stage.first.again()
        assert (live_on(stage), stage.first.feed.remarks()) == ([7, 7], [])

    play(scene)


def test_the_bypass_goes_off_by_a_signed_order_alone_and_on_by_anybodys_word() -> None:
    """To let more calls pass is always easy; to take that back is not. Over a restart too."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(7)
        for action in (Action.BYPASS_ON, Action.BYPASS_OFF, Action.BYPASS_ON):
            await stage.direct(action)
            await asyncio.sleep(0.2)
        await forge(stage, bypass=False)
        assert [one.bypass.on for one in stage.all] == [True, True]
        assert any("no signed order does" in remark for remark in stage.first.feed.remarks())
        await asyncio.sleep(10)
        await stage.first.again()
        assert [one.bypass.on for one in stage.all] == [True, True]
        await stage.direct(Action.BYPASS_OFF)
        await asyncio.sleep(0.2)
        assert [(one.bypass.on, one.feed.remarks()) for one in stage.all] == [(False, [])] * 2
        await forge(stage, bypass=True)
        assert [one.bypass.on for one in stage.all] == [True, True]
        await stage.direct(Action.BYPASS_OFF, at=2)
        await asyncio.sleep(0.2)
        assert [one.bypass.on for one in stage.all] == [False, False]

    play(scene)


def test_a_bypass_switched_off_without_kafka_outlives_a_restart_and_reaches_the_others() -> None:
    """With the order that says so: else nobody would believe it."""

    async def scene(stage: PolicyStage) -> None:
        await stage.direct(Action.BYPASS_ON)
        await asyncio.sleep(0.5)
        stage.first.log.fail(absent=True)
        await stage.direct(Action.BYPASS_OFF)
        assert not stage.first.bypass.on
        await asyncio.sleep(6)
        await stage.first.again()
        await asyncio.sleep(3)
        assert [one.bypass.on for one in stage.all] == [False, False]

    play(scene)


@pytest.mark.parametrize("kafka", [True, False])
def test_of_two_people_who_order_in_one_millisecond_both_are_followed(kafka: bool) -> None:
    """On two machines, to two firewalls: a policy comes live, and the bypass goes on, off, and stays off."""

    async def scene(stage: PolicyStage) -> None:
        await stage.submit(7, "ann", "bob")
        await stage.direct(Action.BYPASS_ON)
        await asyncio.sleep(0.2)
        promote = stage.order(Action.PROMOTE, 7, True)
        off = replace(promote, action=Action.BYPASS_OFF, version=0, digest="", force=False)
        await asyncio.gather(stage.send(promote, "ann", "bob"), stage.send(off, "bob", at=2))
        await asyncio.sleep(0.2)
        assert live_on(stage) == [7, 7]
        assert [(one.bypass.on, one.feed.remarks()) for one in stage.all] == [(False, [])] * 2
        for one in stage.all:
            one.log.fail(absent=not kafka)
        on = replace(stage.order(Action.BYPASS_ON), why="callers reach the wrong desk")
        off = replace(on, action=Action.BYPASS_OFF, why="they do not")
        for order in (on, off):
            for at in (1, 2):
                await stage.send(order, "ann", at=at)
            assert [one.bypass.on for one in stage.all] == [order is on] * 2
        with pytest.raises(Exception, match="or a later order"):
            await stage.send(on, "ann")
        await asyncio.sleep(6)
        for one in stage.all:
            await one.again()
        await asyncio.sleep(3)
        assert [(one.bypass.on, one.feed.remarks()) for one in stage.all] == [(False, [])] * 2

    play(scene)


def test_a_bypass_without_kafka_outlives_a_restart_though_another_order_of_its_millisecond_was_written() -> None:
    """Bob's firewall has no Kafka when he lets every call pass; Ann, on hers, reverts in that millisecond."""

    async def scene(stage: PolicyStage) -> None:
        await stage.forced_live(7)
        stage.all[1].log.fail(absent=True)
        revert = stage.order(Action.REVERT)
        on = replace(revert, action=Action.BYPASS_ON)
        await asyncio.gather(stage.send(revert, "ann"), stage.send(on, "bob", at=2))
        assert [one.bypass.on for one in stage.all] == [False, True]
        await stage.all[1].again()
        await asyncio.sleep(3)
        assert (live_on(stage), [one.bypass.on for one in stage.all]) == ([0, 0], [True, True])
        with pytest.raises(Exception, match="or a later order"):
            await stage.send(revert, "ann", at=2)

    play(scene)


@pytest.mark.parametrize(("off_ms", "revert_ms"), [(0, 0), (2, 5)])
def test_a_firewall_that_followed_another_order_alone_says_nothing_of_the_bypass_when_it_is_back(
    off_ms: int, revert_ms: int
) -> None:
    """A revert says nothing of it: the bypass that people have switched off meanwhile comes not on again, and the one
    that they have switched on goes not off on paper."""
    on, off = Order(Action.BYPASS_ON, NOW), Order(Action.BYPASS_OFF, NOW + off_ms)
    before = State(5, Pointer(3, "a" * 64), Pointer(2, "b" * 64))

    def after(state: State, order: Order) -> State:
        followed = obey(state, order, "ann", NOW + 10, canary_done=False)
        assert followed is not None
        return followed

    for stood, order in ((after(before, on), off), (before, on)):
        alone = after(stood, Order(Action.REVERT, NOW + revert_ms))
        kept = Kept(alone.serial, alone.live, bypass=alone.bypass, latest=alone.latest, warrants=alone.warrants)
        assert bypass_kept(kept, "firewall-1", NOW + 20, after(stood, order)) is None


def test_what_an_older_version_kept_of_the_latest_order_bars_its_whole_millisecond() -> None:
    """It did not keep which order that was, and a replay of it must not count."""
    keys = read_keys(KEYS_TEXT.encode())
    latest = Kept(latest=Latest(NOW, ("a" * 64,)), counted=Latest(NOW, ("a" * 64,)))
    document = json.loads(encode(latest))
    for key in ("ordered", "newest"):
        del document[key]
    kept = decode(json.dumps(document))
    warrants = Warrants(lambda: keys, wall_ms_of_now)
    warrants.recall(kept.serial, kept.warrants, kept.counted, kept.bypass)
    assert not warrants.counts(warrant(Action.BYPASS_OFF, 0, NOW, "ann"))
    assert warrants.counts(warrant(Action.BYPASS_OFF, 0, NOW + 1, "ann"))


def test_an_order_of_more_words_than_a_record_takes_is_refused() -> None:
    """It goes with the record of what it did, which could never be written."""

    async def scene(stage: PolicyStage) -> None:
        order = replace(stage.order(Action.BYPASS_ON), why="x" * 100_000)
        with pytest.raises(Exception, match="limit"):
            await stage.send(order, "ann")
        await stage.direct(Action.BYPASS_ON)
        assert stage.first.bypass.on

    play(scene)


NOW = 1_800_000_000_000
MINUTE_MS = 60_000


def warrant(action: Action, version: int, made_ms: int, *signers: str) -> Warrant:
    names = action.names_bundle
    digest = f"{version:064x}" if names else ""
    order = Order(action, made_ms, version if names else 0, digest, action is Action.PROMOTE)
    real = tuple(sign_order(PRIVATE[who], who, order, made_ms) for who in signers)
    return Warrant(order, real or (Signature("ann", made_ms, made_ms + MINUTE_MS, b"x" * 64),))


FORGED = st.tuples(st.just("forge"), st.integers(0, 4), st.integers(0, 4), st.booleans(), st.integers(0, 2**53))
ORDERED = st.tuples(
    st.sampled_from(["promote", "revert", "on", "off"]), st.integers(1, 4), st.sampled_from([0, MINUTE_MS])
)


@given(st.lists(st.one_of(FORGED, ORDERED), max_size=25))
def test_whatever_a_stranger_writes_what_was_given_up_stands_by_no_old_order(happened: list[tuple[Any, ...]]) -> None:
    """A promotion counts from when it is followed until no state names it, and once given up never again, whichever
    instants and states a stranger makes up; the bypass is on where that was people's last word."""
    keys = read_keys(KEYS_TEXT.encode())
    warrants = Warrants(lambda: keys, lambda: NOW + 60 * MINUTE_MS)
    state, known, given_up = State(), list[Warrant](), set[Order]()
    on, made_ms = False, NOW
    for what, *told in happened:
        made_ms += told[1] if what != "forge" else MINUTE_MS
        if what == "forge":
            live, last_good, bypass, at_ms = told
            fake = [warrant(Action.PROMOTE, live, at_ms), warrant(Action.BYPASS_OFF, 0, at_ms)]
            state = replace(
                state, live=Pointer(live, f"{live:064x}") if live else BUILT_IN_POINTER, at_ms=at_ms, bypass=bypass,
                last_good=Pointer(last_good, f"{last_good:064x}") if last_good else BUILT_IN_POINTER,
                latest=Latest(at_ms), warrants=(*known, *fake),
            )  # fmt: skip
        elif what == "promote":
            new = warrant(Action.PROMOTE, told[0], made_ms, "ann", "bob")
            live_now = Pointer(told[0], f"{told[0]:064x}")
            state = warranted(replace(state, live=live_now, last_good=state.live), new)
            known.append(new)
        elif what == "revert":
            state = warranted(replace(state, live=state.last_good, last_good=BUILT_IN_POINTER))
        else:
            on = what == "on"
            new = warrant(Action.BYPASS_ON if on else Action.BYPASS_OFF, 0, made_ms, "ann")
            state = warranted(replace(state, bypass=on), new)
            known.append(new)
        state = replace(state, serial=state.serial + 1)
        before = set(warrants.standing)
        warrants.follow(state)
        given_up |= {each.order for each in before if each not in warrants.standing}
        assert not given_up & {each.order for each in warrants.standing}
        assert set(warrants.standing) <= set(known)
        if warrants.lacks(state, Action.PROMOTE, state.live) == "" and state.live.version:
            assert any(each.order.digest == state.live.digest for each in warrants.standing)
        assert warrants.bypassed(state) or not (on or state.bypass)


SAID = st.sampled_from([Action.BYPASS_ON, Action.BYPASS_OFF, Action.CANARY, Action.PROMOTE])


@given(st.lists(st.tuples(SAID, st.integers(0, 2), st.booleans()), max_size=LATEST_MAX))
def test_each_order_counts_once_and_none_after_a_later_one(said: list[tuple[Action, int, bool]]) -> None:
    """Made at whatever instants, two in one millisecond too, and over restarts: and no earlier one counts again."""
    keys = read_keys(KEYS_TEXT.encode())
    warrants, state, made_ms = Warrants(lambda: keys, wall_ms_of_now), State(), NOW - MINUTE_MS
    followed = list[Warrant]()
    for version, (action, later_ms, restarted) in enumerate(said, 1):
        made_ms += later_ms
        named = Order(action, made_ms, version, f"{version:064x}", True, str(version))
        order = named if action.names_bundle else Order(action, made_ms, why=str(version))
        new = Warrant(order, tuple(sign_order(PRIVATE[who], who, order, made_ms) for who in ("ann", "bob")))
        after = obey(state, order, "ann", NOW, False, new.signatures)
        assert after is not None
        assert warrants.counts(new)
        assert obey(after, order, "ann", NOW, False) is None
        state = after
        warrants.follow(state)
        assert new in warrants.standing
        assert warrants.bypassed(state) == state.bypass
        if restarted:
            kept = decode(encode(kept_of(state, warrants)))
            assert (kept.state.latest, kept.counted) == (state.latest, warrants.latest)
            warrants = Warrants(lambda: keys, wall_ms_of_now)
            warrants.recall(kept.serial, kept.warrants, kept.counted, kept.bypass)
        for old in followed:
            with pytest.raises(OrderRefused, match="or a later order"):
                obey(state, old.order, "mallory", NOW, False, old.signatures)
            assert warrants.counts(old) == (old in state.warrants)
        followed.append(new)


def kept_of(state: State, warrants: Warrants) -> Kept:
    return Kept(
        state.serial, bypass=state.bypass, latest=state.latest, warrants=warrants.standing, counted=warrants.latest
    )


def test_an_order_of_a_clock_of_the_future_bars_none_of_now() -> None:
    """As everywhere: one wrong clock, once, and no policy could come live for as long as it was ahead."""
    keys = read_keys(KEYS_TEXT.encode())
    warrants = Warrants(lambda: keys, wall_ms_of_now)
    ahead = warrant(Action.PROMOTE, 7, NOW + SKEW_MS + 1, "ann", "bob")
    warrants.follow(State(serial=1, live=Pointer(7, f"{7:064x}"), warrants=(ahead,)))
    now = warrant(Action.PROMOTE, 8, NOW, "ann", "bob")
    after = State(serial=2, live=Pointer(8, f"{8:064x}"), warrants=(now,))
    warrants.follow(after)
    assert warrants.lacks(after, Action.PROMOTE, after.live) == ""


def wall_ms_of_now() -> int:
    return NOW
