"""A replay's result as one HTML page that needs nothing else: no script, no network, dark and light.

It is what two people look at before they sign, and what is kept with the change. Everything in it that a stranger may
have written (names, rules, ids) is escaped, and the page's own policy forbids it to load or run anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from services.policy.replays.difference import Change, Share
from services.policy.replays.findings import Weight
from services.policy_cli import plots
from services.policy_cli.replayed import Replayed, word
from services.policy_cli.report_text import WORDS, conclusion, most_changed, summary, took

_PLACES_MAX: Final = 50
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2126;--soft:#5b6570;--page:#fff;--card:#f4f6f8;--edge:#d7dde3;
--calls:#a9b4bf;--live:#2f6fb0;--cand:#d9822b;--over:#b3261e;--ground:#c5cfd8;--nolonger:#2f6fb0;--good:#1e7a46}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa6b2;--page:#14181c;--card:#1d2329;--edge:#343c45;
--calls:#56616c;--live:#6cabe8;--cand:#f0a35a;--over:#ff7b72;--ground:#4a5662;--nolonger:#6cabe8;--good:#5cc98b}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:880px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:36px 0 8px}p{margin:4px 0}
.soft,figcaption{color:var(--soft)}.mono{font-family:ui-monospace,monospace;font-size:13px;overflow-wrap:anywhere}
.word{margin:18px 0;padding:12px 16px;border-left:5px solid var(--good);background:var(--card);font-weight:600}
.word.grave{border-color:var(--over)}
ul{padding-left:20px;margin:8px 0}li.grave{color:var(--over);font-weight:600}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:4px 10px 4px 0;text-align:left;border-bottom:1px solid var(--edge);vertical-align:top}
th{font-weight:600;color:var(--soft)}.n{text-align:right;font-variant-numeric:tabular-nums}
figure{margin:8px 0 0;padding:12px;background:var(--card);border-radius:6px}
svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font:12px system-ui,sans-serif}
.grid{stroke:var(--edge)}.mark{stroke:var(--ink);stroke-width:2}.limit{stroke:var(--over);stroke-dasharray:4 3}
.calls{fill:var(--calls)}.live{fill:var(--live)}.cand,.newly{fill:var(--cand)}.over{fill:var(--over)}
.ground{fill:var(--ground)}.nolonger{fill:var(--nolonger)}
details{margin:4px 0}summary{cursor:pointer}
@media print{body{font-size:12px}figure{break-inside:avoid}}
"""


def html(replayed: Replayed) -> str:
    """The page."""
    title = f"{replayed.candidate.label} beside {replayed.live.label}"
    body = "".join(_sections(replayed))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Replay: {escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _sections(replayed: Replayed) -> Iterable[str]:
    difference = replayed.difference
    yield f"<h1>Replay of {escape(replayed.candidate.label)}</h1>"
    yield f'<p class="soft">beside the live bundle {escape(replayed.live.label)}, over {escape(replayed.corpus)}</p>'
    grave = " grave" if replayed.grave else ""
    yield f'<div class="word{grave}">{escape(_sentence(conclusion(replayed)))}</div>'
    yield _findings(replayed)
    if not difference.calls:
        return
    span = f"{replayed.when(difference.first_ms)} to {replayed.when(difference.last_ms)}, local time of the region"
    yield f"<p>{escape(_sentence(summary(replayed)))}</p><p>{escape(_sentence(took(difference)))}</p>"
    yield f'<p class="soft">{escape(span)}</p>'
    yield "<h2>What changes</h2>" + _changes(replayed)
    yield "<h2>Over time</h2>" + _figure(plots.over_time(difference, replayed.zone))
    yield "<h2>By rule</h2>" + _rules(replayed)
    yield from _places(replayed, "PSAP", difference.psaps)
    yield from _places(replayed, "area", difference.areas)
    ground = plots.of_ground(difference)
    if ground:
        yield "<h2>On the ground</h2>" + _figure(ground)
    if difference.slower:
        yield "<h2>Slower</h2>" + _slower(replayed)
    yield "<h2>Examples</h2>" + _examples(replayed)
    yield (
        '<h2>To see the same</h2><p class="soft">Whoever replays these two bundles over the same calls gets the same '
        "report, times of decisions apart; its SHA-256 is</p>"
        f'<p class="mono">{replayed.digest}</p><p class="mono">candidate {escape(replayed.candidate.digest)}</p>'
        f'<p class="mono">live {escape(replayed.live.digest) or "built in"}</p>'
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _figure(plot: str) -> str:
    return f"<figure>{plot}</figure>"


def _findings(replayed: Replayed) -> str:
    if not replayed.findings:
        return ""
    rows = [
        f"<li{' class=grave' if each.weight is Weight.GRAVE else ''}>{escape(each.text)}</li>"
        for each in replayed.findings
    ]
    return f"<ul>{''.join(rows)}</ul>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns whose name begins with > hold figures. Cells are escaped here, and nowhere before."""
    kinds = [' class="n"' if column.startswith(">") else "" for column in columns]
    head = "".join(
        f"<th{kind}>{escape(column.removeprefix('>'))}</th>" for kind, column in zip(kinds, columns, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{escape(cell)}</td>' for kind, cell in zip(kinds, row, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _changes(replayed: Replayed) -> str:
    difference = replayed.difference
    rows = [
        (WORDS[each], f"{calls:,}", f"{difference.share(calls):.2%}")
        for each in Change
        for calls in (difference.changes.get(each, 0),)
        if calls
    ]
    return _table(("change", ">calls", ">share"), rows)


def _rules(replayed: Replayed) -> str:
    difference = replayed.difference
    rows = []
    for rule in replayed.candidate.rules:
        tally = difference.candidate.rules.get(rule.rule_id)
        figures = (tally.calls, len(tally.callers), tally.diverted, tally.kept) if tally else (0, 0, 0, 0)
        shares = (f"{difference.share(figures[0]):.2%}", f"{rule.forecast_share:.2%}")
        says = word(rule.verdict).partition(" by ")[0]
        rows.append((rule.rule_id, says, *shares, *(f"{figure:,}" for figure in figures), rule.owner))
    columns = ("rule", "says", ">share", ">forecast", ">calls", ">callers", ">diverted", ">kept by a guard", "owner")
    if not rows:
        return "<p>The candidate has no rules: every call passes.</p>"
    return _figure(plots.by_rule(difference, replayed.candidate)) + _table(columns, rows)


def _places(replayed: Replayed, what: str, shares: Mapping[str, Share]) -> Iterable[str]:
    rows = most_changed(shares)
    if not rows:
        return
    yield f"<h2>By {what}</h2>"
    if any(name and (share.live or share.candidate) for name, share in shares.items()):
        yield _figure(plots.by_place(shares, replayed.candidate.limits.psap_diverted_share, what))
    columns = (what, ">calls", ">live diverts", ">candidate diverts", ">newly", ">no longer")
    cells = [
        (name or "(not known)", *(f"{each:,}" for each in (s.calls, s.live, s.candidate, s.newly, s.no_longer)))
        for name, s in rows[:_PLACES_MAX]
    ]
    more = f'<p class="soft">and {len(rows) - _PLACES_MAX:,} more</p>' if len(rows) > _PLACES_MAX else ""
    yield f"<details open><summary>{len(rows):,} change</summary>{_table(columns, cells)}{more}</details>"


def _slower(replayed: Replayed) -> str:
    rows = [
        (each.call.call_id, f"{each.live_ns / 1000:,.0f}", f"{each.candidate_ns / 1000:,.0f}")
        for each in replayed.difference.slower
    ]
    return _table(("call", ">live, µs", ">candidate, µs"), rows)


def _examples(replayed: Replayed) -> str:
    if not replayed.difference.examples:
        return "<p>Nothing changes for any call.</p>"
    parts = []
    for each in replayed.difference.examples:
        head = f"{WORDS[each.change]}, {each.call.call_id}, {replayed.when(each.call.at_ms)}, by {each.rule}"
        rows = [("live", word(each.live.verdict)), ("candidate", word(each.candidate.verdict))]
        if each.candidate.kept_from:
            rows.append(("kept from it by the guard", each.candidate.kept_from))
        rows += [(name, str(value)) for name, value in replayed.inputs(each).items()]
        parts.append(f"<details><summary>{escape(head)}</summary>{_table(('what', 'value'), rows)}</details>")
    return "".join(parts)
