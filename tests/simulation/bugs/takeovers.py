"""Mistakes over the debts of the dead: who is dead, who acts, and what they say (T1 to T5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import simulator.replicas
from services.domain.holding import Holding, Standing
from services.domain.take_overs import ring_backs, watch
from services.domain.take_overs.debts import Debts
from services.domain.take_overs.facts import attested
from services.domain.take_overs.log_time import LogTime
from services.domain.take_overs.open_call import OpenCall
from services.domain.take_overs.ring_backs import RingBacks
from services.domain.take_overs.watch import Life, Watch
from services.domain.where import Where
from services.failover import taking_over
from services.failover.asking import Attesters
from services.failover.ringing_back import RingingBack
from tests.simulation.bugs.mistake import mistake


@mistake(taking_over, "callback_due", only=("kill@ingress",))
def take_over_says_diverted(real: Any, call: Any, at_ms: int) -> Any:
    """Who takes a call over says that it is diverted to the desk, "since the desk will ring back" (T3): the books
    count a caller as answered whom nobody has talked to, and nobody rings back."""
    desk = Holding(Standing.CONNECTED, f"{call.call_id}/{call.leg}/1", taking_over_where())
    return attested(call, desk, at_ms)


def taking_over_where() -> Any:
    return Where("region", "+15085550130")


@mistake(Watch, "life", only=("crash@ingress", "kill_all@ingress"))
def a_zombie_is_trusted(real: Any, watch: Watch, conductor: Any, partition: int | None, now: float) -> Life:
    """Whatever answers at a conductor's address is taken for that conductor (T1): one that was started again answers
    for the dead, and the calls of the dead are nobody's."""
    peer = watch._peers.get(conductor.address)
    return Life.LIVES if peer is not None and watch._speaks(peer, now) else real(watch, conductor, partition, now)


@mistake(simulator.replicas, "mint_incarnation", only=("crash@ingress",))
def restart_keeps_its_incarnation(real: Any, wall_ms: int, chance: Any) -> str:
    """A process that is started again has the incarnation of the one before (T1): nobody sees that what that one owed
    is owed by nobody."""
    return "0000000000000-00000000"


@mistake(Watch, "_unless_it_ticks", only=("cut@failover", "cut_off@ingress"))
def takes_over_whom_it_does_not_hear(real: Any, known: Any, life: Life, since: float, now: float) -> Life:
    """A replica that is cut off from a conductor takes its calls, though its ticks say that it lives (T1)."""
    return life


@mistake(Attesters, "who_has", only=("kill_all@ingress",))
async def take_over_asks_nobody(real: Any, attesters: Attesters, call_id: str, psap_ids: Any) -> Holding:
    """A take-over does not ask who has the call (T3): a caller who talks to a call-taker is rung back by a line."""
    return Holding(Standing.NONE)


@mistake(RingBacks, "look", only=("kill_all@ingress",))
def ring_back_is_not_called_off(real: Any, backs: RingBacks, now: float, *, read: bool) -> Any:
    """Who comes back by a higher leg is rung all the same (T3): the line that was asked is not told."""
    begin, _ = real(backs, now, read=read)
    return begin, []


@mistake(RingingBack, "_ask_again", calls=100)
async def who_could_not_say_is_not_asked_again(real: Any, ringing_back: RingingBack, errand: Any) -> None:
    """A trunk that could not be asked who has the call is in reach again when a line is dialled, and is not asked (T3):
    a caller who talks to a person is on the callback list, and a line rings in the ear of both."""


@mistake(ring_backs, "AFTER_S", only=("kill@ingress",))
def rings_back_at_once(real: float) -> float:
    """A caller is rung back before their network could offer the next leg (T3): the telephone is busy with the very
    call that comes in again, or rings in the ear of who is being connected."""
    return 0.0


@mistake(RingBacks, "_due_at", only=("kill_all@ingress", "trunk_full"))
def tries_have_no_end(real: Any, call: Any) -> float | None:
    """A line that did not bring the caller back is asked again a second later, for ever (T3): the lines of the region
    are busy with one caller who does not answer."""
    due = real(call)
    newest = max(call.tries, default=0)
    return call.tries[newest][0] + 1.0 if newest and call.tries[newest][1] else due


@mistake(watch, "TRY_AGAIN_S", only=("kill@ingress",))
def a_death_is_noticed_late(real: float) -> float:
    """A stream that breaks is given ten seconds to come back (T1): whoever was on the line of a dead ingress is on no
    list for ten seconds, and nobody is told."""
    return 10.0


@mistake(Debts, "_is_old", only=("broker_jump", "kill_all@ingress", "kill@ingress"))
def old_by_any_partitions_clock(real: Any, debts: Debts, partition: int | None, since_ms: int) -> bool:
    """What is too old for a take-over is so by the newest stamp of all partitions (T2, record 0034): one broker whose
    clock is an hour ahead makes every debt of the others the ledger's, fifteen minutes later."""
    return since_ms < max(debts._newest_ms.values(), default=0) - 15 * 60 * 1000


@mistake(LogTime, "is_late", only=("broker_jump", "kill@ingress", "kill_all@ingress"))
def late_by_any_partitions_clock(
    real: Any, log_time: LogTime, partition: int | None, since_ms: int, due_in_ms: int
) -> bool:
    """What is owed is late by the clock that is furthest ahead (T2, record 0034): one broker an hour ahead, and every
    replica takes calls of the other partitions as late the moment that it does not hear their conductor."""
    if partition is None:
        return bool(real(log_time, None, since_ms, due_in_ms))
    return any(real(log_time, each, since_ms, due_in_ms) for each in log_time.newest())


@mistake(Attesters, "who_has", only=("pause@ingress", "power@ingress", "cut_off@ingress"))
async def who_is_rung_has_the_caller(real: Any, attesters: Attesters, call_id: str, psap_ids: Any) -> Holding:
    """A telephone that rings, or was picked up, is taken for a person who has the caller (T3): the books count a call
    as answered that nobody answered, and nobody rings back."""
    holding: Holding = await real(attesters, call_id, psap_ids)
    rings = holding.standing in (Standing.RINGING, Standing.ANSWERED)
    return replace(holding, standing=Standing.CONNECTED) if rings else holding


@mistake(OpenCall, "listed", only=("kafka_gone", "kafka_loses@ledger", "power@ingress"))
def one_of_two_ends_it_for_both(real: Any) -> property:
    """Where two took a leg, one puts it onto the list for both (P8, record 0040): the other dies with the caller
    at a person, nobody takes that up, and the caller is rung back."""
    return property(lambda call: call._listed or bool(call._ended))
