"""What the crossover runs add up to: success with intervals, paired differences, strings needed, laws beside counts.

The unit of chance is a truth, not a prompt: a learner tends to be right on all prompts of a truth or on few. So
the binomial intervals count each truth as one trial, which can only make them too wide.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from mrtlab.lab import crossover as run
from mrtlab.lab.crossover import ARMS, BY_POSITION, LAWS, WORLDS, BitCell
from mrtlab.lab.registry import Table
from mrtlab.theory.learn_or_choose import any_correct, candidates_needed, collapse_length, noisy_verifier

NEED = 0.9  # success that "strings needed" asks for
DIFFERENCE_Z = 3.0  # half width of a difference's interval in standard errors: many differences are looked at
_RESAMPLES = 1000
_STREAM = 52

Shares = Float[np.ndarray, "n truths"]
PAIRS = {"sft_minus_best_of_n": ("sft", "best_of_n"), "filtered_minus_best_of_n": ("filtered", "best_of_n")}


def summarise(outcomes: Sequence[tuple[BitCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        worlds.WORLD.tT.ARM: mean, lo and hi of exact match, one entry per n (95 %, `wilson`), and the paired
            differences of `PAIRS` with lo and hi three standard errors away;
        need.ARM.tT: training strings at which the mean success first reaches .9, with a 95 % bootstrap interval;
            need.ARM.growth: that number at the longest T over that at T = 4;
        laws: shares beside their closed forms, see `_laws`;
        design: the settings.
    """
    first = outcomes[0][0]
    by_world: dict[str, list[dict[str, Any]]] = {}
    for cell, result in outcomes:
        by_world.setdefault(cell.world, []).append(result)
    seeds = len(by_world[LAWS])

    def shares(world: str, length: int, arm: str) -> np.ndarray:
        rows = [[cell[f"t{length}"][f"n{n}"][arm] for cell in by_world[world]] for n in first.ns]
        return np.array(rows).reshape(len(first.ns), -1)

    worlds: dict[str, Any] = {}
    for world in WORLDS:
        block = worlds[world] = {}
        for length in first.lengths:
            arms = {arm: shares(world, length, arm) for arm in ARMS}
            block[f"t{length}"] = {arm: _with_interval(values) for arm, values in arms.items()} | {
                name: difference(arms[a], arms[b]) for name, (a, b) in PAIRS.items()
            }
    rng = np.random.default_rng(_STREAM)
    learners = {
        "sft": ("realizable", "sft"),
        "best_of_n": ("realizable", "best_of_n"),
        "by_position": (BY_POSITION, "best_of_n"),
    }
    need = {
        name: _need([(t, shares(world, t, arm)) for t in first.lengths], np.array(first.ns), rng)
        for name, (world, arm) in learners.items()
    }
    return {
        "worlds": worlds,
        "need": need,
        "laws": _laws(by_world[LAWS]),
        "design": {
            "accuracy": run.ACCURACY,
            "candidates": run.CANDIDATES,
            "coverage": run.COVERAGE,
            "difference_z": DIFFERENCE_Z,
            "label_noise": WORLDS["label_noise"]["label_noise"],
            "lengths": list(first.lengths),
            "n": list(first.ns),
            "n_test": first.n_test,
            "need": NEED,
            "seeds": seeds,
            "token_noise": WORLDS["token_noise"]["token_noise"],
            "truths": seeds * first.truths,
            "width": run.WIDTH,
        },
    }


def wilson(mean: float, trials: int) -> tuple[float, float]:
    """Binomial 95 % interval of a share (Wilson's score interval).

    Args:
        mean: the share, in [0, 1]; mean · trials need not be whole.
        trials: number of independent trials.

    Returns:
        lower and upper end, inside [0, 1].

    >>> [round(end, 3) for end in wilson(1.0, 16)]  # 16 / (16 + 1.96²)
    [0.806, 1.0]
    """
    z2 = stats.norm.ppf(0.975) ** 2
    middle = (mean + z2 / (2 * trials)) / (1 + z2 / trials)
    half = np.sqrt(z2 * (mean * (1 - mean) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def difference(a: Shares, b: Shares) -> dict[str, list[float]]:
    """Mean of a − b, paired by truth, three standard errors to each side.

    >>> difference(np.array([[1.0, 0.5, 0.0]]), np.array([[0.0, 0.5, 1.0]]))["mean"]
    [0.0]
    """
    gap = a - b
    half = DIFFERENCE_Z * gap.std(1, ddof=1) / np.sqrt(gap.shape[1])
    mean = gap.mean(1)
    return {"mean": mean.tolist(), "lo": (mean - half).tolist(), "hi": (mean + half).tolist()}


def strings_needed(success: Float[np.ndarray, "*batch n"], ns: np.ndarray) -> Float[np.ndarray, "*batch"]:
    """Training strings at which success first reaches .9, by a straight line in log n between neighbours.

    Args:
        success: mean success at each n, (..., n).
        ns: numbers of strings, rising.

    Returns:
        (...); the smallest or largest n where .9 is reached at once or never.

    >>> np.round(strings_needed(np.array([0.5, 0.8, 1.0]), np.array([1, 2, 4])) ** 2, 9)  # halfway: √(2 · 4)
    np.float64(8.0)
    """
    reached = success >= NEED
    at = np.where(reached.any(-1), reached.argmax(-1), len(ns) - 1)
    before = np.maximum(at - 1, 0)
    high = np.take_along_axis(success, at[..., None], -1)[..., 0]
    low = np.take_along_axis(success, before[..., None], -1)[..., 0]
    rise = np.where(high > low, high - low, 1.0)
    part = np.where(at == before, 0.0, np.clip((NEED - low) / rise, 0, 1))
    part = np.where(reached.any(-1), part, 1.0)
    log_n = np.log(ns)
    return np.asarray(np.exp(log_n[before] + part * (log_n[at] - log_n[before])))


def _need(by_length: list[tuple[int, Shares]], ns: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Strings needed at each T, and how much that grows from T = 4 to the longest; bootstrap over truths."""
    found: dict[str, Any] = {}
    kept: dict[int, tuple[float, np.ndarray]] = {}
    for length, values in by_length:
        pick = rng.integers(values.shape[1], size=(_RESAMPLES, *values.shape))
        again = np.take_along_axis(values[None], pick, axis=2).mean(2)
        kept[length] = float(strings_needed(values.mean(1), ns)), strings_needed(again, ns)
        found[f"t{length}"] = _percentiles(*kept[length])
    short, long = 4, max(kept)
    found["growth"] = _percentiles(kept[long][0] / kept[short][0], kept[long][1] / kept[short][1])
    return found


def _percentiles(value: float, resampled: np.ndarray) -> dict[str, float]:
    """A value with the middle 95 % of its resamples."""
    lo, hi = np.percentile(resampled, [2.5, 97.5])
    return {"value": value, "lo": float(lo), "hi": float(hi)}


def _laws(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of all seeds beside their closed forms.

    Returns:
        search, noisy, collapse, slips: settings, shares (see `_beside`); slips also `wrong_after`, the share of wrong
            bits behind a first slip; small_window: per T the teacher-forced error per bit `error`, the share of
            whole strings `mean`, and (1 − error)ᵀ as `expected`.
    """
    prompts = sum(cell["prompts"] for cell in cells)

    def total(name: str, field: str | None = None) -> np.ndarray:
        return np.sum([[v[field] for v in cell[name]] if field else cell[name] for cell in cells], axis=0)

    lengths = np.array(run.COMPOUND_LENGTHS)
    needed = np.ceil(candidates_needed(np.array(run.SEARCH_COVERAGES))).astype(int)
    falling = run.ACCURACY ** np.array(run.COLLAPSE_LENGTHS)
    error = total("small_window", "wrong_bits") / total("small_window", "bits")
    return {
        "prompts": prompts,
        "search": {"coverage": list(run.SEARCH_COVERAGES), "candidates": needed.tolist()}
        | _beside(total("search"), prompts, any_correct(np.array(run.SEARCH_COVERAGES), needed)),
        "noisy": {"coverage": run.NOISY_COVERAGE, "false_accept": run.FALSE_ACCEPT}
        | {"candidates": list(run.NOISY_CANDIDATES)}
        | _beside(
            total("noisy"),
            prompts,
            noisy_verifier(run.NOISY_COVERAGE, run.FALSE_ACCEPT, np.array(run.NOISY_CANDIDATES)),
        ),
        "collapse": {"lengths": list(run.COLLAPSE_LENGTHS)}
        | {"predicted": float(collapse_length(run.ACCURACY, run.CANDIDATES))}
        | _beside(total("collapse"), prompts, any_correct(falling, run.CANDIDATES)),
        "slips": {"lengths": lengths.tolist(), "error": run.SLIP}
        | {"wrong_after": (total("slips", "wrong_after") / total("slips", "bits_after")).tolist()}
        | _beside(total("slips", "right"), prompts, (1 - run.SLIP) ** lengths),
        "small_window": {
            "lengths": lengths.tolist(),
            "error": error.tolist(),
            "mean": (total("small_window", "right") / prompts).tolist(),
            "expected": ((1 - error) ** lengths).tolist(),
        },
    }


def _beside(hits: np.ndarray, prompts: int, expected: Any) -> dict[str, list[float]]:
    """Shares with binomial 95 % intervals, what is expected, and the p-value of an exact binomial test of it."""
    ends = [wilson(hit / prompts, prompts) for hit in hits]
    tests = [stats.binomtest(int(hit), prompts, float(p)).pvalue for hit, p in zip(hits, expected, strict=True)]
    return {
        "mean": (hits / prompts).tolist(),
        "lo": [lo for lo, _ in ends],
        "hi": [hi for _, hi in ends],
        "expected": np.asarray(expected).tolist(),
        "p": [float(p) for p in tests],
    }


def _with_interval(values: Shares) -> dict[str, list[float]]:
    """Mean over truths at each n, with its interval."""
    ends = [wilson(float(row.mean()), row.size) for row in values]
    return {"mean": values.mean(1).tolist(), "lo": [lo for lo, _ in ends], "hi": [hi for _, hi in ends]}


def table(results: dict[str, Any]) -> Table:
    """Success of each arm in each world at the shortest and longest T above one bit, at the largest n."""
    design = results["design"]
    lengths = [t for t in design["lengths"] if t > 1]
    rows = [
        (world, f"{t}", *(f"{results['worlds'][world][f't{t}'][arm]['mean'][-1]:.2f}" for arm in ARMS))
        for world in results["worlds"]
        for t in (lengths[0], lengths[-1])
    ]
    return Table(
        title=f"Exact match with {design['n'][-1]} training strings, {design['truths']} truths.",
        columns=("world", "T", *ARMS),
        rows=tuple(rows),
    )
