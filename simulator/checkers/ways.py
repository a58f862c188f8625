"""How a call is carried where nothing was done to those who carry it: hang-ups, the ladder, lines kept for others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from loadtest.call_told import CallTold, Connection, Entry
from services.domain.calls.overflow import OVERFLOW
from services.domain.hunting.lines import RESERVE_FOR
from simulator.checkers.agreed import HEARTBEAT_MS, SILENT_AFTER_MS
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.checkers.weather import CABLES, CLOCKS, KAFKA, PROCESSES
from simulator.injuries import FAMILIES, Injury
from simulator.installation import COUNTS, SPARE, TRUNKS, names_of
from simulator.region import LINES, PSAPS

SETTLED_MS: Final = 9_000
"""A row of a PSAP is stale after 6 s (R8), and a PSAP attaches again within two seconds; an open breaker tries again
after one: by then all is as it was."""
BUSY: Final = frozenset({"full", "refused"})
"""What a PSAP says that is there, and cannot."""
SILENT: Final = "psap_silent"
SILENT_MS: Final = SILENT_AFTER_MS - HEARTBEAT_MS
"""The last word of a PSAP, from which its silence counts, may be as old as a heartbeat when it falls silent."""
ENDS_A_RING: Final = ("rejected", "cancelled", "connected")
NEVER_MS: Final = 1 << 62
RINGS_MAX: Final = 2
"""R6: of one leg."""
RELEASED_WITHIN_MS: Final = 500
"""From a third ring's begin, where nobody is hurt."""
LAST_LINES: Final = frozenset(line.number for line in LINES if line.owner == "region")
"""The last rung's, for which nothing is given up."""
HOLDS_UP: Final = CABLES | PROCESSES | frozenset(kind.name for kind in FAMILIES["far_end"])
TWO_HAVE_IT: Final = frozenset({"offers_twice"})
GATEWAY_LOST: Final = "gateway_lost_"
_GATEWAYS: Final = (*names_of("psap_gateway"), SPARE["psap_gateway"])


def hung_up(evidence: Evidence) -> Iterator[Finding]:
    """An end without a hang-up is a broken stream (P6): `Abandoned` is said of a caller who hung up on that leg."""
    for call in evidence.calls.values():
        legs = {entry["leg"] for entry in call.caller if entry["event"] == "hung_up"}
        for fact in call.facts:
            if fact["kind"] == "abandoned" and fact["leg"] not in legs:
                yield Finding(
                    "hang_ups", call.call_id, f"leg {fact['leg']} is abandoned, and the caller did not hang up"
                )


def answered(evidence: Evidence) -> Iterator[Finding]:
    """What the caller's side is asked to confirm was answered where it rang: nobody speaks for another (R2)."""
    for call in evidence.calls.values():
        true = {entry["attempt"] for entry in call.far_end if entry["event"] in ("answered", "misbehaved")}
        for entry in call.caller:
            if entry["event"] == "confirmed" and entry["attempt"] not in true:
                words = f"{entry['attempt']} was proposed to the caller, and nobody had answered it"
                yield Finding("answers", call.call_id, words)


def believed(evidence: Evidence) -> Iterator[Finding]:
    """Who is offered a call and says that the caller is connected there already is believed, a PSAP (R3) as much as a
    line (P5): that leg rings nobody after it, unless somebody on the way was hurt."""
    for call in evidence.calls.values():
        confirmed = {entry["attempt"] for entry in call.caller if entry["event"] == "confirmed"}
        told: dict[str, Entry] = {}
        offered_ms: dict[str, int] = {}
        for entry in call.far_end if confirmed else ():
            leg = entry["attempt"].rpartition("/")[0]
            has = str(entry.get("held" if entry["event"] == "have" else "reason", ""))
            if entry["event"] in ("have", "rejected") and has in confirmed and has.rpartition("/")[0] != leg:
                told.setdefault(leg, {**entry, "has": has})
            elif entry["event"] == "offered" and leg in told and entry["attempt"] != told[leg]["attempt"]:
                said, at_ms = told.pop(leg), entry["at_ms"]
                since_ms = offered_ms.get(said["attempt"]) or said["at_ms"]  # on the way of that offer it was said
                conductor = _conductor(call, said)  # which may have lost its caller, and not know it yet
                hurt = evidence.weather.held_up((conductor,), said["at_ms"], at_ms)
                if not hurt and not evidence.weather.held_up(_between(call, said), since_ms, at_ms, 0):
                    where = Connection.of(said)
                    words = f"{where} has the caller as {said['has']} and said so, and {Connection.of(entry)} is rung"
                    yield Finding("believed", call.call_id, words)
            if entry["event"] == "offered":
                offered_ms[entry["attempt"]] = entry["at_ms"]


def _conductor(call: CallTold, said: Entry) -> str:
    """Of the leg in which that was said."""
    legs = {f"{call.call_id}/{e['leg']}": e["ingress"] for e in call.caller if e["event"] == "offered"}
    return str(legs.get(said["attempt"].rpartition("/")[0], "")).partition(":")[0]


def _between(call: CallTold, said: Entry) -> set[str]:
    """Who said that, and all by whom the conductor of that leg may have heard of it."""
    by_line = bool(said.get("line"))
    end, by = (said.get("trunk", ""), names_of("failover")) if by_line else (said["psap_id"], _GATEWAYS)
    return {_conductor(call, said), end.partition(":")[0], *by}


def rings_on(evidence: Evidence) -> Iterator[Finding]:
    """A PSAP that falls silent is doubted soon, and what rings there rings on; it fails with the silence alone (R2)."""
    for injury in evidence.seen.injuries:
        if injury.kind == SILENT:
            yield from _failed_early(evidence, injury)


def _failed_early(evidence: Evidence, silence: Injury) -> Iterator[Finding]:
    """Rings that failed before the silence was long enough, though nobody answered or ended them and nothing else was
    hurt. An answer that its caller never confirms fails in its own time."""
    psap_id, (strikes_ms, heals_ms) = silence.targets[0], evidence.weather.window_ms(silence)
    until_ms = min(heals_ms, strikes_ms + SILENT_MS)
    for call in evidence.calls.values():
        for fact in call.kept("delivery_failed"):
            attempt, at_ms = fact["attempt"], fact["at_ms"]
            if fact["psap_id"] != psap_id or not strikes_ms < at_ms < until_ms:
                continue
            rang = any(entry["attempt"] == attempt for entry in call.seen("ringing"))
            ends = [entry for entry in call.seen(*ENDS_A_RING, "answered") if entry["at_ms"] <= at_ms]
            ended = any(entry["attempt"] == attempt for entry in ends)
            others = any(injury.kind != SILENT for injury in evidence.weather.during(strikes_ms, at_ms))
            if rang and not ended and not others:
                words = f"{attempt} rang at {psap_id}, and failed {at_ms - strikes_ms} ms after that fell silent"
                yield Finding("rings", call.call_id, words)


def two_rings(evidence: Evidence) -> Iterator[Finding]:
    """A leg rings at two places at most: once a third rings the oldest is released, unless the third is the last rung
    (R6). Where a way, a process or an end was hurt since the oldest began, one may ring that nobody holds."""
    for call in evidence.calls.values():
        if call.misbehaved() & TWO_HAVE_IT:
            continue
        rings: dict[str, dict[str, tuple[Entry, int]]] = {}
        for entry in call.seen("ringing"):
            attempt, at_ms = entry["attempt"], entry["at_ms"]
            ends = [e["at_ms"] for e in call.seen(*ENDS_A_RING, "answered", "ended") if e["attempt"] == attempt]
            leg = rings.setdefault(attempt.rpartition("/")[0], {})
            until_ms = at_ms + RELEASED_WITHIN_MS
            leg[attempt] = entry, min((ms for ms in ends if ms >= at_ms), default=NEVER_MS)
            others = [each for each, ends_ms in leg.values() if each is not entry and ends_ms > until_ms]
            if len(others) < RINGS_MAX or entry.get("line", "") in LAST_LINES:
                continue
            if not any(injury.kind in HOLDS_UP for injury in evidence.weather.during(others[0]["at_ms"], until_ms)):
                where = " and ".join(str(Connection.of(each)) for each in others)
                yield Finding("two_rings", call.call_id, f"{where} ring on while {Connection.of(entry)} rings")


def climbed(evidence: Evidence) -> Iterator[Finding]:
    """A PSAP that cannot is followed by an alternate, then by its own lines; each gateway is tried once (R5)."""
    more = any(SPARE["psap_gateway"] in injury.targets for injury in evidence.seen.injuries)
    gateways = COUNTS["psap_gateway"] + more
    for call in evidence.calls.values():
        cannot = {
            (entry["attempt"], entry["reason"])
            for entry in call.far_end
            if entry["event"] == "rejected" and entry["rejection"] in BUSY
        }
        routed = sum(fact["kind"] == "routed" for fact in call.facts)
        busy: set[str] = set()
        again: Counter[tuple[str, str]] = Counter()
        for fact in call.facts:
            kind, reason, psap_id = fact["kind"], fact["reason"], fact["psap_id"]
            if kind == "delivery_failed" and not fact["line"] and (fact["attempt"], reason) in cannot:
                busy.add(psap_id)
            elif kind == "diverting" and psap_id in busy and routed < 2 and reason != OVERFLOW:
                words = f"{psap_id} cannot, its lines are dialled ({reason}), and no alternate was asked for"
                yield Finding("ladder", call.call_id, words)
            elif kind == "attempting" and reason.startswith(GATEWAY_LOST):
                again[fact["attempt"], fact["writer"]] += 1
        for (attempt, _), times in again.items():
            if times >= gateways:
                yield Finding("ladder", call.call_id, f"{attempt} went on through another gateway {times} times")


def as_before(evidence: Evidence) -> Iterator[Finding]:
    """What is well again is used again: PSAPs are reached, calls are screened (R8, and each budget's end)."""
    skewed = {target for injury in evidence.seen.injuries if injury.kind in CLOCKS for target in injury.targets}
    for call in evidence.calls.values():
        for fact in call.facts:
            if fact["writer"].partition("/")[0] in skewed:
                continue  # it bears its writer's clock
            if fact["kind"] == "routed" and "unreachable" in fact["reason"]:
                yield from _unreachable(evidence, call, fact)
            unscreened = fact["kind"] == "screened" and fact["reason"].startswith("unscreened")
            if unscreened and evidence.weather.quiet(fact["at_ms"], fact["at_ms"], SETTLED_MS):
                yield Finding("as_before", call.call_id, f"{fact['reason']}, and nothing was hurt for a while")


def _unreachable(evidence: Evidence, call: CallTold, fact: Entry) -> Iterator[Finding]:
    """A PSAP is unreachable where a fresh row says so; who knows nothing of it tries."""
    hurt = (fact["psap_id"], *_GATEWAYS)
    for injury in evidence.weather.during(fact["at_ms"], fact["at_ms"], SETTLED_MS):
        late = injury.kind == "kafka_late"  # what is read late is stale late
        if late or (injury.kind not in KAFKA and any(target in hurt for target in injury.targets)):
            return
    yield Finding("as_before", call.call_id, f"{fact['psap_id']} is {fact['reason']}, and was not hurt for a while")


def keeps_channels(evidence: Evidence) -> Iterator[Finding]:
    """Half of each line's channels are kept for calls whose PSAP cannot be reached (R7), at each trunk. A ring that
    takes its own call's place has the channel that the call has, for the reason for which it was taken."""
    most = {line.number: len(TRUNKS) * (line.channels - line.channels // 2) for line in LINES if line.owner in PSAPS}
    reasons: dict[tuple[str, str], str] = {}
    standing: dict[str, set[tuple[str, str]]] = {line: set() for line in most}
    left: dict[tuple[str, str], tuple[int, str]] = {}
    for entry in evidence.seen.far_end:
        line = entry.get("line", "")
        if line not in most:
            continue
        key, event = (entry["attempt"], line), entry["event"]
        if event == "offered":
            reasons[key] = entry["reason"]
            continue
        if event == "ringing":
            at_ms, reason = left.pop((entry["call_id"], line), (0, ""))
            if at_ms == entry["at_ms"]:
                reasons[key] = reason
        elif entry.get("rejection") == "superseded":
            left[entry["call_id"], line] = entry["at_ms"], reasons.get(key, "")
        if event == "ringing" and reasons.get(key, "") not in RESERVE_FOR:
            standing[line].add(key)
            if len(standing[line]) > most[line]:
                words = f"{Connection.of(entry)} takes a channel that is kept ({reasons[key]})"
                yield Finding("kept_channels", entry["call_id"], words)
        elif event in ("ended", "cancelled", "rejected"):
            standing[line].discard(key)
