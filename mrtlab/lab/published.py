"""The published loss table: do losses of trained language models fall along 1/K, or along log K?

The numbers are the authors', from the result files of their released code (arXiv 2606.00544; one run and one seed
per cell), typed in here because their repository has no licence. Nothing is trained by us. Each series has five
values of K, and both curves have two parameters, so their R² can be set side by side.

Run-to-run noise was never measured by the authors. Six pairs of their cells that differ only in how often they
were evaluated differ by up to 0.0021 nats; every fit is repeated with noise of that size added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.lab import stats
from mrtlab.lab.registry import Table

K_VALUES = (1, 2, 4, 8, 16)
NOISE = 0.0021  # nats; the largest difference between two of the authors' runs of the same cell

# Reference loss in nats per token at K = 1, 2, 4, 8, 16, random K of 64 candidates, "Gold" data.
SERIES: dict[str, tuple[str, tuple[float, ...]]] = {
    "llama-3.1-8b": ("Llama-3.1-8B-Instruct", (1.5564, 1.5150, 1.4879, 1.4619, 1.4414)),
    "llama-3.1-8b-800-updates": ("Llama-3.1-8B-Instruct, 800 updates", (1.5371, 1.5075, 1.4826, 1.4628, 1.4421)),
    "llama-3.2-1b": ("Llama-3.2-1B-Instruct", (1.6380, 1.5922, 1.5595, 1.5340, 1.5078)),
    "llama-3.2-3b": ("Llama-3.2-3B-Instruct", (1.5951, 1.5572, 1.5239, 1.4937, 1.4724)),
    "qwen3.5-2b": ("Qwen3.5-2B", (1.5042, 1.4759, 1.4486, 1.4250, 1.4141)),
    "qwen3.5-4b": ("Qwen3.5-4B", (1.3626, 1.3412, 1.3206, 1.3018, 1.2920)),
    "gemma-4-e2b": ("Gemma-4-E2B-it", (1.6044, 1.5431, 1.4987, 1.4675, 1.4437)),
    "gemma-4-e4b": ("Gemma-4-E4B-it", (1.5498, 1.5064, 1.4664, 1.4345, 1.4123)),
}


@dataclass(frozen=True, kw_only=True)
class SeriesCell:
    """One published series; the seed is that of the added noise."""

    series: str
    seed: int
    redraws: int

    @property
    def label(self) -> str:
        """Such as "qwen3-5-2b"."""
        return self.series.replace(".", "-")


def cells(scale: str) -> Sequence[SeriesCell]:
    """One cell per series."""
    redraws = {"smoke": 100, "book": 4000, "full": 20_000}[scale]
    return [SeriesCell(series=name, seed=seed, redraws=redraws) for seed, name in enumerate(SERIES)]


def run_cell(cell: SeriesCell) -> dict[str, Any]:
    """Fit a + b/K and a + b·log₂K, once as published and many times with noise added.

    Returns:
        inverse, log: intercept, slope, r2; log_better: share of noisy copies in which the logarithm's R² is higher.
    """
    loss = np.array(SERIES[cell.series][1])
    features = {"inverse": 1 / np.array(K_VALUES), "log": np.log2(K_VALUES)}
    fits = {name: stats.line_fit(x, loss) for name, x in features.items()}
    noisy = loss + NOISE * np.random.default_rng([31, cell.seed]).standard_normal((cell.redraws, len(loss)))
    r2 = {name: _r_squared(x, noisy) for name, x in features.items()}
    return {name: {"intercept": fit.intercept, "r2": fit.r2, "slope": fit.slope} for name, fit in fits.items()} | {
        "log_better": float(np.mean(r2["log"] > r2["inverse"]))
    }


def _r_squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared correlation of one x with every row of y: the R² of the least squares line."""
    centred, rows = x - x.mean(), y - y.mean(1, keepdims=True)
    return (rows @ centred) ** 2 / (centred @ centred * (rows**2).sum(1))


def summarise(outcomes: Sequence[tuple[SeriesCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        k, noise; series.NAME: name, loss, and what `run_cell` gave; counts: log_clear and inverse_clear, in how
        many series one of the curves is better in at least 95 % of the noisy copies, and log_higher, in how many
        its R² is higher as published.
    """
    share = [result["log_better"] for _, result in outcomes]
    return {
        "counts": {
            "inverse_clear": sum(s <= 0.05 for s in share),
            "log_clear": sum(s >= 0.95 for s in share),
            "log_higher": sum(r["log"]["r2"] > r["inverse"]["r2"] for _, r in outcomes),
            "series": len(outcomes),
        },
        "k": list(K_VALUES),
        "noise": NOISE,
        "series": {
            cell.label: result | {"loss": list(SERIES[cell.series][1]), "name": SERIES[cell.series][0]}
            for cell, result in outcomes
        },
    }


def table(results: dict[str, Any]) -> Table:
    """R² of both curves, one row per series."""
    return Table(
        title="R² of two curves through the authors' published losses (result files of arXiv 2606.00544).\n"
        f"Last column: share of copies with noise of {results['noise']} nats in which log K fits better.",
        columns=("model", "a + b/K", "a + b log K", "log better"),
        rows=tuple(
            (s["name"], f"{s['inverse']['r2']:.3f}", f"{s['log']['r2']:.3f}", f"{s['log_better']:.0%}")
            for s in results["series"].values()
        ),
    )
