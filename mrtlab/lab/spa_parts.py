"""Chapter 8, what the parts of a rule have in common: a subject, an answer, or how surprising an example is.

For every rule of `spa_arms` that needs no walk, and for eight parts of each seed's programs, how much does the part of
a pair tell about

- its specification, I(part; specification) over the entropy of the specification;
- its answer once the specification is known, I(part; answer | specification) over the entropy of that answer: only such
  parts keep different answers to like questions apart;
- how far its gradient reaches, the share of the variance of log |g| that lies between parts.

A table with few pairs in each place overstates such numbers, so each is less its mean over the same parts shuffled.
Beside them, Fisher scores at four dampings and LiSSA with the numbers that the paper gives, in one walk instead of 500:
with whose parts do theirs agree? Nothing is trained but the one adapter that is differentiated.

Cost: about 200 CPU-seconds a seed, most of it LiSSA's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mrtlab.lab import subject
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds
from mrtlab.lab.spa_arms import RULES, parted
from mrtlab.lab.spa_world import World, world
from mrtlab.theory.distributions import entropy

DAMPINGS = (0.1, 10.0, 1e3, 1e5)  # of the mean diagonal; the arm "influence" has the first
AUTHORS = {"damping": 1e-3, "scale": 50.0, "depth": 120, "batch": 1}  # of the paper's LiSSA
_SHUFFLED = 20
_TRAITS = ("specification", "answer", "size")


@dataclass(frozen=True, kw_only=True)
class PartsCell:
    """One seed."""

    k: int
    short: bool
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "parts-seed3"."""
        return f"parts-seed{self.seed}"


def cells(scale: str) -> Sequence[PartsCell]:
    """One for each seed of `spa_adapters`."""
    k, seeds = {"smoke": (2, 2), "book": (8, 5), "full": (8, 10)}[scale]
    return [PartsCell(k=k, short=scale == "smoke", seed=seed, weights=subject.fingerprint()) for seed in range(seeds)]


def run_cell(cell: PartsCell) -> dict[str, Any]:
    """Part the programs of a seed by every rule.

    Returns:
        traits: {rule: {trait: what parts tell, less chance}}; dampings: {damping: {"dot", "lissa", "influence":
        agreement of parts}}; authors: the same of LiSSA with the authors' numbers, and rank, Spearman's correlation of
        its scores with plain products, the mean over queries.
    """
    from mrtlab.spa.influence import fisher
    from mrtlab.spa.partition import agreement, arg_max, standardised

    made = world("programs", cell.seed, cell.short)
    parts = {arm: parted(arm, made, cell.k, seed=cell.seed) for arm in RULES}
    rng = np.random.default_rng([90, cell.seed])
    traits = {arm: _traits(made, partition.part, rng) for arm, partition in parts.items()}
    beside = {"dot": "influence-dot", "lissa": "influence-lissa", "influence": "influence"}
    dampings = {}
    for damping in DAMPINGS:
        scores = fisher(made.gradients, made.targets[made.kept(cell.k)], damping=damping)
        own = arg_max(standardised(scores))
        dampings[str(damping)] = {name: agreement(own, parts[arm]) for name, arm in beside.items()}
    return {
        "traits": traits,
        "dampings": dampings,
        "authors": _authors(made, cell, {n: parts[a] for n, a in beside.items()}),
    }


def _authors(made: World, cell: PartsCell, beside: Mapping[str, Any]) -> dict[str, float]:
    """Scores by LiSSA with the authors' numbers, beside others."""
    from scipy.stats import spearmanr

    from mrtlab.lab.spa_world import adapted
    from mrtlab.spa.gradients import examples_of
    from mrtlab.spa.influence import grad_dot
    from mrtlab.spa.lissa import LissaSettings, lissa
    from mrtlab.spa.partition import agreement, arg_max, standardised

    numbers = AUTHORS | ({"depth": made.sizes.lissa_depth} if cell.short else {})
    targets = made.targets[made.kept(cell.k)]
    with adapted(made.adapter) as (model, tokenizer):
        walked = lissa(
            model, examples_of(made.records, tokenizer), targets, settings=LissaSettings(**numbers, seed=cell.seed)
        )
    scores, plain = grad_dot(made.gradients, walked), grad_dot(made.gradients, targets)
    own = arg_max(standardised(scores))
    ranks = [spearmanr(scores[:, q], plain[:, q]).statistic for q in range(cell.k)]
    return {name: agreement(own, other) for name, other in beside.items()} | {"rank": float(np.mean(ranks))}


def _traits(made: World, part: Int[np.ndarray, "n"], rng: np.random.Generator) -> dict[str, float]:
    names = [pair.question.slots[0] for pair in made.data]
    subject = np.unique(names, return_inverse=True)[1]
    pair = [f"{name} {one.answer}" for name, one in zip(names, made.data, strict=True)]
    both = np.unique(pair, return_inverse=True)[1]
    size = np.log(np.linalg.norm(made.gradients, axis=1))

    def told(part: Int[np.ndarray, "n"]) -> np.ndarray:
        about, answers = entropy_of(subject), entropy_of(both)
        shared = information(part, subject)
        known = information(part, both) - shared
        return np.array([shared / about, known / max(answers - about, 1e-12), between(part, size)])

    chance = np.mean([told(rng.permutation(part)) for _ in range(_SHUFFLED)], axis=0)
    return dict(zip(_TRAITS, (told(part) - chance).tolist(), strict=True))


def entropy_of(labels: Int[np.ndarray, "n"]) -> float:
    """Entropy of how often each label comes, nats.

    >>> round(entropy_of(np.array([0, 0, 1, 1])), 4)
    0.6931
    """
    return float(entropy(np.bincount(labels) / len(labels)))


def information(a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> float:
    """Mutual information of two labels, nats: H(a) + H(b) − H(a, b).

    >>> round(information(np.array([0, 0, 1, 1]), np.array([5, 5, 7, 7])), 4)
    0.6931
    """
    return entropy_of(a) + entropy_of(b) - entropy_of(np.unique(np.stack([a, b]), axis=1, return_inverse=True)[1])


def between(part: Int[np.ndarray, "n"], values: Float[np.ndarray, "n"]) -> float:
    """Share of the variance of values that lies between parts, from 0 to 1.

    >>> between(np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 3.0, 3.0]))
    1.0
    """
    means = np.array([values[part == p].mean() for p in part])
    return float(means.var() / values.var())


def summarise(outcomes: Sequence[tuple[PartsCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact, over seeds: traits.RULE.TRAIT, dampings.DAMPING.BESIDE, authors.BESIDE; design."""
    return {
        "traits": _over([result["traits"] for _, result in outcomes]),
        "dampings": _over([result["dampings"] for _, result in outcomes]),
        "authors": _over([result["authors"] for _, result in outcomes]),
        "design": {"k": outcomes[0][0].k, "seeds": len(outcomes), "dampings": list(DAMPINGS)},
    }


def _over(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        name: _over([row[name] for row in rows])
        if isinstance(rows[0][name], Mapping)
        else over_seeds(np.array([row[name] for row in rows]))
        for name in rows[0]
    }


def table(results: dict[str, Any]) -> Table:
    """What parts tell, rule by rule."""
    rows = [(rule, *(f"{one[trait]['mean']:.2f}" for trait in _TRAITS)) for rule, one in results["traits"].items()]
    return Table(
        title="What a pair's part tells, less chance: its subject, its answer given that, its gradient's size.",
        columns=("rule", *_TRAITS),
        rows=tuple(rows),
    )
