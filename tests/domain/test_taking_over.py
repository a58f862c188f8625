"""What becomes of a dead conductor's debts, whatever happens around it: the core of the take-over, played in small."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.events import Fact, FactKind
from services.domain.take_overs.facts import taken_over
from services.domain.take_overs.taking_over import Cause
from tests.domain.succession import Ingress, World

STATES = st.sampled_from(["well", "paused", "no_kafka", "unreachable", "killed"])


def world(ingresses: int = 3, calls: int = 3, replicas: int = 2) -> World:
    return World(
        [Ingress(n, {f"call-{n}-{each}": 1 for each in range(calls)}) for n in range(1, ingresses + 1)], replicas
    )


def listed(played: World) -> Counter[str]:
    return Counter(fact.call_id for fact in played.written(FactKind.CALLBACK_DUE))


def test_the_debts_of_a_killed_ingress_are_on_the_list_within_a_second() -> None:
    """A broken stream that does not come back in 300 ms makes its debts due (T1), and rank 0 acts at once (T4)."""
    played = world()
    played.run(5)
    played.ingresses[0].set_state("killed")
    played.run(1)
    assert listed(played) == {"call-1-0": 1, "call-1-1": 1, "call-1-2": 1}
    assert len(played.written(FactKind.TAKEN_OVER)) == 3
    played.run(30)
    assert sum(listed(played).values()) == 3, "nothing is said twice"


def test_a_paused_ingress_is_silent_and_its_debts_are_due_after_a_second() -> None:
    """Silence counts where its own tick was seen just before (T1)."""
    played = world()
    played.run(5)
    played.ingresses[0].set_state("paused")
    played.run(0.9)
    assert not listed(played)
    played.run(2)
    assert listed(played) == {"call-1-0": 1, "call-1-1": 1, "call-1-2": 1}


def test_an_ingress_that_is_cut_off_from_kafka_keeps_its_calls() -> None:
    """It lives and is reached: its facts are late, and nothing is taken from it; nor when they are back-filled (T1)."""
    played = world()
    played.run(5)
    played.ingresses[0].set_state("no_kafka")
    played.run(60)
    played.ingresses[0].set_state("well")
    played.run(10)
    assert not listed(played)


def test_an_ingress_cut_off_from_kafka_first_and_silent_then_is_not_taken_for_dead_by_its_silence() -> None:
    """No tick of its own just before the silence: it may be alive with its callers (T1); lateness alone decides."""
    played = world()
    played.run(5)
    played.ingresses[0].set_state("no_kafka")
    played.run(2)
    played.ingresses[0].set_state("paused")
    played.run(1.5)
    assert not listed(played)
    played.run(10)
    assert len(listed(played)) == 3, "by T2, once its facts are late"


def test_a_higher_leg_before_the_turn_leaves_nothing_to_do() -> None:
    """The caller's side has offered again elsewhere: the debt is the new conductor's (T3)."""
    played = world(replicas=1)
    played.run(5)
    played.ingresses[0].set_state("killed")
    played.run(0.2)
    for call_id in ("call-1-0", "call-1-1"):
        played.offer_again(call_id, 2, played.ingresses[1])
    played.run(30)
    assert listed(played) == {"call-1-2": 1}


def test_a_replica_that_dies_in_the_middle_is_followed_by_the_next() -> None:
    """TakenOver is a record, not a lock: rank 1 acts a second later (T4)."""
    played = world(ingresses=2, calls=8, replicas=2)
    played.run(5)
    played.ingresses[0].set_state("killed")
    played.run(0.5)  # the stream is tried again, then the ingress is asked
    first = next(each for each in played.replicas if each.asking)
    first.alive = False
    assert len(listed(played)) < 8
    played.run(3)
    assert len(listed(played)) == 8


def test_of_two_who_took_one_leg_a_restarted_one_and_a_dead_one_keep_nobody_waiting() -> None:
    """P8: who was restarted answers as another, and need not be asked whether it lives (T1)."""
    played = world(ingresses=2, calls=1, replicas=1)
    played.offer_again("call-1-0", 1, played.ingresses[1])
    played.run(5)
    restarted, dead = played.ingresses
    restarted.incarnation, restarted.calls = 2, {}
    dead.set_state("killed")
    played.run(5)
    assert listed(played)["call-1-0"] == 1


def test_another_ones_taken_over_is_given_its_time() -> None:
    """A later fact is seen: rank 1 waits its second from that, and then goes on where nothing followed (T4)."""
    played = world(ingresses=2, calls=1, replicas=2)
    played.run(5)
    played.ingresses[0].set_state("killed")
    played.run(0.5)
    first = next(each for each in played.replicas if each.asking)
    first.alive = False
    call = first.debts.get("call-1-0")
    assert call is not None
    played.append(taken_over(call, "stream_broken", first.name, played.log_ms))
    played.run(1.4)
    assert not listed(played)
    played.run(1.5)
    assert listed(played) == {"call-1-0": 1}


def test_many_debts_by_silence_at_once_make_a_replica_doubt_itself() -> None:
    """More than a fifth: it asks first; who answers keeps its calls, the rest is worked off at twenty a second (T5)."""
    played = world(ingresses=2, calls=100, replicas=1)
    played.run(5)
    played.ingresses[0].set_state("paused")
    played.run(2)
    assert played.replicas[0].plan.suspects
    played.run(1)
    assert 20 <= len(listed(played)) <= 45
    played.run(5)
    assert len(listed(played)) == 100


def test_a_view_that_is_itself_the_fault_takes_nothing() -> None:
    """Our own streams fell silent while every ingress lives and ticks no more here; asked, they all answer (T5)."""
    played = world(ingresses=2, calls=20, replicas=1)
    played.run(5)
    replica = played.replicas[0]
    for _ in range(50):
        played.now = round(played.now + 0.1, 3)  # neither words nor ticks reach the replica
        look = replica.plan.look(played.now, read=True, room=64)
        assert not look.begin
        for conductor in look.ask:
            replica.watch.heard(conductor.address, conductor.incarnation, played.now)
    assert replica.plan.suspects or replica.plan.due_now[Cause.SILENT] == 0


def test_a_broken_stream_is_not_silence() -> None:
    """A thousand debts of one killed ingress: no doubt, at full speed, bounded by the room for take-overs (T5)."""
    played = World([Ingress(1, {f"call-{n}": 1 for n in range(1_000)}), Ingress(2, {"other": 1})], 2)
    played.run(4)
    played.ingresses[0].set_state("killed")
    played.run(8)
    assert not any(each.plan.suspects for each in played.replicas)
    assert len(listed(played)) == 1_000


@settings(max_examples=150, deadline=None)
@given(
    replicas=st.integers(1, 3),
    happenings=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), STATES), max_size=8),
    deaths=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), max_size=2),
    offered_again=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2), st.integers(0, 2)), max_size=4),
)
def test_whatever_happens_the_living_keep_their_calls_and_the_dead_owe_nothing(
    replicas: int,
    happenings: list[tuple[int, int, str]],
    deaths: list[tuple[int, int]],
    offered_again: list[tuple[int, int, int]],
) -> None:
    """Over any order of pauses, cuts, deaths and re-offers: no take-over of a conductor that lived and was reached
    throughout; every debt of a dead one ends in one outcome, as long as any replica lives; a higher leg withdraws
    (T1 to T4)."""
    played = world(replicas=replicas)
    played.run(3)
    for tenth in range(61):
        for at, number, state in happenings:
            if at == tenth:
                played.ingresses[number].set_state(state)
        for at, number in deaths:
            if at == tenth and number < replicas and sum(each.alive for each in played.replicas) > 1:
                played.replicas[number].alive = False
        for at, by, to in offered_again:
            call_id = f"call-{by + 1}-0"
            target = played.ingresses[to]
            if at == tenth and by != to and target.state == "well":
                played.offer_again(call_id, played.leg_of(call_id) + 1, target)
        played.step()
    played.run(20)
    due = played.written(FactKind.CALLBACK_DUE)
    for ingress in played.ingresses:
        of_it = [fact for fact in due if fact.call_id in ingress.calls and conductor_of(played, fact) is ingress]
        if ingress.always_reachable:
            assert not of_it, f"taken from {ingress}"
    for call_id in {each for ingress in played.ingresses for each in ingress.calls}:
        leg = played.leg_of(call_id)
        of_leg = [fact for fact in due if fact.call_id == call_id and fact.leg == leg]
        assert len({fact.identity for fact in of_leg}) <= 1
        assert len(of_leg) <= replicas
        if all(each.state == "killed" for each in played.ingresses if conducts(played, each, call_id, leg)):
            assert of_leg, f"nobody has taken over {call_id}"


def conducts(played: World, ingress: Ingress, call_id: str, leg: int) -> bool:
    return any(f.conductor == ingress.conductor for _, f in played.log if f.call_id == call_id and f.leg == leg)


def conductor_of(played: World, fact: Fact) -> Ingress | None:
    call_id, leg = fact.call_id, fact.leg
    return next((each for each in played.ingresses if conducts(played, each, call_id, leg)), None)
