"""Figures of chapter 6, callings: loss over K at equal epochs, updates and pairs; over training; and what it costs.

See also `ch6_portraits` (what single models say), `ch6_choices` (selectors, wordings) and `ch6_budget` (tokens).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.lab.stats import line_fit
from mrtlab.show.figures.ch3 import tagged
from mrtlab.show.figures.theme import GREY, INK, MULTI, SINGLE, label, present, rounded, tint

GRID = "callings_grid.book"
_BETTER = 0.95  # share of resamples in which a curve fits better before a title says so


def loss_by_k(results: Mapping[str, Any]) -> go.Figure:
    """KL to the truth over K, a panel for each thing that is kept equal; each panel is an arm of the grid."""
    design, arms = results["design"], results["arms"]
    whens = {"once": "final", "few": "final", "many": "best", "pairs": "final"}
    names = _panels(results) | {"many": f"{design['many']} updates,<br>best checkpoint"}
    fig = _four(results, names, lambda arm, one: one[whens[arm]]["kl"])
    fresh, constant = arms["fresh"]["k1"], results["constant"]["kl"]["mean"]
    panel = list(whens).index("many")
    fig.add_scatter(
        x=[1], y=rounded([fresh["best"]["kl"]["mean"]]), mode="markers", row=panel // 2 + 1, col=panel % 2 + 1,
        error_y=interval([fresh["best"]["kl"]], SINGLE),
        marker={"color": SINGLE, "size": 10, "symbol": "diamond-open", "line": {"width": 2}},
        hovertemplate=f"{fresh['prompts']:,} prompts, one response each: %{{y:.3f}}<extra></extra>",
    )  # fmt: skip
    label(fig, f"{fresh['prompts']:,} prompts", x=0.0, y=fresh["best"]["kl"]["mean"], colour=INK, xref="x3", yref="y3",
          xshift=-6, yshift=-10, yanchor="top")  # fmt: skip
    fig.add_hline(y=round(constant, 3), line={"color": INK, "width": 1.2, "dash": "dot"})
    label(fig, "one law<br>for all", x=0.0, y=constant - 0.01, colour=INK, yanchor="top", align="left")
    top = max(one[when]["kl"]["hi"] for arm, when in whens.items() for one in arms[arm].values())
    fig.update_yaxes(range=[0, 1.08 * max(top, constant)])
    fig.update_yaxes(title="KL to the truth (nats)", col=1)
    ends = {arm: [arms[arm][f"k{k}"][when]["kl"]["mean"] for k in (1, design["k"][-1])] for arm, when in whens.items()}
    rows = [
        [
            _plain(text),
            one["prompts"],
            int(name[1:]),
            one["updates"],
            *three(one[(whens | {"fresh": "best"})[arm]]["kl"]),
        ]
        for arm, text in (names | {"fresh": "no pair twice, best checkpoint"}).items()
        for name, one in arms[arm].items()
    ]
    present(
        fig,
        claim=_by_k_claim(results),
        how=f"Vermillion: one response per prompt. Band: 95 % over seeds. Dotted: the best single law for all prompts. "
        f"Before training: {results['base']['kl']['mean']:.1f} nats.",
        alt=f"Four panels over K, from K = 1 to K = {design['k'][-1]}: "
        + "; ".join(f"{_plain(names[arm])}: {first:.2f} to {last:.2f} nats" for arm, (first, last) in ends.items())
        + f". The best single law for all prompts: {constant:.2f}. As many new prompts as updates allow, with one "
        f"response each: {fresh['best']['kl']['mean']:.2f}.",
        columns=["arm", "prompts", "K", "updates", "KL (nats)", "95 % from", "to"],
        rows=rows,
        artifact=GRID,
        height=520,
    )
    return fig.update_layout(margin_t=96)


def _by_k_claim(results: Mapping[str, Any]) -> str:
    """A title that says no more than the intervals of K = 1 against the largest K."""
    top = f"k{results['design']['k'][-1]}"
    minus = {arm: results["arms"][arm][top]["minus_k1"] for arm in ("once", "many")}
    if not (minus["once"]["final"]["hi"] < 0 and minus["many"]["best"]["hi"] < 0):
        return "What K does to the loss depends on what is kept equal"
    pairs = [results["arms"]["pairs"][f"k{k}"]["minus_k1"]["final"] for k in results["design"]["k"][1:]]
    if pairs[-1]["hi"] < 0:
        return "More responses lower the loss, even at equal pairs"
    if pairs[-1]["lo"] > 0:
        return "More responses lower the loss; at equal pairs, more prompts lower it more"
    if all(gap["lo"] <= 0 <= gap["hi"] for gap in pairs):
        return "More responses lower the loss; at equal pairs we see no difference"
    return "More responses lower the loss; at equal pairs the largest K is no better than one"


def learning_curves(results: Mapping[str, Any]) -> go.Figure:
    """KL over updates: one response again and again, many responses, and one response to ever new prompts."""
    design, curves = results["design"], results["curves"]
    top = design["k"][-1]
    fresh = results["arms"]["fresh"]["k1"]["prompts"]
    lines = {  # name, label, colour, dash
        "many_k1": (f"K = 1, {design['prompts']} prompts", "K = 1", SINGLE, "solid"),
        f"many_k{top}": (f"K = {top}, {design['prompts']} prompts", f"K = {top}", MULTI, "solid"),
        "fresh_k1": (f"K = 1, {fresh:,} prompts", "K = 1,<br>fresh", SINGLE, "dash"),
    }
    fig = go.Figure()
    lowest_end = min(lines, key=lambda run: curves[run]["mean"][-1])
    for run, (name, text, colour, dash) in lines.items():
        curve = curves[run]
        band(fig, curve["step"], curve["lo"], curve["hi"], colour)
        fig.add_scatter(
            x=curve["step"], y=rounded(curve["mean"]), mode="lines+markers", marker={"size": 6},
            line={"color": colour, "width": 2.5, "dash": dash},
            hovertemplate=name + "<br>update %{x}: %{y:.2f} nats<extra></extra>",
        )  # fmt: skip
        label(fig, tagged(text, colour), x=curve["step"][-1], y=float(np.log10(curve["mean"][-1])), colour=INK,
              xshift=8, yanchor="top" if run == lowest_end else "bottom", align="left")  # fmt: skip
    constant = results["constant"]["kl"]["mean"]
    fig.add_hline(y=round(constant, 3), line={"color": INK, "width": 1.2, "dash": "dot"})
    label(fig, "one law<br>for all", x=curve["step"][-1], y=float(np.log10(constant)), colour=INK, yanchor="bottom",
          xshift=8, align="left")  # fmt: skip
    ends = [curves[run][end][i] for run in lines for end in ("lo", "hi") for i in range(len(curve["step"]))]
    low, high = 0.6 * max(0.01, min(ends)), 1.4 * max(ends)
    # Labels stand in the last quarter of the axis: a margin of the right width would not survive a phone.
    fig.update_xaxes(title=f"update, {design['per_update']} pairs each", range=[0, 1.42 * design["many"]],
                     tickvals=[round(design["many"] * share) for share in (0, 0.25, 0.5, 0.75, 1)])  # fmt: skip
    fig.update_yaxes(title="KL to the truth (nats, log axis)", type="log", tickvals=[0.1, 0.2, 0.5, 1, 2, 5],
                     range=[float(np.log10(low)), float(np.log10(high))])  # fmt: skip
    first = curves["many_k1"]
    lowest = int(np.argmin(first["mean"]))
    worse = first["lo"][-1] > first["hi"][lowest]
    return present(
        fig,
        claim="Read one response again and again, and the model unlearns what it had learned"
        if worse
        else "The loss over updates, for old pairs and for new ones",
        how="Band: 95 % over seeds. Solid: the same prompts over and over. Dashed: fresh prompts, no pair read twice.",
        alt="Lines over updates. " + " ".join(_told(name, curves[run]) for run, (name, *_) in lines.items()),
        columns=["run", "update", "KL (nats)", "95 % from", "to"],
        rows=[[name, step, *[curves[run][end][i] for end in ("mean", "lo", "hi")]]
              for run, (name, *_) in lines.items() for i, step in enumerate(curves[run]["step"])],
        artifact=GRID,
        height=420,
    )  # fmt: skip


def _told(name: str, curve: Mapping[str, Any]) -> str:
    """A curve in a sentence."""
    at = int(np.argmin(curve["mean"]))
    return (
        f"{name}: {curve['mean'][0]:.2f} nats before, lowest {curve['mean'][at]:.2f} after {curve['step'][at]} "
        f"updates, {curve['mean'][-1]:.2f} at the end."
    )


def one_over_k(results: Mapping[str, Any]) -> go.Figure:
    """Loss at one epoch over K with both fitted curves, a + b/K and a + b log K."""
    ks, once, fit = results["design"]["k"], results["arms"]["once"], results["fit"]
    found = [once[f"k{k}"]["final"]["nll"] for k in ks]
    loss, k = np.array([v["mean"] for v in found]), np.array(ks, dtype=float)
    grid = np.geomspace(1, ks[-1], 41)
    inverse, log = line_fit(1 / k, loss), line_fit(np.log(k), loss)
    curves = {
        "inverse": (inverse.intercept + inverse.slope / grid, "a + b/K", GREY, "dash"),
        "log": (log.intercept + log.slope * np.log(grid), "a + b log K", INK, "dot"),
    }
    fig = go.Figure()
    for y, name, colour, dash in curves.values():
        fig.add_scatter(x=rounded(grid), y=rounded(y), mode="lines", line={"color": colour, "width": 2, "dash": dash},
                        hoverinfo="skip", name=name)  # fmt: skip
    fig.add_scatter(
        x=ks, y=rounded(loss), mode="markers", error_y=interval(found, GREY),
        marker={"size": 10, "color": [SINGLE if v == 1 else MULTI for v in ks]},
        hovertemplate="K = %{x}: %{y:.3f} nats<extra></extra>",
    )  # fmt: skip
    sample = {"dash": "╍╍", "dot": "····"}
    for place, (kind, (_, name, colour, dash)) in enumerate(curves.items()):
        label(fig, f"{sample[dash]} {name}, R² = {fit[kind]['r2']:.2f}", x=0.03, y=0.11 - 0.08 * place, colour=colour,
              xref="paper", yref="paper", yanchor="bottom")  # fmt: skip
    fig.update_xaxes(type="log", tickvals=ks, title="responses per prompt, K (log axis)")
    fig.update_yaxes(title="loss (nats per answer)")
    return present(
        fig,
        claim=_fit_claim(fit),
        how=f"Dots: every pair once, loss at the end, 95 % over {once['k1']['seeds']} seeds. Lines: least squares "
        "through the means. The axis does not start at 0.",
        alt=f"{spoken(len(ks)).capitalize()} losses that go from {loss[0]:.2f} at K = 1 to {loss[-1]:.2f} at K = "
        f"{ks[-1]}. a + b/K has R² {fit['inverse']['r2']:.3f}, a + b log K {fit['log']['r2']:.3f}, and fits better in "
        f"{fit['log_better']:.0%} of resamples of the seeds.",
        columns=["K", "loss (nats)", "95 % from", "to", "a + b/K", "a + b log K"],
        rows=[[v, *three(one), inverse.intercept + inverse.slope / v, log.intercept + log.slope * float(np.log(v))]
              for v, one in zip(ks, found, strict=True)],
        artifact=GRID,
        height=400,
    )  # fmt: skip


def _fit_claim(fit: Mapping[str, Any]) -> str:
    """Which curve the resamples prefer."""
    if fit["log_better"] >= _BETTER:
        return "A logarithm of K fits the loss better than 1/K"
    if fit["log_better"] <= 1 - _BETTER:
        return "1/K fits the loss better than a logarithm of K"
    return "Two curves, and too few points to choose between them"


def facts_kept(results: Mapping[str, Any]) -> go.Figure:
    """Share of old facts still right after training, over K, a panel for each arm; before training in grey."""
    arms, names = results["arms"], _panels(results)
    fig = _four(results, names, lambda _, one: one["facts"]["right"]["after"], bands=False)
    before = arms["many"]["k1"]["facts"]["right"]["before"]["mean"]
    fresh = arms["fresh"]["k1"]
    fig.add_hline(y=round(before, 3), line={"color": GREY, "width": 2})
    label(fig, f"before: {before:.0%}", x=0.0, y=before - 0.02, colour=GREY, yanchor="top", xref="x4", yref="y4")
    fig.update_yaxes(range=[0, 1.04], tickformat=".0%", tickvals=[0, 0.5, 1])
    fig.update_yaxes(title="facts right", col=1)
    rows = [
        [_plain(text), one["prompts"], int(name[1:]), one["updates"], one["facts"]["right"]["before"]["mean"],
         *three(one["facts"]["right"]["after"])]
        for arm, text in (names | {"fresh": "no pair twice"}).items()
        for name, one in arms[arm].items()
    ]  # fmt: skip
    by_updates = _kept_by_updates(results)
    present(
        fig,
        claim=_facts_claim(by_updates, before),
        how="A fact is right if its one answer has more than half of the probability. Bars: 95 % over seeds. No run "
        "was asked to keep its facts.",
        alt=f"Four panels over K. Before training {before:.0%} of the facts are right. After: "
        + "; ".join(f"{updates} updates {kept:.0%}" for updates, kept in by_updates.items())
        + f". With {fresh['prompts']:,} prompts and one response each "
        f"{fresh['facts']['right']['after']['mean']:.0%}.",
        columns=["arm", "prompts", "K", "updates", "before", "after", "95 % from", "to"],
        rows=rows,
        artifact=GRID,
        height=520,
    )
    return fig.update_layout(margin_t=96)


def _kept_by_updates(results: Mapping[str, Any]) -> dict[int, float]:
    """{updates: mean share of facts right over all arms and K with so many updates}, few updates first."""
    found: dict[int, list[float]] = {}
    for arm in results["arms"].values():
        for one in arm.values():
            found.setdefault(one["updates"], []).append(one["facts"]["right"]["after"]["mean"])
    return {updates: float(np.mean(found[updates])) for updates in sorted(found)}


def _facts_claim(by_updates: Mapping[int, float], before: float) -> str:
    """Facts fall with updates, are lost anyhow, or are kept."""
    kept = list(by_updates.values())
    if before - kept[-1] < 0.05:
        return "Old facts survive the training"
    if all(later < earlier for earlier, later in pairwise(kept)):
        return "The longer it trains on callings, the fewer old facts it has left"
    return "Training on callings costs old facts"


def band(
    fig: go.Figure, x: Sequence[float | int], lo: Sequence[float], hi: Sequence[float], colour: str, **where: Any
) -> None:
    """A 95 % band behind a line; it is drawn from 0 up, as all that it stands for is positive."""
    x, low = list(x), np.maximum(lo, 0.001)
    fig.add_scatter(
        x=[*x, *x[::-1]], y=[*rounded(hi), *rounded(low)[::-1]], fill="toself", mode="lines", line={"width": 0},
        fillcolor=tint(colour, 0.18), hoverinfo="skip", **where,
    )  # fmt: skip


def interval(found: Sequence[Mapping[str, float]], colour: str) -> dict[str, Any]:
    """Error bars of means with their ends; as short as plotly allows, since pages have a weight limit.

    >>> interval([{"mean": 1.0, "lo": 0.5, "hi": 1.5}], "red")
    {'array': [0.5], 'color': 'red', 'thickness': 1.5, 'width': 4}
    """
    up = rounded(v["hi"] - v["mean"] for v in found)
    down = rounded(v["mean"] - v["lo"] for v in found)
    both = {"array": up} if up == down else {"array": up, "arrayminus": down}
    return both | {"color": colour, "thickness": 1.5, "width": 4}


def _four(
    results: Mapping[str, Any],
    names: Mapping[str, str],
    read: Callable[[str, Mapping[str, Any]], Mapping[str, float]],
    *,
    bands: bool = True,
) -> go.Figure:
    """A panel per arm, K on a log axis, a point with its interval per K: vermillion at K = 1, blue above."""
    ks = results["design"]["k"]
    fig = make_subplots(rows=2, cols=2, shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.06,
                        vertical_spacing=0.16)  # fmt: skip
    for panel, (arm, name) in enumerate(names.items()):
        at = {"row": panel // 2 + 1, "col": panel % 2 + 1}
        found = [read(arm, results["arms"][arm][f"k{k}"]) for k in ks]
        if bands:
            band(fig, ks, [v["lo"] for v in found], [v["hi"] for v in found], MULTI, **at)
        fig.add_scatter(
            x=ks, y=rounded(v["mean"] for v in found), mode="lines+markers", line={"color": MULTI, "width": 2.5},
            marker={"size": 8, "color": [SINGLE if k == 1 else MULTI for k in ks]},
            error_y=None if bands else interval(found, GREY),
            hovertemplate=_plain(name) + "<br>K = %{x}: %{y:.3f}<extra></extra>", **at,
        )  # fmt: skip
        number = "" if panel == 0 else str(panel + 1)
        fig.add_annotation(text=f"<b>{name.replace('<br>', '</b><br>')}" + "</b>" * ("<br>" not in name), x=0,
                           xref=f"x{number} domain", xanchor="left", y=1.03, yref=f"y{number} domain",
                           yanchor="bottom", align="left", showarrow=False)  # fmt: skip
    fig.update_xaxes(type="log", tickvals=ks, range=[-0.08, float(np.log10(ks[-1])) + 0.08])
    fig.update_xaxes(title="K (log axis)", row=2)
    return fig


def _panels(results: Mapping[str, Any]) -> dict[str, str]:
    """What is equal in each arm, on two lines."""
    design, once = results["design"], results["arms"]["once"]
    most = once[f"k{design['k'][-1]}"]["updates"]
    return {
        "once": f"every pair once,<br>{once['k1']['updates']} to {most} updates",
        "few": f"{design['few']} updates<br>for every K",
        "many": f"{design['many']} updates<br>for every K",
        "pairs": f"{design['pairs']:,} pairs<br>for every K",
    }


def _plain(text: str) -> str:
    return text.replace("<br>", " ")


def three(found: Mapping[str, float]) -> list[float]:
    """A mean and the ends of its interval, for a table."""
    return [found["mean"], found["lo"], found["hi"]]


def spoken(n: int) -> str:
    """A small number in words.

    >>> spoken(5), spoken(17)
    ('five', '17')
    """
    words = "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    return dict(enumerate(words.split())).get(n, str(n))
