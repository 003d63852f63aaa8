"""Gradient similarity: do answers that look alike pull the network the same way?

The multi-response training paper's experiment 6: for each prompt, all pairs of N answers; how similar they are
against the cosine of their gradients. At random starting weights, as in the paper, and along training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from mrtlab.lab import gradients, selectors
from mrtlab.lab.mode_lottery import WORLD
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds
from mrtlab.lab.selection_bias import CHECKPOINTS, networks

N = 16  # answers per prompt, the paper's
PAIRS_SHOWN = 130  # dots of the scatter plot, per checkpoint
_STREAM, _SHOWN_STREAM = 21, 22
_MEASURES = ("r", "rank", "same", "next", "far")


@dataclass(frozen=True, kw_only=True)
class SimilarityCell:
    """One seed: its prompts, their answers, its network; sizes as in `selection_bias.BiasCell`."""

    prompts: int
    train_prompts: int
    train_k: int
    checkpoints: tuple[int, ...]
    seed: int

    @property
    def label(self) -> str:
        """Such as "seed3"."""
        return f"seed{self.seed}"


def cells(scale: str) -> Sequence[SimilarityCell]:
    """One cell per seed."""
    size: dict[str, Any] = {"prompts": 50, "train_prompts": 500, "train_k": 8, "checkpoints": CHECKPOINTS}
    if scale == "smoke":
        size |= {"prompts": 8, "train_prompts": 20, "checkpoints": (0, 2, 20)}
    return [SimilarityCell(seed=seed, **size) for seed in range({"smoke": 2, "book": 10, "full": 50}[scale])]


def run_cell(cell: SimilarityCell) -> dict[str, Any]:
    """Compare all pairs of answers to the same prompt, at every checkpoint.

    Returns:
        one number per checkpoint:
            r: Pearson correlation of similarity exp(−Δy²/(2·0.5²)) and gradient cosine, over all pairs;
            rank: Spearman's, which does not depend on the bandwidth 0.5;
            same, next, far: mean cosine of pairs in the same mode, in neighbouring modes, in the outer two;
        pairs: per checkpoint [distance |Δy|, cosine] of the same few pairs.
    """
    x, y = WORLD.sample(cell.prompts, N, rng=np.random.default_rng([_STREAM, cell.seed]))
    one, two = np.triu_indices(N, 1)
    alike = selectors.similarity(y, sharp=True)[:, one, two].ravel()
    distance = np.abs(y[:, one] - y[:, two]).ravel()
    offset = (y - WORLD.centre(x)[:, None])[..., None] - np.array(WORLD.offsets)
    mode = np.abs(offset).argmin(-1)
    apart = np.abs(mode[:, one] - mode[:, two]).ravel()
    shown = np.random.default_rng([_SHOWN_STREAM, cell.seed]).choice(
        distance.size, min(PAIRS_SHOWN, distance.size), replace=False
    )
    found: dict[str, list[Any]] = {name: [] for name in (*_MEASURES, "pairs")}
    for weights in networks(cell).values():
        cosines = pair_cosines(gradients.lens(weights, x), y)[:, one, two].ravel()
        found["r"].append(float(np.corrcoef(alike, cosines)[0, 1]))
        found["rank"].append(float(stats.spearmanr(-distance, cosines).statistic))
        for name, steps in (("same", 0), ("next", 1), ("far", 2)):
            found[name].append(float(cosines[apart == steps].mean()))
        found["pairs"].append([[round(float(distance[i]), 3), round(float(cosines[i]), 3)] for i in shown])
    return found


def pair_cosines(seen: gradients.Lens, y: np.ndarray) -> np.ndarray:
    """Cosines of the parameter gradients of all pairs of answers to the same prompt, (prompts, n, n)."""
    _, g = gradients.loss_and_gradient(seen, y)
    gram = np.einsum("pic,pcd,pjd->pij", g, seen.blocks, g, optimize=True)
    size = np.einsum("pii->pi", gram)
    return gradients.cosine(gram, size[:, :, None], size[:, None, :])


def summarise(outcomes: Sequence[tuple[SimilarityCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact: each measure by checkpoint with its interval over seeds, and pairs of the first seed."""
    first, result = outcomes[0]
    ends = {"start": 0, "end": len(first.checkpoints) - 1}
    return {m: over_seeds(np.array([found[m] for _, found in outcomes])) for m in _MEASURES} | {
        "pairs": {name: {"distance": [p[0] for p in result["pairs"][at]], "cosine": [p[1] for p in result["pairs"][at]]}
                  for name, at in ends.items()},
        "design": {
            "bandwidth": selectors.BANDWIDTH,
            "candidates": N,
            "checkpoints": list(first.checkpoints),
            "prompts": first.prompts,
            "seeds": len(outcomes),
        },
    }  # fmt: skip


def table(results: dict[str, Any]) -> Table:
    """One row per checkpoint."""
    rows = [
        (str(steps), *(f"{results[m]['mean'][at]:+.2f}" for m in _MEASURES))
        for at, steps in enumerate(results["design"]["checkpoints"])
    ]
    return Table(
        title=f"Similarity of two answers against the cosine of their gradients, {results['design']['seeds']} seeds.",
        columns=("step", "r", "rank r", "same mode", "next mode", "far mode"),
        rows=tuple(rows),
    )
