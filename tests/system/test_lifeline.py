"""Whatever ends a parent, its children end within two seconds and its temporary folder goes with it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from services.host.lifeline import EXIT_ORPHANED, EXIT_USAGE, VARIABLE, Lifeline, wrapped
from tests.system.takes import OverBound, taken_again

REPOSITORY = Path(__file__).resolve().parents[2]
TREE = Path(__file__).parent / "lifeline_tree.py"
MARK = "THROUGHLINE_TEST_MARK"
LIMIT_S = 2.0


def marked(mark: str) -> dict[str, str]:
    """An environment by which every descendant can be found, whether or not anybody noted its process id."""
    return {**os.environ, MARK: mark, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}


def living(mark: str) -> dict[int, str]:
    """The processes that carry a mark, zombies apart: they have ended and only wait to be noticed."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended while we looked, or is not ours to look into
    return found


async def until(fact: Callable[[], bool], limit_s: float) -> None:
    """Wait for a fact of /proc or of the file system, which tell nobody when they change."""
    async with asyncio.timeout(limit_s):
        while not fact():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def until_nothing_lives(mark: str, killed_at: float, folder: Path) -> None:
    """Wait for the fact, say what is left if it does not come in time, and end that."""
    try:
        await until(lambda: not living(mark) and not folder.exists(), killed_at + LIMIT_S - time.monotonic())
    except TimeoutError:
        left = f"left after {LIMIT_S} s: {living(mark)}; the folder is there: {os.path.exists(folder)}"  # noqa: ASYNC240
        raise OverBound(left) from None
    finally:
        for pid in living(mark):
            os.kill(pid, signal.SIGKILL)


@taken_again
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
@pytest.mark.parametrize("group", range(5))
async def test_nothing_is_left_two_seconds_after_a_kill_at_a_seeded_moment(group: int, tmp_path: Path) -> None:
    """Four moments a group, twenty in all: from before the first child to long after the last."""
    moments = random.Random(f"lifeline {group}")

    async def one(number: int) -> None:
        mark = uuid.uuid4().hex
        folder = tmp_path / f"run-{number}"
        root = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", str(TREE), "root", str(folder)), env=marked(mark), stdout=asyncio.subprocess.PIPE
        )
        # Squared, so that most moments fall into the time in which the tree grows (it takes about 0.2 s).
        await asyncio.sleep(moments.random() ** 2 * 1.5)
        root.kill()
        killed_at = time.monotonic()
        await root.wait()
        await until_nothing_lives(mark, killed_at, folder)

    await asyncio.gather(*(one(number) for number in range(4)))


@taken_again
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
async def test_the_whole_tree_lives_before_the_kill_and_is_gone_after_it(tmp_path: Path) -> None:
    """The other tests would pass on a tree that never grew; this one counts it."""
    mark = uuid.uuid4().hex
    folder = tmp_path / "run"
    root = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", str(TREE), "root", str(folder)), env=marked(mark), stdout=asyncio.subprocess.PIPE
    )
    assert root.stdout is not None
    assert await root.stdout.readline() == b"whole\n"
    # The root, the folder's keeper, three children and a grandchild, two wrappers with a program each.
    await until(lambda: len(living(mark)) == 10 and folder.exists(), 10)
    root.kill()
    killed_at = time.monotonic()
    await root.wait()
    await until_nothing_lives(mark, killed_at, folder)


@taken_again
async def test_a_foreign_program_dies_with_its_wrapper(tmp_path: Path) -> None:
    """Even `kill -9` of the wrapper itself leaves no Java behind (Linux: the kernel's parent-death signal)."""
    if sys.platform != "linux":
        pytest.skip("only Linux has the parent-death signal")
    mark = uuid.uuid4().hex
    lifeline = Lifeline()
    wrapper = lifeline.spawn(
        wrapped([sys.executable, "-S", "-c", "input()"]), stdin=subprocess.PIPE, environment=marked(mark)
    )
    await until(lambda: len(living(mark)) == 2, 10)
    wrapper.kill()
    killed_at = time.monotonic()
    wrapper.wait()
    await until_nothing_lives(mark, killed_at, tmp_path / "none")
    lifeline.close()


def test_closing_a_lifeline_ends_the_children_and_waits_for_them(tmp_path: Path) -> None:
    """The ordinary end is the same as the sudden one, except that somebody waits."""
    lifeline = Lifeline()
    folder = tmp_path / "run"
    keeper = lifeline.spawn(wrapped([], remove=folder))
    program = lifeline.spawn(wrapped([sys.executable, "-S", "-c", "import time; time.sleep(600)"]))
    lifeline.close()
    assert keeper.returncode == EXIT_ORPHANED
    assert program.returncode == EXIT_ORPHANED
    assert not folder.exists()


def test_the_write_end_reaches_no_child() -> None:
    """A child that held its parent's write end would keep its siblings alive: each child lists what it was given."""
    lifeline = Lifeline()
    listing = lifeline.spawn(
        [sys.executable, "-I", "-S", "-c", "import os; print(*sorted(os.listdir('/dev/fd'), key=int))"],
        stdout=subprocess.PIPE,
    )
    out, _ = listing.communicate(timeout=10)
    given = {int(word) for word in out.split()}
    assert set(lifeline.fds) <= given
    assert len(given - {0, 1, 2} - set(lifeline.fds)) == 1, "only the listing's own descriptor may be beside them"
    assert all(os.get_inheritable(fd) is False for fd in lifeline.fds)
    lifeline.close()


def test_a_wrapper_passes_on_a_request_to_stop_and_the_exit_code() -> None:
    """SIGTERM to the wrapper is SIGTERM to the program, which may end in its own way and time."""
    lifeline = Lifeline()
    program = "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
    wrapper = lifeline.spawn(wrapped([sys.executable, "-S", "-c", program]), stdout=subprocess.PIPE)
    assert wrapper.stdout is not None
    assert wrapper.stdout.readline() == b"up\n"
    wrapper.send_signal(signal.SIGTERM)
    assert wrapper.wait(timeout=10) == 7
    wrapper.stdout.close()
    lifeline.close()


@pytest.mark.parametrize(
    "arguments", [[], ["wrap"], ["wrap", "--"], ["wrap", "--remove", "--", "true"], ["wrpa", "--", "true"]]
)
def test_a_wrapper_called_wrongly_says_how_to_call_it(arguments: list[str]) -> None:
    """One line, and the exit code of a usage error."""
    wrapper = wrapped(["true"])[:4]
    done = subprocess.run([*wrapper, *arguments], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == EXIT_USAGE
    assert done.stderr.startswith("expected: lifeline.py wrap [--remove DIR] -- [COMMAND ...]")
    assert done.stderr.count("\n") == 1


def test_a_variable_that_names_no_pipe_is_refused() -> None:
    """A number that leaked in from elsewhere must not be mistaken for a parent."""
    done = subprocess.run(
        wrapped(["true"]), env={**os.environ, VARIABLE: "97"}, capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode != 0
    assert "file descriptor 97 is not one" in done.stderr
