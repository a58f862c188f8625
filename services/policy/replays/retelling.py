"""Calls to be replayed: made from offers, with windows of their own, or from what firewalls recorded. Pure.

Both give the rules what a firewall gave them. From offers, the windows are filled by these calls alone, so the first
hour knows less than a firewall would. From records, the inputs are those that were given, whatever the windows were.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import tzinfo

from services.domain.offer import Offer
from services.domain.place import Place
from services.policy.attributes import Value
from services.policy.replays.difference import Call
from services.policy.verdicts import inputs
from services.policy.verdicts.inputs import Located
from services.policy.verdicts.windows import KEYS_MAX, LONGEST_S, Keys, Windows

Locate = Callable[[Place], Located]


def of_offers(offered: Iterable[tuple[int, Offer]], locate: Locate, zone: tzinfo) -> Iterator[Call]:
    """Calls of offers that are in order of time (milliseconds since 1970)."""
    windows = Windows()
    for at_ms, offer in offered:
        counts = windows.seen(offer.call_id, Keys.of(offer), at_ms / 1000, leg=offer.leg)
        given = inputs.of(offer, counts, locate(offer.place), at_ms, zone)
        yield Call(offer.call_id, at_ms, given, counts.first)


def of_records(recorded: Iterable[tuple[str, int, Mapping[str, Value]]]) -> Iterator[Call]:
    """Calls of recorded inputs that are in order of time: (call_id, at_ms, inputs).

    A caller is taken for one who calls the first time where neither these calls nor its own count know another: an
    error makes the report milder by one call a caller, at the beginning of the record.
    """
    newest_ms: OrderedDict[str, int] = OrderedDict()
    for call_id, at_ms, recorded_inputs in recorded:
        given = inputs.completed(recorded_inputs)
        caller = inputs.identity_in(given)
        last_ms = newest_ms.get(caller)
        count = given["number_calls_3600s"]
        first = (last_ms is None or last_ms <= at_ms - LONGEST_S * 1000) and isinstance(count, int) and count <= 1
        newest_ms[caller] = at_ms
        newest_ms.move_to_end(caller)
        if len(newest_ms) > KEYS_MAX:
            newest_ms.popitem(last=False)
        yield Call(call_id, at_ms, given, first)
