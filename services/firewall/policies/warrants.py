"""Which of what stands on `policy` was ordered, by people whom this firewall knows, and not once before.

A bundle's signatures say that it may be used; they do not say that it is to be used now. Who can write to the topic
could else call any older bundle live that two people once signed, say a canary to its end, take a fallen one out of
quarantine, or switch the bypass off. So each state carries the orders that led to it, and a firewall follows their
history as it reads: an order counts that is newer than all that counted before, or has stood ever since it did. Of two
made in one millisecond the one that stands later is the newer (services/policy/life/latest.py). What takes a policy
back needs none: to let more calls pass is always easy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from services.policy.files.canonical import Action
from services.policy.files.signing import SKEW_MS, Keys, people_for_order
from services.policy.life.latest import NONE_YET, Latest
from services.policy.life.lifecycle import BUILT_IN_POINTER, Pointer, State, Warrant

ASKED_MAX: Final = 200


class Warrants:
    """As far as the topic was read. `keys` are asked anew each time."""

    def __init__(self, keys: Callable[[], Keys], wall_ms: Callable[[], int]) -> None:
        self._keys = keys
        self._wall_ms = wall_ms
        self._seen_serial = 0
        self._asked: dict[Warrant, bool] = {}
        self.latest = NONE_YET
        """Of the orders that ever counted here."""
        self.standing: tuple[Warrant, ...] = ()
        """Those that count now, of what stands."""
        self.bypass = False
        """Whether the bypass was switched on, and by no order off since."""

    def recall(self, serial: int, standing: Iterable[Warrant], latest: Latest, bypass: bool) -> None:
        """What this firewall had seen before it was started again, from its own disk."""
        self._seen_serial, self.latest, self.bypass = serial, latest, bypass
        self.standing = tuple(standing)

    def follow(self, state: State) -> None:
        """The next state of the chain. One that was seen before a restart teaches nothing."""
        if state.serial <= self._seen_serial:
            return
        self._seen_serial = state.serial
        self.bypass = self.bypassed(state)
        self.standing = tuple(each for each in state.warrants if self.counts(each))
        latest_ms = self._wall_ms() + SKEW_MS  # a clock of the future bars no order of now
        for order in (each.order for each in self.standing):
            if order.made_ms <= latest_ms and not self.latest.bars(order):
                self.latest = self.latest.after(order)

    def bypassed(self, state: State) -> bool:
        """Whether the bypass is on in that state: on by anybody's word, off by a signed order alone."""
        if state.bypass or not self.bypass:
            return state.bypass
        return not any(each.order.action is Action.BYPASS_OFF and self.counts(each) for each in state.warrants)

    def lacks(self, state: State, action: Action, pointer: Pointer) -> str:
        """Why that bundle may not stand there; empty where it may."""
        if pointer == BUILT_IN_POINTER:
            return ""
        named = (action, pointer.version, pointer.digest)
        found = [each for each in state.warrants if (each.order.action, each.order.version, each.order.digest) == named]
        if any(self.counts(each) for each in found):
            return ""
        if any(self._signed(each) for each in found):
            return "it stands by an order that was followed before, and given up since"
        return f"expected the signed order to {action.name.lower()} it, and nobody known gave one"

    def canary_ms(self, digest: str, now_ms: int) -> int:
        """When that bundle's canary was ordered; now where by no order that counts. Others stand on the topic too."""
        asked = (each.order for each in self.standing if each.order.digest == digest)
        return max((order.made_ms for order in asked if order.action is Action.CANARY), default=now_ms)

    def counts(self, warrant: Warrant) -> bool:
        """Whether it is signed, and newer than all that ever counted, or stands since it did."""
        known = any(each.order == warrant.order for each in self.standing)
        return (known or not self.latest.bars(warrant.order)) and self._signed(warrant)

    def _signed(self, warrant: Warrant) -> bool:
        """By as many people as it takes, each at the moment of signing: what stands does not fall by time alone."""
        known = self._asked.get(warrant)
        if known is None:
            order = warrant.order
            counted = (self._keys().of_order(order, [each], each.signed_ms) for each in warrant.signatures)
            signers = {signer for signed in counted for signer in signed.signers}
            if len(self._asked) >= ASKED_MAX:
                self._asked.clear()
            known = self._asked[warrant] = len(signers) >= people_for_order(order)
        return known
