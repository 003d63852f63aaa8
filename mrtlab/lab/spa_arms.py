"""The arms of chapter 8: how a data set becomes K training sets, each by a function of one seed's world.

Every part is trained for the same number of steps. What an arm is called says what differs:

- seeds: no parts at all. K adapters on all the data, told apart by their seed: the control that the paper lacks.
- random: parts by chance.
- lexical: BM25+ to the kept queries, columns centred, arg max.
- influence: Fisher scores, columns standardised, arg max. -raw: as they come; -even: no part larger than another;
  -dot, -cosine, -datainf: other scores from the same gradients; -lissa: the paper's.
- rows: k-means on the rows of standardised Fisher scores (the paper's Eq. 4, nearly).
- gradients: spherical k-means on whitened gradients; no query.
- texts: k-means on embeddings of prompt and answer.
- dealt: like prompts together, and in each such group different answers to different parts; ours.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from mrtlab.lab.spa_world import World, lissa_columns
from mrtlab.spa import partition as parts
from mrtlab.spa.clusters import embed_texts, k_means, spherical_k_means, whitened
from mrtlab.spa.influence import fisher
from mrtlab.spa.partition import Partition

Rule = Callable[[World, int, int], Partition]

_PER_GROUP = 12  # pairs in a group of like prompts, about


def _influence(method: str) -> Rule:
    def rule(world: World, k: int, seed: int) -> Partition:
        return parts.arg_max(parts.standardised(world.columns(method, k)), how=method)

    return rule


def _raw(world: World, k: int, seed: int) -> Partition:
    return parts.arg_max(world.columns("fisher", k), how="fisher, as it comes")


def _even(world: World, k: int, seed: int) -> Partition:
    return parts.arg_max_within(parts.standardised(world.columns("fisher", k)), how="fisher, equal sizes")


def _lissa(world: World, k: int, seed: int) -> Partition:
    return parts.arg_max(parts.standardised(lissa_columns(world, k, seed=seed)), how="lissa")


def _random(world: World, k: int, seed: int) -> Partition:
    return parts.random_parts(len(world.data), k, rng=np.random.default_rng([84, seed, k]))


def _lexical(world: World, k: int, seed: int) -> Partition:
    queries = [f"{world.asked[j].question.text} {world.asked[j].answer}" for j in world.kept(k)]
    return parts.arg_max(parts.bm25_plus(_texts(world), queries), how="BM25+, columns centred")


def _rows(world: World, k: int, seed: int) -> Partition:
    return k_means(parts.standardised(world.columns("fisher", k)), k, seed=seed)


def _gradients(world: World, k: int, seed: int) -> Partition:
    return spherical_k_means(whitened(world.gradients), k, seed=seed)


def _embedded(world: World, k: int, seed: int) -> Partition:
    return k_means(embed_texts(_texts(world), seed=seed), k, seed=seed, how="k-means on texts")


def _dealt(world: World, k: int, seed: int) -> Partition:
    prompts = embed_texts([pair.question.text for pair in world.data], seed=seed)
    groups = spherical_k_means(prompts, max(1, len(world.data) // _PER_GROUP), seed=seed).part
    return parts.deal([pair.answer for pair in world.data], groups, k)


RULES: dict[str, Rule] = {
    "random": _random,
    "lexical": _lexical,
    "influence": _influence("fisher"),
    "influence-raw": _raw,
    "influence-even": _even,
    "influence-dot": _influence("grad-dot"),
    "influence-cosine": _influence("cosine"),
    "influence-datainf": _influence("datainf"),
    "influence-lissa": _lissa,
    "rows": _rows,
    "gradients": _gradients,
    "texts": _embedded,
    "dealt": _dealt,
}


def parted(arm: str, world: World, k: int, *, seed: int) -> Partition:
    """The parts of an arm; some may be empty."""
    return RULES[arm](world, k, seed)


def influence_of_some(world: World, k: int, kept: Int[np.ndarray, "m"]) -> Partition:
    """The arm "influence" if only these pairs were there: for its stability."""
    scores = fisher(world.gradients[kept], world.targets[world.kept(k)])
    return parts.arg_max(parts.standardised(scores))


def _texts(world: World) -> list[str]:
    return [f"{pair.question.text} {pair.answer}" for pair in world.data]
