"""Which K of N candidates to keep. Every selector works on many prompts at once and returns indices.

Candidates lie on the last axis: rewards are (..., N), similarities (..., N, N), picks (..., K) in the order they
were made. Where two candidates are equally good, the lower index wins. Nothing here draws a random number except
through the `rng` that is passed in.
"""

import numpy as np
from jaxtyping import Float, Int, Num
from numpy.typing import NDArray

from mrtlab.theory import greedy

Rewards = Float[np.ndarray, "*batch n"]
AnyReward = Float[np.ndarray, "..."]  # its shape is checked by hand, for a clearer sentence
Square = Float[np.ndarray, "*batch n n"]
Picks = Int[np.ndarray, "*batch k"]

WEIGHT_FLOOR = 1e-4  # the paper's code never lets a candidate's reward count for less than this


def random_k(n: int, k: int, *, rng: np.random.Generator, size: int | tuple[int, ...] = ()) -> Int[np.ndarray, "..."]:
    """Keep K of N at random, without replacement: every set of K is equally likely.

    The mean of anything over the kept candidates is an unbiased estimate of its mean over all N.

    Args:
        n: candidates per prompt.
        k: how many to keep, 1 to n.
        rng: source of the draws.
        size: how many prompts, a number or a shape; () for one.

    Returns:
        indices, shape (*size, k).

    Raises:
        ValueError: k is not between 1 and n.

    Source: random-K-of-N, the paper's default, arXiv 2606.00544 (MRT-08).

    >>> sorted(random_k(3, 3, rng=np.random.default_rng(0)).tolist())  # all of them
    [0, 1, 2]
    >>> random_k(8, 2, rng=np.random.default_rng(0), size=5).shape
    (5, 2)
    """
    _check_k(k, n)
    shape = (size,) if isinstance(size, int) else size
    return np.argsort(rng.random((*shape, n)), axis=-1)[..., :k]


def top_k(reward: Rewards, k: int) -> Picks:
    """Keep the K candidates with the highest reward, best first. Ties go to the lower index.

    Args:
        reward: any unit, shape (..., N), finite.
        k: how many to keep, 1 to N.

    Returns:
        indices, shape (..., K).

    Raises:
        ValueError: k is not between 1 and N, or a reward is not finite (the message names the prompt).

    Source: best-K-of-N, arXiv 2606.00544 (MRT-09).

    >>> top_k(np.array([0.2, 0.9, 0.9, 0.1]), 3)
    array([1, 2, 0])
    """
    _check_k(k, reward.shape[-1])
    _check_reward(reward)
    return np.argsort(-reward, axis=-1, kind="stable")[..., :k]


def softmax_k(reward: Rewards, k: int, *, temperature: float, rng: np.random.Generator) -> Picks:
    """Draw K candidates one after another, each with probability ∝ exp(reward / temperature) among those left.

    Done in one go by the Gumbel trick: the K largest of reward/temperature + Gumbel noise. Temperature → 0 gives
    `top_k`, temperature → ∞ gives `random_k`.

    Args:
        reward: shape (..., N), finite.
        k: how many to keep, 1 to N.
        temperature: > 0, in the unit of the reward: a difference of this size makes a candidate e times likelier.
        rng: source of the draws.

    Returns:
        indices, shape (..., K), in the order drawn.

    Raises:
        ValueError: as `top_k`, or temperature is not positive.

    >>> softmax_k(np.array([0.0, 50.0, 100.0]), 2, temperature=1.0, rng=np.random.default_rng(0))
    array([2, 1])
    """
    _check_k(k, reward.shape[-1])
    _check_reward(reward)
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}; for the limit 0 use top_k")
    gap = (reward - reward.max(-1, keepdims=True)) / temperature  # ≤ 0, so that a tiny temperature cannot overflow
    return np.argsort(-(gap + rng.gumbel(size=reward.shape)), axis=-1, kind="stable")[..., :k]


def facility_location(similarity: Square, k: int, *, reward: AnyReward | None = None, alpha: float = 0.75) -> Picks:
    """Keep K candidates that together stand for all N: greedy maximisation of `facility_value`.

    Each step adds the candidate that raises F(S) = Σ_i b_i max_{j∈S} a_j s_ij most. Without a reward all weights
    are 1 and the picks cover the candidates (DKoN); with one, candidates of high reward both cover better and are
    more worth covering (DBKoN). F is monotone and submodular, so greedy reaches at least 1 − 1/e of the best F.
    Gains that differ by less than 1e-12 of the first gain are ties. Cost: at most K·N² per prompt.

    Args:
        similarity: s_ij ≥ 0, how well j stands for i, shape (..., N, N); see `cosine_similarity01`.
        k: how many to keep, 1 to N. Duplicates are kept only when nothing new is left.
        reward: shape (..., N), finite; None for DKoN.
        alpha: exponent of the reward, ≥ 0. 0: the reward does not count; large: close to `top_k`.

    Returns:
        indices, shape (..., K), in the order picked. Where nothing can be gained any more (all similarities 0,
        say) the lowest free indices follow.

    Raises:
        ValueError: k is not between 1 and N; shapes do not fit; a reward is not finite; a similarity is negative
            or not finite (the message names the prompt); alpha is negative or not finite.

    Source: DKoN and DBKoN of arXiv 2606.00544 (MRT-08, MRT-09), written from their formula.

    >>> pair_and_single = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> facility_location(pair_and_single, 2)  # one of the twins, then the other kind
    array([0, 2])
    >>> facility_location(pair_and_single, 2, reward=np.array([0.0, 1.0, 0.9]), alpha=1.0)
    array([1, 2])
    """
    n = similarity.shape[-1]
    _check_k(k, n)
    batch = similarity.shape[:-2]
    weights = _weights(reward, batch, n, alpha)
    seek, serve = (None, None) if weights is None else weights
    flat = np.ascontiguousarray(similarity, dtype=float).reshape(-1, n, n)
    picks, bad = greedy.facility(flat, seek, serve, k)
    if bad >= 0:
        raise ValueError(f"similarity of {_prompt_name(batch, bad)} holds a negative or non-finite entry")
    return picks.reshape(*batch, k)


def facility_value(
    similarity: Square, chosen: Picks, *, reward: AnyReward | None = None, alpha: float = 0.75
) -> Float[np.ndarray, "*batch"] | Float[np.floating, ""]:
    """How well a chosen set stands for all N, F(S) = Σ_i b_i max_{j∈S} a_j s_ij.

    a_j = max(r̃_j, 1e-4)^alpha, b_i = max(a_i, 1e-4), with r̃ the reward scaled to [0, 1] within its prompt; where
    all rewards of a prompt are equal, r̃ = 1. Without a reward a = b = 1.

    Args:
        similarity: s_ij ≥ 0, shape (..., N, N).
        chosen: indices into the candidates, shape (..., K); repeats count once; K = 0 is worth 0.
        reward: shape (..., N); None for DKoN.
        alpha: exponent of the reward, ≥ 0.

    Returns:
        shape (...), between 0 and Σ_i b_i max_j a_j s_ij.

    Raises:
        ValueError: as `facility_location`, or an index is out of range.

    Source: arXiv 2606.00544, the objective of DKoN and DBKoN (MRT-08).

    >>> float(facility_value(np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([0])))  # itself, and half the other
    1.5
    """
    n = similarity.shape[-1]
    if chosen.size and (chosen.min() < 0 or chosen.max() >= n):
        raise ValueError(f"chosen holds an index outside 0 to {n - 1}")
    value = similarity
    if (weights := _weights(reward, similarity.shape[:-2], n, alpha)) is not None:
        seek, serve = (w.reshape(*similarity.shape[:-2], n) for w in weights)
        value = similarity * serve[..., None, :] * seek[..., :, None]
    served = np.take_along_axis(value, chosen[..., None, :], axis=-1)
    return served.max(-1, initial=0.0).sum(-1)


def dpp_greedy(kernel: Square, k: int) -> Picks:
    """Keep K candidates that span the largest volume: greedy MAP of a determinantal point process.

    Each step adds the candidate that raises log det L_S most, with an incremental Cholesky factor: O(K²N) per
    prompt. Quality enters through the kernel, L = diag(q)·S·diag(q). Once the volume is used up (rank L < K) the
    lowest free indices follow.

    Args:
        kernel: L, symmetric positive semi-definite, shape (..., N, N). Symmetry is taken on trust, and so is
            every entry that is not on the diagonal or in the row of a pick: they are never read.
        k: how many to keep, 1 to N.

    Returns:
        indices, shape (..., K), in the order picked.

    Raises:
        ValueError: k is not between 1 and N; an entry that is read is not finite; the diagonal is negative.

    Source: Chen, Zhang and Zhou, *Fast greedy MAP inference for determinantal point process*, NeurIPS 2018.

    >>> dpp_greedy(np.array([[1.0, 0.9, 0.0], [0.9, 1.1, 0.0], [0.0, 0.0, 1.0]]), 2)  # the longest, then the new one
    array([1, 2])
    """
    n = kernel.shape[-1]
    _check_k(k, n)
    picks, bad = greedy.dpp(np.ascontiguousarray(kernel, dtype=float).reshape(-1, n, n), k)
    if bad >= 0:
        raise ValueError(
            f"kernel of {_prompt_name(kernel.shape[:-2], bad)} is not finite or has a negative diagonal: "
            "expected a positive semi-definite matrix"
        )
    return picks.reshape(*kernel.shape[:-2], k)


def cosine_similarity01(embeddings: Num[np.ndarray, "*batch n d"]) -> Square:
    """Cosine similarity moved to [0, 1], s_ij = (1 + cos(e_i, e_j)) / 2.

    Args:
        embeddings: one vector per candidate, shape (..., N, d), any length. A zero vector has no direction; its
            cosine counts as 0, so s = ½.

    Returns:
        shape (..., N, N): 1 same direction, ½ unrelated, 0 opposite.

    Raises:
        ValueError: an embedding is not finite.

    Source: the similarity of arXiv 2606.00544's selectors.

    >>> cosine_similarity01(np.array([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))[0]
    array([1. , 0.5, 0. ])
    """
    unit = unit_vectors(embeddings)
    return np.clip((1 + unit @ np.swapaxes(unit, -1, -2)) / 2, 0.0, 1.0)


def unit_vectors(vectors: Num[np.ndarray, "*batch n d"]) -> Float[np.ndarray, "*batch n d"]:
    """Vectors scaled to length 1; a zero vector stays zero.

    Raises:
        ValueError: an entry is not finite.

    >>> unit_vectors(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    values = np.asarray(vectors, dtype=float)
    if not np.all(np.isfinite(values)):
        raise ValueError("embeddings hold a NaN or an infinity")
    length = np.sqrt((values**2).sum(-1, keepdims=True))
    return values / np.where(length > 0, length, 1.0)


def _weights(reward: NDArray | None, batch: tuple[int, ...], n: int, alpha: float) -> tuple[NDArray, NDArray] | None:
    """(b, a), each (prompts, N): how much a candidate wants to be served and how well it serves; None: all 1."""
    if not (np.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha must be a finite number ≥ 0, got {alpha}; for the limit ∞ use top_k")
    if reward is None:
        return None
    if reward.shape != (*batch, n):
        raise ValueError(f"reward has shape {reward.shape}: expected {(*batch, n)}, one per candidate")
    _check_reward(reward)
    flat = np.asarray(reward, dtype=float).reshape(-1, n)
    low = flat.min(1, keepdims=True)
    span = flat.max(1, keepdims=True) - low
    scaled = np.where(span > 0, (flat - low) / np.where(span > 0, span, 1.0), 1.0)
    serve = np.maximum(scaled, WEIGHT_FLOOR) ** alpha
    return np.maximum(serve, WEIGHT_FLOOR), serve


def _check_k(k: int, n: int) -> None:
    """K candidates can be kept only if there are K."""
    if not 1 <= k <= n:
        raise ValueError(f"k must be between 1 and the number of candidates, {n}, got {k}")


def _check_reward(reward: NDArray) -> None:
    """Refuse rewards that cannot be compared, naming the first prompt that has one."""
    bad = ~np.isfinite(reward).all(-1)
    if np.any(bad):
        row = int(np.argmax(np.ravel(bad)))
        raise ValueError(f"reward of {_prompt_name(reward.shape[:-1], row)} holds a NaN or an infinity")


def _prompt_name(batch: tuple[int, ...], flat: int) -> str:
    """'prompt row 3', or 'prompt row (1, 2)' where prompts have several axes; 'the prompt' where there is one."""
    if not batch:
        return "the prompt"
    index = tuple(int(i) for i in np.unravel_index(flat, batch))
    return f"prompt row {index[0] if len(index) == 1 else index}"
