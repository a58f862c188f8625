"""The far end as its own process: every PSAP of the region, and the trunk to their administrative lines.

    python -m loadtest far_end --tokens FOLDER --witness FILE [--region FOLDER] [--seed N] [--human-speed X]

It prints JSON lines: first `{"event": "listening", "trunk": "host:port"}`, later `attached`, `fault_struck` and
`fault_healed`. It obeys JSON lines on standard input, whose end is its own:

    {"do": "attach", "gateways": ["127.0.0.1:1234"]}
    {"do": "fault", "psap_id": "3175", "fault": "cut|silent|reject|full|late|heal", "when": "now|ringing"}
    {"do": "hang_up"}
    {"do": "stop"}

`hang_up` ends every talk: all call-takers and lines are free then. What it saw of each call goes to the witness's file:
offered, ringing, answered, connected, ended, cancelled, rejected, have. It imports nothing of `services`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from loadtest.answering_point import AnsweringPoint, Fault
from loadtest.attachment import Switchboard
from loadtest.channels import GrpcWire
from loadtest.control import Leader
from loadtest.diary import Diary, tell
from loadtest.humans import Humans
from loadtest.region_tables import SHIPPED_REGION, RegionTables
from loadtest.trunk import Trunk
from loadtest.trunk_server import TrunkServer


def read_tokens(folder: Path) -> dict[str, str]:
    """PSAP id -> the secret of its token file, which is named as the PSAP."""
    return {path.name: path.read_text().strip() for path in sorted(folder.iterdir()) if path.is_file()}


def obey(switchboard: Switchboard, trunk: Trunk, tokens: Path, command: dict[str, Any]) -> None:
    """Carries out one command; raises ValueError for one that it does not know."""
    match command:
        case {"do": "attach", "gateways": list(gateways)}:
            switchboard.attach(gateways, read_tokens(tokens))
        case {"do": "fault", "psap_id": str(psap_id), "fault": str(fault), **how} if psap_id in switchboard.points:
            point = switchboard.points[psap_id]
            if Fault(fault) is Fault.NONE:
                point.heal()
            elif how.get("when", "now") == "ringing":
                point.arm(Fault(fault))
            else:
                point.strike(Fault(fault))
        case {"do": "hang_up"}:
            trunk.hang_up_all()
            for point in switchboard.points.values():
                point.hang_up_all()
        case _:
            raise ValueError(f"expected attach, fault, hang_up or stop as the module's first lines say; got {command}")


async def run(arguments: argparse.Namespace, leader: Leader) -> None:
    """Serves and obeys until told to stop, or until standard input ends."""
    region = RegionTables(arguments.region)
    humans = Humans(arguments.seed, arguments.human_speed)
    with Diary(arguments.witness, "far-end", tell=arguments.tell) as diary:
        wire = GrpcWire()
        trunk = TrunkServer(Trunk(region.lines, humans, diary), wire)
        points = [
            AnsweringPoint(psap_id, positions, humans, diary, tell) for psap_id, positions in region.positions.items()
        ]
        switchboard = Switchboard(points, wire, random.Random(arguments.seed))
        tell("listening", trunk=await trunk.serve(arguments.listen))
        if arguments.gateway:
            switchboard.attach(arguments.gateway, read_tokens(arguments.tokens))
        keeping = asyncio.ensure_future(switchboard.keep_alive())
        try:
            async for command in leader.commands():
                obey(switchboard, trunk.trunk, arguments.tokens, command)
        finally:
            keeping.cancel()
            await switchboard.close()
            await trunk.stop()


def main(words: Sequence[str], leader: Leader) -> None:
    """Reads its words, and runs until the leader ends."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest far_end", description="Every PSAP of the region, and the trunk."
    )
    parser.add_argument("--region", type=Path, default=SHIPPED_REGION, help="folder of the region's tables")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of token files, one named as each PSAP")
    parser.add_argument("--witness", type=Path, required=True, help="file for what is seen here, JSON lines")
    parser.add_argument("--gateway", action="append", help="attach to this host:port at once; may be repeated")
    parser.add_argument("--listen", default="127.0.0.1:0", help="where the trunk is served, host:port")
    parser.add_argument("--seed", type=int, default=1, help="of people's delays")
    parser.add_argument("--human-speed", type=float, default=1.0, help="people are this many times faster")
    parser.add_argument("--tell", action="store_true", help="print the witness's lines too")
    uvloop.run(run(parser.parse_args(words), leader))
