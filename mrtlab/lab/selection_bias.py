"""Selection bias: keep K of N answers by some rule, and ask how far loss and gradient are from the true ones.

The multi-response training paper's experiment 5, in its world (`GaussianModes`) with its network (`mdn`), and more
than it: the truth is an integral instead of a sample, gradients are measured along training as well as at random
starting weights, four rewards stand beside the one whose favourite is the middle mode, and the coverage objective
itself stands beside the rule that the paper's simulations use in its place.

Per seed: one set of prompts, one network. It trains on other prompts with many random answers each, and is looked
at after 0, 10, … 400 steps. Fresh pools of N answers per prompt are drawn many times; each selector keeps K.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from mrtlab.lab import gradients, mdn, selectors
from mrtlab.lab.gradients import Lens
from mrtlab.lab.mode_lottery import WORLD

K, N = 4, 32  # the paper's
HEAD_SELECTORS = ("random", "top_k", "dbkon_a75")  # those whose gradients are taken apart by heads
HEAD_GROUPS = ("free", "middle", "upper")
OUTPUTS = ("weights", "means", "scale")  # the three heads, as they follow each other in the network's outputs

# First entries of a seed sequence: what is drawn must not depend on what else is drawn with the same seed.
_TRAIN_STREAM, _PROMPT_STREAM, _POOL_STREAM, _CHOICE_STREAM = 11, 12, 13, 14

Chosen = Int[np.ndarray, "prompts trials k"]
Truth = tuple[Float[np.ndarray, " prompts"], Float[np.ndarray, "prompts outputs"]]


@dataclass(frozen=True, kw_only=True)
class BiasCell:
    """One seed: its prompts, its network, its pools.

    Attributes:
        prompts: prompts that are looked at.
        trials: pools drawn per prompt.
        train_prompts, train_k: what the network trains on: fresh prompts, this many answers to each.
        checkpoints: training steps after which it is looked at.
    """

    prompts: int
    trials: int
    train_prompts: int
    train_k: int
    checkpoints: tuple[int, ...]
    seed: int

    @property
    def label(self) -> str:
        """Such as "seed3"."""
        return f"seed{self.seed}"


CHECKPOINTS = (0, 10, 50, 100, 200, 400)


def cells(scale: str) -> Sequence[BiasCell]:
    """One cell per seed."""
    size: dict[str, Any] = {"prompts": 30, "trials": 60, "train_prompts": 500, "train_k": 8, "checkpoints": CHECKPOINTS}
    if scale == "smoke":
        size |= {"prompts": 6, "trials": 10, "train_prompts": 20, "checkpoints": (0, 2, 20)}
    seeds = {"smoke": 2, "book": 10, "full": 50}[scale]
    return [BiasCell(seed=seed, **size) for seed in range(seeds)]


def networks(cell: Any) -> dict[int, dict[str, np.ndarray]]:
    """The cell's network after each checkpoint's number of steps, as arrays.

    Training is deterministic, so each checkpoint is trained from the start rather than kept on the way.

    Args:
        cell: anything with seed, train_prompts, train_k and checkpoints.
    """
    rng = np.random.default_rng([_TRAIN_STREAM, cell.seed])
    start = mdn.init_weights(mdn.MDNConfig(inputs=WORLD.n_inputs), rng=rng)
    x, y = (torch.tensor(v[None], dtype=torch.float32) for v in WORLD.sample(cell.train_prompts, cell.train_k, rng=rng))
    found = {}
    with mdn.one_thread():
        for steps in cell.checkpoints:
            config = mdn.MDNConfig(inputs=WORLD.n_inputs, steps=steps)
            trained = mdn.train(mdn.stack([start]), x, y, config=config).weights if steps else mdn.stack([start])
            found[steps] = {name: w[0].numpy().astype(float) for name, w in trained.items()}
    return found


def run_cell(cell: BiasCell) -> dict[str, Any]:
    """Train, draw pools, select by every rule, measure at every checkpoint.

    Returns:
        kept: {reward or "free": {selector: share of the kept answers at each mode}};
        found: {reward or "free": {selector: {measure: one number per checkpoint}}}, see `measure` and `by_heads`;
        model: {loss, gradient: size of the true gradient, sigma}: one number per checkpoint.
    """
    rng = np.random.default_rng([_PROMPT_STREAM, cell.seed])
    x, _ = WORLD.sample(cell.prompts, 1, rng=rng)
    y = draw_pools(x, cell.trials, rng=np.random.default_rng([_POOL_STREAM, cell.seed]))
    chosen = choose(x, y, rng=np.random.default_rng([_CHOICE_STREAM, cell.seed]))
    kept = {
        group: {name: mode_shares(x, np.take_along_axis(y, pick, axis=2)) for name, pick in picks.items()}
        for group, picks in chosen.items()
    }
    found: dict[str, dict[str, dict[str, list[float]]]] = {g: {s: {} for s in picks} for g, picks in chosen.items()}
    model: dict[str, list[float]] = {"loss": [], "gradient": [], "sigma": []}
    for weights in networks(cell).values():
        seen = gradients.lens(weights, x)
        truth = gradients.true_loss_and_gradient(seen, x, WORLD)
        flat_loss, flat_gradient = gradients.loss_and_gradient(seen, y.reshape(cell.prompts, -1))
        loss, gradient = flat_loss.reshape(y.shape), flat_gradient.reshape(*y.shape, -1)
        model["loss"].append(float(truth[0].mean()))
        model["gradient"].append(float(np.sqrt(gradients.inner(seen.blocks, truth[1], truth[1])).mean()))
        model["sigma"].append(float((np.exp(seen.log_weight + seen.log_sigma)).sum(1).mean()))
        kernel = seen.kernel
        for group, picks in chosen.items():
            for name, pick in picks.items():
                one = np.take_along_axis(loss, pick, axis=2).mean(2)
                g = np.take_along_axis(gradient, pick[..., None], axis=2).mean(2)
                numbers = measure(one, g, truth, kernel)
                if name in HEAD_SELECTORS and group in HEAD_GROUPS:
                    numbers |= by_heads(g, truth[1], seen)
                for key, value in numbers.items():
                    found[group][name].setdefault(key, []).append(value)
    return {"kept": kept, "found": found, "model": model}


def draw_pools(
    x: Float[np.ndarray, "prompts inputs"], trials: int, *, rng: np.random.Generator
) -> Float[np.ndarray, "prompts trials n"]:
    """Fresh pools of N answers for every prompt and trial."""
    shape = (len(x), trials, N)
    modes = rng.choice(np.array(WORLD.offsets), size=shape)
    return WORLD.centre(x)[:, None, None] + modes + WORLD.noise * rng.standard_normal(shape)


def choose(
    x: Float[np.ndarray, "prompts inputs"], y: Float[np.ndarray, "prompts trials n"], *, rng: np.random.Generator
) -> dict[str, dict[str, Chosen]]:
    """What every selector keeps from every pool: {"free" or reward: {selector: indices}}."""
    shape, pools = (*y.shape[:2], K), y.reshape(-1, y.shape[2])
    offset = (y - WORLD.centre(x)[:, None, None]).reshape(pools.shape)
    picks = {"free": selectors.choose_free(pools, K, rng=rng)}
    for name in selectors.REWARDS:
        reward = selectors.rewards(name, offset, WORLD, rng=rng)
        picks[name] = selectors.choose_rewarded(pools, reward, K, rng=rng)
    return {group: {s: pick.reshape(shape) for s, pick in found.items()} for group, found in picks.items()}


def mode_shares(x: Float[np.ndarray, "prompts inputs"], kept: Float[np.ndarray, "prompts trials k"]) -> list[float]:
    """Share of the kept answers that lie nearest to each mode."""
    offset = kept - WORLD.centre(x)[:, None, None]
    nearest = np.abs(offset[..., None] - np.array(WORLD.offsets)).argmin(-1)
    return [float((nearest == m).mean()) for m in range(len(WORLD.offsets))]


def measure(
    loss: Float[np.ndarray, "prompts trials"],
    g: Float[np.ndarray, "prompts trials outputs"],
    truth: Truth,
    kernel: gradients.Kernel,
) -> dict[str, float]:
    """How far the loss and the gradient of selected sets are from the true ones.

    Squared bias is estimated without its own sampling noise, (mean deviation)² − variance/trials, so it is 0 on
    average for an unbiased rule and may come out slightly negative.

    Args:
        loss: mean loss of each selected set.
        g: its mean output gradient.
        truth: true loss and output gradient.
        kernel: of the network at these prompts.

    Returns:
        bias2, variance, mse: of the loss of one prompt, averaged over prompts, in nats²;
        z: mean deviation of the loss over all prompts, in its standard errors;
        cos_prompt: cosine with the true gradient, one prompt at a time, averaged;
        cos_batch: the same for the gradient of all prompts together;
        grad_bias2, grad_variance, grad_mse: of the gradient of one prompt, as shares of the true squared length.
    """
    true_loss, true_g = truth
    blocks = np.einsum("pcpd->pcd", kernel)
    trials = loss.shape[1]
    off = loss - true_loss[:, None]
    per_trial = off.mean(0)
    variance = loss.var(1, ddof=1)
    length2 = gradients.inner(blocks, true_g, true_g)
    dot = gradients.inner(blocks, g, np.broadcast_to(true_g[:, None], g.shape))
    away = g - true_g[:, None]
    away_mean = away.mean(1)
    total = length2.sum()
    around = away - away_mean[:, None]
    grad_variance = gradients.inner(blocks, around, around).sum(1) / (trials - 1)
    grad_bias2 = gradients.inner(blocks, away_mean, away_mean) - grad_variance / trials
    together = g.transpose(1, 0, 2).reshape(trials, -1)
    matrix = kernel.reshape(together.shape[1], -1)
    seen, target = together @ matrix, true_g.reshape(-1)
    return {
        "bias2": float((off.mean(1) ** 2 - variance / trials).mean()),
        "variance": float(variance.mean()),
        "mse": float((off**2).mean()),
        "z": float(per_trial.mean() / (per_trial.std(ddof=1) / np.sqrt(trials))),
        "cos_prompt": float(gradients.cosine(dot, gradients.inner(blocks, g, g), length2[:, None]).mean()),
        "cos_batch": float(
            gradients.cosine(seen @ target, (seen * together).sum(1), np.array(target @ matrix @ target)).mean()
        ),
        "grad_bias2": float(grad_bias2.sum() / total),
        "grad_variance": float(grad_variance.sum() / total),
        "grad_mse": float(gradients.inner(blocks, away, away).mean(1).sum() / total),
    }


def by_heads(
    g: Float[np.ndarray, "prompts trials outputs"], true_g: Float[np.ndarray, "prompts outputs"], seen: Lens
) -> dict[str, float]:
    """Which part of the network makes the cosine of one prompt what it is.

    Returns:
        part_NAME: what the parameters of one part add to the cosine; the four parts sum to it;
        only_HEAD: cosine if the loss reached the parameters through this head's outputs only;
        without_scale: cosine if the network could not change its widths.
    """
    blocks, target = seen.blocks, np.broadcast_to(true_g[:, None], g.shape)
    size = np.sqrt(gradients.inner(blocks, g, g) * gradients.inner(blocks, target, target))
    found = {
        f"part_{part}": float((gradients.inner(own, g, target) / np.where(size > 0, size, 1.0)).mean())
        for part, own in seen.part_blocks.items()
    }
    width = g.shape[-1] // 3
    head = np.repeat(np.arange(3), width)
    masks = {f"only_{name}": head == h for h, name in enumerate(OUTPUTS)} | {"without_scale": head != 2}
    for name, mask in masks.items():
        a, b = g * mask, target * mask
        dot, a2, b2 = (gradients.inner(blocks, u, v) for u, v in ((a, b), (a, a), (b, b)))
        found[name] = float(gradients.cosine(dot, a2, b2).mean())
    return found
