"""The arms of chapter 8 as its figures show them: their words, colours and symbols, and what is drawn for all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import plotly.graph_objects as go

from mrtlab.show.figures.ch6 import interval
from mrtlab.show.figures.theme import (
    DEALT,
    GREY,
    INK,
    MULTI,
    QUALITY_DIVERSITY,
    REWARD,
    SINGLE,
    label,
    rounded,
    tint,
)

ADAPTERS, SHARE, DECODE = "spa_adapters.book", "spa_share.book", "spa_decode.book"
GREEDY = "0.0"
DOMAINS = {
    "programs": "programs",
    "programs-even": "programs,<br>even teacher",
    "stories": "stories",
    "choices": "choices",
}


@dataclass(frozen=True)
class Arm:
    """How an arm is drawn.

    Attributes:
        words: its name, short enough for a tick label.
        colour: by what tells its adapters apart.
        symbol: plotly's, so that no arm is told by colour alone.
        mark: the same symbol as a character.
    """

    words: str
    colour: str
    symbol: str
    mark: str


ARMS = {
    "one": Arm("one adapter", INK, "circle-open", "○"),
    "base": Arm("base model", GREY, "x", "✕"),
    "asked": Arm("asked fairly", GREY, "diamond-open", "◇"),
    "seeds": Arm("seeds", SINGLE, "diamond", "◆"),
    "random": Arm("random", GREY, "circle", "●"),
    "lexical": Arm("lexical", REWARD, "square", "■"),
    "influence": Arm("Fisher scores", MULTI, "circle", "●"),
    "influence-raw": Arm("Fisher, raw", MULTI, "circle-open", "○"),
    "influence-even": Arm("Fisher, even", MULTI, "circle-open", "○"),
    "influence-dot": Arm("dot products", MULTI, "circle-open", "○"),
    "influence-cosine": Arm("cosine", MULTI, "circle-open", "○"),
    "influence-datainf": Arm("DataInf", MULTI, "circle-open", "○"),
    "influence-lissa": Arm("LiSSA", MULTI, "circle-open", "○"),
    "rows": Arm("score rows", QUALITY_DIVERSITY, "triangle-up-open", "△"),
    "gradients": Arm("gradients", QUALITY_DIVERSITY, "triangle-up", "▲"),
    "texts": Arm("texts", QUALITY_DIVERSITY, "triangle-up-open", "△"),
    "dealt": Arm("dealt", DEALT, "star", "★"),
}
LONE = ("one", "base", "asked")  # one model, drawn from K times


def named(arm: str) -> str:
    """An arm's words. The blue ones are all influence; what differs is how gradients are weighed.

    >>> named("influence-raw"), named("dealt")
    ('Fisher, raw', 'dealt')
    """
    return ARMS[arm].words


def tick(arm: str) -> str:
    """An arm's words on two lines where one would be wide, for a tick label on a phone.

    >>> tick("influence-raw")
    'Fisher,<br>raw'
    """
    return named(arm).replace(", ", ",<br>")


def tagged(arm: str, words: str = "") -> str:
    """An arm's symbol in its colour, then its words in ink: orange, green or pink text would be too pale to read.

    >>> tagged("dealt")
    "<span style='color:#CC79A7'>★</span> dealt"
    """
    return f"<span style='color:{ARMS[arm].colour}'>{ARMS[arm].mark}</span> {words or named(arm)}"


def greedy(results: Mapping[str, Any], domain: str = "programs") -> dict[str, Any]:
    """Measures of every arm at the main K: several adapters at temperature 0, a lone model as cold as it was asked."""
    k = f"k{results['design']['k']}"
    found = {}
    for arm in ARMS:
        if at := results["domains"][domain].get(arm, {}).get(k):
            found[arm] = at[min(at, key=float)]
    return found


def dots(fig: go.Figure, found: Mapping[str, Mapping[str, float]], at: Mapping[str, float], **where: Any) -> None:
    """A dot with its 95 % interval for each arm, at a height; one trace for each colour, as bars have only one.

    Args:
        fig: the figure.
        found: {arm: mean, lo, hi}.
        at: {arm: height}.
        where: row, col, and what else a scatter takes, such as a marker size.
    """
    size = where.pop("size", 9)
    for colour in dict.fromkeys(ARMS[arm].colour for arm in found):
        some = [arm for arm in found if ARMS[arm].colour == colour]
        values = [found[arm] for arm in some]
        fig.add_scatter(
            x=rounded(v["mean"] for v in values), y=rounded(at[arm] for arm in some), mode="markers",
            error_x=interval(values, colour), cliponaxis=False,
            marker={"color": colour, "size": size, "symbol": [ARMS[arm].symbol for arm in some],
                    "line": {"color": colour, "width": 1.5}},
            customdata=[named(arm) for arm in some], hovertemplate="%{customdata}: %{x}<extra></extra>", **where,
        )  # fmt: skip


def beside(
    fig: go.Figure,
    points: Sequence[tuple[str, float, float]],
    *,
    x: float,
    gap: float,
    span: tuple[float, float],
    xref: str = "x",
    yref: str = "y",
) -> None:
    """Labels in a column right of the points, no two nearer than `gap`, each with a thin line to its point.

    Args:
        fig: the figure.
        points: (text, x, y).
        x: where the column starts.
        gap: in units of y.
        span: lowest and highest place of a label.
        xref: axis of x.
        yref: axis of y.
    """
    ordered = sorted(points, key=lambda point: point[2])
    for (text, px, py), y in zip(ordered, apart([p[2] for p in ordered], gap, span), strict=True):
        fig.add_annotation(
            text=text, x=round(px, 3), y=round(py, 3), ax=round(x, 3), ay=round(y, 3), xref=xref, yref=yref,
            axref=xref, ayref=yref, xanchor="left", yanchor="middle", arrowhead=0, arrowwidth=1, standoff=6,
            arrowcolor=tint(GREY, 0.45), font={"size": 12, "color": INK},
        )  # fmt: skip


def apart(values: Sequence[float], gap: float, span: tuple[float, float]) -> list[float]:
    """Places in the order of rising values, as near to them as they can be at least `gap` apart and inside `span`.

    Places p_i minimise Σ(p_i − v_i)² under p_(i+1) − p_i ≥ gap: an isotonic regression of v_i − i·gap, of which
    the ith is the largest over a ≤ i of the least over b ≥ i of the mean from a to b.

    >>> apart([0.0, 0.0, 5.0], 1.0, (-1.0, 9.0))
    [-0.5, 0.5, 5.0]
    """
    n = len(values)
    shifted = [v - i * gap for i, v in enumerate(values)]
    rising = [max(min(fmean(shifted[a : b + 1]) for b in range(i, n)) for a in range(i + 1)) for i in range(n)]
    low = span[0]
    high = max(low, span[1] - (n - 1) * gap)
    return [float(min(max(v, low), high) + i * gap) for i, v in enumerate(rising)]


def four(found: Mapping[str, float]) -> list[float]:
    """A mean and the ends of its interval for a table, to four digits.

    >>> four({"mean": 0.123456, "lo": 0.0, "hi": 12.3456})
    [0.1235, 0.0, 12.35]
    """
    return [float(f"{found[end]:.4g}") for end in ("mean", "lo", "hi")]


def heading(fig: go.Figure, text: str, *, panel: int) -> None:
    """A bold title above a panel, the first being 1."""
    n = "" if panel == 1 else str(panel)
    label(fig, f"<b>{text}</b>", x=0, y=1.01, colour=INK, xref=f"x{n} domain", yref=f"y{n} domain", yanchor="bottom")


def listed(words: Iterable[str]) -> str:
    """Words in a row.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
