"""What the commands of `make` have in common: numbers that are refused in words, and an end for `| head`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn

EXIT_UNREAD: Final = 141
"""As a shell says of what SIGPIPE ended."""


def counted(least: int) -> Callable[[str], int]:
    """Reads a whole number from `least` on."""

    def read(word: str) -> int:
        try:
            number = int(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a whole number, got {word!r}") from None
        if number < least:
            raise argparse.ArgumentTypeError(f"expected {least} or more, got {number}")
        return number

    return read


def end_with(command: Callable[[], int]) -> NoReturn:
    """Its exit code; where nobody reads on, it ends without a word."""
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_UNREAD
    sys.exit(code)
