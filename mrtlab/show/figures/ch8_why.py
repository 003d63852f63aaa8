"""Figures of chapter 8 on why some parts make answers differ: what parts have in common, and what damping does."""

import math
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from scipy.stats import spearmanr

from mrtlab.show.figures.ch6 import interval
from mrtlab.show.figures.ch8_arms import ARMS, apart, beside, four, greedy, named, tagged
from mrtlab.show.figures.theme import INK, MULTI, QUALITY_DIVERSITY, REWARD, label, present, rounded

PARTS = "spa_parts.book"
_BESIDE = {
    "dot": ("dot product", MULTI),
    "lissa": ("LiSSA", REWARD),
    "influence": ("the least damped", QUALITY_DIVERSITY),
}


def told(parts: Mapping[str, Any], adapters: Mapping[str, Any]) -> go.Figure:
    """Pairs that differ against what a pair's part tells about its answer, a point for each rule.

    Args:
        parts: results of `spa_parts`.
        adapters: results of `spa_adapters`.
    """
    found = greedy(adapters)
    points = {arm: (one["answer"], found[arm]["pair_share"]) for arm, one in parts["traits"].items() if arm in found}
    fig = go.Figure()
    for arm, (x, y) in points.items():
        colour = ARMS[arm].colour
        fig.add_scatter(
            x=rounded([x["mean"]]), y=rounded([y["mean"]]), mode="markers", cliponaxis=False,
            error_x=interval([x], colour), error_y=interval([y], colour),
            marker={"color": colour, "size": 10, "symbol": ARMS[arm].symbol, "line": {"color": colour, "width": 1.5}},
            hovertemplate=named(arm) + ": tells %{x:.0%} of the answer, %{y:.0%} of pairs differ<extra></extra>",
        )  # fmt: skip
    high = max(x["hi"] for x, _ in points.values())
    low = min(0.0, min(x["lo"] for x, _ in points.values()))
    top = 1.05 * max(y["hi"] for _, y in points.values())
    tags = [(tagged(arm), x["mean"], y["mean"]) for arm, (x, y) in points.items()]
    beside(fig, tags, x=high + 0.03 * (high - low), gap=0.055 * top, span=(0.03 * top, 0.97 * top))
    fig.update_xaxes(title="what a part tells about the answer",
                     range=[low, high + 0.62 * (high - low)], tickformat=".0%")  # fmt: skip
    fig.update_yaxes(title="pairs that differ", range=[0, top], tickformat=".0%")
    rank = float(spearmanr(*zip(*((x["mean"], y["mean"]) for x, y in points.values()), strict=True)).statistic)
    traits = parts["traits"]
    return present(
        fig,
        claim=_told_claim(rank),
        how="To the right: a part tells more about the answer, once the task is known (information over entropy, "
        f"less chance). Up: their adapters answer differently. Bars: 95 % over {parts['design']['seeds']} seeds.",
        alt=f"Pairs that differ and what parts tell about answers, rank correlation {rank:.2f}. "
        + "; ".join(f"{named(arm)} {x['mean']:.0%} and {y['mean']:.0%}" for arm, (x, y) in points.items())
        + ".",
        columns=["rule", "tells of the answer", "95 % from", "to", "pairs that differ", "95 % from", "to",
                 "tells of the specification", "of the gradient's size"],
        rows=[[named(arm), *four(x), *four(y), four(traits[arm]["specification"])[0], four(traits[arm]["size"])[0]]
              for arm, (x, y) in points.items()],
        artifact=PARTS,
        height=460,
    )  # fmt: skip


def _told_claim(rank: float) -> str:
    if rank > 0.7:
        return "Where parts keep different answers apart, adapters answer differently"
    if rank > 0.3:
        return "Where parts keep different answers apart, adapters tend to answer differently"
    return "What a part tells about its answers does not say how differently its adapters answer"


def damping(parts: Mapping[str, Any]) -> go.Figure:
    """How far parts by damped Fisher scores agree with other parts, along the damping.

    Args:
        parts: results of `spa_parts`.
    """
    at = {float(d): one for d, one in parts["dampings"].items()}
    x = sorted(at)
    fig = go.Figure()
    for name, (words, colour) in _BESIDE.items():
        line = [at[d][name] for d in x]
        fig.add_scatter(
            x=x, y=rounded(v["mean"] for v in line), mode="lines+markers", error_y=interval(line, colour),
            line={"color": colour, "width": 2}, cliponaxis=False,
            hovertemplate=words + ", damping %{x}: %{y:.0%}<extra></extra>",
        )  # fmt: skip
    ends = {words: at[x[-1]][name]["mean"] for name, (words, _) in _BESIDE.items()}
    ordered = sorted(ends, key=lambda words: ends[words])
    for words, y in zip(ordered, apart([ends[words] for words in ordered], 0.07, (0.03, 0.97)), strict=True):
        label(fig, words, x=math.log10(x[-1]), y=y, colour=INK, xanchor="left", xshift=9)
    fig.update_xaxes(title="damping, of the mean diagonal (log axis)", type="log", range=[-1.3, 7.2],
                     tickvals=x)  # fmt: skip
    fig.update_yaxes(title="agreement of parts", range=[0, 1.03], tickformat=".0%")
    dot, least = at[x[-1]]["dot"]["mean"], at[x[0]]["dot"]["mean"]
    return present(
        fig,
        claim="Damping is the dial between curvature and plain products" if dot > least + 0.2
        else "Damping hardly changes whose parts these are",
        how="Parts by Fisher scores at each damping, set beside those of dot products, of LiSSA, and of the least "
        f"damping. Bars: 95 % over {parts['design']['seeds']} seeds.",
        alt="Agreement of parts by damped Fisher scores. "
        + " ".join(
            f"With {words}: " + ", ".join(f"{at[d][name]['mean']:.0%} at {d:g}" for d in x) + "."
            for name, (words, _) in _BESIDE.items()
        ),
        columns=["damping", *(f"with {words}" for words, _ in _BESIDE.values())],
        rows=[[f"{d:g}", *(four(at[d][name])[0] for name in _BESIDE)] for d in x],
        artifact=PARTS,
        height=360,
    )  # fmt: skip
