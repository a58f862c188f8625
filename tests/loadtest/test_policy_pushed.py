"""What a bad policy may do before the demonstration says that it was not held: judged from what the witnesses tell."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from throughline.v1 import policy_pb2

from loadtest.call_seen import CallSeen, Went
from loadtest.policy_push import BUNDLE
from loadtest.policy_pushed import DIVERTED_MAX, PASSES_WITHIN_S, Command, PushSeen, judge
from loadtest.region_tables import RegionTables
from loadtest.story import (
    ALL_BACK,
    BAD_POLICY,
    CALLERS_AGAIN,
    FORCED_S,
    GATES_S,
    KAFKA,
    KAFKA_GONE_S,
    KILLINGS,
    ROUTER,
    callers_again,
    twice_over,
)
from loadtest.workload import STORM, plan, read_trace
from services.domain.policy import Divert
from services.policy.files.built_in import built_in
from services.policy.files.canonical import Action, Order
from services.policy.files.reading import read_bundle
from services.policy.files.signing import sign_bundle
from services.wire import policy_records
from services.wire.methods import POLICY_HISTORY, SUBMIT_POLICY
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.services.firewall_stage import START_S, Replica, Stage
from tests.services.policy_stage import KEYS, KEYS_TEXT, PRIVATE, Operators

LIVE_MS, REVERTED_MS = 1_000_000, 1_002_000


def command(code: int) -> Command:
    return Command("throughline policy something", code, "so it is")


def call(number: int, at_ms: int, went: Went) -> CallSeen:
    connected_ms = at_ms + 900 if went not in (Went.LEFT, Went.IN_HAND) else None
    return CallSeen(f"c{number}", "P1", BAD_POLICY, at_ms, False, at_ms + 20, connected_ms, went)


class Pushed:
    """Five diverted in the two seconds that it was live, one of whom hung up; ten calls since."""

    def __init__(self) -> None:
        self.seen = PushSeen(
            command(1), command(1), command(0), LIVE_MS, REVERTED_MS, "tripped: state", "built-in-1", [command(0)]
        )
        went = [*[Went.ALTERNATE_LINE] * 4, Went.LEFT, *[Went.OWN] * 10]
        self.calls = [call(number, LIVE_MS + 300 * number, each) for number, each in enumerate(went)]
        self.calls[5:] = [replace(each, offered_ms=REVERTED_MS + 100) for each in self.calls[5:]]
        self.journal: list[dict[str, Any]] = []
        for each in self.calls[:5]:
            self.divert(each.call_id, each.offered_ms + 10)

    def divert(self, call_id: str, at_ms: int) -> None:
        fact = {"event": "fact", "call_id": call_id, "kind": "diverting", "reason": "policy", "at_ms": at_ms}
        self.journal += [fact, {**fact, "reason": "no_answer"}, {"event": "outcome", "call_id": call_id}]

    def judged(self) -> Any:
        return judge(self.seen, {each.call_id: each for each in self.calls}, self.journal)


def test_a_policy_that_is_stopped_and_goes_by_itself_is_held() -> None:
    """Few, soon over, each with a person or on the list, and everything passes since (L7)."""
    told = Pushed().judged()
    assert told.held
    assert (told.touched, told.diverted, told.answered, told.hung_up) == (0, 5, 4, 1)
    assert (told.for_s, told.calls_since, told.diverted_since) == (1.21, 10, 0)


def replay_passes(pushed: Pushed) -> None:
    pushed.seen.replay = command(0)


def promote_is_followed(pushed: Pushed) -> None:
    pushed.seen.unforced = command(0)


def touched(pushed: Pushed) -> None:
    pushed.divert("c9", LIVE_MS - 1)


def nobody_could_sign(pushed: Pushed) -> None:
    pushed.seen.others.append(command(66))


def never_forced(pushed: Pushed) -> None:
    pushed.seen.forced = command(1)


def stays(pushed: Pushed) -> None:
    pushed.seen.reverted_ms = None


def too_many(pushed: Pushed) -> None:
    for number in range(20, 36):
        pushed.calls.append(call(number, LIVE_MS + 500, Went.ALTERNATE_LINE))
        pushed.divert(f"c{number}", LIVE_MS + 510)


def too_long(pushed: Pushed) -> None:
    pushed.calls[0] = replace(pushed.calls[0], offered_ms=LIVE_MS)
    pushed.divert("c1", LIVE_MS)
    pushed.calls.append(call(30, REVERTED_MS, Went.ALTERNATE_LINE))
    pushed.divert("c30", LIVE_MS + round(PASSES_WITHIN_S * 1000) + 1)


def nobody_there(pushed: Pushed) -> None:
    pushed.calls[0] = call(0, LIVE_MS, Went.IN_HAND)


def none_diverted(pushed: Pushed) -> None:
    pushed.journal.clear()


def one_since(pushed: Pushed) -> None:
    pushed.divert("c9", REVERTED_MS + 110)


def nobody_called_since(pushed: Pushed) -> None:
    del pushed.calls[5:]


@pytest.mark.parametrize(
    "harm",
    [
        replay_passes,
        promote_is_followed,
        touched,
        nobody_could_sign,
        never_forced,
        stays,
        too_many,
        too_long,
        nobody_there,
        none_diverted,
        one_since,
        nobody_called_since,
    ],
)
def test_each_way_in_which_it_is_not_held_is_told(harm: Any) -> None:
    """The demonstration's exit code hangs on each of them (L7)."""
    pushed = Pushed()
    harm(pushed)
    assert not pushed.judged().held


def test_who_calls_while_it_is_live_has_called_before() -> None:
    """A first call is never diverted: callers whom nobody has seen would show nothing."""
    calls = plan(twice_over(read_trace(STORM)), RegionTables(), seed=1, run="t", speed=240)
    again = callers_again(calls, "t")
    assert len(again) == CALLERS_AGAIN
    assert {each.caller for each in again} <= {each.caller for each in calls if each.at_s < KAFKA.from_s}
    assert len({each.call_id for each in (*calls, *again)}) == len(calls) + len(again)
    assert all(BAD_POLICY.from_s <= each.at_s < BAD_POLICY.to_s for each in again)
    assert json.loads(again[0].to_json())["call_id"] == "t-again-00"


def test_the_policy_forced_on_the_storm_diverts_a_few_and_is_gone_in_the_histories_own_words() -> None:
    """The whole story's calls over a real firewall in virtual time: what is measured later can be expected (L7)."""
    calls = plan(twice_over(read_trace(STORM)), RegionTables(), seed=5, run="t", speed=240, source="demo")
    content = BUNDLE.read_bytes()
    bundle = read_bundle(content)

    async def story() -> None:
        stage = Stage()
        replica = Replica(stage, "firewall-1", None, policy_keys=KEYS)
        replica.files.texts[KEYS] = KEYS_TEXT
        await replica.firewall.start()
        await asyncio.sleep(START_S)
        operators = Operators(stage.network)
        began_ms = virtual_wall_ms()
        signatures = [sign_bundle(PRIVATE[who], who, bundle, began_ms, 3_600_000) for who in ("ann", "bob")]
        wire = [policy_records.signature_to_wire(each) for each in signatures]
        await operators.ask(SUBMIT_POLICY, policy_pb2.SubmitRequest(content=content, signatures=wire))
        forced = False
        diverted = []
        for each in sorted([*calls, *callers_again(calls, "t")], key=lambda call: call.at_s):
            await asyncio.sleep(max(0.0, each.at_s - (virtual_wall_ms() - began_ms) / 1000))
            if each.at_s > FORCED_S and not forced:
                forced = True
                order = Order(Action.PROMOTE, virtual_wall_ms(), bundle.version, bundle.digest, True)
                await operators.send(order, "ann", "bob")
            said = await stage.screen(each.call_id, each.caller, source=each.source)
            diverted += [each.call_id] if isinstance(said, Divert) else []
        seen = PushSeen()
        history = await operators.ask(POLICY_HISTORY, policy_pb2.HistoryRequest(limit=20))
        changes = sorted(history.changes, key=lambda change: change.serial)
        status = await operators.status()
        seen.hear([(change.at_ms, change.why) for change in changes], status.serving_label)
        assert 0 < len(diverted) <= DIVERTED_MAX
        assert all("again" in call_id for call_id in diverted)
        assert seen.live_ms is not None and seen.reverted_ms is not None
        assert 0 < seen.reverted_ms - seen.live_ms < PASSES_WITHIN_S * 1000
        assert "breaker" in seen.why and seen.serves == built_in().label
        await replica.firewall.stop(0.0)

    run_virtual(story(), limit_s=1_000.0)


def test_it_is_pushed_while_everything_else_is_well() -> None:
    """What is seen then is the policy's doing alone; nobody who is to know its callers dies after they called."""
    assert GATES_S < ALL_BACK.to_s <= FORCED_S < BAD_POLICY.to_s
    assert all(killing.by_s + KAFKA_GONE_S < GATES_S for killing in KILLINGS)
    (firewall,) = [killing for killing in KILLINGS if killing.victim.startswith("firewall")]
    assert firewall.by_s < ROUTER.from_s


def test_the_policy_that_is_pushed_can_be_used_and_diverts_whoever_calls() -> None:
    """A file that is refused would never come to a gate."""
    (rule,) = read_bundle(BUNDLE.read_bytes()).rules
    assert rule.forecast_share < 0.01
