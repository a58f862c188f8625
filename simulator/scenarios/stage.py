"""One run of a scenario: the whole installation, the world outside, and operators who push policies over the network.

Every push is what `throughline policy` sends: signed by the simulator's two operators, to one of the firewalls.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import structlog
from throughline.v1 import policy_pb2, screening_pb2

from loadtest.callers import Planned
from loadtest.carrier import Carrier
from services.domain.publication import parts_of
from services.firewall.screening import FAILED_OPEN
from services.host.network import Broken
from services.host.network.memory import MemoryNetwork
from services.journal import Topic
from services.journal.memory import Faults, MemoryBroker, MemoryLog
from services.policy.bundle import Bundle
from services.policy.files.canonical import Action, Order
from services.policy.files.signing import sign_bundle, sign_order
from services.policy.life.lifecycle import Pointer, State, Warrant, warranted
from services.policy.life.shelf import Entry, Shelf, SignedBy, Submitted
from services.wire import policy_records
from services.wire.methods import DIRECT_POLICY, POLICY_STATUS, SUBMIT_POLICY, Question
from simulator.cables import Cables
from simulator.injuries import KINDS, Scene
from simulator.installation import BYPASS_FILE, SERVICE_OF, Installation
from simulator.moments import Moments
from simulator.outside import Outside
from simulator.region import FOLDER, LINES, OPERATORS, texts
from simulator.replicas import Ground, Replica
from simulator.run import COMES_UP_S, HUMANS, LOOKS_EACH_S, SETTLES_WITHIN_S, surroundings
from simulator.scenarios.figures import Figures, count, heard
from simulator.settling import Settling
from simulator.virtual_loop import running_loop, virtual_wall_ms

DAY_MS: Final = 86_400_000
ASKED_WITHIN_S: Final = 10.0
BOTH: Final = ("ann", "bob")
DESK: Final = "nuisance-desk"
_SILENT: Final = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
Script = Callable[["Stage"], Awaitable[None]]


class Stage:
    """`desk_channels` staffs the nuisance desk; `carrier` is how networks carry calls."""

    def __init__(self, seed: int, desk_channels: int, carrier: type[Carrier] = Carrier) -> None:
        by = random.Random(repr((seed, "scenario")))
        self.cables = Cables(random.Random(by.random()), SERVICE_OF.__contains__)
        self.network = self.cables.network = MemoryNetwork(links=self.cables)
        self.broker = MemoryBroker(virtual_wall_ms)
        self.notes: dict[str, Any] = {}
        """What was found on the way, for the promises and for who reads."""
        self.by = by
        """For what is drawn while it runs, such as how much of a write was done."""
        lines = [replace(each, channels=desk_channels) if each.owner == DESK else each for each in LINES]
        files = dict(texts())
        rows = files[FOLDER / "lines.csv"].splitlines()
        staffed = [f"{row.rpartition(',')[0]},{desk_channels}" if row.startswith(DESK) else row for row in rows]
        files[FOLDER / "lines.csv"] = "\n".join(staffed) + "\n"
        self.installation = Installation(Ground(self.cables, self.broker, files, by, _SILENT))
        self.outside = Outside(
            replace(surroundings(), lines=lines),
            lambda who: self.network.host(who.rpartition(":")[0] or who),
            seed=seed,
            wall_ms=virtual_wall_ms,
            human_speed=HUMANS,
            carrier=carrier,
        )
        moments = Moments(self.broker, self.network.context)
        scene = Scene(self.installation, self.outside, self.cables, self.network, self.broker, by, moments, KINDS)
        self._settling = Settling(scene)
        self._operator = self.network.host("operator")
        self._made_ms = 0
        self._began_s = 0.0
        self._struck_ms = 0

    @property
    def firewalls(self) -> list[Replica]:
        """All of them."""
        return self.installation.of("firewall")

    # A run.

    async def play(self, plan: Sequence[Planned], script: Script) -> None:
        """Everybody in the plan calls while the script goes on; returns when all has come to rest."""
        self.installation.start()
        await self.outside.start()
        await asyncio.sleep(COMES_UP_S)
        self._began_s, self._struck_ms = running_loop().time(), virtual_wall_ms()
        probing = asyncio.ensure_future(self._settling.probe())
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self.outside.run(plan))
                both.create_task(_awaited(script(self)))
            await self._settle()
        finally:
            probing.cancel()
            self.installation.close()

    async def _settle(self) -> None:
        """Until every call has an end in the books."""
        for _ in range(round(SETTLES_WITHIN_S / LOOKS_EACH_S)):
            await asyncio.sleep(LOOKS_EACH_S)
            self._settling.read_on()
            if not self._settling.reading.in_progress():
                return

    async def at(self, second: float) -> None:
        """Waits for that second since the first caller."""
        await asyncio.sleep(max(0.0, self._began_s + second - running_loop().time()))

    def strikes(self) -> None:
        """Now it begins to go wrong."""
        self._struck_ms = virtual_wall_ms()

    # Operators.

    async def hand_in(self, content: bytes, *signers: str, signed_ms: int | None = None, valid_ms: int = DAY_MS) -> str:
        """Submits a bundle; says why it was refused, and nothing where it was not."""
        bundle, now_ms = _bundle(content), virtual_wall_ms() if signed_ms is None else signed_ms
        signatures = [sign_bundle(OPERATORS[who], who, bundle, now_ms, valid_ms) for who in signers]
        asked = policy_pb2.SubmitRequest(
            content=content, signatures=[policy_records.signature_to_wire(each) for each in signatures]
        )
        return await self._asked(SUBMIT_POLICY, asked)

    async def order(self, action: Action, content: bytes = b"", *signers: str, force: bool = False) -> str:
        """Has an order followed; says why it was refused."""
        self._made_ms = max(self._made_ms + 1, virtual_wall_ms())
        bundle = _bundle(content) if content else None
        version, digest = (bundle.version, bundle.digest) if bundle is not None else (0, "")
        order = Order(action, self._made_ms, version, digest, force)
        signatures = [sign_order(OPERATORS[who], who, order, virtual_wall_ms()) for who in signers]
        asked = policy_pb2.DirectRequest(
            order=policy_records.order_to_wire(order),
            signatures=[policy_records.signature_to_wire(each) for each in signatures],
        )
        return await self._asked(DIRECT_POLICY, asked)

    async def force_live(self, content: bytes, valid_ms: int = DAY_MS) -> None:
        """Past all gates: signed by two, promoted at once."""
        for refused in (
            await self.hand_in(content, *BOTH, valid_ms=valid_ms),
            await self.order(Action.PROMOTE, content, *BOTH, force=True),
        ):
            assert not refused, f"expected that two people can force it, got {refused}"

    async def write_past_the_firewalls(self, content: bytes) -> None:
        """Writes a bundle and makes it live on the topic itself, which no tool of ours does."""
        log = MemoryLog(self.broker)
        bundle, now_ms = _bundle(content), virtual_wall_ms()
        pointer = Pointer(bundle.version, bundle.digest)
        entries: list[Entry] = [*parts_of(content), Submitted(pointer, len(content), "", "", now_ms)]
        entries += [SignedBy(pointer, sign_bundle(OPERATORS[who], who, bundle, now_ms, DAY_MS)) for who in BOTH]
        stands = self.stands()
        order = Order(Action.PROMOTE, now_ms, pointer.version, pointer.digest, force=True)
        ordered = Warrant(order, tuple(sign_order(OPERATORS[who], who, order, now_ms) for who in BOTH))
        after = replace(stands, serial=stands.serial + 1, live=pointer, last_good=stands.live, at_ms=now_ms)
        entries.append(warranted(after, ordered))
        for entry in entries:
            key, value = policy_records.encode(entry, "operator")
            await log.append(Topic.POLICY, key, value)

    async def status(self, at: str = "firewall-1") -> policy_pb2.PolicyServiceStatusResponse:
        """What one firewall says of itself."""
        asked = policy_pb2.PolicyServiceStatusRequest()
        return await self._operator.ask(f"{at}:1", POLICY_STATUS, asked, within_s=ASKED_WITHIN_S)

    async def _asked(self, question: Question[Any, Any], asked: Any) -> str:
        try:
            await self._operator.ask("firewall-1:1", question, asked, within_s=ASKED_WITHIN_S)
        except Broken as broken:
            return broken.detail or broken.status.value
        return ""

    def bypass_by_file(self) -> None:
        """As by `sudo touch` on every firewall's machine, by somebody whose files nobody else may read."""
        for replica in self.firewalls:
            replica.laid.unreadable.add(BYPASS_FILE)

    def deciding_ails(self, digest: str, *, hangs: bool = False, ends: bool = False) -> None:
        """From now on every firewall's evaluator hangs, or ends, when it is asked about that bundle."""
        self._ail(f'"digest": "{digest}", "inputs"', hangs, ends)

    def loading_ails(self, digest: str, *, hangs: bool = False, ends: bool = False) -> None:
        """From now on it does so when it is given that bundle to hold."""
        self._ail(f'"bundle": {{"digest": "{digest}"', hangs, ends)

    def _ail(self, words: str, hangs: bool, ends: bool) -> None:
        for replica in self.firewalls:
            ailment = replica.ailment
            ailment.over, ailment.hangs, ailment.ends = words.encode(), hangs, ends

    def kafka_is_away(self, away: bool) -> None:
        """For every firewall, until it is told that it is back."""
        for replica in self.firewalls:
            replica.suffer(Faults(absent=away))

    # What can be seen.

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return virtual_wall_ms()

    def unscreened(self) -> int:
        """Calls that went on without a verdict so far."""
        return round(
            sum(
                value
                for replica in self.installation.of("ingress")
                for key, value in replica.counts().items()
                if key.startswith("throughline_ingress_calls_screened_total{") and "unscreened" in key
            )
        )

    def screenings(self) -> list[screening_pb2.Screening]:
        """Every record of the firewalls, oldest first."""
        told = [screening_pb2.Screening.FromString(record.value) for record in self.broker.records(Topic.SCREENINGS)]
        return sorted(told, key=lambda each: (each.at_ms, each.call_id, each.leg))

    def screened(self, since_ms: int) -> int:
        """Calls for which a bundle's rules were asked, from that instant on."""
        told = self.screenings()
        return sum(each.at_ms >= since_ms and not each.shadow and each.verdict.policy != FAILED_OPEN for each in told)

    def failed_open(self, since_ms: int) -> int:
        """Calls that passed because no bundle could be asked."""
        told = self.screenings()
        return sum(each.at_ms >= since_ms and each.verdict.policy == FAILED_OPEN for each in told)

    def history(self) -> list[str]:
        """What stood one after the other, and why, the oldest first."""
        return [f"version {each.live.version} live ({each.why})" for each in self._shelf().changes]

    def stands(self) -> State:
        """What the topic says that stands."""
        return self._shelf().state

    def _shelf(self) -> Shelf:
        shelf = Shelf()
        for record in self.broker.records(Topic.POLICY):
            entry = policy_records.read(record.key, record.value)
            if entry is not None:
                shelf.put(entry)
        return shelf

    async def serving(self) -> list[int]:
        """The version that answers calls, by firewall."""
        return [(await self.status(replica.name)).serving_version for replica in self.firewalls]

    def diverted(self) -> set[str]:
        """Calls that a firewall told to divert."""
        told = self.screenings()
        return {each.call_id for each in told if not each.shadow and each.verdict.WhichOneof("said") == "divert"}

    def alarms(self, *words: str) -> list[str]:
        """What firewalls said against themselves that has all these words."""
        said = {each.text for replica in self.firewalls for each in self._settling.alarms.get(replica.name, ())}
        return sorted(each for each in said if all(word in each for word in words))

    def counted(self, name: str) -> float:
        """A firewalls' metric, over all of them and all its labels."""
        return sum(
            value
            for replica in self.firewalls
            for key, value in replica.counts().items()
            if key.partition("{")[0] == name
        )

    def failures(self) -> list[str]:
        """Processes that ended though nobody hurt them."""
        replicas = self.installation.replicas.items()
        return [f"{name} ended: {each!r}" for name, replica in replicas for each in replica.failures]

    def figures(self, among: Callable[[str], bool] = lambda call_id: True) -> Figures:
        """What became of the calls, or of those among them."""
        calls = {call_id: call for call_id, call in heard(self.outside.callers).items() if among(call_id)}
        kept = self._settling.reading.kept()
        listed = {
            entry["call_id"]
            for entry in kept.entries
            if entry["event"] == "outcome" and entry["outcome"] in ("callback_open", "callback_closed")
        }
        return count(calls, self.diverted(), listed, self._struck_ms)


def digest_of(content: bytes) -> str:
    """By which a bundle is known."""
    return sha256(content).hexdigest()


def _bundle(content: bytes) -> Bundle:
    """What is signed of it: its version and its bytes. Whether it is a bundle, the firewall must find out."""
    version = re.search(rb"^version: (\d+)$", content, re.MULTILINE)
    assert version is not None, "expected a version on a line of its own"
    return Bundle("", int(version[1]), "", digest=digest_of(content))


async def _awaited(script: Awaitable[None]) -> None:
    await script
