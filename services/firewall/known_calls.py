"""What a firewall remembers of calls: windows, breakers, and the verdict of each call it knows.

All of it is a projection of `screenings` and of what this replica did itself: a replica that was started again, or that
takes over another's callers, knows what they did. Records are told in any order and more than once.
"""

from __future__ import annotations

from typing import Final

from throughline.v1 import screening_pb2

from services.domain.identity import own_number
from services.domain.offer import Offer
from services.domain.policy import Divert
from services.policy.attributes import Value
from services.policy.bundle import Bundle
from services.policy.verdicts.breakers import Breakers
from services.policy.verdicts.inputs import completed, identity_in
from services.policy.verdicts.judging import Known, heard_of
from services.policy.verdicts.lately import Lately
from services.policy.verdicts.windows import Counts, Keys, Windows
from services.wire import offers, screenings, verdicts

KNOWN_MAX: Final = 50_000
KNOWN_S: Final = 600.0
"""For so long at least the same call is answered as before (L3); one that comes again later is screened anew, and its
windows count it once all the same."""
TEST_KEYS_MAX: Final = 1_000


class KnownCalls:
    """One replica's."""

    def __init__(self, bundle: Bundle) -> None:
        self.breakers = Breakers(bundle.limits)
        self._real = _Memory(Windows(), KNOWN_MAX)
        self._tests = _Memory(Windows(TEST_KEYS_MAX, TEST_KEYS_MAX), TEST_KEYS_MAX)

    def _of(self, *, test: bool) -> _Memory:
        return self._tests if test else self._real

    def seen(self, offer: Offer, now: float) -> Counts:
        """Counts a call of this replica; a test call among test calls alone."""
        return self._of(test=offer.test).windows.seen(offer.call_id, Keys.of(offer), now, leg=offer.leg)

    def known(self, call_id: str, now: float, *, test: bool) -> Known | None:
        """What was answered for this call before, here or elsewhere."""
        return self._of(test=test).answers.get(call_id, now)

    def answered(self, call_id: str, known: Known, now: float, *, test: bool) -> None:
        """Remembers the first answer for a call."""
        if call_id and self.known(call_id, now, test=test) is None:
            self._of(test=test).answers.note(call_id, known, now)

    def heard(self, told: screening_pb2.Screening, spoke: Bundle | None, now: float, age_s: float) -> bool:
        """Takes in a record; False where it says nothing new. `spoke` is its bundle, None where that is not here. A
        call that came again when its answer was forgotten was screened anew: that is new, though its windows count it
        once.

        Its texts are cut as an offer's are, and its id must be one that an offer can have: else whoever writes to Kafka
        could fill the memory with a few thousand calls."""
        if told.shadow or not offers.call_id_or_none(told.call_id) or not told.inputs:
            return False
        windows, verdict = self._of(test=told.test).windows, verdicts.to_domain(told.verdict)
        again = windows.knows(told.call_id, now)
        if again and (verdict is None or self.known(told.call_id, now, test=told.test) is not None):
            return False  # mostly our own word, read back
        whole = completed(screenings.inputs_of(told))
        inputs = {name: _cut(value) if isinstance(value, str) else value for name, value in whole.items()}
        if not again:
            windows.heard(told.call_id, keys_in(inputs), now, age_s, told.leg)
        proposed = verdicts.to_domain(told.proposed) if told.HasField("proposed") else verdict
        heard = heard_of(told.call_id, inputs, proposed, spoke, told.bundle)
        if not told.test:
            self.breakers.heard(heard, isinstance(verdict, Divert), now, age_s)
        if verdict is not None:
            known = Known.of(verdict, _cut(told.verdict.policy), _cut(told.bundle), heard)
            self.answered(told.call_id, known, now, test=told.test)
        return True


class _Memory:
    """Of the real calls, or of the test calls: neither makes the others be forgotten."""

    def __init__(self, windows: Windows, known_max: int) -> None:
        self.windows = windows
        self.answers: Lately[str, Known] = Lately(KNOWN_S, known_max, lambda _: {})


def _cut(text: str) -> str:
    return text[: offers.TEXT_CHARS_MAX]


def keys_in(inputs: dict[str, Value]) -> Keys:
    """By what the call that had these inputs is counted."""
    source, cell, trunk = (str(inputs[name]) for name in ("source", "cell", "trunk"))
    return Keys(own_number(str(inputs["number"])), source, cell, trunk, identity_in(inputs))
