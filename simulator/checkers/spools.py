"""What lies on the disks when all has come to rest, and what was taken off them: nothing that the log does not have
(J4 to J6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from throughline.v1 import delivery_pb2

from services.journal import Topic
from services.journal.segments import Entry as Spooled
from services.journal.segments import read
from services.wire import facts
from services.wire.methods import PARSE_BYTES_MAX, Unreadable, parse
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.replicas import SEGMENT

KEPT: Final = "/kept/"
Identity = tuple[str, int, int, str]


def empty(evidence: Evidence) -> Iterator[Finding]:
    """Every fact in a spool, and every copy that is kept for another, is on the log, and none is needed any more."""
    known = {(f["call_id"], f["leg"], f["seq"], f["writer"]) for call in evidence.calls.values() for f in call.facts}
    for name, files in evidence.seen.spools.items():
        for path, data in files.items():
            if path.endswith(SEGMENT):
                for spooled in read(data).entries:
                    yield from _judge(name, path, spooled, known)


def kept_until_landed(evidence: Evidence) -> Iterator[Finding]:
    """A segment of a spool is removed when the log has every fact that lies in it, not before (J5)."""
    removed = [each for each in evidence.seen.removed if KEPT not in each.path]
    landed: dict[Identity, tuple[int, int]] = {}
    for record in evidence.seen.records if removed else ():
        if (fact := facts.fact_in(record.value)) is not None:
            landed.setdefault(fact.identity, (record.partition, record.offset))
    for each in removed:
        for spooled in read(each.data).entries:
            fact = facts.fact_in(spooled.value) if spooled.topic is Topic.CALLS else None
            if fact is None:
                continue
            partition, offset = landed.get(fact.identity, (-1, 0))
            if offset >= each.ends.get(partition, 0):
                words = f"{each.name} removed {each.path} before {fact.kind} of leg {fact.leg} was on the log"
                yield Finding("spools", fact.call_id, words)


def _judge(name: str, path: str, spooled: Spooled, known: set[tuple[str, int, int, str]]) -> Iterator[Finding]:
    if spooled.topic is not Topic.CALLS:
        return
    try:
        fact = facts.decode(_fact_in(path, spooled.value))
    except Unreadable:
        yield Finding("spools", spooled.key, f"{name}: what lies in {path} cannot be read")
        return
    if fact.identity not in known:
        words = f"{name}: {fact.kind} of leg {fact.leg} by {fact.writer} lies in {path}, and not on the log"
        yield Finding("spools", fact.call_id, words)


def _fact_in(path: str, value: bytes) -> bytes:
    """A copy that is kept for a conductor stands in the question by which it came."""
    if KEPT not in path:
        return value
    return parse(delivery_pb2.KeepRequest, value, 2 * PARSE_BYTES_MAX).facts[0]
