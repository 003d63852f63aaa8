"""Figures of chapter 6 that look at single prompts: retrainings side by side, training as a film, a chosen diet.

Jobs stand in the order of the truth. "The rest" is what is left of the probability, be it other jobs or none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import GRID, spoken
from mrtlab.show.figures.film import play_button, scrubber
from mrtlab.show.figures.theme import INK, MULTI, SINGLE, present, rounded

_REST = "the rest"
_NAMED, _MOST = 8, 11  # jobs that get a bar of their own: so many by truth, and favourites of the models up to so many
_RETRAININGS = 5
Law = Sequence[float]


def lottery(results: Mapping[str, Any], *, prompt: int = 0) -> go.Figure:
    """One shown prompt, retrained on other draws: a panel per retraining, K = 1 above the largest K.

    Args:
        results: of the grid.
        prompt: which of the portraits; the first two were shown in every training.
    """
    portraits, top = results["portraits"], results["design"]["k"][-1]
    asked, updates = portraits["prompts"][prompt], results["design"]["many"]
    found = {
        run: [seed[prompt] for seed in portraits["final"][run][:_RETRAININGS]] for run in ("many_k1", f"many_k{top}")
    }
    n = len(found["many_k1"])
    names, pick = _named(portraits["jobs"], asked["truth"], found["many_k1"])
    fig = make_subplots(rows=2, cols=n, shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.02,
                        vertical_spacing=0.1)  # fmt: skip
    rows = []
    for row, (run, colour) in enumerate(zip(found, (SINGLE, MULTI), strict=True), start=1):
        for col, law in enumerate(found[run], start=1):
            _bars(fig, names, pick(asked["truth"]), pick(law), colour, row=row, col=col)
            rows += [[1 if row == 1 else top, col, *pair] for pair in zip(names, pick(asked["truth"]), pick(law),
                                                                          strict=True)]  # fmt: skip
        k, passes = (1, top)[row - 1], results["arms"]["many"][f"k{(1, top)[row - 1]}"]["passes"]
        often = "once" if passes == 1 else f"{passes:g} times"
        text = f"{spoken(k)} response{'s' * (k > 1)}, read {often}"
        fig.add_annotation(text=f"<b>K = {k}</b>: {text}", x=0, xref="x domain",
                           xanchor="left", y=1.01, yref=f"y{'' if row == 1 else n + 1} domain", yanchor="bottom",
                           showarrow=False)  # fmt: skip
    _axes(fig)
    fig.update_xaxes(title="probability", row=2, col=(n + 1) // 2)
    bets = [portraits["jobs"][int(np.argmax(law))] for law in found["many_k1"]]
    sure = [max(law) for law in found["many_k1"]]
    off = {run: float(np.mean([misplaced(asked["truth"], law) for law in laws])) for run, laws in found.items()}
    present(
        fig,
        claim=_lottery_claim(bets, sure, off, top),
        how=f"“{asked['text']}” Outline: the truth. Filled: the model after {updates} updates. Each column is one "
        "retraining on other draws from the same truth.",
        alt=f"{2 * n} panels of bars. At K = 1 the favourites are "
        + ", ".join(f"{job} with {p:.0%}" for job, p in zip(bets, sure, strict=True))
        + f". On average {off['many_k1']:.0%} of the probability is in the wrong place at K = 1, "
        f"{off[f'many_k{top}']:.0%} at K = {top}.",
        columns=["K", "retraining", "job", "truth", "model"],
        rows=rows,
        artifact=GRID,
        height=560,
    )
    return fig.update_layout(margin_t=80, margin_l=76, barmode="overlay", bargap=0)


def _lottery_claim(bets: Sequence[str], sure: Sequence[float], off: Mapping[str, float], top: int) -> str:
    """How many different bets, if they are bets at all."""
    one, many = off.values()
    if many >= one:
        return f"Retrained on one response and on {spoken(top)}, beside the truth"
    if min(sure) > 0.5:
        different = len(set(bets))
        if different == len(bets):
            return f"{spoken(len(bets)).capitalize()} retrainings on one response bet on {spoken(different)} jobs"
        if different > 1:
            return f"{spoken(len(bets)).capitalize()} retrainings on one response, {spoken(different)} different bets"
    return f"With {spoken(top)} responses retrainings stay nearer the truth than with one"


def training_film(results: Mapping[str, Any]) -> go.Figure:
    """Bars of p(job) along training, for a shown prompt and an unseen one, K = 1 beside the largest K.

    It opens on the last update; a slider under it goes back to any look before.
    """
    portraits, top = results["portraits"], results["design"]["k"][-1]
    runs = ("many_k1", f"many_k{top}")
    films = {run: portraits["frames"][run] for run in runs}
    steps = films[runs[0]]["step"]
    prompts = [portraits["prompts"][place] for place in portraits["framed"]]
    named = [
        _named(portraits["jobs"], asked["truth"], [film["p"][-1][i] for film in films.values()])
        for i, asked in enumerate(prompts)
    ]
    fig = make_subplots(rows=2, cols=2, shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.04,
                        vertical_spacing=0.1)  # fmt: skip
    moving = []
    for i, (asked, (names, pick)) in enumerate(zip(prompts, named, strict=True)):
        for col, (run, colour) in enumerate(zip(runs, (SINGLE, MULTI), strict=True), start=1):
            _bars(fig, names, pick(asked["truth"]), pick(films[run]["p"][-1][i]), colour, row=i + 1, col=col)
            moving.append(len(fig.data) - 1)
            text = f"K = {1 if col == 1 else top}, {'shown' if asked['shown'] else 'unseen'}"
            panel = "" if len(moving) == 1 else str(len(moving))
            fig.add_annotation(text=f"<b>{text}</b>", x=0, xref=f"x{panel} domain", xanchor="left", y=1.01,
                               yref=f"y{panel} domain", yanchor="bottom", showarrow=False)  # fmt: skip
    _axes(fig)
    fig.update_xaxes(title="probability", row=2)
    fig.frames = [
        go.Frame(name=str(step), traces=moving,
                 data=[{"type": "bar", "x": rounded(named[i][1](films[run]["p"][at][i]))}
                       for i in range(2) for run in runs])
        for at, step in enumerate(steps)
    ]  # fmt: skip
    off = {  # [step][prompt]: probability in the wrong place
        run: np.array([[misplaced(asked["truth"], law) for asked, law in zip(prompts, look, strict=True)]
                       for look in film["p"]])
        for run, film in films.items()
    }  # fmt: skip
    present(
        fig,
        claim=_film_claim(*off.values(), top),
        how=f"“{prompts[0]['text']}” above, “{prompts[1]['text']}” below. Outline: the truth. Filled: the model, "
        f"at first after {steps[-1]} updates; the slider goes back to 0.",
        alt="Four panels of bars with a slider over updates. Probability in the wrong place, shown and unseen prompt: "
        + "; ".join(
            f"K = {1 if run == runs[0] else top}: {told[0][0]:.0%} and {told[0][1]:.0%} before, {told[-1][0]:.0%} and "
            f"{told[-1][1]:.0%} at the end, at its least {told.min(axis=0)[0]:.0%} and {told.min(axis=0)[1]:.0%}"
            for run, told in off.items()
        )
        + ".",
        columns=["update", *[f"K = {1 if run == runs[0] else top}, {which}: in the wrong place"
                             for run in runs for which in ("shown", "unseen")]],
        rows=[[step, *[float(v) for told in off.values() for v in told[at]]] for at, step in enumerate(steps)],
        artifact=GRID,
        height=680,
    )  # fmt: skip
    fig.update_layout(margin_t=80, margin_l=76, margin_b=150, barmode="overlay", bargap=0)
    return fig.update_layout(sliders=[scrubber(steps, prefix="update ")], updatemenus=[play_button()])


def _film_claim(one: np.ndarray, many: np.ndarray, top: int) -> str:
    """Does K = 1 come nearer and move away again, and does the largest K end nearer the truth on both prompts?"""
    nearer = bool((many[-1] < one[-1]).all())
    if nearer and one[-1].mean() > one.mean(axis=1).min() + 0.1:
        return "With one response the model comes nearer the truth, then moves away from it"
    if nearer:
        return f"With {spoken(top)} responses training ends nearer the truth than with one"
    return f"Training on one response and on {spoken(top)}, update by update"


def selector_portrait(
    results: Mapping[str, Any], *, world: str = "fair", k: int = 8, prompt: int = 0, rules: Sequence[str] = ()
) -> go.Figure:
    """What a model trained on the best by reward says about one prompt, beside one trained on random choice.

    Args:
        results: of the selectors.
        world: "fair" or "peaked".
        k: how many of the candidates were kept.
        prompt: which of the portraits.
        rules: in place of random and top; at most three.
    """
    from mrtlab.data.tasks import words
    from mrtlab.data.tasks.callings import judge
    from mrtlab.lab.callings_data import CALLINGS, exam
    from mrtlab.show.figures.ch6_choices import NAMES, colour_of

    asked, looks = exam(0).portraits[prompt], results["portraits"][world][f"k{k}"]
    truth, liked = CALLINGS.truth(asked).p.tolist(), judge(words.JOBS)
    laws = {rule: looks[rule][prompt] for rule in rules or ("random", "top")}
    names, pick = _named(words.JOBS, truth, list(laws.values()))
    fig = make_subplots(rows=1, cols=len(laws), shared_yaxes=True, horizontal_spacing=0.04)
    for col, (rule, law) in enumerate(laws.items(), start=1):
        _bars(fig, names, pick(truth), pick(law), colour_of(rule), row=1, col=col)
        fig.add_annotation(text=f"<b>{NAMES[rule]}</b>", x=0, xref=f"x{'' if col == 1 else col} domain",
                           xanchor="left", y=1.01, yref="y domain", yanchor="bottom", showarrow=False)  # fmt: skip
    _axes(fig)
    fig.update_xaxes(title="probability")
    best = set(np.asarray(words.JOBS)[np.argsort(-liked)[: len(words.JOBS) // 4]])
    on_best = {rule: float(sum(p for p, job in zip(law, words.JOBS, strict=True) if job in best))
               for rule, law in laws.items()}  # fmt: skip
    fair = float(sum(p for p, job in zip(truth, words.JOBS, strict=True) if job in best))
    starred = [f"{name} ★" if name in best else name for name in names]
    fig.update_yaxes(tickvals=names, ticktext=starred)
    first, *_, last = laws
    return present(
        fig,
        claim=f"{NAMES[last].capitalize()} teaches what the judge likes"
        if on_best[last] > max(fair, on_best[first]) + 0.05
        else "What the judge likes leaves little mark on this prompt",
        how=f"“{asked.text}” Outline: the truth. Filled: a model trained on {k} of {results['design']['candidates']} "
        "candidates. ★: a job that the choosing judge ranks in its best quarter.",
        alt=f"Bars beside the truth. Probability on the judge's best quarter of jobs: truth {fair:.0%}, "
        + ", ".join(f"{NAMES[rule]} {share:.0%}" for rule, share in on_best.items())
        + ".",
        columns=["job", "truth", *[NAMES[rule] for rule in laws]],
        rows=[list(row) for row in zip(starred, pick(truth), *(pick(law) for law in laws.values()), strict=True)],
        artifact="callings_selectors.book",
        height=400,
    ).update_layout(margin_t=80, margin_l=90, barmode="overlay", bargap=0)


def misplaced(truth: Law, law: Law) -> float:
    """Probability in the wrong place, ½ Σ |p* − p|, with what a law gives to no job as one more answer.

    >>> misplaced([0.5, 0.5], [0.7, 0.1])  # ½ (.2 + .4 + .2)
    0.4
    """
    p = np.asarray(law)
    return round(float(0.5 * (np.abs(np.asarray(truth) - p).sum() + max(0.0, 1 - p.sum()))), 9)


def _named(jobs: Sequence[str], truth: Law, laws: Sequence[Law]) -> tuple[list[str], Any]:
    """The jobs that get a bar, likeliest first, and a function from a law over all jobs to their probabilities.

    Favourites of the laws are among them, wherever the truth has them; the last bar is what is left of 1.
    """
    order = np.argsort(-np.asarray(truth), kind="stable").tolist()
    shown = set(order[:_NAMED])
    for law in laws:
        if len(shown) < _MOST:
            shown.add(int(np.argmax(law)))
    kept = [place for place in order if place in shown]

    def pick(law: Law) -> list[float]:
        p = [float(law[place]) for place in kept]
        return [*p, max(0.0, 1 - sum(p))]

    return [*[jobs[place] for place in kept], _REST], pick


def _bars(fig: go.Figure, names: Sequence[str], truth: Law, law: Law, colour: str, **where: int) -> None:
    """The truth as an outline, the model as a bar in it."""
    fig.add_bar(
        y=names, x=rounded(truth), orientation="h", width=0.9, hoverinfo="skip",
        marker={"color": "rgba(0,0,0,0)", "line": {"color": INK, "width": 1.2}}, **where,
    )  # fmt: skip
    fig.add_bar(
        y=names, x=rounded(law), orientation="h", width=0.56, marker={"color": colour, "line": {"width": 0}},
        hovertemplate="%{y}: %{x:.0%}<extra></extra>", **where,
    )  # fmt: skip


def _axes(fig: go.Figure) -> None:
    """Probabilities from 0 to 1 with as few marks as a phone has room for, the likeliest job on top."""
    fig.update_xaxes(range=[0, 1], tickvals=[0, 0.5], ticktext=["0", "½"], tickangle=0)
    fig.update_yaxes(autorange="reversed", showgrid=False)
