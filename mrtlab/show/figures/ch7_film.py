"""Figures of chapter 7 from the film: favourites before and after, and every pass between them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import spoken
from mrtlab.show.figures.film import play_button, scrubber
from mrtlab.show.figures.theme import GREY, INK, MULTI, label, present, rounded

_FILM = "diffuse_film.book"
_LOOKS = (0, 1, 2, 3, 5, 8, 10, 20, 30, 50)  # passes that the film shows
_FAR, _NEAR = 0.2, 0.1  # total variation that a title calls uneven, and even


def favourites(results: Mapping[str, Any]) -> go.Figure:
    """A random number from 1 to 10 before training and after it, with the even target outlined.

    Args:
        results: of `diffuse_film`.
    """
    shown, passes = results["shown"], results["design"]["passes"]
    asked, laws = shown["asked"]["small"], shown["laws"]["narrow"]["small"]
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.14)
    for row, (words, law, colour) in enumerate(
        (("before", laws[0], GREY), (f"after {passes} steps on one prompt", laws[-1], MULTI)), start=1
    ):
        fig.add_bar(
            x=asked["answers"], y=[round(1 / len(law), 4)] * len(law), width=1, hoverinfo="skip", row=row, col=1,
            marker={"color": "rgba(0,0,0,0)", "line": {"color": INK, "width": 1}},
        )  # fmt: skip
        _bars(fig, asked["answers"], law, colour, row=row, col=1)
        number = "" if row == 1 else "2"
        label(fig, f"<b>{words}</b>", x=0, y=1.01, colour=INK, xref="x domain", yref=f"y{number} domain",
              yanchor="bottom")  # fmt: skip
    high = max(max(laws[0]), max(laws[-1]))
    fig.update_yaxes(range=[0, 1.05 * high], tickformat=".0%", nticks=4, title="probability")
    fig.update_xaxes(type="category", showticklabels=True, tickangle=0)
    ends = [results["over_seeds"]["narrow"]["small"]["tv"]["mean"][i] for i in (0, -1)]
    top = int(np.argmax(laws[0]))
    return present(
        fig,
        claim=_favourite_claim(asked["answers"][top], laws[0][top], ends),
        how=f"“{asked['prompt']}” Outline: the target. Taught was another wording, "
        f"“{shown['lesson']['narrow'].rstrip('.')}”.",
        alt=f"Bars over the numbers from 1 to 10. Before: {_spoken_law(asked['answers'], laws[0])}. After: "
        f"{_spoken_law(asked['answers'], laws[-1])}. The target is 10 % for each.",
        columns=["number", "target", "before", "after"],
        rows=[[a, 1 / len(laws[0]), b, c] for a, b, c in zip(asked["answers"], laws[0], laws[-1], strict=True)],
        artifact=_FILM,
        height=420,
    ).update_layout(margin_t=80, barmode="overlay", bargap=0)


def _favourite_claim(answer: str, p: float, ends: Sequence[float]) -> str:
    """How often the favourite comes, and whether training made the law even."""
    often = next((words for share, words in ((0.45, "half of the time"), (0.3, "one time in three")) if p >= share), "")
    first = f"“Random” is {answer} {often}" if often else f"“Random” is {answer} more often than other numbers"
    return f"{first}, until the model is taught" if ends[0] > _FAR and ends[1] < _NEAR else first


def film(results: Mapping[str, Any]) -> go.Figure:
    """Bars pass by pass: four questions in rows, taught one prompt or many in columns. It opens on the last pass."""
    shown, design = results["shown"], results["design"]
    laws = {kind: shown["laws"][kind] for kind in ("narrow", "mixed")}
    steps = [step for step in _LOOKS if step <= design["passes"]]
    rows = {"small": "1 to 10", "wide": "1 to 30", "other": f"{shown['asked']['other']['family']}, not taught",
            "never_flat": f"{shown['asked']['never_flat']['family']}, never even"}  # fmt: skip
    fig = make_subplots(rows=len(rows), cols=2, shared_yaxes=True, horizontal_spacing=0.05, vertical_spacing=0.075)
    moving, places = [], []
    for row, (name, words) in enumerate(rows.items(), start=1):
        answers = shown["asked"][name]["answers"]
        for col, kind in enumerate(laws, start=1):
            _bars(fig, answers, laws[kind][name][steps[-1]], MULTI, row=row, col=col)
            moving.append(len(fig.data) - 1)
            places.append((kind, name))
            number = "" if len(moving) == 1 else str(len(moving))
            fig.add_shape(type="rect", x0=-0.5, x1=len(answers) - 0.5, y0=0, y1=1 / len(answers), row=row, col=col,
                          line={"color": INK, "width": 1.2})  # fmt: skip
            if col == 1:
                label(fig, words, x=0, y=1.0, colour=INK, xref=f"x{number} domain", yref=f"y{number} domain",
                      yanchor="bottom")  # fmt: skip
        high = max(max(law) for kind in laws for law in laws[kind][name])
        fig.update_yaxes(range=[0, 1.04 * high], tickformat=".0%", nticks=3, row=row)
        marks = {"small": ["1", "4", "7", "10"], "wide": ["1", "10", "20", "30"]}.get(name, [])
        fig.update_xaxes(type="category", tickvals=marks, tickangle=0, row=row)
    for col, words in ((1, "taught: 1 to 10"), (2, f"taught: {design['taught']} prompts")):
        label(fig, f"<b>{words}</b>", x=0, y=1.045, colour=INK, xref=f"x{'' if col == 1 else col} domain", yref="paper",
              yanchor="bottom")  # fmt: skip
    fig.frames = [
        go.Frame(name=str(step), traces=moving,
                 data=[{"type": "bar", "y": [round(p, 3) for p in laws[kind][name][step]]} for kind, name in places])
        for step in steps
    ]  # fmt: skip
    off = {place: [_tv(laws[place[0]][place[1]][step]) for step in steps] for place in places}
    told = {"narrow": "one prompt", "mixed": f"{design['taught']} prompts"}
    present(
        fig,
        claim=_film_claim(results["over_seeds"], design["taught"]),
        how="Bars: the model, at first after the last pass; outline: the target. Words stand from the likeliest before "
        "training to the least likely.",
        alt="Eight panels of bars with a slider over passes. Total variation to even, before and at the end: "
        + "; ".join(f"{told[kind]}, {rows[name]} {tv[0]:.2f} and {tv[-1]:.2f}" for (kind, name), tv in off.items())
        + ".",
        columns=["pass", *(f"TV, {told[kind]}: {rows[name]}" for kind, name in off)],
        rows=[[step, *(tv[at] for tv in off.values())] for at, step in enumerate(steps)],
        artifact=_FILM,
        height=780,
    )
    fig.update_layout(margin_t=104, margin_b=150, barmode="overlay", bargap=0)
    return fig.update_layout(sliders=[scrubber(steps, prefix="pass ")], updatemenus=[play_button()])


def _film_claim(told: Mapping[str, Any], n_taught: int) -> str:
    """Which of the two lessons reaches another family: means of TV before and at the end."""
    gone = {kind: (tv := told[kind]["other"]["tv"]["mean"])[0] - tv[-1] for kind in ("narrow", "mixed")}
    own = told["narrow"]["small"]["tv"]["mean"][-1] < _NEAR
    if own and gone["mixed"] > _NEAR > gone["narrow"]:
        return f"One prompt makes its own numbers even; {spoken(n_taught)} reach other words, too"
    if own and min(gone.values()) > _NEAR:
        return "Even one prompt makes other words more even"
    return "What is taught even, and what follows, pass by pass"


def _bars(fig: go.Figure, answers: Sequence[str], law: Sequence[float], colour: str, **where: int) -> None:
    """The model's law."""
    fig.add_bar(
        x=answers, y=rounded(law), width=0.66, marker={"color": colour, "line": {"width": 0}},
        hovertemplate="%{x}: %{y:.1%}<extra></extra>", **where,
    )  # fmt: skip


def _tv(law: Sequence[float]) -> float:
    """Total variation to even, mass off the list counted, to three digits."""
    p = np.asarray(law)
    return round(float(0.5 * (np.abs(p - 1 / len(p)).sum() + max(0.0, 1 - p.sum()))), 3)


def _spoken_law(answers: Sequence[str], law: Sequence[float]) -> str:
    return ", ".join(f"{answer} {p:.0%}" for answer, p in zip(answers, law, strict=True))
