"""Toy figures of chapter 4: a handful of answers and exact steps, so that every number can be checked by hand.

Colours as in `ch4`: blue learns from all answers, orange from selected ones alone, grey is where the model began.
"""

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from mrtlab.show.figures.theme import GREY, INK, MULTI, REWARD, label, present, rounded, tint
from mrtlab.theory.bandit import logit_step
from mrtlab.theory.objectives import (
    Objective,
    best_of_n_sft,
    dpo,
    forward_kl,
    ipo,
    ipo_tau,
    logit_descent,
    mle,
    pairs_by_reward,
    reinforce,
    reverse_kl,
    reward_weighted,
)

Law = Float[np.ndarray, " m"]

TOY_START = np.array([0.3, 0.3, 0.1, 0.3])
TOY_TARGET = np.array([0.2, 0.1, 0.6, 0.1])
TOY_STEPS, TOY_RATE = 4, 0.7  # our choice: the printed figure does not say which were used
# Heights of the bars in the figure on the paper's project site, read off in pixels, under the labels they carry.
TOY_PRINTED = {
    "forward": np.array([0.329, 0.225, 0.219, 0.225]),
    "reverse": np.array([0.250, 0.199, 0.349, 0.199]),
}
_KL = {"forward": forward_kl, "reverse": reverse_kl}

_DRAWN_REWARD = np.array([0.0, 0.3, 0.7, 1.0])
_DRAWN_BEFORE = np.array([0.4, 0.3, 0.2, 0.1])
_DRAWN_NOW = np.array([0.1, 0.2, 0.3, 0.4])
_DRAWN_BETA, _DRAWN_MARGIN = 1.0, 1.0
_PUSHED = np.array([0.55, 0.25, 0.12, 0.06, 0.02])
_PUSHED_ANSWER, _PUSHED_STEP = 3, 1.0


def toy_descent(direction: str, *, steps: int = TOY_STEPS, rate: float = TOY_RATE) -> Law:
    """Plain gradient descent on the logits of the toy: p ← softmax(log p − rate·∂KL/∂logits), `steps` times.

    Args:
        direction: "forward" descends KL(target‖p), "reverse" descends KL(p‖target).
        steps: how many steps, ≥ 0.
        rate: step size, > 0.

    Returns:
        the policy afterwards, shape (4,).

    Raises:
        KeyError: another direction.

    Source: preference sheet, section 6, toy figure; the replication is ours.

    >>> toy_descent("forward", steps=1, rate=1.0).round(3)
    array([0.293, 0.265, 0.178, 0.265])
    """
    p = TOY_START
    for _ in range(steps):
        logp = np.log(p)
        p = logit_step(p, logit_descent(_KL[direction](logp, TOY_TARGET).weight, logp), step=rate)
    return p


def toy_misfit(*, swapped: bool, steps: int = TOY_STEPS, rate: float = TOY_RATE) -> float:
    """Largest distance between our bars and the printed ones, with the labels as printed or the other way round.

    >>> toy_misfit(swapped=True) < 0.01 < 0.1 < toy_misfit(swapped=False)
    True
    """
    other = {"forward": "reverse", "reverse": "forward"}
    return max(
        float(np.abs(toy_descent(other[name] if swapped else name, steps=steps, rate=rate) - bars).max())
        for name, bars in TOY_PRINTED.items()
    )


def weights_of_rules() -> go.Figure:
    """Six rules look at the same four answers; bars are their signed weights."""
    now, before = np.log(_DRAWN_NOW), np.log(_DRAWN_BEFORE)
    pairs = pairs_by_reward(_DRAWN_REWARD)
    rules: dict[str, tuple[str, Objective]] = {
        "likelihood": (MULTI, mle(now)),
        "best-of-n": (REWARD, best_of_n_sft(now, _DRAWN_REWARD)),
        "weighted": (REWARD, reward_weighted(now, _DRAWN_REWARD, beta=0.5)),
        "REINFORCE": (MULTI, reinforce(now, _DRAWN_REWARD, baseline="mean")),
        "DPO": (MULTI, dpo(now, before, pairs, beta=_DRAWN_BETA)),
        "IPO": (MULTI, ipo(now, before, pairs, tau=ipo_tau(_DRAWN_MARGIN))),
    }
    fig = make_subplots(rows=2, cols=3, shared_yaxes=True, shared_xaxes=True, horizontal_spacing=0.04,
                        vertical_spacing=0.16)  # fmt: skip
    answers, rows = ["A", "B", "C", "D"], []
    for panel, (name, (colour, found)) in enumerate(rules.items()):
        height = found.weight / np.abs(found.weight).max()
        row, col = panel // 3 + 1, panel % 3 + 1
        fig.add_bar(
            x=answers, y=rounded(height), row=row, col=col,
            marker={"color": [tint(colour, 0.85 if h >= 0 else 0.4) for h in height], "line": {"color": colour,
                                                                                              "width": 1}},
            hovertemplate=name + ", answer %{x}: %{y:.2f}<extra></extra>",
        )  # fmt: skip
        fig.add_hline(y=0, line={"color": INK, "width": 1}, row=row, col=col)
        number = "" if panel == 0 else str(panel + 1)
        fig.add_annotation(text=f"<b>{name}</b>", x=0, xref=f"x{number} domain", xanchor="left", y=1.02,
                           yref=f"y{number} domain", yanchor="bottom", showarrow=False,
                           font={"size": 12})  # fmt: skip
        rows.append([name, *rounded(found.weight)])
    fig.update_yaxes(range=[-1.15, 1.15], tickvals=[-1, 0, 1])
    fig.update_yaxes(title="weight (largest = 1)", col=1)
    return present(
        fig,
        claim="Three rules only pull up. Three also push down",
        how="Four answers to one prompt, D has the highest reward. A policy that has learned for a while: it began at "
        f"{_list(_DRAWN_BEFORE)} and now says them with {_list(_DRAWN_NOW)}.",
        alt="Signed weights of six rules on A to D. Likelihood, plain or weighted, and best-of-n have none below "
        "zero; REINFORCE and DPO push A and B down and pull C and D up; IPO, past its margin, does the opposite.",
        columns=["rule", *answers],
        rows=rows,
    )


def pushed_down() -> go.Figure:
    """One answer is pushed down, alone: a policy before and after."""
    one_hot = np.eye(len(_PUSHED))[_PUSHED_ANSWER]
    after = logit_step(_PUSHED, _PUSHED - one_hot, step=_PUSHED_STEP)
    names, fig = ["A", "B", "C", "D ↓", "E"], go.Figure()
    for p, colour in ((_PUSHED, GREY), (after, MULTI)):
        fig.add_bar(x=names, y=rounded(p), marker={"color": tint(colour, 0.75)}, text=[f"{100 * v:.1f}" for v in p],
                    textposition="outside", cliponaxis=False, textfont={"size": 11},
                    hovertemplate="%{x}: %{y:.1%}<extra></extra>")  # fmt: skip
    label(fig, "<b>■</b> before", x=0.98, y=0.97, colour=GREY, xref="paper", yref="paper", xanchor="right")
    label(fig, "<b>■</b> after", x=0.98, y=0.89, colour=MULTI, xref="paper", yref="paper", xanchor="right")
    fig.update_xaxes(title="answer")
    fig.update_yaxes(title="probability", tickformat=".0%", range=[0, 0.8])
    gain = after - _PUSHED
    return present(
        fig,
        claim="Push a rare answer down, and the favourite collects"
        if gain.argmax() == _PUSHED.argmax() and (gain > 0).sum() == 1
        else "Push an answer down, and the mass goes elsewhere",
        how=f"One step of size {_PUSHED_STEP:g} that lowers log p of answer D and names no other. Labels in per cent.",
        alt="Five answers before and after: "
        + "; ".join(f"{n} {100 * b:.1f} to {100 * a:.1f} %" for n, b, a in zip(names, _PUSHED, after, strict=True))
        + ".",
        columns=["answer", "before", "after"],
        rows=[list(row) for row in zip(names, rounded(_PUSHED), rounded(after), strict=True)],
        height=340,
    )


def both_readings() -> go.Figure:
    """The printed bars of the toy figure, and where descent on either KL ends after our four steps."""
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.05)
    bins, rows = ["0", "1", "2", "3"], []
    ours = {name: toy_descent(name) for name in _KL}
    marks = {"forward": "circle", "reverse": "x"}
    for col, (name, bars) in enumerate(TOY_PRINTED.items(), 1):
        fig.add_bar(x=bins, y=rounded(bars), marker={"color": tint(GREY, 0.45)}, row=1, col=col,
                    hovertemplate="printed, bin %{x}: %{y:.3f}<extra></extra>")  # fmt: skip
        for direction, symbol in marks.items():
            fig.add_scatter(x=bins, y=rounded(ours[direction]), mode="markers", row=1, col=col,
                            marker={"symbol": symbol, "size": 10, "color": MULTI},
                            hovertemplate=f"our {direction} KL, bin %{{x}}: %{{y:.3f}}<extra></extra>")  # fmt: skip
        number = "" if col == 1 else "2"
        fig.add_annotation(text=f"<b>printed: {name}</b>", x=0, xref=f"x{number} domain", xanchor="left", y=1.02,
                           yref="paper", yanchor="bottom", showarrow=False, font={"size": 12})  # fmt: skip
        rows += [[name, *values] for values in zip(bins, *map(rounded, (bars, *(ours[d] for d in marks))), strict=True)]
    key = {"● our forward KL": MULTI, "✕ our reverse KL": MULTI, "■ printed bars": GREY}
    for k, (text, colour) in enumerate(key.items()):
        label(fig, text, x=0.01, y=0.97 - 0.075 * k, colour=colour, xref="paper", yref="paper", yanchor="top")
    fig.update_xaxes(title="bin")
    fig.update_yaxes(range=[0, 0.5], dtick=0.1)
    fig.update_yaxes(title="probability", col=1)
    swapped, printed = (toy_misfit(swapped=s) for s in (True, False))
    return present(
        fig,
        claim="The printed bars fit our steps with the labels swapped" if swapped < 0.01 < printed else "Both readings",
        how=f"{TOY_STEPS} steps of plain descent at rate {TOY_RATE:g}, from {_list(TOY_START)} towards "
        f"{_list(TOY_TARGET)}.",
        alt=f"Bars printed as forward KL sit at our crosses, reverse KL, and the other way round. Largest distance "
        f"{swapped:.3f} with labels swapped, {printed:.3f} as printed.",
        columns=["label as printed", "bin", "printed", "our forward KL", "our reverse KL"],
        rows=rows,
    )


def _list(law: Law) -> str:
    """Shares for a sentence: ".3, .3, .1 and .3"."""
    words = [f"{v:g}".removeprefix("0") for v in law]
    return f"{', '.join(words[:-1])} and {words[-1]}"
