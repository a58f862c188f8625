"""A region published to real processes over a real Kafka, by the command that an operator gives."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from deploy.kafka import scratch_cluster
from services.host.lifeline import Lifeline
from services.host.settings import ROOT
from services.launch.child import Child
from services.launch.installation import Installation

REGION = ROOT / "data" / "massachusetts"
TAKEN_WITHIN_S = 10.0
SERVES_ONE = {"firewall": 0, "ledger": 0, "router": 1, "psap_gateway": 1, "failover": 1, "ingress": 1}


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    """Ends every child with the test."""
    made = Lifeline()
    yield made
    made.close()


async def page(child: Child, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://{child.metrics_address}{path}") as response:
        return await response.text()


async def version_of(child: Child) -> float:
    """Which version this process says that it serves."""
    lines = (await page(child, "/metrics")).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("throughline_region_version "))


async def all_serve(children: list[Child], version: int) -> None:
    """Waits until each says so."""
    async with asyncio.timeout(TAKEN_WITHIN_S):
        for child in children:
            while await version_of(child) != version:  # noqa: ASYNC110 - only its page says it
                await asyncio.sleep(0.05)


async def routing(*words: str) -> tuple[int, str]:
    """`throughline routing ...`: exit code and what it said."""
    command = [sys.executable, "-m", "services.cli", "routing", *words]
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-2)
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_published_region_reaches_every_process_and_outlives_kafka(tmp_path: Path, lifeline: Lifeline) -> None:
    """Taken while they run; a start without Kafka has the last good one, and says that the topic was not read (J6)."""
    mine = shutil.copytree(REGION, tmp_path / "mine")
    areas = mine / "service_areas.csv"
    areas.write_text(areas.read_text("utf-8").replace("Worcester,3203,", "Worcester,8186,"), "utf-8")
    with scratch_cluster() as cluster:
        kafka = ("--kafka", cluster.bootstrap)
        async with Installation(
            tmp_path / "installation", lifeline, kafka=cluster.bootstrap, region_dir=REGION, counts=SERVES_ONE
        ) as installation:
            children = list(installation.children.values())
            assert (await routing("status", *kafka))[1].startswith("nothing is published")
            await all_serve(children, 0)
            code, said = await routing("publish", str(mine), "--note", "Worcester to 8186", "--author", "me", *kafka)
            assert (code, said.partition(",")[0]) == (0, "published version 1"), said
            await all_serve(children, 1)
            assert "has this content already" in (await routing("publish", str(mine), *kafka))[1]
            await routing("publish", str(REGION), *kafka)
            code, said = await routing("revert", "1", "--note", "as before", *kafka)
            assert code == 0, said
            await all_serve(children, 3)
            code, said = await routing("history", *kafka)
            assert [line[:11] for line in said.splitlines()] == ["* version 3", "  version 2", "  version 1"]
            assert "the files of version 1" in said
            code, said = await routing("revert", "9", *kafka)
            assert (code, "version/9 is missing" in said) == (1, True), said
            await asyncio.to_thread(cluster.close)
            router = installation.of("router")[0]
            await router.end(5.0)
            again = await installation.restart(router.name)
            assert await version_of(again) == 3
            assert "last good on disk goes on" in await page(again, "/readyz")
