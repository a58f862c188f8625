"""The helper that reads a large bundle: `python -m services.firewall.policies.reading`.

To read four megabytes takes a second or two of an interpreter, and calls are screened in the firewall's own. So a
large file is read elsewhere, and comes back in pieces, between each two of which calls have their turn. What it says
goes as JSON: the reader of hostile bytes hands over nothing that could do anything.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from typing import Any, Final

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.firewall.pieces import in_pieces
from services.host.blocking import RunBlocking
from services.host.children import Busy, Children, Gone, Program, Silent, serve
from services.policy.attributes import Listed
from services.policy.bundle import Bundle, CanaryStep, Limits, NamedList, Rule
from services.policy.files.reading import BundleRefused, read_bundle

SMALL_BYTES_MAX: Final = 64 * 1024
"""Up to this a file is read in a thread: it takes as long as a few calls."""
START_S: Final = 20.0
READ_S: Final = 30.0

ReadFile = Callable[[bytes], Awaitable[Bundle]]
"""Raises BundleRefused, or NotRead."""


class NotRead(Exception):
    """Nothing is known of this file yet: no helper, or none that answered. It can be asked again."""


class Reading:
    """Answers a bundle's file with what it says, in lines; nothing with nothing."""

    def answer(self, asked: bytes) -> bytes:
        """A line with everything but the items of lists, then those, some in a line, with their list's number."""
        if not asked:
            return b""
        try:
            bundle = read_bundle(asked)
        except BundleRefused as refused:
            return json.dumps({"refused": [refused.line, refused.what, refused.instead]}).encode()
        return "\n".join([json.dumps(_head(bundle)), *_items(bundle)]).encode()


PROGRAM: Final = Program("services.firewall.policies.reading", Reading, niceness=10)


async def read_apart(children: Children, run_blocking: RunBlocking, content: bytes) -> Bundle:
    """The bundle of these bytes; raises BundleRefused as `read_bundle` does, or NotRead."""
    if len(content) <= SMALL_BYTES_MAX:
        return await run_blocking(lambda: read_bundle(content))
    try:
        helper = await children.start(PROGRAM)
    except Gone as gone:
        raise NotRead(f"it cannot be read now: {gone}") from gone
    try:
        await helper.ask(b"", START_S)
        answer = await helper.ask(content, READ_S)
        return await _bundle(answer.split(b"\n"), await run_blocking(lambda: sha256(content).hexdigest()))
    except (Silent, Gone, Busy, ValueError, KeyError, TypeError) as trouble:
        raise NotRead(f"it could not be read: {trouble!r}") from trouble
    finally:
        await helper.kill()


def _head(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "version": bundle.version,
        "author": bundle.author,
        "rules": [
            (r.rule_id, r.reason, r.when, _said(r.verdict), r.owner, r.forecast_share, r.expires_ms, r.line)
            for r in bundle.rules
        ],
        "lists": [(each.name, each.kind, each.line) for each in bundle.lists.values()],
        "limits": (bundle.limits.diverted_share, bundle.limits.psap_diverted_share),
        "canary": [(each.share, sorted(each.areas), each.calls_min, each.minutes_min) for each in bundle.canary],
    }


def _items(bundle: Bundle) -> Iterator[str]:
    for number, each in enumerate(bundle.lists.values()):
        for piece in in_pieces(each.items):
            yield json.dumps([number, piece])


def _said(verdict: Verdict) -> int | str | None:
    return verdict.score if isinstance(verdict, Flag) else verdict.desk if isinstance(verdict, Divert) else None


async def _bundle(lines: list[bytes], digest: str) -> Bundle:
    head: dict[str, Any] = json.loads(lines[0])
    if "refused" in head:
        raise BundleRefused(*head["refused"])
    items: list[set[str]] = [set() for _ in head["lists"]]
    for line in lines[1:]:
        number, piece = json.loads(line)
        items[number].update(piece)
        await asyncio.sleep(0)
    lists = {}
    for (name, kind, line), of in zip(head["lists"], items, strict=True):
        lists[name] = NamedList(name, Listed(kind), frozenset(of), line)
        await asyncio.sleep(0)
    return Bundle(
        head["name"],
        head["version"],
        head["author"],
        tuple(_rule(*words) for words in head["rules"]),
        lists,
        Limits(*head["limits"]),
        tuple(CanaryStep(share, frozenset(areas), *least) for share, areas, *least in head["canary"]),
        digest,
    )


def _rule(
    rule_id: str, reason: str, when: str, said: int | str | None, owner: str, share: float, expires_ms: int, line: int
) -> Rule:
    verdict: Verdict = Pass()
    if isinstance(said, int):
        verdict = Flag(said, rule_id, reason)
    elif said is not None:
        verdict = Divert(said, rule_id, reason)
    return Rule(rule_id, reason, when, verdict, owner, share, expires_ms, line)


if __name__ == "__main__":
    serve(Reading())
