"""The policies that a firewall screens by, from its start to its end: last good on disk, what `policy` says, built in.

At the start the last good one on this replica's own disk is taken, else the built-in one; then the topic is read to its
end and followed. A bundle is taken by one assignment between two turns of the event loop, after its bytes, signatures
and form were looked at. What is torn, unsigned, wrong, expired or unreadable never is: what answered calls goes on
doing so, and log, metrics and `/readyz` say so. What is quarantined answers nothing, topic or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from throughline.v1 import screening_pb2

from services.firewall.policies.kept import Kept, LastGood, bypass_kept, quarantine_kept
from services.firewall.policies.metrics import NotTaken, PolicyMetrics
from services.firewall.policies.reading import ReadFile, read_apart
from services.firewall.policies.settings import PolicySettings
from services.firewall.policies.topic import PolicyTopic
from services.firewall.policies.trials import Trials
from services.firewall.policies.vetting import Vetting
from services.firewall.policies.wishes import Change, Wish, Wishes
from services.host.readers import Readers
from services.host.world import World
from services.journal import Follower, Topic
from services.policy.bundle import Bundle
from services.policy.files.canonical import Action
from services.policy.files.signing import NO_KEYS, Keys
from services.policy.life.canary import ran, reached, under
from services.policy.life.lifecycle import BUILT_IN_POINTER, Pointer, Stage, State, tripped
from services.policy.life.shelf import Shelf

START_PATIENCE_S: Final = 2.0
LOOK_EVERY_S: Final = 5.0
"""How often it is looked whether a canary may go on, and whether a signature has expired."""


class PolicyFeed:
    """`built_in` is what answers calls where nothing else may."""

    def __init__(self, world: World, settings: PolicySettings, built_in: Bundle, built_in_content: bytes = b"") -> None:
        self.read_file: ReadFile = partial(read_apart, world.children, world.run_blocking)
        self.keys: Keys = NO_KEYS
        self.metrics = PolicyMetrics(world.registry)
        self.built_in = built_in
        self.built_in_content = built_in_content
        self._world = world
        self._settings = settings
        self._topic = PolicyTopic(world, self.metrics, lambda: self.keys)
        self._warrants = self._topic.warrants
        self._wishes = Wishes(world, lambda: self.shelf, lambda: self._kept.serial)
        self._trials = Trials(world.wall_ms, settings.name)
        self._vetting = Vetting(world, self.metrics, self.read_file)
        self._last_good = LastGood(world, settings.policy_cache_file, self.metrics)
        self._live = built_in
        self._serving = BUILT_IN_POINTER
        self._candidate: Bundle | None = None
        self._kept = Kept()
        self._stepping: Wish | None = None
        self._readers = Readers(self._ended)
        self._changed = asyncio.Event()
        self._looked = asyncio.Event()
        self._seen = asyncio.Event()
        self._trouble = ""

    # What screening asks, anew for each call.

    def live(self) -> Bundle:
        """The bundle that answers calls."""
        return self._live

    def candidate_for(self, call_id: str, area: str) -> Bundle | None:
        """The candidate, where this call is one of its canary's: it is answered by that one then."""
        state, bundle = self.state, self._candidate
        if bundle is None or state.stage is not Stage.CANARY:
            return None
        now_ms = self._world.wall_ms()
        step = min(state.step, reached(bundle.canary, self._warrants.canary_ms(bundle.digest, now_ms), now_ms))
        return bundle if under(bundle.canary, step, bundle.digest, call_id, area) else None

    def shadowed(self) -> Bundle | None:
        """The bundle to evaluate beside the live one, off the call's way; nobody is answered by it."""
        return self._candidate if self.state.stage is Stage.SHADOW else None

    def bypassed(self) -> bool:
        """Whether an order has switched the bypass on; file and environment are `bypass.py`'s."""
        return self._warrants.bypassed(self.state)

    def tripped(self, digest: str, why: str) -> None:
        """Has a bundle quarantined, here at once and everywhere soon: a breaker's word, or a helper's that hung.

        One that does not stand, such as the built-in one or the drill's, is left alone.
        """
        state = self.state
        standing = (state.live, state.last_good, state.candidate, self._serving)
        if not digest or digest not in {each.digest for each in standing if each is not None}:
            return
        self.metrics.reverts.inc()
        self._world.logger.error("policy.tripped", digest=digest, why=why)
        by = self._settings.name
        self.wish(lambda state: tripped(state, digest, why, by, self._world.wall_ms()), urgent=True)

    def heard(self, screening: screening_pb2.Screening) -> None:
        """One screening, of this firewall or another: what a canary did is counted from these, a call once."""
        bundle = self._candidate
        if bundle is None or not self._trials.add(self.state, bundle, screening):
            return
        if why := self._trials.diverges(self.state, bundle):
            self.tripped(bundle.digest, why)

    # What operators ask.

    @property
    def shelf(self) -> Shelf:
        """The topic, as far as it was read."""
        return self._topic.shelf

    @property
    def state(self) -> State:
        """What stands, with what holds here already; before the topic was read, what stood when it last was."""
        return self._wishes.over(self.shelf.state if self.caught_up else self._kept.state)

    @property
    def serving(self) -> Pointer:
        """The bundle that answers calls here; version 0 is the built-in one."""
        return self._serving

    @property
    def caught_up(self) -> bool:
        """Whether the topic was read to the end that it had."""
        return self._looked.is_set()

    @property
    def trials(self) -> Trials:
        """How the canary goes."""
        return self._trials

    def canary_done(self) -> bool:
        """Whether the candidate has run through its plan, as far as this firewall knows."""
        bundle, now_ms = self._candidate, self._world.wall_ms()
        if bundle is None or not ran(bundle.canary, self._warrants.canary_ms(bundle.digest, now_ms), now_ms):
            return False
        return self._trials.done(self.state, bundle)

    def candidate(self) -> Bundle | None:
        """The candidate, in shadow or in its canary, where it could be taken."""
        return self._candidate

    async def bundle(self, pointer: Pointer) -> Bundle | None:
        """A bundle of the topic, whoever has signed it; None where it is none, or not there."""
        return await self._vetting.read(self.shelf, pointer)

    def content(self, pointer: Pointer) -> bytes | None:
        """A bundle's file; of what is served from this replica's disk too, where the topic does not say it."""
        content = self.shelf.content(pointer)
        return self._kept.content if content is None and pointer == self._kept.pointer else content

    def wish(self, change: Change, urgent: bool) -> Wish:
        """Wants a change of what stands; an urgent one holds here from now on."""
        wish = self._wishes.add(change, urgent)
        if urgent:
            self._hold()
            self._changed.set()
        return wish

    def withdraw(self, wish: Wish) -> None:
        """Wants it no more."""
        self._wishes.withdraw(wish)

    async def wait_for(self, stands: Callable[[Shelf], bool], within_s: float) -> bool:
        """Waits until the topic, as it was read, says so."""
        return await self._wishes.until(stands, within_s)

    def remarks(self) -> list[str]:
        """What an operator should know, one line each."""
        found = [each for each in (self._trouble, self._vetting.keys_trouble, self._last_good.trouble) if each]
        found += [f"{each}; {self._live.label} goes on" for each in self._vetting.doubts.values() if each]
        if (beside := self.shadowed()) is not None and (far := self._trials.diverges(self.state, beside)):
            found.append(f"in shadow, {far}: in its canary it would be taken back")
        if not self._looked.is_set():
            found.append(f"`policy` has not been read yet; {self._live.label} goes on")
        if self._wishes.urgent:
            found.append(f"{self._wishes.urgent} changes hold here alone: {self._wishes.trouble or 'being written'}")
        if self.caught_up and self.bypassed() and not self.state.bypass:
            found.append("`policy` says the bypass is off, and no signed order does: it stays on")
        return [f"policy: {line}" for line in found]

    # Its life.

    async def start(self) -> None:
        """Takes the best that is here, then waits a moment for the topic. Never raises for what those hold."""
        self.keys = await self._vetting.load_keys(self._settings.policy_keys)
        await self._take_kept()
        follower = self._world.log.follow(Topic.POLICY)
        self._readers.follow(follower)
        self._readers.begin(self._topic.follow(follower, self._heard_of), "policy follower")
        self._readers.begin(self._look_on(follower), "policy feed")
        self._readers.begin(self._pace(), "policy pace")
        with suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE_S):
                await self._seen.wait()

    async def stop(self) -> None:
        """Follows no longer; `live` still answers."""
        await self._readers.stop()

    async def _take_kept(self) -> None:
        if (kept := await self._last_good.read()) is None:
            return
        self._kept = kept
        self._warrants.recall(kept.serial, kept.warrants, kept.counted, kept.bypass)
        if kept.pointer.version and kept.pointer.digest not in kept.quarantined:
            # Expired or not: it was the last good one, and nothing better is here.
            bundle = await self._vetting.kept(kept, self.keys)
            if bundle is None:
                self._last_good.failed(f"version {kept.pointer.version} is not signed by known keys, or no bundle")
            else:
                self._serve(bundle, kept.pointer)
        by, now_ms = self._settings.name, self._world.wall_ms()
        self.wish(partial(bypass_kept, kept, by, now_ms), urgent=True)
        for digest in kept.quarantined:
            self.wish(partial(quarantine_kept, kept, digest, by, now_ms), urgent=True)

    def _heard_of(self) -> None:
        self._wishes.landed()
        self._hold()  # something large may be being read
        self._changed.set()

    async def _look_on(self, follower: Follower) -> None:
        """Looks once the end seen at the start is reached, then after each change and each while."""
        await follower.caught_up.wait()
        self._readers.begin(self._wishes.write_on(), "policy wishes")
        while True:
            self._changed.clear()
            self._looked.set()
            await self._look()
            self._seen.set()
            await self._changed.wait()

    async def _pace(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._changed.set()
            if self._candidate is not None and self.caught_up:
                change = self._trials.next_step(self.shelf.state, self._candidate)
                if change is not None and (self._stepping is None or self._stepping.fulfilled.done()):
                    self._stepping = self.wish(change, urgent=False)

    async def _look(self) -> None:
        """Takes what stands, or says why not."""
        self._hold()
        state = self.state
        now_ms = self._world.wall_ms()
        if self.shelf.state.serial < self._kept.serial:
            self._vetting.doubt(
                "live", NotTaken.OLDER, f"`policy` stands at {self.shelf.state.serial}, and was at {self._kept.serial}"
            )
        elif state.live == BUILT_IN_POINTER:
            self._serve(self.built_in, BUILT_IN_POINTER)
            self._vetting.doubt("live", None, "")
        else:
            back = state.live.version < self._serving.version
            served = self._live if state.live == self._serving else None
            bundle = await self._vetting.take(
                "live",
                self.shelf,
                state.live,
                self.keys,
                await self._vetting.before(self.shelf, state, self.keys, self.built_in, served),
                None if back else now_ms,
                self._warrants.lacks(state, Action.PROMOTE, state.live),
            )
            if bundle is not None and state.live.digest not in self.state.quarantined:
                self._serve(bundle, state.live)
            elif bundle is None and back:  # what is left must not go on because of what it was left for
                self._serve(self.built_in, BUILT_IN_POINTER)
        candidate = state.candidate
        bundle = None
        if candidate is None:
            self._vetting.doubt("candidate", None, "")
        else:
            answers = state.stage is Stage.CANARY  # in shadow it answers nobody, and needs nobody's order
            unordered = self._warrants.lacks(state, Action.CANARY, candidate) if answers else ""
            bundle = await self._vetting.take(
                "candidate", self.shelf, candidate, self.keys, self._live, now_ms, unordered
            )
        self._candidate = bundle
        self._hold()
        self.shelf.forget()
        await self._keep()

    def _hold(self) -> None:
        """Lets go, at once, of what may not answer calls any more."""
        state = self.state
        if self._candidate is not None and (
            state.candidate is None or state.candidate.digest != self._candidate.digest
        ):
            self._candidate = None
        unread = not self.caught_up and self._serving != state.live
        stands = self.caught_up and self.shelf.state.serial >= self._kept.serial
        left = stands and state.live.version < self._serving.version  # the next look may be a while
        if unread or left or (self._serving.digest and self._serving.digest in state.quarantined):
            back = self._vetting.known(state.live)
            if back is not None and state.live.digest not in state.quarantined:
                self._serve(back, state.live)
            else:
                self._serve(self.built_in, BUILT_IN_POINTER)
        self.metrics.candidate.set(state.candidate.version if self._candidate and state.candidate else 0)
        self.metrics.unwritten.set(self._wishes.urgent)
        self.metrics.quarantined.set(self.shelf.unmended(state))

    def _serve(self, bundle: Bundle, pointer: Pointer) -> None:
        if bundle is not self._live:
            self.metrics.taken.inc()
            self._world.logger.info("policy.taken", policy=bundle.label, version=pointer.version, digest=pointer.digest)
        self._live, self._serving = bundle, pointer
        self.metrics.version.set(pointer.version)

    async def _keep(self) -> None:
        state = self.state
        content = self.content(self._serving) if self._serving.version else b""
        if content is None:
            return
        signatures = self.shelf.signatures(self._serving) or self._kept.signatures
        serial = max(self.shelf.state.serial, self._kept.serial)
        orders = tuple(each for each in state.warrants if self._warrants.counts(each)), self._warrants.latest
        stood = state.quarantined, self.bypassed(), state.latest
        kept = Kept(serial, self._serving, content, signatures, *stood, *orders)
        self._kept = kept
        await self._last_good.write(kept)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self._readers.stopping:
            mistake = None if task.cancelled() else task.exception()
            self._trouble = "the reader of `policy` has ended, by a mistake of ours, until a restart"
            self._world.logger.error("policy.feed_failed", cancelled=task.cancelled(), exc_info=mistake)
