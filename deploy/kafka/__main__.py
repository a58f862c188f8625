"""`python -m deploy.kafka start | stop | status | lock`: brokers by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.kafka import detached, jars
from deploy.kafka.jars import CannotStart

EXIT_NOT_RUNNING = 1
EXIT_CANNOT_START = 69
EXAMPLES = """examples:
  python -m deploy.kafka start                              one broker on 127.0.0.1:9092
  python -m deploy.kafka start --brokers 3 --data /tmp/k3   three brokers: 9092, 9093, 9094
  python -m deploy.kafka start --port 0                     on any free port; the address is the last line
  python -m deploy.kafka status --data /tmp/k3              exit code 0 if all of them run
  python -m deploy.kafka stop --data /tmp/k3
"""


def say(line: str) -> None:
    """Progress goes to standard error: standard output holds the bootstrap addresses alone."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.kafka",
        description="A real Kafka on this machine, with nothing but pip.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["start", "stop", "status", "lock"])
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="how many brokers to start (1)")
    parser.add_argument("--port", type=int, default=9092, help="the first port; 0 for any free ones (9092)")
    parser.add_argument(
        "--data", type=Path, default=jars.BUILD.parent / "kafka-data", help="their own folder (build/kafka-data)"
    )
    parser.add_argument("--jars", type=Path, default=jars.BUILD, help="where the jars are resolved (build/kafka)")
    arguments = parser.parse_args()
    folder = arguments.data.resolve()
    try:
        match arguments.command:
            case "start":
                brokers = detached.start(folder, arguments.brokers, arguments.port, say, arguments.jars.resolve())
                print(",".join(broker.address for broker in brokers))
            case "stop":
                say(f"kafka: {detached.stop(folder)} brokers of {folder} stopped")
            case "status":
                return status(folder)
            case _:
                jars.make_lock(say, arguments.jars.resolve())
                say(f"kafka: {len(jars.locked())} jars in {jars.LOCK}")
    except CannotStart as error:
        print(f"kafka: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    return 0


def status(folder: Path) -> int:
    """One line a broker. Exit code 0 if there are any and all of them run."""
    brokers = detached.remembered(folder)
    for broker in brokers:
        print(f"broker {broker.number} {broker.address} pid {broker.pid} {'runs' if broker.alive else 'has ended'}")
    if not brokers:
        print(f"no brokers were started in {folder}")
    return 0 if brokers and all(broker.alive for broker in brokers) else EXIT_NOT_RUNNING


if __name__ == "__main__":
    sys.exit(main())
