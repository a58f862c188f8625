"""Schedules that once showed something, by name. Each stays clean, and shows again what it showed where the mistake is
made that it names; tests/simulation/test_seeds.py plays them both ways.

The injuries are written down and the calls are drawn by a generator of their own (simulator/schedule.py), so that new
kinds of injuries change none. Where services, checkers or the drawing of calls have changed so that a mistake is not
seen any more, it is sought anew: another seed, or other injuries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.injuries import Injury
from simulator.outside import SOURCES
from simulator.region import PSAPS
from simulator.schedule import Schedule, calls_of


@dataclass(frozen=True, slots=True)
class Seed:
    """`mistake`: which of the known ones (tests/simulation/bugs) it finds. `showed`: what went wrong, before it was
    mended."""

    name: str
    seed: int
    calls: int
    injuries: tuple[Injury, ...]
    mistake: str
    showed: str

    def schedule(self) -> Schedule:
        """What is played."""
        return Schedule(self.seed, calls_of(self.seed, self.calls, self.injuries), self.injuries)


SOUGHT: Final = ""
"""No schedule is known any more that shows the mistake: it stays clean, and guards nothing until one is found."""
BROKER_AHEAD: Final = (
    *(Injury("network_offers_once", 0.0, 40.0, (source,)) for source in SOURCES),
    Injury("broker_jump", 8.0, 4.0, ("broker-1",), 3_600_000.0),
    Injury("kill", 9.0, 12.0, ("ingress-1",)),
    Injury("kill", 9.1, 14.0, ("ingress-2",)),
)
FULL_DISK: Final = (
    Injury("disk_full", 2.0, 6.0, ("failover-1",), 1_253.0),
    Injury("disk_full", 2.0, 6.0, ("failover-2",), 1_253.0),
    Injury("disk_full", 2.0, 6.0, ("failover-3",), 1_253.0),
    Injury("kafka_gone", 2.5, 5.0, ("broker-1", "broker-2", "broker-3")),
)
LOST_DIALLERS: Final = (
    Injury("cut_off", 0.0, 30.0, ("psap-gateway-1",)),
    Injury("cut_off", 0.0, 30.0, ("psap-gateway-2",)),
    *(Injury("steps", 2.0 + n, 1.0, ("far-end connected dialler resets",)) for n in range(18)),
)
CLOCKS_AHEAD: Final = (
    Injury("kafka_twice", 0.0, 60.0, ("ingress-1", "ingress-2"), 0.4),
    *(Injury("broker_jump", 2.5 + 5 * n, 2.0, (f"broker-{of}",), 3_600_000.0) for n in range(2) for of in (1, 2, 3)),
    Injury("cut_off", 19.5, 30.0, ("psap-gateway-1",)),
    Injury("cut_off", 19.5, 30.0, ("psap-gateway-2",)),
    Injury("kill", 20.0, 10.0, ("ingress-1",)),
    Injury("kill", 20.2, 12.0, ("ingress-2",)),
)
LETS_GO: Final = (
    *(Injury("psap_connects_late", 0.0, 30.0, (psap,)) for psap in PSAPS),
    *(Injury("crash", 4.0 + 2 * n, 0.1, (f"psap-gateway-{1 + n % 2}",)) for n in range(9)),
)
OTHER_OF_TWO: Final = (
    *(Injury("network_offers_twice", 0.0, 30.0, (source,)) for source in SOURCES),
    *(Injury("trunk_mute", 0.0, 40.0, (trunk,)) for trunk in ("trunk-1", "trunk-2")),
    *(Injury("steps", round(2.0 + 2.2 * n, 3), 2.0, ("far-end connected conductor kills",)) for n in range(8)),
)
OF_ONE_NAME: Final = (
    *(Injury("network_offers_twice", 0.0, 30.0, (source,)) for source in SOURCES),
    *(Injury("steps", round(2.0 + 2.2 * n, 3), 2.0, ("far-end connected conductor kills",)) for n in range(8)),
)
LEFT_ALONE: Final = (
    *(Injury("network_hangs_up_unconnected", 0.0, 30.0, (source,)) for source in SOURCES),
    *(
        Injury(
            "steps", round(2.0 + 2.2 * n, 3), 2.0, ("far-end connected gateway resets", "far-end connected psap far")
        )
        for n in range(8)
    ),
)
LATE_WORD: Final = (Injury("psap_connects_late", 2.803, 9.04, ("P2",)),)
TAKEN_BY_TWO: Final = (
    *(Injury("network_offers_twice", 3.0, 5.0, (source,)) for source in SOURCES),
    Injury("cut", 8.0, 0.9, ("ingress-1", "failover-1", "failover-2", "failover-3")),
    Injury("kafka_absent", 8.0, 0.89, ("ingress-1",)),
    Injury("disk_lost", 8.9, 15.0, ("ingress-1",)),
)
_INGRESSES: Final = ("ingress-1", "ingress-2")
KILLED_AGAIN: Final = (
    Injury("kill_all", 6.7, 3.12, _INGRESSES),
    Injury("kill_all", 11.49, 2.64, _INGRESSES),
    Injury("kill_all", 18.86, 2.46, _INGRESSES),
)
SERVED_WITHOUT_KAFKA: Final = (
    Injury("kafka_gone", 10.0, 60.0, ("broker-1", "broker-2", "broker-3")),
    Injury("kill", 45.0, 30.0, ("ingress-1",)),
    Injury("kill", 45.2, 30.0, ("ingress-2",)),
)
TRUNK_OUT_OF_REACH: Final = (
    Injury("kafka_deaf", 6.599, 7.439, ("ingress-1",)),
    Injury("psap_claims_to_have", 12.1, 7.203, ("P3",)),
    Injury("steps", 15.428, 6.768, ("far-end offered conductor unplugs", "caller ringing failovers cuts_off")),
)
_ALL_SERVICES: Final = (
    *(f"{each}-{n}" for each in ("psap-gateway", "firewall", "router") for n in (1, 2)),
    *("failover-1", "failover-2", "failover-3", "ledger-1", *_INGRESSES),
)
SLOW_KAFKA: Final = (
    Injury("kill", 5.85, 1.83, ("firewall-2",)),
    Injury("kafka_slow", 9.073, 2.729, _ALL_SERVICES, 0.478),
    Injury("kill", 15.508, 1.808, ("ingress-2",)),
    Injury("roll", 19.202, 10.5, ("failover-1", "failover-2", "failover-3")),
)
RESET_ACCEPTED: Final = tuple(
    Injury("steps", 2.0 + n, 0.9, ("caller accepted conductors resets",), 0.05) for n in range(18)
)
IN_ONE_MILLISECOND: Final = (
    Injury("bypass_ordered", 2.803, 1.831, ("firewall-1", "firewall-2")),
    Injury("policy_expires", 3.875, 3.663, ("firewall-1", "firewall-2")),
)

# Sorted by name, one a line.
# fmt: off
SEEDS: Final = (
    Seed("a broker's clock was an hour ahead", 1, 30, BROKER_AHEAD, "old_by_any_partitions_clock", "no replica took up a caller whose ingress died (T2)"),  # noqa: E501
    Seed("a caller lost again after another call of that number", 46, 30, KILLED_AGAIN, SOUGHT, "who was not reached was on no list (J2)"),  # noqa: E501
    Seed("a caller who hung up as the word of the connection was lost", 8, 60, LEFT_ALONE, "who_may_have_the_caller_is_told_nothing", "a call-taker sat with nobody (P5, R5)"),  # noqa: E501
    Seed("a connection that is reset while it rings", 1, 40, RESET_ACCEPTED, "an_offer_is_appended_later", "a leg's ring came to the log before its offer (J1, P7)"),  # noqa: E501
    Seed("a full disk that has room again", 192, 30, FULL_DISK, "a_spool_does_not_try_its_disk_again", "a spool told of its full disk for ever (J6)"),  # noqa: E501
    Seed("a leg that two took, and both had an attempt of one name", 3, 40, OF_ONE_NAME, "the_other_ones_attempt_is_taken_for_ours", "two people had one caller (P5, P8)"),  # noqa: E501
    Seed("a leg that two took, and its caller came back to the other", 1, 30, OTHER_OF_TWO, "the_other_ones_attempt_is_taken_for_ours", "two people had one caller (P5, P7, P8)"),  # noqa: E501
    Seed("a leg that two took, and one of them died with the caller", 7, 30, TAKEN_BY_TWO, "one_of_two_ends_it_for_both", "a caller who talked to a person was on the callback list (P8, T3)"),  # noqa: E501
    Seed("a replica of failover lost at a connection", 24000, 40, LOST_DIALLERS, "a_lost_connect_is_not_asked_after", "two people had one caller (P5)"),  # noqa: E501
    Seed("a talk that another gateway ended", 1, 60, LETS_GO, "a_hellos_talk_is_attested_unasked", "a caller was told of a person who had been let go of (P5, R5)"),  # noqa: E501
    Seed("a talk that its trunk could not attest", 942, 100, TRUNK_OUT_OF_REACH, SOUGHT, "a caller who talked to a person stayed on the callback list (T3)"),  # noqa: E501
    Seed("a talk that one gateway attested and the other waited for", 7, 100, LATE_WORD, SOUGHT, "a caller who had been told of a person was let go of two seconds later (P5, R5)"),  # noqa: E501
    Seed("an ingress for which Kafka is slow, and not always", 1, 100, SLOW_KAFKA, "a_later_fact_is_on_the_disk_first", "a call's facts were on the disk in another order (J5)"),  # noqa: E501
    Seed("an ingress that dies long after Kafka", 2, 40, SERVED_WITHOUT_KAFKA, "a_settlement_is_kept_by_one_replica", "a caller who had been served was rung back (J4, T3)"),  # noqa: E501
    Seed("an order made in the millisecond of another", 7, 20, IN_ONE_MILLISECOND, "an_order_is_told_by_its_millisecond", "the bypass stayed on against a signed order"),  # noqa: E501
    Seed("brokers' clocks ahead while replicas tidy up", 1, 60, CLOCKS_AHEAD, SOUGHT, "a caller who talked to a person was rung back (T3)"),  # noqa: E501
)
# fmt: on
