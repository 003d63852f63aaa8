"""Figures of chapter 7 on ways to an even law: seven ways to train at equal steps, and what needs no training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import interval, three
from mrtlab.show.figures.ch7 import METHODS
from mrtlab.show.figures.theme import GREY, INK, MULTI, REWARD, SINGLE, label, present, rounded

WAYS = {  # name, colour: whole targets blue, draws of the target vermillion, rewarded draws orange, no training grey
    "tree": ("tree", MULTI),
    "strings": ("strings", MULTI),
    "path-mean": ("path mean", MULTI),
    "hard": ("draws", SINGLE),
    "gem": ("GEM", SINGLE),
    "witness": ("witness", REWARD),
    "entropy-bonus": ("entropy bonus", REWARD),
    "plain": ("as it is", GREY),
    "asked": ("asked fairly", GREY),
    "temperature": ("temperature", GREY),
    "temperature-top-k": ("hot and top k", GREY),
    "top-k": ("top k", GREY),
    "top-p": ("top p", GREY),
}
_SYMBOL = {MULTI: "circle", SINGLE: "diamond", REWARD: "square", GREY: "circle-open"}
_PANELS = {"trained": "taught", "wordings_new": "new wordings", "families": "not taught",
           "never_flat": "never even"}  # fmt: skip
_UNTRAINED = "plain"  # the first way without training: a gap stands above it
_NEAR = 0.02  # of an entropy, in which two count as equal
_NAMED = (1.5, 2.0)  # temperatures that get their number
_HOTTEST = 3.0  # from here on hardly anything is valid


def one_table(results: Mapping[str, Any]) -> go.Figure:
    """Total variation of every way, a panel for each group of prompts, and facts known at the right.

    Args:
        results: of `diffuse_methods`.
    """
    ways = {way: one for way in WAYS if (one := results["ways"].get(way))}
    heights = {way: -i - 0.6 * (list(WAYS).index(way) >= list(WAYS).index(_UNTRAINED)) for i, way in enumerate(ways)}
    fig = make_subplots(rows=2, cols=2, shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.05,
                        vertical_spacing=0.08)  # fmt: skip
    for panel, (group, title) in enumerate(_PANELS.items()):
        number = "" if panel == 0 else str(panel + 1)
        for colour, symbol in _SYMBOL.items():
            shown = [way for way in ways if WAYS[way][1] == colour and group in ways[way]["groups"]]
            found = [ways[way]["groups"][group]["tv"] for way in shown]
            fig.add_scatter(
                x=rounded(v["mean"] for v in found), y=[heights[way] for way in shown], mode="markers",
                row=panel // 2 + 1, col=panel % 2 + 1, error_x=interval(found, colour), cliponaxis=False,
                marker={"color": colour, "size": 9, "symbol": symbol, "line": {"color": colour, "width": 2}},
                customdata=[WAYS[way][0] for way in shown], hovertemplate="%{customdata}: %{x:.3f}<extra></extra>",
            )  # fmt: skip
        label(fig, f"<b>{title}</b>", x=0, y=1.005, colour=INK, xref=f"x{number} domain", yref=f"y{number} domain",
              yanchor="bottom")  # fmt: skip
        fig.add_hline(y=0.2 + heights[_UNTRAINED] + 0.6, line={"color": GREY, "width": 1, "dash": "dot"},
                      row=panel // 2 + 1, col=panel % 2 + 1)  # fmt: skip
    for way, one in ways.items():
        if facts := one.get("facts"):
            label(fig, f"{facts['mean']:.0%}", x=1, y=heights[way], colour=INK, xref="paper", yref="y2",
                  xanchor="right")  # fmt: skip
    highest = max(one["groups"][g]["tv"]["hi"] for one in ways.values() for g in _PANELS if g in one["groups"])
    fig.update_xaxes(range=[0, 1.06 * highest], tickvals=[0, 0.2, 0.4, 0.6], ticktext=["0", ".2", ".4", ".6"],
                     tickangle=0)  # fmt: skip
    fig.update_xaxes(title="TV", row=2)
    for col, domain in ((1, [0, 0.4]), (2, [0.44, 0.84])):  # beside them is room for the facts
        fig.update_xaxes(domain=domain, col=col)
    fig.update_yaxes(tickvals=list(heights.values()), ticktext=[WAYS[way][0] for way in heights],
                     range=[min(heights.values()) - 0.6, 0.6], showgrid=False)  # fmt: skip
    design = results["design"]
    rows = [
        [WAYS[way][0], ", ".join(sorted(set(one["chosen"]))) or "–",
         *(number for g in _PANELS for number in (three(one["groups"][g]["tv"]) if g in one["groups"] else ["–"] * 3)),
         one["facts"]["mean"] if "facts" in one else "–"]
        for way, one in ways.items()
    ]  # fmt: skip
    present(
        fig,
        claim=_table_claim(results["ways"]),
        how="TV is total variation, left is nearer. "
        f"Above the dotted line {design['steps']} steps of training: blue on whole targets, "
        "vermillion on draws of them, orange on rewarded draws of the model. Below: no training. "
        f"Numbers: facts still known. Bars: 95 % over {design['seeds']} seeds.",
        alt="Total variation on "
        + ", ".join(_PANELS.values())
        + ". "
        + "; ".join(
            f"{WAYS[way][0]}: "
            + ", ".join(f"{one['groups'][g]['tv']['mean']:.2f}" if g in one["groups"] else "–" for g in _PANELS)
            for way, one in ways.items()
        )
        + ".",
        columns=["way", "setting", *(c for name in _PANELS.values() for c in (f"TV, {name}", "95 % from", "to")),
                 "facts known"],
        rows=rows,
        artifact=METHODS,
        height=780,
    )  # fmt: skip
    return fig.update_layout(margin_t=84)


def _table_claim(ways: Mapping[str, Any]) -> str:
    """Is the tree clearly nearest on taught prompts, and does asking beat every training on other families?"""
    others = [w for w, (_, colour) in WAYS.items() if colour != MULTI and w in ways]
    taught = all(ways[way]["minus_tree"]["trained"]["tv"]["lo"] > 0 for way in others)
    trained = [ways[w]["groups"]["families"]["tv"] for w in [*others, "tree", "strings", "path-mean"] if w != "asked"]
    asked = ways["asked"]["groups"]["families"]["tv"]
    words = all(asked["hi"] < one["lo"] for one in trained)
    if taught and words:
        return "Whole targets teach best; other families are reached by asking fairly"
    if taught:
        return "At equal steps, whole targets teach best what is taught"
    if words:
        return "No training reaches other families as asking for a fair draw does"
    return "Ways to an even law at equal steps, and without training"


def temperature(results: Mapping[str, Any]) -> go.Figure:
    """Entropy of the shape against mass on the list along temperatures, with the trained model beside them."""
    hot = dict(sorted((float(name[1:]), one) for name, one in results["sweep"].items()))
    panels = {"trained": "taught prompts", "families": "other families"}
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.13)
    rows: list[list[Any]] = []
    for row, (group, title) in enumerate(panels.items(), start=1):
        base, tree = (results["ways"][way]["groups"][group] for way in ("plain", "tree"))
        path = {1.0: base} | {t: one[group] for t, one in hot.items()}
        number = "" if row == 1 else "2"
        fig.add_scatter(
            x=rounded(one["entropy"]["mean"] for one in path.values()),
            y=rounded(one["mass"]["mean"] for one in path.values()), mode="lines+markers", row=row, col=1,
            line={"color": GREY, "width": 2}, marker={"size": 8, "color": GREY}, cliponaxis=False,
            customdata=list(path), hovertemplate="T = %{customdata}: %{y:.1%}, %{x:.2f}<extra></extra>",
        )  # fmt: skip
        at = {"xref": "x", "yref": f"y{number}"}
        for t in _NAMED:
            if t in path:
                label(fig, f"T = {t:g}", x=path[t]["entropy"]["mean"], y=path[t]["mass"]["mean"], colour=GREY,
                      xshift=-9, xanchor="right", **at)  # fmt: skip
        if beyond := [one["entropy"]["mean"] for t, one in path.items() if t > _HOTTEST]:
            label(fig, f"T = {_HOTTEST:g} to {max(path):g}", x=float(np.mean(beyond)), y=0, colour=GREY, yshift=9,
                  xanchor="center", yanchor="bottom", **at)  # fmt: skip
        label(fig, "as it is", x=base["entropy"]["mean"], y=base["mass"]["mean"], colour=GREY, xanchor="right",
              xshift=-9, **at)  # fmt: skip
        fig.add_scatter(
            x=[1], y=[1], mode="markers", row=row, col=1, hovertemplate="the target<extra></extra>", cliponaxis=False,
            marker={"size": 17, "color": "rgba(0,0,0,0)", "line": {"color": INK, "width": 2}},
        )  # fmt: skip
        fig.add_scatter(
            x=rounded([tree["entropy"]["mean"]]), y=rounded([tree["mass"]["mean"]]), mode="markers", row=row, col=1,
            marker={"size": 10, "color": MULTI}, error_x=interval([tree["entropy"]], MULTI), cliponaxis=False,
            error_y=interval([tree["mass"]], MULTI), hovertemplate="trained: %{y:.1%}, %{x:.2f}<extra></extra>",
        )  # fmt: skip
        label(fig, "trained", x=tree["entropy"]["mean"], y=tree["mass"]["mean"], colour=MULTI,
              yanchor="top", yshift=-14, xanchor="center", **at)  # fmt: skip
        label(fig, f"<b>{title}</b>", x=0, y=1.03, colour=INK, xref="x domain", yref=f"y{number} domain",
              yanchor="bottom")  # fmt: skip
        rows += [[title, f"T = {t:g}", *three(one["entropy"]), *three(one["mass"])] for t, one in path.items()]
        rows.append([title, "trained", *three(tree["entropy"]), *three(tree["mass"])])
    fig.update_xaxes(range=[0.3, 1.06], tickvals=[0.4, 0.6, 0.8, 1])
    fig.update_xaxes(title="entropy of the shape, of the target's", row=2)
    fig.update_yaxes(title="mass on the list", range=[-0.04, 1.06], tickvals=[0, 0.5, 1], tickformat=".0%")
    want = results["ways"]["tree"]["groups"]["trained"]["entropy"]["mean"]
    best = max(hot, key=lambda t: hot[t]["trained"]["entropy"]["mean"])
    most = hot[best]["trained"]
    present(
        fig,
        claim=_heat_claim(most, want),
        how="Grey: the model as it is, read out hotter and hotter. Circle: the target. Blue: trained by the tree, at "
        "temperature 1.",
        alt=f"Two curves of mass over entropy. On taught prompts entropy is highest at T = {best:g}, "
        f"{most['entropy']['mean']:.2f} of the target's, with {most['mass']['mean']:.0%} of the mass on the list; "
        f"trained it is {want:.2f} with {results['ways']['tree']['groups']['trained']['mass']['mean']:.0%}.",
        columns=["prompts", "way", "entropy, of the target's", "95 % from", "to", "mass", "95 % from", "to"],
        rows=rows,
        artifact=METHODS,
        height=520,
    )
    return fig.update_layout(margin_t=84)


def _heat_claim(most: Mapping[str, Any], want: float) -> str:
    """Does any temperature reach training's entropy, and what is the mass at the one that comes nearest?"""
    if most["entropy"]["mean"] >= want - _NEAR and most["mass"]["mean"] >= 0.5:
        return "A high temperature does what training does"
    if most["entropy"]["mean"] >= want - _NEAR:
        return "Heat makes answers even only where few of them are valid"
    return "Heat spoils answers before it makes them even"
