"""Calls to be replayed: made from offers, with windows of their own, or from what firewalls recorded. Pure.

Both give the rules what a firewall gave them. From offers, the windows are filled by these calls alone, so the first
hour knows less than a firewall would. From records, the inputs are those that were given, whatever the windows were,
and whether it was its caller's first call is what the firewall took it for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import tzinfo

from services.domain.offer import Offer
from services.domain.place import Place
from services.policy.attributes import Value
from services.policy.replays.difference import Call
from services.policy.verdicts import inputs
from services.policy.verdicts.inputs import Located
from services.policy.verdicts.windows import Keys, Windows

Locate = Callable[[Place], Located]


def of_offers(offered: Iterable[tuple[int, Offer]], locate: Locate, zone: tzinfo) -> Iterator[Call]:
    """Calls of offers that are in order of time (milliseconds since 1970)."""
    windows = Windows()
    for at_ms, offer in offered:
        counts = windows.seen(offer.call_id, Keys.of(offer), at_ms / 1000, leg=offer.leg)
        given = inputs.of(offer, counts, locate(offer.place), at_ms, zone)
        yield Call(offer.call_id, at_ms, given, counts.first)


def of_record(call_id: str, leg: int, at_ms: int, recorded: Mapping[str, Value], first: bool | None) -> Call:
    """A call as a screening recorded it; `first` as it says, None where it is of a version that did not say it.

    Then a call is taken for its caller's first where it may have been: it came with a later leg, or its number is not
    known to have called before. An error makes the report milder.
    """
    given = inputs.completed(recorded)
    count = given["number_calls_3600s"]
    maybe = leg > 1 or not isinstance(count, int) or count <= 1
    return Call(call_id, at_ms, given, maybe if first is None else first)
