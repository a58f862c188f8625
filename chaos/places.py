"""Where each process lives: all on the loopback, or each in a network namespace of its own (links.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Places(Protocol):
    """Names to addresses."""

    @property
    def outside(self) -> str:
        """The address of callers, PSAPs and trunks."""
        ...

    def host(self, name: str) -> str:
        """The address of a process."""
        ...

    def within(self, name: str) -> Sequence[str]:
        """The command that becomes a process there."""
        ...

    def settings(self, service: str, name: str) -> Mapping[str, str]:
        """What a replica must be told to listen there."""
        ...


class Loopback:
    """Everybody is at 127.0.0.1."""

    outside = "127.0.0.1"

    def host(self, name: str) -> str:
        return self.outside

    def within(self, name: str) -> Sequence[str]:
        return ()

    def settings(self, service: str, name: str) -> Mapping[str, str]:
        return {}
