"""Mistakes on a call's way to a person: streams, gateways, the ladder, lines, and what is believed of neighbours."""

from __future__ import annotations

import asyncio
from typing import Any

from services.domain.breaker import Breaker
from services.domain.calls import ladder
from services.domain.calls.attempts import Attempt, Attempts
from services.domain.calls.exchange import CallerHungUp, StreamBroke
from services.domain.events import Failure
from services.domain.gateways.psaps import Psaps
from services.domain.gateways.switchboard import Switchboard
from services.domain.routing import Reach, StatusView
from services.failover import lines
from services.ingress.conductor import Conductor
from services.ingress.service import HEARTBEAT_EVERY_S, SILENT_S, Ingress
from tests.simulation.bugs.mistake import mistake


@mistake(Conductor, "hear", only=("reset@wire", "half_open@wire", "far_end"))
def end_of_stream_is_a_hang_up(real: Any, conductor: Conductor, happened: Any) -> None:
    """A stream that ends is taken for a caller who hangs up (P6): what rings is stopped at once, and a caller whose
    network has a hiccup loses the call-taker who was about to answer."""
    real(conductor, CallerHungUp() if isinstance(happened, StreamBroke) else happened)


@mistake(StatusView, "reach_by_address", only=("kafka_absent@psap", "kafka_gone"))
def unknown_is_unreachable(real: Any, view: StatusView, psap_id: str, now: float, *more: Any) -> dict[str, Reach]:
    """A row that is missing or stale says that the PSAP cannot be reached (R8), where it says nothing: while Kafka is
    away every caller is sent to administrative lines, and the call-takers of the region sit idle."""
    reach = real(view, psap_id, now, *more)
    return {each: Reach.UNREACHABLE if row is Reach.UNKNOWN else row for each, row in reach.items()}


@mistake(StatusView, "reach_by_address", only=("psap_cut", "psap_cut", "kafka_gone"), calls=60)
def a_stale_row_is_believed(real: Any, view: StatusView, psap_id: str, now: float, *more: Any) -> dict[str, Reach]:
    """The age of a row is not looked at (R8): a PSAP that was away when Kafka went is away until Kafka comes back, and
    its callers wait for administrative lines."""
    return real(view, psap_id, now, float("inf"))


@mistake(ladder._Target, "failed", only=("psap_full", "psap_reject"))
def full_is_treated_as_dead(real: Any, target: Any, failure: Any) -> None:
    """A PSAP whose positions are all taken is treated as one that is not there: its own lines ring on the desks of the
    same people, and the alternate, who has people to spare, is not asked (the ladder)."""
    real(target, failure)
    if failure is Failure.FULL:
        target.failure = Failure.UNREACHABLE


@mistake(Attempt, "through_another", only=("cut@psap-gateway", "kill@psap-gateway", "psap_cut"))
def gateways_are_tried_without_end(real: Any, attempt: Attempt, resume_due: float) -> Any:
    """A ring whose gateway is lost goes from one gateway to the other, and back, without end (R5): the caller hears a
    ring that nobody hears, and the next rung is never tried."""
    attempt._untried = attempt._untried or list(getattr(attempt.rung, "others", ()))
    return real(attempt, resume_due)


@mistake(Breaker, "allows", only=("kill_all@firewall",))
def a_breaker_never_closes(real: Any, breaker: Breaker, now: float) -> bool:
    """A breaker that has opened lets nobody through, not one to probe: firewalls that were away for a moment screen no
    call until the ingress is started again."""
    return breaker._open_until is None


@mistake(
    Switchboard, "_spoken_of", only=("psap_answers_for_another", "psap_ends_for_another", "psap_rejects_for_another")
)
def a_psap_speaks_for_another(real: Any, board: Switchboard, link: int, attempt: str, now: float) -> Any:
    """Which stream a word came on is not looked at (R2): one PSAP that is wrong, or was broken into, answers and
    rejects the calls of all others."""
    board._psaps.hear(link, now)
    return board._rings.get(attempt)


@mistake(lines, "keep_free", only=("psap_full",), calls=60)
def kept_channels_are_given_away(real: Any, channels: int, reason: str) -> int:
    """Lines keep nothing for calls whose PSAP cannot be reached (R7): callers whose PSAP is merely full take the last
    channel, and one whose PSAP is gone hears a busy tone."""
    return 0


@mistake(Ingress, "_beat", only=("cut@psap-gateway", "psap_silent"))
async def heartbeats_end_with_a_call(real: Any, ingress: Ingress) -> None:
    """The one heartbeat task ends when a call does that it was about to serve (P1): every other caller's side hears
    nothing for a second, and gives a leg up that was well."""
    served: set[Any] = set()
    while True:
        await asyncio.sleep(HEARTBEAT_EVERY_S)
        if any(each not in ingress._calls.values() for each in served):
            return
        served = set(ingress._calls.values())
        for each in served:
            each.outbox.beat(SILENT_S)


@mistake(Ingress, "_beat", only=("clock_jump@ingress",))
async def silence_by_the_wall_clock(real: Any, ingress: Ingress) -> None:
    """How long a caller's side has heard nothing is told by the wall clock, which a time server sets back by an hour
    (P1): for that hour no call gets a heartbeat, and every leg is given up after a second."""
    beaten_ms: dict[Any, int] = {}
    while True:
        await asyncio.sleep(HEARTBEAT_EVERY_S)
        now_ms = ingress._world.wall_ms()
        for each in list(ingress._calls.values()):
            if now_ms - beaten_ms.setdefault(each, now_ms) >= SILENT_S * 1000:
                beaten_ms[each] = now_ms
                each.outbox.beat(SILENT_S)


@mistake(Psaps, "judge_doubt", only=("psap_silent", "far@psap-gateway"))
def a_doubt_ends_the_ring(real: Any, psaps: Psaps, psap_id: str, now: float) -> None:
    """A PSAP of which nothing is heard for 0.8 s while it rings is taken for silent (R2, record 0029): one lost second
    of a network stops every telephone that rings there, and callers lose the call-taker who was about to answer."""
    psap = psaps._known[psap_id]
    doubted = psap.beats_while_ringing and psap.heard_at + 0.8 <= now
    real(psaps, psap_id, now)
    for ring in psaps._rings.at(psap) if doubted else ():
        psaps._rings.fail(ring, Failure.UNREACHABLE, "silent")


@mistake(Attempts, "too_many", only=("kafka_twice",), calls=100)
def a_third_ring_releases_nobody(real: Any, attempts: Attempts, answered: str) -> list[str]:
    """Every place that was rung rings on (R6): one caller's ladder holds call-takers and lines that others wait for."""
    return []
