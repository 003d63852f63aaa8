"""Chapter 8's figure of the linear-datamodelling score: which scores foretell what retraining shows."""

import math
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from mrtlab.show.figures.ch6 import interval
from mrtlab.show.figures.ch8_arms import four
from mrtlab.show.figures.theme import GREY, INK, MULTI, REWARD, label, present, rounded

LDS = "spa_lds.book"
_ROWS = {
    "subject": ("same task or not", GREY),
    "lexical": ("words (BM25+)", REWARD),
    "fisher-blocks-0.1": ("… per matrix", MULTI),
    "fisher-0.1": ("Fisher,<br>damping 0.1", MULTI),
    "fisher-blocks-1000": ("… per matrix", MULTI),
    "fisher-1000": ("Fisher,<br>damping 1,000", MULTI),
    "datainf-blocks": ("… per matrix", MULTI),
    "datainf": ("DataInf", MULTI),
    "lissa": ("LiSSA", MULTI),
    "grad-dot": ("dot product", MULTI),
}
_USUAL = "fisher-0.1"


def foretold(found: Mapping[str, Any]) -> go.Figure:
    """The linear-datamodelling score of each way to score, a row each.

    Args:
        found: results of `spa_lds`.
    """
    names = [name for name in _ROWS if name in found["methods"]]
    lds = {name: found["methods"][name]["lds"] for name in names}
    most = math.sqrt(max(0.0, found["ceiling"]["twice"]["mean"]))
    means = [lds[name] for name in names]
    fig = go.Figure(  # one trace: the page has a weight limit
        go.Scatter(
            x=rounded(one["mean"] for one in means), y=list(range(len(names))), mode="markers", cliponaxis=False,
            marker={"color": [_ROWS[name][1] for name in names], "size": 10}, error_x=interval(means, GREY),
            text=[_plain(name) for name in names], hovertemplate="%{text}: %{x:.2f}<extra></extra>",
        )
    )  # fmt: skip
    fig.add_vline(x=most, line={"color": INK, "width": 1.5, "dash": "dot"})
    label(fig, "all that luck leaves", x=most, y=len(names) - 0.35, colour=INK, xanchor="right", xshift=-6)
    fig.update_xaxes(title="rank correlation", range=[-0.12, 1], tickvals=[0, 0.25, 0.5, 0.75])
    fig.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[_ROWS[name][0] for name in names], range=[-0.6, len(names)]
    )
    design = found["design"]
    return present(
        fig,
        claim=_claim(lds["grad-dot"], lds[_USUAL]),
        how=f"Adapters on {design['halves']} random halves of {design['pairs']} pairs: is the loss on a query as low "
        f"as the half's scores say? Mean over {design['queries']} queries; bars: 95 % over {design['seeds']} seeds. "
        "Dotted: the most that anyone could reach.",
        alt="Rank correlation of scores with retraining: "
        + "; ".join(f"{_plain(name)} {lds[name]['mean']:.2f}" for name in names)
        + f". The most that can be reached is {most:.2f}.",
        columns=["scores", "rank correlation", "95 % from", "to"],
        rows=[[_plain(name), *four(lds[name])] for name in reversed(names)],
        artifact=LDS,
        height=460,
    )  # fmt: skip


def _claim(dot: Mapping[str, float], usual: Mapping[str, float]) -> str:
    if dot["lo"] > usual["hi"]:
        return "Plain products foretell retraining better than Fisher scores with the usual damping"
    if usual["lo"] > dot["hi"]:
        return "Fisher scores foretell retraining better than plain products"
    return "Plain products and Fisher scores foretell retraining about equally well"


def _plain(name: str) -> str:
    """A row's words on one line; "… per matrix" gets the name that stands above it.

    >>> _plain("fisher-blocks-0.1")
    'Fisher, damping 0.1, per matrix'
    """
    words = _ROWS[name][0].replace("<br>", " ")
    return f"{_plain(name.replace('-blocks', ''))}, {words[2:]}" if words.startswith("…") else words
