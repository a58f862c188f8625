"""The metrics that every process has, whatever its service: what it is, and how late its event loop runs."""

from __future__ import annotations

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, PlatformCollector, ProcessCollector

from services.host.settings import ServiceSettings

LAG_EVERY_S: Final = 0.1
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

    async def watch_loop(self) -> None:
        """Measures the loop's lag until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self.loop_lag.observe(max(0.0, loop.time() - due))
