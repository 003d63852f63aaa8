"""Redundancy: can paraphrased prompts with one response each stand in for several responses to one prompt?

The world is the paper's toy. A *cluster* is a question c ~ N(0, I); its paraphrases are x = √(1 − δ²)·c + δ·ε. The
distance δ runs from 0 (copies) to 1 (unrelated prompts), and every paraphrase on its own is still N(0, I), so the
test prompts are the same at every δ. Five ways to show 60 clusters, called p·K for p paraphrases with K responses:

=========  =====  =====================================================================
arm        p·K    responses
=========  =====  =====================================================================
single     1·1    one
explicit   1·4    four to one wording
hybrid     2·2    two to each of two wordings
implicit   4·1    one to each of four wordings, all different
same       4·1    one to each of four wordings, the same one (same mode, same noise)
=========  =====  =====================================================================

All arms of a retraining share clusters, wordings, response noise and starting weights, so they can be compared
pair by pair. Three kinds of cells: trained networks; the variance law for a fixed network; and a memory in a
lottery of repeated questions, for the claim on where several responses pay most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.stats import norm, qmc

from mrtlab.lab import mdn, mode_lottery, variance_law
from mrtlab.lab.lottery_gain import GainCell, run_gain_cell
from mrtlab.lab.mode_lottery import HELD_OUT, STOPPINGS, TEST_PROMPTS, TEST_RESPONSES, WORLD
from mrtlab.theory.redundancy import ClusterComponents

Arm = Literal["single", "explicit", "hybrid", "implicit", "same"]

ARMS: dict[Arm, tuple[int, int]] = {  # paraphrases p, responses K
    "single": (1, 1),
    "explicit": (1, 4),
    "hybrid": (2, 2),
    "implicit": (4, 1),
    "same": (4, 1),
}
DISTANCES = (0.1, 0.3, 1.0)
CLUSTERS = 60
PER_CLUSTER = 4  # wordings and responses drawn for each cluster, whether an arm uses them or not

_TEST_STREAM, _TRAIN_STREAM, _LAW_STREAM, _NET_STREAM = 51, 52, 53, 54
_POINTS = 17  # log2 of the quadrature points
_CHUNK = 4000  # data sets drawn at once


@dataclass(frozen=True, kw_only=True)
class TriadCell:
    """All retrainings of one seed in one arm at one paraphrase distance (0 for arms with one wording)."""

    arm: Arm
    distance: float
    stopping: Literal["final", "stopped"]
    seed: int
    retrainings: int
    steps: int

    @property
    def label(self) -> str:
        """Such as "implicit-d30-stopped-seed3"."""
        return f"{self.arm}-d{round(100 * self.distance)}-{self.stopping}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class ClusterLawCell:
    """Variance of a fixed network's mean loss in every arm, over many draws of 60 clusters."""

    distance: float
    seed: int
    draws: int

    @property
    def label(self) -> str:
        """Such as "law-d30-seed3"."""
        return f"law-d{round(100 * self.distance)}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Size of a run; seeds count up from first_seed."""

    seeds: int
    first_seed: int
    retrainings: int
    steps: int
    draws: int
    gain_seeds: int
    lotteries: int


SCALES: dict[str, Scale] = {
    "smoke": Scale(seeds=2, first_seed=0, retrainings=3, steps=20, draws=100, gain_seeds=4, lotteries=2),
    # Seeds below 20 were a first run, too small for the rule's intervals. The rule stayed; these seeds are new.
    "book": Scale(seeds=14, first_seed=20, retrainings=12, steps=400, draws=4000, gain_seeds=20, lotteries=20),
    "full": Scale(seeds=30, first_seed=50, retrainings=40, steps=400, draws=20_000, gain_seeds=50, lotteries=100),
}


def places() -> list[tuple[Arm, float]]:
    """The different (arm, distance) of the trained part; with one wording the distance plays no part.

    >>> len(places())  # two arms with one wording, three arms at three distances
    11
    """
    return [(arm, d) for arm, (p, _) in ARMS.items() for d in ((0.0,) if p == 1 else DISTANCES)]


def cells(scale: str) -> Sequence[TriadCell | ClusterLawCell | GainCell]:
    """The cells of a run, seed by seed."""
    size = SCALES[scale]
    found: list[TriadCell | ClusterLawCell | GainCell] = []
    gain_seeds = range(size.first_seed, size.first_seed + size.gain_seeds)
    found += [GainCell(seed=seed, lotteries=size.lotteries) for seed in gain_seeds]
    for seed in range(size.first_seed, size.first_seed + size.seeds):
        found += [ClusterLawCell(distance=d, seed=seed, draws=size.draws) for d in DISTANCES]
        found += [
            TriadCell(
                arm=arm,
                distance=distance,
                stopping=stopping,
                seed=seed,
                retrainings=size.retrainings,
                steps=size.steps,
            )
            for arm, distance in places()
            for stopping in STOPPINGS
        ]
    return found


def run_cell(cell: TriadCell | ClusterLawCell | GainCell) -> dict[str, Any]:
    """Do what the cell's kind asks for.

    Returns:
        trained: nll and so on per retraining, see `mode_lottery.measure`; law: v_c, v_w, v_yx and var, the
        measured variance per arm; gain: see `lottery_gain.run_gain_cell`.
    """
    if isinstance(cell, GainCell):
        return run_gain_cell(cell)
    if isinstance(cell, ClusterLawCell):
        return _law(cell)
    config = mdn.MDNConfig(inputs=WORLD.n_inputs, steps=cell.steps)
    drawn = [_draw(cell, retraining, config) for retraining in range(cell.retrainings)]
    x, y = (torch.tensor(np.stack(part), dtype=torch.float32) for part in list(zip(*drawn, strict=True))[:2])
    weights = mdn.stack([d[2] for d in drawn])
    with mdn.one_thread():
        if cell.stopping == "stopped":
            held = round(HELD_OUT * CLUSTERS) * ARMS[cell.arm][0]  # whole clusters: no paraphrase on both sides
            trained = mdn.train(weights, x[:, held:], y[:, held:], config=config, validation=(x[:, :held], y[:, :held]))
        else:
            trained = mdn.train(weights, x, y, config=config)
        rng = np.random.default_rng([_TEST_STREAM, cell.seed])
        return mode_lottery.measure(trained.weights, *WORLD.sample(TEST_PROMPTS, TEST_RESPONSES, rng=rng))


def _draw(
    cell: TriadCell, retraining: int, config: mdn.MDNConfig
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Prompts, answers and starting weights of one retraining; draws do not depend on the arm or the distance."""
    rng = np.random.default_rng([_TRAIN_STREAM, cell.seed, retraining])
    prompts, noise = wordings(cell.distance, CLUSTERS, rng=rng)
    x, y = show(cell.arm, prompts, noise)
    return x, y, mdn.init_weights(config, rng=rng)


def wordings(distance: float, clusters: int, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw clusters with four wordings each, and four answers' worth of mode and noise.

    Returns:
        prompts (clusters, 4, 5) and residuals, answer minus curve, (clusters, 4).
    """
    centre = rng.standard_normal((clusters, 1, WORLD.n_inputs))
    own = rng.standard_normal((clusters, PER_CLUSTER, WORLD.n_inputs))
    modes = rng.choice(np.array(WORLD.offsets), size=(clusters, PER_CLUSTER))
    residuals = modes + WORLD.noise * rng.standard_normal((clusters, PER_CLUSTER))
    return np.sqrt(1 - distance**2) * centre + distance * own, residuals


def show(arm: Arm, prompts: np.ndarray, residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The training set of an arm, from the draws of `wordings`.

    Returns:
        x (clusters · p, 5), wordings of a cluster side by side, and y (clusters · p, K).

    >>> prompts, residuals = wordings(0.1, 2, rng=np.random.default_rng(0))
    >>> [show(arm, prompts, residuals)[1].shape for arm in ("explicit", "hybrid", "implicit")]
    [(2, 4), (4, 2), (8, 1)]
    """
    p, k = ARMS[arm]
    n = len(prompts)
    x = prompts[:, :p].reshape(n * p, -1)
    given = np.repeat(residuals[:, :1], p, axis=1) if arm == "same" else residuals[:, : p * k]
    return x, WORLD.centre(x)[:, None] + given.reshape(n * p, k)


def cluster_components(network: variance_law.Network, distance: float) -> ClusterComponents:
    """V_c, V_w and V_{y|x} of a fixed network's squared loss: exact given x, averaged over a Sobol net.

    V_c is the covariance of the expected loss at two wordings of one question; V_w is the rest of V_x.
    """
    d = WORLD.n_inputs
    points = norm.ppf(np.clip(qmc.Sobol(3 * d, seed=0).random_base2(_POINTS), 1e-12, 1 - 1e-12))
    centre, means = np.sqrt(1 - distance**2) * points[:, :d], []
    for own in (points[:, d : 2 * d], points[:, 2 * d :]):
        x = centre + distance * own
        mean, var = variance_law.conditional_moments(variance_law.predict(network, x) - WORLD.centre(x))
        means.append(mean)
    cluster = max(float(np.cov(*means)[0, 1]), 0.0)  # 0 at distance 1, where the net can come out just below
    between = float(np.var(means[0]))
    return ClusterComponents(cluster=cluster, variant=max(between - cluster, 0.0), response=float(np.mean(var)))


def _law(cell: ClusterLawCell) -> dict[str, Any]:
    """Measure the variance of the mean loss in every arm."""
    network = variance_law.random_network(rng=np.random.default_rng([_NET_STREAM, cell.seed]))
    exact = cluster_components(network, cell.distance)
    rng = np.random.default_rng([_LAW_STREAM, cell.seed, round(1000 * cell.distance)])
    means: dict[str, list[np.ndarray]] = {arm: [] for arm in ARMS}
    for start in range(0, cell.draws, _CHUNK):
        here = min(_CHUNK, cell.draws - start)
        prompts, residuals = wordings(cell.distance, here * CLUSTERS, rng=rng)
        for arm in ARMS:
            x, y = show(arm, prompts, residuals)
            loss = (variance_law.predict(network, x)[:, None] - y) ** 2
            means[arm].append(loss.reshape(here, -1).mean(1))
    return {
        "v_c": float(exact.cluster),
        "v_w": float(exact.variant),
        "v_yx": float(exact.response),
        "var": {arm: float(np.var(np.concatenate(parts), ddof=1)) for arm, parts in means.items()},
    }
