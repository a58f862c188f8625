"""`python -m bench.policy`: what screening a call by 10, 100 and 1,000 rules costs, and the same for hostile input.

Beside it stands what it replaces: the library asked for each rule in turn. Both in one process, in turns, call by call;
by the thread's own processor time, so that a neighbour on the machine is not taken for a slow rule.

An ordinary bundle is what operators write: floods by source and cell, numbers in lists, a few rules for every call.
The hostile one has as many rules and stands at each bound that a bundle may reach; its calls are those that meet most
of it, with the longest texts. No rule of it is true, so every rule that is met is asked.
"""

from __future__ import annotations

import random
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

import cel

from bench.arithmetic import Spread, paired_ratio, percentile
from services.domain.policy import Flag
from services.policy.attributes import ATTRIBUTES, Listed, Value
from services.policy.bundle import Bundle, NamedList, Rule
from services.policy.verdicts.evaluating import BundleUnfit, Evaluation
from services.policy.verdicts.indexing import ASKED_ALWAYS_MAX, WORK_MAX

SIZES = (10, 100, 1_000)
CALLS = 400
ROUNDS = 3
REQUIRED_MS = {"ordinary": 1.0, "hostile": 2.0}
"""p99 of a decision by 1,000 rules."""
EXIT_MISSED = 3
NEVER_MS = 4_000_000_000_000
TEXT = "a" * 120 + "\u6f22!"
Calls = Sequence[Mapping[str, Value]]


def _rules(whens: Sequence[str]) -> tuple[Rule, ...]:
    return tuple(
        Rule(f"rule-{n}", "bench", when, Flag(40, f"rule-{n}", "bench"), "bench", 0.01, NEVER_MS)
        for n, when in enumerate(whens)
    )


def ordinary(rules: int) -> Bundle:
    """As operators write them."""
    always = [f"number_calls_600s > {40 + n} && hour >= {n % 24} && !place_known" for n in range(min(rules // 5, 40))]
    kinds = (
        lambda n: f'number == "+1617555{n % 10_000:04d}" && number_calls_60s >= 3',
        lambda n: f'source == "carrier-{n}" && source_calls_10s > 200',
        lambda n: f'cell == "42.{n:03d},-71.06" && cell_calls_60s > 50 && device == "voip"',
        lambda n: f"number in lists.nuisance{n % 5} && number_calls_3600s > {n % 7 + 2}",
        lambda n: f'psap == "fcc-{n}" && psap_load > 3.0 && display_name.contains("test")',
    )
    # The fourth kind shares five lists: more rules of it would all be met by one number.
    found = [kinds[n % 5 if n < 100 else (0, 1, 2, 4)[n % 4]](n) for n in range(rules - len(always))]
    lists = {
        f"nuisance{n}": NamedList(
            f"nuisance{n}", Listed.NUMBER, frozenset(f"+1413555{n}{each:03d}" for each in range(999))
        )
        for n in range(5)
    }
    return Bundle("ordinary", 1, "bench", _rules(always + found), lists)


def hostile(rules: int) -> Bundle:
    """As near to every bound as a bundle of so many rules may come."""
    always = [
        f'(display_name.matches("(a{{1,9}}){{9}}[^!]$|x{n}.*y") || number.contains("{n}x"))'
        f' && display_name.startsWith("a") && lat > {n}.5'
        for n in range(min(rules, ASKED_ALWAYS_MAX))
    ]
    met = 'source == "worst" && (number_calls_60s * 7 % 5 == 6 || display_name.endsWith("?") || lat / 2.0 > 1e9)'
    lists = {
        f"l{n}": NamedList(f"l{n}", Listed.NUMBER, frozenset({str(n), *(f"{n}-{each}" for each in range(500))}))
        for n in range(200)
    }

    def made(count: int) -> Bundle:
        """`count` of the rules are met by one source."""
        others = [
            f"number in lists.l{n % 200} && hour < 0" if n % 2 else f'number == "{n}" && hour < 0'
            for n in range(rules - len(always) - count)
        ]
        return Bundle("hostile", 1, "bench", _rules(always + [met] * count + others), lists)

    counts = range(rules - len(always) + 1)
    return made(bisect_left(counts, True, key=lambda count: not _fits(made(count))) - 1)


def _fits(bundle: Bundle) -> bool:
    try:
        Evaluation(bundle)
    except BundleUnfit:
        return False
    return True


def calls(seed: int) -> Calls:
    """As they come."""
    draw = random.Random(seed)
    return [
        _call(
            number=f"+1617555{draw.randrange(10_000):04d}",
            source=f"carrier-{draw.randrange(40)}",
            cell=f"42.{draw.randrange(999):03d},-71.06",
            psap=f"fcc-{draw.randrange(252)}",
            display_name="Somebody",
            hour=draw.randrange(24),
            place_known=draw.random() < 0.8,
            number_calls_60s=1,
            source_calls_10s=draw.randrange(150),
        )
        for _ in range(CALLS)
    ]


def worst_calls() -> Calls:
    """Those that meet the hostile bundle where it is thickest."""
    return [
        _call(number=str(n % 200), source="worst", display_name=TEXT, lat=90.0, number_calls_60s=n)
        for n in range(CALLS)
    ]


def _call(**known: Value) -> Mapping[str, Value]:
    return {**{name: each.unknown for name, each in ATTRIBUTES.items()}, **known}


def in_turn(bundle: Bundle) -> Callable[[Mapping[str, Value]], str | None]:
    """The floor: the library, each rule in the order of the file, every list and pattern its own business."""
    programs = [(rule.rule_id, cel.compile(rule.when)) for rule in bundle.rules]
    context = cel.Context({"lists": {name: sorted(each.items) for name, each in bundle.lists.items()}})

    def decide(known: Mapping[str, Value]) -> str | None:
        context.update(dict(known))
        return next((rule_id for rule_id, program in programs if program.execute(context) is True), None)

    return decide


def timed(decide: Callable[[Mapping[str, Value]], object], asked: Calls) -> list[float]:
    """Milliseconds of this thread's processor time, a call."""
    took = []
    for each in asked:
        began = time.thread_time_ns()
        decide(each)
        took.append((time.thread_time_ns() - began) / 1e6)
    return took


def measure(bundle: Bundle, asked: Calls, floor_calls: int) -> tuple[list[float], list[float]]:
    """p99 of ours and of the floor, round by round."""
    evaluation = Evaluation(bundle)
    floor = in_turn(bundle)
    ours_ms, floor_ms = [], []
    timed(lambda known: evaluation.decide(known, 0), asked[:50])
    for _ in range(ROUNDS):
        ours_ms.append(percentile(timed(lambda known: evaluation.decide(known, 0), asked), 99))
        floor_ms.append(percentile(timed(floor, asked[:floor_calls]), 99))
    return ours_ms, floor_ms


def main() -> int:
    """0, or 3 when a required figure is missed."""
    missed = []
    ordinary_ms = 0.0
    print("rules  input     work  ours p99 ms (low-high)     one after the other p99 ms   ours/other  compiled in ms")
    for rules in SIZES:
        for name, make, asked in (("ordinary", ordinary, calls(1)), ("hostile", hostile, worst_calls())):
            bundle = make(rules)
            began = time.thread_time()
            work = Evaluation(bundle).index.work
            compiled_ms = (time.thread_time() - began) * 1e3
            ours_ms, floor_ms = measure(bundle, asked, CALLS if name == "ordinary" else 3)
            ours, floor, ratio = Spread.of(ours_ms), Spread.of(floor_ms), paired_ratio(ours_ms, floor_ms)
            print(
                f"{rules:5}  {name:8}  {work:4}  {ours.median:6.3f} ({ours.low:.3f}-{ours.high:.3f})"
                f"        {floor.median:9.3f} ({floor.low:.3f}-{floor.high:.3f})"
                f"   {ratio.median:8.4f}  {compiled_ms:8.1f}",
                flush=True,
            )
            if name == "ordinary":
                ordinary_ms = ours.median
            else:
                print(f"       hostile over ordinary: {ours.median / ordinary_ms:.2f}", flush=True)
            if ours.median > REQUIRED_MS[name]:
                missed.append(f"{rules} rules, {name}: {ours.median:.3f} ms, at most {REQUIRED_MS[name]}")
    print(f"bounds: {ASKED_ALWAYS_MAX} rules without a guard, work {WORK_MAX} for the worst call")
    for each in missed:
        print(f"bench: missed: {each}", file=sys.stderr)
    return EXIT_MISSED if missed else 0


if __name__ == "__main__":
    sys.exit(main())
