"""Lines over time as one self-contained SVG: a small picture for each measure, one line for each process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

Points = Sequence[tuple[float, float]]
WIDTH: Final = 900
HEIGHT: Final = 240
LEFT, RIGHT, TOP, BOTTOM = 70, 160, 30, 30
COLOURS: Final = (
    *("#1b6ca8", "#d1495b", "#3a7d44", "#8d5a97", "#c77d1e", "#2a9d8f"),
    *("#6c757d", "#b5179e", "#9c6644", "#4361ee", "#588157", "#bc4749"),
)
"""Told apart on white, also by most who do not see all colours: names stand at the lines' ends."""


def svg(title: str, pictures: Mapping[str, Mapping[str, Points]]) -> str:
    """`pictures`: heading -> name of a line -> (seconds, value)."""
    height = TOP + HEIGHT * len(pictures)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (heading, lines) in enumerate(pictures.items()):
        parts.append(f'<g transform="translate(0 {TOP + number * HEIGHT})">')
        parts += _picture(heading, lines)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _picture(heading: str, lines: Mapping[str, Points]) -> Iterator[str]:
    across_s = max((at_s for points in lines.values() for at_s, _ in points), default=1.0) or 1.0
    top = max((value for points in lines.values() for _, value in points), default=1.0) or 1.0
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(at_s: float) -> float:
        return round(LEFT + width * at_s / across_s, 1)

    def y(value: float) -> float:
        return round(TOP + height * (1 - value / top), 1)

    yield f'<text x="{LEFT}" y="{TOP - 8}" font-weight="bold">{escape(heading)}</text>'
    for share in (0.0, 0.5, 1.0):
        at = y(top * share)
        yield f'<line x1="{LEFT}" y1="{at}" x2="{LEFT + width}" y2="{at}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{top * share:,.4g}</text>'
    yield f'<text x="{LEFT + width}" y="{TOP + height + 16}" text-anchor="end">{across_s / 60:.1f} min</text>'
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x(at_s)},{y(value)}" for at_s, value in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        at = TOP + 8 + number * (height - 8) / max(1, len(lines))
        yield f'<text x="{LEFT + width + 8}" y="{at:.1f}" fill="{colour}">{escape(name)}</text>'
