"""Floor 1: pure functions of arrays. No torch, no files, no global random state."""

from mrtlab.theory.distributions import (
    best_of_n,
    effective_support,
    entropy,
    expected_coverage,
    kl,
    tilt,
    tv,
)
from mrtlab.theory.worlds import (
    GaussianModes,
    LotteryConfig,
    LotteryWorld,
    cross_entropy,
    draw_counts,
    fit_tabular,
    make_world,
    retraining_gap,
    retraining_law,
)

__all__ = [
    "GaussianModes",
    "LotteryConfig",
    "LotteryWorld",
    "best_of_n",
    "cross_entropy",
    "draw_counts",
    "effective_support",
    "entropy",
    "expected_coverage",
    "fit_tabular",
    "kl",
    "make_world",
    "retraining_gap",
    "retraining_law",
    "tilt",
    "tv",
]
