"""What every objective returns, and the few array helpers they share.

The objectives run unchanged on NumPy arrays and on torch tensors: they ask the log-probabilities for their own
namespace (the Python array API standard, through array-api-compat) and never import torch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj
from jaxtyping import Float, Shaped

LogProbs = Float[Any, "*rows m"]
Loss = Float[Any, "*rows"]
Constant = Shaped[Any, "..."] | float | int  # rewards, targets, masks: any array library, numbers too

_LOG_TOLERANCE = 1e-4  # single precision may put the logarithm of a sure answer a little above 0


@dataclass(frozen=True)
class Objective:
    """A loss and the signed weights that its gradient puts on the log-probabilities.

    weight = −∂loss/∂logp. Positive pulls an answer up, negative pushes it down, zero leaves it alone.

    Attributes:
        loss: nats or the unit of the reward; one number for each row, shape (...).
        weight: the shape of the log-probabilities. Where those carry an autograd graph, so do the weights: score
            without a graph, or detach, before the weights are used as numbers.
    """

    loss: Float[Any, "*rows"]
    weight: Float[Any, "*entries"]


def checked(logp: Any) -> tuple[Any, Any]:
    """The array namespace and the log-probabilities, refused where they cannot be log-probabilities.

    Raises:
        ValueError: the last axis is empty, or an entry is above 0 or not finite.
    """
    xp = array_namespace(logp)
    if not logp.ndim or not logp.shape[-1]:
        raise ValueError("logp is empty: expected at least one log-probability on the last axis")
    if not bool(xp.all(xp.isfinite(logp))) or bool(xp.any(logp > _LOG_TOLERANCE)):
        raise ValueError("logp holds a positive or non-finite entry: expected log-probabilities, 0 or less")
    return xp, logp


def constant(value: Any, like: Any, name: str, *, shape: tuple[int, ...] | None = None) -> Any:
    """`value` in the library, dtype and device of `like`, broadcast to its shape (or to `shape`).

    Raises:
        ValueError: the shapes do not fit, or an entry is not finite.

    >>> constant(2, np.zeros(3), "reward")
    array([2., 2., 2.])
    """
    xp = array_namespace(like)
    if is_array_api_obj(value) and array_namespace(value) is xp:
        found = xp.astype(value, like.dtype)
    else:  # a fresh NumPy copy: torch refuses to share a read-only one
        found = xp.asarray(np.array(value, dtype=float), dtype=like.dtype, device=device(like))
    wanted = tuple(like.shape) if shape is None else shape
    if found.ndim > len(wanted) or any(
        have not in (1, want) for have, want in zip(found.shape[::-1], wanted[::-1], strict=False)
    ):
        raise ValueError(f"{name} has shape {tuple(found.shape)}: expected {wanted}, or a shape that broadcasts to it")
    if not bool(xp.all(xp.isfinite(found))):
        raise ValueError(f"{name} holds a non-finite entry: expected finite numbers")
    return xp.broadcast_to(found, wanted)


def positive_number(value: float | int, name: str) -> float:
    """A finite number above 0.

    Raises:
        ValueError: it is not.
    """
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be more than 0 and finite, got {value}")
    return float(value)


def softplus(x: Any) -> Any:
    """log(1 + eˣ) without overflow; its derivative is the logistic function, and −log σ(x) = softplus(−x).

    >>> round(float(softplus(np.array(0.0))), 4)  # log 2
    0.6931
    """
    xp = array_namespace(x)
    return xp.logaddexp(xp.zeros_like(x), x)


def sigmoid(x: Any) -> Any:
    """Logistic function 1 / (1 + e⁻ˣ) without overflow.

    >>> float(sigmoid(np.array(0.0)))
    0.5
    """
    return array_namespace(x).exp(-softplus(-x))


def logit_descent(weight: LogProbs, logp: LogProbs) -> LogProbs:
    """How the logits of a table move: −∂loss/∂logits = weight − p·Σ weight.

    For one softmax over all answers. The formula reads the listed answers only and needs no others: an answer off
    the list has weight 0, and its logit moves by −p·Σ weight.

    Args:
        weight: signed weights of the listed answers, shape (..., m).
        logp: their log-probabilities under the softmax over *all* answers, shape (..., m).

    Returns:
        shape (..., m): add a step size times this to the logits to lower the loss.

    Raises:
        ValueError: the shapes do not fit, or logp is no log-probability.

    >>> logit_descent(np.array([1.0, 0.0]), np.log(np.array([0.25, 0.75])))  # one-hot minus p
    array([ 0.75, -0.75])
    """
    xp, logp = checked(logp)
    weight = constant(weight, logp, "weight")
    return weight - xp.exp(logp) * xp.sum(weight, axis=-1, keepdims=True)
