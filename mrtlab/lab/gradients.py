"""Gradients of the mixture-density network, exactly and cheaply: fifteen numbers and one kernel per prompt.

All answers to a prompt share the prompt's hidden activations, so an answer enters the parameter gradient only
through the gradient of its loss with respect to the network's 3C outputs (C logits, C means, C log-sigmas). With
J the Jacobian of the outputs and g that output gradient, ∇θ = Jᵀg, and every inner product of parameter gradients
is gᵀ(JJᵀ)g′. The kernel JJᵀ has a closed form for a network with two hidden layers; no gradient of thousands of
parameters is ever written down, and the truth's gradient is an integral over three narrow bells.

Torch is not needed here: the networks come in as arrays, in double precision.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from mrtlab.theory import GaussianModes

PARTS = ("weights", "means", "scale", "body")  # own parameters of the three heads, and the two layers they share
_LOG_SIGMA = 3.0  # outputs beyond ±3 are clamped, so their gradient is zero
_LOG_2PI = float(np.log(2 * np.pi))
_REACH, _NODES = 6.0, 121  # the truth's bells are integrated over ±6 sd; the trapezoid rule is exact to ~1e-9 there

Numbers = np.ndarray | np.floating | float
Kernel = Float[np.ndarray, "prompts outputs prompts outputs"]


@dataclass(frozen=True)
class Lens:
    """One network seen at some prompts: its answers there, and the kernel that measures gradients.

    Attributes:
        log_weight, mean, log_sigma: the mixtures, (prompts, C).
        free: 1 where an output reaches the loss, 0 where it is clamped, (prompts, 3C).
        heads: JJᵀ over the last layer, (prompts, prompts): the same for each output, zero across outputs.
        body: JJᵀ over the two hidden layers, (prompts, 3C, prompts, 3C).
    """

    log_weight: Float[np.ndarray, "prompts c"]
    mean: Float[np.ndarray, "prompts c"]
    log_sigma: Float[np.ndarray, "prompts c"]
    free: Float[np.ndarray, "prompts outputs"]
    heads: Float[np.ndarray, "prompts prompts"]
    body: Kernel

    @property
    def kernel(self) -> Kernel:
        """JJᵀ over all parameters."""
        return self.body + np.einsum("pq,cd->pcqd", self.heads, np.eye(self.free.shape[1]))

    @property
    def blocks(self) -> Float[np.ndarray, "prompts outputs outputs"]:
        """The kernel of each prompt with itself."""
        return np.einsum("pcpd->pcd", self.kernel)

    @property
    def part_blocks(self) -> dict[str, Float[np.ndarray, "prompts outputs outputs"]]:
        """`blocks` split over parameters: those of each head, and the shared body; they add up to `blocks`."""
        width = self.free.shape[1] // 3
        found = {}
        for head, name in enumerate(PARTS[:3]):
            own = np.zeros(3 * width)
            own[head * width : (head + 1) * width] = 1.0
            found[name] = np.einsum("pp,cd->pcd", self.heads, np.diag(own))
        return found | {"body": np.einsum("pcpd->pcd", self.body)}


def lens(weights: Mapping[str, np.ndarray], x: Float[np.ndarray, "prompts inputs"]) -> Lens:
    """Look at prompts through one network.

    Args:
        weights: "w1" (inputs, hidden), "b1" (1, hidden), … "b3" (1, 3C), as `mdn.init_weights` gives them.
        x: the prompts.
    """
    w = {name: np.asarray(value, dtype=float) for name, value in weights.items()}
    a1 = x @ w["w1"] + w["b1"]
    h1 = np.maximum(a1, 0)
    a2 = h1 @ w["w2"] + w["b2"]
    h2 = np.maximum(a2, 0)
    logit, mean, log_sigma = np.split(h2 @ w["w3"] + w["b3"], 3, axis=1)
    free = np.ones((len(x), w["w3"].shape[1]))
    free[:, 2 * logit.shape[1] :] = np.abs(log_sigma) < _LOG_SIGMA
    # How each output moves with the sums that enter a hidden layer: (prompts, outputs, hidden).
    back2 = w["w3"].T[None] * (a2 > 0)[:, None, :]
    back1 = (back2 @ w["w2"].T) * (a1 > 0)[:, None, :]
    body = sum(
        np.einsum("pcqd,pq->pcqd", np.tensordot(back, back, axes=(2, 2)), below @ below.T + 1)
        for back, below in ((back2, h1), (back1, x))
    )
    return Lens(
        log_weight=logit - logsumexp(logit, axis=1, keepdims=True),
        mean=mean,
        log_sigma=np.clip(log_sigma, -_LOG_SIGMA, _LOG_SIGMA),
        free=free,
        heads=h2 @ h2.T + 1,
        body=body,
    )


def loss_and_gradient(
    seen: Lens, y: Float[np.ndarray, "prompts n"]
) -> tuple[Float[np.ndarray, "prompts n"], Float[np.ndarray, "prompts n outputs"]]:
    """Loss −log p(y | x) of every answer, in nats, and its gradient with respect to the network's outputs.

    With responsibilities r_c: w_c − r_c for logits, −r_c z_c/σ_c for means, r_c(1 − z_c²) for log-sigmas,
    z_c = (y − μ_c)/σ_c.

    Args:
        seen: the network at the prompts.
        y: answers.
    """
    lw, mu, ls = (v[:, None, :] for v in (seen.log_weight, seen.mean, seen.log_sigma))
    z = (y[..., None] - mu) * np.exp(-ls)
    joint = lw - ls - 0.5 * _LOG_2PI - 0.5 * z * z
    logp = logsumexp(joint, axis=-1)
    r = np.exp(joint - logp[..., None])
    gradient = np.concatenate([np.exp(lw) - r, -r * z * np.exp(-ls), r * (1 - z * z)], axis=-1)
    return -logp, gradient * seen.free[:, None, :]


def true_loss_and_gradient(
    seen: Lens, x: Float[np.ndarray, "prompts inputs"], world: GaussianModes
) -> tuple[Float[np.ndarray, " prompts"], Float[np.ndarray, "prompts outputs"]]:
    """Expected loss and output gradient over all true answers: integrals over the modes' bells, no sampling.

    Args:
        seen: the network at the prompts.
        x: the prompts.
        world: where the true answers come from.
    """
    t = np.linspace(-_REACH, _REACH, _NODES)
    bell = np.exp(-0.5 * t * t)
    share = np.tile(bell / bell.sum(), len(world.offsets)) / len(world.offsets)
    nodes = (np.array(world.offsets)[:, None] + world.noise * t).ravel()
    loss, gradient = loss_and_gradient(seen, world.centre(x)[:, None] + nodes)
    return loss @ share, np.einsum("pnc,n->pc", gradient, share)


def inner(
    blocks: Float[np.ndarray, "prompts outputs outputs"],
    a: Float[np.ndarray, "prompts *n outputs"],
    b: Float[np.ndarray, "prompts *n outputs"],
) -> Float[np.ndarray, "prompts *n"]:
    """Inner products of parameter gradients, prompt by prompt, from output gradients: aᵀ(JJᵀ)b."""
    shape = a.shape[:-1]
    flat = a.reshape(len(a), -1, a.shape[-1]) @ blocks
    return np.einsum("pnc,pnc->pn", flat, np.broadcast_to(b, a.shape).reshape(flat.shape)).reshape(shape)


def cosine(dot: Numbers, square_a: Numbers, square_b: Numbers) -> np.ndarray:
    """dot / √(|a|²|b|²); 0 where a gradient vanishes, since it then points nowhere.

    >>> float(cosine(np.array(1.0), np.array(4.0), np.array(1.0)))
    0.5
    """
    size = np.sqrt(np.maximum(square_a, 0) * np.maximum(square_b, 0))
    return np.where(size > 0, dot / np.where(size > 0, size, 1.0), 0.0)


def logit_cosine(
    truth: Float[np.ndarray, "*batch answers"],
    model: Float[np.ndarray, "*batch answers"],
    chosen: Float[np.ndarray, "*batch answers"],
) -> Float[np.ndarray, "*batch"]:
    """Cosine of a selected set's gradient with the true one, for a softmax over answers.

    The descent direction of the loss in the logits is (what was shown) − p: p* − p for the truth, c − p for a
    set with frequencies c. When every shown answer is the favourite f and all mass is on valid answers that are
    equally likely in truth, the cosine is negative exactly when p_f > Σ p²: when the model says the favourite
    more often than it repeats itself. With some mass off the valid answers the limit is higher.

    Args:
        truth: p*, true probabilities.
        model: p, the model's probabilities.
        chosen: frequencies of the answers in the selected set, summing to 1.

    Returns:
        between −1 and 1; 0 where one of the directions vanishes.

    Source: our closed form beside claim MRT-07 (multi-response training, experiment 5).

    >>> truth, model = np.array([0.5, 0.5]), np.array([0.8, 0.2])
    >>> round(float(logit_cosine(truth, model, np.array([1.0, 0.0]))), 3)  # show only what it already says most
    -1.0
    >>> round(float(logit_cosine(truth, model, np.array([0.0, 1.0]))), 3)  # show only what it says too rarely
    1.0
    """
    a, b = chosen - model, truth - model
    return cosine((a * b).sum(-1), (a * a).sum(-1), (b * b).sum(-1))
