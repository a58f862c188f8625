"""One process's life, tried with real processes: start, pages, signals, and each way in which it cannot start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

SERVICE = Path(__file__).with_name("a_service.py")
LIMIT_S = 30.0


class Process:
    """A running `a_service.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def event(self, name: str) -> dict[str, Any]:
        """Reads log lines until this event comes."""
        assert self.process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            while line := await self.process.stdout.readline():
                told: dict[str, Any] = json.loads(line)
                if told["event"] == name:
                    return told
        assert self.process.stderr is not None
        raise AssertionError(f"ended without {name}: {(await self.process.stderr.read()).decode()}")

    async def end(self) -> tuple[int, str]:
        """Waits for its end: exit code, and what it said on stderr."""
        async with asyncio.timeout(LIMIT_S):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def running(**settings: str) -> AsyncIterator[Process]:
    """Starts it with these settings, and ends it whatever happens."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THROUGHLINE_")}
    environment |= {f"THROUGHLINE_NOTHING_{name.upper()}": value for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVICE), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def page(address: str, path: str) -> tuple[int, str]:
    """Status and text."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
        return response.status, await response.text()


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a fact, with a bound."""
    async with asyncio.timeout(LIMIT_S):
        while not await fact():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_it_tells_its_addresses_shows_its_pages_and_ends_well_when_told() -> None:
    """Addresses on stdout as one JSON line; ready with remarks; SIGTERM ends it with 0."""
    async with running() as process:
        listening = await process.event("service.listening")
        assert listening["service"] == "nothing"
        assert not listening["address"].endswith(":0")
        metrics = listening["metrics_address"]
        assert await page(metrics, "/livez") == (200, "alive\n")
        assert await page(metrics, "/readyz") == (200, "ready\nbut: nothing is served\n")
        status, text = await page(metrics, "/metrics")
        assert status == 200
        assert f'incarnation="{listening["incarnation"]}"' in text
        assert "throughline_loop_lag_seconds_bucket" in text
        process.process.send_signal(signal.SIGTERM)
        assert (await process.event("service.stopping"))["why"] == "SIGTERM"
        assert await process.end() == (0, "")


async def test_a_trouble_makes_it_unready_with_the_reason() -> None:
    """503, and one line that says why."""
    async with running(trouble="no lines") as process:
        listening = await process.event("service.listening")
        assert await page(listening["metrics_address"], "/readyz") == (
            503,
            "not ready: no lines\nbut: nothing is served\n",
        )


async def test_while_it_stops_it_is_alive_and_not_ready() -> None:
    """L4: readiness goes off first, and the pages stay until the end."""
    async with running(stop_takes_s="60") as process:
        metrics = (await process.event("service.listening"))["metrics_address"]
        process.process.send_signal(signal.SIGTERM)
        await process.event("service.stopping")
        assert await page(metrics, "/readyz") == (503, "not ready: stopping\n")
        assert (await page(metrics, "/livez"))[0] == 200


async def test_a_second_signal_ends_it_at_once() -> None:
    """Whoever asks twice does not want to wait for the drain."""
    async with running(stop_takes_s="60") as process:
        await process.event("service.listening")
        process.process.send_signal(signal.SIGINT)
        await process.event("service.stopping")
        process.process.send_signal(signal.SIGINT)
        code, errors = await process.end()
        assert code == 128 + signal.SIGINT
        assert "ending at once" in errors


async def test_a_stop_that_overruns_its_limit_is_cut_and_told() -> None:
    """A drain has a limit even where the service's own stop hangs."""
    async with running(stop_takes_s="60", drain_s="0") as process:
        await process.event("service.listening")
        process.process.send_signal(signal.SIGTERM)
        assert (await process.event("service.stopped"))["in_time"] is False
        assert (await process.end())[0] == 70


async def test_a_start_that_hangs_can_be_stopped() -> None:
    """A process that has not come up yet says so on /readyz, and obeys."""
    metrics = f"127.0.0.1:{free_port()}"

    async def starting() -> bool:
        try:
            return await page(metrics, "/readyz") == (503, "not ready: starting\n")
        except aiohttp.ClientConnectionError:
            return False

    async with running(start_never_ends="true", metrics_listen=metrics) as process:
        await until(starting)
        process.process.send_signal(signal.SIGTERM)
        assert (await process.end())[0] == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"drain_s": "-1"}, "THROUGHLINE_NOTHING_DRAIN_S"),
        ({"listen": "here"}, "expected host:port"),
    ],
)
async def test_bad_settings_end_it_with_64_and_one_line_a_field(settings: dict[str, str], words: str) -> None:
    """Nothing is bound or logged before the settings are known to be good."""
    async with running(**settings) as process:
        code, errors = await process.end()
        assert code == 64
        assert len(errors.splitlines()) == 1
        assert words in errors


@pytest.mark.parametrize("which", ["listen", "metrics_listen"])
async def test_a_port_that_is_taken_ends_it_with_69_and_one_line(which: str) -> None:
    """Two servers on one port are refused, on either port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        async with running(**{which: address}) as process:
            code, errors = await process.end()
    assert code == 69
    assert [address in line for line in errors.splitlines()] == [True]


async def test_a_file_that_is_missing_ends_it_with_66_and_one_line(tmp_path: Path) -> None:
    """The line names the file."""
    async with running(reads=str(tmp_path / "region.csv")) as process:
        code, errors = await process.end()
    assert code == 66
    assert ["region.csv" in line for line in errors.splitlines()] == [True]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
