"""How spread retrainings are, with intervals. A table has one row per seed, one column per retraining.

Each seed has a test set of its own. What we ask is how much *retraining* moves the loss, so spread is measured
within seeds and then pooled; the bootstrap redraws retrainings within each seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

Table = Float[np.ndarray, "seeds retrainings"]

_RESAMPLES = 4000
_Z95 = 1.959964  # standard normal, 97.5 % quantile
_FLOOR = 1e-12  # a resample may repeat one value only; its spread counts as this instead of 0


def pooled_sd(*rows: np.ndarray, axis: int = -1) -> Any:
    """Standard deviation within seeds, √(mean over seeds of the unbiased variance).

    Args:
        rows: one array of retrainings per seed; with more axes, `axis` is the one over retrainings.
        axis: as above.

    >>> float(pooled_sd(np.array([0.0, 2.0]), np.array([10.0, 12.0])))  # both variances are 2
    1.4142135623730951
    """
    return np.sqrt(np.mean([np.var(row, axis=axis, ddof=1) for row in rows], axis=0))


def summary(table: Table, *, rng: np.random.Generator, cv: bool = False) -> dict[str, float]:
    """Mean, median and spread of retrainings, with 95 % intervals.

    The mean's interval is Student's over seed means, so it covers the choice of test set as well. The intervals
    of sd and cv = sd/mean are `bootstrap_interval`s.

    Args:
        table: (seeds, retrainings), at least 2 × 2.
        rng: source of the bootstrap.
        cv: also report the coefficient of variation; needs a quantity with a meaningful zero and positive mean.

    Returns:
        mean, mean_lo, mean_hi, median, sd, sd_lo, sd_hi and, if asked for, cv, cv_lo, cv_hi.

    Raises:
        ValueError: the table is too small to have a spread.
    """
    if table.shape[0] < 2 or table.shape[1] < 2:
        raise ValueError(f"need at least 2 seeds × 2 retrainings for an interval, got {table.shape}")
    by_seed = table.mean(axis=1)
    half = stats.t.ppf(0.975, len(by_seed) - 1) * by_seed.std(ddof=1) / np.sqrt(len(by_seed))
    sd, sd_lo, sd_hi = bootstrap_interval(pooled_sd, table, rng=rng)
    result = {
        "mean": float(by_seed.mean()),
        "mean_lo": float(by_seed.mean() - half),
        "mean_hi": float(by_seed.mean() + half),
        "median": float(np.median(table)),
        "sd": sd,
        "sd_lo": sd_lo,
        "sd_hi": sd_hi,
    }
    if cv:
        result |= dict(zip(("cv", "cv_lo", "cv_hi"), bootstrap_interval(_cv, table, rng=rng), strict=True))
    return result


def sd_ratio(top: Table, bottom: Table, *, rng: np.random.Generator) -> dict[str, float]:
    """How many times as spread `top` is as `bottom`: ratio of pooled sds with a 95 % `bootstrap_interval`.

    Args:
        top: (seeds, retrainings).
        bottom: (seeds, retrainings), drawn independently of top.
        rng: source of the bootstrap.

    Returns:
        ratio, lo, hi.
    """
    half = len(top)

    def ratio(*rows: np.ndarray, axis: int = -1) -> Any:
        return pooled_sd(*rows[:half], axis=axis) / np.maximum(pooled_sd(*rows[half:], axis=axis), _FLOOR)

    names = ("ratio", "lo", "hi")
    return dict(zip(names, bootstrap_interval(ratio, np.concatenate([top, bottom]), rng=rng), strict=True))


def bootstrap_interval(
    statistic: Callable[..., Any], rows: Table, *, rng: np.random.Generator
) -> tuple[float, float, float]:
    """A positive statistic with its 95 % interval, by bootstrap within rows on the log scale.

    estimate · exp(±1.96 s), s = √(n/(n − 1)) · sd of log statistic over resamples. The log scale keeps the interval
    positive; the factor makes up for resamples of n values being too alike. For the sd of 10 × 20 tables such
    intervals held the truth in 94 % of 400 simulations with normal values and 91 % with log-normal ones (σ = ½);
    plain percentiles held it in 87 % and 83 %.

    Args:
        statistic: takes one array per row and the keyword `axis`, returns a positive number per resample.
        rows: (rows, n); each row is resampled by itself.
        rng: source of the resamples.

    Returns:
        estimate, lower end, upper end; all equal if the statistic is the same whatever is drawn.
    """

    def log_statistic(*resampled: np.ndarray, axis: int = -1) -> Any:
        return np.log(np.maximum(statistic(*resampled, axis=axis), _FLOOR))

    estimate = float(statistic(*rows))
    drawn = stats.bootstrap(
        tuple(rows),
        log_statistic,
        n_resamples=_RESAMPLES,
        vectorized=True,
        method="percentile",
        random_state=rng,
    )
    n = rows.shape[1]
    spread = _Z95 * np.sqrt(n / (n - 1)) * float(drawn.standard_error)
    return estimate, estimate * float(np.exp(-spread)), estimate * float(np.exp(spread))


def _cv(*rows: np.ndarray, axis: int = -1) -> Any:
    """Coefficient of variation, pooled sd over overall mean."""
    return pooled_sd(*rows, axis=axis) / np.mean([row.mean(axis=axis) for row in rows], axis=0)


@dataclass(frozen=True)
class LineFit:
    """Least squares line: intercept, slope, and the share r2 of the variance of y that it explains."""

    intercept: float
    slope: float
    r2: float


def line_fit(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> LineFit:
    """Fit y = intercept + slope · x by least squares.

    Raises:
        ValueError: fewer than three points, or all y alike: then r2 says nothing.

    >>> fit = line_fit(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
    >>> round(fit.intercept, 9), round(fit.slope, 9), round(fit.r2, 9)
    (1.0, 2.0, 1.0)
    """
    if len(x) < 3 or np.ptp(y) == 0:
        raise ValueError(f"a fit needs at least three points with different y, got {len(x)}")
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - intercept - slope * x
    return LineFit(float(intercept), float(slope), float(1 - residual @ residual / np.sum((y - y.mean()) ** 2)))


def nested_resamples(shape: tuple[int, int], *, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices that redraw seeds and then retrainings within them, for a bootstrap of a (seeds, retrainings) table.

    Use one draw for several tables that share seeds and retrainings, so that pairs stay together.

    Args:
        shape: (seeds, retrainings).
        n: number of resamples.
        rng: source of the draws.

    Returns:
        two index arrays, (n, seeds, 1) and (n, seeds, retrainings): ``table[rows, columns]`` has n resamples.
    """
    seeds, retrainings = shape
    return rng.integers(seeds, size=(n, seeds, 1)), rng.integers(retrainings, size=(n, seeds, retrainings))
