"""Whether an injury hurt in a run: somebody needed what was hurt, long enough for the protocol's own budgets to notice.

Where other injuries may have hidden it from those who would tell, nothing is asked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import permutations
from typing import Final

from loadtest.call_told import CallTold, Entry
from services.journal import Topic
from services.journal.memory import MemoryBroker
from services.journal.memory_broker import BROKERS
from simulator.checkers.agreed import APPEND_MS
from simulator.checkers.evidence import Evidence
from simulator.checkers.hearing import ours, replicas_of
from simulator.injuries import FAMILIES, Injury
from simulator.injuries.cables import SEA
from simulator.installation import SERVICE_OF, TRUNKS, names_of
from simulator.region import PSAPS
from simulator.run import PARTITIONS

Hurt = Callable[[Evidence, Injury], bool]
SELDOM: Final = 1e-6
SURE: Final = 20.0
"""So many facts must be expected to be hit by what hits a share of them: none is, once in 500 million times."""
READ_WITHIN_S: Final = 3.0
FACTS_OF_A_LEG: Final = 4
"""At least, of one that rang."""
LATE_SURE_S: Final = 0.5
"""An append that takes up to so long is over its budget nine times in ten."""
FAR_SURE_S: Final = 0.25
"""A question to who is so far is not answered within its share of 150 ms: half of this each way, at least."""
DOUBTED_MS: Final = 800 + 300 + 100
"""A silent PSAP's own beat, its 0.8 s, and the ways (R2)."""
ASKED: Final = 6
"""So many questions of one ingress, asked in turn, reach each replica of a service, one more than usual included."""
FOUND_S: Final = 6.0
"""Within this a connection to nobody is found dead by its pings, and a stream that is silent given up."""
BYTES_MIN: Final = 100
"""Of a fact in the spool."""
REGION: Final = frozenset(kind.name for kind in FAMILIES["region"])
KAFKA: Final = frozenset(kind.name for kind in FAMILIES["kafka"])
ONE_BROKER: Final = frozenset({"broker_gone", "broker_hung", "broker_falls"})
WITHOUT_KAFKA: Final = frozenset({"kafka_gone", "kafka_absent"})
ASKED_AS: Final = {"firewall": "screened", "router": "routed"}
INGRESSES: Final = replicas_of("ingress")
FIREWALLS: Final = replicas_of("firewall")
GATEWAYS: Final = replicas_of("psap_gateway")
ANYBODY: Final = (*SERVICE_OF, *PSAPS)
TURNED_AWAY: Final = frozenset({"full", "refused"})
_BROKER: Final = MemoryBroker(lambda: 0, PARTITIONS)


def lasts(least_s: float) -> Hurt:
    """It stands long enough, and nobody else is hurt at that time, or just before, who would tell or be told of."""

    def hurt(evidence: Evidence, injury: Injury) -> bool:
        return injury.lasts_s >= least_s and not beside(evidence, injury, ANYBODY, KAFKA, before_ms=10_000)

    return hurt


def alone_lasts(least_s: float) -> Hurt:
    """It stands long enough, and nothing else hurts its own targets."""
    return lambda evidence, injury: injury.lasts_s >= least_s and not beside(evidence, injury, injury.targets)


def beside(
    evidence: Evidence,
    injury: Injury,
    hosts: Iterable[str],
    kinds: frozenset[str] = frozenset(),
    before_ms: int = 2_000,
) -> bool:
    """Whether another injury was there at the same time, to one of these hosts or of one of these kinds."""
    from_ms, to_ms = evidence.weather.window_ms(injury)
    hosts = set(hosts)
    return any(
        other is not injury
        and not _is_it(injury, other, evidence)
        and (other.kind in kinds or hosts.intersection(other.targets))
        for other in evidence.weather.during(from_ms - before_ms, to_ms)
    )


def _is_it(injury: Injury, other: Injury, evidence: Evidence) -> bool:
    """Whether the other is what an isolation is told as where it is over."""
    same = other.targets == injury.targets and other.kind in ("cut_off", "kafka_absent")
    return injury.kind == "isolated" and same and other in evidence.seen.struck


def service_of(injury: Injury, *services: str) -> str:
    """Which of these services a target belongs to; empty where none does."""
    return next((SERVICE_OF[name] for name in ours(injury) if SERVICE_OF[name] in services), "")


def parted(one: str, other: str, hurt: Hurt) -> Hurt:
    """Where a replica of the one service and one of the other are at different sites."""

    def apart(evidence: Evidence, injury: Injury) -> bool:
        at = injury.targets.index(SEA)
        sites = [{SERVICE_OF.get(name) for name in site} for site in (injury.targets[:at], injury.targets[at:])]
        return any(one in here and other in there for here, there in permutations(sites)) and hurt(evidence, injury)

    return apart


# Who was asked.


def asked(evidence: Evidence, injury: Injury) -> bool:
    """An ingress that was well had so many questions meanwhile that this firewall or router was asked one."""
    service = service_of(injury, *ASKED_AS)
    if not service or beside(evidence, injury, replicas_of(service)):
        return False
    if injury.kind == "far" and injury.amount < FAR_SURE_S:
        return False
    from_ms, to_ms = evidence.weather.window_ms(injury)
    share = injury.amount if injury.kind == "lossy" else 1.0
    by: Counter[str] = Counter(
        fact["writer"].partition("/")[0]
        for call in evidence.calls.values()
        for fact in call.facts
        if fact["kind"] == ASKED_AS[service] and from_ms + 200 <= fact["at_ms"] <= to_ms - 200 and was_asked(fact)
    )
    askers = [name for name in INGRESSES if len(injury.targets) == 1 or name in injury.targets]
    # A caller's calls go to the same firewall first, one of two; routers are asked in turn.
    least = _times(share / 2) if service == "firewall" else ASKED * _times(share)
    return any(by[name] >= least and not beside(evidence, injury, (name,)) for name in askers)


def _times(share: float) -> int:
    """How often what hits this share must be tried until it has hit: never more, once in a million times."""
    return 1 if share >= 1.0 else math.ceil(math.log(SELDOM) / math.log(1.0 - share))


def was_asked(fact: Entry) -> bool:
    return not fact["reason"].startswith("overflow")


def rang_through(evidence: Evidence, injury: Injury) -> bool:
    """A call rang through this gateway when it was hurt, and its caller and its ingress stayed until that must have
    been found."""
    gateway = next((name for name in ours(injury) if SERVICE_OF[name] == "psap_gateway"), "")
    from_ms, to_ms = evidence.weather.window_ms(injury)
    found_ms = 1_000 if injury.kind == "kill" else round(FOUND_S * 1000)
    if not gateway or to_ms - from_ms < found_ms or beside(evidence, injury, (*GATEWAYS, *PSAPS)):
        return False
    return any(
        _rings_by(call, f"{gateway}:1", from_ms) in (injury.targets if len(injury.targets) > 1 else INGRESSES)
        and stays(call.caller, from_ms + found_ms)
        and not beside(evidence, injury, (_rings_by(call, f"{gateway}:1", from_ms),))
        for call in evidence.calls.values()
    )


def _rings_by(call: CallTold, gateway: str, at_ms: int) -> str:
    """The ingress whose ring stands there at that moment."""
    stands = ""
    for entry in call.far_end:
        if entry["at_ms"] < at_ms - 50 and not entry.get("line"):
            rings = entry["event"] == "ringing" and entry.get("gateway") == gateway
            stands = entry["attempt"] if rings else ""
    if not stands:
        return ""
    writers = {fact["writer"].partition("/")[0] for fact in call.facts if fact["attempt"] == stands}
    return next(iter(writers & set(INGRESSES)), "") if len(writers) == 1 else ""


def stays(caller: Iterable[Entry], until_ms: int) -> bool:
    """Whether the caller waits on, on the same leg, until then."""
    ends = ("connected", "hung_up", "gave_up", "refused", "leg_broken", "confirmed", "misbehaved")
    return all(each["at_ms"] > until_ms for each in caller if each["event"] in ends)


# Kafka and disks.


def facts_were_hit(evidence: Evidence, injury: Injury) -> bool:
    """Calls came to ingresses that wanted to write, and nothing else was wrong with those or with Kafka."""
    from_ms, to_ms = evidence.weather.window_ms(injury)
    if beside(evidence, injury, INGRESSES, KAFKA):
        return False
    if injury.kind == "broker_falls":
        to_ms = from_ms + round(injury.lasts_s * injury.amount * 1000)  # then others lead
    brokers = set(BROKERS).intersection(injury.targets)
    everybodys = injury.kind in ("kafka_gone", *ONE_BROKER) or set(names_of("ingress")) <= set(injury.targets)
    legs = sum(
        1
        for call in evidence.calls.values()
        for entry in call.caller
        if entry["event"] == "ringing"
        and from_ms <= entry["at_ms"] <= to_ms - 200
        and (not brokers or _leads(brokers, call.call_id))
    )
    return everybodys and legs * FACTS_OF_A_LEG * _share(injury) >= SURE


def _leads(brokers: Collection[str], call_id: str) -> bool:
    return _BROKER.leader(Topic.CALLS, _BROKER.partition_of(Topic.CALLS, call_id)) in brokers


def _share(injury: Injury) -> float:
    """Of the appends, that are hit."""
    if injury.kind == "kafka_slow":
        return 0.9 if injury.amount >= LATE_SURE_S else 0.0
    if injury.kind == "kafka_acks_late":
        return 1.0 if injury.amount * 1000 >= 2 * APPEND_MS else 0.0
    return 1.0 if injury.kind in ONE_BROKER else injury.amount or 1.0


def spool_was_needed(evidence: Evidence, injury: Injury) -> bool:
    """While this ingress's disk was ill its Kafka was gone, and so many facts were said there that one was hit."""
    name = injury.targets[0]
    if SERVICE_OF[name] != "ingress" or (injury.kind == "disk_slow" and injury.amount < LATE_SURE_S):
        return False
    from_ms, to_ms = evidence.weather.window_ms(injury)
    others = [each for each in evidence.weather.during(from_ms - 2_000, to_ms) if each is not injury]
    if any(name in each.targets and each.kind not in WITHOUT_KAFKA for each in others):
        return False
    share = injury.amount if injury.kind == "disk_fails" else 1.0
    for kafka in (each for each in others if each.kind in WITHOUT_KAFKA):
        gone_ms, back_ms = evidence.weather.window_ms(kafka)
        hit = (name in kafka.targets or kafka.kind == "kafka_gone") and _facts_of(
            evidence, name, max(from_ms, gone_ms) + 500, min(to_ms, back_ms) - 500
        )
        if hit and hit * share >= SURE + (injury.amount / BYTES_MIN if injury.kind == "disk_full" else 0.0):
            return True
    return False


def _facts_of(evidence: Evidence, name: str, from_ms: int, to_ms: int) -> int:
    """How many facts this process said then."""
    return sum(
        fact["writer"].startswith(f"{name}/") and from_ms <= fact["at_ms"] <= to_ms
        for call in evidence.calls.values()
        for fact in call.facts
    )


def region_was_read(evidence: Evidence, injury: Injury) -> bool:
    """It was published while nothing else was wrong with Kafka or with regions, and stood until it was read."""
    return injury.lasts_s >= READ_WITHIN_S and not beside(evidence, injury, SERVICE_OF, KAFKA | REGION)


def tables_were_written(evidence: Evidence, injury: Injury) -> bool:
    """Calls came all the while, a batch at least in each second of theirs, and nothing else was wrong with the ledger
    or with Kafka."""
    ledgers = names_of("ledger")
    if not set(ledgers) & set(injury.targets) or beside(evidence, injury, ledgers, KAFKA):
        return False
    from_ms, to_ms = evidence.weather.window_ms(injury)
    seconds = {
        entry["at_ms"] // 1000
        for call in evidence.calls.values()
        for entry in call.caller
        if entry["event"] == "accepted" and from_ms <= entry["at_ms"] <= to_ms - 1_000
    }
    share = injury.amount if injury.kind == "database_fails" else 1.0
    return len(seconds) >= max(3, _times(share))


# The far end.


def rang_there(evidence: Evidence, injury: Injury) -> bool:
    """A call rang at the PSAP when it fell silent, and its caller waited on until somebody must have doubted."""
    psap_id = injury.targets[0]
    from_ms, to_ms = evidence.weather.window_ms(injury)
    if to_ms - from_ms < DOUBTED_MS or beside(evidence, injury, (psap_id, *INGRESSES, *GATEWAYS)):
        return False
    return any(
        _rings_at(call.far_end, psap_id, from_ms) and stays(call.caller, from_ms + DOUBTED_MS)
        for call in evidence.calls.values()
    )


def _rings_at(far_end: Iterable[Entry], psap_id: str, at_ms: int) -> bool:
    stands = ""
    for entry in far_end:
        if entry.get("psap_id") == psap_id and not entry.get("line") and entry["at_ms"] < at_ms - 50:
            stands = entry["event"]
    return stands == "ringing"


def offended(evidence: Evidence, injury: Injury) -> bool:
    """It did so while a gateway heard it, with nothing between the two."""
    psap_id = injury.targets[0]
    from_ms, to_ms = evidence.weather.window_ms(injury)
    sins = (each for call in evidence.calls.values() for each in call.far_end if each["event"] == "misbehaved")
    sinned = any(
        each["psap_id"] == psap_id and f"psap_{each['mischief']}" == injury.kind and from_ms <= each["at_ms"] <= to_ms
        for each in sins
    )
    return sinned and not beside(evidence, injury, (psap_id, *GATEWAYS))


def turned_away(evidence: Evidence, injury: Injury) -> bool:
    """A call was offered there, and turned away, and nothing was wrong with who brought it."""
    hosts = (injury.targets[0], *INGRESSES, *GATEWAYS, *replicas_of("failover"))
    return any(_turned_away(evidence, injury)) and not beside(evidence, injury, hosts)


def _turned_away(evidence: Evidence, injury: Injury) -> Iterator[bool]:
    from_ms, to_ms = evidence.weather.window_ms(injury)
    for call in evidence.calls.values():
        for entry in call.far_end:
            there = entry.get("trunk") == injury.targets[0] or (
                entry.get("psap_id") == injury.targets[0] and not entry.get("line")
            )
            yield there and entry.get("rejection") in TURNED_AWAY and from_ms <= entry["at_ms"] <= to_ms


def dialled_another(evidence: Evidence, injury: Injury) -> bool:
    """So many lines were dialled by the other trunks that this one was tried as well; nothing else hurt them, or who
    dials."""
    from_ms, to_ms = evidence.weather.window_ms(injury)
    dialled = sum(
        entry["event"] == "offered" and "trunk" in entry and from_ms + 500 <= entry["at_ms"] <= to_ms - 2_000
        for call in evidence.calls.values()
        for entry in call.far_end
    )
    hosts = (*TRUNKS, *(trunk.partition(":")[0] for trunk in TRUNKS), *replicas_of("failover"))
    return dialled >= SURE and not beside(evidence, injury, hosts, before_ms=10_000)
