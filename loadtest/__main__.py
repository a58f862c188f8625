"""`python -m loadtest originating ...` and `python -m loadtest far_end ...`: processes of the world outside.

They listen to their leader before anything heavy is imported, so that they end with it from their first moment on.
"""

from __future__ import annotations

import sys
from importlib import import_module

from loadtest.control import Leader

PROCESSES = ("originating", "far_end")


def main(words: list[str]) -> int:
    if not words or words[0] not in PROCESSES:
        print(f"expected: python -m loadtest {'|'.join(PROCESSES)} ...; got {words[:1]}", file=sys.stderr)
        return 64
    leader = Leader()
    if not {"-h", "--help"} & set(words):
        leader.listen()
    try:
        import_module(f"loadtest.{words[0]}").main(words[1:], leader)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
