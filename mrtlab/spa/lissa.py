"""LiSSA with Gauss–Newton products: how SPA's authors invert the curvature, kept here as the reference for the rest."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch.func import functional_call, jvp, vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from mrtlab.lm.support import check_length, inner
from mrtlab.spa.gradients import Example, Factor, Padded, lora_factors

Vectors = Float[np.ndarray, "m p"]


@dataclass(frozen=True, kw_only=True)
class LissaSettings:
    """How LiSSA walks. Its result is right only if it walked far enough: compare two depths.

    Attributes:
        damping: λ, added to the curvature's diagonal, in the square of the gradient's unit.
        scale: σ, more than half the largest eigenvalue of curvature and damping, or the walk runs away; larger is
            safer and slower.
        depth: T, steps of a walk.
        repeats: R, walks that are averaged.
        batch: examples drawn at each step; None takes all of them, so that no chance is left.
        seed: of the draws.

    Raises:
        ValueError: a number out of its range.

    Source: SPA App. A has λ = 0.001, T = 120, R = 500 for code, with one example at each step.
    """

    damping: float = 1e-3
    scale: float = 50.0
    depth: int = 120
    repeats: int = 1
    batch: int | None = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.damping > 0 and self.scale > 0):
            raise ValueError(f"damping and scale must be positive, got {self.damping} and {self.scale}")
        if self.depth < 1 or self.repeats < 1 or (self.batch is not None and self.batch < 1):
            raise ValueError(
                f"depth, repeats and batch must be 1 or more, got {self.depth}, {self.repeats} and {self.batch}"
            )


def gauss_newton(model: Any, examples: Sequence[Example], vectors: Vectors) -> Vectors:
    """Ĝv for each vector v: the Gauss–Newton matrix of the examples' mean loss, times v.

    Ĝ = (1/n) Σ_i J_iᵀ H_i J_i, with J_i the Jacobian of example i's logits in the adapter's weights and H_i the
    Hessian of its mean cross-entropy in those logits, (diag q − q qᵀ)/R for each of its R tokens, q the model's law.
    It has no negative eigenvalue, and no entry of it is ever written down.

    Args:
        model: with one active LoRA adapter, as `batch_gradients` wants it.
        examples: n of them, in one pass.
        vectors: (m, p), columns as the unprojected gradients have them.

    Returns:
        (m, p) float32.

    Raises:
        ValueError: as `lora_factors`, an example is too long, or vectors are not as wide as the gradients.

    Source: the curvature of the first author's code (SPA sheet, section 1).

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.spa.gradients import gradients_of
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> examples = [Example((1, 5), (6, 2)), Example((1,), (2,))]
    >>> v = gradients_of(model, examples)
    >>> curved = gauss_newton(model, examples, v) @ v.T
    >>> bool(np.allclose(curved, curved.T, atol=1e-4)), bool((np.diag(curved) > 0).all())  # symmetric, and bends up
    (True, True)
    """
    factors = lora_factors(model)
    check_length(model, max(len(e) for e in examples))
    width = sum(factor.module.weight.numel() for factor in factors)
    if vectors.shape[1] != width:
        raise ValueError(
            f"vectors have {vectors.shape[1]:,} numbers, the adapter's gradient has {width:,}: projected gradients "
            "do not serve here"
        )
    device = inner(model).get_input_embeddings().weight.device
    batch = Padded.of(examples, device)
    weights = {factor.parameter: factor.module.weight.detach() for factor in factors}

    def logits(changed: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch.logits(lambda **inputs: functional_call(model, changed, args=(), kwargs=inputs))

    rows = []
    with _evaluating(model), sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no derivative along a direction
        said, pull = vjp(logits, weights)
        q = said.detach().softmax(-1)
        share = batch.weight[..., None] / len(examples)
        for vector in vectors:
            _, moved = jvp(logits, (weights,), (_split(vector, factors, weights),))
            bent = share * q * (moved - (q * moved).sum(-1, keepdim=True))
            (back,) = pull(bent)
            rows.append(torch.cat([back[factor.parameter].flatten() for factor in factors]).cpu().numpy())
    return np.stack(rows).astype(np.float32)


def lissa(
    model: Any,
    examples: Sequence[Example],
    queries: Vectors,
    *,
    settings: LissaSettings | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Vectors:
    """(Ĝ + λI)⁻¹v for each query's gradient v, by a damped walk over random batches.

    h₀ = v,  h_{t+1} = v + h_t − (Ĝ_t h_t + λ h_t)/σ,  (Ĝ + λI)⁻¹v ≈ mean over R walks of h_T/σ.

    `grad_dot(gradients, lissa(...))` are the scores, positive where the example helps. Each query costs T·R
    Gauss–Newton products; the forward pass of a batch is shared by the queries, so give them all at once.

    Args:
        model: as `gauss_newton`.
        examples: the training set.
        queries: (m, p) gradients of the queries' losses, not projected.
        settings: how to walk.
        report: called with how many steps are done, and how many there are.

    Returns:
        (m, p) float32.

    Raises:
        ValueError: as `gauss_newton`, there is no example, or the walk runs away.

    Source: SPA App. A and its first author's code (sheet, section 1); claim SPA-09.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.spa.gradients import gradients_of
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> examples = [Example((1, 5), (6, 2)), Example((1,), (2,))]
    >>> v = gradients_of(model, examples[:1])
    >>> settings = LissaSettings(damping=1e4, scale=1e4, depth=2)  # next to so much damping curvature is nothing
    >>> bool(np.allclose(1e4 * lissa(model, examples, v, settings=settings), v, rtol=1e-2, atol=1e-4))
    True
    """
    settings = settings or LissaSettings()
    if not len(examples):
        raise ValueError("there are no examples: give at least one")
    rng = np.random.default_rng(settings.seed)
    total = np.zeros(queries.shape, dtype=np.float64)
    start = queries.astype(np.float64)
    steps = settings.repeats * settings.depth
    bound = 1e6 * max(1.0, float(np.abs(start).max()))  # a walk that converges stays far below
    for repeat in range(settings.repeats):
        h = start.copy()
        for step in range(settings.depth):
            drawn = list(examples)
            if settings.batch is not None:
                drawn = [examples[i] for i in rng.integers(len(examples), size=settings.batch)]
            bent = gauss_newton(model, drawn, h.astype(np.float32))
            h = start + h - (bent + settings.damping * h) / settings.scale
            if not np.abs(h).max() < bound:
                raise ValueError(
                    f"the walk runs away after {step + 1} steps: raise scale, which is {settings.scale:g}, or damping"
                )
            report(repeat * settings.depth + step + 1, steps)
        total += h / settings.scale
    return (total / settings.repeats).astype(np.float32)


def _split(vector: np.ndarray, factors: Sequence[Factor], weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A flat vector as one tensor for each matrix."""
    parts = torch.from_numpy(np.array(vector, dtype=np.float32)).split([f.module.weight.numel() for f in factors])
    return {
        factor.parameter: part.view_as(weights[factor.parameter]).to(weights[factor.parameter])
        for factor, part in zip(factors, parts, strict=True)
    }


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch, about how it loads its own derivatives
            yield
    finally:
        for module in training:
            module.training = True
