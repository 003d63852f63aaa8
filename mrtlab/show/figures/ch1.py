"""Figures of chapter 1, the mode lottery."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.theme import GREY, INK, MULTI, SINGLE, label, present, tint
from mrtlab.theory import (
    effective_support,
    entropy,
    expected_coverage,
    retraining_gap,
    retraining_law,
)


def support_bars(panels: Mapping[str, np.ndarray]) -> go.Figure:
    """Bars of several distributions over as many answers, each with its effective support."""
    fig = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.05)
    rows = []
    for col, (name, p) in enumerate(panels.items(), 1):
        support = float(effective_support(p))
        bars = go.Bar(
            x=[f"{i + 1}" for i in range(len(p))],
            y=p,
            marker={"color": tint(INK, 0.12), "line": {"color": INK, "width": 1.5}},
            text=[f"{v:.0%}" if v >= 0.1 else f"{v:.1%}".replace(".0%", "%") for v in p],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="answer %{x}: %{y:.1%}<extra></extra>",
        )
        fig.add_trace(bars, row=1, col=col)
        fig.add_annotation(
            text=f"{name}<br><b>worth {support:.1f}</b>",
            x=0.5, xref=f"x{col if col > 1 else ''} domain", y=1.02, yref="paper", yanchor="bottom", showarrow=False,
        )  # fmt: skip
        rows.append([name, *[float(v) for v in p], float(entropy(p)), support])
    fig.update_yaxes(range=[0, 1.12], tickformat=".0%")
    fig.update_yaxes(title="probability", col=1)
    fig.update_xaxes(title="answer")
    count = len(next(iter(panels.values())))
    worth = ", ".join(f"{row[0]}: {row[-1]:.1f}" for row in rows)
    present(
        fig,
        claim="The same number of answers on paper, fewer in practice",
        how="Each panel is one prompt; height is probability. In bold: worth exp H(p) equally likely answers.",
        alt=f"Bars of {len(panels)} distributions over {count} answers. Effective number of answers: {worth}.",
        columns=["world", *[f"p({i + 1})" for i in range(count)], "entropy (nats)", "effective support"],
        rows=rows,
        height=380,
    )
    return fig.update_layout(margin_t=104)


def coverage_curves(worlds: Mapping[str, np.ndarray], *, k_max: int = 20) -> go.Figure:
    """Expected number of different answers against K, one line per world."""
    fig, k = go.Figure(), np.arange(1, k_max + 1)
    lines = {name: expected_coverage(np.tile(p, (k_max, 1)), k) for name, p in worlds.items()}
    for (name, line), dash in zip(lines.items(), ("solid", "dash", "dot"), strict=False):
        fig.add_scatter(x=k, y=line, mode="lines", line={"color": MULTI, "width": 2.5, "dash": dash}, name=name)
        label(fig, name, x=k_max + 0.3, y=line[-1], colour=MULTI)
        fig.add_scatter(x=[1], y=[line[0]], mode="markers", marker={"color": SINGLE, "size": 10}, hoverinfo="skip")
    label(fig, "one answer per prompt", x=1.4, y=0.72, colour=SINGLE)
    fig.update_xaxes(title="answers shown per prompt, K", range=[0.5, k_max + 5])
    fig.update_yaxes(title="different answers seen (expected)", rangemode="tozero")
    present(
        fig,
        claim="K draws show fewer than K answers",
        how="Lines: exact expectation. The vermillion dot is single-response training.",
        alt=f"Lines rising from 1 at K = 1 and flattening: at K = {k_max} they reach "
        + ", ".join(f"{line[-1]:.1f} for the {name} world" for name, line in lines.items())
        + ".",
        columns=["K", *lines],
        rows=[[int(kk), *[float(line[i]) for line in lines.values()]] for i, kk in enumerate(k)],
        height=380,
    )
    return fig.update_layout(margin_r=30)


def gap_curve(worlds: Mapping[str, np.ndarray], simulated: Mapping[int, float], *, k_max: int = 32) -> go.Figure:
    """How much mass moves on retraining, against K: exact lines, and simulated dots for the first world."""
    fig, k = go.Figure(), np.unique(np.geomspace(1, k_max, 24).round().astype(int))
    lines = {name: np.array([float(retraining_gap(p, int(kk))) for kk in k]) for name, p in worlds.items()}
    for (name, line), dash in zip(lines.items(), ("solid", "dash", "dot"), strict=False):
        fig.add_scatter(x=k, y=line, mode="lines", line={"color": MULTI, "width": 2.5, "dash": dash}, name=name)
    # Direct labels sit where the lines are furthest apart, on their outer sides.
    first, *_, last = lines
    at = int(np.searchsorted(k, 3))
    label(fig, f"{first} world", x=np.log10(k[at]) + 0.03, y=lines[first][at] + 0.02, colour=MULTI, yanchor="bottom")
    label(fig, f"{last} world", x=np.log10(k[at]) - 0.03, y=lines[last][at] - 0.02, colour=MULTI,
          xanchor="right", yanchor="top")  # fmt: skip
    fig.add_scatter(
        x=list(simulated), y=list(simulated.values()), mode="markers", name="simulated",
        marker={"color": [SINGLE if kk == 1 else MULTI for kk in simulated], "size": 9},
    )  # fmt: skip
    fig.update_xaxes(title="answers shown per prompt, K (log scale)", type="log", tickvals=[1, 2, 4, 8, 16, 32])
    fig.update_yaxes(title="probability mass that moves", tickformat=".0%", range=[0, 0.9])
    even = lines[first]
    present(
        fig,
        claim="Retrain on one answer, and most of the model's mass moves",
        how=f"Lines: exact expectation over pairs of retrainings. Dots: simulated pairs in the {first} world.",
        alt=f"Falling lines. In the {first} world {even[0]:.0%} of the mass moves at K = 1 and {even[-1]:.0%} at "
        f"K = {k[-1]}.",
        columns=["K", *lines],
        rows=[[int(kk), *[float(line[i]) for line in lines.values()]] for i, kk in enumerate(k)],
        height=380,
    )
    return fig


def memory_loss(truth: np.ndarray, *, smoothing: float = 0.1, n_max: int = 32) -> go.Figure:
    """Test loss of a memory against the number of answers it saw, with its spread over retrainings (exact)."""
    n = np.arange(n_max + 1)
    laws = [retraining_law(truth, int(i), smoothing=smoothing) for i in n]
    mean, sd = np.array([law.mean for law in laws]), np.array([law.sd for law in laws])
    floor, nothing = float(entropy(truth)), mean[0]
    fig = go.Figure()
    fig.add_scatter(
        x=np.concatenate([n, n[::-1]]), y=np.concatenate([mean + sd, (mean - sd)[::-1]]), fill="toself",
        fillcolor=tint(MULTI, 0.18), line={"width": 0}, hoverinfo="skip",
    )  # fmt: skip
    fig.add_scatter(x=n, y=mean, mode="lines", line={"color": MULTI, "width": 2.5}, name="mean")
    fig.add_scatter(
        x=[1], y=[mean[1]], error_y={"array": [sd[1]], "color": SINGLE, "thickness": 2}, mode="markers",
        marker={"color": SINGLE, "size": 11}, name="one answer",
    )  # fmt: skip
    for y, text, side in ((nothing, "knows nothing", "bottom"), (floor, "knows the truth", "top")):
        fig.add_hline(y=y, line={"color": INK, "width": 1, "dash": "dot"})
        label(fig, text, x=n_max, y=y, colour=INK, xanchor="right", yanchor=side)
    label(fig, "one answer", x=1.8, y=mean[1] + 0.1, colour=SINGLE, yanchor="bottom")
    first_better = int(n[1:][mean[1:] < nothing][0]) if np.any(mean[1:] < nothing) else None
    beat = f"it needs {first_better} answers to beat knowing nothing" if first_better else "it never beats nothing here"
    fig.update_xaxes(title="training answers for this prompt")
    fig.update_yaxes(title="test loss (nats per answer)", rangemode="tozero")
    present(
        fig,
        claim="One answer can be worse than none"
        if mean[1] > nothing
        else "A cautious memory gains from its first answer",
        how="Line: exact mean of the test loss. Band: one standard deviation over retrainings.",
        alt=f"Test loss of a memory that starts with {smoothing:g} imaginary answers: {nothing:.2f} nats with none, "
        f"{mean[1]:.2f} with one answer, then towards {floor:.2f}; {beat}.",
        columns=["answers", "mean loss (nats)", "sd over retrainings"],
        rows=[[int(i), float(m), float(s)] for i, m, s in zip(n, mean, sd, strict=True)],
    )
    return fig


def portraits(results: Mapping[str, Any]) -> go.Figure:
    """Densities of four retrainings at one fresh prompt, K = 1 above K = 8, over the truth."""
    rows = {"k1": ("K = 1", SINGLE), "k8": ("K = 8", MULTI)}
    columns = len(results["densities"]["k1"])
    fig = make_subplots(
        rows=2, cols=columns, shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.02, vertical_spacing=0.07
    )
    grid, truth = np.array(results["grid"]), results["truth"]
    at = {"x0": float(grid[0]), "dx": round(float(grid[1] - grid[0]), 6), "mode": "lines", "hoverinfo": "skip"}
    for row, (key, (name, colour)) in enumerate(rows.items(), 1):
        for col, density in enumerate(results["densities"][key], 1):
            fig.add_scatter(y=_short(density), fill="tozeroy", fillcolor=tint(colour, 0.3), row=row, col=col,
                            line={"color": colour, "width": 1.5}, **at)  # fmt: skip
            fig.add_scatter(y=_short(truth), line={"color": INK, "width": 1}, row=row, col=col, **at)
        fig.update_yaxes(title=f"{name}<br>density", row=row, col=1)
    fig.update_yaxes(range=[0, 3.2], tickvals=[0, 1, 2, 3])
    fig.update_xaxes(tickvals=[-1.5, 1.5], ticktext=["−1.5", "1.5"], tickangle=0, range=[-3.2, 3.2])
    fig.update_xaxes(title="answer", row=2)
    for col in range(1, columns + 1):
        axis = f"x{col if col > 1 else ''} domain"
        fig.add_annotation(text=f"training {col}", x=0.5, xref=axis, y=1.02, yref="paper", yanchor="bottom",
                           showarrow=False)  # fmt: skip
    masses = {key: [_near_modes(grid, np.array(d)) for d in results["densities"][key]] for key in rows}
    table = [
        [name, i, *[float(v) for v in mass]] for key, (name, _) in rows.items() for i, mass in enumerate(masses[key], 1)
    ]
    present(
        fig,
        claim="Four trainings on one answer per prompt remember four different worlds",
        how="Thin line: the truth at one fresh prompt, three equally likely answers. Filled: what each network says.",
        alt="Eight panels. With K = 1 each of four networks piles its density up in another place; with K = 8 all "
        "four have peaks near the three true answers.",
        columns=["K", "training", "mass near lower mode", "mass near middle mode", "mass near upper mode"],
        rows=table,
        artifact="mode_portraits.book",
        height=430,
    )
    return fig.update_layout(margin_t=80)


def _short(values: Sequence[float]) -> list[float]:
    """Two decimals are more than the eye sees, and lists travel in a tenth of the bytes of an array."""
    return [int(v) if v == int(v) else v for v in (round(v, 2) for v in values)]


def _near_modes(grid: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Share of a gridded density within 0.75 of each true mode (the grid resolves the peaks only roughly)."""
    step = grid[1] - grid[0]
    return np.array([density[np.abs(grid - mode) <= 0.75].sum() * step for mode in (-1.5, 0.0, 1.5)])


def loss_strips(results: Mapping[str, Any], *, arm: str = "grow") -> go.Figure:
    """One dot per retraining: test loss against K, with and without early stopping."""
    panels = {"final": "trained to the end", "stopped": "stopped early"}
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    jitter, table = np.random.default_rng(0), []
    for col, (stopping, title) in enumerate(panels.items(), 1):
        for at, k in enumerate(results["design"]["k"]):
            nll = results["arms"][arm][f"k{k}"][stopping]["nll"]
            colour, values = (SINGLE if k == 1 else MULTI), [float(f"{v:.3g}") for v in nll["values"]]
            spread = [round(at + float(d), 2) for d in jitter.uniform(-0.25, 0.25, len(values))]
            fig.add_scatter(x=spread, y=values, mode="markers", row=1, col=col, hoverinfo="y",
                            marker={"color": tint(colour, 0.45), "size": 4})  # fmt: skip
            fig.add_scatter(x=[at - 0.32, at + 0.32], y=[nll["median"]] * 2, mode="lines", row=1, col=col,
                            line={"color": colour, "width": 3}, hoverinfo="skip")  # fmt: skip
            table.append([title, k, nll["mean"], nll["sd"], nll["median"], min(values), max(values)])
        fig.add_annotation(text=f"<b>{title}</b>", x=0.5, xref=f"x{col if col > 1 else ''} domain", y=1.02,
                           yref="paper", yanchor="bottom", showarrow=False)  # fmt: skip
    ticks = [str(k) for k in results["design"]["k"]]
    fig.update_xaxes(tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.6, len(ticks) - 0.4])
    fig.update_xaxes(title="K")
    constant, floor = results["floors"]["constant_gaussian"], results["floors"]["entropy"]
    for y, text in ((constant, "bell curve"), (floor, "the truth")):
        fig.add_hline(y=y, line={"color": INK, "width": 1.2, "dash": "dot"})
        label(fig, f"{text}: {y:.3g}", x=-0.5, y=np.log10(y), colour=INK, yanchor="top" if y > 1 else "bottom")
    fig.update_yaxes(type="log", tickvals=[0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200])
    fig.update_yaxes(title="test loss (nats per answer, log scale)", col=1)
    first, last = (results["arms"][arm][f"k{k}"]["final"]["nll"] for k in (1, results["design"]["k"][-1]))
    present(
        fig,
        claim="More answers calm the test loss, and most of the storm was over-fitting",
        how="Each dot is one retraining: new prompts, new answers, new starting weights. Bar: the median. "
        "K: answers per prompt.",
        alt=f"Clouds of dots. Trained to the end, the median test loss falls from {first['median']:.0f} nats at K = 1 "
        f"to {last['median']:.1f} at K = 8; stopped early, all clouds are narrow and near {constant:.1f} or below.",
        columns=["training", "K", "mean (nats)", "sd (nats)", "median", "lowest", "highest"],
        rows=table,
        artifact="mode_lottery.book",
        height=440,
    )
    return fig.update_layout(margin_t=84)


def spread_by_arm(results: Mapping[str, Any], *, stopping: str = "final") -> go.Figure:
    """Spread of the test loss against K when pairs grow with K, and when the number of pairs is fixed."""
    fig, table, ks = go.Figure(), [], results["design"]["k"]
    arms = {  # name, colour, line, marker, and where its label stands: beside which K, on which side
        "grow": ("120 prompts,<br>pairs grow with K", MULTI, "solid", "circle", 4, "right", "top"),
        "matched": ("960 pairs at every K", GREY, "dash", "square", 2, "left", "top"),
        "scarce": ("120 pairs at every K", GREY, "dot", "diamond", 4, "center", "bottom"),
    }
    for arm, (name, colour, dash, symbol, beside, xanchor, yanchor) in arms.items():
        nll = [results["arms"][arm][f"k{k}"][stopping]["nll"] for k in ks]
        sd = [v["sd"] for v in nll]
        fig.add_scatter(
            x=ks, y=sd, mode="lines+markers", line={"color": colour, "width": 2.5, "dash": dash},
            marker={"size": 9, "symbol": symbol}, name=name, hovertemplate="K = %{x}: sd %{y:.2f}<extra></extra>",
            error_y={"array": [v["sd_hi"] - v["sd"] for v in nll], "arrayminus": [v["sd"] - v["sd_lo"] for v in nll],
                     "color": colour, "thickness": 1.5, "width": 4},
        )  # fmt: skip
        at = np.log10(sd[ks.index(beside)]) + (0.07 if yanchor == "bottom" else -0.09)
        label(fig, name, x=np.log10(beside) + 0.02 * (xanchor == "left"), y=at, colour=colour,
              xanchor=xanchor, yanchor=yanchor, align="left")  # fmt: skip
        for k, v in zip(ks, nll, strict=True):
            place = results["arms"][arm][f"k{k}"]
            table.append(
                [
                    name.replace("<br>", " "),
                    k,
                    place["n_prompts"],
                    place["pairs"],
                    v["sd"],
                    v["sd_lo"],
                    v["sd_hi"],
                    v["mean"],
                ]
            )
    fig.update_xaxes(type="log", tickvals=ks, title="answers per prompt, K (log scale)", range=[-0.06, 0.97])
    fig.update_yaxes(type="log", title="sd of the test loss (nats, log scale)", tickvals=[0.02, 0.05, 0.1, 0.2, 0.5, 1,
                     2, 5, 10, 20, 50, 100])  # fmt: skip
    ends = {arm: [results["arms"][arm][f"k{k}"][stopping]["nll"]["sd"] for k in (ks[0], ks[-1])] for arm in arms}
    present(
        fig,
        claim="At 960 pairs, more prompts are steadier than more answers; at 120 pairs the order turns",
        how="Spread of the test loss over retrainings, with its 95 % interval. Blue buys more pairs as K grows; grey "
        "does not.",
        alt="Three lines against K. "
        + " ".join(
            f"{arms[a][0].replace('<br>', ' ')}: from {first:.2g} to {last:.2g} nats."
            for a, (first, last) in ends.items()
        ),
        columns=["arm", "K", "prompts", "pairs", "sd (nats)", "95 % from", "to", "mean loss"],
        rows=table,
        artifact="mode_lottery.book",
    )
    return fig


__all__ = ["coverage_curves", "gap_curve", "loss_strips", "memory_loss", "portraits", "spread_by_arm", "support_bars"]
