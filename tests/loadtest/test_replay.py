"""`throughline replay` against an ingress that says what a test tells it to."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from throughline.v1 import call_pb2, place_pb2

from loadtest.diary import read_diary

Say = call_pb2.PlaceCallResponse
WHERE = place_pb2.Where(psap_id="3175")
ENDS_WITHIN_S = 60.0


async def replay(folder: Path, address: str, *options: str | Path) -> tuple[int, str]:
    """Replays three calls within a second; gives exit code and output."""
    trace = folder / "trace.csv"
    trace.write_text("ts_call\n2016-02-24 18:00:51\n2016-02-24 18:00:51\n2016-02-24 18:00:52\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "replay", str(trace), "--ingress", address),
        *("--speed", "10", "--human-speed", "10", *map(str, options)),
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), ENDS_WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.parametrize(
    ("options", "urn"), [((), "urn:service:test.sos"), (("--real",), "urn:service:sos")], ids=["test", "real"]
)
async def test_a_trace_is_replayed_as_test_calls_unless_real_ones_are_asked_for(
    ingress: Callable[..., Any], tmp_path: Path, options: tuple[str, ...], urn: str
) -> None:
    """RFC 6881's test URN by default; the source says that it is the load tester."""
    offers: list[call_pb2.Offer] = []

    async def answer(heard: Any) -> None:
        offer = await heard.expect("offer")
        offers.append(offer)
        await heard.say(Say(accepted=call_pb2.Accepted(durability=call_pb2.DURABILITY_DURABLE)))
        await heard.say(Say(ringing=call_pb2.Ringing(attempt=f"{offer.call_id}/1/1", where=WHERE)))
        await heard.say(Say(connecting=call_pb2.Connecting(attempt=f"{offer.call_id}/1/1")))
        await heard.expect("confirm")
        await heard.say(Say(connected=call_pb2.Connected(attempt=f"{offer.call_id}/1/1", where=WHERE)))

    witness = tmp_path / "seen.jsonl"
    async with ingress(answer) as address:
        code, output = await replay(tmp_path, address, "--witness", witness, *options)
    assert code == 0, output
    assert {(offer.service_urn, offer.source) for offer in offers} == {(urn, "loadtest")}
    assert len({offer.call_id for offer in offers}) == len({offer.caller for offer in offers}) == 3
    assert all(41 < offer.place.circle.centre.latitude < 43 for offer in offers)
    assert sum(entry["event"] == "connected" for entry in read_diary(witness)) == 3


async def test_an_installation_that_refuses_real_calls_is_told_of(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """Production: nobody insists, and the exit code says that calls were not taken."""

    async def refuse(heard: Any) -> None:
        await heard.expect("offer")
        await heard.context.abort(grpc.StatusCode.PERMISSION_DENIED, "production")

    async with ingress(refuse) as address:
        code, output = await replay(tmp_path, address, "--real")
    assert code == 1
    assert "3 refused" in output
