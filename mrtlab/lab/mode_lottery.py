"""Mode lottery: does the test loss vary less over retrainings when K rises, or when there are more pairs?

One *retraining* means new prompts, new responses and new starting weights, in the world of the multi-response
training paper (`GaussianModes`) with its mixture-density network (`mdn`). The paper's experiment 3 keeps 120
prompts and raises K, so the training pairs grow with K. Three arms take the two apart:

=========  ====================  =================================================
arm        prompts for K = 1…8   what it holds fixed
=========  ====================  =================================================
grow       120                   the prompts, as the paper does; pairs 120 → 960
matched    960/K                 960 pairs; more responses mean fewer prompts
scarce     120/K                 120 pairs; the same at an eighth of the size
=========  ====================  =================================================

The arms are three paths over one table of (prompts, K), and they meet: grow and matched share 120 × 8, grow and
scarce share 120 × 1. A shared corner is run once and serves both. Every retraining takes the same 400 full-batch
steps, so no arm gets more updates than another.

Each is also run *stopped*: the same prompts, responses and starting weights, but a fifth of the prompts is held
out and the weights with the lowest held-out loss are kept. What is left of the spread then is not over-fitting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float

from mrtlab.lab import mdn
from mrtlab.theory import GaussianModes, effective_support

ARMS: dict[str, dict[int, int]] = {
    "grow": {k: 120 for k in (1, 2, 4, 8)},
    "matched": {k: 960 // k for k in (1, 2, 4, 8)},
    "scarce": {k: 120 // k for k in (1, 2, 4, 8)},
}
STOPPINGS: tuple[Literal["final", "stopped"], ...] = ("final", "stopped")
HELD_OUT = 0.2  # share of the prompts that early stopping looks at instead of training on
TEST_PROMPTS, TEST_RESPONSES = 100, 100
WINDOW = 0.75  # half the distance between neighbouring modes: each mode's share of the line
WORLD = GaussianModes()

# First entries of a seed sequence: what is drawn must not depend on what else is drawn with the same seed.
_TEST_STREAM, _TRAIN_STREAM = 1, 2
_NO_MASS = 1e-6  # a prompt with less than this near all its modes has found none of them


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Size of a run: number of seeds (each with its own test set), retrainings per seed, steps per training."""

    seeds: int
    retrainings: int
    steps: int


SCALES: dict[str, Scale] = {
    "smoke": Scale(seeds=2, retrainings=4, steps=20),
    "book": Scale(seeds=10, retrainings=20, steps=400),
    "full": Scale(seeds=50, retrainings=40, steps=400),
}


@dataclass(frozen=True, kw_only=True)
class LotteryCell:
    """All retrainings of one seed at one place of the table (prompts, K), with one way of stopping."""

    n_prompts: int
    k: int
    stopping: Literal["final", "stopped"]
    seed: int
    retrainings: int
    steps: int

    @property
    def label(self) -> str:
        """Such as "120x8-stopped-seed3"."""
        return f"{self.n_prompts}x{self.k}-{self.stopping}-seed{self.seed}"


def places() -> list[tuple[int, int]]:
    """The different (prompts, K) that the arms visit, sorted.

    >>> len(places())  # 3 arms × 4 values of K, minus the two corners that are shared
    10
    """
    return sorted({(n_prompts, k) for arm in ARMS.values() for k, n_prompts in arm.items()})


def cells(scale: str) -> Sequence[LotteryCell]:
    """The cells of a run, seed by seed."""
    size = SCALES[scale]
    return [
        LotteryCell(
            n_prompts=n_prompts,
            k=k,
            stopping=stopping,
            seed=seed,
            retrainings=size.retrainings,
            steps=size.steps,
        )
        for seed in range(size.seeds)
        for n_prompts, k in places()
        for stopping in STOPPINGS
    ]


def run_cell(cell: LotteryCell) -> dict[str, Any]:
    """Retrain, test, and look at the mass near each true mode.

    Returns:
        lists with one entry per retraining: those of `measure`, and
        step: the Adam step whose weights were kept.
    """
    config = mdn.MDNConfig(inputs=WORLD.n_inputs, steps=cell.steps)
    with mdn.one_thread():
        x, y, weights = draw_training(cell, config)
        if cell.stopping == "stopped":
            held = max(1, round(HELD_OUT * cell.n_prompts))
            trained = mdn.train(
                weights,
                x[:, held:],
                y[:, held:],
                config=config,
                validation=(x[:, :held], y[:, :held]),
            )
        else:
            trained = mdn.train(weights, x, y, config=config)
        rng = np.random.default_rng([_TEST_STREAM, cell.seed])
        result = measure(trained.weights, *WORLD.sample(TEST_PROMPTS, TEST_RESPONSES, rng=rng))
    return result | {"step": trained.step.tolist()}


def draw_training(cell: LotteryCell, config: mdn.MDNConfig) -> tuple[mdn.Prompts, mdn.Answers, mdn.Weights]:
    """Prompts, responses and starting weights of every retraining; the same for both ways of stopping.

    Returns:
        x (retrainings, n_prompts, inputs), y (retrainings, n_prompts, k), stacked weights.
    """
    prompts, answers, weights = [], [], []
    for retraining in range(cell.retrainings):
        rng = np.random.default_rng([_TRAIN_STREAM, cell.seed, cell.n_prompts, cell.k, retraining])
        x, y = WORLD.sample(cell.n_prompts, cell.k, rng=rng)
        prompts.append(x)
        answers.append(y)
        weights.append(mdn.init_weights(config, rng=rng))
    return _tensor(np.stack(prompts)), _tensor(np.stack(answers)), mdn.stack(weights)


@torch.no_grad()
def measure(
    weights: mdn.Weights,
    x: Float[np.ndarray, "n_prompts inputs"],
    y: Float[np.ndarray, "n_prompts k"],
) -> dict[str, list[float]]:
    """Test every model on the same fresh prompts and responses.

    The mass within ±0.75 of a true mode is exact, from the mixture's distribution function. The windows touch, so
    with the rest of the line they make four cells; the truth gives ⅓, ⅓, ⅓, 0.

    Args:
        weights: the models, stacked.
        x: fresh prompts.
        y: fresh responses to them.

    Returns:
        one entry per model, each a mean over prompts:
        nll: test loss in nats per response;
        modes: effective number of modes, exp(entropy) of the three masses rescaled to sum to 1, between 1 and 3;
            0 for a prompt with no mass near any mode;
        off: mass near none of the modes;
        tv: total variation distance of the four cells from the truth's.
    """
    n_models = len(weights["w1"])
    tiled = _tensor(x).expand(n_models, -1, -1)
    mixture = mdn.forward(weights, tiled)
    loss = -mixture.logp(_tensor(y).expand(n_models, -1, -1)).mean(dim=(1, 2))
    centres = _tensor(WORLD.centre(x)[:, None] + np.array(WORLD.offsets)).expand(n_models, -1, -1)
    near = mixture.mass(centres - WINDOW, centres + WINDOW).double().numpy().clip(0, 1)
    return {"nll": loss.tolist()} | {name: v.mean(-1).tolist() for name, v in mode_measures(near).items()}


def mode_measures(near: Float[np.ndarray, "*batch 3"]) -> dict[str, Float[np.ndarray, "*batch"]]:
    """Modes, mass off them and distance from the truth, given the mass near each of the three modes.

    >>> found = mode_measures(np.array([0.5, 0.5, 0.0]))  # two modes, the third one lost
    >>> {name: round(float(v), 3) for name, v in found.items()}
    {'modes': 2.0, 'off': 0.0, 'tv': 0.333}
    """
    total = near.sum(-1)
    off = np.clip(1 - total, 0, 1)  # single precision can put the sum a hair above 1
    some = (total > _NO_MASS)[..., None]
    share = np.where(some, near / np.maximum(total, _NO_MASS)[..., None], 1 / 3)
    return {
        "modes": np.where(some[..., 0], effective_support(share), 0.0),
        "off": off,
        "tv": 0.5 * (np.abs(near - 1 / 3).sum(-1) + off),
    }


def _tensor(values: np.ndarray) -> torch.Tensor:
    """Single precision, as the paper's network uses."""
    return torch.tensor(values, dtype=torch.float32)
