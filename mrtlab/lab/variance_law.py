"""Variance law: how the average loss of a fixed model varies over data sets, and the best K at a fixed cost.

The model is the paper's (its experiment 1): a random network 5-32-32-1 that is never trained, scored by squared
loss in the world of three Gaussian modes. The loss of a prompt with answer y is (d − e)², where d(x) is how far
the network is from the curve and e what the answer adds to it. Its mean and variance given x are known exactly from
the moments of e, so V_x and V_{y|x} need only averages over x, taken with 131 072 quasi-random points.

Three parts, one cell of each per network:

=========  ======================================================================================
part       what is redrawn
=========  ======================================================================================
fresh      prompts and answers, 100 prompts with K = 1 … 32 each: the law V_x/N_p + V_{y|x}/(N_p K)
frozen     only which K of 50 candidates are kept; prompts and candidates were drawn once
cost       prompts and answers, as many prompts as the budget buys when each has K answers
=========  ======================================================================================

A fourth part, the trace of the gradient covariance, is in `gradient_law`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, qmc

from mrtlab.lab.gradient_law import GradientCell, run_gradient_cell
from mrtlab.theory import GaussianModes
from mrtlab.theory.components import Components

K_VALUES = (1, 2, 4, 8, 16, 32)
COST_K = (*range(1, 17), 20, 24, 32)
N_PROMPTS, POOL = 100, 50
PROMPT_COST, RESPONSE_COST, BUDGET = 4.0, 1.0, 400.0
WORLD = GaussianModes()

_WIDTHS = (5, 32, 32, 1)
_POINTS = 17  # log2 of the quadrature points: V_x is then right to about one part in a thousand
_BATCHES = 20  # groups of draws, so that the spread of a variance estimate can be seen
_CHUNK = 500_000  # prompts whose losses are held at once
_NET_STREAM, _FRESH_STREAM, _FROZEN_STREAM, _COST_STREAM = 11, 12, 13, 14

Network = list[tuple[np.ndarray, np.ndarray]]
Draws = Float[np.ndarray, " draws"]


@dataclass(frozen=True, kw_only=True)
class LawCell:
    """One network and one part of the experiment; draws is the number of data sets."""

    part: Literal["fresh", "frozen", "cost"]
    seed: int
    draws: int

    @property
    def label(self) -> str:
        """Such as "fresh-seed3"."""
        return f"{self.part}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Size of a run: networks, data sets per K in each part, and the table of the gradient part."""

    seeds: int
    fresh: int
    frozen: int
    cost: int
    gradient_prompts: int
    gradient_responses: int


SCALES: dict[str, Scale] = {
    "smoke": Scale(seeds=2, fresh=200, frozen=200, cost=200, gradient_prompts=20, gradient_responses=4),
    "book": Scale(seeds=10, fresh=4000, frozen=2000, cost=10_000, gradient_prompts=300, gradient_responses=16),
    "full": Scale(seeds=20, fresh=40_000, frozen=20_000, cost=50_000, gradient_prompts=1000, gradient_responses=32),
}


def cells(scale: str) -> Sequence[LawCell | GradientCell]:
    """The cells of a run, seed by seed."""
    size = SCALES[scale]
    found: list[LawCell | GradientCell] = []
    for seed in range(size.seeds):
        found += [LawCell(part=p, seed=seed, draws=getattr(size, p)) for p in ("fresh", "frozen", "cost")]
        found.append(GradientCell(seed=seed, n_prompts=size.gradient_prompts, n_responses=size.gradient_responses))
    return found


def run_cell(cell: LawCell | GradientCell) -> dict[str, Any]:
    """Draw many data sets and measure how their average loss varies.

    Returns:
        fresh, cost: v_x, v_yx (exact), and var: one list of 20 variance estimates per K, each over its share of
            the draws. frozen: pool_variance, the mean over prompts of the candidates' variance, and var, one
            estimate per K. Gradient cells: see `gradient_law.run_gradient_cell`.
    """
    if isinstance(cell, GradientCell):
        return run_gradient_cell(cell)
    network = random_network(rng=np.random.default_rng([_NET_STREAM, cell.seed]))
    if cell.part == "frozen":
        return _frozen(network, cell)
    exact = exact_components(network)
    plan = {k: N_PROMPTS for k in K_VALUES} if cell.part == "fresh" else {k: affordable(k) for k in COST_K}
    stream = _FRESH_STREAM if cell.part == "fresh" else _COST_STREAM
    var = []
    for k, n_prompts in plan.items():
        rng = np.random.default_rng([stream, cell.seed, k])
        means = mean_losses(network, n_prompts, k, draws=cell.draws, rng=rng)
        var.append([float(np.var(part, ddof=1)) for part in np.array_split(means, _BATCHES)])
    return {"v_x": exact.prompt, "v_yx": exact.response, "var": var}


def affordable(k: int) -> int:
    """How many prompts the budget buys when each comes with K responses, ⌊B / (C_p + K·C_r)⌋.

    >>> [affordable(k) for k in (1, 4, 16)]  # 400 / 5, 400 / 8, 400 / 20
    [80, 50, 20]
    """
    return int(BUDGET // (PROMPT_COST + k * RESPONSE_COST))


def random_network(*, rng: np.random.Generator) -> Network:
    """A network 5-32-32-1 with ReLU units, weights and biases uniform within ±1/√fan_in; never trained."""
    network = []
    for fan_in, fan_out in pairwise(_WIDTHS):
        bound = fan_in**-0.5
        network.append((rng.uniform(-bound, bound, (fan_in, fan_out)), rng.uniform(-bound, bound, fan_out)))
    return network


def predict(network: Network, x: Float[np.ndarray, "n 5"]) -> Float[np.ndarray, " n"]:
    """The network's answer to each prompt."""
    *hidden, (w, b) = network
    for v, c in hidden:
        x = np.maximum(x @ v + c, 0.0)
    return (x @ w + b)[:, 0]


def conditional_moments(
    distance: Float[np.ndarray, " n"], *, world: GaussianModes = WORLD
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Mean and variance of the squared loss (d − e)² given the prompt, exact.

    With e = offset + noise symmetric around 0: E[ℓ|x] = d² + m₂ and Var(ℓ|x) = m₄ − m₂² + 4 d² m₂.

    Args:
        distance: d, network minus curve, one per prompt.
        world: gives m₂ = E e² and m₄ = E e⁴; its offsets must be symmetric around 0.

    Returns:
        mean and variance, one per prompt.

    Raises:
        ValueError: the offsets are not symmetric, so the third moment would matter.

    >>> mean, var = conditional_moments(np.array([2.0]), world=GaussianModes(offsets=(-1.0, 1.0), noise=0.0))
    >>> float(mean[0]), float(var[0])  # the loss is 1 or 9
    (5.0, 16.0)
    """
    offsets = np.array(world.offsets)
    if abs(np.mean(offsets)) > 1e-12 or abs(np.mean(offsets**3)) > 1e-12:
        raise ValueError(f"the offsets must be symmetric around 0, got {world.offsets}")
    m2 = np.mean(offsets**2) + world.noise**2
    m4 = np.mean(offsets**4) + 6 * np.mean(offsets**2) * world.noise**2 + 3 * world.noise**4
    return distance**2 + m2, m4 - m2**2 + 4 * distance**2 * m2


def exact_components(network: Network) -> Components:
    """V_x and V_{y|x} of the squared loss: exact given x, averaged over a scrambled Sobol net of prompts."""
    points = qmc.Sobol(_WIDTHS[0], seed=0).random_base2(_POINTS)
    x = norm.ppf(np.clip(points, 1e-12, 1 - 1e-12))
    mean, var = conditional_moments(predict(network, x) - WORLD.centre(x))
    return Components(prompt=float(np.var(mean)), response=float(np.mean(var)))


def mean_losses(network: Network, n_prompts: int, k: int, *, draws: int, rng: np.random.Generator) -> Draws:
    """Average loss of each of many fresh data sets of n_prompts × K."""
    found = []
    step = max(1, _CHUNK // n_prompts)
    for start in range(0, draws, step):
        here = min(step, draws - start)
        x, y = WORLD.sample(here * n_prompts, k, rng=rng)
        loss = (predict(network, x)[:, None] - y) ** 2
        found.append(loss.reshape(here, -1).mean(1))
    return np.concatenate(found)


def _frozen(network: Network, cell: LawCell) -> dict[str, Any]:
    """Prompts and candidates drawn once; each draw keeps K of the 50 candidates of every prompt, at random."""
    rng = np.random.default_rng([_FROZEN_STREAM, cell.seed])
    x, y = WORLD.sample(N_PROMPTS, POOL, rng=rng)
    pool = (predict(network, x)[:, None] - y) ** 2
    means = np.empty((len(K_VALUES), cell.draws))
    for draw in range(cell.draws):
        kept = rng.permuted(pool, axis=1)  # the first K of a random order are a random K
        means[:, draw] = [kept[:, :k].mean() for k in K_VALUES]
    return {"pool_variance": float(pool.var(axis=1, ddof=1).mean()), "var": means.var(axis=1, ddof=1).tolist()}
