"""In which order replicas act for a call: each computes it for itself, and they need not agree (protocol.md T4).

The keeper of the call's copy comes first, then the replicas that live by rendezvous hash. It only spreads the work and
the seconds: two that both think themselves first say the same facts, and readers drop the copy.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

LIVES_S: Final = 3.0
"""A replica whose newest tick is older than this, by the newest tick of anybody, is taken to be gone."""


class Ranks:
    """The replicas as their ticks on the log show them. `me` lives."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._ticked: dict[str, float] = {}
        self._newest = 0.0

    def ticked(self, now: float, replica: str = "") -> None:
        """A tick of anybody; `replica` where it was one of us. Measured by each other: with the log away, nobody is
        thought gone because of it."""
        self._newest = max(self._newest, now)
        if replica:
            self._ticked[replica] = now

    def living(self) -> list[str]:
        """Those that live, by name."""
        self._ticked = {name: at for name, at in self._ticked.items() if self._newest - at < LIVES_S}
        return sorted({self._me, *self._ticked})

    def of(self, call_id: str, *, keeper: bool) -> int:
        """This replica's rank for a call: 0 acts at once, k after k seconds."""
        if keeper:
            return 0
        return sorted(self.living(), key=lambda name: _weight(name, call_id)).index(self._me)


def _weight(name: str, call_id: str) -> bytes:
    """Not `routing.rendezvous`: replicas of two versions rank alike while one replaces the other, so what is hashed
    here stays as it is, whatever becomes of how calls and PSAPs are spread."""
    return blake2b(f"{name}\n{call_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
