"""The look of every figure, and the words that must travel with it.

Colours have meanings and keep them in the whole book (Okabe–Ito family, readable without colour vision). The
book's page script knows a twin of each for dark pages, so use these constants and no other colours.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

INK = "#1a1a1a"  # the truth, the target; text
SINGLE = "#D55E00"  # one response per prompt
MULTI = "#0072B2"  # several responses per prompt
REWARD = "#E69F00"  # responses selected by reward
QUALITY_DIVERSITY = "#009E73"  # responses selected for quality and diversity
GREY = "#6b6b6b"  # reference, base model
DEALT = "#CC79A7"  # answers dealt apart, so that every adapter learns other ones
COLOURS = {
    "truth": INK,
    "single": SINGLE,
    "multi": MULTI,
    "reward": REWARD,
    "quality-diversity": QUALITY_DIVERSITY,
    "reference": GREY,
    "dealt": DEALT,
}
_GRID = "#e4e4e4"
_FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def present(
    fig: go.Figure,
    *,
    claim: str,
    how: str,
    alt: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    artifact: str | None = None,
    height: int = 400,
) -> go.Figure:
    """Dress a figure in the book's theme and give it its words.

    Args:
        fig: the figure; changed in place and returned.
        claim: its title, a sentence that says what it shows.
        how: one sentence on how to read it.
        alt: what it shows, for someone who does not see it.
        columns: header of the data table.
        rows: rows of the data table, numbers or text.
        artifact: the artifact it was drawn from, such as ``"mode_lottery.book"``; None for closed forms.
        height: pixels.

    Returns:
        the same figure; as the last line of a cell it draws in JupyterLab, Colab and the book.

    Raises:
        ValueError: one of the texts or the table is empty.

    >>> fig = present(go.Figure(go.Bar(y=[1, 2])), claim="Two is more", how="Bars.", alt="A bar of 1, a bar of 2.",
    ...               columns=["x"], rows=[[1], [2]])
    >>> fig.layout.meta["mrtlab"]["claim"]
    'Two is more'
    """
    for name, text in {"claim": claim, "how": how, "alt": alt}.items():
        if not text.strip():
            raise ValueError(f"a figure needs its {name}: say it in a sentence")
    if not columns or not rows:
        raise ValueError("a figure needs the numbers it shows: pass columns and rows")
    table = {"columns": list(columns), "rows": [[_plain(v) for v in row] for row in rows]}
    about = {"claim": claim, "how": how, "alt": alt, "table": table, "artifact": artifact}
    fig.update_layout(
        template="none",
        title={"text": f"<b>{claim}</b>", "x": 0, "xref": "paper", "font": {"size": 16}},
        font={"family": _FONT, "size": 14, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=height,
        margin={"l": 62, "r": 20, "t": 56, "b": 56},
        hoverlabel={"font": {"family": _FONT}},
        showlegend=False,
        bargap=0.3,
        meta={"mrtlab": about},
    )
    quiet = {
        "title_font_size": 13,
        "gridcolor": _GRID,
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "",
        "automargin": True,
    }
    fig.update_xaxes(**quiet, showgrid=False)
    fig.update_yaxes(**quiet)
    return fig


def tint(colour: str, alpha: float) -> str:
    """A meaningful colour made see-through, for bands: ``tint(MULTI, 0.2)``.

    >>> tint("#0072B2", 0.2)
    'rgba(0,114,178,0.2)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def label(fig: go.Figure, text: str, *, x: float, y: float, colour: str, **where: Any) -> None:
    """Write a series' name beside it, in its colour: direct labels instead of a legend."""
    place = {"showarrow": False, "xanchor": "left", "yanchor": "middle"} | where
    fig.add_annotation(text=text, x=x, y=y, font={"color": colour, "size": 13}, **place)


def rounded(values: Iterable[float]) -> list[float]:
    """Values for a page, as a list: more decimals no eye sees, and an array would travel in ten times the bytes.

    >>> rounded([0.12345, 2])
    [0.123, 2.0]
    """
    return [round(float(v), 3) for v in values]


def short(values: Any) -> list[float]:
    """As `rounded` where sizes differ by orders of magnitude: five significant digits.

    >>> short([0.000123456, 123456.0])
    [0.00012346, 123460.0]
    """
    return [float(f"{v:.5g}") for v in np.asarray(values, dtype=float)]


def _plain(value: Any) -> Any:
    """A Python number or a string, so that the figure's JSON stays plain."""
    return value.item() if hasattr(value, "item") else value
