"""Does this conductor live? What its stream to us and its ticks on the log say together (protocol.md T1).

A stream that breaks and does not come back within 300 ms, or behind whose address another incarnation answers: its
process is gone. A stream that is silent for a second says less: the process may be paused, or cut off from us alone. It
counts only where the process's own tick was on the partition less than a second before the silence, and none came
since: otherwise it may be alive and cut off from Kafka, with its callers' streams in its hands. And whoever still ticks
lives, whatever its stream does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.domain.events import Conductor

SILENT_S: Final = 1.0
TRY_AGAIN_S: Final = 0.300
"""A break is the network's where the same incarnation answers within this."""
NEW_S: Final = 2.0
"""An incarnation that never answered us is not judged sooner than this after it was first heard of."""
TICK_PROVES_S: Final = 2.0
"""A tick that comes later than one could still have been under way proves its writer alive for this long."""
UNDER_WAY_S: Final = 1.0
READ_FIRST_S: Final = 0.100
FORGOTTEN_S: Final = 60.0
PEERS_MAX: Final = 256


class Life(StrEnum):
    """What is known of a conductor at this moment."""

    LIVES = "lives"
    UNSURE = "unsure"
    BROKEN = "broken"
    REPLACED = "replaced"
    SILENT = "silent"


GONE: Final = frozenset({Life.BROKEN, Life.REPLACED})


class _Peer:
    """What answers at one address."""

    __slots__ = ("broken_at", "excused_until", "heard_at", "incarnation")

    def __init__(self) -> None:
        self.incarnation = ""  # the one that answered last
        self.heard_at: float | None = None
        self.broken_at: float | None = None  # the first break since then
        self.excused_until: float | None = None  # once in a silence


class _Known:
    """One incarnation, as the log shows it."""

    __slots__ = ("at", "newest_tick", "replaced_at", "ticks")

    def __init__(self, now: float) -> None:
        self.at = now
        self.ticks: dict[int, float] = {}
        self.newest_tick = float("-inf")
        self.replaced_at: float | None = None


class Watch:
    """Times are the loop's. `addresses` is where streams are to be held."""

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}
        self._known: dict[Conductor, _Known] = {}

    # What happens.

    def known(self, conductor: Conductor, now: float) -> None:
        """It is named by a fact, a tick or a copy. Those without an address cannot be watched."""
        if not conductor.address or not conductor.incarnation:
            return
        if conductor.address not in self._peers:
            if len(self._peers) >= PEERS_MAX:
                return
            self._peers[conductor.address] = _Peer()
        known = self._known.get(conductor)
        if known is None:
            known = self._known[conductor] = _Known(now)
            peer = self._peers[conductor.address]
            if conductor.incarnation < peer.incarnation:
                known.replaced_at = now

    def ticked(self, conductor: Conductor, partition: int, now: float) -> None:
        """Its tick was read from the log."""
        self.known(conductor, now)
        known = self._known.get(conductor)
        if known is not None:
            known.ticks[partition] = known.newest_tick = now

    def heard(self, address: str, incarnation: str, now: float) -> None:
        """A word came on its stream, or an answer to a question."""
        self.known(Conductor(address, incarnation), now)
        peer = self._peers.get(address)
        if peer is None:
            return
        peer.heard_at = now
        peer.broken_at = peer.excused_until = None
        if incarnation != peer.incarnation:
            peer.incarnation = incarnation
            for conductor, known in self._known.items():
                if conductor.address == address and conductor.incarnation < incarnation:  # they sort by their start
                    known.replaced_at = known.replaced_at or now
            if (here := self._known.get(Conductor(address, incarnation))) is not None:
                here.replaced_at = None

    def broke(self, address: str, now: float) -> None:
        """The stream broke, or could not be opened."""
        peer = self._peers.get(address)
        if peer is not None and peer.broken_at is None:
            peer.broken_at = now

    def held_up(self, now: float) -> None:
        """We were held up ourselves (L2): what has waited is read first, then silence is judged. Once in a silence: one
        of us that is always late must not wait for ever."""
        for peer in self._peers.values():
            if peer.heard_at is not None and now - peer.heard_at >= SILENT_S and peer.excused_until is None:
                peer.excused_until = now + READ_FIRST_S

    def forget(self, owes: frozenset[Conductor], now: float) -> None:
        """Drops incarnations that owe nothing and were not heard of for a minute, and addresses left without any."""
        for conductor, known in list(self._known.items()):
            peer = self._peers[conductor.address]
            newest = max(known.at, known.newest_tick)
            if peer.incarnation == conductor.incarnation and peer.heard_at is not None:
                newest = max(newest, peer.heard_at)
            if now - newest >= FORGOTTEN_S and conductor not in owes:
                del self._known[conductor]
        left = {conductor.address for conductor in self._known}
        self._peers = {address: peer for address, peer in self._peers.items() if address in left}

    # What follows from it.

    def addresses(self) -> list[str]:
        return list(self._peers)

    def silent(self, now: float) -> int:
        """How many addresses that once answered say nothing at this moment, or cannot be reached."""
        return sum(peer.heard_at is not None and not self._speaks(peer, now) for peer in self._peers.values())

    def pause_s(self, address: str, now: float) -> float:
        """How long to wait before the stream is opened again."""
        peer = self._peers.get(address)
        if peer is None or peer.broken_at is None or now - peer.broken_at < TRY_AGAIN_S:
            return 0.05
        return 0.25 if now - peer.broken_at < FORGOTTEN_S else 1.0

    def heard_at(self, address: str) -> float | None:
        """When anything answered there last."""
        peer = self._peers.get(address)
        return None if peer is None else peer.heard_at

    def is_heard(self, conductor: Conductor, now: float) -> bool:
        """Whether anything tells at this moment that it lives: its stream, an answer, or its tick on the log."""
        known = self._known.get(conductor)
        if known is None:
            return False
        return now - known.newest_tick < TICK_PROVES_S or self.life(conductor, None, now) is Life.LIVES

    def life(self, conductor: Conductor, partition: int | None, now: float) -> Life:
        """What is known of it, for a debt of this partition (None: of any)."""
        known = self._known.get(conductor)
        if known is None:
            return Life.UNSURE
        peer = self._peers[conductor.address]
        heard = peer.incarnation == conductor.incarnation and peer.heard_at is not None
        if known.replaced_at is not None:
            return self._unless_it_ticks(known, Life.REPLACED, known.replaced_at, now)
        if heard and self._speaks(peer, now):
            return Life.LIVES
        if peer.broken_at is not None:
            gone_at = peer.broken_at + TRY_AGAIN_S
            if not heard:
                gone_at = max(gone_at, known.at + NEW_S)
            # From the last word, not from the break: a connection that is pinged breaks only seconds after its other
            # end was cut off, and who has ticked all that while lives.
            spoke_at = peer.heard_at if heard and peer.heard_at is not None else peer.broken_at
            return Life.UNSURE if now < gone_at else self._unless_it_ticks(known, Life.BROKEN, spoke_at, now)
        silent_from = peer.heard_at if heard and peer.heard_at is not None else known.at + NEW_S - SILENT_S
        if now - silent_from < SILENT_S or not self._ticked_before(known, partition, silent_from):
            return Life.UNSURE
        return self._unless_it_ticks(known, Life.SILENT, silent_from, now)

    @staticmethod
    def _speaks(peer: _Peer, now: float) -> bool:
        if peer.broken_at is not None or peer.heard_at is None:
            return False
        return now - peer.heard_at < SILENT_S or (peer.excused_until is not None and now < peer.excused_until)

    @staticmethod
    def _ticked_before(known: _Known, partition: int | None, silent_from: float) -> bool:
        tick = known.newest_tick if partition is None else known.ticks.get(partition, float("-inf"))
        return tick > silent_from - SILENT_S

    @staticmethod
    def _unless_it_ticks(known: _Known, life: Life, since: float, now: float) -> Life:
        proves = known.newest_tick > since + UNDER_WAY_S and now - known.newest_tick < TICK_PROVES_S
        return Life.UNSURE if proves else life
