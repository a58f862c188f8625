"""Where to: which PSAP a call is offered to next, and through which gateways, in which order (protocol.md R4, R8).

Each gateway publishes what it sees of the PSAPs. `StatusView` folds those snapshots; `choose` reads the view. Status is
advice, never a gate: a snapshot that is old, or a PSAP that no gateway has spoken of, means "unknown", and unknown
means "try", because a wrong try costs milliseconds and a wrong refusal costs a call.

Whether a PSAP is *full* is not kept here: that changes by the second, and the PSAP itself says it at once when offered.
How many calls it has is kept for policies (`calls_at`); no route is chosen by it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b

STALE_AFTER_SECONDS = 6.0
"""Three missed snapshots (one each 2 s): from then on what a gateway said counts as unknown (R8)."""


class Reach(StrEnum):
    """What is known about reaching a PSAP: in one gateway's row, or over all of them."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one gateway said about the PSAPs, all of it at once.

    `incarnation` sorts later with each start of the gateway's process, `seq` rises with each snapshot of that process.
    `at` is when this was true, in the reader's own monotonic seconds: `now` less the record's age, so that an old
    record read back from the compacted topic does not look fresh. A PSAP that is missing from `rows` is unknown to
    that gateway. `calls` has those PSAPs at which it knows calls that ring or talk, and how many.
    """

    gateway_id: str
    address: str
    incarnation: str
    seq: int
    at: float
    rows: Mapping[str, Reach]
    calls: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatusView:
    """The newest snapshot of each gateway. The fold does not care about order or repeats."""

    newest: Mapping[str, Snapshot] = field(default_factory=dict)

    def fold(self, snapshot: Snapshot) -> "StatusView":
        """The view with `snapshot` in it, or this same view when a newer one of that gateway is already known.

        Of two copies of one snapshot the earlier stays: a record delivered twice does not become fresh again.
        """
        known = self.newest.get(snapshot.gateway_id)
        if known is not None and _age_key(snapshot) <= _age_key(known):
            return self
        return StatusView({**self.newest, snapshot.gateway_id: snapshot})

    def reach_by_address(
        self, psap_id: str, now: float, stale_after_seconds: float = STALE_AFTER_SECONDS
    ) -> dict[str, Reach]:
        """Gateway address -> what it says of `psap_id`; UNKNOWN when its snapshot is stale or silent on the PSAP."""
        reach: dict[str, Reach] = {}
        for snapshot in self.newest.values():
            fresh = now - snapshot.at <= stale_after_seconds
            row = snapshot.rows.get(psap_id, Reach.UNKNOWN) if fresh else Reach.UNKNOWN
            reach[snapshot.address] = _better(row, reach.get(snapshot.address))
        return reach

    def calls_at(self, psap_id: str, now: float, stale_after_seconds: float = STALE_AFTER_SECONDS) -> int:
        """How many calls ring or talk at a PSAP: the most that one gateway freshly says; 0 where none does.

        Not their sum: a PSAP's hello names at each gateway what another has connected (R5), and a dead gateway's last
        word stands for six seconds beside that of the one through which its calls ring on. So no call counts twice, and
        the number is too low while a PSAP's calls are spread over gateways; nearly all of them go through one (R4).
        """
        fresh = (each for each in self.newest.values() if now - each.at <= stale_after_seconds)
        return max((each.calls.get(psap_id, 0) for each in fresh), default=0)


def _age_key(snapshot: Snapshot) -> tuple[str, int, float, str, list[tuple[str, Reach]], list[tuple[str, int]]]:
    """Orders the snapshots of one gateway, oldest first; total, so that the fold has one answer even for liars."""
    said = sorted(snapshot.rows.items()), sorted(snapshot.calls.items())
    return snapshot.incarnation, snapshot.seq, -snapshot.at, snapshot.address, *said


_TRY_ORDER = (Reach.REACHABLE, Reach.UNKNOWN, Reach.UNREACHABLE)


def _better(row: Reach, other: Reach | None) -> Reach:
    """The more hopeful of two rows: for an address that two gateway ids claim."""
    return row if other is None else min(row, other, key=_TRY_ORDER.index)


class RouteReason(StrEnum):
    """Why this PSAP was chosen, or none."""

    PRIMARY = "primary"
    PRIMARY_UNKNOWN = "primary_unknown"
    PRIMARY_UNREACHABLE = "primary_unreachable"
    ALTERNATE = "alternate"
    ALTERNATE_UNKNOWN = "alternate_unknown"
    ALTERNATE_UNREACHABLE = "alternate_unreachable"
    ALL_EXCLUDED = "all_excluded"
    NO_CANDIDATES = "no_candidates"


_REASONS = {
    (True, Reach.REACHABLE): RouteReason.PRIMARY,
    (True, Reach.UNKNOWN): RouteReason.PRIMARY_UNKNOWN,
    (True, Reach.UNREACHABLE): RouteReason.PRIMARY_UNREACHABLE,
    (False, Reach.REACHABLE): RouteReason.ALTERNATE,
    (False, Reach.UNKNOWN): RouteReason.ALTERNATE_UNKNOWN,
    (False, Reach.UNREACHABLE): RouteReason.ALTERNATE_UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class Route:
    """The next PSAP to offer the call to, and the gateways (addresses) to try, best first.

    `psap_id` is None, and `gateways` empty, only when no candidate is left. `reachable` is False when every gateway
    freshly says that it cannot reach the PSAP: the ladder then turns to that PSAP's own administrative lines at once.
    """

    psap_id: str | None
    gateways: tuple[str, ...]
    reachable: bool
    reason: RouteReason


def choose(
    candidates: Sequence[str],
    excluded: Collection[str],
    view: StatusView,
    now: float,
    all_gateways: Sequence[str],
    stale_after_seconds: float = STALE_AFTER_SECONDS,
) -> Route:
    """The first candidate that is not excluded, with the gateways to try (R4, R8).

    `candidates` are PSAP ids in order of preference, the first being the primary; `all_gateways` are the addresses
    known by configuration, to which the view adds those it has heard. A primary is never passed over for being
    unreachable: the route says so and the call's ladder decides. An alternate that is unreachable is passed over while
    a later one is not, since standing in for another PSAP is all that an alternate is asked for.
    """
    if not candidates:
        return Route(None, (), False, RouteReason.NO_CANDIDATES)
    fallback: Route | None = None
    for place, psap_id in enumerate(candidates):
        if psap_id in excluded:
            continue
        route = _route_to(psap_id, place == 0, view, now, all_gateways, stale_after_seconds)
        if place == 0 or route.reachable:
            return route
        fallback = fallback or route
    return fallback or Route(None, (), False, RouteReason.ALL_EXCLUDED)


def _route_to(
    psap_id: str, primary: bool, view: StatusView, now: float, all_gateways: Sequence[str], stale_after_seconds: float
) -> Route:
    reach = dict.fromkeys(all_gateways, Reach.UNKNOWN) | view.reach_by_address(psap_id, now, stale_after_seconds)
    gateways = sorted(reach, key=lambda address: (_TRY_ORDER.index(reach[address]), rendezvous(psap_id, address)))
    best = reach[gateways[0]] if gateways else Reach.UNREACHABLE
    return Route(psap_id, tuple(gateways), best is not Reach.UNREACHABLE, _REASONS[primary, best])


def rendezvous(key: str, address: str) -> bytes:
    """Spreads PSAPs over gateways, and calls over replicas: the same in every process, hardly changed by a death.

    Who takes over a dead conductor's calls is ranked by a hash of its own (`take_overs/ranks.py`), which stays as it is
    where this one is changed.
    """
    return blake2b(f"{key}\0{address}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
