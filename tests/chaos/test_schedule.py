"""The schedule of chaos: repeatable, complete, and never two replicas of one service at once by accident."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from chaos.schedule import (
    BESIDE_KINDS,
    BROKERS,
    EVERYBODY,
    KILL_EVERY_S,
    PEERS,
    Deck,
    Kind,
    Lengths,
    Round,
    Strike,
    possible,
    schedule,
)

TWO: Mapping[str, Sequence[str]] = {
    "firewall": ("firewall-1", "firewall-2"),
    "router": ("router-1", "router-2"),
    "psap_gateway": ("psap-gateway-1", "psap-gateway-2"),
    "failover": ("failover-1", "failover-2"),
    "ledger": ("ledger-1",),
    "ingress": ("ingress-1", "ingress-2"),
}
SERVICE = {name: service for service, names in TWO.items() for name in names}
seeds = st.integers(0, 2**32)
kinds = st.lists(st.sampled_from(list(Kind)), min_size=1, unique=True)


def drawn(seed: int, lasts_s: float, only: Sequence[Kind] = tuple(Kind)) -> list[Round]:
    return list(schedule(seed, lasts_s, TWO, only))


def service_of(strike: Strike) -> str:
    """The service that a strike hurts by itself; empty where it is a broker, or all of them."""
    return SERVICE.get(strike.victim, "")


@given(seeds, st.floats(1, 2_000), kinds)
def test_the_same_seed_gives_the_same_schedule(seed: int, lasts_s: float, only: list[Kind]) -> None:
    """A run can be repeated: rounds, victims, peers and instants, in whatever order the kinds were named."""
    assert drawn(seed, lasts_s, only) == drawn(seed, lasts_s, list(reversed(only)))


@given(seeds, st.floats(1, 2_000), kinds)
def test_rounds_follow_each_other_and_hold_their_strikes(seed: int, lasts_s: float, only: list[Kind]) -> None:
    """Each begins where the one before ended; the last begins before the time is over."""
    rounds = drawn(seed, lasts_s, only)
    assert rounds[0].begins_s == 0
    assert rounds[-1].begins_s < lasts_s <= rounds[-1].ends_s
    assert [each.begins_s for each in rounds[1:]] == [each.ends_s for each in rounds[:-1]]
    for each in rounds:
        assert all(each.begins_s < strike.at_s and strike.ends_s < each.ends_s for strike in each.strikes)
        assert each.strikes[0].kind is each.kind and each.kind in only


@given(seeds)
def test_each_kind_comes_once_before_any_comes_again(seed: int) -> None:
    """Five minutes with short pauses of brokers hold every kind, as the run of continuous integration does."""
    rounds = list(schedule(seed, 300.0, TWO, lengths=Lengths(broker_pause_s=10.0)))
    assert {each.kind for each in rounds} == set(Kind)
    assert [each.kind for each in rounds[: len(Kind)]] == list(dict.fromkeys(each.kind for each in rounds))


@given(seeds, st.floats(1, 50), st.floats(30, 2_000))
def test_whoever_is_paused_stands_still_for_half_a_minute(seed: int, chosen_s: float, lasts_s: float) -> None:
    """In runs of any length, whatever else is chosen."""
    rounds = schedule(seed, lasts_s, TWO, [Kind.PAUSE, Kind.BROKER_PAUSE], Lengths(chosen_s, chosen_s))
    lengths = {each.kind: each.strikes[0].lasts_s for each in rounds}
    assert lengths.items() <= {Kind.PAUSE: 30.0, Kind.BROKER_PAUSE: chosen_s}.items()


@given(seeds, kinds, st.integers(1, 30))
def test_two_replicas_of_a_service_are_never_hurt_at_once(seed: int, only: list[Kind], a_round: int) -> None:
    """Unless the kind hurts everybody. What is killed counts as hurt until its service's next turn."""
    for each in schedule(seed, 1_500, TWO, only, Lengths(kills=a_round)):
        held = [strike for strike in each.strikes if strike.kind is not Kind.KILL]
        killed = [strike for strike in each.strikes if strike.kind is Kind.KILL]
        for strike in held:
            for kill in killed:
                assert service_of(kill) != service_of(strike)
                assert service_of(kill) != strike.peer, "its peers are cut off as well"
        assert len(held) <= 1
        for earlier, later in itertools.pairwise(killed):
            assert later.at_s - earlier.at_s > KILL_EVERY_S - 0.01
        for first in range(len(killed)):
            at_once = killed[first : first + len(TWO)]
            assert len({service_of(kill) for kill in at_once}) == len(at_once), "its sibling is not back yet"


@given(seeds, st.integers(1, 30))
def test_a_run_of_kills_hits_services_and_replicas_evenly(seed: int, a_round: int) -> None:
    """A hundred kills of each service come together at the same time, half of them of each replica."""
    rounds = schedule(seed, 3_000, TWO, [Kind.KILL], Lengths(kills=a_round))
    kills = [strike for each in rounds for strike in each.strikes]
    services = Counter(map(service_of, kills))
    victims = Counter(strike.victim for strike in kills)
    assert max(services.values()) - min(services.values()) <= 1
    for names in TWO.values():
        assert max(victims[name] for name in names) - min(victims[name] for name in names) <= 1


@given(seeds)
def test_every_replica_has_its_turn_with_every_kind(seed: int) -> None:
    """Nobody stands still a second time before all have; brokers too."""
    for kind in (Kind.PAUSE, Kind.CUT_BOTH_WAYS, Kind.CLOCK_JUMP):
        victims = [each.strikes[0].victim for each in drawn(seed, 3_000, [kind])]
        assert set(victims[: len(SERVICE)]) == set(SERVICE)
    brokers = [each.strikes[0].victim for each in drawn(seed, 200, [Kind.BROKER_KILL])]
    assert set(brokers[:BROKERS]) == {"1", "2", "3"}


@given(seeds)
def test_a_bad_link_leads_to_somebody_whom_the_victim_speaks_with(seed: int) -> None:
    """A strike at a link that carries nothing would count as survived."""
    for each in drawn(seed, 1_000, [Kind.DELAY, Kind.LOSS, Kind.CUT_ONE_WAY]):
        strike = each.strikes[0]
        assert strike.peer in PEERS[service_of(strike)]
        assert strike.peer == EVERYBODY or strike.peer in {*TWO, "kafka"}


@given(seeds)
def test_a_kill_beside_falls_into_what_it_is_beside(seed: int) -> None:
    """Two failures at once are wanted, not one after the other."""
    beside = [each for each in drawn(seed, 3_000) if len(each.strikes) > 1 and each.kind is not Kind.KILL]
    for each in beside:
        held, kill = each.strikes
        assert each.kind in BESIDE_KINDS
        assert held.at_s < kill.at_s < held.ends_s


@given(seeds, st.lists(st.integers(), min_size=1, max_size=9, unique=True), st.integers(1, 40))
def test_a_deck_gives_every_card_before_any_again(seed: int, cards: list[int], draws: int) -> None:
    """No card is left out for long, and none is lost."""

    deck = Deck(cards, random.Random(seed))
    taken = [deck.draw() for _ in range(draws)]
    counts = Counter(taken)
    assert max(counts.values()) - min(counts[card] for card in cards) <= 1


@given(seeds)
def test_a_round_that_cannot_be_done_is_calm_and_nobody_is_killed_beside(seed: int) -> None:
    """A kill in it would stand in the figures of calm."""
    for each in drawn(seed, 1_000):
        done, left_out = possible(each, lambda kind: "no namespaces" if kind is Kind.LOSS else "")
        if each.kind is Kind.LOSS:
            assert [strike.kind for strike in done.strikes] == [done.kind] == [Kind.CALM]
            assert (done.number, done.begins_s, done.ends_s) == (each.number, each.begins_s, each.ends_s)
            assert left_out.startswith("loss ") and left_out.endswith(": no namespaces")
        else:
            assert (done, left_out) == (each, "")
