"""Mistakes over an answer: who may connect whom, when, and who must have said so (P3, P4, P5, P7)."""

from __future__ import annotations

from typing import Any

from services.domain.calls.call import Call
from services.domain.calls.exchange import CallerConfirmed, Connect, PersonAnswered, SayConnected
from services.domain.calls.joining import Joining
from services.domain.calls.transitions import State
from services.domain.deliveries import Became, Outcome
from services.domain.gateways.inquiries import Inquiries
from services.domain.gateways.rings import Stage
from services.domain.gateways.switchboard import Switchboard
from services.domain.holding import Holding, Standing
from services.domain.hunting.hunt import Hunt
from services.domain.where import Where
from services.ingress.conductor import Conductor
from tests.simulation.bugs.mistake import mistake


@mistake(Call, "on", only=("process", "network", "far_end"))
def connects_without_confirm(real: Any, call: Call, happened: Any, now: float) -> list[Any]:
    """The answer of a person is taken for the caller's confirmation, "since the caller is on the line" (P4). A caller
    whose side is gone is connected all the same: a call-taker talks to nobody, and the caller rings somewhere else."""
    effects = real(call, happened, now)
    if isinstance(happened, PersonAnswered) and call.state is State.PROPOSED:
        effects += real(call, CallerConfirmed(happened.attempt), now)
    return effects


@mistake(Joining, "_answered", only=("far_end",), calls=60)
def connects_two_answers(real: Any, call: Call, happened: PersonAnswered, now: float) -> None:
    """While one answer is being connected a second one is connected too, and the first to acknowledge is to win (P4):
    two people talk to one caller, and one of them is missing to somebody else."""
    late = call.state is State.CONNECTING and happened.attempt in call._attempts and happened.attempt != call._proposed
    if late:
        call._do(Connect(happened.attempt))
    else:
        real(call, happened, now)


@mistake(Joining, "_confirmed", only=("far_end",))
def confirms_whatever_stands(real: Any, call: Call, happened: CallerConfirmed, now: float) -> None:
    """Which attempt the caller has confirmed is not looked at (P4): a word for an older answer, or for none at all,
    connects whoever has answered since."""
    real(call, CallerConfirmed(call._proposed), now)


@mistake(Joining, "_confirmed", only=("far_end", "process"))
def connected_before_acknowledged(real: Any, call: Call, happened: CallerConfirmed, now: float) -> None:
    """The caller hears `Connected` with the `Connect`, not with its acknowledgement (P4). Where the PSAP is gone in
    that moment the caller hangs on a line on which nobody is, and nobody looks for somebody else."""
    real(call, happened, now)
    attempt = call._attempts.get(call._proposed)
    if call.state is State.CONNECTING and attempt is not None and not attempt.offered_again:
        call._do(SayConnected(call._proposed, attempt.where or Where("")))


@mistake(Joining, "_answered", only=("process", "network", "far_end"))
def connects_in_the_hold(real: Any, call: Call, happened: PersonAnswered, now: float) -> None:
    """An answer in the two seconds of the hold is connected, though nobody holds the caller's stream (P3, P7): the
    person hears silence, and the caller's next leg finds the ring gone."""
    real(call, happened, now)
    attempt = call._attempts.get(happened.attempt)
    if call.state is State.HELD and attempt is not None and not call._proposed:
        call._proposed, call._confirmed_it = happened.attempt, True
        call._do(Connect(happened.attempt))


@mistake(Call, "_hold_ends", only=("network", "far_end"))
def holds_for_ever(real: Any, call: Call) -> None:
    """The hold after a broken stream has no end (P7): who does not come back is on no list, and rings go on."""
    call._resume_at = None


@mistake(Call, "__init__", only=("network", "process"), calls=60)
def resume_is_not_asked(real: Any, call: Call, *args: Any, resume: Any = None, **more: Any) -> None:
    """The next leg of a caller who has confirmed an answer begins anew, without asking what became of that (P5): two
    people are connected to one caller."""
    real(call, *args, **more)


@mistake(Conductor, "said", only=("network", "far_end"))
def hang_up_leaves_no_word(real: Any, conductor: Conductor, message: Any) -> bool:
    """A hang-up of the caller's side ends the call without a word to the journal (P7): nobody is asked to ring back."""
    if message.WhichOneof("said") == "hangup":
        conductor.machine.state = State.ABANDONED
        conductor._close()
        return True
    return real(conductor, message)


@mistake(Switchboard, "answers", only=("far=wireless, ingress-1", "far=wireline, ingress-2"), calls=60)
def connects_after_release(real: Any, board: Switchboard, link: int, attempt: str, now: float) -> Any:
    """A gateway leaves it to the conductor how long an answer stands, and connects whenever that says so (P4): a
    call-taker holds a silent telephone for longer than a second, has hung up, and the caller is connected to nobody."""
    effects = real(board, link, attempt, now)
    one = board._rings.get(attempt)
    if one is not None and one.stage is Stage.ANSWERED:
        one.since = now + 60.0
    return effects


@mistake(Hunt, "breaks", only=("trunk_gone", "reset@failover", "cut_off@psap-gateway"))
def a_line_that_hangs_up_has_answered(real: Any, hunt: Hunt, dial: int, reason: str, now: float) -> list[Any]:
    """The end of a ringing line's stream is taken for its answer, since either way it rings no more (R1, P4): the
    caller's side is asked to confirm somebody who is not there, and is on the line with nobody meanwhile."""
    rings = not hunt._means_nothing(dial) and hunt.stage is Stage.RINGING
    return [Became(hunt._attempt, Outcome.ANSWERED)] if rings else real(hunt, dial, reason, now)


@mistake(
    Inquiries, "_take_up", only=("psap_connects_late", "psap_connects_late", "psap_cut", "cut@psap-gateway"), calls=100
)
def an_attested_talk_is_let_go_of(real: Any, inquiries: Inquiries, psap: Any, attempt: str) -> None:
    """A gateway that has a talk attested does not take it up (R5, record 0046): the other one, which waits in vain for
    the word of that connection, has it released two seconds later, and the caller's telephone goes dead."""


@mistake(
    Joining,
    "_let_go_of_all_but",
    only=("steps=far-end connected gateway resets, far-end connected psap far", "network_hangs_up_unconnected"),
    calls=60,
)
def who_may_have_the_caller_is_told_nothing(real: Any, call: Joining, attempt: str) -> None:
    """A caller hangs up while nobody can say whether a person has them, and nobody is told (P5): the call-taker, whom a
    PSAP joined to the caller, speaks to nobody until they give up themselves, and the next caller waits for them."""


@mistake(Joining, "has_proposed", only=("network_offers_twice", "steps@far-end connected conductor kills"))
def the_other_ones_attempt_is_taken_for_ours(real: Any, call: Joining, name: str) -> bool:
    """Whatever bears the leg's number is an attempt of this conductor's, though two took the leg (P7, P8): the caller
    who confirmed somebody at the other one, which died, is given a second person, and nobody asks for the first."""
    return name.startswith(f"{call.call_id}/{call.leg}/")


@mistake(Inquiries, "_look", only=("psap_connects_late", "crash@psap-gateway"), calls=100)
def a_hellos_talk_is_attested_unasked(real: Any, inquiries: Inquiries, question: Any, psap_id: str, now: float) -> None:
    """A gateway attests what a hello named as connected without asking the PSAP (P5, record 0041): another gateway has
    had that person let go of since, and the caller is told of somebody who is not there."""
    psap = inquiries._psaps.get(psap_id)
    held = psap.held.of(question.call_id) if psap is not None else ""
    if held:
        inquiries._settle(question, psap_id, Holding(Standing.CONNECTED, held, Where(psap_id)))
    else:
        real(inquiries, question, psap_id, now)


@mistake(
    Joining,
    "_withdraw",
    only=("cut_off=psap-gateway-1", "cut_off=psap-gateway-2", "steps=far-end connected dialler resets"),
)
def a_lost_connect_is_not_asked_after(real: Any, call: Call, attempt: Any, failure: Any, now: float) -> None:
    """Whether a confirmed answer was connected is not asked where the word of it is lost on its way (P5, record 0035):
    a second person is rung while the first one talks to the caller."""
    call._confirmed_it = False
    real(call, attempt, failure, now)
