"""Each fault that hurts somebody is heard of: a metric moves, or a process says it of itself (docs/failure-modes.md).

For each kind of injury: when it hurt (hurting.py), and what an operator must have heard then (hearing.py); or why
nobody is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from services.journal.memory import DEAF_S
from simulator.checkers import hearing, hurting, hurting_screening
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.checkers.hearing import Heard, about_targets, counted, counted_any, either, replicas_of, said, stood
from simulator.checkers.hurting import FIREWALLS, FOUND_S, GATEWAYS, INGRESSES, ONE_BROKER, Hurt, alone_lasts, lasts
from simulator.injuries import KINDS, Injury
from simulator.installation import SERVICE_OF, TRUNKS, names_of
from simulator.region import PSAPS

OFFENDS: Final = frozenset({"answers_for_another", "floods", "garbage", "says_hello_again", "shouts"})
"""What no gateway lets pass (R2)."""
FALLS: Final = frozenset({"kill", "power", "disk_lost", "pause"})
STANDS_STILL: Final = FALLS | {"cut_off", "isolated", "hears_nobody", "heard_by_nobody"}
"""Kinds in which one process answers nobody."""
NOTHING_PASSES: Final = frozenset({"cut", "cut_one_way"})
SNAPSHOTS_MISSED_S: Final = 10.5
"""Six seconds of silence, the last snapshot's two, and another gateway's two."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What must be heard of some kinds of injury."""

    kinds: Collection[str]
    hurt: Hurt
    heard: Heard
    words: str


def raised(evidence: Evidence) -> Iterator[Finding]:
    """No injury that hurt went unheard."""
    for alarm, injury in _wanted(evidence):
        if not alarm.heard(evidence, injury):
            yield Finding("alarms", "", f"{str(injury).strip()}: {alarm.words}")


def asked(evidence: Evidence) -> Iterator[str]:
    """The kind of each injury that hurt as one of the table says, so that an alarm is asked for."""
    for injury in dict.fromkeys(injury for _, injury in _wanted(evidence)):
        yield injury.kind


def _wanted(evidence: Evidence) -> Iterator[tuple[Alarm, Injury]]:
    """Each row of the table with each injury that hurt as it says."""
    for injury in evidence.seen.schedule.injuries:
        for alarm in ALARMS:
            if injury.kind in alarm.kinds and alarm.hurt(evidence, injury):
                yield alarm, injury


def _of(service: str, hurt: Hurt) -> Hurt:
    """Where it hits this service."""
    return lambda evidence, injury: SERVICE_OF.get(injury.targets[0]) == service and hurt(evidence, injury)


def _between(one: str, other: str, hurt: Hurt) -> Hurt:
    """Where it lies between these two, one of which may be `psap`."""

    def parts(injury: Injury) -> list[str]:
        return sorted("psap" if name in PSAPS else SERVICE_OF.get(name, "") for name in injury.targets)

    return lambda evidence, injury: parts(injury) == sorted((one, other)) and hurt(evidence, injury)


def _after(least_s: Mapping[str, float]) -> Hurt:
    """It stands for as long as is said of its kind, and nobody else is hurt."""
    return lambda evidence, injury: lasts(least_s.get(injury.kind, FOUND_S))(evidence, injury)


def _amount(least: float, hurt: Hurt) -> Hurt:
    return lambda evidence, injury: injury.amount >= least and hurt(evidence, injury)


def _journal_troubled(evidence: Evidence, injury: Injury) -> bool:
    """Facts went to the queue, and where all of Kafka was gone, an ingress said so of itself."""
    says = any(hearing.said_by(evidence, injury, name, "journal") for name in INGRESSES)
    return _QUEUED(evidence, injury) and (says or injury.kind != "kafka_gone")


def _always_there(injury: Injury) -> list[str]:
    return [name for name in hearing.ours(injury) if name in hearing.everybody(injury)]


def _journal(*happenings: str) -> Heard:
    labels = (f"happening={each}" for each in happenings)
    return counted(INGRESSES, "throughline_ingress_journal_events_total", *labels)


def about_trunk(said: str) -> Heard:
    """Whether failover counted a dial by the injury's own trunk of which this came."""

    def heard(evidence: Evidence, injury: Injury) -> bool:
        labels = (f"said={said},trunk={trunk}" for trunk in injury.targets)
        return counted(replicas_of("failover"), "throughline_failover_dials_total", *labels)(evidence, injury)

    return heard


_QUEUED: Final = _journal("over_budget", "unavailable", "bypassed")
_NEIGHBOUR: Final = about_targets("ingress", "throughline_ingress_neighbours_failed_total", "address")
_FEWER_WATCH: Final = stood("ingress", "throughline_ingress_watchers", below=True)
_SILENT: Final = stood("failover", "throughline_failover_ingresses_silent")
_DETACHED: Final = stood("psap_gateway", "throughline_psap_gateway_psaps_attached", below=True)
_FAILED: Final = "throughline_ingress_attempts_failed_total"

ALARMS: Final = (
    Alarm(STANDS_STILL, hurting.asked, _NEIGHBOUR, "no ingress counted that it does not answer"),
    Alarm(STANDS_STILL, hurting.rang_through, _NEIGHBOUR, "no ingress counted that its gateway broke"),
    Alarm(FALLS, _of("psap_gateway", lasts(SNAPSHOTS_MISSED_S)),
          stood("router", "throughline_router_gateways_silent"), "no router counted a silent gateway"),
    Alarm(STANDS_STILL, _of("failover", _after({"kill": 1.1})), _FEWER_WATCH, "no ingress counted one watcher less"),
    Alarm(STANDS_STILL, _of("ingress", _after({"kill": 2.0})), _SILENT, "no failover replica counted a silent ingress"),
    Alarm(FALLS, _of("ledger", alone_lasts(1.1)), hearing.page_gone, "its page answered all the while"),
    Alarm(NOTHING_PASSES | {"far", "lossy"}, hurting.asked, _NEIGHBOUR, "the ingress did not count it"),
    Alarm(NOTHING_PASSES, hurting.rang_through, _NEIGHBOUR, "the ingress did not count that its gateway broke"),
    Alarm(NOTHING_PASSES, _between("ingress", "failover", lasts(FOUND_S)), either(_FEWER_WATCH, _SILENT),
          "neither of them told"),
    Alarm(NOTHING_PASSES, _between("psap", "psap_gateway", lasts(FOUND_S)), _DETACHED, "the gateway misses nobody"),
    Alarm({"split"}, hurting.parted("ingress", "failover", lasts(FOUND_S)), either(_FEWER_WATCH, _SILENT),
          "neither site told of the other"),
    Alarm({"kafka_gone", "kafka_absent", "kafka_slow", "kafka_refuses", "kafka_loses", "kafka_acks_late", "kafka_hung",
           *ONE_BROKER},
          hurting.facts_were_hit, _journal_troubled, "no ingress has told of trouble with its journal"),
    Alarm({"kafka_gone"}, lasts(1.6), said("journal", hearing.everybody), "not everybody said so of itself"),
    Alarm({"kafka_absent", "isolated"}, alone_lasts(1.6), said("journal", _always_there),
          "it did not say so of itself"),
    Alarm({"kafka_deaf"}, alone_lasts(DEAF_S + 1.6), said("journal", _always_there), "it did not say so of itself"),
    Alarm({"kafka_late"}, _amount(1.0, hurting.tables_were_written),
          stood("ledger", "throughline_ledger_behind_seconds", by=0.5), "the ledger does not say that it is behind"),
    Alarm({"disk_slow", "disk_full", "disk_hung", "disk_fails"}, hurting.spool_was_needed,
          either(_journal("not_spooled"),
                 counted(INGRESSES, "throughline_ingress_calls_accepted_total", "durability=at_risk",
                         "durability=not_durable")), "the ingress did not say that facts are in memory alone"),
    Alarm({"database_fails"}, hurting.tables_were_written,
          counted(names_of("ledger"), "throughline_ledger_store_troubles_total"), "the ledger counted no trouble"),
    Alarm({"database_slow"}, _amount(0.5, hurting.tables_were_written),
          stood("ledger", "throughline_ledger_behind_seconds", by=0.1), "the ledger does not say that it is behind"),
    Alarm({"region_torn", "region_wrong"}, hurting.region_was_read,
          counted(SERVICE_OF, "throughline_region_not_served_total", "why=torn", "why=refused"),
          "nobody counted a version that cannot be served"),
    Alarm({"psap_cut"}, lasts(1.1), _DETACHED, "no gateway misses it"),
    Alarm({"psap_silent"}, hurting.rang_there, counted(GATEWAYS, "throughline_psap_gateway_doubts_total"),
          "no gateway doubted it while a call rang there"),
    Alarm({"psap_reject", "psap_full"}, hurting.turned_away,
          counted(INGRESSES, _FAILED, "failure=refused", "failure=full"), "no ingress counted what it turned away"),
    Alarm({f"psap_{sin}" for sin in OFFENDS}, hurting.offended,
          counted(GATEWAYS, "throughline_psap_gateway_streams_ended_total",
                  "offence=out_of_turn", "offence=anothers_id", "offence=flood", "offence=unreadable"),
          "no gateway has ended its stream"),
    Alarm({"policy_everybody"}, hurting_screening.overdrew,
          counted_any(FIREWALLS, "throughline_firewall_breaker_trips_total"), "no firewall counted a breaker"),
    Alarm({"policy_unfit"}, alone_lasts(1.6), counted(FIREWALLS, "throughline_policy_reverts_total"),
          "no firewall has taken it back"),
    Alarm({"policy_burns"}, hurting_screening.call_was_screened, counted(FIREWALLS, "throughline_policy_reverts_total"),
          "no firewall has taken it back"),
    Alarm({"policy_forged", "policy_expired", "policy_unreadable"}, alone_lasts(1.6),
          counted_any(FIREWALLS, "throughline_policy_not_taken_total"), "no firewall counted that it takes it not"),
    Alarm({"bypass_ordered", "bypass_file"}, alone_lasts(2.7), said("bypass: on", lambda injury: injury.targets),
          "not every firewall says that everybody passes"),
    Alarm({"evaluators_gone", "evaluators_hang", "evaluators_slow", "evaluator_hangs"},
          hurting_screening.rules_were_needed,
          counted_any(FIREWALLS, "throughline_firewall_failed_open_total"), "no firewall counted a call unscreened"),
    Alarm({"evaluator_killed"}, alone_lasts(1.6), counted(FIREWALLS, "throughline_firewall_evaluators_started_total"),
          "no firewall counted that it started another"),
    Alarm({"trunk_gone", "trunk_hung"}, hurting.dialled_another, about_trunk("broken"),
          "no failover replica counted a trunk that breaks"),
    Alarm({"trunk_full"}, hurting.turned_away,
          counted(replicas_of("failover"), "throughline_failover_dials_total",
                  *(f"said=full,trunk={trunk}" for trunk in TRUNKS)), "no failover replica counted a full trunk"),
)  # fmt: skip

_ORDERLY: Final = "it ends in order: it says so to whoever asks, and its calls are offered elsewhere (L4)"
_SHORT: Final = "it is over before anybody's patience is; whom it hit counts one neighbour's failure, or none"
_NO_CLOCK: Final = "nobody decides by a wall clock; `throughline doctor` compares them"
_OWN: Final = "its own calls alone suffer; what it says beside them is heard by nobody (R2)"
UNHEARD: Final[Mapping[str, str]] = {
    "crash": _SHORT,
    "held_up": _SHORT,
    "reset": _SHORT,
    "half_open": _SHORT,
    "leader_moved": _SHORT,
    "kill_all": "only drawn by name; each of them is told as where one is killed, by whoever is left",
    "restart": _ORDERLY,
    "roll": _ORDERLY,
    "scale": _ORDERLY,
    "joins": _ORDERLY,
    "kafka_unacked": "who waits for the word waits for the budget, as where Kafka is slow; said twice is said once",
    "kafka_twice": "what is said twice is one fact (J1); the ledger counts copies",
    "compacted": "Kafka does so all the time",
    "aged": "Kafka does so all the time",
    "clock_skew": _NO_CLOCK,
    "clock_jump": _NO_CLOCK,
    "broker_skew": _NO_CLOCK,
    "broker_jump": _NO_CLOCK,
    "region_changed": "it is a change, and no fault: `throughline_region_version` says which is served",
    "psap_late": "half a second after its connection it says so; `throughline_ingress_to_answer_seconds` has it",
    **{f"psap_{sin}": _OWN for sin in
       ("answers_twice", "answers_after_cancel", "connects_late", "rejects_for_another", "ends_for_another",
        "claims_to_have", "connects_unasked")},
    **{name: "each network's own; the same is drawn for single calls" for name in KINDS
       if name.startswith("network_")},
    "policy_repeats": "it is a policy as any, and `throughline_firewall_verdicts_total` has what it says",
    "policy_shadow": "nobody is answered by it; `throughline_firewall_shadowed_total` counts what it was asked",
    "policy_canary": "it passes everybody; `throughline policy status` tells how far a canary is",
    "policy_deserted": "only who would be diverted there feels it, and passes: `throughline_firewall_kept_total`",
    "policy_expires": "what is live stays so; each firewall says so of itself until another policy is",
    "policy_late": "no call waits for what a firewall reads",
    "trunk_late": "as psap_late",
    "trunk_mute": "only drawn by name; whoever asks it counts that nobody could say, as of any who does not answer",
    "steps": "what it did stands beside it, by its own kinds",
}  # fmt: skip
"""Kinds of which nothing more need be heard, and why."""
