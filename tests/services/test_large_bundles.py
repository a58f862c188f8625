"""A large bundle is read and handed on while calls are screened: the loop waits for none of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.firewall import evaluating
from services.firewall.policies.reading import SMALL_BYTES_MAX, NotRead, Reading, read_apart
from services.host.blocking import at_once, in_thread
from services.host.children import Ailment, InPlace, Processes
from services.policy.files.built_in import CONTENT
from services.policy.files.reading import BundleRefused, read_bundle
from simulator.virtual_loop import run_virtual
from tests.policy.files import text

T = TypeVar("T")
PADDED = "#" * SMALL_BYTES_MAX
LATE_S = 0.1
"""The deadline of a verdict."""


def large(items: int) -> bytes:
    """Two lists that nobody needs, and one rule."""
    names = {each: ", ".join(f"carrier-{each}-{n}" for n in range(items)) for each in (1, 2)}
    lists = ", ".join(f"l{each}: {{kind: source, items: [{of}]}}" for each, of in names.items())
    named = "nuisance: {kind: number, items: [+15085550199]}"
    return text(lists=f"{{{named}, {lists}}}").encode()


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8)


@given(st.lists(WORDS, max_size=5, unique=True), st.sampled_from(["pass", "{flag: 40}", "{divert: nuisance-desk}"]))
def test_what_a_helper_has_read_is_what_the_reader_reads(items: list[str], verdict: str) -> None:
    """Every field, whatever is in it; and a refusal with its line."""
    more = json.dumps(items, ensure_ascii=False)
    lists = f"{{nuisance: {{kind: number, items: [+15085550199]}}, more: {{kind: source, items: {more}}}}}"
    content = (text(lists=lists, verdict=verdict) + PADDED).encode()
    assert run_virtual(read_apart(InPlace(), at_once, content), 60.0) == read_bundle(content)
    assert run_virtual(read_apart(InPlace(), at_once, CONTENT), 60.0) == read_bundle(CONTENT)
    with pytest.raises(BundleRefused) as apart:
        run_virtual(read_apart(InPlace(), at_once, b"name: a\nname: b\n" + PADDED.encode()), 60.0)
    assert (apart.value.line, apart.value.what) == (2, "'name' is there twice, first at line 1")


@pytest.mark.parametrize("ailment", [Ailment(hangs=True), Ailment(cannot_start=True)])
def test_a_file_that_no_helper_has_read_is_not_called_a_bad_one(ailment: Ailment) -> None:
    """It may be read the next time."""
    with pytest.raises(NotRead):
        run_virtual(read_apart(InPlace(ailment), at_once, (text() + PADDED).encode()), 200.0)
    assert Reading().answer(b"") == b""


async def latest(work: Awaitable[T]) -> tuple[T, float]:
    """What comes of it, and by how much at most another task of the loop came late meanwhile."""
    late_s, over = 0.0, False

    async def tick() -> None:
        nonlocal late_s
        while not over:
            at = perf_counter()
            await asyncio.sleep(0.002)
            late_s = max(late_s, perf_counter() - at - 0.002)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    done = await work
    over = True
    await ticking
    return done, late_s


async def least(work: Callable[[], Awaitable[object]]) -> float:
    """The best of three: another process may have had the processor."""
    return min([(await latest(work()))[1] for _ in range(3)])


async def test_calls_are_screened_while_a_large_bundle_is_read_and_handed_to_the_evaluator() -> None:
    """Three megabytes: in a thread of the same interpreter, and in one piece, both took longer than a verdict may."""
    content = large(70_000)
    children = Processes()
    bundle = await read_apart(children, in_thread, content)
    assert bundle == read_bundle(content)
    assert await least(lambda: read_apart(children, in_thread, content)) < LATE_S / 2
    assert await least(lambda: evaluating.hold(bundle, set())) < LATE_S / 2
    await children.close()
    words = json.loads(await evaluating.hold(bundle, {"b", "a"}))
    assert words["keep"] == ["a", "b"]
    assert {name: (kind, frozenset(items)) for name, kind, items in words["bundle"]["lists"]} == {
        each.name: (each.kind, each.items) for each in bundle.lists.values()
    }
