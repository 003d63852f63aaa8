"""Where several responses pay most: the gain of K = 4 over K = 1 in a lottery with dials, exact and simulated.

A memory (`fit_tabular`) reads a lottery of 100 prompts in which some ask the same question. What it gains from four
responses per prompt instead of one is E[L(r)] − E[L(4r)]. Here L(n) is the expected loss after n answers, the mean
of `mrtlab.theory.retraining_law`, and r = 1 + Binomial(100 − Q, 1/Q) the number of prompts that ask one of the Q
questions. Questions count equally in the test, since a fresh prompt may ask any of them.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import binom

from mrtlab.theory import LotteryConfig, cross_entropy, draw_counts, fit_tabular, make_world

N_PROMPTS, N_MODES = 100, 5
DIVERSITIES = (0.2, 0.4, 0.6, 0.8, 1.0)
REDUNDANCIES = (0.0, 0.5, 0.8, 0.9)
SMOOTHINGS = (0.1, 1.0)
FEW, MANY = 1, 4

_STREAM = 61
_RARE = 1e-12  # numbers of repeats less likely than this are left out


@dataclass(frozen=True, kw_only=True)
class GainCell:
    """Simulated gains at every setting of the dials; `lotteries` worlds each."""

    seed: int
    lotteries: int

    @property
    def label(self) -> str:
        """Such as "gain-seed3"."""
        return f"gain-seed{self.seed}"


def settings() -> list[tuple[float, float, float]]:
    """All (smoothing, diversity, redundancy), in this order of loops."""
    return [(s, d, r) for s in SMOOTHINGS for d in DIVERSITIES for r in REDUNDANCIES]


def run_gain_cell(cell: GainCell) -> dict[str, Any]:
    """Train memories on few and on many responses and compare their test loss.

    Returns:
        gain: nats per answer, one entry per setting, mean over lotteries.
    """
    gains = []
    for at, (smoothing, diversity, redundancy) in enumerate(settings()):
        rng = np.random.default_rng([_STREAM, cell.seed, at])
        config = LotteryConfig(n_prompts=N_PROMPTS, n_modes=N_MODES, diversity=diversity, redundancy=redundancy)
        found = []
        for _ in range(cell.lotteries):
            world = make_world(config, rng=rng)
            _, first = np.unique(world.question, return_index=True)  # one prompt for each question
            loss = [
                cross_entropy(
                    world.truth, fit_tabular(draw_counts(world, k, rng=rng), world.question, smoothing=smoothing)
                )[first].mean()
                for k in (FEW, MANY)
            ]
            found.append(loss[0] - loss[1])
        gains.append(float(np.mean(found)))
    return {"gain": gains}


def ladder(diversity: float) -> np.ndarray:
    """Answer probabilities ∝ diversityʳ, most likely first.

    >>> ladder(0.5) * 31
    array([16.,  8.,  4.,  2.,  1.])
    """
    steps = np.float64(diversity) ** np.arange(N_MODES)
    return steps / steps.sum()


def exact_gain(smoothing: float, diversity: float, redundancy: float) -> float:
    """Expected gain of four responses per prompt over one, in nats per answer, without simulation."""
    questions = max(1, round((1 - redundancy) * N_PROMPTS))
    repeats = np.arange(N_PROMPTS - questions + 1)
    share = binom.pmf(repeats, N_PROMPTS - questions, 1 / questions)
    return float(
        sum(
            p
            * (expected_loss(smoothing, diversity, FEW * (1 + r)) - expected_loss(smoothing, diversity, MANY * (1 + r)))
            for r, p in zip(repeats.tolist(), share, strict=True)
            if p > _RARE
        )
    )


@cache
def expected_loss(smoothing: float, diversity: float, n: int) -> float:
    """Mean test loss of a memory after n answers to one question; the mean of `retraining_law`, without its sd.

    >>> round(expected_loss(0.1, 1.0, 0), 4)  # it knows nothing: log 5
    1.6094
    """
    truth, counts = ladder(diversity), np.arange(n + 1)
    loss = -np.log((counts + smoothing / N_MODES) / (n + smoothing))
    return float(truth @ (binom.pmf(counts[None, :], n, truth[:, None]) @ loss))


def gradient_ratio(diversity: float) -> float | None:
    """V_{y|x}/V_x of the memory's logit gradient at its even start, (1 − Σp²)/(Σp² − 1/M); None when V_x is 0.

    Each question has logits of its own, so the mean gradient over many questions vanishes: between questions the
    squared length of p − 1/M varies, within a question that of a drawn answer around p.

    >>> round(gradient_ratio(0.5), 3)  # Σp² = 341/961, so (620/961) / (148.8/961)
    4.167
    """
    together = float(np.sum(ladder(diversity) ** 2))
    between = together - 1 / N_MODES
    return (1 - together) / between if between > 1e-12 else None
