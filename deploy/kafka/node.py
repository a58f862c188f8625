"""One broker: its ports, its configuration, its command lines. Nothing is started here."""

from __future__ import annotations

import base64
import socket
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from deploy.kafka.jars import HERE, CannotStart, java
from services.journal.topics import in_sync_replicas_min, replication_factor

LOOPBACK = "127.0.0.1"
JAVA_FLAGS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # quick to start; the second compiler would pay off after minutes
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",  # else four lines of warnings at each start
    f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",
)


@dataclass(frozen=True, slots=True)
class Node:
    """A combined broker and controller. `folder` holds its configuration, its data and its log."""

    number: int
    folder: Path
    port: int
    controller_port: int
    host: str = LOOPBACK
    aside: tuple[int, int] | None = None
    """A second listener for clients: where it listens, and where it says that it does. What stands between the two can
    cut off those who come that way, and nobody else."""
    listeners: Mapping[str, int] = field(default_factory=dict)
    """More listeners by their names, each with its port; `settings` say how each is spoken to."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What it is told beside what is here; where both say something, these are stronger."""

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{self.host}:{self.port}"

    @property
    def properties(self) -> Path:
        """Its configuration."""
        return self.folder / "server.properties"

    @property
    def data(self) -> Path:
        """Its records."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "server.log"

    @property
    def formatted(self) -> bool:
        """Whether its data folder belongs to a cluster already."""
        return (self.data / "meta.properties").exists()

    def format_command(self, class_path: str, cluster_id: str) -> list[str]:
        """Make its data folder a part of a cluster."""
        tool = "kafka.tools.StorageTool"
        return [*_java(class_path), tool, "format", "-t", cluster_id, "-c", str(self.properties)]

    def run_command(self, class_path: str) -> list[str]:
        """Run it in the foreground."""
        return [*_java(class_path), "kafka.Kafka", str(self.properties)]


def tool_command(class_path: str, tool: str) -> list[str]:
    """Begin one of Kafka's own commands, by its class; its words follow."""
    return [*_java(class_path), tool]


def _java(class_path: str) -> list[str]:
    return [str(java()), *JAVA_FLAGS, "-cp", class_path]


def new_cluster_id() -> str:
    """A random id in Kafka's spelling: none begins with a dash, which its tools would read as an option."""
    while (spelled := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return spelled


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    with ExitStack() as sockets:
        ports = []
        for _ in range(count):
            listener = sockets.enter_context(socket.socket())
            listener.bind((LOOPBACK, 0))
            ports.append(listener.getsockname()[1])
        return ports


def refuse_taken(ports: Sequence[int]) -> None:
    """Raise `CannotStart` when somebody listens on one of these ports."""
    for port in ports:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((LOOPBACK, port))
            except OSError as error:
                raise CannotStart(
                    f"port {port} cannot be used ({error.strerror}); choose another first port, or 0 for any"
                ) from None


def write_properties(node: Node, nodes: Sequence[Node]) -> None:
    """Write a broker's configuration.

    A dead broker is fenced after three seconds instead of nine, and of three copies two must have a record before it
    is acknowledged.
    """
    copies = replication_factor(len(nodes))
    in_sync = in_sync_replicas_min(len(nodes))
    aside = [f",ASIDE://{LOOPBACK}:{port}" for port in node.aside or ()] or ["", ""]
    more = "".join(f",{name}://{node.host}:{port}" for name, port in node.listeners.items())
    settings = {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "controller.quorum.voters": ",".join(f"{n.number}@{n.host}:{n.controller_port}" for n in nodes),
        "listeners": f"PLAINTEXT://{node.address},CONTROLLER://{node.host}:{node.controller_port}" + aside[0] + more,
        "advertised.listeners": f"PLAINTEXT://{node.address}" + aside[1] + more,
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,ASIDE:PLAINTEXT",
        "log.dirs": node.data,
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.num.partitions": 3,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": 3,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": 0,
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3000,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "log.segment.bytes": 64 * 1024 * 1024,
        "log.index.size.max.bytes": 1024 * 1024,
        **node.settings,
    }
    node.folder.mkdir(parents=True, exist_ok=True)
    node.properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
