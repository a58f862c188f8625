"""One or three brokers as processes: formatted, started, waited for, killed and started again, ended.

`Cluster` runs them as children that end with this process, whatever ends it: for the demonstration and the tests. Its
methods block; from asyncio, call them in a thread. `detached.py` uses the same steps for brokers that go on by
themselves.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from deploy.kafka import jars
from deploy.kafka.jars import CannotStart, Say
from deploy.kafka.node import LOOPBACK, Node, free_ports, new_cluster_id, refuse_taken, write_properties
from services.host.lifeline import Lifeline, wrapped
from services.journal.kafka_topics import count_brokers

DISK_FREE_MIN_MB = 300
FORMAT_LIMIT_S = 60
START_LIMIT_S = 90
STOP_LIMIT_S = 15
TRIES_MAX = 3


class Process(Protocol):
    """What is asked of a running broker."""

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        ...


class Cluster:
    """Brokers that end with this process.

    `folder` is theirs alone; with `scratch` it is removed with them. Ports are free ones unless a first port is
    given: client ports from there on, then as many controller ports. `aside` gives a single broker a second listener,
    `listeners` still more, `settings` whatever else it is to be told (node.py). `host` is where they listen, where that
    is not the loopback: an address of the network namespace that the command `within` puts them in.
    """

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int = 1,
        lifeline: Lifeline,
        port: int = 0,
        aside: tuple[int, int] | None = None,
        listeners: Mapping[str, int] = MappingProxyType({}),
        settings: Mapping[str, str] = MappingProxyType({}),
        host: str = LOOPBACK,
        within: Sequence[str] = (),
        scratch: bool = False,
        say: Say = print,
    ) -> None:
        self._folder = folder
        self._brokers = brokers
        self._lifeline = lifeline
        self.port = port
        self._aside = aside
        self._listeners = listeners
        self._settings = settings
        assert brokers == 1 or (aside is None and not listeners), "a second listener is for a single broker"
        self._host = host
        self._within = within
        self._scratch = scratch
        self._say = say
        self._class_path = ""
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._formatting: list[subprocess.Popen[bytes]] = []
        self._keeper: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._lock = threading.Lock()  # a thread that still starts brokers, and another that closes the cluster
        self.nodes: list[Node] = []

    @property
    def bootstrap(self) -> str:
        """Where clients begin: all addresses, with commas between them."""
        return ",".join(node.address for node in self.nodes)

    def start(self) -> str:
        """Start every broker and wait until all of them serve.

        Returns the bootstrap addresses; raises `CannotStart`, also when it is closed meanwhile.
        """
        self._class_path = jars.class_path(self._say)
        if self._scratch:
            with self._not_closed():
                self._keeper = self._lifeline.spawn(wrapped([], remove=self._folder))
        for left in reversed(range(TRIES_MAX)):
            nodes = layout(self._folder, self._brokers, self.port)
            self.nodes = [
                replace(node, host=self._host, aside=self._aside, listeners=self._listeners, settings=self._settings)
                for node in nodes
            ]
            try:
                prepare(self.nodes, self._class_path, self._begin_formatting)
                self._formatting.clear()
                for node in self.nodes:
                    self._spawn(node)
                await_ready(self.nodes, dict(self._running))
                return self.bootstrap
            except PortTaken:  # somebody was quicker; a port that was asked for is not exchanged for another
                self._end_brokers()
                if self.port or not left:
                    self.close()
                    raise
            except CannotStart:
                self.close()
                if self._scratch:  # what this thread wrote while another closed the cluster
                    shutil.rmtree(self._folder, ignore_errors=True)
                raise
        raise AssertionError("the last try returns or raises")

    def kill(self, number: int) -> None:
        """`kill -9` one broker (1, 2 or 3)."""
        wrapper = self._running.pop(number)
        wrapper.kill()  # the kernel kills Java with it
        wrapper.wait()

    def stop(self, number: int) -> None:
        """Stop one broker in an orderly way."""
        wrapper = self._running.pop(number)
        wrapper.send_signal(signal.SIGTERM)
        end(wrapper)

    def java_of(self, number: int) -> int:
        """The process id of a broker that runs. Linux alone: the wrapper's one child, as /proc has it."""
        wrapper = self._running[number].pid
        children = Path(f"/proc/{wrapper}/task/{wrapper}/children").read_text().split()
        assert len(children) == 1, f"expected Java alone under the wrapper of broker {number}; got {children}"
        return int(children[0])

    def pause(self, number: int) -> None:
        """SIGSTOP: its connections stand, and it says nothing. It ends with this process all the same.

        Returns when each of its threads stands: on a busy machine they go on for a while."""
        java = self.java_of(number)
        os.kill(java, signal.SIGSTOP)
        gives_up_at = time.monotonic() + STOP_LIMIT_S
        while not all(_stands(thread) for thread in Path(f"/proc/{java}/task").iterdir()):
            assert time.monotonic() < gives_up_at, f"broker {number} does not stand still within {STOP_LIMIT_S} s"
            time.sleep(0.001)

    def go_on(self, number: int) -> None:
        """SIGCONT."""
        os.kill(self.java_of(number), signal.SIGCONT)

    def fill_disk(self, number: int) -> None:
        """From now on none of its files can grow, as on a full disk, until it is started again. Linux alone."""
        resource.prlimit(self.java_of(number), resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def reap(self, number: int, within_s: float) -> int | None:
        """Waits for a broker that ends by itself and returns its exit code; None when it goes on."""
        try:
            exit_code = self._running[number].wait(within_s)
        except subprocess.TimeoutExpired:
            return None
        del self._running[number]
        return exit_code

    def start_again(self, number: int) -> None:
        """Start a killed or stopped broker on its old ports and data, and wait until it serves."""
        self._spawn(self.nodes[number - 1])
        await_ready(self.nodes, dict(self._running))

    def start_all_again(self) -> None:
        """Start every broker that does not run, at once: one of three alone has no controller to serve under."""
        for node in self.nodes:
            if node.number not in self._running:
                self._spawn(node)
        await_ready(self.nodes, dict(self._running))

    def close(self) -> None:
        """End every broker. Can be called twice, and while another thread still starts them."""
        with self._lock:
            self._closed = True
        self._end_brokers()
        if self._keeper is not None:
            self._keeper.send_signal(signal.SIGTERM)
            end(self._keeper)
            self._keeper = None

    def _end_brokers(self) -> None:
        with self._lock:
            wrappers = [*self._running.values(), *self._formatting]
            self._running.clear()
            self._formatting.clear()
        for wrapper in wrappers:
            wrapper.send_signal(signal.SIGKILL if self._scratch else signal.SIGTERM)  # nothing to save: no farewells
        for wrapper in wrappers:
            end(wrapper)

    @contextmanager
    def _not_closed(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise CannotStart("the brokers were told to end while they started")
            yield

    def _begin_formatting(self, node: Node, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Whoever closes the cluster ends this too: it would write into the folder that is removed."""
        with self._not_closed():
            process = logged(node, command, self._lifeline)
            self._formatting.append(process)
            return process

    def _spawn(self, node: Node) -> None:
        with self._not_closed():
            command = [*self._within, *node.run_command(self._class_path)]
            self._running[node.number] = logged(node, command, self._lifeline)


def _stands(thread: Path) -> bool:
    """Whether the kernel has stopped it, or it has ended meanwhile."""
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return True


class PortTaken(CannotStart):
    """Another program listens on a port of ours."""


def layout(folder: Path, brokers: int, port: int) -> list[Node]:
    """The brokers of a cluster and their ports. Raises `CannotStart` when the folder holds another kind of cluster."""
    there = len(list(folder.glob("broker-*/data/meta.properties")))
    if there not in (0, brokers):
        raise CannotStart(
            f"{folder} holds a cluster of {there} brokers, {brokers} were asked for; choose another folder"
        )
    ports = list(range(port, port + 2 * brokers)) if port else free_ports(2 * brokers)
    if port:
        refuse_taken(ports)
    return [
        Node(number, folder / f"broker-{number}", ports[number - 1], ports[brokers + number - 1])
        for number in range(1, brokers + 1)
    ]


def logged(node: Node, command: Sequence[str], lifeline: Lifeline) -> subprocess.Popen[bytes]:
    """Starts a command of a broker's, that ends with this process and writes to the broker's log."""
    with node.log.open("ab") as log:
        return lifeline.spawn(wrapped(command), stdout=log, stderr=log)


def prepare(
    nodes: Sequence[Node], class_path: str, begin: Callable[[Node, Sequence[str]], subprocess.Popen[bytes]]
) -> None:
    """Write the configuration of each broker, and format what is not formatted yet, all at the same time.

    `begin` starts a command that formats."""
    cluster_id = new_cluster_id()
    begun: list[tuple[Node, subprocess.Popen[bytes]]] = []
    with _disk_errors(nodes[0].folder):
        for node in nodes:
            write_properties(node, nodes)
            if not node.formatted:
                begun.append((node, begin(node, node.format_command(class_path, cluster_id))))
    for node, process in begun:
        try:
            exit_code = process.wait(FORMAT_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise CannotStart(f"formatting {node.data} took longer than {FORMAT_LIMIT_S} s; see {node.log}") from None
        if exit_code != 0:
            raise why_it_ended(node, exit_code)


def await_ready(nodes: Sequence[Node], running: dict[int, Process] | dict[int, subprocess.Popen[bytes]]) -> None:
    """Wait until the cluster says that every running broker is a part of it. Raises `CannotStart`."""
    gives_up_at = time.monotonic() + START_LIMIT_S
    serving = [node for node in nodes if node.number in running]
    for asked in serving:  # each must answer, and the last one asked must count them all
        while _counted(asked.address) < len(serving):
            for node in serving:
                exit_code = running[node.number].poll()
                if exit_code is not None:
                    raise why_it_ended(node, exit_code)
            if time.monotonic() > gives_up_at:
                raise CannotStart(f"broker {asked.number} does not serve after {START_LIMIT_S} s; see {asked.log}")
            time.sleep(0.05)


def _counted(address: str) -> int:
    """In a thread of its own, whether or not the caller's has an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(count_brokers(address))).result()


def why_it_ended(node: Node, exit_code: int) -> CannotStart:
    """The likeliest reason in one line."""
    text = node.log.read_text(errors="replace") if node.log.exists() else ""
    if "No space left on device" in text:
        return CannotStart(
            f"the disk is full: broker {node.number} cannot write to {node.folder}; make room or move it"
        )
    if "Address already in use" in text:
        return PortTaken(f"port {node.port} or {node.controller_port} is taken by another program; choose others")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if any(word in line for word in ("ERROR", "FATAL", "Exception"))]
    reason = (told or lines[-1:] or ["it said nothing"])[0][:200]
    return CannotStart(f"broker {node.number} ended with exit code {exit_code}: {reason} (all of it: {node.log})")


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a broker that was told to stop; kill it when it takes too long."""
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Say in one line when there is no room."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free_mb = shutil.disk_usage(folder).free // 1_000_000
        if free_mb < DISK_FREE_MIN_MB:
            raise CannotStart(
                f"the disk is full: a broker needs {DISK_FREE_MIN_MB} MB in {folder}, {free_mb} MB are free"
            )
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise CannotStart(
                f"the disk is full: cannot write to {folder}; make room or choose another folder"
            ) from None
        raise CannotStart(f"cannot write to {folder} ({error.strerror}); choose another folder") from None
