"""Each fault that hurts somebody is heard of: a metric moves, or a process says it of itself (docs/failure-modes.md).

For each kind of injury: whether it hurt in this run (somebody needed what was hurt, long enough for the protocol's own
budgets to notice), and what must have been heard then. Where other injuries may have hidden it from those who would
tell, nothing is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from loadtest.call_told import Entry
from services.journal import Topic
from services.journal.memory import MemoryBroker
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.injuries import FAMILIES, Injury
from simulator.installation import SPARE, names_of
from simulator.run import COUNTED_ON, PARTITIONS, Counts

SURE: Final = 20.0
"""So many facts must be expected to be hit by what hits a share of them: none is, once in 500 million times."""
FACTS_OF_A_LEG: Final = 4
"""At least, of one that rang."""
LATE_SURE_S: Final = 0.5
"""An append that takes up to so long is over its budget nine times in ten."""
DOUBTED_MS: Final = 800 + 300 + 100
"""A silent PSAP's own beat, its 0.8 s, and the ways (R2)."""
OFFENDS: Final = frozenset({"answers_for_another", "floods", "garbage", "says_hello_again", "shouts"})
"""What no gateway lets pass (R2)."""
TELLS_WITHIN_S: Final = 1.0
"""From an injury's end: what it brought about is counted by then."""
UNWELL: Final = frozenset({"down", "paused", "starting"})
KAFKA: Final = frozenset(kind.name for kind in FAMILIES["kafka"])
INGRESSES: Final = (*names_of("ingress"), SPARE["ingress"])
GATEWAYS: Final = (*names_of("psap_gateway"), SPARE["psap_gateway"])


@dataclass(frozen=True, slots=True)
class Alarm:
    """What must be heard of some kinds of injury."""

    kinds: frozenset[str]
    hurt: Callable[[Evidence, Injury], bool]
    heard: Callable[[Evidence, Injury], bool]
    words: str


def raised(evidence: Evidence) -> Iterator[Finding]:
    """No injury that hurt went unheard."""
    for injury in evidence.seen.schedule.injuries:
        for alarm in ALARMS:
            if injury.kind in alarm.kinds and alarm.hurt(evidence, injury) and not alarm.heard(evidence, injury):
                yield Finding("alarms", "", f"{str(injury).strip()}: {alarm.words}")


# What was hurt.


def _long(evidence: Evidence, injury: Injury) -> bool:
    """Whoever asks twice a second has met it."""
    return injury.lasts_s >= 1.1


def _facts_were_hit(evidence: Evidence, injury: Injury) -> bool:
    """Calls came to ingresses that wanted to write, and nothing else was wrong with those or with Kafka."""
    from_ms, to_ms = evidence.weather.window_ms(injury)
    if _beside(evidence, injury, INGRESSES, KAFKA):
        return False
    share = _share(injury)
    ours = [name for name in INGRESSES if name in injury.targets or injury.kind in ("kafka_gone", *ONE_BROKER)]
    legs = sum(
        1
        for call in evidence.calls.values()
        for entry in call.caller
        if entry["event"] == "ringing"
        and from_ms <= entry["at_ms"] <= to_ms - 200
        and (injury.kind not in ONE_BROKER or _leads(injury.targets[0], call.call_id))
    )
    return len(ours) == len(INGRESSES) and legs * FACTS_OF_A_LEG * share >= SURE


ONE_BROKER: Final = frozenset({"broker_gone", "broker_hung"})
_BROKER: Final = MemoryBroker(lambda: 0, PARTITIONS)


def _leads(broker: str, call_id: str) -> bool:
    return _BROKER.leader(Topic.CALLS, _BROKER.partition_of(Topic.CALLS, call_id)) == broker


def _share(injury: Injury) -> float:
    """Of the appends, that are hit."""
    if injury.kind == "kafka_slow":
        return 0.9 if injury.amount >= LATE_SURE_S else 0.0
    return injury.amount or 1.0


def _beside(evidence: Evidence, injury: Injury, hosts: Iterable[str], kinds: frozenset[str] = frozenset()) -> bool:
    """Whether another injury was there at the same time, to one of these hosts or of one of these kinds."""
    from_ms, to_ms = evidence.weather.window_ms(injury)
    hosts = set(hosts)
    return any(
        other is not injury and (other.kind in kinds or hosts.intersection(other.targets))
        for other in evidence.weather.during(from_ms - 2_000, to_ms)
    )


def _rang_there(evidence: Evidence, injury: Injury) -> bool:
    """A call rang at the PSAP when it fell silent, and its caller waited on until somebody must have doubted."""
    psap_id = injury.targets[0]
    from_ms, to_ms = evidence.weather.window_ms(injury)
    if to_ms - from_ms < DOUBTED_MS or _beside(evidence, injury, (psap_id, *INGRESSES, *GATEWAYS)):
        return False
    return any(_rings_through(call.far_end, psap_id, from_ms) and _stays(call.caller, from_ms + DOUBTED_MS)
               for call in evidence.calls.values())  # fmt: skip


def _rings_through(far_end: Iterable[Entry], psap_id: str, at_ms: int) -> bool:
    stands = ""
    for entry in far_end:
        if entry.get("psap_id") == psap_id and not entry.get("line") and entry["at_ms"] < at_ms - 50:
            stands = entry["event"]
    return stands == "ringing"


def _stays(caller: Iterable[Entry], until_ms: int) -> bool:
    ends = ("connected", "hung_up", "gave_up", "refused", "leg_broken", "confirmed", "misbehaved")
    return all(each["at_ms"] > until_ms for each in caller if each["event"] in ends)


def _offended(evidence: Evidence, injury: Injury) -> bool:
    """It did so while a gateway heard it, with nothing between the two."""
    psap_id = injury.targets[0]
    sins = (each for call in evidence.calls.values() for each in call.far_end if each["event"] == "misbehaved")
    sinned = any(each["psap_id"] == psap_id and f"psap_{each['mischief']}" == injury.kind for each in sins)
    return sinned and not _beside(evidence, injury, (psap_id, *GATEWAYS))


# What was heard.


def _counted(names: Iterable[str], metric: str, *labels: str) -> Callable[[Evidence, Injury], bool]:
    """Whether one of these replicas counted more of this metric, under one of these labels, while the injury stood."""
    assert metric in COUNTED_ON, f"the course of {metric} is not kept; add it to COUNTED_ON"
    wanted = [f"{metric}{{{label}}}" for label in labels] or [metric]

    def heard(evidence: Evidence, injury: Injury) -> bool:
        before, after = _around(evidence, injury)
        return any(
            after.get(name, {}).get(each, 0.0) > before.get(name, {}).get(each, 0.0)
            for name in names
            for each in wanted
        )

    return heard


def _around(evidence: Evidence, injury: Injury) -> tuple[Counts, Counts]:
    """What had been counted when it struck, and at the first look after it was over."""
    looks, over_s = evidence.seen.looks, injury.at_s + injury.lasts_s + TELLS_WITHIN_S
    before = next((counts for at_s, counts in looks if at_s >= injury.at_s), {})
    return before, next((counts for at_s, counts in looks if at_s >= over_s), evidence.seen.counts)


def _said_unwell(evidence: Evidence, injury: Injury) -> bool:
    return all(UNWELL & set(evidence.seen.alarms.get(name, ())) for name in injury.targets)


def _journal_troubled(evidence: Evidence, injury: Injury) -> bool:
    """Facts went to the queue, and where it lasted, an ingress said so of itself."""
    said = any(text.startswith("journal") for name in INGRESSES for text in evidence.seen.alarms.get(name, ()))
    return _QUEUED(evidence, injury) and (said or injury.kind != "kafka_gone")


_QUEUED: Final = _counted(
    INGRESSES, "throughline_ingress_journal_events_total",
    "happening=over_budget", "happening=unavailable", "happening=bypassed",
)  # fmt: skip
ALARMS: Final = (
    Alarm(frozenset({"kill", "power", "disk_lost", "pause"}), _long, _said_unwell, "no prober met it unwell"),
    Alarm(
        frozenset({"kafka_gone", "kafka_absent", "kafka_slow", "kafka_refuses", "kafka_loses", *ONE_BROKER}),
        _facts_were_hit,
        _journal_troubled,
        "no ingress has told of trouble with its journal",
    ),
    Alarm(
        frozenset({"psap_silent"}),
        _rang_there,
        _counted(GATEWAYS, "throughline_psap_gateway_doubts_total"),
        "no gateway doubted it while a call rang there",
    ),
    Alarm(
        frozenset(f"psap_{sin}" for sin in OFFENDS),
        _offended,
        _counted(GATEWAYS, "throughline_psap_gateway_streams_ended_total",
                 "offence=out_of_turn", "offence=anothers_id", "offence=flood", "offence=unreadable"),
        "no gateway has ended its stream",
    ),
)  # fmt: skip
