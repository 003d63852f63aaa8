"""Figures of chapter 2, continued: paraphrases as responses, where responses pay, and the published table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.theme import GREY, INK, MULTI, SINGLE, label, present, short, tint

_STOPPINGS = {"final": "trained to the end", "stopped": "stopped early"}
_ARMS = {  # arm: colour, marker, place within its group, words
    "hybrid": (MULTI, "diamond", -0.2, "2 wordings, 2 responses each"),
    "implicit": (MULTI, "circle", 0.0, "4 wordings, 1 response each"),
    "same": (SINGLE, "x", 0.2, "4 wordings, one response copied"),
}


def triad(results: Mapping[str, Any]) -> go.Figure:
    """Gain over one response, as a share of what four explicit responses gain, against paraphrase distance."""
    distances = results["design"]["distances"]
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    table = []
    for col, (stopping, title) in enumerate(_STOPPINGS.items(), 1):
        here = results["triad"][stopping]
        for arm, (colour, symbol, shift, words) in _ARMS.items():
            shares = [here[f"d{round(100 * d)}"][arm]["share"] for d in distances]
            fig.add_scatter(
                x=[i + shift for i in range(len(distances))], y=short([s["mean"] for s in shares]), mode="markers",
                marker={"size": 9, "symbol": symbol, "color": colour}, row=1, col=col,
                error_y={"array": short([s["hi"] - s["mean"] for s in shares]),
                         "arrayminus": short([s["mean"] - s["lo"] for s in shares]), "color": colour, "width": 3},
                hovertemplate=words + ": %{y:.2f}<extra></extra>",
            )  # fmt: skip
            for d, s in zip(distances, shares, strict=True):
                loss = here[f"d{round(100 * d)}"][arm]["loss"]
                table.append([title, words, d, loss["mean"], s["mean"], s["lo"], s["hi"]])
        for name, words in (("single", "one response"), ("explicit", "1 wording, 4 responses")):
            share = here[name].get("share", {"mean": 0.0, "lo": 0.0, "hi": 0.0})
            table.append([title, words, 0, here[name]["loss"]["mean"], share["mean"], share["lo"], share["hi"]])
        fig.add_annotation(text=f"<b>{title}</b>", x=0.5, xref=f"x{col if col > 1 else ''} domain", y=1.02,
                           yref="paper", yanchor="bottom", showarrow=False)  # fmt: skip
    for y, colour in ((1, MULTI), (0, SINGLE)):
        fig.add_hline(y=y, line={"color": colour, "width": 1.2, "dash": "dot"})
    label(fig, "one response", x=-0.4, y=0.0, colour=SINGLE, yanchor="top", yshift=-2)
    fig.update_xaxes(tickvals=list(range(len(distances))), ticktext=[f"{d:g}" for d in distances], range=[-0.5, 2.5])
    fig.update_xaxes(title="distance")
    fig.update_yaxes(tickformat=".0%", range=[-0.6, 1.7])  # one interval is far longer; the table has its ends
    fig.update_yaxes(title="share of the gain", col=1)
    near = {s: results["triad"][s]["d10"] for s in _STOPPINGS}
    present(
        fig,
        claim="Close paraphrases do nearly the work of answers; copied answers do less",
        how="Test loss gained over one response; 100 % is what four responses to one wording gain. Diamond: 2 wordings "
        "with 2 responses. Circle: 4 wordings with 1. Cross: one response copied to 4 wordings. Distance 1: unrelated.",
        alt="At distance 0.1 four wordings keep "
        + ", ".join(f"{near[s]['implicit']['share']['mean']:.0%} of the gain {w}" for s, w in _STOPPINGS.items())
        + "; a copied response keeps "
        + " and ".join(f"{near[s]['same']['share']['mean']:.0%}" for s in _STOPPINGS)
        + ".",
        columns=["training", "arm", "distance", "mean loss (nats)", "share of gain", "95 % from", "to"],
        rows=table,
        artifact="redundancy.book",
    )
    return fig.update_layout(margin_t=84)


def gain_lines(results: Mapping[str, Any]) -> go.Figure:
    """What a memory gains from K = 4 over K = 1, against the diversity of answers, by share of repeated prompts."""
    panels = {"s10": "a bold memory", "s100": "a cautious one"}
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    dashes, table = {"r0": "solid", "r50": "dash", "r80": "dashdot", "r90": "dot"}, []
    for col, (key, title) in enumerate(panels.items(), 1):
        steps = sorted(results["gain"][key].items(), key=lambda item: item[1]["support"])
        support = [v["support"] for _, v in steps]
        for name, dash in dashes.items():
            found = [v[name] for _, v in steps]
            colour = GREY if name == "r90" else MULTI
            fig.add_scatter(
                x=short(support), y=short([f["exact"] for f in found]), mode="lines", row=1, col=col,
                line={"color": colour, "width": 2.2, "dash": dash}, hoverinfo="skip",
            )  # fmt: skip
            fig.add_scatter(
                x=short(support), y=short([f["simulated"] for f in found]), mode="markers", row=1, col=col,
                marker={"color": colour, "size": 6}, hovertemplate=f"{name[1:]} % repeated: %{{y:.2f}}<extra></extra>",
            )  # fmt: skip
            if col == 1:
                label(fig, f"{name[1:]} %", x=support[-1] + 0.08, y=found[-1]["exact"], colour=colour)
            table += [
                [title, s, f"{name[1:]} %", f["exact"], f["simulated"], f["lo"], f["hi"]]
                for s, f in zip(support, found, strict=True)
            ]
        fig.add_annotation(text=f"<b>{title}</b>", x=0.5, xref=f"x{col if col > 1 else ''} domain", y=1.02,
                           yref="paper", yanchor="bottom", showarrow=False)  # fmt: skip
    fig.add_hline(y=0, line={"color": INK, "width": 1})
    fig.update_xaxes(title="effective answers", range=[1, 6.8], tickvals=[1, 2, 3, 4, 5])
    fig.update_yaxes(title="gain of K = 4 over K = 1 (nats)", col=1)
    bold, cautious = results["gain"]["s10"]["v100"], results["gain"]["s100"]["v100"]
    present(
        fig,
        claim="Diverse answers gain most only once a question has been answered a few times",
        how="Lines: exact; dots: simulated. Numbers: share of prompts that repeat an earlier question. Left: a memory "
        "that starts with 0.1 imaginary answers; right: with 1.",
        alt=f"Gain against diversity. With five equal answers the bold memory gains {bold['r0']['exact']:.2f} nats "
        f"without repeats and {bold['r80']['exact']:.2f} with 80 % repeats; the cautious one "
        f"{cautious['r0']['exact']:.2f} and {cautious['r80']['exact']:.2f}.",
        columns=["memory", "effective answers", "repeated", "exact (nats)", "simulated", "95 % from", "to"],
        rows=table,
        artifact="redundancy.book",
    )
    return fig.update_layout(margin_t=84)


def published_fits(results: Mapping[str, Any]) -> go.Figure:
    """R² of a + b/K and of a + b log K for every published series, one row each."""
    series = sorted(results["series"].values(), key=lambda s: s["log"]["r2"] - s["inverse"]["r2"])
    names = [s["name"].replace("-Instruct", "").replace(", 800 updates", ",<br>800 updates") for s in series]
    fig = go.Figure()
    for name, s in zip(names, series, strict=True):
        fig.add_scatter(x=short([s["inverse"]["r2"], s["log"]["r2"]]), y=[name, name], mode="lines",
                        line={"color": tint(GREY, 0.5), "width": 3}, hoverinfo="skip")  # fmt: skip
    for key, colour, symbol, words in (("inverse", GREY, "square", "1/K"), ("log", MULTI, "circle", "log K")):
        values = [s[key]["r2"] for s in series]
        fig.add_scatter(x=short(values), y=names, mode="markers",
                        marker={"size": 11, "color": colour, "symbol": symbol},
                        hovertemplate=f"{words}: R² %{{x:.3f}}<extra></extra>")  # fmt: skip
        label(fig, words, x=values[-1], y=len(names) - 0.45, colour=colour, xanchor="center", yanchor="bottom")
    fig.update_xaxes(title="R² of the fit", range=[0.91, 1.003], tickformat=".2f")
    fig.update_yaxes(range=[-0.6, len(names) + 0.1])
    counts = results["counts"]
    present(
        fig,
        claim="The published losses fall with log K, not with 1/K",
        how="Each row is one model, five values of K, two parameters per curve. Losses from the authors' result files, "
        "one run per cell.",
        alt=f"R² of two curves for {counts['series']} series. The logarithm fits better in {counts['log_higher']} of "
        f"them; 1/K reaches {min(s['inverse']['r2'] for s in series):.3f} to "
        f"{max(s['inverse']['r2'] for s in series):.3f}, the logarithm {min(s['log']['r2'] for s in series):.3f} to "
        f"{max(s['log']['r2'] for s in series):.3f}.",
        columns=["model", "R², a + b/K", "R², a + b log K", "log better in noisy copies"],
        rows=[[s["name"], s["inverse"]["r2"], s["log"]["r2"], s["log_better"]] for s in series],
        artifact="published.book",
        height=420,
    )
    return fig


def published_curve(results: Mapping[str, Any], *, series: str = "llama-3-1-8b") -> go.Figure:
    """The losses of one published series against K with both fitted curves."""
    ks, s = results["k"], results["series"][series]
    grid = np.geomspace(ks[0], ks[-1], 40)
    curves = {
        "inverse": (s["inverse"]["intercept"] + s["inverse"]["slope"] / grid, GREY, "dash", "a + b/K"),
        "log": (s["log"]["intercept"] + s["log"]["slope"] * np.log2(grid), MULTI, "solid", "a + b log K"),
    }
    fig = go.Figure()
    for values, colour, dash, words in curves.values():
        fig.add_scatter(x=short(grid), y=short(values), mode="lines", hoverinfo="skip",
                        line={"color": colour, "width": 2.2, "dash": dash})  # fmt: skip
        inverse = dash == "dash"
        at = 2.6 if inverse else ks[-1]  # both labels below their line, where the lines are apart
        label(fig, words, x=np.log10(at), y=float(np.interp(at, grid, values)), colour=colour, xanchor="right",
              yanchor="top", yshift=-6)  # fmt: skip
    fig.add_scatter(
        x=ks, y=s["loss"], mode="markers", hovertemplate="K = %{x}: %{y:.4f} nats<extra></extra>",
        marker={"size": 11, "color": [SINGLE if k == 1 else INK for k in ks]},
    )  # fmt: skip
    fig.update_xaxes(type="log", tickvals=ks, title="responses per prompt, K (log scale)")
    fig.update_yaxes(title="reference loss (nats per token)")
    return present(
        fig,
        claim="Each doubling of K buys about the same, so far",
        how=f"Dots: {s['name']}, one epoch, one run each, from the authors' result files. Lines: the two best fits.",
        alt=f"Five dots from {s['loss'][0]:.3f} nats at K = {ks[0]} to {s['loss'][-1]:.3f} at K = {ks[-1]}, close to a "
        f"straight line in log K (R² {s['log']['r2']:.3f}); the curve in 1/K (R² {s['inverse']['r2']:.3f}) bends away.",
        columns=["K", "loss (nats per token)"],
        rows=[[k, v] for k, v in zip(ks, s["loss"], strict=True)],
        artifact="published.book",
        height=380,
    )
