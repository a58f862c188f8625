"""What can be said on the command line of `python -m bench`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = """examples:
  python -m bench                       everything, about eight minutes
  python -m bench --quick               two short rounds, to see that it works; its ratios mean little
  python -m bench --rates 100 --rounds 9 --no-chain     the required percentiles alone, more exactly
  python -m bench --only throughline --rates 100        no floor, no ratios: to try a change
  python -m bench --kafka 127.0.0.1:9092                a broker that runs already
"""


@dataclass(frozen=True, slots=True)
class Options:
    """As given. `only` names the one side to run."""

    rounds: int
    seconds: float
    rates: tuple[int, ...]
    in_hand: int
    chain: bool
    all_services: bool
    only: str | None
    kafka: str | None
    region_dir: Path
    output: Path


def _rates(text: str) -> tuple[int, ...]:
    rates = tuple(int(word) for word in text.split(",") if word)
    if any(not 1 <= rate <= 10_000 for rate in rates):
        raise argparse.ArgumentTypeError("expected whole calls a second from 1 to 10000, separated by commas")
    return rates


def parse(arguments: Sequence[str]) -> Options:
    """Reads the command line; exits with 2 and a line that says what was expected."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Throughline beside its floor, in one run. Its last line: RATIOS throughput=... p50=... p99=...",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured in turn (default 5)")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each measurement loads (default 6)")
    parser.add_argument("--rates", type=_rates, default=(20, 100, 300), help="open loops, calls a second (20,100,300)")
    parser.add_argument(
        "--in-hand", type=int, default=16, help="calls at once in the closed loop, 0: none (default 16)"
    )
    parser.add_argument("--quick", action="store_true", help="two rounds of two seconds, no chain")
    parser.add_argument("--no-chain", action="store_true", help="leave out the consumer groups and the killed process")
    parser.add_argument("--all-services", action="store_true", help="run failover and ledger beside the measured ones")
    parser.add_argument("--only", choices=("floor", "throughline"), help="one side, without ratios")
    parser.add_argument("--kafka", help="a broker that runs already, host:port; default: a local one for this run")
    parser.add_argument(
        "--region-dir", type=Path, default=ROOT / "data" / "massachusetts", help="the region to route in"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "bench.json", help="where every round is written"
    )
    given = parser.parse_args(arguments)
    if given.rounds < 1 or given.seconds < 1 or given.in_hand < 0 or not (given.rates or given.in_hand):
        parser.error("expected at least one round, one second and one load")
    rounds, seconds = (min(given.rounds, 2), min(given.seconds, 2.0)) if given.quick else (given.rounds, given.seconds)
    return Options(
        rounds,
        seconds,
        given.rates,
        given.in_hand,
        not (given.no_chain or given.quick or given.only),
        given.all_services,
        given.only,
        given.kafka,
        given.region_dir,
        given.output,
    )
