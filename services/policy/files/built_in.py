"""The policy that is always there: it needs no file, no disk, no log and no signature, since it diverts nobody.

It is written as any other bundle and read by the same reader, so that it is not the one policy whose way is untested.
"""

from __future__ import annotations

from typing import Final

from services.policy.bundle import Bundle
from services.policy.files.reading import read_bundle

CONTENT: Final = b"""\
name: built-in
version: 1
author: throughline
rules:
  - id: caller-repeats
    reason: repeat_caller
    when: number_calls_60s >= 6
    verdict: {flag: 40}
    forecast_share: 0.02
    expires: 2100-01-01T00:00:00Z
    owner: throughline
"""


def built_in() -> Bundle:
    """The bundle of these bytes."""
    return read_bundle(CONTENT)
