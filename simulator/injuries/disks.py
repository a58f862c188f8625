"""The disks under the spools and the last good policy, and the ledger's database: slow, full, hung, failing.

While Kafka is well no spool is touched: a disk's injury has one of Kafka's for company.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from services.journal.disk import MemoryDisk
from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, seconds
from simulator.installation import names_of

WRITING = (*names_of("ingress"), *names_of("failover"), *names_of("firewall"))
ROOM_BYTES = 1 << 40
COMPANY = ("kafka_gone", "broker_gone", "broker_hung", "kafka_slow")


def _one(least: float = 0.0, most: float = 0.0) -> Callable[[random.Random], Drawn]:
    return lambda by: ((by.choice(WRITING),), seconds(by, *LONG_S), round(by.uniform(least, most), 3))


def _disk(scene: Scene, injury: Injury) -> MemoryDisk:
    return scene.installation.replicas[injury.targets[0]].disk


def _slow(scene: Scene, injury: Injury) -> None:
    _disk(scene, injury).slow_s = injury.amount


def _fill(scene: Scene, injury: Injury) -> None:
    _disk(scene, injury).room_bytes = int(injury.amount)


def _hang(scene: Scene, injury: Injury) -> None:
    _disk(scene, injury).hang()


def _fail(scene: Scene, injury: Injury) -> None:
    disk = _disk(scene, injury)
    disk.random, disk.fail_share = scene.by, injury.amount


def _well(scene: Scene, injury: Injury) -> None:
    disk = _disk(scene, injury)
    disk.slow_s, disk.fail_share, disk.room_bytes = 0.0, 0.0, ROOM_BYTES
    disk.go_on()


def _ledger(least: float, most: float) -> Callable[[random.Random], Drawn]:
    return lambda by: (
        (by.choice(names_of("ledger")),),
        seconds(by, *LONG_S),
        round(by.uniform(least, most), 3),
    )


def _slow_database(scene: Scene, injury: Injury) -> None:
    scene.installation.replicas[injury.targets[0]].tables.slow_s = injury.amount


def _failing_database(scene: Scene, injury: Injury) -> None:
    scene.installation.replicas[injury.targets[0]].tables.fail_share = injury.amount


def _well_database(scene: Scene, injury: Injury) -> None:
    tables = scene.installation.replicas[injury.targets[0]].tables
    tables.slow_s, tables.fail_share = 0.0, 0.0


KINDS = (
    Kind("disk_slow", "a write takes so many seconds", _one(0.01, 1.0), _slow, _well, company=COMPANY),
    Kind("disk_full", "so many bytes fit, and no more", _one(0.0, 4000.0), _fill, _well, company=COMPANY),
    Kind("disk_hung", "no write comes back", _one(), _hang, _well, company=COMPANY),
    Kind("disk_fails", "this share of the writes fails half-way", _one(0.1, 1.0), _fail, _well, company=COMPANY),
    Kind("database_slow", "the ledger's database takes up to so many seconds", _ledger(0.05, 3.0), _slow_database,
         _well_database, 0.5),
    Kind("database_fails", "this share of its work fails, some of it done all the same", _ledger(0.1, 1.0),
         _failing_database, _well_database),
)  # fmt: skip
