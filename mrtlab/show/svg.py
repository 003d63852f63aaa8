"""Small charts as inline SVG, for pages that must open anywhere without a script.

A chart is a string. Its colours are CSS classes of the page it stands in, so that dark pages can turn them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 270  # units of the drawing; text of 13 units stays readable on a phone
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 44
_LONGEST = 5  # characters of a tick label that fit beside the axis title
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Number = float | int


@dataclass(frozen=True)
class Axes:
    """Where numbers land on the drawing.

    Attributes:
        x: smallest and largest value shown on the horizontal axis.
        y: the same for the vertical axis.
    """

    x: tuple[Number, Number]
    y: tuple[Number, Number]

    def px(self, x: Number) -> float:
        """Horizontal place of a value, in units of the drawing."""
        low, high = self.x
        return round(_LEFT + (x - low) / (high - low) * (WIDTH - _LEFT - _RIGHT), 1)

    def py(self, y: Number) -> float:
        """Vertical place of a value; larger values are higher up.

        >>> Axes(x=(0.0, 1.0), y=(0.0, 1.0)).py(1.0) < Axes(x=(0.0, 1.0), y=(0.0, 1.0)).py(0.0)
        True
        """
        low, high = self.y
        return round(HEIGHT - _BOTTOM - (y - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)


def chart(parts: Sequence[str], *, alt: str) -> str:
    """A whole drawing from its parts, with the sentence that stands for it.

    Args:
        parts: SVG elements, drawn in this order.
        alt: what it shows, for someone who does not see it.
    """
    inside = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(alt)}">\n{inside}\n</svg>'


def frame(
    axes: Axes, *, x_ticks: Sequence[tuple[Number, str]], y_ticks: Sequence[Number], x_title: str, y_title: str
) -> list[str]:
    """Faint lines, tick labels and axis titles; a power of ten goes to the title where labels would run into it."""
    parts = []
    labels, power = tick_labels(y_ticks)
    for y, label in zip(y_ticks, labels, strict=True):
        parts.append(line((axes.x[0], y), (axes.x[1], y), axes, kind="grid"))
        parts.append(text(_LEFT - 6, axes.py(y) + 4, label, anchor="end", kind="tick"))
    for x, name in x_ticks:
        parts.append(text(axes.px(x), HEIGHT - _BOTTOM + 17, name, anchor="middle", kind="tick"))
    parts.append(text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6, x_title, anchor="middle", kind="title"))
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text class="title" text-anchor="middle" transform="translate(13 {middle}) rotate(-90)">'
        f"{escape(y_title + power)}</text>"
    )
    return parts


def tick_labels(ticks: Sequence[Number]) -> tuple[list[str], str]:
    """Ticks as text, and what the axis title says about a power of ten that they share.

    >>> tick_labels([0, 0.5]), tick_labels([0, 0.0001, 0.0002])
    ((['0', '0.5'], ''), (['0', '1', '2'], ', × 10⁻⁴'))
    """
    labels = [f"{tick:.3g}" for tick in ticks]
    if max(len(label.lstrip("-")) for label in labels) <= _LONGEST:
        return labels, ""
    power = math.floor(math.log10(max(abs(tick) for tick in ticks)))
    scaled = [f"{float(f'{tick / 10.0**power:.12g}'):.3g}" for tick in ticks]
    return scaled, ", × 10" + str(power).translate(_RAISED)


def line(start: tuple[Number, Number], end: tuple[Number, Number], axes: Axes, *, kind: str) -> str:
    """A straight line between two points of the data."""
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{kind}" x1="{axes.px(x1)}" y1="{axes.py(y1)}" x2="{axes.px(x2)}" y2="{axes.py(y2)}"/>'


def path(xs: Sequence[Number], ys: Sequence[Number], axes: Axes, *, kind: str) -> str:
    """A line through points of the data."""
    points = " ".join(f"{axes.px(x)},{axes.py(y)}" for x, y in zip(xs, ys, strict=True))
    return f'<polyline class="{kind}" points="{points}"/>'


def dot(x: Number, y: Number, axes: Axes, *, kind: str, size: Number = 5) -> str:
    """A point of the data."""
    return f'<circle class="{kind}" cx="{axes.px(x)}" cy="{axes.py(y)}" r="{size}"/>'


def box(x: tuple[Number, Number], y: tuple[Number, Number], axes: Axes, *, kind: str) -> str:
    """A rectangle between two pairs of values."""
    left, right, low, high = axes.px(x[0]), axes.px(x[1]), axes.py(y[0]), axes.py(y[1])
    return (
        f'<rect class="{kind}" x="{left}" y="{high}" width="{round(right - left, 1)}" height="{round(low - high, 1)}"/>'
    )


def text(x: Number, y: Number, words: str, *, anchor: str = "start", kind: str = "label") -> str:
    """Words at a place of the drawing, in its own units."""
    return f'<text class="{kind}" x="{round(x, 1)}" y="{round(y, 1)}" text-anchor="{anchor}">{escape(words)}</text>'


def round_steps(high: Number, *, low: Number = 0.0, about: int = 4) -> list[float]:
    """Round numbers from `low` (or just below) to `high` (or just above), about as many steps as asked for.

    >>> round_steps(0.37)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    """
    if not high > low:
        high = low + 1.0
    raw = (high - low) / about
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]  # 0.3, not 0.30000000000000004
