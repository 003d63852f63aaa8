"""Figures of chapter 2, prompts or responses: the variance law, its best K, and what training makes of them.

Figures of redundancy and of the published table are in `ch2_redundancy`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.theme import GREY, INK, MULTI, SINGLE, label, present, short, tint
from mrtlab.theory.budget import optimal_k, token_variance, variance, variance_frozen_pool
from mrtlab.theory.components import Components

_STOPPINGS = {"final": "trained to the end", "stopped": "stopped early"}


def variance_curve(results: Mapping[str, Any]) -> go.Figure:
    """Variance of the mean loss against K: the law, its floor, what was measured, and a frozen pool."""
    fresh, frozen, design = results["fresh"], results["frozen"], results["design"]
    ks = [int(name[1:]) for name in fresh if name[0] == "k"]
    ks.sort()
    parts, n, pool = Components(fresh["v_x"], fresh["v_yx"]), design["n_prompts"], design["pool"]
    grid = np.geomspace(1, max(ks), 40)
    fig = go.Figure()
    fig.add_scatter(x=short(grid), y=short(variance(parts, n, grid)), mode="lines", line={"color": INK, "width": 2})
    fig.add_scatter(
        x=short(grid),
        y=short(variance_frozen_pool(parts, n, grid, pool)),
        mode="lines",
        line={"color": GREY, "width": 2, "dash": "dash"},
    )
    fig.add_hline(y=fresh["floor"], line={"color": INK, "width": 1.2, "dash": "dot"})
    measured = [fresh[f"k{k}"]["measured"] for k in ks]
    fig.add_scatter(
        x=ks, y=short(measured), mode="markers", hovertemplate="K = %{x}: %{y:.4f}<extra></extra>",
        marker={"size": 10, "color": [SINGLE if k == 1 else MULTI for k in ks]},
    )  # fmt: skip
    fig.add_scatter(
        x=ks, y=short([frozen[f"k{k}"]["measured"] for k in ks]), mode="markers",
        marker={"size": 8, "color": GREY, "symbol": "square"},
        hovertemplate="frozen, K = %{x}: %{y:.4f}<extra></extra>",
    )  # fmt: skip
    label(fig, "fresh data: V<sub>x</sub>/N<sub>p</sub> + V<sub>y|x</sub>/(N<sub>p</sub>K)", x=np.log10(2.3),
          y=float(variance(parts, n, 2.1)), colour=INK)  # fmt: skip
    label(fig, "floor V<sub>x</sub>/N<sub>p</sub>", x=0.0, y=fresh["floor"], colour=INK, yanchor="bottom")
    label(fig, "dashed: frozen pool", x=np.log10(max(ks)), y=0.4 * measured[0], colour=GREY, xanchor="right")
    fig.update_xaxes(type="log", tickvals=ks, title="responses per prompt, K (log scale)")
    fig.update_yaxes(title="variance of the mean loss", rangemode="tozero")
    first, last = fresh[f"k{ks[0]}"], fresh[f"k{ks[-1]}"]
    return present(
        fig,
        claim="Responses lower the variance down to a floor that only prompts can move",
        how=f"Lines: closed form. Dots: measured over {design['draws']['fresh']} data sets of {n} prompts, mean of "
        f"{design['seeds']} networks. K = 1 in vermillion.",
        alt=f"Variance of the mean loss falls from {first['measured']:.3f} at K = 1 to {last['measured']:.3f} at "
        f"K = {ks[-1]}, just above the floor of {fresh['floor']:.3f}; the dots lie on the line of the law. With a "
        "frozen pool of candidates the variance falls towards zero instead.",
        columns=["K", "law", "measured", "frozen pool, law", "frozen pool, measured"],
        rows=[
            [
                k,
                fresh[f"k{k}"]["law"],
                fresh[f"k{k}"]["measured"],
                frozen[f"k{k}"]["law"],
                frozen[f"k{k}"]["measured"],
            ]
            for k in ks
        ],
        artifact="variance_law.book",
    )


def cost_curve(results: Mapping[str, Any]) -> go.Figure:
    """Variance against K at a fixed cost: the law, what was measured, and the range within 5 % of the best."""
    cost, design = results["cost"], results["design"]
    ks = cost["k"]
    points = [cost["curve"][f"k{k}"] for k in ks]
    fig = go.Figure()
    fig.add_vrect(x0=cost["flat_lo"], x1=cost["flat_hi"], fillcolor=tint(MULTI, 0.12), line_width=0)
    fig.add_scatter(x=ks, y=short([p["law"] for p in points]), mode="lines", line={"color": INK, "width": 2})
    fig.add_scatter(
        x=ks, y=short([p["measured"] for p in points]), mode="markers",
        marker={"size": 8, "color": [SINGLE if k == 1 else MULTI for k in ks]},
        error_y={"array": short([p["measured_hi"] - p["measured"] for p in points]),
                 "arrayminus": short([p["measured"] - p["measured_lo"] for p in points]), "color": MULTI,
                 "thickness": 1.5, "width": 3},
        hovertemplate="K = %{x}: %{y:.4f}<extra></extra>",
    )  # fmt: skip
    fig.add_vline(x=cost["k_star"], line={"color": INK, "width": 1.2, "dash": "dot"})
    top = points[0]["measured"]
    label(fig, f"K* = {cost['k_star']:.1f}", x=np.log10(cost["k_star"]), y=0.96 * top, colour=INK, xshift=4)
    label(
        fig, "within 5 %", x=np.log10(cost["flat_hi"]), y=0.35 * min(p["law"] for p in points), colour=MULTI, xshift=4
    )
    label(fig, "one response", x=0.0, y=1.06 * top, colour=SINGLE, yanchor="bottom")
    fig.update_xaxes(type="log", tickvals=[1, 2, 4, 8, 16, 32], title="responses per prompt, K (log scale)")
    fig.update_yaxes(title="variance of the mean loss", range=[0, 1.25 * top])
    return present(
        fig,
        claim="At a fixed cost the best K is real, and hard to miss by much",
        how=f"A prompt costs {design['prompt_cost']:g}, a response {design['response_cost']:g}, the budget is "
        f"{design['budget']:g}. Line: the law; dots: measured, with 95 % intervals; band: within 5 % of the best.",
        alt=f"A curve that starts at {points[0]['measured']:.3f} for K = 1, is lowest near K = {cost['best']} at "
        f"{min(p['law'] for p in points):.3f}, stays within 5 % of that from K = {cost['flat_lo']} to "
        f"{cost['flat_hi']}, and rises slowly to {points[-1]['measured']:.3f} at K = {ks[-1]}.",
        columns=["K", "prompts", "law", "measured", "95 % from", "to"],
        rows=[
            [k, p["n_prompts"], p["law"], p["measured"], p["measured_lo"], p["measured_hi"]]
            for k, p in zip(ks, points, strict=True)
        ],
        artifact="variance_law.book",
    )


def scalar_or_gradient(results: Mapping[str, Any]) -> go.Figure:
    """K* from the variance of losses and from that of gradients, after 0, 50 and 400 steps of training."""
    stages = {"step0": "not trained", "step50": "50 steps", "step400": "400 steps"}
    looks = {"loss": (GREY, "square", -0.08), "gradient": (MULTI, "circle", 0.08)}
    fig, rows = go.Figure(), []
    for name, (colour, symbol, shift) in looks.items():
        found = [results["gradient"][stage][name]["k_star"] for stage in stages]
        middle = [f["median"] for f in found]
        fig.add_scatter(
            x=[i + shift for i in range(len(stages))], y=short(middle), mode="lines+markers",
            line={"color": colour, "width": 2}, marker={"size": 10, "symbol": symbol},
            error_y={"array": short([f["highest"] - f["median"] for f in found]),
                     "arrayminus": short([f["median"] - f["lowest"] for f in found]), "color": colour, "width": 4},
            hovertemplate=f"K* by {name}: %{{y:.1f}}<extra></extra>",
        )  # fmt: skip
        above = name == "loss"
        end = found[0]["highest" if above else "lowest"]
        label(fig, f"by {name}", x=shift, y=np.log10(end), colour=colour, xanchor="center",
              yanchor="bottom" if above else "top", yshift=4 if above else -4)  # fmt: skip
        rows += [
            [words, name, f["median"], f["lowest"], f["highest"]]
            for words, f in zip(stages.values(), found, strict=True)
        ]
    fig.update_xaxes(tickvals=list(range(len(stages))), ticktext=list(stages.values()), range=[-0.4, 2.4])
    fig.update_yaxes(type="log", title="K* at costs 4 and 1 (log scale)", tickvals=[1, 2, 4, 8],
                     range=[np.log10(0.9), np.log10(11)])  # fmt: skip
    start = results["gradient"]["step0"]
    both = (start["loss"]["k_star"]["median"], start["gradient"]["k_star"]["median"])
    return present(
        fig,
        claim="What training feels asks for fewer responses than the loss does, at the start",
        how=f"Median over {start['networks']} networks; whiskers reach from the lowest to the highest.",
        alt=f"Before training K* is {both[0]:.1f} by the variance of losses and {both[1]:.1f} by that of gradients; "
        "after training the two come together.",
        columns=["stage", "variance of", "K* (median)", "lowest", "highest"],
        rows=rows,
        artifact="variance_law.book",
        height=380,
    )


def trained_loss(results: Mapping[str, Any], *, arm: str = "cost", claim: str) -> go.Figure:
    """Test loss of trained networks against K, to the end and stopped early, with floors.

    Args:
        results: of the artifact `budget_mdn`.
        arm: "cost" (fixed total cost; the predicted K are shaded) or "matched" (fixed pairs).
        claim: the figure's title; what it should say depends on the arm.
    """
    ks, table = results["design"]["k"][arm], []
    fig = make_subplots(rows=1, cols=2, horizontal_spacing=0.13)
    floors = results["floors"]
    for col, (stopping, title) in enumerate(_STOPPINGS.items(), 1):
        found = [results["arms"][arm][f"k{k}"][stopping]["nll"] for k in ks]
        fig.add_scatter(
            x=ks, y=short([f["mean"] for f in found]), mode="markers", row=1, col=col, hoverinfo="skip",
            marker={"size": 4, "color": tint(MULTI, 0.6)},
            error_y={"array": short([f["mean_hi"] - f["mean"] for f in found]),
                     "arrayminus": short([f["mean"] - f["mean_lo"] for f in found]), "color": tint(MULTI, 0.6),
                     "width": 3, "thickness": 1.5},
        )  # fmt: skip
        fig.add_scatter(
            x=ks, y=short([f["median"] for f in found]), mode="lines+markers", row=1, col=col,
            line={"color": MULTI, "width": 2}, marker={"size": 8, "color": [SINGLE if k == 1 else MULTI for k in ks]},
            hovertemplate="K = %{x}: median %{y:.3g} nats<extra></extra>",
        )  # fmt: skip
        fig.add_hline(y=floors["constant_gaussian"], line={"color": INK, "width": 1.2, "dash": "dot"}, row=1, col=col)
        if arm == "cost":
            flat = results["predicted"]["flat"]
            fig.add_vrect(x0=min(flat), x1=max(flat), fillcolor=tint(GREY, 0.18), line_width=0, row=1, col=col)
        fig.add_annotation(text=f"<b>{title}</b>", x=0.5, xref=f"x{col if col > 1 else ''} domain", y=1.02,
                           yref="paper", yanchor="bottom", showarrow=False)  # fmt: skip
        table += [
            [title, k, results["arms"][arm][f"k{k}"]["n_prompts"], f["mean"], f["mean_lo"], f["mean_hi"], f["median"]]
            for k, f in zip(ks, found, strict=True)
        ]
    label(fig, "bell curve", x=0.0, y=floors["constant_gaussian"], colour=INK, yanchor="bottom", yshift=2)
    if arm == "cost":
        label(fig, "predicted", x=np.log10(5.7), y=0.97, xref="x", yref="y domain", colour=GREY, xanchor="center")
    fig.update_xaxes(type="log", tickvals=[1, 2, 4, 8, 16], title="K (log scale)", range=[-0.12, 1.32])
    fig.update_yaxes(rangemode="tozero", title="test loss (nats per answer)", col=1)
    window = (floors["constant_gaussian"] - 0.1, floors["constant_gaussian"] + 0.35)
    fig.update_yaxes(range=list(window), col=2)
    astray = any(row[5] > window[1] for row in table if row[0] == _STOPPINGS["stopped"])
    ends = {
        s: [results["arms"][arm][f"k{k}"][s]["nll"]["median"] for k in (ks[0], ks[-1])] for s in ("final", "stopped")
    }
    present(
        fig,
        claim=claim,
        how=f"Line: median of {results['design']['retrainings']} retrainings; thin bars: mean with 95 % interval. The "
        f"panels have different scales. Dotted: one bell curve for all prompts, {floors['constant_gaussian']:.2f} nats."
        + (" A bar that leaves the panel: a few retrainings went astray." if astray else "")
        + (" Grey band: K within 5 % of the law's minimum." if arm == "cost" else ""),
        alt=f"Two panels of median test loss against K. Trained to the end: {ends['final'][0]:.0f} nats at K = 1 and "
        f"{ends['final'][1]:.0f} at K = {ks[-1]}. Stopped early: {ends['stopped'][0]:.2f} and "
        f"{ends['stopped'][1]:.2f}, beside {floors['constant_gaussian']:.2f} for one bell curve.",
        columns=["training", "K", "prompts", "mean loss (nats)", "95 % from", "to", "median"],
        rows=table,
        artifact="budget_mdn.book",
    )
    return fig.update_layout(margin_t=84)


def copies_or_shared(
    components: Components,
    *,
    prompt_tokens: float | int,
    response_tokens: float | int,
    ks: Sequence[int] = (1, 2, 4, 8, 16, 32),
) -> go.Figure:
    """Tokens needed for a given variance against K, with the prompt copied and with the prompt run once; exact."""
    grid = np.geomspace(1, max(ks), 40)
    lengths = {"prompt_tokens": prompt_tokens, "response_tokens": response_tokens}
    price, at = token_variance(components, grid, **lengths), token_variance(components, np.array(ks), **lengths)
    unit = float(price.copies[0])
    best = float(optimal_k(components, prompt_tokens, response_tokens))
    fig = go.Figure()
    for values, colour, dash, text in (
        (price.copies, GREY, "dash", "prompt copied"),
        (price.shared, MULTI, "solid", "prompt run once"),
    ):
        fig.add_scatter(x=short(grid), y=short(values / unit), mode="lines", hoverinfo="skip",
                        line={"color": colour, "width": 2.5, "dash": dash})  # fmt: skip
        up = dash == "dash"
        here = float(np.interp(4 if up else 16, grid, values)) / unit
        label(fig, text, x=np.log10(4 if up else 16), y=here, colour=colour, xanchor="right" if up else "center",
              yanchor="bottom" if up else "top", yshift=4 if up else -8)  # fmt: skip
    fig.add_scatter(x=[1], y=[1], mode="markers", marker={"size": 11, "color": SINGLE}, hoverinfo="skip")
    if 1 < best < max(ks):
        fig.add_vline(x=best, line={"color": INK, "width": 1.2, "dash": "dot"})
        label(fig, f"K* = {best:.1f}", x=np.log10(best), y=0.08, colour=INK, xshift=4)
    top = min(float(np.max(price.copies)) / unit, 4.0)
    fig.update_xaxes(type="log", tickvals=list(ks), title="responses per prompt, K (log scale)")
    fig.update_yaxes(title="tokens for the same variance, K = 1 is 1", range=[0, top])
    saved = float(np.min(price.shared)) / unit
    return present(
        fig,
        claim="Copy the prompt and one response is best; run it once and several pay",
        how=f"Exact, where responses vary {components.ratio:.2g} times as much as prompts. A prompt has "
        f"{prompt_tokens:g} tokens, a response {response_tokens:g}. Lower is cheaper.",
        alt=f"With the prompt copied the tokens needed rise with K from the start. With the prompt run once they fall "
        f"to {saved:.0%} at K* = {best:.1f} and rise slowly after it.",
        columns=["K", "prompt copied", "prompt run once"],
        rows=[[k, float(c) / unit, float(s) / unit] for k, c, s in zip(ks, at.copies, at.shared, strict=True)],
    )
