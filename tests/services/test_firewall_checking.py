"""A bundle that is handed in is checked in a process of its own, whatever becomes of that."""

from __future__ import annotations

from services.firewall.policies.checking import checked
from services.host.children import Ailment, InPlace, Processes
from simulator.virtual_loop import run_virtual
from tests.policy.files import text


async def test_a_real_helper_says_what_is_wrong_and_ends() -> None:
    """The same as the checker says; nothing is wrong with a good one."""
    children = Processes()
    assert (await checked(children, text().encode())).errors == ()
    (error,) = (await checked(children, text(when="'number == \"\"'").encode())).errors
    assert "cannot help" in error
    await children.close()


def test_a_bundle_over_which_the_checker_falls_is_refused() -> None:
    """It hangs, it ends, it cannot be started: none of these says that the bundle is good."""

    async def scene() -> None:
        hung = InPlace(Ailment(hangs=True, over=b"nuisance"))
        assert "the checker fell over it: no answer" in (await checked(hung, text().encode())).errors[0]
        for ailment in (Ailment(hangs=True), Ailment(ends=True)):
            said = (await checked(InPlace(ailment), text().encode())).errors[0]
            assert said.startswith("it cannot be checked now: ") and said.endswith("hand it in again")
        ended = await checked(InPlace(), b"no bundle")
        assert "ended before it answered" in ended.errors[0]
        assert "cannot be checked now" in (await checked(InPlace(Ailment(cannot_start=True)), b"")).errors[0]

    run_virtual(scene(), limit_s=1_000.0)
