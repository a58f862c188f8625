"""How a candidate does among real calls, counted from what firewalls publish on `screenings`."""

from __future__ import annotations

from collections.abc import Callable

from throughline.v1 import policy_pb2, screening_pb2

from services.firewall.policies.wishes import Change
from services.policy.bundle import Bundle
from services.policy.life.canary import Tally, diverges, waits_for
from services.policy.life.lifecycle import Stage, State, stepped


class Trials:
    """One tally for each step of each candidate; the present one is held."""

    def __init__(self, wall_ms: Callable[[], int], name: str) -> None:
        self._wall_ms = wall_ms
        self._name = name
        self._tally = Tally()
        self._of: tuple[str, Stage, int, int] = ("", Stage.NONE, 0, 0)

    def add(self, state: State, bundle: Bundle, screening: screening_pb2.Screening) -> bool:
        """Counts one screening, where the candidate has spoken in it in the present step; whether it answered the call
        there, as none in shadow does."""
        self._at(state, bundle)
        answers = state.stage is Stage.CANARY
        if (
            screening.bundle != bundle.digest
            or screening.shadow is answers
            or screening.test
            or screening.at_ms < state.since_ms
        ):
            return False
        said = screening.proposed if screening.HasField("proposed") else screening.verdict
        self._tally.add(screening.call_id, said.flag.rule or said.divert.rule, said.HasField("divert"))
        return answers

    def diverges(self, state: State, bundle: Bundle) -> str:
        """See `canary.py`."""
        self._at(state, bundle)
        return diverges(bundle, self._tally)

    def done(self, state: State, bundle: Bundle) -> bool:
        """Whether the last step has had its calls and its time."""
        if state.stage is not Stage.CANARY or state.step < len(bundle.canary) - 1:
            return False
        return not self._waits_for(state, bundle)

    def next_step(self, state: State, bundle: Bundle) -> Change | None:
        """The step on which the canary should be now; None while it should stay."""
        candidate = state.candidate
        if candidate is None or state.stage is not Stage.CANARY or state.step >= len(bundle.canary) - 1:
            return None
        if self._waits_for(state, bundle):
            return None
        step, now_ms = state.step + 1, self._wall_ms()
        return lambda before: stepped(before, candidate, step, self._name, now_ms)

    def progress(self, state: State, bundle: Bundle) -> policy_pb2.CanaryProgress:
        """As operators see it."""
        self._at(state, bundle)
        step = bundle.canary[min(state.step, len(bundle.canary) - 1)]
        return policy_pb2.CanaryProgress(
            step=state.step,
            steps=len(bundle.canary),
            calls=self._tally.calls,
            calls_min=step.calls_min,
            diverted=self._tally.diverted,
            minutes=max(0, self._wall_ms() - state.since_ms) / 60_000,
            minutes_min=step.minutes_min,
            waits_for=self._waits_for(state, bundle),
        )

    def _waits_for(self, state: State, bundle: Bundle) -> str:
        self._at(state, bundle)
        step = bundle.canary[min(state.step, len(bundle.canary) - 1)]
        return waits_for(step, state.since_ms, self._wall_ms(), self._tally.calls)

    def _at(self, state: State, bundle: Bundle) -> None:
        of = (bundle.digest, state.stage, state.step, state.since_ms)
        if of != self._of:
            self._of, self._tally = of, Tally()
