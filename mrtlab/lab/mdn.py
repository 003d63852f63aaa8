"""The mixture-density network of the multi-response training paper, many retrainings at once.

A small network reads a prompt x and answers with a mixture of Gaussians over y. Every array carries a leading
*models* axis: one retraining per entry, each with its own data, weights, gradient norm and Adam state, so
training twenty of them together gives the same twenty networks as training them one by one, only faster.

Settings are the paper's (experiments 1 to 6, read in its released configuration): two hidden layers of 64 ReLU
units, 5 components, log-sigma clamped to [−3, 3], full-batch Adam at 0.005, 400 steps, gradient norm clipped at 5,
no regularisation, no early stopping. The paper's facts do not name the initialisation; we use torch's usual one
for linear layers, uniform within ±1/√fan_in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Weights = dict[str, Tensor]
Prompts = Float[Tensor, "models prompts inputs"]
Answers = Float[Tensor, "models prompts k"]
HeldPrompts = Float[Tensor, "models held inputs"]
HeldAnswers = Float[Tensor, "models held k"]
PerModel = Float[Tensor, " models"]

_LOG_SIGMA = (-3.0, 3.0)
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, kw_only=True)
class MDNConfig:
    """Shape and training of the network; the defaults are the paper's.

    Attributes:
        inputs: dimension of a prompt.
        hidden: units in each of the two hidden layers.
        components: Gaussians in the answer.
        steps: full-batch Adam steps.
        lr: Adam's step size.
        clip: largest gradient norm of one model.
        check_every: steps between two looks at the validation loss, if there is validation data.
    """

    inputs: int = 5
    hidden: int = 64
    components: int = 5
    steps: int = 400
    lr: float = 0.005
    clip: float = 5.0
    check_every: int = 10


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians for each model and prompt; every field has shape (models, prompts, components)."""

    log_weight: Float[Tensor, "models prompts components"]
    mean: Float[Tensor, "models prompts components"]
    log_sigma: Float[Tensor, "models prompts components"]

    def logp(self, y: Answers) -> Answers:
        """Log-density of answers in nats, log Σ_c w_c N(y; μ_c, σ_c²); y and result are (models, prompts, k).

        >>> one = torch.zeros(1, 1, 1)
        >>> round(Mixture(one, one, one).logp(one).item(), 4)  # a standard normal at 0: −½ log 2π
        -0.9189
        """
        # The constant −log σ − ½ log 2π joins the weights before the answers fan out: fewer large arrays.
        scale = (self.log_weight - self.log_sigma - 0.5 * _LOG_2PI)[:, :, None, :]
        z = (y[..., None] - self.mean[:, :, None, :]) * torch.exp(-self.log_sigma)[:, :, None, :]
        return torch.logsumexp(scale - 0.5 * z * z, dim=-1)

    def mass(self, low: Answers, high: Answers) -> Answers:
        """Probability that the answer falls between two bounds, exact; bounds and result (models, prompts, k).

        >>> one, zero = torch.ones(1, 1, 1), torch.zeros(1, 1, 1)
        >>> round(Mixture(zero, zero, zero).mass(-one, one).item(), 4)  # a standard normal within one sigma
        0.6827
        """
        below = [
            torch.special.ndtr((b[..., None] - self.mean[:, :, None, :]) / self.log_sigma.exp()[:, :, None, :])
            for b in (low, high)
        ]
        return ((below[1] - below[0]) * self.log_weight.exp()[:, :, None, :]).sum(-1)


def init_weights(config: MDNConfig, *, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the starting weights of one network, uniform within ±1/√fan_in, biases included.

    Args:
        config: the network's shape.
        rng: source of the draws.

    Returns:
        arrays "w1", "b1", … "b3"; w has shape (fan_in, fan_out), b (1, fan_out).

    >>> {name: w.shape for name, w in init_weights(MDNConfig(), rng=np.random.default_rng(0)).items()}["w3"]
    (64, 15)
    """
    widths = (config.inputs, config.hidden, config.hidden, 3 * config.components)
    weights = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        bound = fan_in**-0.5
        weights[f"w{layer}"] = rng.uniform(-bound, bound, (fan_in, fan_out))
        weights[f"b{layer}"] = rng.uniform(-bound, bound, (1, fan_out))
    return weights


def stack(weights: list[dict[str, np.ndarray]], *, dtype: torch.dtype = torch.float32) -> Weights:
    """Put several networks side by side: each array gains a leading models axis."""
    return {name: torch.tensor(np.stack([w[name] for w in weights]), dtype=dtype) for name in weights[0]}


def forward(weights: Weights, x: Prompts) -> Mixture:
    """Read prompts x, (models, prompts, inputs), and answer with one mixture each."""
    h = torch.relu(torch.baddbmm(weights["b1"], x, weights["w1"]))
    h = torch.relu(torch.baddbmm(weights["b2"], h, weights["w2"]))
    logit, mean, log_sigma = torch.baddbmm(weights["b3"], h, weights["w3"]).chunk(3, dim=-1)
    return Mixture(torch.log_softmax(logit, dim=-1), mean, log_sigma.clamp(*_LOG_SIGMA))


def nll(weights: Weights, x: Prompts, y: Answers) -> PerModel:
    """Mean loss −log p(y | x) of each model over its prompts and answers, in nats per answer."""
    return -forward(weights, x).logp(y).mean(dim=(1, 2))


@dataclass(frozen=True)
class Trained:
    """Trained weights and the Adam step each model's weights were taken at, (models,)."""

    weights: Weights
    step: Int[Tensor, " models"]


def train(
    weights: Weights,
    x: Prompts,
    y: Answers,
    *,
    config: MDNConfig,
    validation: tuple[HeldPrompts, HeldAnswers] | None = None,
) -> Trained:
    """Train every model on its own prompts and answers, full batch.

    Args:
        weights: starting weights, from `stack`; left as they are.
        x: prompts, (models, prompts, inputs).
        y: answers, (models, prompts, k).
        config: steps, step size, clip.
        validation: held-out prompts and answers. If given, each model keeps the weights with the lowest
            validation loss among those seen every `config.check_every` steps: early stopping.

    Returns:
        the weights after the last step, or the best ones by validation loss, and the step they are from.
    """
    current = {name: w.clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam(current.values(), lr=config.lr)
    n_models = len(x)
    best = {name: w.clone() for name, w in weights.items()}
    best_loss, best_step = torch.full((n_models,), torch.inf, dtype=y.dtype), torch.zeros(n_models).long()
    for step in range(1, config.steps + 1):
        optimizer.zero_grad()
        nll(current, x, y).sum().backward()  # a sum, so that no model's gradient depends on the others
        _clip_each(current, config.clip)
        optimizer.step()
        if validation is not None and step % config.check_every == 0:
            with torch.no_grad():
                loss = nll(current, *validation)
                better = loss < best_loss
                best_loss, best_step = torch.where(better, loss, best_loss), torch.where(better, step, best_step)
                best = {n: torch.where(better[:, None, None], current[n], best[n]) for n in best}
    if validation is not None:
        return Trained(best, best_step)
    return Trained({n: w.detach() for n, w in current.items()}, torch.full((n_models,), config.steps))


def _clip_each(weights: Weights, limit: float) -> None:
    """Shrink each model's gradient to norm `limit` if it is longer, over all of the model's arrays together."""
    grads = [w.grad for w in weights.values()]
    norm = torch.stack([g.square().sum(dim=(1, 2)) for g in grads]).sum(0).sqrt()
    shrink = (limit / (norm + 1e-6)).clamp(max=1.0)[:, None, None]
    for g in grads:
        g.mul_(shrink)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, then put the setting back: sums come in the same order however many cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
