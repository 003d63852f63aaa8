"""Where the variance of a loss sits: between prompts, or among the answers to one prompt.

Measured on a ragged table, one row per prompt and as many responses as that prompt happens to have. The same
arithmetic serves scalars (losses) and vectors (gradient features, whose variance is the trace of a covariance).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from mrtlab.theory.checks import Numbers

Interval = tuple[float, float]
PerPrompt = Float[np.ndarray, " prompts"]

_WHOLE_LINE: Interval = (0.0, float("inf"))  # what the data say when they say nothing
_EXACT = 1e-24  # squares this small beside others are rounding, not variance
_NOTHING = 1e-12  # a mean square this small beside others is none
_LARGEST = 1e150  # the square of anything larger does not fit a float


@dataclass(frozen=True)
class Components:
    """The two variances of a response's loss: V_x between prompts, V_{y|x} among the answers to one prompt.

    V_x = Var_x(E[ℓ | x]) and V_{y|x} = E_x[Var(ℓ | x)]; together they are the variance of one response's loss.

    Attributes:
        prompt: V_x ≥ 0, in the squared unit of the loss; a number or an array.
        response: V_{y|x} ≥ 0, same unit; a number or an array that broadcasts with `prompt`.

    Raises:
        ValueError: one of them is negative or not finite.

    Source: multi-response training, the estimator's variance (claim MRT-01).

    >>> Components(prompt=1.0, response=7.0).total
    8.0
    """

    prompt: Numbers
    response: Numbers

    def __post_init__(self) -> None:
        for name, value in (("prompt variance V_x", self.prompt), ("response variance V_{y|x}", self.response)):
            numbers = np.asarray(value, dtype=float)
            if not np.all(np.isfinite(numbers)) or np.any(numbers < 0):
                raise ValueError(f"the {name} must be 0 or more and finite, got {value}")

    @property
    def total(self) -> Any:
        """Variance of the loss of one response to one random prompt, V_x + V_{y|x}."""
        return self.prompt + self.response

    @property
    def ratio(self) -> float:
        """V_{y|x} / V_x for a single pair of numbers; 0 when V_{y|x} = 0, else inf when V_x = 0.

        >>> Components(2.0, 6.0).ratio, Components(0.0, 1.0).ratio, Components(0.0, 0.0).ratio
        (3.0, inf, 0.0)
        """
        if self.response == 0:
            return 0.0
        return float(self.response / self.prompt) if self.prompt > 0 else float("inf")


@dataclass(frozen=True)
class Intervals:
    """95 % intervals, each (low, high), none below 0.

    Attributes:
        prompt: for V_x.
        response: for V_{y|x}.
        ratio: for V_{y|x}/V_x, the only thing the best K needs from the data; high is inf if V_x may be 0.
    """

    prompt: Interval
    response: Interval
    ratio: Interval


@dataclass(frozen=True)
class Estimate:
    """Variance components measured on a table.

    Attributes:
        components: V_x and V_{y|x}, neither below 0.
        intervals: how sure we are.
        n_prompts: rows of the table.
        n_responses: responses in all rows together.
        clipped: the estimate of V_x came out at or below 0 and was set to 0.
    """

    components: Components
    intervals: Intervals
    n_prompts: int
    n_responses: int
    clipped: bool

    @property
    def remark(self) -> str:
        """What to keep in mind about the estimate, a sentence; empty when there is nothing."""
        if self.components.response == 0:
            return "The responses to each prompt are all alike, so V_y|x is 0 as far as this table can tell."
        if not self.clipped:
            return ""
        return (
            "The prompts differ no more than chance alone would make them, so V_x was set to 0; "
            "more prompts would tell how small it really is."
        )


@dataclass(frozen=True)
class _Sums:
    """What the analysis of variance needs from each prompt; vectors enter through squared lengths only."""

    k: PerPrompt  # responses
    between: PerPrompt  # squared distance of the prompt's mean from the overall mean
    within: PerPrompt  # sum of squared distances of responses from the prompt's mean


def estimate_components(values: Sequence[Any] | np.ndarray, *, names: Sequence[Any] | None = None) -> Estimate:
    """Measure V_x and V_{y|x} on a ragged table, by unbalanced one-way analysis of variance.

    With a prompts, k_i responses to prompt i and n = Σ k_i in all, the mean squares are
    MSW = Σ_ij |ℓ_ij − ℓ̄_i|² / (n − a) and MSB = Σ_i k_i |ℓ̄_i − ℓ̄|² / (a − 1); then V_{y|x} = MSW and
    V_x = (MSB − MSW)/n₀ with n₀ = (n − Σ k_i²/n)/(a − 1), Henderson's first method. Both are unbiased before V_x is
    cut off at 0, whatever the distribution, as long as k_i does not depend on how a prompt's responses turn out.
    Prompts with one response count towards MSB only.

    The 95 % intervals come from leaving out one prompt at a time (jackknife, with Student's t on the log scale), so
    they need no normality. V_x, a difference, joins the intervals of its two parts (method of variance estimates
    recovery). V_{y|x}/V_x takes the interval of MSB/MSW. Where leaving out one prompt leaves nothing to compute
    (two prompts, one prompt with repeats) an interval is (0, inf). In simulations of 600 ragged tables with 10 to 100
    prompts the intervals held the truth in 92 to 99 % of cases with normal effects and 86 to 99 % with exponential
    ones; the most are for V_x = 0, where an interval that starts at 0 cannot miss on that side.

    Args:
        values: one entry per prompt: (k_i,) losses, or (k_i, d) gradient features with the same d everywhere;
            an array of shape (a, K) or (a, K, d) will do as well.
        names: what to call the prompts in error messages; their positions from 0 if left out.

    Returns:
        the components, their intervals and the size of the table. For features the variances are traces.

    Raises:
        ValueError: fewer than two prompts, no prompt with two responses, a prompt without responses, an entry
            that is not a finite number, or features of different lengths. The message names the prompt.

    Source: the components of claim MRT-01; the estimator is C. R. Henderson's (Biometrics 9, 1953).

    >>> found = estimate_components([[0.0, 2.0], [4.0, 6.0]])  # MSW = 4/2, MSB = 2·(2² + 2²)/1, n₀ = 2
    >>> found.components
    Components(prompt=7.0, response=2.0)
    """
    sums = _sums(values, names)
    a, n = len(sums.k), int(sums.k.sum())
    msb, msw, n0 = _mean_squares(sums)
    v_x = (msb - msw) / n0
    return Estimate(
        components=Components(prompt=float(max(v_x, 0.0)), response=float(msw)),
        intervals=_intervals(sums, msb=float(msb), msw=float(msw), n0=float(n0)),
        n_prompts=a,
        n_responses=n,
        clipped=bool(v_x <= 0 and msw > 0),
    )


def _sums(values: Sequence[Any] | np.ndarray, names: Sequence[Any] | None) -> _Sums:
    """Check the table and reduce it to three numbers per prompt."""

    def name(i: int) -> str:
        return f"prompt {i if names is None else repr(names[i])}"

    if len(values) < 2:
        raise ValueError(f"need at least 2 prompts to see how prompts differ, got {len(values)}")
    rows = []
    for i, row in enumerate(values):
        try:
            array = np.asarray(row, dtype=float)
        except (TypeError, ValueError):
            raise ValueError(
                f"{name(i)} holds something that is not a number, or feature vectors of different lengths"
            ) from None
        if array.ndim not in (1, 2) or not array.size:
            raise ValueError(f"{name(i)} has shape {array.shape}: expected (k,) losses or (k, d) features, k ≥ 1")
        rows.append(array if array.ndim == 2 else array[:, None])
    for i, row in enumerate(rows):
        if row.shape[1] != rows[0].shape[1]:
            raise ValueError(f"{name(i)} has {row.shape[1]} features per response, {name(0)} has {rows[0].shape[1]}")
    flat = np.concatenate(rows)
    k = np.array([len(row) for row in rows])
    owner = np.repeat(np.arange(len(k)), k)
    finite = np.isfinite(flat).all(axis=1)
    if not finite.all():
        bad = int(np.argmin(finite))
        place = bad - int(np.searchsorted(owner, owner[bad]))
        raise ValueError(f"{name(int(owner[bad]))} holds {flat[bad].tolist()} at response {place}: not a finite number")
    if np.all(k == 1):
        raise ValueError(
            "every prompt has one response, so the spread among responses to one prompt cannot be seen: "
            "collect a second response for at least some prompts"
        )
    scale = float(np.abs(flat).max()) or 1.0  # so that no square overflows
    if scale > _LARGEST:
        raise ValueError(f"the table holds values as large as {scale:.3g}, too large to square: use another unit")
    starts = np.concatenate([[0], np.cumsum(k)[:-1]])
    centred = flat / scale - (flat / scale).mean(axis=0)
    means = np.add.reduceat(centred, starts) / k[:, None]
    within = np.add.reduceat(((centred - means[owner]) ** 2).sum(axis=1), starts)
    between = (means**2).sum(axis=1)
    return _Sums(
        k=k.astype(float),
        between=np.where(between > _EXACT, between, 0.0) * scale**2,
        within=np.where(within > _EXACT * k, within, 0.0) * scale**2,
    )


def _mean_squares(sums: _Sums) -> tuple[Any, Any, Any]:
    """MSB, MSW and n₀ of the whole table."""
    k, n, a = sums.k, sums.k.sum(), len(sums.k)
    return (k * sums.between).sum() / (a - 1), sums.within.sum() / (n - a), (n - (k**2).sum() / n) / (a - 1)


def _mean_squares_without_each(sums: _Sums) -> tuple[PerPrompt, PerPrompt, PerPrompt]:
    """MSB, MSW and n₀ with prompt i left out, for every i at once.

    The overall mean is 0 by construction, so without prompt i the responses sum to −k_i·ℓ̄_i.
    """
    k, a = sums.k, len(sums.k)
    n = k.sum() - k
    own = k * sums.between
    between = own.sum() - own - k * own / n
    within = sums.within.sum() - sums.within
    n0 = (n - ((k**2).sum() - k**2) / n) / (a - 2)
    return np.maximum(between, 0.0) / (a - 2), np.maximum(within, 0.0) / (n - (a - 1)), n0


def _intervals(sums: _Sums, *, msb: float, msw: float, n0: float) -> Intervals:
    """Jackknife intervals for V_x, V_{y|x} and their ratio; see `estimate_components`."""
    k, a = sums.k, len(sums.k)
    repeats_left = (k.sum() - k) - (a - 1)
    if a < 3 or np.any(repeats_left < 1):
        return Intervals(prompt=_WHOLE_LINE, response=_WHOLE_LINE, ratio=_WHOLE_LINE)
    if msw == 0:
        msb_low, msb_high = _around(msb, _log_steps(_mean_squares_without_each(sums)[0]))
        return Intervals(prompt=(msb_low / n0, msb_high / n0), response=(0.0, 0.0), ratio=(0.0, 0.0))
    msb_without, msw_without, _ = _mean_squares_without_each(sums)
    between, within = _log_steps(msb_without), _log_steps(msw_without)
    msb_low, msb_high = _around(msb, between)
    msw_low, msw_high = _around(msw, within)
    low = _joined(msb - msb_low, msw_high - msw, between, within)
    high = _joined(msb_high - msb, msw - msw_low, between, within)
    both_move = np.all(np.isfinite(between)) and np.all(np.isfinite(within))
    f_low, f_high = _around(msb / msw, between - within) if both_move else _WHOLE_LINE
    return Intervals(
        prompt=(max(msb - msw - low, 0.0) / n0, max(msb - msw + high, 0.0) / n0),
        response=(msw_low, msw_high),
        ratio=(n0 / (f_high - 1) if f_high > 1 else float("inf"), n0 / (f_low - 1) if f_low > 1 else float("inf")),
    )


def _log_steps(without: PerPrompt) -> PerPrompt:
    """How the log of a mean square moves when a prompt is left out; inf if a single prompt carries nearly all of it."""
    if without.min() <= without.max() * _NOTHING:
        return np.full_like(without, np.inf)
    logs = np.log(without)
    return logs - logs.mean()


def _around(value: float, steps: PerPrompt) -> Interval:
    """Value · exp(± t · standard error) from jackknife steps on the log scale."""
    a = len(steps)
    if not np.all(np.isfinite(steps)):
        return _WHOLE_LINE
    spread = float(stdtrit(a - 1, 0.975) * np.sqrt((a - 1) / a * np.sum(steps**2)))
    with np.errstate(over="ignore"):
        return float(value * np.exp(-spread)), float(value * np.exp(spread))


def _joined(one: float, other: float, steps: PerPrompt, other_steps: PerPrompt) -> float:
    """Half-width of a difference from the half-widths of its parts and their correlation over the jackknife."""
    if not np.isfinite(one) or not np.isfinite(other) or not np.all(np.isfinite(steps + other_steps)):
        return float("inf")
    size = np.sqrt(np.sum(steps**2) * np.sum(other_steps**2))
    correlation = float(np.sum(steps * other_steps) / size) if size > 0 else 0.0
    return float(np.sqrt(max(one**2 - 2 * correlation * one * other + other**2, 0.0)))
