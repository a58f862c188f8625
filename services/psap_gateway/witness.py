"""What a gateway tells the rest by Kafka: the outcome of each attempt, and the standing of each PSAP.

Nobody on a call's way waits for either. A change of standing goes out within 20 ms, many changes in one snapshot;
without one, a snapshot each two seconds says that this gateway lives (R8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from services.domain.deliveries import Delivery
from services.domain.gateways.attachments import Row
from services.host.alarm import Alarm
from services.host.world import World
from services.journal import Topic
from services.journal.journal import Journal, JournalEvent
from services.psap_gateway.metrics import PsapGatewayMetrics
from services.wire import deliveries, psap_status

COALESCE_S: Final = 0.020


class Witness:
    """Made before the gateway serves; `begin` once its address is known."""

    def __init__(
        self, world: World, metrics: PsapGatewayMetrics, status_every_s: float, rows: Callable[[], Sequence[Row]]
    ) -> None:
        self.journal = Journal(world.log, on_event=self._journal_event)
        self._world = world
        self._metrics = metrics
        self._status_every_s = status_every_s
        self._rows = rows
        self._address = ""
        self._seq = 0
        self._alarm = Alarm(self.publish_status)

    def begin(self, address: str) -> None:
        """From now on conductors reach the gateway at `address`."""
        self._address = address
        self.publish_status()

    def record(self, delivery: Delivery) -> None:
        self.journal.append_soon(Topic.DELIVERIES, delivery.call_id, deliveries.encode(delivery))

    def status_changed(self) -> None:
        """A snapshot goes out within COALESCE_S."""
        if self._alarm.is_set:
            self._alarm.no_later_than(asyncio.get_running_loop().time() + COALESCE_S)

    def publish_status(self) -> None:
        """Publishes a snapshot now, and sets the next."""
        self._alarm.clear()
        self._alarm.no_later_than(asyncio.get_running_loop().time() + self._status_every_s)
        name = self._world.name
        at_ms = self._world.wall_ms()
        value = psap_status.encode(name, self._address, self._world.incarnation, self._seq, at_ms, self._rows())
        self._seq += 1
        self._metrics.snapshots.inc()
        self.journal.append_soon(Topic.PSAP_STATUS, name, value)

    def end(self) -> None:
        """No more snapshots by themselves."""
        self._alarm.clear()

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
        self._metrics.journal_queued.set(event.queued)
