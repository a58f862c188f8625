"""Two operators push a bad policy, with the commands that an operator has: by its gates, which stop it, and past them.

What they are told is kept for the report (policy_pushed.py), and what became of the policy is asked of the firewall.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from throughline.v1 import policy_pb2

from loadtest.diary import wall_ms
from loadtest.policy_pushed import Command, PushSeen
from loadtest.scene import Scene
from services.host.lifeline import Lifeline, wrapped
from services.host.network import Broken
from services.host.network.grpc import GrpcNetwork
from services.host.settings import ROOT
from services.launch.credentials import OPERATORS
from services.launch.installation import Installation
from services.wire.methods import POLICY_HISTORY, POLICY_STATUS

BUNDLE: Final = ROOT / "data" / "policy" / "examples" / "everybody.yaml"
COMMAND_WITHIN_S: Final = 30.0
ASKED_WITHIN_S: Final = 5.0
NICE: Final = ("nice", "-n", "10")
"""Operators sit at another machine: here what has time must not take the processor from calls."""


class PolicyPush:
    """Over one installation, by the operators whose keys are in the folder; `seen` is kept up to date."""

    def __init__(
        self, scene: Scene, seen: PushSeen, installation: Installation, lifeline: Lifeline, folder: Path
    ) -> None:
        self._scene = scene
        self._seen = seen
        self._lifeline = lifeline
        self._keys = [folder / "operators" / f"{name}.key" for name in OPERATORS]
        self._firewalls = installation.addresses("firewall")
        self._bundle = folder / BUNDLE.name
        self._order = folder / "order.json"

    async def by_the_gates(self) -> None:
        """Replayed, which finds it grave; signed by two and handed in all the same; promoted, which is refused."""
        await asyncio.to_thread(shutil.copyfile, BUNDLE, self._bundle)
        ann, bob = self._keys
        self._seen.replay = await self._run("replay", self._bundle, "--corpus", "storm")
        self._say(f"a bad policy: replay ends with {self._seen.replay.code}; {self._seen.replay.said}")
        for key in (ann, bob):
            self._seen.others.append(await self._run("sign", self._bundle, "--key", key))
        self._seen.others.append(await self._run("submit", self._bundle, *self._firewall()))
        self._seen.unforced = await self._run("promote", self._bundle, "--key", ann, *self._firewall())
        self._say(f"a bad policy: promote ends with {self._seen.unforced.code}, it has run through no canary")
        forced = await self._run(
            *("promote", self._bundle, "--force", "--key", ann, "--why", "no time to try it", "--save", self._order),
            *self._firewall(),
        )
        self._seen.others.append(forced)

    async def past_them(self) -> None:
        """The second of two signs the order that forces it: live at once, for every call."""
        self._seen.forced = await self._run(
            *("countersign", self._order, "--key", self._keys[1]), *self._firewall(), nice=()
        )
        self._say("a bad policy: forced past its gates by two people, it is live for every call")

    async def what_stands(self) -> None:
        """When it was live and taken back, by the firewall's own history, and what is served now."""
        network = GrpcNetwork()
        try:
            said = policy_pb2.HistoryRequest(limit=20)
            history = await network.ask(self._firewalls[0], POLICY_HISTORY, said, within_s=ASKED_WITHIN_S)
            status = await network.ask(
                self._firewalls[0], POLICY_STATUS, policy_pb2.PolicyServiceStatusRequest(), within_s=ASKED_WITHIN_S
            )
        except Broken as broken:
            self._say(f"a bad policy: the firewall does not say what stands: {broken}")
            return
        finally:
            await network.close()
        changes = sorted(history.changes, key=lambda each: each.serial)
        self._seen.hear([(change.at_ms, change.why) for change in changes], status.serving_label)
        if self._seen.reverted_ms is not None:
            self._say(f"a bad policy: taken back by itself, {self._seen.why}; {self._seen.serves} serves")

    def _firewall(self) -> tuple[str, str]:
        return "--firewall", ",".join(self._firewalls)

    def _say(self, words: str) -> None:
        self._scene.say(wall_ms(), words)

    async def _run(self, *words: str | Path, nice: Sequence[str] = NICE) -> Command:
        """`throughline policy WORDS`, as a person gives it; an exit code of -1 where it did not end in time."""
        process = await asyncio.create_subprocess_exec(
            *wrapped([*nice, sys.executable, "-m", "services.cli", "policy", *words]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._lifeline.environment(),
            pass_fds=self._lifeline.fds,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(COMMAND_WITHIN_S):
                output, _ = await process.communicate()
        except TimeoutError:
            output = b"it did not end in time"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
        told = " ".join(each.name if isinstance(each, Path) else each for each in words)
        code = process.returncode if process.returncode is not None and process.returncode >= 0 else -1
        return Command(f"throughline policy {told}", code, lines[-1].strip() if lines else "")
