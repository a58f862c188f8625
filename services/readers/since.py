"""`--since`: how long ago, or an instant."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_AGO: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhd])", re.ASCII)
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class BadInstant(ValueError):
    """Neither a time ago nor an instant."""


def parse_since(text: str, now_ms: int) -> int:
    """Wall milliseconds of `90s`, `10m`, `2h`, `1d` ago, or of an ISO 8601 instant (local time if it has no zone)."""
    if ago := _AGO.fullmatch(text.strip()):
        return now_ms - round(float(ago[1]) * _UNIT_MS[ago[2]])
    try:
        return round(datetime.fromisoformat(text.strip()).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise BadInstant(f"expected a time ago such as 10m or 2h, or 2024-06-18T13:15; got {text!r}") from None


def span_ms(text: str) -> int:
    """Milliseconds of `30s`, `1m` and the like."""
    span = _AGO.fullmatch(text.strip())
    if span is None or float(span[1]) == 0:
        raise BadInstant(f"expected a length of time such as 30s, 5m, 12h or 30d; got {text!r}")
    return max(1, round(float(span[1]) * _UNIT_MS[span[2]]))
