"""A whole installation as child processes, without a Kafka: it starts, serves, says so, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from services.host.lifeline import Lifeline
from services.host.settings import ROOT
from services.launch.child import Child, ChildFailed
from services.launch.installation import COUNTS, Installation

NO_KAFKA = "127.0.0.1:1"
REGION = ROOT / "data" / "massachusetts"


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    """Ends every child with the test."""
    made = Lifeline()
    yield made
    made.close()


async def page(address: str, path: str) -> tuple[int, str]:
    """Status and text."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
        return response.status, await response.text()


async def test_without_a_kafka_every_service_starts_serves_says_so_and_stops(
    tmp_path: Path, lifeline: Lifeline
) -> None:
    """J6: a Kafka that is absent at the start keeps nobody from serving; a child that dies is told with its name."""
    died: list[Child] = []
    async with Installation(
        tmp_path, lifeline, kafka=NO_KAFKA, region_dir=REGION, trunks=["127.0.0.1:9"], on_death=died.append
    ) as installation:
        children = list(installation.children.values())
        assert len(children) == sum(COUNTS.values())
        assert len({child.address for child in children}) == len(children)
        for child in children:
            status, text = await page(child.metrics_address, "/readyz")
            assert status == 200, f"{child.name}: {text}"
            assert "but: journal: " in text, f"{child.name} does not say that Kafka is away: {text}"
        victim = installation.of("router")[0]
        os.kill(victim.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while not died:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert died == [victim]
        again = await installation.restart(victim.name)
        assert again.running()
        assert (again.address, again.metrics_address) == (victim.address, victim.metrics_address)
        assert await installation.stop() == []
        assert [child.process.returncode for child in installation.children.values()] == [0] * len(children)
    assert died == [victim]


ONE_ROUTER = {**dict.fromkeys(COUNTS, 0), "router": 1}


async def test_what_is_killed_comes_back_by_itself_where_it_was_and_is_no_death(
    tmp_path: Path, lifeline: Lifeline
) -> None:
    """As under systemd: others find it at its old address; what ends by its own fault is told, and comes back too."""
    died: list[Child] = []
    async with Installation(
        tmp_path,
        lifeline,
        kafka=NO_KAFKA,
        region_dir=REGION,
        counts=ONE_ROUTER,
        restart_after_s=0.1,
        on_death=died.append,
    ) as installation:
        first = installation.children["router-1"]
        await installation.kill("router-1")
        second = await installation.back("router-1")
        assert (second.pid != first.pid, second.address, died) == (True, first.address, [])
        assert (await page(second.metrics_address, "/readyz"))[0] == 200
        os.kill(second.pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while installation.children["router-1"] is second:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await installation.back("router-1")
        assert died == [second]


async def test_one_that_is_paused_answers_nobody_until_it_goes_on(tmp_path: Path, lifeline: Lifeline) -> None:
    """SIGSTOP and SIGCONT; one that still stands still when all ends goes down in order with the others."""
    async with Installation(tmp_path, lifeline, kafka=NO_KAFKA, region_dir=REGION, counts=ONE_ROUTER) as installation:
        router = installation.children["router-1"]
        await installation.pause("router-1")
        asking = asyncio.ensure_future(page(router.metrics_address, "/livez"))
        assert not (await asyncio.wait({asking}, timeout=0.3))[0]
        await installation.go_on("router-1")
        assert (await asyncio.wait_for(asking, 10))[0] == 200
        await installation.pause("router-1")
        assert await installation.stop() == []
        assert router.process.returncode == 0


RUN_AND_PAUSE = """
import asyncio, sys
from pathlib import Path
from services.host.lifeline import Lifeline
from services.launch.installation import COUNTS, Installation

async def run():
    installation = Installation(Path(sys.argv[1]), Lifeline(), kafka="127.0.0.1:1", region_dir=Path(sys.argv[2]),
                                counts={**dict.fromkeys(COUNTS, 0), "router": 1})
    await installation.start()
    await installation.pause("router-1")
    print(installation.children["router-1"].pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(run())
"""


def test_one_that_is_paused_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """A stopped process cannot notice that its parent is gone: its guard does."""
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN_AND_PAUSE, str(tmp_path), str(REGION)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    paused = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone_by = time.monotonic() + 2.0
    while runs(paused):
        assert time.monotonic() < gone_by, "the paused process is there still"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process is there, ended ones that nobody has collected apart."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def test_each_psap_gets_a_token_of_its_own_that_only_its_owner_can_read(
    tmp_path: Path, lifeline: Lifeline
) -> None:
    """R2: the gateways are given hashes alone."""
    counts = dict.fromkeys(COUNTS, 0)
    async with Installation(tmp_path, lifeline, kafka=NO_KAFKA, region_dir=REGION, counts=counts) as installation:
        tokens = {path.name: path.read_text() for path in installation.tokens.iterdir()}
        assert len(set(tokens.values())) == len(tokens) > 100
        assert all(path.stat().st_mode & 0o077 == 0 for path in installation.tokens.iterdir())
        table = (tmp_path / "credentials.csv").read_text()
        assert len(table.splitlines()) == len(tokens) + 1
        assert not any(token in table for token in tokens.values())


async def test_a_service_that_does_not_come_up_is_told_with_its_last_lines_and_the_others_end(
    tmp_path: Path, lifeline: Lifeline
) -> None:
    """The reason stands in the message: nobody has to look for a log."""
    settings = {"THROUGHLINE_FIREWALL_DRAIN_S": "soon"}
    installation = Installation(tmp_path, lifeline, kafka=NO_KAFKA, region_dir=REGION, settings=settings)
    with pytest.raises(ChildFailed, match=r"firewall-1 ended with exit code 64(.|\n)*THROUGHLINE_FIREWALL_DRAIN_S"):
        async with installation:
            pass
    assert not any(child.running() for child in installation.children.values())


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_service_that_is_none_is_refused_with_the_names_of_those_that_are() -> None:
    """Exit code 64 and one line."""
    ended = run("run", "switchboard")
    assert ended.returncode == 64
    assert "expected one of ingress, firewall" in ended.stderr
    assert "'switchboard'" in ended.stderr


@pytest.mark.parametrize("command", ["run", "up", "doctor", "topics", "balance", "tail", "callbacks", "demo", "replay"])
def test_every_command_says_how_it_is_used_with_an_example(command: str) -> None:
    """`--help` is where people look first."""
    ended = run(command, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "xample" in ended.stdout


def test_the_doctor_names_each_trouble_and_what_to_do() -> None:
    """A bad setting, a misspelt one, and a Kafka that is not there: all in one visit, exit code 1."""
    ended = run(
        "doctor",
        "--kafka",
        NO_KAFKA,
        THROUGHLINE_INGRESS_RING_TIMEOUT_MS="soon",
        THROUGHLINE_ROUTER_GATEWAY="127.0.0.1:1",
    )
    assert ended.returncode == 1
    told = " ".join(ended.stdout.split())
    assert "THROUGHLINE_INGRESS_RING_TIMEOUT_MS: Input should be a valid integer" in told
    assert "THROUGHLINE_ROUTER_GATEWAY sets nothing; is THROUGHLINE_ROUTER_GATEWAYS meant?" in told
    assert f"wrong brokers: no broker answers at {NO_KAFKA}" in told
    assert told.count("do: ") == 3


def test_topics_that_cannot_be_applied_are_told_in_one_line() -> None:
    """Exit code 69: Kafka does not answer."""
    ended = run("topics", "apply", "--kafka", NO_KAFKA)
    assert ended.returncode == 69
    assert ended.stderr.startswith(f"throughline topics: no broker answers at {NO_KAFKA}")
    assert len(ended.stderr.splitlines()) == 1
