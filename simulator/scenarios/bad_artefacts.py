"""What passes every check and cannot be used (crowdstrike-2024), and what may be used no more (expired-signature)."""

from __future__ import annotations

from typing import Final

from simulator.scenarios.bundles import GOOD, REPEATS, bundle, diverting
from simulator.scenarios.callers import callers
from simulator.scenarios.plain_filter import PlainFilter
from simulator.scenarios.scenario import Scenario
from simulator.scenarios.stage import BOTH, DAY_MS, Stage, digest_of

STRIKES_S: Final = 60.0
UNFIT: Final = bundle(2, [diverting("twenty-one-fields", "number_calls_600s >= 6 && minute >= 0"), REPEATS])
"""The checker counts twenty fields, the evaluator wants twenty-one: it is made to end when it is given this."""


async def unfit_before(stage: Stage, plain: PlainFilter) -> None:
    """It ends when it loads the file, each time that it is started."""
    plain.take(GOOD)
    await stage.at(STRIKES_S)
    stage.strikes()
    plain.trouble = "it ends whenever it loads its rules"


async def unfit_after(stage: Stage) -> None:
    """Checked, signed by two, forced to all at once."""
    await stage.force_live(GOOD)
    await stage.at(STRIKES_S - 5)
    stage.loading_ails(digest_of(UNFIT), ends=True)
    stage.notes["check"] = await stage.hand_in(UNFIT, *BOTH) or "finds nothing"
    await stage.at(STRIKES_S)
    stage.strikes()
    await stage.force_live(UNFIT)
    await stage.at(STRIKES_S + 30)
    stage.notes["serves then"] = await stage.serving()
    stage.notes["history"] = stage.history()
    since_ms = stage.now_ms() - 15_000
    stage.notes["screened by rules then"] = stage.screened(since_ms)
    stage.notes["not screened by rules then"] = stage.failed_open(since_ms)


CROWDSTRIKE: Final = Scenario(
    "crowdstrike-2024",
    "A file passed its validator, and ended the program that loaded it, on 8.5 million machines.",
    "A bundle that every check accepts, and that ends the evaluator when it is loaded, is forced live everywhere.",
    callers,
    unfit_before,
    unfit_after,
)


async def expired_before(stage: Stage, plain: PlainFilter) -> None:
    """What is not signed is not trusted, and without rules it passes nothing."""
    plain.take(GOOD)
    await stage.at(STRIKES_S)
    stage.strikes()
    plain.trouble = "the signature of its rules has expired"


async def expired_after(stage: Stage) -> None:
    """The live bundle's signatures end; a firewall is started again after that; another such bundle is handed in."""
    await stage.force_live(GOOD, valid_ms=round(STRIKES_S * 1000))
    await stage.at(STRIKES_S)
    stage.strikes()
    await stage.at(STRIKES_S + 10)
    stage.notes["alarm"] = stage.alarms("expired", "goes on")
    stage.notes["serves then"] = await stage.serving()
    for replica in stage.firewalls:
        replica.kill(stage.by)
        replica.start()
    await stage.at(STRIKES_S + 20)
    stage.notes["serves after a restart"] = await stage.serving()
    then_ms = stage.now_ms() - 2 * DAY_MS
    next_one = bundle(2, [diverting("nuisance", "number_calls_600s >= 7"), REPEATS])
    stage.notes["handed in with expired signatures"] = await stage.hand_in(next_one, *BOTH, signed_ms=then_ms)


EXPIRED: Final = Scenario(
    "expired-signature",
    "Certificates and signatures that nobody renewed in time have stopped whole networks, at the same second.",
    "The live bundle's signatures expire while calls come, and firewalls are started again after that.",
    callers,
    expired_before,
    expired_after,
)
