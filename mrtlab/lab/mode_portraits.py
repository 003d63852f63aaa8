"""Mode portraits: what four retrainings say about one fresh prompt, as densities one can look at.

The same networks as in `mode_lottery` (its seed 0, first retrainings, no early stopping), asked about the first
prompt of seed 0's test set. Nothing is chosen by eye: the prompt and the networks are the first ones there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mrtlab.lab import mdn
from mrtlab.lab.mode_lottery import WORLD, LotteryCell, draw_training
from mrtlab.lab.registry import Table

_PROMPT_STREAM = 1  # as the test stream of `mode_lottery`, so that its first test prompt is ours
GRID = np.linspace(-4, 4, 241)  # where the density is read, relative to the curve f(x)


@dataclass(frozen=True, kw_only=True)
class PortraitCell:
    """Retrainings of one arm: 120 prompts with K responses each."""

    k: int
    retrainings: int
    steps: int
    seed: int = 0

    @property
    def label(self) -> str:
        """Such as "k8"."""
        return f"k{self.k}"


def cells(scale: str) -> Sequence[PortraitCell]:
    """K = 1 and K = 8; fewer steps at smoke scale."""
    return [PortraitCell(k=k, retrainings=4, steps=20 if scale == "smoke" else 400) for k in (1, 8)]


@torch.no_grad()
def run_cell(cell: PortraitCell) -> dict[str, Any]:
    """Train, then read each network's density at one fresh prompt.

    Returns:
        density: one list per retraining, per unit of y, on `GRID`; truth: the true density there.
    """
    config = mdn.MDNConfig(inputs=WORLD.n_inputs, steps=cell.steps)
    lottery = LotteryCell(
        n_prompts=120, k=cell.k, stopping="final", seed=cell.seed, retrainings=cell.retrainings, steps=cell.steps
    )
    x, _ = WORLD.sample(100, 100, rng=np.random.default_rng([_PROMPT_STREAM, cell.seed]))
    x = x[:1]
    y = WORLD.centre(x)[:, None] + GRID[None, :]
    with mdn.one_thread(), torch.enable_grad():
        prompts, answers, weights = draw_training(lottery, config)
        trained = mdn.train(weights, prompts, answers, config=config).weights
    mixture = mdn.forward(trained, torch.tensor(x, dtype=torch.float32).expand(cell.retrainings, -1, -1))
    logp = mixture.logp(torch.tensor(y, dtype=torch.float32).expand(cell.retrainings, -1, -1))
    return {"density": logp.exp()[:, 0].tolist(), "truth": np.exp(WORLD.logp(x, y))[0].tolist()}


def summarise(outcomes: Sequence[tuple[PortraitCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact: grid, truth, and the densities by K, rounded for the page."""
    return {
        "grid": [round(float(v), 4) for v in GRID],
        "truth": _short(outcomes[0][1]["truth"]),
        "densities": {cell.label: [_short(d) for d in result["density"]] for cell, result in outcomes},
    }


def table(results: dict[str, Any]) -> Table:
    """Where each network puts its highest peak, relative to the middle mode."""
    rows = []
    for name, densities in results["densities"].items():
        peaks = ", ".join(f"{results['grid'][int(np.argmax(d))]:+.2f}" for d in densities)
        rows.append((name.removeprefix("k"), peaks))
    return Table(title="Highest peak of each retraining (true modes at -1.5, 0, +1.5)",
                 columns=("K", "peaks"), rows=tuple(rows))  # fmt: skip


def _short(values: Sequence[float]) -> list[float]:
    return [round(float(v), 4) for v in values]
