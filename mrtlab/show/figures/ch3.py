"""Figures of chapter 3, which K of N: error, direction of the gradient, greedy choice. See also `ch3_generator`."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.lab.gradients import logit_cosine
from mrtlab.show.figures.theme import GREY, INK, MULTI, QUALITY_DIVERSITY, REWARD, label, present, rounded, tint

NAMES = {
    "random": "random",
    "dkon": "diverse (DKoN)",
    "dbkon_a25": "quality–diversity, α = ¼",
    "dbkon_a75": "quality–diversity, α = ¾",
    "dbkon_a200": "quality–diversity, α = 2",
    "dbkon_sharp_a75": "α = ¾, sharp similarity",
    "spread_of_best": "spread of the better half",
    "softmax_warm": "softmax, warm",
    "softmax_cool": "softmax, cool",
    "top_k": "best by reward",
}
REWARDS = {
    "middle": "likes the middle",
    "upper": "likes the top",
    "any_mode": "likes any mode",
    "judge": "noisy judge",
}
_WHOSE = {
    "middle": "the reward is closeness to the middle mode",
    "upper": "the reward is closeness to the top mode",
    "any_mode": "the reward is closeness to the nearest mode",
    "judge": "a noisy judge with a mild taste for higher answers gives the reward",
    "noise": "the reward is noise",
}
_SHORT = {"random": "random", "top_k": "best by reward", "dbkon_a75": "quality–diversity", "dkon": "diverse"}


def colour_of(selector: str) -> str:
    """The book's colour for a selector: blue random, orange by reward alone, green with diversity.

    >>> colour_of("dbkon_a75") == QUALITY_DIVERSITY
    True
    """
    if selector == "random":
        return MULTI
    return REWARD if selector.startswith(("top_k", "softmax")) else QUALITY_DIVERSITY


def error_bars(results: Mapping[str, Any], *, reward: str = "middle", step: int = 0) -> go.Figure:
    """Squared error of one prompt's loss, split into squared bias and variance, one bar per selector."""
    at = results["design"]["checkpoints"].index(step)
    blocks = {name: results["free" if name in results["free"] else reward][name] for name in NAMES}
    rows, fig = [], go.Figure()
    order = sorted(blocks, key=lambda name: -blocks[name]["mse"]["mean"][at])
    bias2 = [max(0.0, blocks[n]["bias2"]["mean"][at]) for n in order]
    variance = [blocks[n]["variance"]["mean"][at] for n in order]
    colours = [colour_of(n) for n in order]
    names = [NAMES[n] for n in order]
    fig.add_bar(y=names, x=rounded(bias2), orientation="h", marker={"color": colours}, name="squared bias",
                hovertemplate="squared bias %{x:.3f}<extra></extra>")  # fmt: skip
    fig.add_bar(
        y=names, x=rounded(variance), orientation="h", name="variance",
        marker={"color": [tint(c, 0.25) for c in colours], "line": {"color": colours, "width": 1.5}},
        text=[f"{blocks[n]['mse']['mean'][at]:.2f}" for n in order], textposition="outside", cliponaxis=False,
        hovertemplate="variance %{x:.3f}<extra></extra>",
    )  # fmt: skip
    for name in reversed(order):
        block = blocks[name]
        rows.append([NAMES[name], *[block[m]["mean"][at] for m in ("bias2", "variance", "mse")],
                     block["mse"]["lo"][at], block["mse"]["hi"][at]])  # fmt: skip
    fig.update_layout(barmode="stack")
    top = max(b + v for b, v in zip(bias2, variance, strict=True))
    fig.update_xaxes(title="squared error (nats²)", range=[0, 1.14 * top], nticks=6)
    best, mse = order[-1], {n: blocks[n]["mse"]["mean"][at] for n in order}
    share = {n: max(0.0, blocks[n]["bias2"]["mean"][at]) / mse[n] for n in ("random", "top_k")}
    present(
        fig,
        claim=_error_claim(mse),
        how=f"Keep {results['design']['k']} of {results['design']['candidates']} answers; "
        f"{_WHOSE[reward]}. Full colour: squared bias. Pale: variance. The number is their sum.",
        alt=f"Horizontal bars. Smallest error: {NAMES[best]}, {mse[best]:.2f}. Random {mse['random']:.2f}, "
        f"{share['random']:.0%} of it bias. Best by reward {mse['top_k']:.2f}, {share['top_k']:.0%} of it bias.",
        columns=["selector", "squared bias", "variance", "squared error", "95 % from", "to"],
        rows=rows,
        artifact="selection_bias.book",
        height=430,
    )
    return fig


def _error_claim(mse: Mapping[str, float]) -> str:
    """A title that says no more than the numbers."""
    if mse["dbkon_a75"] > mse["random"] > mse["dbkon_a25"]:
        return "A little quality with diversity beats chance; too much of it is best-by-reward again"
    if mse["dbkon_a75"] > mse["random"]:
        return "Quality with diversity does not beat chance here"
    if mse["dkon"] < 1.1 * min(mse[n] for n in mse if n.startswith("dbkon")):
        return "Diversity beats chance; the reward adds little to it"
    return "Quality with diversity beats chance"


def cosine_along_training(
    results: Mapping[str, Any],
    *,
    view: str = "cos_prompt",
    selectors: Sequence[str] = ("random", "dbkon_a75", "top_k"),
) -> go.Figure:
    """Cosine of the selected sets' gradient with the true one against training steps, one panel per reward.

    Args:
        results: of the selection_bias artifact.
        view: "cos_prompt", one prompt at a time, or "cos_batch", all prompts together.
        selectors: at most three, so that they can be labelled directly.
    """
    steps, rows = results["design"]["checkpoints"], []
    fig = make_subplots(rows=2, cols=2, shared_xaxes=True, shared_yaxes=True,
                        horizontal_spacing=0.04, vertical_spacing=0.13)  # fmt: skip
    where = list(range(len(steps)))
    for panel, (reward, title) in enumerate(REWARDS.items()):
        row, col = panel // 2 + 1, panel % 2 + 1
        for name in selectors:
            cos = results["free" if name in results["free"] else reward][name][view]
            colour = colour_of(name)
            fig.add_scatter(
                x=where + where[::-1], y=rounded([*cos["hi"], *cos["lo"][::-1]]), fill="toself", hoverinfo="skip",
                mode="lines", fillcolor=tint(colour, 0.18), line={"width": 0}, row=row, col=col,
            )  # fmt: skip
            fig.add_scatter(
                x=where, y=rounded(cos["mean"]), mode="lines+markers", name=_SHORT[name], row=row, col=col,
                line={"color": colour, "width": 2.5, "dash": "solid" if name == "top_k" else "dot"
                      if name == "random" else "dash"}, marker={"size": 5},
                hovertemplate="%{y:.2f}<extra>" + _SHORT[name] + "</extra>",
            )  # fmt: skip
            for at, step in enumerate(steps):
                rows.append([title, _SHORT[name], step, cos["mean"][at], cos["lo"][at], cos["hi"][at]])
        fig.add_hline(y=0, line={"color": INK, "width": 1}, row=row, col=col)
        number = "" if panel == 0 else str(panel + 1)
        fig.add_annotation(text=f"<b>{title}</b>", x=0.02, xref=f"x{number} domain", xanchor="left", y=1.02,
                           yref=f"y{number} domain", yanchor="bottom", showarrow=False)  # fmt: skip
    low = min(min(results[r]["top_k"][view]["lo"]) for r in REWARDS)
    fig.update_yaxes(range=[min(-0.25, low - 0.05), 1.04], tickvals=[-0.5, 0, 0.5, 1])
    fig.update_yaxes(title="cosine", col=1)
    fig.update_xaxes(tickvals=where, ticktext=_every_other(steps), range=[-0.3, len(steps) - 0.7], tickangle=0)
    fig.update_xaxes(title="training step", row=2)
    _key(fig, [(_SHORT[n], colour_of(n)) for n in selectors])
    cos = results["middle"]["top_k"][view]["mean"]
    below = _negative(results, view)
    one = view == "cos_prompt"
    present(
        fig,
        claim=_cosine_claim(below, one=one),
        how=("One prompt at a time" if one else "All prompts together, as training sees them")
        + ": cosine with the true gradient; below the line a step undoes learning. Quality–diversity: "
        "α = ¾. Bands: 95 %.",
        alt=f"Four panels by reward. With the reward that likes the middle, best by reward starts at {cos[0]:.2f} and "
        f"ends at {cos[-1]:.2f}. Wholly below zero: {_spoken(below)}.",
        columns=["reward", "selector", "step", "cosine", "95 % from", "to"],
        rows=rows,
        artifact="selection_bias.book",
        height=500,
    )
    return fig.update_layout(margin_t=112)


def _negative(results: Mapping[str, Any], view: str) -> dict[str, list[int]]:
    """Rewards and steps at which the whole interval of best-by-reward's cosine lies below zero."""
    steps = results["design"]["checkpoints"]
    found = {r: [s for s, hi in zip(steps, results[r]["top_k"][view]["hi"], strict=True) if hi < 0] for r in REWARDS}
    return {reward: where for reward, where in found.items() if where}


def _cosine_claim(below: Mapping[str, Sequence[int]], *, one: bool) -> str:
    """A title that says no more than the numbers."""
    if not below:
        return "Best by reward never points away from the truth here"
    if one and below == {"middle": [0]}:
        return "The alarming sign belongs to one reward and to the first step"
    if list(below) == ["middle"]:
        return "Best by reward points away only when the reward likes the middle"
    return "Best by reward can point away from the truth, early and with more than one reward"


def _spoken(below: Mapping[str, Sequence[int]]) -> str:
    """Such as "likes the middle at step 0"."""
    return "; ".join(f"{REWARDS[r]} at step {', '.join(map(str, s))}" for r, s in below.items()) or "nowhere"


def head_split(results: Mapping[str, Any], *, reward: str = "middle") -> go.Figure:
    """What each part of the network adds to the cosine at random weights, for random and best-by-reward choice."""
    parts = {
        "part_weights": "weights head", "part_means": "means head", "part_scale": "widths head",
        "part_body": "shared layers", "cos_prompt": "<b>together</b>", "without_scale": "if widths<br>were frozen",
    }  # fmt: skip
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    rows, values = [], {}
    names = list(parts.values())[::-1]
    for col, name in enumerate(("random", "top_k"), 1):
        block = results["free" if name == "random" else reward][name]
        found = [block[key] for key in list(parts)[::-1]]
        values[name] = {key: block[key]["mean"][0] for key in parts}
        solid = [colour_of(name) if key.startswith("part") else tint(INK, 0.15) for key in list(parts)[::-1]]
        fig.add_bar(
            y=names, x=rounded([v["mean"][0] for v in found]), orientation="h", row=1, col=col,
            marker={"color": solid, "line": {"color": INK, "width": 0.5}},
            error_x={"array": rounded([v["hi"][0] - v["mean"][0] for v in found]), "color": INK, "thickness": 1,
                     "width": 3},
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )  # fmt: skip
        fig.add_vline(x=0, line={"color": INK, "width": 1}, row=1, col=col)
        fig.add_annotation(text=f"<b>{tagged(_SHORT[name], colour_of(name))}</b>", x=0.5, y=1.02, yref="paper",
                           xref=f"x{'' if col == 1 else col} domain", yanchor="bottom", showarrow=False)  # fmt: skip
        rows += [[_SHORT[name], parts[k].replace("<br>", " ").replace("<b>", "").replace("</b>", ""),
                  *[block[k][m][0] for m in ("mean", "lo", "hi")]] for k in parts]  # fmt: skip
    fig.update_xaxes(title="cosine", range=[-0.45, 0.78], tickvals=[0, 0.5], tickangle=0)
    worst, frozen = values["top_k"], values["top_k"]["without_scale"]
    present(
        fig,
        claim="The wrong sign comes from one head: it asks for narrower bells, the truth for wider ones"
        if worst["part_scale"] < 0 < frozen
        else "How the parts of the network share the cosine",
        how="Cosine of one prompt's gradient with the true one, before any training. The first four bars add up to the "
        "fifth.",
        alt=f"For best by reward the widths head adds {worst['part_scale']:.2f}, all parts together make "
        f"{worst['cos_prompt']:.2f}; with frozen widths it would be {frozen:.2f}. For random choice every part adds "
        "to the right direction.",
        columns=["selector", "part", "cosine", "95 % from", "to"],
        rows=rows,
        artifact="selection_bias.book",
        height=400,
    )
    return fig.update_layout(margin_t=80)


def favourite_limit(*, answers: int = 3, valid: Sequence[float] = (0.3, 0.7, 1.0)) -> go.Figure:
    """Closed form for a softmax over answers: best-by-reward's cosine against the favourite's share of the model.

    Args:
        answers: how many answers are equally right.
        valid: how much of the model's mass is on right answers, one line each; the rest is spread over as many wrong
            ones.
    """
    fig, rows = go.Figure(), []
    truth = np.r_[np.full(answers, 1 / answers), np.zeros(answers)]
    only = np.eye(2 * answers)[0]
    share = np.round(np.linspace(0.02, 0.98, 49), 3)
    limits = {}
    for mass, dash in zip(valid, ("dot", "dash", "solid"), strict=True):
        rest = np.tile(((1 - share) / (answers - 1))[:, None], answers - 1)
        model = np.hstack([mass * share[:, None], mass * rest, np.full((len(share), answers), (1 - mass) / answers)])
        cos = logit_cosine(np.broadcast_to(truth, model.shape), model, np.broadcast_to(only, model.shape))
        fig.add_scatter(x=rounded(share), y=rounded(cos), mode="lines", name=f"{mass:.0%}",
                        line={"color": REWARD, "width": 2.5, "dash": dash},
                        hovertemplate="share %{x:.0%}: cosine %{y:.2f}<extra></extra>")  # fmt: skip
        limits[mass] = float(share[np.argmax(cos < 0)]) if np.any(cos < -1e-9) else None
        spot = int(np.searchsorted(share, 0.66))
        label(fig, f"{mass:.0%} valid", x=share[spot], y=float(cos[spot]) + 0.04, colour=INK, yanchor="bottom")
        rows += [[f"{mass:.0%}", float(s), float(c)] for s, c in zip(share[::6], cos[::6], strict=True)]
    fig.add_hline(y=0, line={"color": INK, "width": 1})
    fig.add_vline(x=1 / answers, line={"color": GREY, "width": 1, "dash": "dot"})
    label(fig, "its fair share", x=1 / answers + 0.01, y=-0.72, colour=GREY)
    fig.update_xaxes(title="favourite's share of the valid mass", tickformat=".0%", range=[0, 1])
    fig.update_yaxes(title="cosine with the true gradient", range=[-1.05, 1.05])
    present(
        fig,
        claim="Showing only the favourite helps until the model says it too often",
        how=f"A softmax over {answers} right and {answers} wrong answers, exact. Lines: how much of its mass is "
        "already on right answers.",
        alt="Falling lines. With all mass on right answers the cosine turns negative as soon as the favourite has more "
        f"than its fair share of {1 / answers:.0%}; with "
        + "; with ".join(
            f"{mass:.0%} valid mass " + (f"beyond a share of about {at:.0%}" if at else "it stays positive")
            for mass, at in limits.items()
            if mass < 1
        )
        + ".",
        columns=["valid mass", "favourite's share", "cosine"],
        rows=rows,
    )
    return fig


def similarity_scatter(results: Mapping[str, Any]) -> go.Figure:
    """Gradient cosine of pairs of answers against their distance, before and after training."""
    steps = results["design"]["checkpoints"]
    titles = {"start": "random weights", "end": f"after {steps[-1]} steps"}
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.05)
    r = [results["r"]["mean"][at] for at in (0, -1)]
    for col, (when, title) in enumerate(titles.items(), 1):
        pairs = results["pairs"][when]
        fig.add_scatter(
            x=[round(v, 2) for v in pairs["distance"]], y=[round(v, 2) for v in pairs["cosine"]], mode="markers",
            marker={"color": tint(MULTI, 0.45), "size": 6}, row=1, col=col,
            hovertemplate="apart %{x}: cosine %{y}<extra></extra>",
        )  # fmt: skip
        fig.add_hline(y=0, line={"color": INK, "width": 1}, row=1, col=col)
        fig.add_annotation(text=f"<b>{title}</b><br>r = {r[col - 1]:.2f}", x=0.5, y=1.02, yref="paper",
                           xref=f"x{'' if col == 1 else col} domain", yanchor="bottom", showarrow=False)  # fmt: skip
    fig.update_xaxes(title="distance", tickvals=[0, 1.5, 3], range=[-0.15, 3.6])
    fig.update_yaxes(range=[-1.08, 1.08], tickvals=[-1, -0.5, 0, 0.5, 1])
    fig.update_yaxes(title="cosine of their gradients", col=1)
    present(
        fig,
        claim="Answers that look alike pull alike, until the network tells them apart"
        if r[0] > 0.6 > r[1]
        else "Similarity of answers and of their gradients",
        how="Each dot is a pair of answers to one prompt, so many units of y apart; modes lie 1.5 apart. "
        f"r: correlation over {results['design']['seeds']} seeds.",
        alt=f"At random weights near pairs have cosines near 1 and far pairs below 0, r = {r[0]:.2f}. After training "
        f"the cosines of near pairs scatter over the whole range, r = {r[1]:.2f}.",
        columns=["step", "r", "95 % from", "to", "same mode", "next mode", "far mode"],
        rows=[[s, results["r"]["mean"][i], results["r"]["lo"][i], results["r"]["hi"][i],
               *[results[m]["mean"][i] for m in ("same", "next", "far")]] for i, s in enumerate(steps)],
        artifact="gradient_similarity.book",
        height=400,
    )  # fmt: skip
    return fig.update_layout(margin_t=100)


def greedy_histogram(results: Mapping[str, Any]) -> go.Figure:
    """How much of the best possible value greedy reaches: random pools and hostile ones, with the bound."""
    bins, fig, rows = results["bins"], go.Figure(), []
    middle = [round((a + b) / 2, 3) for a, b in itertools.pairwise(bins)]
    groups = {"random": ("random pools", QUALITY_DIVERSITY), "hostile": ("hostile pools", GREY)}
    for name, (title, colour) in groups.items():
        share = [c / results[name]["pools"] for c in results[name]["counts"]]
        fig.add_bar(x=middle, y=rounded(share), width=0.018, name=title,
                    marker={"color": tint(colour, 0.55), "line": {"color": colour, "width": 1}},
                    hovertemplate="ratio %{x}: %{y:.1%}<extra>" + title + "</extra>")  # fmt: skip
        rows += [[title, lo, hi, s] for lo, hi, s in zip(bins[:-1], bins[1:], share, strict=True) if s > 0]
    bound = results["bounds"]["any_k"]
    fig.add_vline(x=bound, line={"color": INK, "width": 1.5, "dash": "dash"})
    label(fig, "no pool can be<br>left of 1 − 1/e", x=bound + 0.006, y=0.62, colour=INK, align="left")
    label(fig, f"{tagged('random pools', QUALITY_DIVERSITY)}<br>mean {results['random']['mean']['mean']:.3f}",
          x=0.972, y=0.62, colour=INK, xanchor="right", align="right")  # fmt: skip
    label(fig, "pools built to<br>mislead greedy", x=0.80, y=0.27, colour=GREY, xanchor="center")
    fig.update_layout(barmode="overlay")
    fig.update_xaxes(title="greedy's value ÷ best value", range=[0.6, 1.01])
    fig.update_yaxes(title="share of pools", tickformat=".0%")
    worst = min(results["random"]["worst"], results["hostile"]["worst"])
    present(
        fig,
        claim="Greedy choice is nearly always nearly best, and never below its bound",
        how="Every set of 2, 3 or 4 among 8 or 12 answers was listed; 1 means that greedy found the best one.",
        alt=f"Bars. Random pools crowd at 1, {results['random']['optimal']:.0%} exactly there; pools built to mislead "
        f"lie lower, the worst of all at {worst:.2f}, right of the bound {bound:.3f}.",
        columns=["pools", "ratio from", "to", "share of pools"],
        rows=rows,
        artifact="greedy_quality.book",
        height=380,
    )
    return fig


def _key(fig: go.Figure, names: Sequence[tuple[str, str]]) -> None:
    """Names in their colours in one line above the panels, where lines are too close for labels beside them."""
    text = "  ".join(tagged(name, colour) for name, colour in names)
    fig.add_annotation(text=text, x=0, xref="paper", xanchor="left", xshift=-44, y=1.115, yref="paper",
                       yanchor="bottom", showarrow=False, font={"size": 12})  # fmt: skip


def tagged(name: str, colour: str) -> str:
    """A name in ink behind a square in its colour: orange or green text would be too pale to read.

    >>> tagged("random", MULTI)
    "<span style='color:#0072B2'>■</span> random"
    """
    return f"<span style='color:{colour}'>■</span> {name}"


def _every_other(steps: Sequence[int]) -> list[str]:
    """Tick labels for checkpoints: small panels have room for 0 and every second one from the end."""
    return [str(s) if at == 0 or (len(steps) - 1 - at) % 2 == 0 else "" for at, s in enumerate(steps)]
