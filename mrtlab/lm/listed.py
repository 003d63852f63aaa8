"""A model's exact law on records: how likely it finds the responses that a data set lists, and how it spreads them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.lm.encode import Prompt
from mrtlab.theory.distributions import entropy

_TOGETHER = 8  # prompts that are scored in one go


@dataclass(frozen=True)
class Listed:
    """One prompt with its listed responses, each counted once.

    Attributes:
        prompt: a text or messages.
        responses: the different ones, in the order of their first appearance.
        logp: (m,) the model's log-probability of each, nats, end of answer included.
        targets: (m,) the probabilities they should have, if the data say so.
    """

    prompt: Prompt
    responses: tuple[str, ...]
    logp: Float[np.ndarray, "m"]
    targets: Float[np.ndarray, "m"] | None = None

    @property
    def mass(self) -> float:
        """Probability that the model's answer is one of them."""
        return mass_of(self.logp)

    @property
    def shape(self) -> Float[np.ndarray, "m"]:
        """The model's law among them."""
        return shape_of(self.logp)

    @property
    def entropy(self) -> float:
        """Entropy of the shape, nats."""
        return float(max(entropy(self.shape), 0.0))

    @property
    def effective(self) -> float:
        """How many equally likely responses the shape is worth, exp(entropy)."""
        return float(np.exp(self.entropy))

    @property
    def kl(self) -> float | None:
        """KL(targets ‖ model), nats, the targets scaled to sum to 1; None without targets."""
        if self.targets is None or not self.targets.sum() > 0:
            return None
        q = self.targets / self.targets.sum()
        kept = q > 0
        return float((q[kept] * (np.log(q[kept]) - self.logp[kept])).sum())


def mass_of(logp: Float[np.ndarray, "m"]) -> float:
    """Probability on the listed answers together; round-off may not put it above 1."""
    return float(min(np.exp(logp).sum(), 1.0))


def shape_of(logp: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
    """The law among the listed answers, p/m, also where every p is too small to be written.

    >>> shape_of(np.array([-1000.0, -1000.0]))
    array([0.5, 0.5])
    """
    p = np.exp(logp - logp.max())
    return p / p.sum()


def score_listed(
    model: Any,
    tokenizer: Any,
    asked: Sequence[tuple[Prompt, Sequence[str], Sequence[float] | None]],
    *,
    max_tokens: int = 8192,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> list[Listed]:
    """Score the responses of every prompt.

    Args:
        model, tokenizer: as `load_model` returns them.
        asked: prompt, responses, and their targets or None. A response that comes twice is scored once; its targets
            add up.
        max_tokens: tokens that pass through the model at once.
        report: called with how many prompts are done, and how many there are.

    Raises:
        ValueError: a prompt or response does not fit into the model.
    """
    from mrtlab.lm.evaluate import listed_logprobs  # here, so that reading results needs no torch

    merged = [_merged(*one) for one in asked]
    found: list[Listed] = []
    for start in range(0, len(merged), _TOGETHER):
        some = merged[start : start + _TOGETHER]
        logps = listed_logprobs(model, tokenizer, [(p, r) for p, r, _ in some], max_tokens=max_tokens)
        found += [Listed(p, r, logp, t) for (p, r, t), logp in zip(some, logps, strict=True)]
        report(len(found), len(merged))
    return found


def listed_numbers(rows: Iterable[Listed], *, seed: int = 0) -> dict[str, list[float]]:
    """Means over prompts with 95 % intervals: logp (of a response), mass, entropy, effective, and kl if known."""
    from mrtlab.lm.evaluate import band

    rows = list(rows)
    values = {
        "logp": [float(row.logp.mean()) for row in rows],
        "mass": [row.mass for row in rows],
        "entropy": [row.entropy for row in rows],
        "effective": [row.effective for row in rows],
        "kl": [kl for row in rows if (kl := row.kl) is not None],
    }
    return {name: list(band(numbers, seed=seed)) for name, numbers in values.items() if numbers}


def _merged(
    prompt: Prompt, responses: Sequence[str], targets: Sequence[float] | None
) -> tuple[Prompt, tuple[str, ...], Float[np.ndarray, "m"] | None]:
    """Each response once."""
    different = tuple(dict.fromkeys(responses))
    if targets is None:
        return prompt, different, None
    place = {text: i for i, text in enumerate(different)}
    total = np.zeros(len(different))
    for text, target in zip(responses, targets, strict=True):
        total[place[text]] += target
    return prompt, different, total
