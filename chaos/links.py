"""A network in which each process is a machine: a namespace of its own, and packets that we may hold up, lose or stop.

Every place has an address on one bridge, and a second way out: a tun device whose other end is held here. While a link
is impaired, a host route leads that peer's packets into the device, and they are carried on from here, late, or not at
all; otherwise the kernel carries them. So a partition is what it is on a wire: nobody is told anything, and TCP does
its best. (`tc netem` would do the same where the kernel has it; a tun device is everywhere.)

All of it lives in namespaces that `unshare` made for this process: nothing of it is seen outside, or left behind.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

INSIDE: Final = "THROUGHLINE_CHAOS_INSIDE"
"""Set in the process that has namespaces of its own."""
OUTSIDE: Final = "10.77.0.1"
_PREFIX: Final = "10.77.0."
_FIRST_HOST: Final = 10
_BRIDGE: Final = "calls"
_NETNS: Final = Path("/run/netns")
_TUN: Final = "/dev/net/tun"
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_PI: Final = 0x1001
_PACKET_BYTES_MAX: Final = 65_536
_GRPC_PORT: Final = 5060
_METRICS_PORT: Final = 9100


@dataclass(frozen=True, slots=True)
class Impairment:
    """What happens to packets of one direction of a link."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    """The share that is lost; 1: the link is cut."""


CUT: Final = Impairment(loss=1.0)


def why_not() -> str:
    """Why there can be no namespaces here; empty where there can, or where they are made already."""
    if INSIDE in os.environ:
        return ""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    missing = [tool for tool in ("unshare", "nsenter", "ip", "mount") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} cannot be found (Debian: util-linux, iproute2)"
    if not os.access(_TUN, os.R_OK | os.W_OK):
        return f"{_TUN} cannot be opened"
    tried = subprocess.run([*_unshare(), "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"unshare: {tried.stderr.strip() or tried.returncode}"


def _unshare() -> list[str]:
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, "--net", "--mount", "--"]


def enter(words: Sequence[str]) -> None:
    """Becomes the same command in namespaces of its own; returns where it has them already."""
    if INSIDE not in os.environ:
        os.execvpe("unshare", [*_unshare(), sys.executable, *words], {**os.environ, INSIDE: "1"})


class Links:
    """The places of `names`; see `Places`. Make it after `enter`, then `up`."""

    outside = OUTSIDE

    def __init__(self, names: Iterable[str], seed: int) -> None:
        self._hosts = {name: f"{_PREFIX}{number}" for number, name in enumerate(names, _FIRST_HOST)}
        self._by = random.Random(repr((seed, "links")))
        self._tuns: dict[str, int] = {}
        self._impaired: dict[tuple[str, str], Impairment] = {}
        self._names = {host: name for name, host in self._hosts.items()}

    def host(self, name: str) -> str:
        return self._hosts[name]

    def within(self, name: str) -> Sequence[str]:
        return ("nsenter", f"--net={_NETNS / name}", "--")

    def settings(self, service: str, name: str) -> Mapping[str, str]:
        prefix = f"THROUGHLINE_{service.upper()}"
        host = self._hosts[name]
        return {f"{prefix}_LISTEN": f"{host}:{_GRPC_PORT}", f"{prefix}_METRICS_LISTEN": f"{host}:{_METRICS_PORT}"}

    def up(self) -> None:
        """Makes the bridge and every place; blocks for a second or so."""
        _ip("link set lo up")
        mount_tmpfs(_NETNS if _NETNS.is_dir() else _NETNS.parent)
        _NETNS.mkdir(exist_ok=True)
        _ip(f"link add {_BRIDGE} type bridge", f"addr add {OUTSIDE}/24 dev {_BRIDGE}", f"link set {_BRIDGE} up")
        for number, (name, host) in enumerate(self._hosts.items()):
            _ip(
                f"netns add {name}",
                f"link add veth{number} type veth peer name eth0 netns {name}",
                f"link set veth{number} master {_BRIDGE} up",
                f"-n {name} addr add {host}/24 dev eth0",
                f"-n {name} link set eth0 up",
                f"-n {name} link set lo up",
            )
            self._tuns[name] = _open_tun(f"tun{number}")
            _ip(
                f"link set tun{number} netns {name}",
                f"-n {name} link set tun{number} name tun",
                f"-n {name} link set tun up",
            )

    def listen(self) -> None:
        """From now on packets are carried, in the running loop."""
        loop = asyncio.get_running_loop()
        for name, tun in self._tuns.items():
            loop.add_reader(tun, self._take, name)

    def close(self) -> None:
        """No packet is carried any more."""
        loop = asyncio.get_running_loop()
        for tun in self._tuns.values():
            loop.remove_reader(tun)
            os.close(tun)
        self._tuns.clear()

    def impair(self, sender: str, receiver: str, how: Impairment) -> None:
        """From now on this happens to what one sends to the other."""
        if (sender, receiver) not in self._impaired:
            _ip(f"-n {sender} route add {self._hosts[receiver]}/32 dev tun src {self._hosts[sender]}")
        self._impaired[sender, receiver] = how

    def mend(self) -> None:
        """Every link is whole again."""
        for sender, receiver in self._impaired:
            _ip(f"-n {sender} route del {self._hosts[receiver]}/32 dev tun")
        self._impaired.clear()

    def _take(self, sender: str) -> None:
        try:
            packet = os.read(self._tuns[sender], _PACKET_BYTES_MAX)
        except (BlockingIOError, KeyError):
            return
        receiver = self._names.get(".".join(map(str, packet[16:20]))) if packet[0] >> 4 == 4 else None
        if receiver is None:
            return  # a router's discovery and the like
        # What comes after the link was mended was on its way before that.
        how = self._impaired.get((sender, receiver), Impairment())
        if how.loss and self._by.random() < how.loss:
            return
        delay_s = max(0.0, how.delay_ms + self._by.uniform(-how.jitter_ms, how.jitter_ms)) / 1000
        asyncio.get_running_loop().call_later(delay_s, self._carry, receiver, packet)

    def _carry(self, receiver: str, packet: bytes) -> None:
        tun = self._tuns.get(receiver)
        if tun is not None:
            try:
                os.write(tun, packet)
            except BlockingIOError:
                return  # its queue is full: lost, as on any link


def mount_tmpfs(folder: Path, *options: str) -> None:
    """A file system in memory over a folder, seen by us and by what we start alone."""
    subprocess.run(["mount", "-t", "tmpfs", *options, "none", str(folder)], check=True)


def unmount(folder: Path) -> None:
    """The folder is what it was before; who has a file open there keeps that file."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _ip(*commands: str) -> None:
    """Runs `ip COMMAND` for each."""
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True, capture_output=True)


def _open_tun(name: str) -> int:
    tun = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN_NO_PI))
    return tun
