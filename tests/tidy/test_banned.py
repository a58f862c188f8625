"""What shells may not touch, each with what to use instead: what reaches the world by itself cannot be simulated."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Only these stand at the edge of the world: ports, the launcher and the commands.
EDGES = ("services/host/", "services/journal/kafka", "services/launch", "services/policy_cli", "services/cli.py")
EDGE_NAMES = ("commands.py", "store.py")

BANNED_CALLS = {
    "time.time": "world.wall_ms",
    "time.time_ns": "world.wall_ms",
    "time.monotonic": "asyncio.get_running_loop().time(), or `now` as an argument",
    "time.perf_counter": "asyncio.get_running_loop().time()",
    "time.sleep": "asyncio.sleep",
    "datetime.now": "world.wall_ms",
    "datetime.datetime.now": "world.wall_ms",
    "datetime.utcnow": "world.wall_ms",
    "open": "world.files",
    "uuid.uuid4": "world.random",
    "os.urandom": "world.random",
    "asyncio.to_thread": "a port that is given a runner",
    "asyncio.create_subprocess_exec": "services/launch",
    "subprocess.run": "services/launch",
    "subprocess.Popen": "services/launch",
    "threading.Thread": "a task",
}
BANNED_IMPORTS = {
    "grpc": "services.host.network",
    "aiokafka": "services.journal",
    "socket": "services.host.network",
    "subprocess": "services.launch",
    "threading": "a task",
    "secrets": "world.random",
    "uuid": "world.random",
    "requests": "services.host.network",
}
BANNED_RANDOM = {"random", "randint", "choice", "shuffle", "uniform", "gauss", "getrandbits", "sample"}


def shells() -> Iterator[Path]:
    for path in sorted((ROOT / "services").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(EDGES) and path.name not in EDGE_NAMES:
            yield path


def trespasses(source: str) -> Iterator[str]:
    """One line for each banned word in a module's source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in BANNED_CALLS:
                yield f"line {node.lineno}: {called}(): use {BANNED_CALLS[called]}"
            head, _, tail = called.rpartition(".")
            if head == "random" and tail in BANNED_RANDOM:
                yield f"line {node.lineno}: {called}(): use world.random, a source with a seed"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in modules:
                top = module.partition(".")[0]
                if top in BANNED_IMPORTS:
                    yield f"line {node.lineno}: import {module}: use {BANNED_IMPORTS[top]}"


@pytest.mark.parametrize("path", list(shells()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_shells_reach_the_world_through_ports_alone(path: Path) -> None:
    """`loop.time()` and asyncio's timers are the clock; all else is given (architecture.md, house rules)."""
    assert list(trespasses(path.read_text())) == []


@pytest.mark.parametrize(
    "path",
    [path for room in ("loadtest", "simulator") for path in sorted((ROOT / room).rglob("*.py"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_the_world_outside_draws_from_sources_that_have_a_seed(path: Path) -> None:
    """It runs under virtual time too, where one seed is one story."""
    assert [each for each in trespasses(path.read_text()) if "random." in each] == []


@pytest.mark.parametrize(
    "source",
    ["import time\ntime.time()", "import random\nrandom.choice([1])", "import grpc.aio", "open('x')", "import uuid"],
)
def test_each_trespass_is_noticed(source: str) -> None:
    """The check itself can fail."""
    assert list(trespasses(source))
