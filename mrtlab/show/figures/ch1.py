"""Figures of chapter 1, the mode lottery."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.theme import GREY, INK, MULTI, SINGLE, label, present, tint
from mrtlab.theory import (
    GaussianModes,
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
            text=f"{name}<br><b>worth {support:.1f} answers</b>",
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
        how="Each panel is one prompt. Height is the probability of an answer; the bold number is exp H(p).",
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
    first, last = list(lines)[0], list(lines)[-1]
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
    for y, text in ((nothing, "knows nothing"), (floor, "knows the truth")):
        fig.add_hline(y=y, line={"color": INK, "width": 1, "dash": "dot"})
        label(fig, text, x=n_max, y=y, colour=INK, xanchor="right", yanchor="bottom")
    label(fig, "one answer", x=1.8, y=mean[1] + 0.1, colour=SINGLE, yanchor="bottom")
    first_better = int(n[1:][mean[1:] < nothing][0]) if np.any(mean[1:] < nothing) else None
    beat = f"it needs {first_better} answers to beat knowing nothing" if first_better else "it never beats nothing here"
    fig.update_xaxes(title="training answers for this prompt")
    fig.update_yaxes(title="test loss (nats per answer)", rangemode="tozero")
    present(
        fig,
        claim="One answer can be worse than none",
        how="Line: exact mean of the test loss. Band: one standard deviation over retrainings.",
        alt=f"Test loss of an over-confident memory: {nothing:.2f} nats with no answer, {mean[1]:.2f} with one, then "
        f"falling towards {floor:.2f}; {beat}.",
        columns=["answers", "mean loss (nats)", "sd over retrainings"],
        rows=[[int(i), float(m), float(s)] for i, m, s in zip(n, mean, sd, strict=True)],
    )
    return fig


def strip_plot(groups: Sequence[tuple[str, str, Sequence[float], str]], *, floors: bool = True) -> go.Figure:
    """One dot per retraining: groups of (panel, column label, test losses, colour) on a shared log axis."""
    panels = list(dict.fromkeys(panel for panel, *_ in groups))
    fig = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04)
    jitter = np.random.default_rng(0)
    for panel, column, losses, colour in groups:
        col, values = panels.index(panel) + 1, np.asarray(losses, dtype=float)
        here = [c for p, c, *_ in groups if p == panel]
        at = here.index(column)
        fig.add_scatter(
            x=at + jitter.uniform(-0.22, 0.22, len(values)), y=values, mode="markers", row=1, col=col,
            marker={"color": tint(colour, 0.5), "size": 5}, hovertemplate="%{y:.2f} nats<extra></extra>",
        )  # fmt: skip
        middle = float(np.median(values))
        fig.add_scatter(x=[at - 0.3, at + 0.3], y=[middle, middle], mode="lines", row=1, col=col,
                        line={"color": colour, "width": 3}, hoverinfo="skip")  # fmt: skip
        fig.update_xaxes(tickvals=list(range(len(here))), ticktext=here, range=[-0.6, len(here) - 0.4], col=col)
    for col, panel in enumerate(panels, 1):
        fig.add_annotation(text=f"<b>{panel}</b>", x=0.5, xref=f"x{col if col > 1 else ''} domain", y=1.02,
                           yref="paper", yanchor="bottom", showarrow=False)  # fmt: skip
    if floors:
        constant = GaussianModes().constant_gaussian_loss
        fig.add_hline(y=constant, line={"color": INK, "width": 1.5, "dash": "dot"})
        label(fig, f"one bell curve for everything: {constant:.2f}", x=0.01, xref="paper", y=np.log10(constant),
              colour=INK, yanchor="top")  # fmt: skip
    fig.update_yaxes(type="log")
    return fig


__all__ = ["coverage_curves", "gap_curve", "memory_loss", "strip_plot", "support_bars"]
