"""Bar charts as inline SVG; colours come from the page's style, so that they follow light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from segpaste.audit.statistics import Statistics

_WIDTH, _HEIGHT = 420, 190
_LEFT, _BOTTOM, _TOP = 40, 34, 22
_ROW = 18
_LONGEST_NAME = 24
_SIDES = (16, 32, 64, 96, 128, 256)
_MOST_BARS = 13
_CLASSES_SHOWN = 20


@dataclass(frozen=True)
class Plot:
    """A chart.

    Attributes:
        title: what it shows, one line.
        svg: the chart.
    """

    title: str
    svg: Markup


def plots(statistics: Statistics, names: Mapping[int, str]) -> list[Plot]:
    """The charts of a set's numbers."""
    pastes = statistics.pastes if statistics.objects else []
    found = [
        Plot("pasted objects per image", _columns(*_per_image(pastes), "images")),
        Plot(
            "size of pasted objects: side of a square of their area",
            _columns(*_sizes(statistics.areas), "objects"),
        ),
        Plot("part of an image that shows a donor", _columns(*_shares(statistics.shares), "images")),
        Plot("what became of the donors' objects", _rows(list(statistics.donors.items()), "objects")),
        Plot("what became of the targets' own objects", _rows(list(statistics.targets.items()), "objects")),
    ]
    if statistics.classes:
        ranked = sorted(
            statistics.classes.items(), key=lambda item: (-item[1].before - item[1].after, item[0])
        )
        shown = [
            (names.get(label, f"class {label}"), counts.before, counts.after)
            for label, counts in ranked[:_CLASSES_SHOWN]
        ]
        more = f", the first {_CLASSES_SHOWN} of {len(ranked)}" if len(ranked) > _CLASSES_SHOWN else ""
        found.append(Plot(f"objects of each class before and after{more}", _pairs(shown)))
    return [plot for plot in found if plot.svg]


def _per_image(pastes: Sequence[int]) -> tuple[list[str], list[int]]:
    """Images without any have a bar of their own."""
    most = max(pastes, default=0)
    step = max(1, -(-most // (_MOST_BARS - 1)))
    bins = range(1, most + 1, step)
    labels = ["0", *(str(low) if step == 1 else f"{low}-{low + step - 1}" for low in bins)]
    return labels, [pastes.count(0), *(sum(low <= n < low + step for n in pastes) for low in bins)]


def _sizes(areas: Sequence[int]) -> tuple[list[str], list[int]]:
    edges = [0, *(side * side for side in _SIDES), 2**62]
    labels = [f"<{_SIDES[0]}", *(f"{a}-{b}" for a, b in pairwise(_SIDES)), f">{_SIDES[-1]}"]
    return labels, [sum(low <= area < high for area in areas) for low, high in pairwise(edges)]


def _shares(shares: Sequence[float]) -> tuple[list[str], list[int]]:
    edges = [0.0, 1e-9, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.1]
    labels = ["none", "<2%", "2-5%", "5-10%", "10-20%", "20-30%", "30-50%", ">50%"]
    return labels, [sum(low <= share < high for share in shares) for low, high in pairwise(edges)]


def _columns(labels: Sequence[str], values: Sequence[int], unit: str) -> Markup:
    """Upright bars, each with its number above and its range below."""
    if not any(values):
        return Markup("")
    most = max(values)
    room = (_WIDTH - _LEFT - 8) / len(values)
    tall = _HEIGHT - _TOP - _BOTTOM
    parts = [
        _line(_LEFT, _HEIGHT - _BOTTOM, _WIDTH - 4, _HEIGHT - _BOTTOM),
        _text(2, _TOP - 8, unit, "start"),
    ]
    for n, (label, value) in enumerate(zip(labels, values, strict=True)):
        height = tall * value / most
        x = _LEFT + n * room
        top = _HEIGHT - _BOTTOM - height
        if value:
            parts.append(_bar(x + room * 0.12, top, room * 0.76, height, "bar"))
            parts.append(_text(x + room / 2, top - 4, str(value), "middle"))
        parts.append(_text(x + room / 2, _HEIGHT - _BOTTOM + 15, label, "middle"))
    return _svg(
        _WIDTH, _HEIGHT, parts, [f"{label}: {value}" for label, value in zip(labels, values, strict=True)]
    )


def _rows(items: Sequence[tuple[str, int]], unit: str) -> Markup:
    """Lying bars, one for each name, the largest first."""
    shown = sorted(((name, value) for name, value in items if value), key=lambda item: -item[1])
    if not shown:
        return Markup("")
    most = max(value for _, value in shown)
    left = 10 + round(5.9 * max(len(name) for name, _ in shown))
    height = _TOP + _ROW * len(shown) + 6
    parts = [_text(left, _TOP - 8, unit, "start")]
    for n, (name, value) in enumerate(shown):
        y = _TOP + n * _ROW
        length = max(1.0, (_WIDTH - left - 50) * value / most)
        parts += [
            _text(left - 6, y + 12, name, "end"),
            _bar(left, y + 2, length, _ROW - 6, "bar" if not name.startswith("dropped") else "bar lost"),
            _text(left + length + 5, y + 12, str(value), "start"),
        ]
    return _svg(_WIDTH, height, parts, [f"{name}: {value}" for name, value in shown])


def _pairs(items: Sequence[tuple[str, int, int]]) -> Markup:
    """Two lying bars for each name: before, after."""
    most = max(max(before, after) for _, before, after in items)
    names = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 2]}.." for name, _, _ in items]
    left = 10 + round(5.9 * max(len(name) for name in names))
    row = _ROW + 4
    height = _TOP + row * len(items) + 6
    parts = [
        _bar(left, 5, 10, 10, "bar before"),
        _text(left + 14, 14, "before", "start"),
        _bar(left + 60, 5, 10, 10, "bar"),
        _text(left + 74, 14, "after", "start"),
    ]
    for n, (name, (_, before, after)) in enumerate(zip(names, items, strict=True)):
        y = _TOP + n * row
        parts.append(_text(left - 6, y + 14, name, "end"))
        for place, (value, style) in enumerate(((before, "bar before"), (after, "bar"))):
            length = (_WIDTH - left - 50) * value / max(1, most)
            if value:
                parts.append(_bar(left, y + 2 + place * 9, length, 8, style))
            parts.append(_text(left + length + 5, y + 10 + place * 9, str(value), "start", small=True))
    return _svg(
        _WIDTH, height, parts, [f"{name}: {before} before, {after} after" for name, before, after in items]
    )


def _svg(width: int, height: int, parts: Sequence[str], said: Sequence[str]) -> Markup:
    label = escape("; ".join(said))
    body = "".join(parts)
    return Markup(  # every text in it is escaped where it is made
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{label}">{body}</svg>'
    )


def _bar(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _line(x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<line class="axis" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, *, small: bool = False) -> str:
    style = ' class="small"' if small else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
