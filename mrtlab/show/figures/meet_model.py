"""The figure of *Meet the model*: what it says a thousand times, and the law it says it by."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from mrtlab.show.figures.theme import GREY, INK, SINGLE, present, rounded


def exact_and_sample(results: Mapping[str, Any]) -> go.Figure:
    """Bars for the model's exact law, points for the draws of each seed, an outlined bar for the truth.

    Args:
        results: of the artifact `meet_model`.
    """
    ask = results["ask"]
    answers, draws = ask["answers"], ask["draws"]
    places = list(range(len(answers)))
    fig = go.Figure()
    fig.add_bar(
        x=places, y=rounded(ask["truth"]), name="the truth, every number alike", width=0.86,
        marker={"color": "rgba(0,0,0,0)", "line": {"color": INK, "width": 1.5}},
        hovertemplate="truth: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    fig.add_bar(
        x=places, y=rounded(ask["exact"]), name="the model, exactly", marker={"color": GREY}, opacity=0.75,
        width=0.6, hovertemplate="model, exactly: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    spread = [0.24 * (2 * i / max(len(ask["counts"]) - 1, 1) - 1) for i in range(len(ask["counts"]))]
    for i, counts in enumerate(ask["counts"].values()):
        fig.add_scatter(
            x=[place + spread[i] for place in places], y=rounded(c / draws for c in counts),
            mode="markers", name=f"{draws:,} draws, once for each of {len(ask['counts'])} seeds", showlegend=i == 0,
            marker={"color": SINGLE, "size": 6, "line": {"color": "white", "width": 0.5}},
            hovertemplate=f"seed {i}, {draws:,} draws: %{{y:.1%}}<extra></extra>",
        )  # fmt: skip
    fig.update_xaxes(title="answer", tickvals=places, ticktext=answers, tickangle=0)
    fig.update_yaxes(title="probability", rangemode="tozero", tickformat=".0%")
    first = next(iter(ask["counts"].values()))
    rows = [
        [answer, ask["truth"][i], ask["exact"][i], first[i] / draws, *_ends(ask, i)] for i, answer in enumerate(answers)
    ]
    present(
        fig,
        claim=f"Asked for a random number, it says {ask['favourite']} with {ask['favourite_p']:.0%}",
        how=f"“{ask['question']}” Grey: the model's law, computed without a single draw. Points: how often each number "
        f"came in {draws:,} draws, for {len(ask['counts'])} seeds. Outline: the truth.",
        alt=f"Bars over {len(answers)} numbers. The exact law peaks at {ask['favourite']} with "
        f"{ask['favourite_p']:.1%}; the truth gives each {ask['truth'][0]:.1%}. The points of the draws scatter "
        f"closely around the exact bars.",
        columns=["answer", "truth", "model, exactly", "draws, seed 0", "draws, least", "draws, most"],
        rows=rows,
        artifact="meet_model.book",
        height=420,
    )
    fig.update_layout(
        barmode="overlay",
        showlegend=True,
        legend={"orientation": "h", "y": -0.2, "x": 0},
        margin={"b": 110},
    )
    return fig


def _ends(ask: Mapping[str, Any], i: int) -> tuple[float, float]:
    """The least and most that any seed saw of an answer."""
    shares = [counts[i] / ask["draws"] for counts in ask["counts"].values()]
    return min(shares), max(shares)
