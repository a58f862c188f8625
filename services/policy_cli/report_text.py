"""A replay's result for a terminal: what speaks against it first, then counts, then examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.policy.replays.difference import Change, Difference, Share
from services.policy.replays.findings import Weight, percentile_ns
from services.policy_cli.replayed import Replayed, word
from services.readers.wording import plain

PLACES_MAX: Final = 10
WORDS: Final[Mapping[Change, str]] = {
    Change.SAME: "the same",
    Change.NEWLY_DIVERTED: "newly diverted",
    Change.NO_LONGER_DIVERTED: "no longer diverted",
    Change.OTHER_DESK: "diverted to another desk",
    Change.NEWLY_FLAGGED: "newly flagged",
    Change.NO_LONGER_FLAGGED: "no longer flagged",
    Change.OTHER_SCORE: "flagged with another score",
}


def page(replayed: Replayed) -> RenderableType:
    """The whole report."""
    parts: list[RenderableType] = [Text(line) for line in _head(replayed)]
    parts += [Text(line, "bold red" if grave else "") for line, grave in _findings(replayed)]
    parts += [Text(""), _changes(replayed.difference), Text(""), _rules(replayed)]
    for name, shares in (("PSAP", replayed.difference.psaps), ("area", replayed.difference.areas)):
        if any(share.newly or share.no_longer for share in shares.values()):
            parts += [Text(""), _places(name, shares)]
    if replayed.difference.examples:
        parts += [Text(""), _examples(replayed)]
    if replayed.difference.slower:
        parts += [Text(""), _slower(replayed.difference)]
    return Group(*parts, Text(""), Text(conclusion(replayed), "bold red" if replayed.grave else "bold"))


def conclusion(replayed: Replayed) -> str:
    """What an operator takes away."""
    count = len(replayed.grave)
    if not replayed.difference.calls:
        return "nothing is known of this bundle: replay it over calls, by --corpus, --trace or --recorded"
    if count:
        return f"{count} grave finding{'s' * (count > 1)}: the breakers would stop this bundle on live calls"
    return "nothing grave: sign it, submit it, and let it shadow live calls"


def summary(replayed: Replayed) -> str:
    """The calls and what is diverted of them, in one sentence."""
    difference = replayed.difference
    live, candidate = difference.live.diverted, difference.candidate.diverted
    met = candidate - difference.candidate.broken
    stopped = f"; the breakers would let {met:,} of these through" if met < candidate else ""
    return (
        f"{difference.calls:,} calls: the live bundle diverts {live:,} ({difference.share(live):.2%}), "
        f"the candidate {candidate:,} ({difference.share(candidate):.2%}){stopped}"
    )


def took(difference: Difference) -> str:
    """How long decisions take with each."""
    sides = (("live", difference.live.took_ns), ("candidate", difference.candidate.took_ns))
    told = [
        f"{name} {percentile_ns(ns, 50) / 1000:.0f} µs at the median, {percentile_ns(ns, 99) / 1000:.0f} µs at p99"
        for name, ns in sides
    ]
    return f"a decision takes: {'; '.join(told)}"


def _head(replayed: Replayed) -> Iterator[str]:
    yield f"candidate {plain(replayed.candidate.label)} beside live {plain(replayed.live.label)}"
    if replayed.difference.calls:
        first, last = replayed.when(replayed.difference.first_ms), replayed.when(replayed.difference.last_ms)
        yield f"over {plain(replayed.corpus)}, {first} to {last}; replay {replayed.digest[:12]}"
        yield summary(replayed)
        yield took(replayed.difference)


def _findings(replayed: Replayed) -> Iterator[tuple[str, bool]]:
    for each in replayed.findings:
        yield f"{each.weight.value}: {plain(each.text)}", each.weight is Weight.GRAVE


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return table


def _changes(difference: Difference) -> Table:
    table = _table("change", ">calls", ">share")
    for each in Change:
        calls = difference.changes.get(each, 0)
        if calls:
            table.add_row(WORDS[each], f"{calls:,}", f"{difference.share(calls):.2%}")
    return table


def _rules(replayed: Replayed) -> Table:
    table = _table("rule", "says", ">calls", ">share", ">forecast", ">callers", ">kept by a guard")
    difference = replayed.difference
    for rule in replayed.candidate.rules:
        tally = difference.candidate.rules.get(rule.rule_id)
        calls, callers, kept = (tally.calls, len(tally.callers), tally.kept) if tally else (0, 0, 0)
        table.add_row(
            Text(plain(rule.rule_id)),
            Text(plain(word(rule.verdict).partition(" by ")[0])),
            f"{calls:,}",
            f"{difference.share(calls):.2%}",
            f"{rule.forecast_share:.2%}",
            f"{callers:,}",
            f"{kept:,}",
        )
    return table


def most_changed(shares: Mapping[str, Share]) -> list[tuple[str, Share]]:
    """Those of which most calls change, the most first."""
    changed = [(name, share) for name, share in shares.items() if share.newly or share.no_longer]
    return sorted(changed, key=lambda item: (-item[1].newly - item[1].no_longer, item[0]))


def _places(name: str, shares: Mapping[str, Share]) -> Table:
    table = _table(name, ">calls", ">live diverts", ">candidate diverts", ">newly", ">no longer")
    rows = most_changed(shares)
    for place, share in rows[:PLACES_MAX]:
        figures = (share.calls, share.live, share.candidate, share.newly, share.no_longer)
        table.add_row(Text(plain(place) or "(not known)"), *(f"{figure:,}" for figure in figures))
    if len(rows) > PLACES_MAX:
        table.add_row(f"and {len(rows) - PLACES_MAX} more")
    return table


def _examples(replayed: Replayed) -> Table:
    table = _table("example", "call", "at", "PSAP", "live", "candidate", "number", ">its calls in 60 s")
    for each in replayed.difference.examples:
        inputs = replayed.inputs(each)
        row = (
            WORDS[each.change],
            each.call.call_id,
            replayed.when(each.call.at_ms),
            each.call.text("psap"),
            word(each.live.verdict),
            word(each.candidate.verdict),
            str(inputs.get("number", "") or "none"),
            str(inputs.get("number_calls_60s", "")),
        )
        table.add_row(*(Text(plain(text)) for text in row))
    return table


def _slower(difference: Difference) -> Table:
    table = _table("slower for the call", ">live", ">candidate")
    for each in difference.slower:
        figures = (each.live_ns, each.candidate_ns)
        table.add_row(Text(plain(each.call.call_id)), *(f"{figure / 1000:,.0f} µs" for figure in figures))
    return table
