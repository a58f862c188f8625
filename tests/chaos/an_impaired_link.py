"""Two places and a link between them, in namespaces of their own: prints what a message and its echo met, as JSON.

Run as a process by test_links.py: `python -m tests.chaos.an_impaired_link`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from chaos.links import CUT, Impairment, Links, enter

PORT = 7000
WITHIN_S = 1.5
ECHO = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    caller, _ = server.accept()
    while data := caller.recv(64):
        caller.send(data)
"""
SAY = """
import socket, sys
caller = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
for line in sys.stdin.buffer:
    caller.send(line)
    print(caller.recv(64).decode().strip(), flush=True)
"""


async def measure() -> dict[str, float | None]:
    """Milliseconds of a round trip on one connection, by what the link is at that time; None: nothing came back."""
    links = Links(["a", "b"], seed=1)
    links.up()
    links.listen()
    where = links.host("b"), str(PORT)
    echo = await asyncio.create_subprocess_exec(*links.within("b"), sys.executable, "-c", ECHO, *where)
    await asyncio.sleep(0.5)
    pipe = asyncio.subprocess.PIPE
    say = await asyncio.create_subprocess_exec(
        *links.within("a"), sys.executable, "-c", SAY, *where, stdin=pipe, stdout=pipe
    )
    assert say.stdin is not None and say.stdout is not None
    told: dict[str, float | None] = {}

    async def trip(name: str) -> None:
        assert say.stdin is not None and say.stdout is not None
        began = time.monotonic()
        say.stdin.write(f"{name}\n".encode())
        try:
            async with asyncio.timeout(WITHIN_S):
                while (await say.stdout.readline()).decode().strip() != name:
                    pass
            told[name] = (time.monotonic() - began) * 1000
        except TimeoutError:
            told[name] = None

    try:
        await trip("first")
        await trip("whole")
        links.impair("a", "b", Impairment(delay_ms=100))
        links.impair("b", "a", Impairment(delay_ms=100))
        await trip("late")
        links.mend()
        await trip("mended")
        links.impair("b", "a", CUT)
        await trip("cut")
        links.mend()
        await asyncio.sleep(WITHIN_S)
        await trip("again")
    finally:
        for process in (say, echo):
            process.kill()
            await process.wait()
        links.close()
    return told


if __name__ == "__main__":
    enter(["-m", "tests.chaos.an_impaired_link"])
    print(json.dumps(asyncio.run(measure())))
