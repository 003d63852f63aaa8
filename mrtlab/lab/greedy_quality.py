"""Greedy quality: how close does picking one by one come to the best set there is?

For small pools every set of K can be listed, so greedy's share of the best facility-location value is known
exactly. Three families of random pools, and two that an opponent shapes by trial and error to make greedy look
bad: one bound to honest similarities (symmetric, 1 with oneself), one free to write any non-negative numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds
from mrtlab.theory.selection import cosine_similarity01, facility_location

RANDOM_FAMILIES = ("embeddings", "clusters", "anything")
HOSTILE_FAMILIES = ("hostile_honest", "hostile_free")
FAMILIES = (*RANDOM_FAMILIES, *HOSTILE_FAMILIES)
SIZES = ((8, 2), (8, 3), (8, 4), (12, 2), (12, 3), (12, 4))  # (N, K); opponents play the first three
HOSTILE_N = 8
ALPHAS = (None, 0.75, 2.0)  # None: no reward, DKoN
BOUND = 1 - np.exp(-1.0)
BINS = np.round(np.arange(0.60, 1.0001, 0.02), 2)
_EPS = 1e-9
_STREAM, _TILE = 31, 40

Square = Float[np.ndarray, "b n n"]


@dataclass(frozen=True, kw_only=True)
class GreedyCell:
    """One family and one seed: pools per size and alpha, or opponents and the moves each may try."""

    family: str
    pools: int
    moves: int
    seed: int

    @property
    def label(self) -> str:
        """Such as "embeddings-seed3"."""
        return f"{self.family.replace('_', '-')}-seed{self.seed}"


def cells(scale: str) -> Sequence[GreedyCell]:
    """Every family, every seed."""
    pools, moves, seeds = {"smoke": (4, 20, 2), "book": (40, 1500, 8), "full": (400, 6000, 20)}[scale]
    return [GreedyCell(family=f, pools=pools, moves=moves, seed=s) for s in range(seeds) for f in FAMILIES]


def run_cell(cell: GreedyCell) -> dict[str, Any]:
    """Greedy's share of the best value, pool by pool.

    Returns:
        ratios: one number per pool; by_k: {"k2": worst ratio, …}.
    """
    rng = np.random.default_rng([_STREAM, cell.seed, FAMILIES.index(cell.family)])
    ratios: dict[int, list[np.ndarray]] = {}
    if cell.family in HOSTILE_FAMILIES:
        for k in (2, 3, 4):
            found = attack(k, honest=cell.family == "hostile_honest", pools=cell.pools, moves=cell.moves, rng=rng)
            ratios.setdefault(k, []).append(found)
    else:
        for n, k in SIZES:
            for alpha in ALPHAS:
                similarity = draw(cell.family, cell.pools, n, rng=rng)
                reward = None if alpha is None else rng.random((cell.pools, n))
                ratios.setdefault(k, []).append(greedy_ratio(similarity, k, reward=reward, alpha=alpha or 0.0))
    together = {k: np.concatenate(found) for k, found in ratios.items()}
    return {
        "ratios": np.concatenate(list(together.values())).tolist(),
        "by_k": {f"k{k}": float(found.min()) for k, found in together.items()},
    }


def draw(family: str, pools: int, n: int, *, rng: np.random.Generator) -> Square:
    """Random similarities: unit vectors in 4 dimensions, points around 3 centres, or any numbers at all."""
    if family == "embeddings":
        return cosine_similarity01(rng.standard_normal((pools, n, 4)))
    if family == "clusters":
        at = rng.integers(3, size=(pools, n)) + 0.2 * rng.standard_normal((pools, n))
        return np.exp(-2 * (at[:, :, None] - at[:, None, :]) ** 2)
    return rng.random((pools, n, n)) ** 3  # cubed: a few large numbers among many small ones


def weighted(similarity: Square, reward: np.ndarray | None, alpha: float) -> Square:
    """b_i a_j s_ij, written out from the formula apart from `theory.selection`, so that one checks the other."""
    if reward is None:
        return similarity
    low, high = reward.min(1, keepdims=True), reward.max(1, keepdims=True)
    serve = np.maximum((reward - low) / (high - low), 1e-4) ** alpha
    return np.maximum(serve, 1e-4)[:, :, None] * serve[:, None, :] * similarity


def greedy_ratio(similarity: Square, k: int, *, reward: np.ndarray | None, alpha: float) -> Float[np.ndarray, " b"]:
    """F of greedy's set over the largest F of any set of K.

    >>> twins = np.array([[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    >>> float(greedy_ratio(twins, 2, reward=None, alpha=0.0)[0])  # one twin and the single: nothing is better
    1.0
    """
    value = weighted(similarity, reward, alpha)
    picks = facility_location(similarity, k, reward=reward, alpha=alpha)
    reached = np.take_along_axis(value, picks[:, None, :], axis=2).max(2).sum(1)
    return reached / best_value(value, k)


def best_value(value: Square, k: int) -> Float[np.ndarray, " b"]:
    """Largest Σ_i max_{j∈S} value_ij over all sets of K, by trying them all."""
    sets = np.array(list(combinations(range(value.shape[1]), k)))
    best = [value[i : i + _TILE][:, :, sets].max(3).sum(1).max(1) for i in range(0, len(value), _TILE)]
    return np.concatenate(best)


def attack(k: int, *, honest: bool, pools: int, moves: int, rng: np.random.Generator) -> Float[np.ndarray, " b"]:
    """Ratios that opponents reach: each changes one similarity at a time and keeps what hurts greedy.

    Args:
        k: answers kept.
        honest: keep similarities symmetric, with 1 on the diagonal.
        pools: opponents, each with a pool of its own.
        moves: changes that each may try.
        rng: source of the moves.
    """
    rows = np.arange(pools)
    value = rng.random((pools, HOSTILE_N, HOSTILE_N)) ** 3
    if honest:
        value = np.maximum(value, value.transpose(0, 2, 1))
        value[:, np.arange(HOSTILE_N), np.arange(HOSTILE_N)] = 1.0
    ratio = greedy_ratio(value, k, reward=None, alpha=0.0)
    for _ in range(moves):
        i, j = rng.integers(HOSTILE_N, size=(2, pools))
        draw = rng.random(pools)
        new = np.where(draw < 0.25, 0.0, np.where(draw < 0.4, 1.0, rng.random(pools)))
        nudge = np.clip(value[rows, i, j] + 0.1 * rng.standard_normal(pools), 0, 1)
        new = np.where(rng.random(pools) < 0.5, nudge, new)
        trial = value.copy()
        trial[rows, i, j] = new
        if honest:
            trial[rows, j, i] = new
            trial[:, np.arange(HOSTILE_N), np.arange(HOSTILE_N)] = 1.0
        found = greedy_ratio(trial, k, reward=None, alpha=0.0)
        better = found <= ratio
        value[better], ratio[better] = trial[better], found[better]
    return ratio


def summarise(outcomes: Sequence[tuple[GreedyCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        families.NAME: pools, worst, mean with its interval over seeds, optimal (share of pools where greedy is
            best), worst_k2 … worst_k4, counts: pools per bin of `bins`;
        random, hostile: worst, mean, optimal and pools over their families;
        bounds: 1 − 1/e, and the sharper 1 − (1 − 1/K)^K.
    """
    families = {}
    for family in FAMILIES:
        by_seed = [np.array(result["ratios"]) for cell, result in outcomes if cell.family == family]
        families[family] = _block(by_seed) | {
            f"worst_{k}": min(result["by_k"][k] for cell, result in outcomes if cell.family == family)
            for k in ("k2", "k3", "k4")
        }
    groups = {"random": RANDOM_FAMILIES, "hostile": HOSTILE_FAMILIES}
    seeds = sorted({cell.seed for cell, _ in outcomes})
    return {
        "families": families,
        **{
            name: _block(
                [
                    np.concatenate([r["ratios"] for c, r in outcomes if c.seed == seed and c.family in members])
                    for seed in seeds
                ]
            )
            for name, members in groups.items()
        },
        "bins": BINS.tolist(),
        "bounds": {"any_k": BOUND, **{f"k{k}": 1 - (1 - 1 / k) ** k for k in (2, 3, 4)}},
        "design": {"k": [2, 3, 4], "n": [8, 12], "seeds": len(seeds)},
    }


def _block(by_seed: list[np.ndarray]) -> dict[str, Any]:
    """Worst, mean, share of optimal sets and a histogram of ratios."""
    ratios = np.concatenate(by_seed)
    return {
        "pools": len(ratios),
        "worst": float(ratios.min()),
        "mean": over_seeds(np.array([r.mean() for r in by_seed])),
        "optimal": float((ratios > 1 - _EPS).mean()),
        "counts": np.histogram(np.clip(ratios, BINS[0], BINS[-1]), BINS)[0].tolist(),
    }


def table(results: dict[str, Any]) -> Table:
    """One row per family."""
    rows = [
        (name, f"{b['pools']}", f"{b['worst']:.3f}", f"{b['mean']['mean']:.4f}", f"{100 * b['optimal']:.0f} %")
        for name, b in results["families"].items()
    ]
    return Table(
        title=f"Greedy's value over the best there is; never below 1 − 1/e = {results['bounds']['any_k']:.3f}.",
        columns=("pools", "number", "worst", "mean", "greedy is best"),
        rows=tuple(rows),
    )
