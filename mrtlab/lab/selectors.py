"""Ways to keep K of N answers in the Gaussian world: five rewards, two similarities, thirteen selectors.

Every selector sees only the answers, their rewards and their similarities, never the model, so one selection
serves all checkpoints of a training.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from mrtlab.theory import GaussianModes
from mrtlab.theory.selection import facility_location, random_k, softmax_k, top_k

BANDWIDTH = 0.5  # of the similarity, in units of y: a third of the distance between neighbouring modes
WARM, COOL = 0.5, 0.2  # softmax temperatures, for rewards rescaled to [0, 1] within each prompt
ALPHAS = {"a25": 0.25, "a75": 0.75, "a200": 2.0}
JUDGE_NOISE, JUDGE_TILT = 1.0, 0.5  # of the noisy judge: its sd, and how much more it gives the next mode up

Values = Float[np.ndarray, "pools n"]
Chosen = Int[np.ndarray, "pools k"]

REWARDS: dict[str, str] = {
    "middle": "closeness to the middle mode (the paper's reward)",
    "upper": "closeness to the upper mode",
    "any_mode": "closeness to the nearest mode, whichever it is",
    "judge": "a noisy judge with a mild taste for higher answers",
    "noise": "pure noise, a control",
}
SENSIBLE = ("middle", "upper", "any_mode", "judge")
FREE = ("random", "dkon", "dkon_sharp")  # selectors that look at no reward
REWARDED = (
    "top_k",
    "softmax_warm",
    "softmax_cool",
    *(f"dbkon_{a}" for a in ALPHAS),
    *(f"dbkon_sharp_{a}" for a in ALPHAS),
    "spread_of_best",
)


def rewards(name: str, offset: Values, world: GaussianModes, *, rng: np.random.Generator) -> Values:
    """Reward of each answer.

    Args:
        name: a key of `REWARDS`.
        offset: y − f(x), where the answers lie relative to the curve.
        world: its modes.
        rng: noise of the judge.
    """
    modes = np.array(world.offsets)
    if name == "middle":
        return -(offset**2)
    if name == "upper":
        return -((offset - modes.max()) ** 2)
    if name == "any_mode":
        return -((offset[..., None] - modes) ** 2).min(-1)
    noise = JUDGE_NOISE * rng.standard_normal(offset.shape)
    return noise + JUDGE_TILT * offset / (modes[1] - modes[0]) if name == "judge" else noise


def similarity(y: Values, *, sharp: bool) -> Float[np.ndarray, "pools n n"]:
    """How alike two answers are.

    c = exp(−(y − y′)²/(2·0.5²)) is the cosine of the answers' embeddings in the Gaussian kernel's feature space.
    *sharp* is c itself, near 0 across modes; otherwise the paper's (1 + c)/2, never below one half.

    >>> similarity(np.array([[0.0, 1.5]]), sharp=False).round(2)
    array([[[1.  , 0.51],
            [0.51, 1.  ]]])
    """
    c = np.exp(-0.5 * ((y[:, :, None] - y[:, None, :]) / BANDWIDTH) ** 2)
    return c if sharp else (1 + c) / 2


def unit(reward: Values) -> Values:
    """Rescale rewards to [0, 1] within each pool; a pool of equal rewards becomes all zeros.

    >>> unit(np.array([[2.0, 3.0, 6.0]]))
    array([[0.  , 0.25, 1.  ]])
    """
    low, high = reward.min(1, keepdims=True), reward.max(1, keepdims=True)
    return (reward - low) / np.where(high > low, high - low, 1.0)


def spread_of_best(y: Values, reward: Values, k: int) -> Chosen:
    """The rule that the paper's simulations use under the name of quality and diversity.

    Drop the lower half by reward, start with the best, then add the answer farthest from those kept (max-min
    distance), K in all.

    >>> spread_of_best(np.array([[0.0, 0.1, 1.0, 5.0]]), np.array([[9.0, 8.0, 1.0, 0.0]]), 2)  # 0.0 and 0.1 are left
    array([[0, 1]])
    """
    rows = np.arange(len(y))
    half = np.argsort(-reward, axis=1, kind="stable")[:, : max(k, y.shape[1] // 2)]
    kept = np.take_along_axis(y, half, axis=1)
    picks = np.zeros((len(y), k), dtype=np.int64)
    away = np.abs(kept - kept[:, :1])
    away[:, 0] = -1.0
    for step in range(1, k):
        pick = away.argmax(1)
        picks[:, step] = pick
        away = np.minimum(away, np.abs(kept - kept[rows, pick][:, None]))
        away[rows, pick] = -1.0
    return np.take_along_axis(half, picks, axis=1)


def choose_free(y: Values, k: int, *, rng: np.random.Generator) -> dict[str, Chosen]:
    """What the selectors without a reward keep, by name; indices into each pool."""
    return {
        "random": random_k(y.shape[1], k, rng=rng, size=len(y)),
        "dkon": facility_location(similarity(y, sharp=False), k),
        "dkon_sharp": facility_location(similarity(y, sharp=True), k),
    }


def choose_rewarded(y: Values, reward: Values, k: int, *, rng: np.random.Generator) -> dict[str, Chosen]:
    """What the selectors with a reward keep, by name; indices into each pool."""
    flat, sharp, scaled = similarity(y, sharp=False), similarity(y, sharp=True), unit(reward)
    picks: dict[str, Callable[[], Chosen]] = {
        "top_k": lambda: top_k(reward, k),
        "softmax_warm": lambda: softmax_k(scaled, k, temperature=WARM, rng=rng),
        "softmax_cool": lambda: softmax_k(scaled, k, temperature=COOL, rng=rng),
        **{f"dbkon_{a}": lambda v=v: facility_location(flat, k, reward=reward, alpha=v) for a, v in ALPHAS.items()},
        **{
            f"dbkon_sharp_{a}": lambda v=v: facility_location(sharp, k, reward=reward, alpha=v)
            for a, v in ALPHAS.items()
        },
        "spread_of_best": lambda: spread_of_best(y, reward, k),
    }
    return {name: pick() for name, pick in picks.items()}
