"""The world as a service sees it: the ports that it is given, and nothing else.

`throughline run` builds a World of real parts, a test or the simulator one of memory and virtual time; the service's
own code is the same. Time is not in it: `loop.time()` and asyncio's timers are the clock, so that a virtual loop is
enough.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry

from services.host.blocking import RunBlocking, in_thread
from services.host.children import Children, Processes
from services.host.files import Files
from services.host.network import Network
from services.journal import Log
from services.journal.disk import Disk


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside one process."""

    name: str
    """The replica's own name, such as `ingress-1`."""
    incarnation: str
    """Differs with each start, and sorts by time: `<wall ms in hex, 12 digits>-<4 random hex>`."""
    network: Network
    log: Log
    """The journal's backend; a service wraps it in a Journal of its own."""
    wall_ms: Callable[[], int]
    """Wall clock in milliseconds since 1970; for records, never for timers."""
    random: random.Random
    files: Files
    disk: Disk
    """What must survive a crash; see `services/journal/disk.py`."""
    registry: CollectorRegistry
    logger: structlog.stdlib.BoundLogger
    run_blocking: RunBlocking = in_thread
    """For work that would hold the loop up, such as reading a whole region; at once under virtual time."""
    children: Children = field(default_factory=Processes)
    """For work that may hang or burn the processor: helpers in processes of their own, or in place."""
