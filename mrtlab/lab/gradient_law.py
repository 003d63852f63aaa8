"""The law for gradients: what stochastic gradient descent feels is the spread of gradients, not of losses.

A gradient is a vector; its between-prompt and within-prompt variances are the traces of the two covariance
matrices, and the same law and the same K* hold for them. They are estimated on the paper's mixture-density network
at its random start and after some training, beside the scalar ones on the same draws.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.func import grad_and_value, vmap

from mrtlab.lab import mdn
from mrtlab.theory import GaussianModes

STAGES = (0, 50, 400)  # training steps after which the network is looked at
TRAIN_PROMPTS, TRAIN_RESPONSES = 120, 4
WORLD = GaussianModes()

_WEIGHT_STREAM, _TABLE_STREAM = 21, 22
_AT_ONCE = 10  # prompts whose per-answer gradients (5 455 numbers each) are held at once


@dataclass(frozen=True, kw_only=True)
class GradientCell:
    """One network, looked at on a fresh table of n_prompts × n_responses."""

    seed: int
    n_prompts: int
    n_responses: int

    @property
    def label(self) -> str:
        """Such as "gradient-seed3"."""
        return f"gradient-seed{self.seed}"


def run_gradient_cell(cell: GradientCell) -> dict[str, Any]:
    """Train, stop at every stage, and take the losses and gradients of a fresh table apart.

    Returns:
        stepN: loss and gradient, each with v_x and v_yx (for gradients: traces).
    """
    rng = np.random.default_rng([_WEIGHT_STREAM, cell.seed])
    start = mdn.stack([mdn.init_weights(mdn.MDNConfig(), rng=rng)])
    x, y = (torch.tensor(v, dtype=torch.float32)[None] for v in WORLD.sample(TRAIN_PROMPTS, TRAIN_RESPONSES, rng=rng))
    table = WORLD.sample(cell.n_prompts, cell.n_responses, rng=np.random.default_rng([_TABLE_STREAM, cell.seed]))
    found = {}
    with mdn.one_thread():
        for steps in STAGES:
            trained = mdn.train(start, x, y, config=mdn.MDNConfig(steps=steps)).weights
            found[f"step{steps}"] = take_apart({name: w[0] for name, w in trained.items()}, *table)
    return found


def take_apart(weights: dict[str, torch.Tensor], x: np.ndarray, y: np.ndarray) -> dict[str, dict[str, float]]:
    """Between- and within-prompt variance of losses and of gradients, by one-way analysis of variance.

    V_{y|x} is the mean within-prompt variance; V_x the variance of prompt means minus V_{y|x}/K, both unbiased.
    For gradients the squares are squared lengths.

    Args:
        weights: one network, without the models axis.
        x: prompts, (n, 5).
        y: answers, (n, k).
    """

    def loss(w: dict[str, torch.Tensor], prompt: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        stacked = {name: v[None] for name, v in w.items()}
        return mdn.nll(stacked, prompt[None, None], answer[None, None, None])[0]

    one_prompt = vmap(grad_and_value(loss), in_dims=(None, None, 0))
    table = vmap(one_prompt, in_dims=(None, 0, 0))
    prompts, answers = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    means: dict[str, list[torch.Tensor]] = {"gradient": [], "loss": []}
    within = {"gradient": 0.0, "loss": 0.0}
    for at in range(0, len(x), _AT_ONCE):
        grads, losses = table(weights, prompts[at : at + _AT_ONCE], answers[at : at + _AT_ONCE])
        flat = torch.cat([g.flatten(start_dim=2) for g in grads.values()], dim=2).double()
        for name, values in (("gradient", flat), ("loss", losses.double()[..., None])):
            centre = values.mean(dim=1, keepdim=True)
            means[name].append(centre[:, 0])
            within[name] += float((values - centre).square().sum())
    n, k = y.shape
    result = {}
    for name, parts in means.items():
        by_prompt = torch.cat(parts)
        v_yx = within[name] / (n * (k - 1))
        between = float((by_prompt - by_prompt.mean(0)).square().sum()) / (n - 1)
        result[name] = {"v_x": between - v_yx / k, "v_yx": v_yx}
    return result
