"""Whether a conductor lives: what streams, ticks and answers say together (protocol.md T1)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.domain.events import Conductor
from services.domain.take_overs.watch import GONE, Life, Watch

AT = "ingress:1"
OLD, NEW = Conductor(AT, "0001"), Conductor(AT, "0002")


def watched(until: float = 5.0) -> Watch:
    """OLD has ticked and spoken each half second."""
    watch = Watch()
    now = 0.0
    while now <= until:
        watch.ticked(OLD, 0, now)
        watch.heard(AT, OLD.incarnation, now)
        now += 0.5
    return watch


def test_a_stream_that_comes_back_with_the_same_incarnation_was_only_the_networks() -> None:
    """300 ms for it (T1)."""
    watch = watched()
    watch.broke(AT, 5.1)
    assert watch.life(OLD, 0, 5.35) is Life.UNSURE
    watch.heard(AT, OLD.incarnation, 5.35)
    assert watch.life(OLD, 0, 5.5) is Life.LIVES
    watch.broke(AT, 6.0)
    watch.broke(AT, 6.2)
    assert watch.life(OLD, 0, 6.31) is Life.BROKEN, "counted from the first break"


def test_another_incarnation_at_its_address_means_that_it_is_gone() -> None:
    """A restarted ingress owes nothing of what the old one owed (T1)."""
    watch = watched()
    watch.broke(AT, 5.1)
    watch.heard(AT, NEW.incarnation, 5.2)
    assert watch.life(OLD, 0, 5.2) is Life.REPLACED
    assert watch.life(NEW, 0, 5.2) is Life.LIVES


def test_a_restarted_ingress_is_not_judged_by_the_breaks_of_the_old_one() -> None:
    """Its first calls are on the log before our stream to it is open: it gets two seconds."""
    watch = watched()
    watch.broke(AT, 5.1)
    watch.known(NEW, 30.0)
    assert watch.life(NEW, 0, 31.9) is Life.UNSURE
    assert watch.life(NEW, 0, 32.0) is Life.BROKEN
    watch.heard(AT, NEW.incarnation, 32.1)
    assert watch.life(NEW, 0, 32.1) is Life.LIVES


def test_a_silence_counts_only_where_its_own_tick_was_just_before() -> None:
    """On the debt's own partition; else it may be alive and cut off from Kafka (T1)."""
    watch = watched()
    watch.ticked(OLD, 1, 3.0)
    assert watch.life(OLD, 0, 5.9) is Life.LIVES
    assert watch.life(OLD, 0, 6.1) is Life.SILENT
    assert watch.life(OLD, 1, 6.1) is Life.UNSURE


def test_who_still_ticks_lives_whatever_its_stream_does() -> None:
    """A tick that could not have been under way any more proves it, for two seconds."""
    watch = watched()
    watch.broke(AT, 5.1)
    watch.ticked(OLD, 0, 5.6)
    assert watch.life(OLD, 0, 5.7) is Life.BROKEN, "it may have been under way when the process died"
    watch.ticked(OLD, 0, 6.2)
    assert watch.life(OLD, 0, 6.3) is Life.UNSURE
    assert watch.life(OLD, 0, 8.3) is Life.BROKEN


def test_an_end_that_was_cut_off_from_us_alone_is_not_taken_for_dead_when_the_ping_fails() -> None:
    """The connection breaks seconds after the last word; its ticks came all the while (T1)."""
    watch = watched()
    for tenth in range(50, 85, 5):
        watch.ticked(OLD, 0, tenth / 10)
    watch.broke(AT, 8.2)
    assert watch.life(OLD, 0, 8.6) is Life.UNSURE


def test_one_that_was_held_up_itself_reads_first() -> None:
    """A pause of ours looks like everybody's silence (L2)."""
    watch = watched()
    watch.held_up(9.0)
    assert watch.life(OLD, 0, 9.05) is Life.LIVES
    assert watch.life(OLD, 0, 9.1) is Life.SILENT
    watch.held_up(9.2)
    assert watch.life(OLD, 0, 9.2) is Life.SILENT, "once in a silence: who is always late must judge all the same"


def test_an_incarnation_without_debts_is_forgotten_after_a_minute_and_its_address_with_it() -> None:
    """Bounded: nobody is watched for ever; one that owes is."""
    watch = watched()
    watch.forget(frozenset({OLD}), 100.0)
    assert watch.addresses() == [AT]
    watch.forget(frozenset(), 100.0)
    assert watch.addresses() == []
    assert watch.life(OLD, 0, 100.0) is Life.UNSURE


EVENTS = st.lists(
    st.tuples(st.sampled_from(["tick", "word", "break", "restart", "wait"]), st.integers(1, 30)), max_size=40
)


@given(EVENTS)
def test_who_spoke_within_the_second_is_never_thought_gone(events: list[tuple[str, int]]) -> None:
    """Whatever came before: a word is believed, and only a break or a newer incarnation takes it back (T1)."""
    watch, now, spoke, broken, newest = Watch(), 0.0, False, False, 1
    watch.known(Conductor(AT, "0001"), now)
    for event, tenths in events:
        now += tenths / 10
        conductor = Conductor(AT, f"{newest:04}")
        if event == "tick":
            watch.ticked(conductor, 0, now)
        elif event == "word":
            watch.heard(AT, conductor.incarnation, now)
        elif event == "break":
            watch.broke(AT, now)
        elif event == "restart":
            newest += 1
        spoke, broken = event == "word", event == "break"
        if spoke:
            assert watch.life(conductor, 0, now) is Life.LIVES
            assert watch.life(conductor, 0, now + 0.99) is Life.LIVES
            older = Conductor(AT, f"{newest - 1:04}")
            assert newest == 1 or watch.life(older, 0, now) in (*GONE, Life.UNSURE)
        if broken:
            assert watch.life(conductor, 0, now) is not Life.LIVES


def test_addresses_that_say_nothing_are_counted_until_they_are_forgotten() -> None:
    """For whoever is on duty, whether anything is owed there or not (T1)."""
    watch = watched()
    watch.known(Conductor("ingress:2", "0001"), 5.0)
    assert watch.silent(5.5) == 0, "the other one has never answered"
    assert watch.silent(6.0) == 1
    watch.heard(AT, OLD.incarnation, 6.1)
    assert watch.silent(6.1) == 0
    watch.broke(AT, 6.2)
    assert watch.silent(6.2) == 1
    watch.forget(frozenset(), 90.0)
    assert watch.silent(90.0) == 0
