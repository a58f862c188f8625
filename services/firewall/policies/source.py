"""Where the bundles come from that calls are screened by: the port between screening and the life of policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from throughline.v1 import screening_pb2

from services.host.network import Served
from services.policy.bundle import Bundle
from services.policy.files.built_in import built_in


class Policies(Protocol):
    """What screening asks, anew for each call, and what it tells."""

    def live(self) -> Bundle:
        """The bundle that answers calls."""
        ...

    def candidate_for(self, call_id: str, area: str) -> Bundle | None:
        """The candidate, where its canary answers this call."""
        ...

    def shadowed(self) -> Bundle | None:
        """The candidate that is only watched."""
        ...

    def candidate(self) -> Bundle | None:
        """The candidate, whichever of the two it is: it must be ready before a call comes to it."""
        ...

    def bypassed(self, call_id: str) -> bool:
        """Whether this call passes, whatever bundles say: every one does, while the bypass is on."""
        ...

    def tripped(self, digest: str, why: str) -> None:
        """A breaker has tripped, or the evaluator fell, by this bundle: it is asked no more, until an operator says
        so."""
        ...

    def quarantined(self, digest: str) -> bool:
        """Whether that bundle is out: no call may be answered by it."""
        ...

    def heard(self, screening: screening_pb2.Screening) -> None:
        """One screening: its own as it is published, everybody's from `screenings`; so its own come twice."""
        ...

    def served(self) -> Sequence[Served]:
        """What the firewall's server serves beside its screening."""
        ...

    def remarks(self) -> list[str]:
        """What an operator should know, one line each."""
        ...

    async def start(self) -> None:
        """Takes the best that is here."""
        ...

    async def stop(self) -> None:
        """Follows no longer; `live` still answers."""
        ...


class Standing:
    """One bundle, the built-in one where none is named, and once it has tripped: a firewall without a life of policies,
    for tests."""

    def __init__(self, bundle: Bundle | None = None) -> None:
        self.built_in = built_in()
        self.on = bundle if bundle is not None else self.built_in
        self.bypass = False
        self.candidate_bundle: Bundle | None = None
        self.trips: list[tuple[str, str]] = []

    def live(self) -> Bundle:
        """See `Policies.live`."""
        return self.on

    def candidate_for(self, call_id: str, area: str) -> Bundle | None:
        """See `Policies.candidate_for`."""
        return None

    def shadowed(self) -> Bundle | None:
        """See `Policies.shadowed`."""
        return self.candidate_bundle

    def candidate(self) -> Bundle | None:
        """See `Policies.candidate`."""
        return self.candidate_bundle

    def bypassed(self, call_id: str) -> bool:
        """See `Policies.bypassed`."""
        return self.bypass

    def tripped(self, digest: str, why: str) -> None:
        """See `Policies.tripped`."""
        self.trips.append((digest, why))
        if digest == self.on.digest:
            self.on = self.built_in

    def quarantined(self, digest: str) -> bool:
        """See `Policies.quarantined`."""
        return digest in {tripped for tripped, _ in self.trips}

    def heard(self, screening: screening_pb2.Screening) -> None:
        """See `Policies.heard`."""

    def served(self) -> Sequence[Served]:
        """See `Policies.served`."""
        return ()

    def remarks(self) -> list[str]:
        """See `Policies.remarks`."""
        return []

    async def start(self) -> None:
        """See `Policies.start`."""

    async def stop(self) -> None:
        """See `Policies.stop`."""
