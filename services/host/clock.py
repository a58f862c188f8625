"""Wall time, for records and names. Timers never look here: `loop.time()` is their clock."""

from __future__ import annotations

import random
import time


def wall_ms() -> int:
    """Milliseconds since 1970, by this machine's clock."""
    return time.time_ns() // 1_000_000


def mint_incarnation(now_ms: int, source: random.Random) -> str:
    """A name for one start of a process: sorts by time, and differs between two starts in one millisecond.

    Shape: `<wall ms in hex, 12 digits>-<4 random hex>`, such as `01931f0c8a2b-7fe0`.
    """
    assert 0 <= now_ms < 1 << 48, f"wall time in ms fits 48 bits; got {now_ms}"
    return f"{now_ms:012x}-{source.getrandbits(16):04x}"
