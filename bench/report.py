"""What the benchmark prints: one line a measurement while it runs, then a table, then the ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.arithmetic import Spread, paired_ratio
from bench.yardstick import KNOWN_CALLS_PER_SECOND

RATIO_RATE = "100/s"
REQUIRED = {"throughput": 0.6, "p50": 1.6, "p99": 2.0}
"""At least, at most, at most (docs/benchmarks.md)."""
NOISY_CORES = 0.3
OVERLOADED_P50_MS = 250
"""Open loop: from here on calls queue faster than they are carried, and delays say how long it went on."""
Rounds = Sequence[Mapping[str, Any]]


def line(measured: Mapping[str, Any]) -> str:
    """One measurement."""
    connected, lag = measured["connected_ms"], measured["generator_lag_ms"]
    trouble = [
        f"{count} {what}"
        for what, count in (("FAILED", measured["failed"]), ("not by the first attempt", measured["not_first_attempt"]))
        if count
    ]
    if measured["load"] != "saturation" and measured["connected_ms"].get("p50", math.inf) > OVERLOADED_P50_MS:
        trouble.append("overloaded")
    if measured["others_cores"] > NOISY_CORES:
        trouble.append(f"others used {measured['others_cores']:.1f} cores")
    if measured["failed"]:
        trouble.append(measured["last_failure"].partition("debug_error_string")[0].replace("\n", " ").strip())
    return (
        f"  round {measured['round'] + 1}  {measured['load']:>10}  {measured['side']:<11}"
        f" {measured['calls_per_second']:7.1f} calls/s  p50 {connected.get('p50', math.nan):7.2f}"
        f"  p99 {connected.get('p99', math.nan):7.2f} ms  lag p99 {lag.get('p99', 0.0):5.2f} ms"
        f"  {measured['cpu_ms_per_call']['services']:5.2f} ms CPU/call" + "".join(f"  [{each}]" for each in trouble)
    )


def yardstick(calls_per_second: float) -> str:
    """The machine beside the one of architecture.md."""
    low, high = KNOWN_CALLS_PER_SECOND
    return (
        f"bench: the bare chain of architecture.md (8 messages and 4 records a call) carries {calls_per_second:.0f}"
        f" calls/s here and now;\n       two quiet cores carried {low}-{high}."
        " The floor below carries 21 messages and 11 records a call."
    )


def _of(rounds: Rounds, side: str, load: str) -> list[Mapping[str, Any]]:
    found = [each for each in rounds if each["side"] == side and each["load"] == load]
    return sorted(found, key=lambda each: int(each["round"]))


def _values(rounds: Rounds, *path: str) -> list[float]:
    found = []
    for each in rounds:
        value: Any = each
        for step in path:
            value = value.get(step, math.nan)
        found.append(float(value))
    return found


def _spread(spread: Spread, digits: int) -> str:
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f}-{spread.high:.{digits}f})"


ROWS = (
    ("calls/s", ("calls_per_second",), 0),
    ("ringing p50 ms", ("ringing_ms", "p50"), 2),
    ("ringing p99 ms", ("ringing_ms", "p99"), 2),
    ("connected p50 ms", ("connected_ms", "p50"), 2),
    ("connected p99 ms", ("connected_ms", "p99"), 2),
    ("generator's lag p99 ms", ("generator_lag_ms", "p99"), 2),
    ("CPU ms/call, services", ("cpu_ms_per_call", "services"), 2),
    ("  ingress", ("cpu_ms_per_call", "ingress"), 2),
    ("  firewall", ("cpu_ms_per_call", "firewall"), 2),
    ("  router", ("cpu_ms_per_call", "router"), 2),
    ("  psap_gateway", ("cpu_ms_per_call", "psap_gateway"), 2),
    ("CPU ms/call, Kafka", ("cpu_ms_per_call", "kafka"), 2),
    ("CPU ms/call, load", ("cpu_ms_per_call", "callers_and_far_end"), 2),
)


def table(rounds: Rounds, loads: Sequence[str]) -> str:
    """Medians over the rounds, with the lowest and highest, and the ratio of pairs."""
    lines = []
    for load in loads:
        floor, ours = _of(rounds, "floor", load), _of(rounds, "throughline", load)
        lines.append(f"\n{load:<24}{'floor':>26}{'throughline':>26}{'ratio':>24}")
        for name, path, digits in ROWS:
            one, other = _values(floor, *path), _values(ours, *path)
            if all(math.isnan(value) for value in one + other):
                continue
            cells = [_spread(Spread.of(values), digits) if values else "-" for values in (one, other)]
            ratio = _spread(paired_ratio(other, one), 2) if one and other and "lag" not in name else ""
            lines.append(f"{name:<24}{cells[0]:>26}{cells[1]:>26}{ratio:>24}".rstrip())
    return "\n".join(lines)


def ratios(rounds: Rounds) -> dict[str, Spread]:
    """What is required of Throughline: throughput at saturation, p50 and p99 to connected at 100 calls a second."""

    def paired(load: str, *path: str) -> Spread:
        floor, ours = _of(rounds, "floor", load), _of(rounds, "throughline", load)
        return paired_ratio(_values(ours, *path), _values(floor, *path))

    return {
        "throughput": paired("saturation", "calls_per_second"),
        "p50": paired(RATIO_RATE, "connected_ms", "p50"),
        "p99": paired(RATIO_RATE, "connected_ms", "p99"),
    }


def met(found: Mapping[str, Spread]) -> dict[str, bool]:
    """Which requirements are met by the medians."""
    return {
        name: (found[name].median >= bound if name == "throughput" else found[name].median <= bound)
        for name, bound in REQUIRED.items()
    }


def wanted(name: str) -> str:
    """What is required of a ratio, in words."""
    return f"at {'least' if name == 'throughput' else 'most'} {REQUIRED[name]}"


def records(rounds: Rounds) -> str:
    """Appends a call on both sides, over all rounds: they should be the same."""
    lines = []
    for side in ("floor", "throughline"):
        mine = [each for each in rounds if each["side"] == side]
        if not mine:
            continue
        calls = sum(each["calls"] + 1 for each in mine)
        topics: dict[str, float] = {}
        for each in mine:
            for topic, per_call in each["records_per_call"].items():
                topics[topic] = topics.get(topic, 0.0) + per_call * (each["calls"] + 1)
        each_topic = ", ".join(f"{topic} {count / calls:.2f}" for topic, count in topics.items())
        lines.append(f"records a call, {side:<11} {sum(topics.values()) / calls:5.2f}: {each_topic}")
    return "\n".join(lines)


def chain(found: Mapping[str, Any]) -> str:
    """The chain of consumer groups beside Throughline."""
    steady, killed = found["chain"]["connected_ms"], found["chain"]["killed"]
    ours = found["throughline_killed"]
    late = next(key for key in killed if key.startswith("later_than"))
    return "\n".join(
        (
            f"\nconsumer groups, three stages, {found['chain']['rate']} calls/s:"
            f" p50 {steady['p50']:.1f} ms, p99 {steady['p99']:.1f} ms",
            f"the screening process killed at {killed['rate']} calls/s"
            f" (session timeout {found['chain']['session_timeout_ms']} ms, another member there):",
            f"  consumer groups  worst {killed['worst_ms']:8.1f} ms, {killed[late]:4d} of {killed['calls']} calls later"
            f" than a second, {killed['never']} never",
            f"  throughline      worst {ours['worst_ms']:8.1f} ms, {ours[late]:4d} of {ours['calls']} calls later"
            f" than a second, {ours['never']} never",
        )
    )
