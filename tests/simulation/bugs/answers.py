"""Mistakes over an answer: who may connect whom, when, and who must have said so (P3, P4, P5, P7)."""

from __future__ import annotations

from typing import Any

from services.domain.calls.call import Call
from services.domain.calls.exchange import CallerConfirmed, Connect, PersonAnswered, SayConnected
from services.domain.calls.joining import Joining
from services.domain.calls.transitions import State
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
