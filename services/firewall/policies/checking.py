"""The helper that checks a bundle which was handed in, one each: `python -m services.firewall.policies.checking`.

To look through a thousand rules takes seconds of an interpreter. In the firewall's own one, calls would wait for each
turn of it, and a bundle over which the checker falls would take the firewall with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from services.host.children import Busy, Children, Gone, Program, Silent, serve
from services.policy.checks.check import check
from services.policy.files.reading import read_bundle

START_S: Final = 20.0
CHECK_S: Final = 60.0
NOT_NOW: Final = "it cannot be checked now: {}; hand it in again"


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checker says of a bundle: with errors it is refused, warnings are told."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Checking:
    """Answers a bundle's file, which can be read, with what is wrong with it; nothing with nothing."""

    def answer(self, asked: bytes) -> bytes:
        """Two lists of lines."""
        if not asked:
            return b""
        report = check(read_bundle(asked))
        said = [[str(finding) for finding in each] for each in (report.errors, report.warnings)]
        return json.dumps(said).encode()


PROGRAM: Final = Program("services.firewall.policies.checking", Checking, niceness=10)


async def checked(children: Children, content: bytes) -> Checked:
    """What a helper of its own says of this file; that it fell over it is an error of the file."""
    try:
        helper = await children.start(PROGRAM)
    except Gone as gone:
        return Checked((NOT_NOW.format(gone),))
    try:
        await helper.ask(b"", START_S)
    except (Silent, Gone, Busy) as trouble:  # the file was not seen yet: it has no part in this
        await helper.kill()
        return Checked((NOT_NOW.format(trouble),))
    try:
        errors, warnings = json.loads(await helper.ask(content, CHECK_S))
    except (Silent, Gone, Busy) as trouble:
        return Checked((f"the checker fell over it: {trouble}; write fewer and simpler rules",))
    finally:
        await helper.kill()
    return Checked(tuple(errors), tuple(warnings))


if __name__ == "__main__":
    serve(Checking())
