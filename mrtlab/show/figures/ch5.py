"""Figures of chapter 5, learn or choose: success, the crossover map, coverage, a noisy verifier, and what it costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch3 import tagged
from mrtlab.show.figures.theme import GREY, INK, REWARD, SINGLE, label, present, rounded, tint
from mrtlab.theory.learn_or_choose import any_correct, noisy_verifier, noisy_verifier_limit

# name, colour, dash of each arm: vermillion learns from given strings, orange has to do with the reward's choice
ARMS = {
    "sft": ("learn from correct strings", SINGLE, "solid"),
    "best_of_n": ("choose with a trained judge", REWARD, "solid"),
    "filtered": ("learn from the judge's correct strings", SINGLE, "dot"),
    "distilled": ("learn from what was chosen", REWARD, "dash"),
}
WORLDS = {
    "realizable": "both classes right",
    "small_model": "learner's class too small",
    "small_reward": "judge's class too small",
    "label_noise": "noisy labels",
    "token_noise": "noisy strings",
    "falling": "coverage falls with T",
}
_CELL = 0.92  # height of a cell of the map, in rows
_TRAIN, _WRITE, _SCORE = 3, 1, 1  # passes over a bit: a training pass counts as three, as a backward pass costs two


def success_by_strings(results: Mapping[str, Any], *, world: str = "realizable") -> go.Figure:
    """Success of every arm against training strings n, one panel per reply length T."""
    n, lengths = results["design"]["n"], [t for t in results["design"]["lengths"] if t > 1]
    fig = make_subplots(rows=1, cols=len(lengths), shared_yaxes=True, horizontal_spacing=0.04,
                        subplot_titles=[f"T = {t}" for t in lengths])  # fmt: skip
    rows = []
    for column, t in enumerate(lengths, start=1):
        block = results["worlds"][world][f"t{t}"]
        for arm, (name, colour, dash) in ARMS.items():
            found = block[arm]
            if dash == "solid":
                fig.add_scatter(
                    x=n + n[::-1], y=rounded(found["hi"] + found["lo"][::-1]), fill="toself", mode="lines",
                    line={"width": 0}, fillcolor=tint(colour, 0.18), hoverinfo="skip", showlegend=False,
                    row=1, col=column,
                )  # fmt: skip
            fig.add_scatter(
                x=n, y=rounded(found["mean"]), name=name, mode="lines+markers", showlegend=column == 1, row=1,
                col=column, line={"color": colour, "width": 2.5, "dash": dash}, marker={"size": 5},
                hovertemplate=f"{name}<br>n = %{{x}}: %{{y:.0%}}<extra></extra>",
            )  # fmt: skip
        rows += [[t, strings, *[block[arm]["mean"][i] for arm in ARMS]] for i, strings in enumerate(n)]
    fig.update_xaxes(type="log", tickvals=n[::3], ticktext=[str(v) for v in n[::3]])
    fig.update_xaxes(title="training strings n", col=(len(lengths) + 1) // 2)  # one title: three touch on a phone
    fig.update_yaxes(range=[0, 1.04], tickformat=".0%")
    fig.update_yaxes(title="whole replies right", col=1)
    last = results["worlds"][world][f"t{lengths[-1]}"]
    present(
        fig,
        claim=_success_claim(results, world, lengths),
        how=f"World: {WORLDS[world]}. Log axis. Bands: 95 % binomial, each of {results['design']['truths']} truths "
        "counted as one trial.",
        alt=f"{len(lengths)} panels. At T = {lengths[-1]} from n = {n[0]} to {n[-1]}: "
        + "; ".join(f"{name} {last[a]['mean'][0]:.0%} to {last[a]['mean'][-1]:.0%}" for a, (name, *_) in ARMS.items())
        + ".",
        columns=["T", "n", *[name for name, *_ in ARMS.values()]],
        rows=rows,
        artifact="crossover.book",
        height=440,
    )
    return fig.update_layout(showlegend=True, legend={"orientation": "h", "y": -0.28, "x": 0}, margin_t=84)


def crossover_map(
    results: Mapping[str, Any], *, worlds: Sequence[str] = ("realizable", "small_model", "small_reward")
) -> go.Figure:
    """Learning minus choosing over n and T, one panel per world. The book's plotly has no heatmap: cells are bars."""
    design = results["design"]
    n, lengths = [f"{v}" for v in design["n"]], [f"{t}" for t in design["lengths"]]
    fig = make_subplots(rows=len(worlds), cols=1, shared_xaxes=True, vertical_spacing=0.09,
                        subplot_titles=[WORLDS[w] for w in worlds])  # fmt: skip
    rows, last = [], {}
    for row, world in enumerate(worlds, start=1):
        gaps = [results["worlds"][world][f"t{t}"]["sft_minus_best_of_n"] for t in lengths]
        for place, (t, gap) in enumerate(zip(lengths, gaps, strict=True)):
            clear = [low > 0 or high < 0 for low, high in zip(gap["lo"], gap["hi"], strict=True)]
            fig.add_bar(
                x=n, y=[_CELL] * len(n), base=place - _CELL / 2, width=0.96, row=row, col=1,
                marker={"color": [tint(SINGLE if v > 0 else REWARD, round(0.04 + 0.96 * abs(v), 2))
                                  for v in gap["mean"]]},
                text=[f"{100 * v:+.0f}".replace("-", "−") if sure else "·"
                      for v, sure in zip(gap["mean"], clear, strict=True)],
                textposition="inside", insidetextanchor="middle", textangle=0, constraintext="none",
                textfont={"color": INK, "size": 12}, customdata=rounded(gap["mean"]),
                hovertemplate=f"n = %{{x}}, T = {t}: %{{customdata:+.2f}}<extra></extra>",
            )  # fmt: skip
        rows += [[WORLDS[world], t, strings, g["mean"][i], g["lo"][i], g["hi"][i]]
                 for t, g in zip(lengths, gaps, strict=True) for i, strings in enumerate(n)]  # fmt: skip
        last[world] = gaps[-1]["mean"][-1]
    fig.update_yaxes(title="T (bits)", tickvals=list(range(len(lengths))), ticktext=lengths)
    fig.update_xaxes(type="category")
    fig.update_xaxes(title="training strings n", row=len(worlds))
    turns = last.get("small_model", 0) < 0 < last.get("small_reward", 0)
    present(
        fig,
        claim="Which class is wrong decides who wins" if turns else "Who wins, over strings and length",
        how="Points of success, learning minus choosing: vermillion where learning wins, orange where choosing does; a "
        "dot where the gap is within three standard errors.",
        alt="Maps over n and T. At the largest n and T learning minus choosing is "
        + ", ".join(f"{100 * gap:+.0f} points with {WORLDS[w]}" for w, gap in last.items())
        + ".",
        columns=["world", "T", "n", "learning − choosing", "low", "high"],
        rows=rows,
        artifact="crossover.book",
        height=150 + 120 * len(worlds),
    )
    fig.update_yaxes(showgrid=False)
    return fig.update_layout(margin_t=84, barmode="overlay")


def coverage_hides_length(results: Mapping[str, Any]) -> go.Figure:
    """Best-of-N with a perfect verifier against T: coverage fixed, or falling as c^T."""
    law, design = results["laws"]["collapse"], results["design"]
    c, candidates, fixed = design["accuracy"], design["candidates"], design["coverage"]
    t = np.arange(1, 65)
    falling, flat = any_correct(c**t, candidates), float(any_correct(fixed, candidates))
    fig = go.Figure()
    fig.add_scatter(x=t.tolist(), y=[round(flat, 3)] * len(t), mode="lines", line={"color": GREY, "width": 2.5})
    fig.add_scatter(x=t.tolist(), y=rounded(falling), mode="lines", line={"color": REWARD, "width": 2.5},
                    hovertemplate="T = %{x}: %{y:.0%}<extra></extra>")  # fmt: skip
    fig.add_scatter(
        x=law["lengths"], y=rounded(law["mean"]), mode="markers", marker={"color": REWARD, "size": 9},
        error_y=_bars(law), hovertemplate="drawn, T = %{x}: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    fig.add_vline(x=round(law["predicted"], 2), line={"color": INK, "width": 1, "dash": "dot"})
    label(fig, f"T = ln N / ln(1/c) = {law['predicted']:.0f}", x=law["predicted"] + 1, y=0.88, colour=INK)
    label(fig, tagged(f"coverage fixed at {fixed:g}", GREY), x=63.0, y=flat + 0.01, colour=INK, xanchor="right",
          yanchor="bottom")  # fmt: skip
    label(fig, tagged(f"c = {c:g} per bit", REWARD), x=35.0, y=float(falling[31]), colour=INK)
    fig.update_xaxes(title="bits in a reply, T", range=[0, 65])
    fig.update_yaxes(title="whole replies right", range=[0, 1.1], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    drawn = dict(zip(law["lengths"], law["mean"], strict=True))
    return present(
        fig,
        claim="A fixed coverage hides what length does to choosing",
        how=f"Best of {candidates} with a perfect judge. Lines: closed form. Points: drawn, with 95 % intervals.",
        alt=f"With fixed coverage a flat line at {flat:.0%}. With coverage c^T a fall: "
        + ", ".join(f"{share:.0%} at T = {length}" for length, share in drawn.items())
        + ".",
        columns=["T", "falling, drawn", "low", "high", "falling, closed form", "fixed"],
        rows=[[length, m, low, high, x, flat]
              for length, m, low, high, x in zip(law["lengths"], law["mean"], law["lo"], law["hi"], law["expected"],
                                                 strict=True)],
        artifact="crossover.book",
        height=400,
    )  # fmt: skip


def noisy_verifier_ceiling(results: Mapping[str, Any]) -> go.Figure:
    """Best-of-N against N when wrong candidates are accepted with probability f."""
    law = results["laws"]["noisy"]
    alpha, f, n = law["coverage"], law["false_accept"], np.array(law["candidates"])
    limit = float(noisy_verifier_limit(alpha, f))
    fig = go.Figure()
    curves = {"perfect judge": (any_correct(alpha, n), INK), f"false accepts {f:g}": (law["expected"], REWARD)}
    rates = [f / 10, f]
    for name, (values, colour) in curves.items():
        fig.add_scatter(x=n.tolist(), y=rounded(values), mode="lines", name=name,
                        line={"color": colour, "width": 2.5},
                        hovertemplate=name + "<br>N = %{x}: %{y:.1%}<extra></extra>")  # fmt: skip
    fig.add_scatter(x=n.tolist(), y=rounded(noisy_verifier(alpha, rates[0], n)), mode="lines",
                    line={"color": REWARD, "width": 2, "dash": "dash"})  # fmt: skip
    fig.add_scatter(
        x=n.tolist(), y=rounded(law["mean"]), mode="markers", marker={"color": REWARD, "size": 8}, error_y=_bars(law),
        hovertemplate="drawn, N = %{x}: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    for rate in rates:
        end = float(noisy_verifier_limit(alpha, rate))
        label(fig, tagged(f"f = {rate:g}: {end:.0%}", REWARD), x=float(np.log10(n[-1])),
              y=end - 0.05, colour=INK, xanchor="right", yanchor="top")  # fmt: skip
    label(fig, tagged("perfect judge", INK), x=float(np.log10(n[-1])), y=1.02, colour=INK, xanchor="right",
          yanchor="bottom")  # fmt: skip
    fig.update_xaxes(title="candidates N (log axis)", type="log", tickvals=n.tolist(), ticktext=[str(v) for v in n])
    fig.update_yaxes(title="right answers", range=[0, 1.12], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    falls = any(hi < max(law["lo"][:i]) for i, hi in enumerate(law["hi"]) if i)
    return present(
        fig,
        claim="More candidates make a noisy judge worse" if falls else "A noisy judge sets a ceiling, not a fall",
        how=f"Coverage α = {alpha:g}; f: share of wrong candidates that pass. Lines: closed form. Points: drawn, with "
        "95 % intervals. The ceiling is α / (α + (1 − α)f).",
        alt=f"With false accepts {f:g} success rises from {law['mean'][0]:.0%} at N = {n[0]} to {law['mean'][-1]:.0%} "
        f"at N = {n[-1]}; the limit is {limit:.0%}. A perfect judge reaches {float(any_correct(alpha, n[-1])):.0%}.",
        columns=["N", "drawn", "low", "high", "closed form", "perfect judge"],
        rows=[[int(v), m, low, high, x, float(any_correct(alpha, int(v)))]
              for v, m, low, high, x in zip(n, law["mean"], law["lo"], law["hi"], law["expected"], strict=True)],
        artifact="crossover.book",
        height=400,
    )  # fmt: skip


def bits_processed(
    *, length: int, queries: Any, learn: int = 0, fit: int = 0, draw: int = 0, candidates: int = 1
) -> Any:
    """Bits read or written to train and then to answer: 3T·(learn + fit) + 2T·draw + queries·T·N·(1 or 2).

    Every string trained on costs three passes over its T bits, every string written one, every string scored one.
    Candidates are scored only where there are several to choose from.

    Args:
        length: T, bits in a reply.
        queries: answers given, a number or an array.
        learn: strings that a next-bit rule is trained on.
        fit: strings that a reward is trained on.
        draw: strings written and scored once, to learn from the chosen ones.
        candidates: N written per query.

    Returns:
        bits, in the shape of `queries`.

    >>> bits_processed(length=10, queries=5, learn=2), bits_processed(length=10, queries=5, fit=2, candidates=4)
    (110, 460)
    """
    per_query = length * candidates * (_WRITE + _SCORE if candidates > 1 else _WRITE)
    return length * (_TRAIN * (learn + fit) + (_WRITE + _SCORE) * draw) + queries * per_query


def cost_by_queries(results: Mapping[str, Any], *, length: int = 16) -> go.Figure:
    """Bits processed to train and to answer Q queries, for learning, choosing, and learning what was chosen."""
    need, candidates = results["need"], results["design"]["candidates"]
    learn, fit = (int(np.ceil(need[arm][f"t{length}"]["value"])) for arm in ("sft", "best_of_n"))
    queries = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
    plans = {
        "sft": bits_processed(length=length, queries=queries, learn=learn),
        "best_of_n": bits_processed(length=length, queries=queries, fit=fit, candidates=candidates),
        "distilled": bits_processed(length=length, queries=queries, learn=fit, fit=fit, draw=fit * candidates),
    }
    fig = go.Figure()
    for arm, bits in plans.items():
        name, colour, dash = ARMS[arm]
        fig.add_scatter(x=queries.tolist(), y=bits.tolist(), mode="lines", name=name,
                        line={"color": colour, "width": 2.5, "dash": dash},
                        hovertemplate=name + "<br>%{x} queries: %{y} bits<extra></extra>")  # fmt: skip
    names = {  # text, and where: at which number of queries, on which side of it
        "sft": ("learn", 6, "left", "top"),
        "best_of_n": ("choose", 6, "right", "bottom"),
        "distilled": ("learn what<br>was chosen", 0, "left", "bottom"),
    }
    for arm, (text, at, side, height) in names.items():
        label(fig, tagged(text, ARMS[arm][1]), x=float(np.log10(queries[at])), y=float(np.log10(plans[arm][at])),
              colour=INK, xanchor=side, yanchor=height, align="left")  # fmt: skip
    fig.update_xaxes(title="queries answered (log axis)", type="log", tickvals=[1, 10, 100, 1000],
                     range=[0, float(np.log10(queries[-1]))])  # fmt: skip
    fig.update_yaxes(title="bits processed (log axis)", type="log", exponentformat="none", dtick=1)
    pays = next((int(q) for q, a, b in zip(queries, plans["distilled"], plans["best_of_n"], strict=True) if a < b), 0)
    return present(
        fig,
        claim="Choosing pays at every query; learning pays once",
        how=f"T = {length}. Each learner gets what it needs for {results['design']['need']:.0%} success: {learn} "
        f"correct ones, or {fit} labelled ones. Training counts as three passes over a bit.",
        alt=f"After {queries[-1]} queries learning has processed {plans['sft'][-1]} bits, choosing among {candidates} "
        f"{plans['best_of_n'][-1]}, learning what was chosen {plans['distilled'][-1]}, which is less than choosing "
        f"from {pays} queries on.",
        columns=["queries", *[f"{ARMS[arm][0]} (bits)" for arm in plans]],
        rows=[[int(q), *[int(plans[arm][i]) for arm in plans]] for i, q in enumerate(queries)],
        artifact="crossover.book",
        height=400,
    )


def _success_claim(results: Mapping[str, Any], world: str, lengths: Sequence[int]) -> str:
    """A title that the largest n of the longest replies bears out."""
    gap = results["worlds"][world][f"t{lengths[-1]}"]["sft_minus_best_of_n"]
    if gap["hi"][-1] < 0:
        return "Choosing overtakes learning once strings are plenty"
    if min(gap["lo"]) > 0.1:
        return "Learning stays ahead however many strings there are"
    if max(gap["lo"]) > 0:
        return "Learning needs fewer strings, if they are correct ones"
    return "Learning and choosing keep level"


def _bars(law: Mapping[str, Any]) -> dict[str, Any]:
    """Error bars from ends to means."""
    up = [hi - m for hi, m in zip(law["hi"], law["mean"], strict=True)]
    down = [m - lo for lo, m in zip(law["lo"], law["mean"], strict=True)]
    return {
        "array": rounded(up),
        "arrayminus": rounded(down),
        "color": REWARD,
        "thickness": 1.5,
        "width": 4,
    }
