"""What chapter 1's explorables compute and say, in Python: the twins of the JavaScript in ``show/js``.

A twin maps a state to the same numbers, sentence, alt text and data table as its module in the page. It serves readers
without JavaScript, and it is the oracle: a browser test requires both to agree (tests/book/test_explorables_parity.py).
"""

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

from mrtlab.show.explorables.common import Data, State, Table, fixed, mulberry32, percent
from mrtlab.theory import effective_support, expected_coverage

Law = Float[np.ndarray, " m"]

FRUITS = ("apple", "pear", "plum", "cherry", "mango", "fig", "lemon", "peach")
STRIP = 40  # trainings that the lottery's strip has room for
MOST = 64  # draws on the axis of the coverage curve
GOAL = 0.9  # share of the answers that the coverage figure asks for


def _ladder(n: int, d: float) -> Law:
    """n answers, each d times as likely as the one before it."""
    steps = np.float64(d) ** np.arange(n)
    return steps / steps.sum()


def _draw_counts(p: Law, k: int, seed: int, training: int) -> list[int]:
    """How often each answer comes up in the k draws of one training."""
    uniform = mulberry32((seed * 0x9E3779B1 + training * 0x85EBCA77) & 0xFFFFFFFF)
    counts = [0] * len(p)
    for _ in range(k):
        left, answer = next(uniform), 0
        while answer < len(p) - 1 and left >= p[answer]:
            left -= p[answer]
            answer += 1
        counts[answer] += 1
    return counts


def _chance_seen(p: Law, k: int) -> Law:
    """Chance that each answer is among k draws, 1 − (1 − p)ᵏ."""
    with np.errstate(divide="ignore"):
        return -np.expm1(k * np.log1p(-p)) + 0.0


def _expected_tv(p: Law, k: int) -> float:
    """E TV(p, c/k) of multinomial counts c: each count alone is binomial, so ½ Σ_y Σ_c P(c)·|c/k − p_y|."""
    counts = np.arange(k + 1)
    return float(0.5 * np.sum(binom.pmf(counts, k, p[:, None]) * np.abs(counts / k - p[:, None])))


def _expected_disagreement(p: Law, k: int) -> float:
    """E TV(c/k, c′/k) of two independent trainings; 1 − Σ p² for k = 1."""
    counts = np.arange(k + 1)
    chance = binom.pmf(counts, k, p[:, None])
    return float(0.5 * np.einsum("yc,yd,cd->", chance, chance, np.abs(counts[:, None] - counts) / k))


def _draws_needed(p: Law, share: float) -> int | None:
    """Smallest k whose expected coverage reaches this share of all answers; None when no k does."""
    goal = share * len(p)
    if np.sum(p > 0) <= goal:
        return None
    enough = 1
    while expected_coverage(p, enough) < goal:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        too_few, enough = (middle, enough) if expected_coverage(p, middle) < goal else (too_few, middle)
    return enough


# --- the lottery ---------------------------------------------------------------------------------------------


def lottery(state: State) -> Data:
    """Truth, the strip of trainings, the latest memory, and what to expect of all of them.

    Args:
        state: n answers, d (each next answer is d times as likely), k answers shown per training, seed, trainings.

    Returns:
        the numbers behind the figure; `memory` is the share of each answer among the k it was shown.

    >>> data = lottery({"n": 2, "d": 1.0, "k": 2, "seed": 1, "trainings": 1})
    >>> data["expected_coverage"], data["expected_tv"], data["same_top"]  # both seen half the time
    (1.5, 0.25, 0.5)
    """
    n, k, last = int(state["n"]), int(state["k"]), int(state["trainings"])
    truth = _ladder(n, state["d"])
    first = max(1, last - STRIP + 1)
    history = [_draw_counts(truth, k, int(state["seed"]), t) for t in range(first, last + 1)]
    return {
        "names": list(FRUITS[:n]),
        "truth": truth.tolist(),
        "first": first,
        "history": history,
        "memory": [count / k for count in history[-1]],
        "known": sum(count > 0 for count in history[-1]),
        "different_models": len({tuple(counts) for counts in history}),
        "expected_coverage": float(expected_coverage(truth, k)),
        "effective_support": float(effective_support(truth)),
        "expected_tv": _expected_tv(truth, k),
        "expected_disagreement": _expected_disagreement(truth, k),
        "same_top": float(truth @ truth),
    }


def lottery_sentence(data: Data, state: State) -> str:
    """The line under the lottery, as HTML."""
    k, again = state["k"], percent(data["same_top"])
    if k > 1:
        return (
            f"Shown K = {k} answers, a model knows <b>{fixed(data['expected_coverage'], 1)} of the {state['n']}</b>"
            f" on average; this one knows {data['known']}. Two trainings disagree on "
            f"<b>{percent(data['expected_disagreement'])}</b> of what they say; with K = 1 it is "
            f"{percent(1 - data['same_top'])}."
        )
    remembered = data["names"][data["memory"].index(1)]
    says = f"Shown one answer, this model says <b>{remembered}</b> and nothing else."
    if state["trainings"] == 1:
        return f"{says} Train it again: it will remember the same answer {again} of the time."
    different, shown = data["different_models"], len(data["history"])
    models = "one model" if different == 1 else f"<b>{different} different models</b>"
    which = f"The last {shown} trainings" if data["first"] > 1 else f"{state['trainings']} trainings"
    return f"{says} {which} on the same prompt gave {models}; any two agree only {again} of the time."


def lottery_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the lottery is told."""

    def listed(shares: list[float]) -> str:
        return ", ".join(f"{name} {percent(p)}" for name, p in zip(data["names"], shares, strict=True))

    return (
        f"Bars. The truth: {listed(data['truth'])}. The model after training {state['trainings']}, "
        f"shown K = {state['k']}: {listed(data['memory'])}. A strip beside them shows trainings {data['first']} to "
        f"{state['trainings']}, one column each."
    )


def lottery_table(data: Data, state: State) -> Table:
    """Truth, latest memory and mean memory of each answer."""
    mean = np.mean(np.array(data["history"]) / state["k"], axis=0)
    rows = zip(data["names"], data["truth"], data["memory"], mean, strict=True)
    return {
        "columns": ["answer", "truth", "this model", "all models in the strip, on average"],
        "rows": [[name, *map(percent, shares)] for name, *shares in rows],
    }


# --- coverage ------------------------------------------------------------------------------------------------


def coverage(state: State) -> Data:
    """Expected number of different answers among K draws, for every K on the axis.

    Args:
        state: n answers, d (each next answer is d times as likely), b (share of the generator's draws that are its
            pet answer, the likeliest one, whatever the prompt), k draws.

    Returns:
        the numbers behind the figure; `draws_needed` is None when no K reaches 90 % of the answers.

    >>> data = coverage({"n": 5, "d": 1.0, "b": 0.0, "k": 2})  # the second draw repeats the first one time in five
    >>> round(data["curve"][1], 6), round(data["covered_mass"], 6), data["draws_needed"]
    (1.8, 0.36, 11)
    """
    n, k, bias = int(state["n"]), int(state["k"]), state["b"]
    truth, even = _ladder(n, state["d"]), _ladder(n, 1.0)
    generator = (1 - bias) * truth + bias * np.eye(n)[0]
    draws = np.arange(1, MOST + 1)
    seen = _chance_seen(generator, k)
    return {
        "truth": truth.tolist(),
        "generator": generator.tolist(),
        "seen": seen.tolist(),
        "curve": expected_coverage(generator, draws).tolist(),
        "even_curve": expected_coverage(even, draws).tolist(),
        "covered_mass": float(truth @ seen),
        "effective_support": float(effective_support(generator)),
        "truth_effective_support": float(effective_support(truth)),
        "draws_needed": _draws_needed(generator, GOAL),
        "even_draws_needed": _draws_needed(even, GOAL),
    }


def coverage_sentence(data: Data, state: State) -> str:
    """The line under the coverage curve, as HTML."""
    k, n = int(state["k"]), state["n"]
    draws, shown = "draws show" if k > 1 else "draw shows", fixed(data["curve"][k - 1], 1)
    here = (
        f"K = {k} {draws} <b>{shown} of the {n} answers</b> on average, "
        f"which hold {percent(data['covered_mass'])} of the truth."
    )
    needed, even = data["draws_needed"], data["even_draws_needed"]
    if needed is None:
        return f"{here} No K shows the others: the generator never writes them."
    goal = f"You need <b>K = {needed:,}</b> to expect 90\u00a0% of them"
    if needed == even:
        return f"{here} {goal}; equal chances are the easiest case."
    return f"{here} {goal}; equally likely answers need K = {even}."


def coverage_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the curve is told."""
    k, n = int(state["k"]), state["n"]
    curve, even = data["curve"], data["even_curve"]
    return (
        f"Curve of the expected number of different answers against K, from 1 to {MOST}. It starts at 1.0, passes "
        f"{fixed(curve[k - 1], 1)} at K = {k} and reaches {fixed(curve[-1], 1)} of {n} at K = {MOST}. "
        f"For equally likely answers it passes {fixed(even[k - 1], 1)} at K = {k}. "
        f"Effective support: {fixed(data['effective_support'], 1)} answers."
    )


def coverage_table(data: Data, state: State) -> Table:
    """Expected coverage at K = 1, 2, 4 … 64, here and if all answers were equally likely."""
    marks = [(k, data["curve"][k - 1], data["even_curve"][k - 1]) for k in (1, 2, 4, 8, 16, 32, 64)]
    return {
        "columns": ["K", "different answers", "share of the answers", "if equally likely"],
        "rows": [[str(k), fixed(c, 2), percent(c / state["n"]), fixed(e, 2)] for k, c, e in marks],
    }
