"""Both directions of a served stream at once, with a stream whose every read and write is the script's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from throughline.v1 import delivery_pb2

from services.host.dialogue import WORDS_WAITING_MAX, Dialogue
from services.host.network import Broken, Refuse, Status
from services.wire.methods import Unreadable
from simulator.virtual_loop import run_virtual

Up = delivery_pb2.AttachRequest
Down = delivery_pb2.AttachResponse
WORD = Down(heartbeat=delivery_pb2.PsapHeartbeat())


class ScriptedStream:
    """Reads come from a queue; an exception in it is raised. Writes wait while `blocked`."""

    peer = "script"

    def __init__(self) -> None:
        self.comes: asyncio.Queue[Up | Exception | None] = asyncio.Queue()
        self.written: list[Down] = []
        self.flows = asyncio.Event()
        self.flows.set()

    async def read(self) -> Up | None:
        item = await self.comes.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def write(self, message: Down) -> None:
        await self.flows.wait()
        self.written.append(message)


def play(scene: Callable[[ScriptedStream, Dialogue[Up, Down]], Coroutine[Any, Any, None]]) -> None:
    async def staged() -> None:
        stream = ScriptedStream()
        await scene(stream, Dialogue(stream))

    run_virtual(staged(), limit_s=10)


def unheard(message: Up | None) -> None:
    raise AssertionError("nothing comes in this scene")


def test_words_go_out_in_order_and_an_end_comes_after_them() -> None:
    """An orderly end loses nothing."""

    async def scene(stream: ScriptedStream, dialogue: Dialogue[Up, Down]) -> None:
        words = [Down(cancel=delivery_pb2.Cancel(attempt=str(n))) for n in range(5)]
        for word in words:
            dialogue.say(word)
        dialogue.end()
        dialogue.say(WORD)  # after the end: nobody hears it
        await dialogue.lead(unheard)
        assert stream.written == words

    play(scene)


def test_a_refusal_comes_at_once_even_where_the_other_side_does_not_read() -> None:
    """A deaf peer cannot hold a stream open by not reading."""

    async def scene(stream: ScriptedStream, dialogue: Dialogue[Up, Down]) -> None:
        stream.flows.clear()
        dialogue.say(WORD)
        asyncio.get_running_loop().call_later(1.0, dialogue.end, Refuse(Status.RESOURCE_EXHAUSTED, "deaf"))
        with pytest.raises(Refuse, match="deaf"):
            await dialogue.lead(unheard)
        assert asyncio.get_running_loop().time() == 1.0
        assert stream.written == []

    play(scene)


def test_what_is_not_read_is_bounded() -> None:
    """`say` tells when there is no more room."""

    async def scene(stream: ScriptedStream, dialogue: Dialogue[Up, Down]) -> None:
        assert all(dialogue.say(WORD) for _ in range(WORDS_WAITING_MAX))
        assert not dialogue.say(WORD)

    play(scene)


def test_each_message_is_heard_and_the_end_of_them_once() -> None:
    """None comes last; the dialogue goes on until it is ended."""

    async def scene(stream: ScriptedStream, dialogue: Dialogue[Up, Down]) -> None:
        heard: list[Up | None] = []

        def hear(message: Up | None) -> None:
            heard.append(message)
            if message is None:
                dialogue.say(WORD)
                asyncio.get_running_loop().call_later(1.0, dialogue.end)

        said = Up(ended=delivery_pb2.Ended(attempt="a"))
        for item in (said, None, said):
            stream.comes.put_nowait(item)
        await dialogue.lead(hear)
        assert heard == [said, None]
        assert stream.written == [WORD]

    play(scene)


@pytest.mark.parametrize("trouble", [Unreadable("no such message", b"\xff"), ZeroDivisionError("our own mistake")])
def test_what_cannot_be_read_and_our_own_mistakes_come_out_of_lead(trouble: Exception) -> None:
    """Neither is swallowed by the task that reads."""

    async def scene(stream: ScriptedStream, dialogue: Dialogue[Up, Down]) -> None:
        def hear(message: Up | None) -> None:
            raise trouble

        stream.comes.put_nowait(trouble if isinstance(trouble, Unreadable) else Up())
        with pytest.raises(type(trouble)):
            await dialogue.lead(hear)

    play(scene)


def test_a_break_while_writing_comes_out_of_lead() -> None:
    """Broken, for the service to handle as a value."""

    async def scene(stream: ScriptedStream, dialogue: Dialogue[Up, Down]) -> None:
        class Breaks(ScriptedStream):
            async def write(self, message: Down) -> None:
                raise Broken(Status.CANCELLED, "gone")

        breaking: Dialogue[Up, Down] = Dialogue(Breaks())
        breaking.say(WORD)
        with pytest.raises(Broken):
            await breaking.lead(unheard)

    play(scene)


def test_a_cancel_is_a_cancel_even_while_a_write_waits() -> None:
    """The other side is gone: not to be taken for a refusal of ours."""

    async def scene(stream: ScriptedStream, dialogue: Dialogue[Up, Down]) -> None:
        stream.flows.clear()
        dialogue.say(WORD)
        leading = asyncio.ensure_future(dialogue.lead(unheard))
        await asyncio.sleep(1)
        leading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leading
        assert dialogue.over

    play(scene)
