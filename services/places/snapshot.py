"""Which of several copies of a region to serve: the first that is good, with the reasons why the others were not.

A region comes baked in, from the last good copy on disk, or from the newest publication. A broken newest copy must
never take the service down, and must never be silent: the caller logs `refused` and shows it in readiness.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.places.refusal import RegionRefused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """One copy of a region: what to call it ("newest", "last_good", "baked_in") and its texts by file name."""

    name: str
    texts: Mapping[str, str | bytes]


@dataclass(frozen=True, slots=True)
class Refused:
    """A copy that could not be used, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chosen(Generic[T]):
    """The region to serve, the copy it came from, and the copies that were tried before it."""

    region: T
    source: str
    refused: tuple[Refused, ...]


def first_good(sources: Iterable[Source], read: Callable[[Mapping[str, str | bytes]], T]) -> Chosen[T]:
    """The first of `sources`, which come best first, that `read` does not refuse. Those after it are not looked at.

    Raises RegionRefused, with every reason in it, when none is good.
    """
    refused: list[Refused] = []
    for source in sources:
        try:
            return Chosen(read(source.texts), source.name, tuple(refused))
        except RegionRefused as refusal:
            refused.append(Refused(source.name, refusal.reason))
    reasons = "; ".join(f"{each.source}: {each.reason}" for each in refused) or "no source was given"
    raise RegionRefused(f"no good copy of the region: {reasons}")
