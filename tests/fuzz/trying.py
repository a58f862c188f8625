"""One bundle on the whole way that a file takes: read, checked, compiled, evaluated, guarded. What must not be raises.

    python -m tests.fuzz.trying SEED FIRST COUNT

tells on standard output which bundle it begins with, and what came of it; a bundle that needs more than its time or
memory, or crashes the library, takes this process down.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from services.domain.offer import SOS_URN, TEST_URN, Attestation, Device, Offer, Verification
from services.domain.place import Circle
from services.domain.policy import Divert, Flag, Pass
from services.firewall import evaluating
from services.firewall.evaluator import HOLD_S
from services.policy.attributes import ATTRIBUTES, Type, Value
from services.policy.bundle import Bundle
from services.policy.checks.check import check
from services.policy.checks.grounds import COUNTS_MIN, ORDINARY
from services.policy.files.reading import BundleRefused, read_bundle
from services.policy.language.types import CLOSED
from services.policy.verdicts.evaluating import BundleUnfit, Evaluation
from tests.fuzz.bundles import TEXTS, drawn
from tests.policy.replicas import DESKS, START_MS, Came, played

MEMORY_BYTES: Final = 2 * 1024**3
CPU_S: Final = 30.0
"""What a checker may take (services/policy_cli); for reading alone it is far less."""
READ_S: Final = 5.0
DECIDE_S: Final = 0.1
WALL_S: Final = 600
REFUSAL_CHARS_MAX: Final = 1_000
VALUES: Final[dict[Type, list[Value]]] = {
    Type.STRING: [*TEXTS, "\ud800", "a" * 5_000, "\0"],
    Type.INT: [0, 1, 2, 6, 23, -1, 2**63 - 1, -(2**63)],
    Type.DOUBLE: [0.0, 42.36, -71.06, 1e308, float("inf"), float("nan")],
    Type.BOOL: [True, False],
}


class Broken(Exception):
    """What a bundle did that none may."""


def tried(content: bytes) -> str:
    """How far it came: refused, unfit, faulty, or accepted by the checker. Raises Broken."""
    with _within(READ_S, "reading"):
        try:
            bundle = read_bundle(content)
        except BundleRefused as refused:
            lines = content.count(b"\n") + content.count(b"\r") + content.decode("utf-8", "replace").count("\u2028") + 2
            _must(0 <= refused.line <= lines + content.count(b"\xc2\x85"), f"line {refused.line} of {lines}")
            _must(bool(refused.what and refused.instead) and len(str(refused)) < REFUSAL_CHARS_MAX, "a poor refusal")
            return "refused"
    _must(read_bundle(content) == bundle, "read again it is another")
    calls = [inputs(random.Random(number)) for number in range(8)]
    with _within(CPU_S, "checking"):
        report = check(bundle, calls, wall_ms=START_MS)
    with _within(HOLD_S, "compiling"):
        try:
            evaluation = Evaluation(bundle)
        except BundleUnfit as unfit:
            _must(bool(report.errors), f"the checker accepts what the evaluator cannot take: {unfit}")
            return "unfit"
    _decided(bundle, evaluation, calls)
    _screened(bundle)
    if not report.errors:
        _singles_nobody_out(bundle)
    return "faulty" if report.errors else "accepted"


def inputs(chance: random.Random) -> dict[str, Value]:
    """Of a call, each as odd as its type allows."""
    return {
        name: chance.choice(sorted(CLOSED[name])) if name in CLOSED else chance.choice(VALUES[each.type])
        for name, each in ATTRIBUTES.items()
    }


def _decided(bundle: Bundle, evaluation: Evaluation, calls: list[dict[str, Value]]) -> None:
    """Asked itself, and as the helper is asked, through bytes: one answer, in time, of a rule that there is."""
    helper = evaluating.Evaluating()
    evaluating.held(helper.answer(asyncio.run(evaluating.hold(bundle, set()))))
    for call in calls:
        with _within(DECIDE_S, "deciding"):
            decision = evaluation.decide(call, START_MS)
        _must(decision.rule_id is None or bundle.rule(decision.rule_id) is not None, "a rule that is not there speaks")
        again = evaluating.decided(helper.answer(evaluating.decide(bundle.digest, call, START_MS)))
        _must(again.rule_id == decision.rule_id, f"its helper says {again.rule_id}, itself {decision.rule_id}")


def _screened(bundle: Bundle) -> None:
    """Some calls over two replicas: each ends at a person, none is lost, the same again gives the same."""
    said, _ = played(bundle, STREAM, 2, 1)
    _must(len(said) == len(STREAM), "a call without a verdict")
    for told in said:
        ends = isinstance(told.verdict, Pass | Flag) or (
            isinstance(told.verdict, Divert) and told.verdict.desk in DESKS
        )
        _must(ends, f"{told.offer.call_id} ends at nobody: {told.verdict}")
    _must(not isinstance(said[0].verdict, Divert), "the first call is diverted")
    _must(played(bundle, STREAM, 2, 1)[0] == said, "the same again gives another")


def _singles_nobody_out(bundle: Bundle) -> None:
    """Of whom nothing speaks, no rule diverts by a way in flood unless it would divert ordinary callers by it too."""
    for rule in bundle.rules:
        if rule.diverts:
            alone = Evaluation(replace(bundle, rules=(rule,)))
            for number in range(8):
                helpless, likes = _of_whom_nothing_speaks(random.Random(number))
                if alone.decide(helpless, START_MS).rule_id is not None:
                    told = all(alone.decide(like, START_MS).rule_id is not None for like in likes)
                    _must(told, f"{rule.rule_id} diverts merely for what a caller cannot help")


def _of_whom_nothing_speaks(chance: random.Random) -> tuple[dict[str, Value], list[dict[str, Value]]]:
    """One who has no number of their own, or called once, by a way in flood; and ordinary callers by the same."""
    known = inputs(chance) | {"hour": 3, "minute": 3, "weekday": 3, "lat": 42.36, "lon": -71.06}
    number: Value = chance.choice(["", "anonymous", "911", "+19115550100"])
    counts = {
        name: chance.randint(0, 1) if name.startswith("number") else chance.randint(1_000, 9_000) for name in COUNTS_MIN
    }
    helpless = {**known, **counts, "number": number, "number_dials": False, "without_service": len(str(number)) > 9}
    like_most = {name: values[0] for name, values in ORDINARY.items()}
    return helpless, [{**helpless, **like_most, "device": device} for device in ORDINARY["device"]]


def _stream() -> Iterator[Came]:
    place = Circle(42.36, -71.06, 100.0)
    one = Offer("", 1, "+16175550101", SOS_URN, place, Attestation.A, "carrier-a", trunk="trunk-1")
    odd = replace(one, caller="", place=None, attestation=Attestation.NONE, verification=Verification.FAILED)
    for n in range(8):
        yield Came(0.5, n % 2, replace(one, call_id=f"one-{n}"))
    yield Came(0.0, 1, replace(one, call_id="one-7", leg=2))
    for n, caller in enumerate(["", "anonymous", "911", "+19115550100", "\0", "+16175550102"]):
        yield Came(400.0 * (n % 2), n, replace(odd, call_id=f"odd-{n}", caller=caller, device=Device.VOIP))
    yield Came(0.0, 0, replace(one, call_id="test", service_urn=TEST_URN))


STREAM: Final = list(_stream())


def _must(holds: bool, why: str) -> None:
    if not holds:
        raise Broken(why)


@contextmanager
def _within(limit_s: float, what: str) -> Iterator[None]:
    began = time.process_time()
    yield
    took_s = time.process_time() - began
    _must(took_s <= limit_s, f"{what} took {took_s:.2f} s of the processor, where {limit_s} s may be")


def main(seed: int, first: int, count: int) -> None:
    """A batch."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in range(first, first + count):
        print(f"begins {number}", flush=True)
        signal.setitimer(signal.ITIMER_PROF, 2 * CPU_S)  # the kernel ends what holds the interpreter
        signal.alarm(WALL_S)
        kind, content = drawn(seed, number)
        began = time.process_time()
        try:
            outcome, why = tried(content), ""
        except Exception as broken:
            outcome, why = "broken", f"{type(broken).__name__}: {broken}"[:500]
        told = {"kind": kind, "outcome": outcome, "why": why, "cpu_s": round(time.process_time() - began, 4)}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
