"""What lies between hosts, and what can be wrong with it: slow, lossy, cut one way or both, reset, half open.

Names are those of hosts: the part of an address before its port. A message that is lost comes late, since whoever sent
it sends it again, and all behind it wait; what is cut waits until it is mended, or until a ping finds the connection
dead (decision record 0021). A paused process answers no ping either, and of a machine that has vanished nothing comes
at all: no reset, until another one has its address.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

from services.host.network.keepalive import KEEPALIVE_ANSWER_MS, KEEPALIVE_MS, KEPT_ALIVE
from services.host.network.memory import MemoryHost, MemoryNetwork
from services.host.network.memory_stream import MemoryStream

NEAR_S: Final = (0.0003, 0.002)
"""What a message takes, between machines of one site."""
SENT_AGAIN_S: Final = (0.2, 0.4)
"""After how long what was lost is sent again: TCP's own first time-out."""
Stream = MemoryStream[Any, Any]


class Cables:
    """The `Links` of a memory network. `pings` says who pings the connections that it serves."""

    def __init__(self, by: random.Random, pings: Callable[[str], bool]) -> None:
        self._random = by
        self._pings = pings
        self._hosts: dict[str, str] = {}
        self._far_s: dict[tuple[str, str], float] = {}
        self._loses: dict[tuple[str, str], float] = {}
        self._cut: set[tuple[str, str]] = set()
        self._frozen: set[str] = set()
        self._vanished: dict[str, MemoryHost] = {}
        self._found_dead: list[tuple[Stream, bool]] = []
        self.network: MemoryNetwork | None = None
        """Whose these are; set before anything is hurt."""

    # As the network's links.

    def delay_s(self, sender: str, receiver: str) -> float | None:
        if self._cut or self._far_s or self._loses or self._vanished:
            way = (self._host_of(sender), self._host_of(receiver))
            if way in self._cut or way[0] in self._vanished or way[1] in self._vanished:
                return None
            delay_s = self._random.uniform(*NEAR_S) + self._far_s.get(way, 0.0) * self._random.uniform(0.5, 1.5)
            if self._random.random() < self._loses.get(way, 0.0):
                delay_s += self._random.uniform(*SENT_AGAIN_S)
            return delay_s
        return NEAR_S[0] + (NEAR_S[1] - NEAR_S[0]) * self._random.random()

    def _host_of(self, name: str) -> str:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = name.rpartition(":")[0] or name
        return host

    # What can be wrong.

    def far(self, ways: Iterable[tuple[str, str]], delay_s: float) -> None:
        """So much slower, from whom to whom; 0: as near as before."""
        for way in ways:
            if delay_s:
                self._far_s[way] = delay_s
            else:
                self._far_s.pop(way, None)

    def lossy(self, ways: Iterable[tuple[str, str]], share: float) -> None:
        """So many messages must be sent again."""
        for way in ways:
            if share:
                self._loses[way] = share
            else:
                self._loses.pop(way, None)

    def cut(self, ways: Iterable[tuple[str, str]]) -> None:
        """Nothing passes, from whom to whom."""
        self._cut.update(ways)
        self._ping_soon()

    def mend(self, ways: Iterable[tuple[str, str]]) -> None:
        """What waited passes; whose connection was found dead by the other side hears so."""
        self._cut.difference_update(ways)
        self._tell_the_dead()
        self._net.flush()

    def freeze(self, host: str) -> None:
        """Its process is paused: what is sent there waits in its system, and pings are not answered."""
        self._frozen.add(host)
        self._ping_soon()

    def thaw(self, host: str) -> None:
        """It goes on, and finds which of its connections the other side has given up."""
        self._frozen.discard(host)
        self._tell_the_dead()

    def vanish(self, host: MemoryHost) -> None:
        """Its machine is gone, and nobody says so: what is sent there is lost, and a dial gets no answer."""
        host.alive = False
        self._vanished[host.name] = host
        self._ping_soon()

    def appear(self, name: str) -> None:
        """There is a machine of that address again, which knows nothing of what the former one had open, and says so
        to all that send to it. Nothing where none had vanished."""
        host = self._vanished.pop(name, None)
        if host is not None:
            self._net.died(host)
            self._tell_the_dead()
            self._net.flush()

    def reset(self, one: str, other: str, *, at_opener: bool = True, at_server: bool = True) -> None:
        """Their connections break, at one side or both; the side that is not told learns by ping."""
        broken = [each for each in self._streams() if {self._opener(each), self._server(each)} == {one, other}]
        for stream in broken:
            stream.lose(opener=at_opener, server=at_server)
            if not (at_opener and at_server):
                loop = asyncio.get_running_loop()
                loop.call_later(self._random.uniform(1.0, 3.0), stream.lose, context=self._net.context)

    # Pings.

    @property
    def _net(self) -> MemoryNetwork:
        assert self.network is not None, "the cables have a network before anything is hurt"
        return self.network

    def _ping_soon(self) -> None:
        at_s = (KEEPALIVE_MS * self._random.random() + KEEPALIVE_ANSWER_MS) / 1000
        asyncio.get_running_loop().call_later(at_s, self._ping, context=self._net.context)

    def _ping(self) -> None:
        """Each connection on which no ping is answered is found dead by each side that pings."""
        again = False
        for stream in self._streams():
            opener, server = self._opener(stream), self._server(stream)
            if not (self._stuck(opener, server) or self._stuck(server, opener)):
                continue
            again = True
            if self._lives(server) and self._pings(server):
                stream.lose(opener=False)
                self._found_dead.append((stream, True))
            if self._lives(opener) and stream.conversation.path in KEPT_ALIVE:
                stream.lose(server=False)
                self._found_dead.append((stream, False))
        if again:
            self._ping_soon()  # connections that have come since

    def _tell_the_dead(self) -> None:
        kept = []
        for stream, at_opener in self._found_dead:
            opener, server = self._opener(stream), self._server(stream)
            if self._stuck(opener, server) or self._stuck(server, opener):
                kept.append((stream, at_opener))
            else:
                stream.lose(opener=at_opener, server=not at_opener)
        self._found_dead = kept

    def _stuck(self, sender: str, receiver: str) -> bool:
        return (sender, receiver) in self._cut or not self._lives(receiver)

    def _lives(self, host: str) -> bool:
        return host not in self._frozen and host not in self._vanished

    def _streams(self) -> list[Stream]:
        """All that are open, each once."""
        return [stream for host in self._net.hosts for stream in host.streams if stream.opener is host]

    def _opener(self, stream: Stream) -> str:
        return stream.opener.name

    def _server(self, stream: Stream) -> str:
        return self._host_of(stream.peer)


def between(some: Iterable[str], others: Iterable[str], *, both: bool = True) -> list[tuple[str, str]]:
    """Every way from each of these to each of those; with `both`, back as well."""
    others = list(others)
    ways = [(one, other) for one in some for other in others if one != other]
    return [*ways, *((other, one) for one, other in ways)] if both else ways
