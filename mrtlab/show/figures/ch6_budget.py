"""Figures of chapter 6 on the budget: which K trains best on equal tokens, and what the variances foretold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch3 import tagged
from mrtlab.show.figures.ch6 import band, interval, three
from mrtlab.show.figures.theme import GREY, INK, MULTI, SINGLE, label, present, rounded, tint

_BUDGET = "callings_budget.book"
_WHENS = {"final": ("at the end", "solid"), "best": ("best checkpoint", "dash")}
_FORETOLD = {  # where in the variances: name, short name, colour, dash
    ("gradient",): ("gradient before training", "━━ gradient", INK, "solid"),
    ("later", "gradient"): ("gradient after some training", "···· later", INK, "dot"),
    ("loss",): ("loss before training", "╍╍ loss", GREY, "dash"),
}
_MOVED, _APART = 0.25, 0.05  # of a share of the variance, before a title says so
_SURE = 0.95  # share of resamples before a title says so


def tokens(results: Mapping[str, Any]) -> go.Figure:
    """KL after equal tokens over K, above the variance that was predicted for the same tokens."""
    ks, arms, variances = results["design"]["k"], results["tokens"], results["variances"]
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.14)
    highest = 0.0
    for when, (words, dash) in _WHENS.items():
        found = [arms[f"k{k}"][when]["kl"] for k in ks]
        highest = max(highest, *(v["hi"] for v in found))
        band(fig, ks, [v["lo"] for v in found], [v["hi"] for v in found], MULTI, row=1, col=1)
        fig.add_scatter(
            x=ks, y=rounded(v["mean"] for v in found), mode="lines+markers", row=1, col=1,
            line={"color": MULTI, "width": 2.5, "dash": dash},
            marker={"size": 8, "color": [SINGLE if k == 1 else MULTI for k in ks]},
            hovertemplate=words + "<br>K = %{x}: %{y:.3f} nats<extra></extra>",
        )  # fmt: skip
    top = 0.0
    for place, (where, (name, sample, colour, dash)) in enumerate(_FORETOLD.items()):
        curve, flat = _foretold(variances, where)["predicted"], _foretold(variances, where)["flat"]
        y = [curve[f"k{k}"] for k in ks]
        top = max(top, *y)
        fig.add_scatter(
            x=ks, y=rounded(y), mode="lines+markers", row=2, col=1, line={"color": colour, "width": 2.5, "dash": dash},
            marker={"size": [11 if k in flat else 7 for k in ks], "color": colour, "opacity": 1,
                    "symbol": ["circle" if k in flat else "circle-open" for k in ks]},
            hovertemplate="variance of the " + name + "<br>K = %{x}: %{y:.2f}<extra></extra>",
        )  # fmt: skip
        label(fig, sample, x=0.38 * place, y=1.01, colour=colour, xref="paper", yref="y2 domain", yanchor="bottom")
    for place, words in enumerate(("━━ at the end", "╍╍ best checkpoint")):
        label(fig, words, x=0.5 * place, y=1.01, colour=MULTI, xref="paper", yref="y domain", yanchor="bottom")
    fig.update_xaxes(type="log", tickvals=ks, range=[-0.06, float(np.log10(ks[-1])) + 0.06], showticklabels=True)
    fig.update_xaxes(title="responses per prompt, K (log axis)", row=2)
    fig.update_yaxes(title="KL (nats)", range=[0, 1.08 * highest], row=1)
    fig.update_yaxes(title="variance, least = 1", range=[0.9, 0.1 + 1.04 * top], row=2)
    argmin, gradient = results["argmin"]["final"], variances["gradient"]
    share = argmin["share"][f"k{argmin['k']}"]
    spent = [arms[f"k{k}"]["tokens"] for k in ks]
    rows = [
        [k, one["prompts"], one["tokens"], *three(one["final"]["kl"]), *three(one["best"]["kl"]),
         *[_foretold(variances, where)["predicted"][f"k{k}"] for where in _FORETOLD]]
        for k, one in ((k, arms[f"k{k}"]) for k in ks)
    ]  # fmt: skip
    present(
        fig,
        claim=_tokens_claim(argmin, gradient, variances["later"]["gradient"]),
        how=f"Above: trained on {min(spent):,.0f} to {max(spent):,.0f} tokens in {results['design']['updates']} "
        f"updates, 95 % over {results['design']['seeds']} seeds. Below: foretold from a first look at "
        f"{results['design']['pilot']['prompts']} prompts; large dots are within 5 % of the least. "
        f"K = {argmin['k']} is best in {share:.0%} of resamples.",
        alt="Two panels over K. KL at the end: "
        + ", ".join(f"{arms[f'k{k}']['final']['kl']['mean']:.3f} at K = {k}" for k in ks)
        + f". The best K of {share:.0%} of resamples is {argmin['k']}. Variance of the "
        "gradient, the least as 1: "
        + ", ".join(f"{gradient['predicted'][f'k{k}']:.2f}" for k in ks)
        + f"; its formula says K* = {gradient['k_star']:.1f}.",
        columns=["K", "prompts", "tokens", "KL at the end", "95 % from", "to", "KL, best checkpoint", "95 % from", "to",
                 *[f"variance of the {name}" for name, *_ in _FORETOLD.values()]],
        rows=rows,
        artifact=_BUDGET,
        height=560,
    )  # fmt: skip
    return fig.update_layout(margin_t=80)


def _foretold(variances: Mapping[str, Any], where: tuple[str, ...]) -> Mapping[str, Any]:
    """What was foretold from one of the measurements."""
    for name in where:
        variances = variances[name]
    return variances


def _tokens_claim(argmin: Mapping[str, Any], gradient: Mapping[str, Any], later: Mapping[str, Any]) -> str:
    """Does the K that trains best at the end lie among those foretold before training, or only a little later?"""
    inside = argmin["in_flat"]["gradient"]
    if inside >= _SURE:
        return f"At equal tokens K = {argmin['k']} trains best, as the gradient's variance foretold"
    if inside <= 1 - _SURE:
        if argmin["k"] in later["flat"]:
            return "Measured before training the variance misleads; a little later it points to the best K"
        return f"At equal tokens K = {argmin['k']} ends lowest; the gradient's variance foretold K = {gradient['best']}"
    return f"The gradient's variance foretold K = {gradient['best']}; which K trains best is too close to call"


def cuts(results: Mapping[str, Any]) -> go.Figure:
    """KL over how many prompts make an update, for one data set."""
    sizes, arms = results["design"]["cut"], results["cut"]
    fig = go.Figure()
    highest = 0.0
    for place, (when, (words, dash)) in enumerate(_WHENS.items()):
        found = [arms[f"b{b}"][when]["kl"] for b in sizes]
        highest = max(highest, *(v["hi"] for v in found))
        fig.add_scatter(
            x=[b * (1 + 0.04 * place) for b in sizes], y=rounded(v["mean"] for v in found), mode="lines+markers",
            line={"color": MULTI, "width": 2.5, "dash": dash}, error_y=interval(found, MULTI),
            marker={"size": 9, "color": MULTI, "symbol": "circle" if when == "final" else "circle-open"},
            hovertemplate=words + ": %{y:.3f} nats<extra></extra>",
        )  # fmt: skip
    for place, words in enumerate(("━━ at the end", "╍╍ best checkpoint")):
        label(fig, words, x=0.5 * place, y=1.01, colour=MULTI, xref="paper", yref="paper", yanchor="bottom")
    fig.update_xaxes(type="log", title="prompts in an update (log axis)", tickvals=sizes,
                     ticktext=[f"{b}<br>{arms[f'b{b}']['updates']} updates" for b in sizes],
                     range=[-0.2, float(np.log10(sizes[-1])) + 0.22])  # fmt: skip
    fig.update_yaxes(title="KL to the truth (nats)", range=[0, 1.08 * highest])
    one = arms[f"b{sizes[0]}"]
    return present(
        fig,
        claim=_cuts_claim(arms[f"b{sizes[-1]}"]["minus_b1"]["final"], one["updates"]),
        how=f"{one['prompts']} prompts with {one['pairs'] // one['prompts']} responses each, read once, at the same "
        f"learning rate. Bars: 95 % over {results['design']['seeds']} seeds.",
        alt="KL at the end: "
        + ", ".join(f"{arms[f'b{b}']['final']['kl']['mean']:.2f} with {b} in an update" for b in sizes)
        + "; at the best checkpoint "
        + ", ".join(f"{arms[f'b{b}']['best']['kl']['mean']:.2f}" for b in sizes)
        + ".",
        columns=["prompts in an update", "updates", "KL at the end", "95 % from", "to", "KL, best checkpoint",
                 "95 % from", "to"],
        rows=[[b, arms[f"b{b}"]["updates"], *three(arms[f"b{b}"]["final"]["kl"]), *three(arms[f"b{b}"]["best"]["kl"])]
              for b in sizes],
        artifact=_BUDGET,
        height=380,
    ).update_layout(margin_t=84, margin_b=72)  # fmt: skip


def _cuts_claim(most_minus_one: Mapping[str, float], updates: int) -> str:
    """The largest updates against those of one prompt, at the end."""
    if most_minus_one["lo"] > 0:
        return f"The same data, cut into {updates} small updates, train a better model than large ones"
    if most_minus_one["hi"] < 0:
        return "The same data train a better model in few large updates"
    return "However the same data are cut into updates, we see no clear difference"


def variance_bars(results: Mapping[str, Any]) -> go.Figure:
    """Shares of V_x and V_{y|x} in the variance of one response's loss and of its gradient, before and later."""
    variances, fig, rows, shares = results["variances"], go.Figure(), [], {}
    for time, source in (("before", variances), ("later", variances["later"])):
        for of in ("loss", "gradient"):
            found = source[of]
            prompt, response = (max(0.0, found[part]["mean"]) for part in ("prompt", "response"))
            shares[of, time] = response / ((prompt + response) or 1.0)
            rows.append([time, of, *three(found["prompt"]), *three(found["response"]), shares[of, time],
                         found["k_star"]])  # fmt: skip
    names = [f"{of}, {time}" for of, time in shares]
    parts = {"V<sub>x</sub>, between": ([1 - s for s in shares.values()], GREY),
             "V<sub>y|x</sub>, within": (list(shares.values()), MULTI)}  # fmt: skip
    for place, (name, (values, colour)) in enumerate(parts.items()):
        fig.add_bar(
            y=names, x=rounded(values), orientation="h", width=0.6, marker={"color": tint(colour, 0.3),
                                                                            "line": {"color": colour, "width": 1.5}},
            text=[f"{v:.0%}" if v > 0.1 else "" for v in values], textposition="inside", insidetextanchor="middle",
            textangle=0, constraintext="none", textfont={"color": INK},
            hovertemplate=name + ": %{x:.0%}<extra></extra>",
        )  # fmt: skip
        label(fig, tagged(name, colour), x=float(place), y=1.01, colour=INK, xref="paper", yref="paper",
              xanchor="right" if place else "left", yanchor="bottom")  # fmt: skip
    fig.update_xaxes(title="share of the variance", range=[0, 1], tickformat=".0%", tickvals=[0, 0.5, 1])
    fig.update_yaxes(autorange="reversed", showgrid=False)
    pilot = results["design"]["pilot"]
    return present(
        fig,
        claim=_variance_claim(shares),
        how=f"Between prompts, and within the responses to one. From {pilot['prompts']} prompts with "
        f"{pilot['responses']} responses, before training and after a little of it, mean over "
        f"{results['design']['seeds']} seeds.",
        alt="Bars cut in two. Share within a prompt: "
        + ", ".join(f"{share:.0%} of the variance of the {of} {time}" for (of, time), share in shares.items())
        + ".",
        columns=["when", "variance", "V_x", "95 % from", "to", "V_y|x", "95 % from", "to", "share of V_y|x", "K*"],
        rows=rows,
        artifact=_BUDGET,
        height=360,
    ).update_layout(margin_t=80, barmode="stack")


def _variance_claim(shares: Mapping[tuple[str, str], float]) -> str:
    """Does training move the gradient's variance, or do loss and gradient differ, or neither?"""
    moved = shares["gradient", "later"] - shares["gradient", "before"]
    if moved > _MOVED:
        return "A little training turns the variance from prompts to responses"
    if moved < -_MOVED:
        return "A little training turns the variance from responses to prompts"
    gap = shares["gradient", "before"] - shares["loss", "before"]
    if gap > _APART:
        return "The gradient sees more of the luck of the response than the loss does"
    if gap < -_APART:
        return "The gradient sees less of the luck of the response than the loss does"
    return "Loss and gradient share their variance alike between prompts and responses"
