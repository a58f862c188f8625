"""Where the bundles come from that calls are screened by: the port between screening and the life of policies."""

from __future__ import annotations

from typing import Protocol

from throughline.v1 import screening_pb2

from services.policy.built_in import built_in
from services.policy.bundle import Bundle


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

    def bypassed(self) -> bool:
        """Whether every call passes."""
        ...

    def tripped(self, digest: str, why: str) -> None:
        """A breaker has tripped, or the evaluator fell, by this bundle: it is asked no more, until an operator says
        so."""
        ...

    def heard(self, screening: screening_pb2.Screening) -> None:
        """One record of `screenings`, of whichever firewall."""
        ...


class Standing:
    """One bundle for good, the built-in one where none is named; once it has tripped, the built-in one."""

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

    def bypassed(self) -> bool:
        """See `Policies.bypassed`."""
        return self.bypass

    def tripped(self, digest: str, why: str) -> None:
        """See `Policies.tripped`."""
        self.trips.append((digest, why))
        if digest == self.on.digest:
            self.on = self.built_in

    def heard(self, screening: screening_pb2.Screening) -> None:
        """See `Policies.heard`."""
