"""Schedules that once showed something, by name. Each stays clean; tests/simulation/test_seeds.py runs them all.

One whose injuries are written down is that schedule for ever, with the calls of its seed; one that is drawn by its seed
changes when the kinds of injuries do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.injuries import Injury
from simulator.schedule import Schedule, draw


@dataclass(frozen=True, slots=True)
class Seed:
    """`showed`: what went wrong before it was mended."""

    name: str
    seed: int
    calls: int
    only: tuple[str, ...]
    showed: str
    injuries: tuple[Injury, ...] = ()

    def schedule(self) -> Schedule:
        """What is played."""
        drawn = draw(self.seed, self.calls, self.only)
        return Schedule(self.seed, drawn.calls, self.injuries) if self.injuries else drawn


BROKER_AHEAD: Final = (
    Injury("broker_jump", 1.0, 3.0, ("broker-1",), 3_600_000.0),
    Injury("kill", 10.0, 12.0, ("ingress-1",)),
    Injury("kill", 10.2, 14.0, ("ingress-2",)),
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
    Injury("restart", 0.437, 6.689, ("router-1",)),
    Injury("power", 8.792, 7.73, ("psap-gateway-2",)),
    Injury("psap_answers_after_cancel", 12.617, 1.151, ("P4",)),
    Injury("kafka_absent", 13.727, 9.706, ("psap-gateway-2",)),
    Injury("psap_connects_late", 15.83, 2.551, ("P4",)),
    Injury("cut_one_way", 18.887, 11.812, ("ingress-1", "ledger-1")),
)
OTHER_OF_TWO: Final = (
    Injury(
        "steps", 10.923, 4.86, ("far-end connected conductor kills", "journal callback_attempted taker pauses"), 0.001
    ),
)
LATE_WORD: Final = (Injury("psap_connects_late", 2.803, 9.04, ("P2",)),)
TAKEN_BY_TWO: Final = (
    Injury("kafka_loses", 0.32, 3.908, ("ledger-1",), 0.409),
    Injury("kafka_gone", 0.639, 4.824, ("broker-1", "broker-2", "broker-3")),
    Injury("kafka_gone", 1.59, 8.213, ("broker-1", "broker-2", "broker-3")),
    Injury("steps", 11.2, 3.215, ("journal caller_lost conductor unplugs",), 0.001),
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
RESET_ACCEPTED: Final = (Injury("steps", 16.463, 6.38, ("caller accepted conductors resets",), 0.05),)
IN_ONE_MILLISECOND: Final = (
    Injury("bypass_ordered", 2.803, 1.831, ("firewall-1", "firewall-2")),
    Injury("policy_expires", 3.875, 3.663, ("firewall-1", "firewall-2")),
)

# Sorted by name, one a line.
# fmt: off
SEEDS: Final = (
    Seed("a broker's clock was an hour ahead", 52000, 60, (), "no replica took up a caller whose ingress died (T2)", BROKER_AHEAD),  # noqa: E501
    Seed("a caller lost again after another call of that number", 46, 30, ("kill_all@ingress",), "who was not reached was on no list (J2)", KILLED_AGAIN),  # noqa: E501
    Seed("a caller who hung up as the word of the connection was lost", 1, 60, ("network_hangs_up_unconnected", "steps=far-end connected gateway resets, far-end connected psap far"), "a call-taker sat with nobody (P5, R5)"),  # noqa: E501
    Seed("a connection that is reset while it rings", 7, 100, (), "a leg's ring came to the log before its offer (J1, P7)", RESET_ACCEPTED),  # noqa: E501
    Seed("a full disk that has room again", 192, 30, (), "a spool told of its full disk for ever (J6)", FULL_DISK),
    Seed("a leg that two took, and its caller came back to the other", 1, 30, ("trunk_mute", "steps@far-end connected conductor kills", "kill_all@psap-gateway"), "two people had one caller (P5, P7, P8)", OTHER_OF_TWO),  # noqa: E501
    Seed("a leg that two took, and one of them died with the caller", 747, 100, (), "a caller who talked to a person was on the callback list (P8, T3)", TAKEN_BY_TWO),  # noqa: E501
    Seed("a replica of failover lost at a connection", 24000, 40, (), "two people had one caller (P5)", LOST_DIALLERS),
    Seed("a talk that another gateway ended", 241, 100, (), "a caller was told of a person who had been let go of (P5, R5)", LETS_GO),  # noqa: E501
    Seed("a talk that its trunk could not attest", 942, 100, (), "a caller who talked to a person stayed on the callback list (T3)", TRUNK_OUT_OF_REACH),  # noqa: E501
    Seed("a talk that one gateway attested and the other waited for", 7, 100, ("psap_connects_late", "psap_connects_late", "psap_cut", "cut@psap-gateway"), "a caller who had been told of a person was let go of two seconds later (P5, R5)", LATE_WORD),  # noqa: E501
    Seed("an ingress for which Kafka is slow, and not always", 15, 100, ("kafka", "disk", "process"), "a call's facts were on the disk in another order (J5)", SLOW_KAFKA),  # noqa: E501
    Seed("an ingress that dies long after Kafka", 1, 40, (), "a caller who had been served was rung back (J4, T3)", SERVED_WITHOUT_KAFKA),  # noqa: E501
    Seed("an order made in the millisecond of another", 7, 20, (), "the bypass stayed on against a signed order", IN_ONE_MILLISECOND),  # noqa: E501
    Seed("brokers' clocks ahead while replicas tidy up", 1, 60, (), "a caller who talked to a person was rung back (T3)", CLOCKS_AHEAD),  # noqa: E501
)
# fmt: on
