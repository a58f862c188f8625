"""Mistakes in what a firewall makes of policies: whom it diverts, what it counts, and by whose word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from services.domain.policy import Divert
from services.firewall.following import Following
from services.firewall.known_calls import KnownCalls
from services.firewall.policies.feed import PolicyFeed
from services.firewall.policies.life import PolicyLife
from services.firewall.policies.vetting import Vetting
from services.firewall.screening import Screener, Word
from services.ingress.neighbours import Neighbours
from services.places.directory import NUISANCE_DESK
from services.policy.files.signing import Signed
from services.policy.life.latest import Latest
from services.policy.verdicts import judging
from services.policy.verdicts.breakers import Breakers
from services.wire.methods import SCREEN
from tests.simulation.bugs.mistake import mistake

CALLS = 60
"""In a schedule: enough for callers to call again."""


@mistake(Screener, "_word", only=("evaluators_hang", "policy_repeats"), calls=CALLS)
async def silence_is_taken_for_a_divert(real: Any, screener: Screener, *asked: Any) -> Word:
    """A call on which the evaluator says nothing in time is diverted, to be safe: a firewall that fails closed, as on
    18 June 2024, and every caller of its worst minute reaches the wrong desk."""
    word: Word = await real(screener, *asked)
    return word if word.bundle is not None else replace(word, proposed=Divert(NUISANCE_DESK, "silent", "evaluator"))


@mistake(Breakers, "heard", only=("policy_everybody",), calls=CALLS)
def breakers_count_one_replica_alone(
    real: Any, breakers: Breakers, call: Any, diverted: bool, now: float, age_s: float | None = None
) -> None:
    """A breaker counts what its own firewall screens, and not what others do: with ten firewalls ten times as many
    callers are diverted by a bad bundle before all of them pass."""
    if age_s is None:
        real(breakers, call, diverted, now)


@mistake(Following, "_note_end", only=("policy_expires", "kill@firewall", "policy_repeats"), calls=CALLS)
async def restart_forgets_the_windows(real: Any, following: Following, follower: Any) -> None:
    """What was screened before a firewall's start is read, and not counted: a restart is a way round every limit, and
    who floods is a first caller again."""
    await follower.caught_up.wait()
    following._early.clear()
    await real(following, follower)


@mistake(KnownCalls, "seen", only=("policy_repeats",), calls=CALLS)
def test_calls_count(real: Any, known: KnownCalls, call_id: str, keys: Any, now: float, *, test: bool) -> Any:
    """A test call counts in the windows of real ones: whoever tests their telephone system is diverted when they call
    in need."""
    return real(known, call_id, keys, now, test=False)


@mistake(PolicyLife, "bypassed", only=("policy_everybody",), calls=CALLS)
def the_switch_reaches_no_call(real: Any, policies: PolicyLife, call_id: str) -> Any:
    """Whoever screens a call does not ask the switch: it says that it is on, and calls are diverted all the same."""
    return False


@mistake(judging, "kept_from", only=("policy_everybody",), calls=CALLS)
def first_call_is_not_spared(real: Any, proposed: Any, grounds: Any) -> Any:
    """A rule may divert somebody who has never called before: whoever calls from the cell of a flood loses the one call
    that they make in their life."""
    return real(proposed, replace(grounds, first=False))


class _Anybody:
    def __contains__(self, desk: object) -> bool:
        return True


@mistake(Screener, "_desks", only=("policy_deserted",), calls=CALLS)
def a_desk_without_lines_is_diverted_to(real: Any, screener: Screener) -> _Anybody:
    """Nobody looks whether the desk of a rule has lines: who is diverted there waits for a dial that cannot be made."""
    return _Anybody()


@mistake(PolicyFeed, "tripped", only=("policy_everybody",), calls=CALLS)
def quarantine_is_forgotten(real: Any, feed: PolicyFeed, digest: str, why: str) -> None:
    """A bundle that has tripped a breaker stays live: as soon as the breaker closes it diverts the next callers, minute
    after minute, until somebody reads the alarm."""


@mistake(PolicyFeed, "wish", only=("bypass_ordered", "policy_repeats", "kafka_gone"), calls=CALLS)
def the_bypass_waits_for_kafka(real: Any, feed: PolicyFeed, change: Any, urgent: bool) -> Any:
    """An order holds once it was read from the topic: while Kafka is away the one switch that lets everybody pass does
    nothing, and that is when it is wanted."""
    return real(feed, change, False)


@mistake(PolicyFeed, "candidate_for", only=("policy_canary", "policy_repeats"), calls=CALLS)
def each_firewall_draws_its_own_share(real: Any, feed: PolicyFeed, call_id: str, area: str) -> Any:
    """Which calls a canary answers is drawn by each firewall for itself: a call's second leg meets another policy, and
    the tally of one firewall says nothing of the other's."""
    return real(feed, f"{feed._world.name} {call_id}", area)


@mistake(PolicyFeed, "candidate_for", only=("policy_shadow",), calls=CALLS)
def the_shadows_word_answers(real: Any, feed: PolicyFeed, call_id: str, area: str) -> Any:
    """A candidate answers calls whatever its stage is: the first look at a bundle is taken at the callers' cost."""
    return feed.candidate()


@mistake(Signed, "lacks", only=("policy_forged",), calls=CALLS)
def whoever_writes_the_topic_is_believed(real: Any, signed: Signed, needed: int) -> str:
    """Signatures are looked at, and their number is not: whoever can write to Kafka can divert a state's calls."""
    return ""


@mistake(Vetting, "take", only=("policy_expired",), calls=CALLS)
async def an_expired_signature_counts(
    real: Any, vetting: Vetting, part: str, shelf: Any, pointer: Any, keys: Any, before: Any, now_ms: int | None
) -> Any:
    """Whoever signed once has signed for ever: a bundle of last winter, kept by somebody, goes live next summer."""
    return await real(vetting, part, shelf, pointer, keys, before, None)


@mistake(Neighbours, "_screened", only=("pause@firewall", "half_open@firewall"))
async def an_ingress_waits_for_its_firewall(
    real: Any, neighbours: Neighbours, request: Any, of: str, again: int
) -> Any:
    """The question to a firewall has no budget of its own: while one hangs, its callers hear nothing at all."""
    return await neighbours._firewalls.ask(SCREEN, request, 60.0, of)


@mistake(KnownCalls, "known", only=("policy_everybody", "reset@wire", "kill@ingress"), calls=CALLS)
def each_leg_is_judged_anew(real: Any, known: KnownCalls, call_id: str) -> None:
    """A call's second leg is screened as if it were another call (L3): who was passed and rang at a PSAP is diverted
    when their network has a hiccup, since they have called once more."""


@mistake(Latest, "bars", only=("bypass_ordered", "policy_expires"), calls=20)
def an_order_is_told_by_its_millisecond(real: Any, latest: Latest, order: Any) -> bool:
    """An order is known again by the millisecond in which it was made (record 0049): the second one of a millisecond is
    taken for the first, and the bypass stays on against a signed order."""
    return bool(order.made_ms <= latest.made_ms)
