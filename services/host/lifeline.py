"""Every child ends within two seconds of its parent, however the parent ends, `kill -9` included.

The parent holds the write end of a pipe and gives the read end to each child. The kernel closes the write end when the
parent is gone, and the read end then reports its end: no polling, no process ids that could be reused, and no moment,
not even between spawn and first read, in which it could be missed. A child that spawns children of its own hands down
the read ends that it was given, so that the whole tree sees the root's end at once.

    parent:  lifeline = Lifeline();  process = lifeline.spawn([sys.executable, ...]);  ...;  lifeline.close()
    child:   held = hold(stop_gracefully)        # as early as it can: before heavy imports
    foreign: lifeline.spawn(wrapped(["java", ...], remove=folder))
    folder:  lifeline.spawn(wrapped([], remove=folder)) makes the folder, and removes it at the end

This file imports the standard library only and runs by its path: a wrapper starts in milliseconds, and before its
parent's environment is known to be sound.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

VARIABLE = "THROUGHLINE_LIFELINE_FD"
GRACE_S = 0.7  # from the parent's end to the hard exit; what is left of two seconds is for a busy machine
QUIET_S = 0.9  # from the parent's end until no orphan can write into its folder any more
REMOVE_LIMIT_S = 10.0
EXIT_ORPHANED = 70
EXIT_USAGE = 64
_PR_SET_PDEATHSIG = 1


class Held:
    """A child's hold on its ancestors: the read ends that it was given. Pass it to a `Lifeline` of its own."""

    def __init__(self, fds: tuple[int, ...]) -> None:
        self.fds = fds

    def gone(self, timeout_s: float | None) -> bool:
        """Wait until an ancestor has ended; False when the time ran out first. None waits for ever."""
        if not self.fds:
            return False
        return bool(_ready(self.fds, timeout_s))  # nobody ever writes: ready means ended


def _ready(fds: Sequence[int], timeout_s: float | None) -> set[int]:
    poll = select.poll()  # not select(): a parent with a thousand connections passes high numbers
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(None if timeout_s is None else timeout_s * 1000)}


def held_from_environment() -> Held:
    """What the parent passed; nothing when started by hand. Raises ValueError if the variable does not name pipes."""
    fds = tuple(int(word) for word in os.environ.pop(VARIABLE, "").split(",") if word)
    for fd in fds:
        try:
            is_pipe = stat.S_ISFIFO(os.fstat(fd).st_mode)
        except OSError:
            is_pipe = False
        if not is_pipe:
            raise ValueError(f"{VARIABLE}: expected open pipes, file descriptor {fd} is not one; unset it to run alone")
        os.set_inheritable(fd, False)
    return Held(fds)


def hold(on_parent_gone: Callable[[], object], *, grace_s: float = GRACE_S) -> Held:
    """Watch the parent from a daemon thread.

    When it is gone, `on_parent_gone` is called in that thread (begin a graceful stop there and return, for example by
    `loop.call_soon_threadsafe`); after `grace_s` the process exits hard. A thread, because a blocked event loop must
    not be able to outlive its parent.
    """
    held = held_from_environment()

    def watch() -> None:
        held.gone(None)
        try:
            on_parent_gone()
        finally:
            time.sleep(grace_s)
            os._exit(EXIT_ORPHANED)

    if held.fds:
        threading.Thread(target=watch, name="lifeline", daemon=True).start()
    return held


class Lifeline:
    """The parent's side. Its write end is never inheritable; do not fork without exec while one is open."""

    def __init__(self, above: Held | None = None) -> None:
        self._read_fd, self._write_fd = os.pipe()
        self._above = above or Held(())
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def fds(self) -> tuple[int, ...]:
        """What a child needs: this parent's read end and those of its ancestors. For `pass_fds`."""
        return (self._read_fd, *self._above.fds)

    def environment(self, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment that tells a child its file descriptors."""
        base = os.environ if environment is None else environment
        return {**base, VARIABLE: ",".join(str(fd) for fd in self.fds)}

    def spawn(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a child that holds on to this lifeline.

        It gets a session of its own: Ctrl-C then reaches the parent alone, which ends its children in its own order.
        For `asyncio.create_subprocess_exec`, give it `pass_fds=lifeline.fds, env=lifeline.environment()` instead.
        """
        child = subprocess.Popen(
            command,
            env=self.environment(environment),
            pass_fds=self.fds,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def close(self, limit_s: float = 2.0) -> None:
        """End every child as if this process had ended; kill what still lives after `limit_s`. Can be called twice."""
        if self._write_fd >= 0:
            os.close(self._write_fd)
            os.close(self._read_fd)
            self._write_fd = -1
        ends_at = time.monotonic() + limit_s
        for child in self._children:
            try:
                child.wait(max(0.0, ends_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()


def wrapped(command: Sequence[str | os.PathLike[str]], *, remove: Path | None = None) -> list[str]:
    """The command line that runs a foreign program under the wrapper, and owns a folder for as long as it runs."""
    line = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), "wrap"]
    if remove is not None:
        line += ["--remove", str(remove)]
    return [*line, "--", *(str(word) for word in command)]


def die_with(parent_pid: int) -> None:
    """This process is killed when its parent is: a foreign program's, before it becomes that program, or a worker's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # the wrapper was killed in between
        os._exit(EXIT_ORPHANED)


def _wrap(command: list[str], folder: Path | None) -> int:
    """Run the command until it ends, a signal asks for its end, or an ancestor is gone. Returns its exit code."""
    held = held_from_environment()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: asked.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child: subprocess.Popen[bytes] | None = None
    orphaned_at: float | None = None
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        if command and not held.gone(0):
            wrapper_pid = os.getpid()
            child = subprocess.Popen(command, preexec_fn=lambda: die_with(wrapper_pid))
        told = 0
        while child is None or child.poll() is None:
            ready = _ready((*held.fds, wake_read), None)
            if wake_read in ready:
                os.read(wake_read, 512)
            if ready - {wake_read}:
                orphaned_at = time.monotonic()
                if child is not None and folder is None:
                    _end(child)
                break
            if asked[told:]:
                if child is None:
                    break
                child.send_signal(signal.SIGTERM)  # it may take its time: whoever asked has a limit of its own
                told = len(asked)
        if orphaned_at is not None:
            return EXIT_ORPHANED
        return child.returncode if child is not None else 0
    finally:
        if child is not None and child.poll() is None:
            child.kill()
            child.wait()
        if folder is not None:
            _remove(folder, quiet_from=0.0 if orphaned_at is None else orphaned_at + QUIET_S)


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL.

    A program whose folder goes with it is killed at once instead: there is nothing to save.
    """
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _remove(folder: Path, quiet_from: float) -> None:
    """Remove a folder, and again until `quiet_from`: until then, orphans that are about to end may write into it."""
    gives_up_at = time.monotonic() + REMOVE_LIMIT_S
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        now = time.monotonic()
        if not folder.exists() and now >= quiet_from:
            return
        if now > gives_up_at:
            print(f"cannot remove {folder}; remove it by hand", file=sys.stderr)
            return
        time.sleep(0.02)


def main(arguments: list[str]) -> int:
    """`wrap [--remove DIR] -- [COMMAND ...]`"""
    usage = f"expected: {Path(__file__).name} wrap [--remove DIR] -- [COMMAND ...]"
    if arguments[:1] != ["wrap"] or "--" not in arguments:
        print(f"{usage}; came: {' '.join(arguments) or 'nothing'}", file=sys.stderr)
        return EXIT_USAGE
    split = arguments.index("--")
    options, command = arguments[1:split], arguments[split + 1 :]
    if options and (len(options) != 2 or options[0] != "--remove"):
        print(f"{usage}; came: {' '.join(options)}", file=sys.stderr)
        return EXIT_USAGE
    if not command and not options:
        print(f"{usage}; came neither a command nor a folder", file=sys.stderr)
        return EXIT_USAGE
    return _wrap(command, Path(options[1]) if options else None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
