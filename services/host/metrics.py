"""The metrics that every process has, whatever its service: what it is, and how late its event loop runs."""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, PlatformCollector, ProcessCollector

from services.host.settings import ServiceSettings

LAG_EVERY_S: Final = 0.1
TASKS_EVERY: Final = 10
"""Tasks are counted once in so many looks at the lag."""
_LAGS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


class HostMetrics:
    """Made once for a process, in its registry."""

    def __init__(self, registry: CollectorRegistry, settings: ServiceSettings, incarnation: str) -> None:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        started = Gauge(
            "throughline_started_info",
            "Always 1; its labels say which start of which process this is.",
            ("service", "name", "incarnation"),
            registry=registry,
        )
        started.labels(settings.service, settings.name, incarnation).set(1)
        self.loop_lag = Histogram(
            "throughline_loop_lag_seconds",
            "How late the event loop comes to a timer, looked at ten times a second (protocol.md L2).",
            buckets=_LAGS_S,
            registry=registry,
        )

        self.tasks = Gauge(
            "throughline_tasks",
            "Tasks of the event loop that are not done, counted each second: each call and stream has some while it "
            "lasts; what goes on rising with the same load is a leak.",
            registry=registry,
        )

    async def watch_loop(self) -> None:
        """Measures the loop's lag, and counts its tasks, until cancelled."""
        loop = asyncio.get_running_loop()
        for look in itertools.count():
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self.loop_lag.observe(max(0.0, loop.time() - due))
            if look % TASKS_EVERY == 0:
                self.tasks.set(len(asyncio.all_tasks()))
