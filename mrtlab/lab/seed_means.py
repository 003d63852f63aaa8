"""Means over seeds with Student's 95 % interval, entry by entry."""

import numpy as np
from jaxtyping import Float
from scipy import stats

Numbers = Float[np.ndarray, "seeds *rest"]
Summary = dict[str, list | float]


def over_seeds(values: Numbers) -> Summary:
    """Mean over seeds and its 95 % interval, mean ± t·sd/√seeds.

    Args:
        values: one row per seed, at least 2; any shape behind.

    Returns:
        mean, lo, hi: plain numbers, or lists in the shape of a row.

    Raises:
        ValueError: fewer than 2 seeds.

    >>> {k: round(v, 2) for k, v in over_seeds(np.array([1.0, 3.0])).items()}  # t = 12.71, sd/√2 = 1
    {'mean': 2.0, 'lo': -10.71, 'hi': 14.71}
    """
    if len(values) < 2:
        raise ValueError(f"an interval over seeds needs at least 2 seeds, got {len(values)}")
    mean = values.mean(axis=0)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return {"mean": mean.tolist(), "lo": (mean - half).tolist(), "hi": (mean + half).tolist()}


def ratio_over_seeds(top: Numbers, bottom: Numbers) -> Summary:
    """Geometric mean over seeds of top/bottom, paired by seed, with its 95 % interval on the log scale.

    Args:
        top: positive numbers, one row per seed.
        bottom: the same shape; row i of both comes from the same seed.

    Returns:
        mean, lo, hi.

    >>> ratio_over_seeds(np.array([2.0, 4.0]), np.array([1.0, 2.0]))
    {'mean': 2.0, 'lo': 2.0, 'hi': 2.0}
    """
    found = over_seeds(np.log(top) - np.log(bottom))
    return {name: np.exp(v).tolist() for name, v in found.items()}
