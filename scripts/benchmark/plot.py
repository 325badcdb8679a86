"""The plot of the page: every contender's multiple of the floor, per cell, as an SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape

from benchmark.cells import Cell
from benchmark.tables import TITLES, Results, short_name

Scale = Callable[[float], float]
Points = Mapping[tuple[Cell, str], float]

# Okabe and Ito's colours, and a form each: readable without colour.
_STYLE = {
    "apply_out": ("#0072B2", "disc"),
    "apply_fresh": ("#56B4E9", "disc"),
    "forward": ("#56B4E9", "ring"),
    "clone": ("#888888", "bar"),
    "torchvision": ("#009E73", "square"),
    "albumentationsx": ("#D55E00", "diamond"),
    "kornia": ("#CC79A7", "square"),
    "ultralytics_masks": ("#E69F00", "triangle"),
    "segpaste02": ("#000000", "cross"),
}
_LEFT, _TOP, _ROW, _WIDTH, _RIGHT = 130, 118, 30, 760, 24


def draw(results: Results) -> str:
    """An SVG of the grid's uint8 cells on one thread; logarithmic, memcpy at 1."""
    cells = [c for c in results.cells("grid") if c.dtype == "uint8" and results.find(c, "memcpy")]
    points = {
        (cell, name): ratio
        for cell in cells
        for name in _STYLE
        if (ratio := results.figure(cell, name, "ratio"))
    }
    names = [n for n in _STYLE if any(name == n for _, name in points)]
    low = min([1.0, *points.values()])
    high = max([10.0, *points.values()])
    first, last = math.floor(math.log10(low) * 4) / 4, math.ceil(math.log10(high) * 4) / 4
    bottom = _TOP + _ROW * len(cells)

    def x(ratio: float) -> float:
        return _LEFT + (math.log10(ratio) - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 46}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{_WIDTH}" height="{bottom + 46}" fill="#fff"/>',
        '<text x="16" y="24" font-size="15" font-weight="bold">'
        "Time as a multiple of copying the batch</text>",
        '<text x="16" y="42" fill="#555">uint8, one thread; rows: samples, side, instances per sample; '
        "left is faster</text>",
    ]
    parts += _legend(names)
    parts += _axis(first, last, bottom, x)
    for row, cell in enumerate(cells):
        parts += _line(cell, _TOP + _ROW * row + _ROW / 2, names, points, x)
    parts.append(
        f'<text x="{_LEFT}" y="{bottom + 38}" fill="#555">'
        "times a preallocated memcpy of the same bytes</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


def _legend(names: list[str]) -> list[str]:
    parts: list[str] = []
    for number, name in enumerate(names):
        x, y = 24 + 245 * (number % 3), 62 + 18 * (number // 3)
        parts.append(_shape(name, x, y - 4))
        parts.append(f'<text x="{x + 12}" y="{y}">{escape(TITLES[name].replace("`", ""))}</text>')
    return parts


def _axis(first: float, last: float, bottom: float, x: Scale) -> list[str]:
    parts: list[str] = []
    for decade in range(math.floor(first), math.ceil(last) + 1):
        for step in (1, 2, 5):
            value = step * 10.0**decade
            if not first <= math.log10(value) <= last + 1e-9:
                continue
            strong = value == 1
            parts.append(
                f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{_TOP}" y2="{bottom}" '
                f'stroke="{"#444" if strong else "#ddd"}"/>'
            )
            parts.append(f'<text x="{x(value):.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}x</text>')
    return parts


def _line(cell: Cell, y: float, names: list[str], points: Points, x: Scale) -> list[str]:
    mine = [(points[cell, name], name) for name in names if (cell, name) in points]
    parts = [f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{short_name(cell)}</text>']
    if mine:
        ends = x(min(mine)[0]), x(max(mine)[0])
        parts.append(f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}" stroke="#eee"/>')
    # Ours last, on top.
    parts += [_shape(name, x(ratio), y) for ratio, name in reversed(mine)]
    return parts


def _shape(name: str, x: float, y: float) -> str:
    colour, form = _STYLE[name]
    if form == "disc":
        return f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{colour}"/>'
    if form == "ring":
        return f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill="none" stroke="{colour}" stroke-width="2"/>'
    if form == "bar":
        return f'<rect x="{x - 1.5:.1f}" y="{y - 8}" width="3" height="16" fill="{colour}"/>'
    if form == "square":
        return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5}" width="9" height="9" fill="{colour}"/>'
    if form == "cross":
        return (
            f'<path d="M{x - 4.5:.1f} {y - 4.5}l9 9m0 -9l-9 9" fill="none" stroke="{colour}" '
            'stroke-width="2.2"/>'
        )
    corners = (
        ((0, -6), (6, 0), (0, 6), (-6, 0)) if form == "diamond" else ((0, -5.5), (5.5, 4.5), (-5.5, 4.5))
    )
    path = " ".join(f"{x + dx:.1f},{y + dy}" for dx, dy in corners)
    return f'<polygon points="{path}" fill="{colour}"/>'
