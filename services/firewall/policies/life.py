"""The life of policies in one firewall, whole: what is followed, the switch past it, and what operators are answered.

Screening asks it as it asks any policies (`live`, `candidate_for`, `bypassed` and so on); the firewall starts and stops
it, serves what it serves, and gives it the drill.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from throughline.v1 import screening_pb2

from services.firewall.policies.bypass import Bypass, Drill
from services.firewall.policies.checking import Checked
from services.firewall.policies.feed import PolicyFeed
from services.firewall.policies.service import PolicyService
from services.firewall.policies.settings import PolicySettings
from services.host.network import Served
from services.host.world import World
from services.policy.bundle import Bundle


class PolicyLife:
    """`built_in` is what answers calls where nothing else may, `content` the file that it was read from."""

    def __init__(
        self,
        world: World,
        settings: PolicySettings,
        built_in: Bundle,
        content: bytes,
        drill: Drill,
        check: Callable[[bytes], Awaitable[Checked]],
    ) -> None:
        self.feed = PolicyFeed(world, settings, built_in, content)
        self.bypass = Bypass(world, settings, self.feed, drill)
        self.service = PolicyService(world, settings, self.feed, self.bypass, check)

    def live(self) -> Bundle:
        """The bundle that answers calls."""
        return self.feed.live()

    def candidate_for(self, call_id: str, area: str) -> Bundle | None:
        """The candidate, where its canary answers this call."""
        return self.feed.candidate_for(call_id, area)

    def shadowed(self) -> Bundle | None:
        """The candidate that is only watched."""
        return self.feed.shadowed()

    def candidate(self) -> Bundle | None:
        """The candidate, in shadow or in its canary."""
        return self.feed.candidate()

    def bypassed(self, call_id: str) -> bool:
        """See `Bypass.passes`."""
        return self.bypass.passes(call_id)

    def tripped(self, digest: str, why: str) -> None:
        """Has a bundle quarantined, here at once and everywhere soon."""
        self.feed.tripped(digest, why)

    def quarantined(self, digest: str) -> bool:
        """Whether that bundle is out."""
        return digest in self.feed.state.quarantined

    def heard(self, screening: screening_pb2.Screening) -> None:
        """One screening: its own as it is published, everybody's from `screenings`."""
        self.feed.heard(screening)
        self.service.heard(screening)

    def served(self) -> Sequence[Served]:
        """What the firewall's server serves beside its screening."""
        return self.service.served()

    def remarks(self) -> list[str]:
        """What an operator should know, one line each."""
        return [*self.feed.remarks(), *self.bypass.remarks()]

    async def start(self) -> None:
        """Takes the best that is here, then waits a moment for the topic."""
        await self.feed.start()
        await self.bypass.start()

    async def stop(self) -> None:
        """Follows no longer; `live` still answers."""
        await self.bypass.stop()
        await self.feed.stop()
