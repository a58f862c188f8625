"""The commands that ask firewalls, against a firewall's own policy service over gRPC: the whole way, and back.

The log is in memory and the clock is real; what a firewall decides has tests of its own (tests/services).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import policy_pb2, screening_pb2
from typer.testing import CliRunner, Result

from services.firewall.policies.bypass import Bypass
from services.firewall.policies.feed import PolicyFeed
from services.firewall.policies.service import PolicyService
from services.firewall.policies.settings import PolicySettings
from services.host.blocking import at_once
from services.host.clock import wall_ms
from services.host.files import MemoryFiles
from services.host.network.grpc import GrpcNetwork
from services.host.world import World
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.policy.bundle import PASSES_ALL
from services.policy.files.built_in import built_in
from services.policy.files.canonical import Action, Order
from services.policy.files.reading import read_bundle
from services.policy.files.signing import sign_order
from services.policy.life.lifecycle import Pointer
from services.policy.life.shelf import Submitted
from services.policy_cli import seals
from services.policy_cli.commands import policy
from services.wire.methods import DIRECT_POLICY
from services.wire.policy_records import order_to_wire, signature_to_wire
from tests.policy.files import NUISANCE, text

KEYS = Path("keys")


class Desk:
    """One firewall that answers operators, and a folder of theirs with two keys and a bundle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle = folder / "nuisance.yaml"
        self.bundle.write_text(text())
        keys = "".join(self._invoke("keygen", name, "--folder", str(folder)).stdout for name in ("ann", "bob"))
        self.network = GrpcNetwork()
        world = World(
            name="firewall-1",
            incarnation="000000000000-0001",
            network=self.network,
            log=MemoryLog(MemoryBroker(wall_ms)),
            wall_ms=wall_ms,
            random=random.Random(1),
            files=MemoryFiles({KEYS: keys}),
            disk=MemoryDisk(),
            registry=CollectorRegistry(),
            logger=structlog.stdlib.get_logger(),
            run_blocking=at_once,
        )
        settings = PolicySettings(name="firewall-1", policy_keys=KEYS)
        self.log = world.log
        self.feed = PolicyFeed(world, settings, PASSES_ALL, b"")
        self.switch = Bypass(world, settings, self.feed, self._drill)
        self.service = PolicyService(world, settings, self.feed, self.switch)
        self.address = ""

    async def start(self) -> None:
        await self.log.start()
        await self.feed.start()
        await self.switch.start()
        self.server = await self.network.serve("127.0.0.1:0", self.service.served())
        self.address = self.server.address

    async def stop(self) -> None:
        await self.server.stop(0.0)
        await self.switch.stop()
        await self.feed.stop()
        await self.network.close()

    async def run(self, *words: str) -> Result:
        """A command, as a process beside the firewall would run it."""
        return await asyncio.to_thread(self._invoke, *words, "--firewall", self.address)

    async def well(self, *words: str) -> str:
        """What it prints; it must end well."""
        result = await self.run(*words)
        assert result.exit_code == 0, (words, result.output)
        return result.stdout

    async def submitted(self, *signers: str) -> None:
        for name in signers:
            await asyncio.to_thread(self._invoke, "sign", str(self.bundle), "--key", self.key(name))
        await self.well("submit", str(self.bundle))

    def key(self, name: str) -> str:
        return str(self.folder / f"{name}.key")

    async def _drill(self, call_id: str) -> str | None:
        return "bypass" if self.switch.passes(call_id) else ""

    def _invoke(self, *words: str) -> Result:
        return CliRunner().invoke(policy, list(words))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    await desk.start()
    yield desk
    await desk.stop()


async def test_a_policy_goes_the_whole_way_and_back(desk: Desk) -> None:
    """Signed by two, submitted, in shadow, in its canary, live past the gates by two people, and reverted by one."""
    await desk.submitted("ann", "bob")
    assert "in shadow" in await desk.well("shadow", "7", "--key", desk.key("ann"))
    beside = screened(desk, 5, True)
    beside.shadow = True
    desk.feed.heard(beside)
    assert "in shadow: asked about 1 calls, its rules would divert 1, guards apart" in await desk.well("status")
    assert "in canary, step 1" in await desk.well("canary", str(desk.bundle), "--key", desk.key("ann"))
    early = await desk.run("promote", "7", "--key", desk.key("ann"))
    assert early.exit_code == 1
    assert len(early.stderr.splitlines()) == 1
    order = str(desk.folder / "order.json")
    told = await desk.well("promote", "7", "--force", "--key", desk.key("ann"), "--why", "drill", "--save", order)
    assert "countersign" in told
    assert "live is version 7" in await desk.well("countersign", order, "--key", desk.key("bob"))
    status = await desk.well("status")
    assert "serves nuisance-7-" in status
    assert "they say the same" in await desk.well("diff", "live", str(desk.bundle))
    reverted = await desk.well("revert", "--key", desk.key("bob"), "--why", "enough")
    assert "live is the built-in bundle" in reverted
    history = await desk.well("history")
    assert [word in history for word in ("by ann, bob", "by bob", "enough")] == [True] * 3


async def test_who_goes_back_while_a_canary_runs_is_told_what_is_live_still(desk: Desk) -> None:
    """At three in the morning one command must not look as if it had done more than it has."""
    await desk.submitted("ann", "bob")
    order = str(desk.folder / "order.json")
    await desk.well("promote", "7", "--force", "--key", desk.key("ann"), "--save", order)
    await desk.well("countersign", order, "--key", desk.key("bob"))
    desk.bundle = desk.folder / "second.yaml"
    desk.bundle.write_text(text(8))
    await desk.submitted("ann", "bob")
    for step in ("shadow", "canary"):
        await desk.well(step, "8", "--key", desk.key("ann"))
    once = await desk.well("revert", "--key", desk.key("bob"))
    assert "answers calls still: to leave it too, revert again; that goes back to the built-in bundle" in once
    assert "live is version 7" in once
    again = await desk.well("revert", "--key", desk.key("bob"))
    assert "live is the built-in bundle" in again and "revert again" not in again


async def test_one_signature_is_not_enough_for_what_diverts_more(desk: Desk) -> None:
    """It is taken in, and goes no further until a second person has signed."""
    await desk.submitted("ann")
    alone = await desk.run("shadow", "7", "--key", desk.key("ann"))
    assert alone.exit_code == 1
    assert "expected 2 different people's signatures" in alone.stderr
    await desk.submitted("bob")
    await desk.well("shadow", "7", "--key", desk.key("ann"))


async def test_a_stranger_is_refused(desk: Desk, tmp_path: Path) -> None:
    """A key that no firewall was given opens nothing, not even the bypass."""
    CliRunner().invoke(policy, ["keygen", "mallory", "--folder", str(tmp_path)])
    refused = await desk.run("bypass", "on", "--key", desk.key("mallory"))
    assert refused.exit_code == 1
    assert "unknown signer" in refused.stderr
    assert not desk.switch.on


async def test_one_person_switches_the_bypass_on_and_off(desk: Desk) -> None:
    """And the status says so loudly, with exit code 1."""
    assert "BYPASS" in await desk.well("bypass", "on", "--key", desk.key("bob"))
    status = await desk.run("status")
    assert status.exit_code == 1
    assert "BYPASS on here" in status.stdout
    assert "BYPASS" not in await desk.well("bypass", "off", "--key", desk.key("bob"))


async def test_who_goes_back_does_not_wait_for_a_clock_that_is_slow(desk: Desk) -> None:
    """An order was followed that a clock half a minute ahead had made; the one to go back is followed at once."""
    person = seals.read_key(Path(desk.key("ann")))
    ahead = Order(Action.BYPASS_OFF, wall_ms() + 30_000)
    signature = sign_order(person.private, person.name, ahead, wall_ms())
    said = policy_pb2.DirectRequest(order=order_to_wire(ahead), signatures=[signature_to_wire(signature)])
    await desk.network.ask(desk.address, DIRECT_POLICY, said, within_s=10.0)
    assert "BYPASS" in await desk.well("bypass", "on", "--key", desk.key("bob"))
    assert desk.switch.on


async def test_a_version_that_nobody_submitted_is_told_with_those_that_are_there(desk: Desk) -> None:
    """Before anything is signed."""
    await desk.submitted("ann", "bob")
    refused = await desk.run("shadow", "8", "--key", desk.key("ann"))
    assert refused.exit_code == 1
    assert "there is no 8, there are: 7" in refused.stderr


def screened(desk: Desk, calls: int, proposed_diverts: bool) -> screening_pb2.Screening:
    """A record of a call whose caller has called so often, as a firewall writes it."""
    bundle = read_bundle(desk.bundle.read_bytes())
    divert = screening_pb2.Verdict(
        divert=screening_pb2.Divert(desk="nuisance-desk", rule="nuisance", reason="repeat_caller"), policy=bundle.label
    )
    passed = screening_pb2.Verdict(policy=bundle.label)
    getattr(passed, "pass").SetInParent()
    record = screening_pb2.Screening(
        call_id="c1",
        leg=1,
        firewall="firewall-1",
        verdict=divert if proposed_diverts else passed,
        at_ms=wall_ms(),
        took_us=900,
        bundle=bundle.digest,
    )
    record.inputs.add(name="number", text=NUISANCE)
    record.inputs.add(name="number_calls_600s", whole=calls)
    return record


async def test_a_call_is_explained_and_evaluated_again(desk: Desk) -> None:
    """Rule, bundle, inputs and counts; the same bundle and inputs give the same verdict, and no number is shown."""
    await desk.submitted("ann", "bob")
    desk.service.heard(screened(desk, 5, True))
    told = await desk.well("explain", "c1")
    assert "divert to nuisance-desk by nuisance" in told
    assert "evaluated again: divert to nuisance-desk by nuisance, the same" in told
    assert "counts: number_calls_600s=5" in told
    assert "number in lists.nuisance && number_calls_600s > 3" in told
    assert NUISANCE not in told
    assert NUISANCE in await desk.well("explain", "c1", "--show-numbers")


async def test_a_record_that_does_not_come_out_again_is_loud(desk: Desk) -> None:
    """Exit code 1: either the record or the evaluator is wrong."""
    await desk.submitted("ann", "bob")
    desk.service.heard(screened(desk, 2, True))
    result = await desk.run("explain", "c1")
    assert result.exit_code == 1
    assert "evaluated again: pass, NOT divert" in result.stdout


async def test_a_call_that_no_bundle_was_asked_about_is_not_compared(desk: Desk) -> None:
    """The evaluator was hung, and the call passed in time: that it passes again proves nothing."""
    await desk.submitted("ann", "bob")
    record = screened(desk, 5, False)
    record.verdict.policy = "failed-open"
    desk.service.heard(record)
    assert "not compared, since failed-open answered" in await desk.well("explain", "c1")


async def test_a_call_that_nobody_remembers_is_said_in_one_line(desk: Desk) -> None:
    """A firewall that answers is not one that is gone."""
    result = await desk.run("explain", "c9")
    assert result.exit_code == 1
    assert "remembers" in result.stderr


async def test_a_call_that_the_built_in_policy_passed_is_evaluated_again_too(desk: Desk) -> None:
    """It is no file that was handed in, and it comes with the command."""
    record = screened(desk, 5, False)
    record.bundle, record.verdict.policy = built_in().digest, built_in().label
    desk.service.heard(record)
    assert "evaluated again: pass, the same" in await desk.well("explain", "c1")


async def test_a_bundle_that_is_held_no_more_keeps_no_call_from_being_explained(desk: Desk) -> None:
    """The topic names it, and its content was dropped: what the record says is told all the same."""
    bundle = read_bundle(desk.bundle.read_bytes())
    desk.feed.shelf.put(Submitted(Pointer(bundle.version, bundle.digest), 1_000, bundle.name, bundle.author, 0))
    desk.service.heard(screened(desk, 5, True))
    told = await desk.well("explain", "c1")
    assert "divert to nuisance-desk by nuisance" in told
    assert "no firewall holds that bundle" in told
