"""Plots of a replay as SVG that stands in a page: no script, no font, no file from elsewhere.

Colours come from the page's style sheet by class, so that dark and light are told once. Each mark has a title, which a
browser shows under the pointer and a screen reader reads; each plot says in its label what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape
from math import cos, radians
from typing import Final

from services.policy.bundle import Bundle
from services.policy.replays.difference import BUCKET_MS, Difference, Share

WIDTH: Final = 720
_LEFT, _RIGHT = 52, 12
_COLUMNS_MAX: Final = 96
_ROWS_MAX: Final = 15
_ROW: Final = 26
_NAMES: Final = 190
_TICKS: Final = (1, 2, 3, 4, 6, 8)


def svg(label: str, height: float, parts: Sequence[str]) -> str:
    """One plot."""
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'preserveAspectRatio="xMinYMin meet">{"".join(parts)}</svg>'
    )


def over_time(difference: Difference, zone: tzinfo) -> str:
    """All calls by time, and under them those that each bundle diverts, at a scale of its own."""
    columns, each_ms = _columns(difference.buckets)
    upper = _panel(columns, [("calls", [share.calls for _, share in columns])], 16, 130, "calls")
    diverted = [("live", [share.live for _, share in columns]), ("cand", [share.candidate for _, share in columns])]
    lower = _panel(columns, diverted, 172, 130, "diverted")
    step = max(1, len(columns) // 6)
    hours = [
        _text(_LEFT + (index + 0.5) * _width(columns), 322, _clock(from_ms, zone), "middle")
        for index, (from_ms, _) in enumerate(columns)
        if index % step == 0
    ]
    legend = [_key(_LEFT, 344, "calls", "all calls"), _key(_LEFT + 110, 344, "live", "diverted, live")]
    legend += [
        _key(_LEFT + 240, 344, "cand", "diverted, candidate"),
        _text(WIDTH - _RIGHT, 348, f"each column {each_ms // 60_000} min", "end"),
    ]
    return svg("Calls over time, and how many of them each bundle diverts", 356, [*upper, *lower, *hours, *legend])


def by_rule(difference: Difference, candidate: Bundle) -> str:
    """For each rule the share for which it spoke, and a mark where its author expects it."""
    rows = [
        (rule.rule_id, difference.share(tally.calls if tally else 0), rule.forecast_share)
        for rule in candidate.rules
        for tally in (difference.candidate.rules.get(rule.rule_id),)
    ]
    rows = sorted(rows, key=lambda row: (-max(0.0, row[1] - row[2]), -row[1], row[0]))[:_ROWS_MAX]
    most = max((max(share, forecast) for _, share, forecast in rows), default=0.0) or 1.0
    parts = []
    for index, (rule_id, share, forecast) in enumerate(rows):
        over = "over" if share > forecast else "cand"
        title = f"{rule_id}: {share:.3%} of all calls, forecast {forecast:.3%}"
        parts += _bar(index, rule_id, [(over, share / most)], f"{share:.2%}", title)
        at = _NAMES + forecast / most * _LENGTH
        top = 8 + index * _ROW
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 2}" y2="{top + 18}"/>')
    bottom = 8 + len(rows) * _ROW + 10
    parts.append(_key(_NAMES, bottom, "cand", "within its forecast"))
    parts.append(_key(_NAMES + 150, bottom, "over", "over it"))
    parts.append(_text(_NAMES + 240, bottom + 4, "line: the forecast", "start"))
    return svg("Share of calls for which each rule spoke, against its forecast", bottom + 12, parts)


def by_place(shares: Mapping[str, Share], limit: float, what: str) -> str:
    """The places that lose the largest share, live and candidate, and the limit."""
    known = [(name, share) for name, share in shares.items() if name and (share.live or share.candidate)]
    known.sort(key=lambda item: (-item[1].candidate / item[1].calls, -item[1].calls, item[0]))
    parts = []
    rows = known[:_ROWS_MAX]
    most = max([limit, *(max(share.live, share.candidate) / share.calls for _, share in rows)])
    for index, (name, share) in enumerate(rows):
        live, candidate = share.live / share.calls, share.candidate / share.calls
        title = f"{what} {name}: of {share.calls:,} calls live diverts {share.live:,}, candidate {share.candidate:,}"
        bars = [("live", live / most), ("cand", candidate / most)]
        parts += _bar(index, name, bars, f"{share.candidate:,} of {share.calls:,}", title)
    bottom = 8 + len(rows) * _ROW + 10
    at = _NAMES + limit / most * _LENGTH
    parts.append(f'<line class="limit" x1="{at:.1f}" x2="{at:.1f}" y1="2" y2="{bottom - 8}"/>')
    parts += [_key(_NAMES, bottom, "live", "live"), _key(_NAMES + 70, bottom, "cand", "candidate")]
    parts.append(
        _text(_NAMES + 170, bottom + 4, f"line: the limit for callers who do not repeat, {limit:.0%}", "start")
    )
    return svg(f"Share of its calls that each {what} would lose", bottom + 12, parts)


def of_ground(difference: Difference) -> str:
    """Where the calls are, cell by cell, and from where they are diverted anew."""
    spots = [(_degrees(cell), share) for cell, share in sorted(difference.cells.items())]
    known = [(at, share) for at, share in spots if at is not None]
    if not known:
        return ""
    south, north = min(at[0] for at, _ in known), max(at[0] for at, _ in known)
    west, east = min(at[1] for at, _ in known), max(at[1] for at, _ in known)
    squeeze = cos(radians((south + north) / 2))
    scale = min((WIDTH - 24) / max(0.02, (east - west) * squeeze), 460 / max(0.02, north - south))
    side = max(2.0, 0.02 * scale * 0.9)
    height = (north - south) * scale + 24
    quiet, changed = [], []
    for (lat, lon), share in known:
        x, y = 12 + (lon - west) * squeeze * scale - side / 2, 12 + (north - lat) * scale - side / 2
        if not share.newly and not share.no_longer:
            quiet.append(f"M{x:.1f} {y:.1f}h{side:.1f}v{side:.1f}h-{side:.1f}z")
            continue
        kind = "newly" if share.newly >= share.no_longer else "nolonger"
        title = f"{share.calls:,} calls, {share.newly:,} newly diverted, {share.no_longer:,} no longer"
        changed.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}">'
            f"<title>{title}</title></rect>"
        )
    parts = [f'<path class="ground" d="{"".join(quiet)}"/>', *changed]
    legend = [
        _key(12, height + 8, "ground", "calls, nothing changes"),
        _key(190, height + 8, "newly", "newly diverted"),
    ]
    legend.append(_key(320, height + 8, "nolonger", "no longer diverted"))
    return svg(
        "Where calls come from, in cells of 0.02 degrees, and where verdicts change", height + 20, parts + legend
    )


_LENGTH: Final = WIDTH - _NAMES - 110


def _columns(buckets: Mapping[int, Share]) -> tuple[list[tuple[int, Share]], int]:
    """At most 96 columns, those without calls among them: (from, calls), and how long each is."""
    first, last = min(buckets), max(buckets)
    merged = (last - first) // _COLUMNS_MAX + 1
    columns = [(number * BUCKET_MS, Share()) for number in range(first, last + 1, merged)]
    for number, share in buckets.items():
        column = columns[(number - first) // merged][1]
        column.calls += share.calls
        column.live += share.live
        column.candidate += share.candidate
    return columns, merged * BUCKET_MS


def _panel(
    columns: Sequence[tuple[int, Share]], series: Sequence[tuple[str, list[int]]], top: int, height: int, name: str
) -> list[str]:
    most = _round_up(max(max(counts) for _, counts in series))
    wide = _width(columns) / len(series)
    parts = []
    for part in (0, 0.5, 1):
        y = top + height * (1 - part)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{most * part:,.10g}", "end"))
    for place, (kind, counts) in enumerate(series):
        for index, count in enumerate(counts):
            if count:
                tall = height * count / most
                x = _LEFT + index * _width(columns) + place * wide
                parts.append(
                    f'<rect class="{kind}" x="{x:.1f}" y="{top + height - tall:.1f}" width="{max(1.0, wide - 1):.1f}" '
                    f'height="{tall:.1f}"><title>{count:,} {name}</title></rect>'
                )
    parts.append(_text(_LEFT, top - 4, name, "start"))
    return parts


def _width(columns: Sequence[object]) -> float:
    return (WIDTH - _LEFT - _RIGHT) / len(columns)


def _round_up(most: int) -> int:
    """The next round number, so that the scale's end and middle can be read."""
    power = 1
    while True:
        for tick in _TICKS:
            if tick * power >= most:
                return max(2, tick * power)
        power *= 10


def _bar(index: int, name: str, bars: Sequence[tuple[str, float]], figure: str, title: str) -> list[str]:
    top, thick = 8 + index * _ROW, 16 / len(bars)
    shown = name if len(name) <= 26 else f"{name[:25]}…"
    parts = [f"<g><title>{escape(title)}</title>", _text(_NAMES - 8, top + 12, shown, "end")]
    for place, (kind, part) in enumerate(bars):
        long = max(1.0, part * _LENGTH) if part else 0.0
        parts.append(
            f'<rect class="{kind}" x="{_NAMES}" y="{top + place * thick:.1f}" '
            f'width="{long:.1f}" height="{thick - 1:.1f}"/>'
        )
    longest = max(part for _, part in bars) * _LENGTH
    parts += [_text(_NAMES + longest + 8, top + 12, figure, "start"), "</g>"]
    return parts


def _key(x: float, y: float, kind: str, name: str) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y - 5:.0f}" width="10" height="10"/>' + _text(
        x + 15, y + 4, name, "start"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _clock(at_ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%d %b %H:%M")


def _degrees(cell: str) -> tuple[float, float] | None:
    lat, comma, lon = cell.partition(",")
    try:
        return (float(lat), float(lon)) if comma else None
    except ValueError:
        return None
