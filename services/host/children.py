"""The port to helpers in processes of their own: for work that may hang, burn the processor or take the process down.

A helper answers bytes with bytes. Its parent waits for an answer no longer than it says; past that the helper is
killed, since nothing else stops code that holds the interpreter, and the next one is started. `Processes` are real,
`InPlace` answers in the same process, for tests and the simulator, which can hang, slow or kill it.

A real helper is `python -m MODULE`, and that module's main calls `serve` with what its `Program` builds. The two speak
in frames over its stdin and stdout: four bytes of length, then so many of payload.
"""

from __future__ import annotations

import asyncio
import os
import resource
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from services.host.lag import LATE_S
from services.host.lifeline import Lifeline, die_with, hold

FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
_LOOK_EVERY_S: Final = 0.02
_FLOAT_S: Final = 1e-6  # sums of instants are not exact: less than this is no time to wait for
_LENGTH: Final = struct.Struct(">I")
_PROCESS_CLOCK: Final = 2
_PARENT: Final = "THROUGHLINE_HELPER_OF"


class Silent(Exception):
    """No answer within `within_s`: the helper was killed. Of that time it had the processor for `burned_s`; none is
    told where the parent came late itself, since the answer may have been there (L2)."""

    def __init__(self, within_s: float, burned_s: float) -> None:
        super().__init__(f"no answer within {within_s * 1000:.0f} ms, {burned_s * 1000:.0f} ms of it at work")
        self.within_s = within_s
        self.burned_s = burned_s


class Gone(Exception):
    """The helper is not there, or ended before it answered."""


class Busy(Exception):
    """Others were asking until too late, or it ended over one of them: it was not asked, and nothing follows."""


class Answering(Protocol):
    """What a helper does. What it raises ends the helper, as any mistake ends a process."""

    def answer(self, asked: bytes) -> bytes:
        """The answer, however long that takes."""
        ...


@dataclass(frozen=True, slots=True)
class Program:
    """A helper: the module that a process runs, and what it answers with. `memory_bytes_max` bounds the process, and
    `niceness` is how far it gives way to others, 0 to 19."""

    module: str
    build: Callable[[], Answering]
    memory_bytes_max: int = 2 * 1024**3
    niceness: int = 0


class Child(Protocol):
    """One helper that runs. It is asked one thing at a time."""

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        ...

    async def ask(self, asked: bytes, within_s: float) -> bytes:
        """Its answer. Raises Silent past the time, after which it lives no more; Gone; or Busy where its turn did not
        come in the first half of it: with less than the other half to answer in, silence would say nothing."""
        ...

    async def kill(self) -> None:
        """It ends at once. Can be called twice."""
        ...


class Children(Protocol):
    """Starts helpers, each of which ends with this process."""

    async def start(self, program: Program) -> Child:
        """A new one; raises Gone where none can be started."""
        ...

    async def close(self) -> None:
        """Ends them all."""
        ...


class Processes:
    """Helpers in processes."""

    def __init__(self) -> None:
        self._lifeline: Lifeline | None = None
        self._all: list[_Process] = []

    async def start(self, program: Program) -> Child:
        """See `Children.start`."""
        lifeline = self._lifeline = self._lifeline or Lifeline()
        own = {_PARENT: f"{os.getpid()},{program.memory_bytes_max},{program.niceness}"}
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", program.module),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=lifeline.fds,
                env={**lifeline.environment(), **own},
                start_new_session=True,
            )
        except OSError as trouble:
            raise Gone(f"cannot start {program.module}: {trouble}") from trouble
        child = _Process(process)
        self._all = [*(each for each in self._all if each.lives), child]
        return child

    async def close(self) -> None:
        """See `Children.close`."""
        for child in self._all:
            await child.kill()
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None


class _Process:
    """See `Child`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._in, self._out = process.stdin, process.stdout
        self._turn = asyncio.Lock()
        self._killed = False

    @property
    def lives(self) -> bool:
        return not self._killed and self._process.returncode is None

    async def ask(self, asked: bytes, within_s: float) -> bytes:
        """See `Child.ask`."""
        within_s = await _turn(self, self._turn, within_s)
        try:
            return await self._exchange(asked, within_s)
        finally:
            self._turn.release()

    async def _exchange(self, asked: bytes, within_s: float) -> bytes:
        loop = asyncio.get_running_loop()
        began, at_work_s = loop.time(), _at_work_s(self._process.pid)
        try:
            async with asyncio.timeout(within_s):
                self._in.write(_LENGTH.pack(len(asked)) + asked)
                await self._in.drain()
                (length,) = _LENGTH.unpack(await self._out.readexactly(_LENGTH.size))
                if length > FRAME_BYTES_MAX:
                    raise Gone(f"the helper announced an answer of {length} bytes")
                return await self._out.readexactly(length)
        except TimeoutError:
            late = loop.time() - began > within_s + LATE_S
            burned_s = 0.0 if late else _at_work_s(self._process.pid) - at_work_s
            self._end()
            raise Silent(within_s, burned_s) from None
        except (asyncio.IncompleteReadError, OSError) as trouble:
            self._end()
            raise Gone("the helper ended before it answered") from trouble
        except BaseException:
            self._end()  # an answer that nobody reads would be the answer to the next question
            raise

    async def kill(self) -> None:
        """See `Child.kill`."""
        self._end()
        await self._process.wait()

    def _end(self) -> None:
        self._killed = True
        with suppress(ProcessLookupError):
            self._process.kill()


def _at_work_s(pid: int) -> float:
    """Seconds for which a process has had a processor, by the kernel's clock of it; 0.0 where there is none."""
    try:
        return time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)
    except OSError:
        return 0.0


async def _turn(child: Child, turn: asyncio.Lock, within_s: float) -> float:
    """Takes its turn, and says how much of the time is left: half of it at least."""
    if not child.lives:
        raise Gone("the helper has ended")
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    try:
        async with asyncio.timeout_at(until - within_s / 2):
            await turn.acquire()
    except TimeoutError:
        raise Busy(f"its turn did not come within {within_s / 2 * 1000:.0f} ms") from None
    if not child.lives:
        turn.release()
        raise Busy("the helper ended over another's question")
    return until - loop.time()


def serve(answering: Answering) -> None:
    """A helper's life: answers what comes, until its parent closes the pipe or is gone.

    Its stdout is the answers' alone; what else is printed goes to stderr. The parent's end is noticed by the kernel,
    since code that holds the interpreter would keep a watching thread from running.
    """
    parent, memory, niceness = map(int, os.environ.pop(_PARENT, "0,0,0").split(","))
    hold(lambda: os._exit(0), grace_s=0.0)
    if parent:
        die_with(parent)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        os.nice(niceness)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    questions = os.fdopen(0, "rb", buffering=0, closefd=False)
    while (asked := _read(questions)) is not None:
        answer = answering.answer(asked)
        answers.write(_LENGTH.pack(len(answer)) + answer)


def _read(questions: BinaryIO) -> bytes | None:
    head = _exactly(questions, _LENGTH.size)
    return None if head is None else _exactly(questions, _LENGTH.unpack(head)[0])


def _exactly(questions: BinaryIO, length: int) -> bytes | None:
    read = bytearray()
    while len(read) < length:
        more = questions.read(length - len(read))
        if not more:
            return None
        read += more
    return bytes(read)


@dataclass(slots=True)
class Ailment:
    """What is wrong with helpers in place. Change it at any moment."""

    hangs: bool = False
    slow_s: float = 0.0
    """How much longer each answer takes."""
    cannot_start: bool = False
    ends: bool = False
    """Each question ends it, as a crash does."""
    over: bytes = b""
    """It ails over questions that hold these bytes alone; empty: over each."""


class InPlace:
    """Helpers in the same process: what a `Program` builds answers at once, unless it ails."""

    def __init__(self, ailment: Ailment | None = None) -> None:
        self.ailment = ailment if ailment is not None else Ailment()
        self.started = 0
        self._all: list[_Object] = []

    async def start(self, program: Program) -> Child:
        """See `Children.start`."""
        if self.ailment.cannot_start:
            raise Gone(f"cannot start {program.module}: out of processes")
        self.started += 1
        child = _Object(program.build(), self.ailment)
        self._all = [*(each for each in self._all if each.lives), child]
        return child

    async def close(self) -> None:
        """See `Children.close`."""
        self.kill_all()

    def kill_all(self) -> None:
        """As by somebody else's SIGKILL: whoever waits for an answer hears that it is gone."""
        for child in self._all:
            child.end()


class _Object:
    """See `Child`."""

    def __init__(self, answering: Answering, ailment: Ailment) -> None:
        self._answering = answering
        self._ailment = ailment
        self._turn = asyncio.Lock()
        self._ended = asyncio.Event()

    @property
    def lives(self) -> bool:
        return not self._ended.is_set()

    async def ask(self, asked: bytes, within_s: float) -> bytes:
        """See `Child.ask`."""
        within_s = await _turn(self, self._turn, within_s)
        try:
            if self._ailment.over in asked:
                await self._ail(within_s)
            return self._answering.answer(asked)
        except (Silent, Gone):
            raise
        except Exception as mistake:
            self.end()
            raise Gone(f"the helper ended before it answered: {mistake}") from mistake
        except BaseException:
            self.end()
            raise
        finally:
            self._turn.release()

    async def _ail(self, within_s: float) -> None:
        """Passes the time that it takes; an ailment that ends meanwhile takes no more."""
        if self._ailment.ends:
            self.end()
            raise Gone("the helper ended before it answered")
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (passed_s := loop.time() - began) < within_s - _FLOAT_S:
            left_s = within_s - passed_s if self._ailment.hangs else self._ailment.slow_s - passed_s
            if left_s <= _FLOAT_S:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, within_s - passed_s, _LOOK_EVERY_S)):
                    await self._ended.wait()
                    raise Gone("the helper was killed")
        self.end()
        raise Silent(within_s, within_s)

    async def kill(self) -> None:
        """See `Child.kill`."""
        self.end()

    def end(self) -> None:
        self._ended.set()
