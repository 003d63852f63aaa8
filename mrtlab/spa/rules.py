"""The rules of `mrtlab spa partition` by name: what each looks at, what it does in a sentence, and how firm it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mrtlab.data.records import Record, prompt_text
from mrtlab.spa.clusters import embed_texts, k_means, spherical_k_means
from mrtlab.spa.influence import most_varied
from mrtlab.spa.partition import (
    Partition,
    agreement,
    arg_max,
    arg_max_within,
    check_k,
    consecutive_parts,
    deal,
    random_parts,
    stability,
    standardised,
)

BY_QUERY = ("influence", "influence-even", "influence-raw", "lexical")
BY_CLUSTER = ("clusters", "gradient-clusters", "text-clusters")
DEALT = "dealt"
BLIND = ("random", "consecutive")
SEEDS = "seeds"
RULES = (*BY_QUERY, *BY_CLUSTER, DEALT, *BLIND, SEEDS)

_PER_GROUP = 12  # examples in a group of like prompts, about

_SENTENCES = {
    "influence": "Each example goes to the query that it helps most, columns of scores standardised.",
    "influence-even": "Each example goes to a query that it helps, all parts as large: the largest total of "
    "standardised scores.",
    "influence-raw": "Each example goes to the query that it helps most, scores as they are: wide columns take more.",
    "lexical": "Each example goes to the query whose words it shares, by BM25+ with columns standardised.",
    "clusters": "Examples that help the same queries are together: k-means on standardised scores of all queries.",
    "gradient-clusters": "Examples whose gradients point the same way are together: spherical k-means on whitened "
    "gradients, no query looked at.",
    "text-clusters": "Examples of like words are together: spherical k-means on word counts weighted by rarity.",
    "dealt": "Different answers to like prompts are apart: prompts grouped by their words, answers dealt out in each "
    "group.",
    "random": "Examples were dealt out by chance, all parts as large.",
    "consecutive": "Neighbours in the file are together, all parts as large.",
    "seeds": "Every part is all of the data: adapters will differ by their seed alone. This is the control.",
}

Rows = Float[np.ndarray, "n m"]


@dataclass(frozen=True, eq=False)
class Made:
    """A partition with how it came about.

    Attributes:
        partition: the parts.
        queries: places of the queries that the parts belong to, part by part; () if the rule looks at none.
        sentence: what the rule did.
    """

    partition: Partition
    queries: tuple[int, ...]
    sentence: str


def sentence_of(rule: str) -> str:
    """What a rule does.

    >>> sentence_of("random")
    'Examples were dealt out by chance, all parts as large.'
    """
    return _SENTENCES[rule]


def make_parts(rule: str, rows: Rows | None, *, n: int, k: int, seed: int = 0) -> Made:
    """k parts of n examples by a rule; not for "seeds", which parts nothing.

    Args:
        rule: one of `RULES`.
        rows: what the rule looks at, a row for each example: scores against m queries, of BM25+ for "lexical";
            whitened gradients; embeddings of texts; for "dealt" what `dealing_rows` says. None for a rule that looks at
            nothing.
        n: examples.
        k: parts. A rule by query keeps the k of the m queries whose columns vary most.
        seed: of chance, or of the starts of a clustering.

    Raises:
        ValueError: k is out of its range, or there are fewer queries than parts.

    Source: SPA, section 5.1; the sheet's section 9, step 4.

    >>> scores = np.array([[9.0, 0.0, 0.1], [1.0, 5.0, 0.1], [0.0, 4.0, 0.2]])
    >>> made = make_parts("influence", scores, n=3, k=2)
    >>> made.partition.part.tolist(), made.queries
    ([0, 1, 1], (0, 1))
    """
    check_k(n, k)
    sentence = sentence_of(rule)
    if rule == "random":
        return Made(random_parts(n, k, rng=np.random.default_rng(seed)), (), sentence)
    if rule == "consecutive":
        return Made(consecutive_parts(n, k), (), sentence)
    if rule == "clusters":
        return Made(k_means(standardised(rows), k, seed=seed), (), sentence)
    if rule in BY_CLUSTER:
        return Made(spherical_k_means(rows, k, seed=seed, how=rule), (), sentence)
    if rule == DEALT:
        groups = spherical_k_means(rows[:, :-1], max(1, n // _PER_GROUP), seed=seed).part
        return Made(deal(rows[:, -1].tolist(), groups, k), (), sentence)
    if rule not in BY_QUERY:
        raise ValueError(f"no partition by {rule!r}: choose from {', '.join(RULES)}")
    queries = most_varied(rows, k)
    chosen = rows[:, queries] if rule == "influence-raw" else standardised(rows[:, queries])
    assign = arg_max_within if rule == "influence-even" else arg_max
    return Made(assign(chosen, how=rule), tuple(queries.tolist()), sentence)


def firmness(made: Made, rule: str, rows: Rows | None, *, k: int, seed: int = 0, draws: int = 10) -> dict[str, float]:
    """How much of a partition stays when a fifth of what it was made from is left out, mean over draws.

    Each number is the share of examples that stay in the same part, after the best renaming of parts.

    Args:
        made: what `make_parts` returned with the same rule, rows, k and seed.
        rule, rows, k, seed: as there.
        draws: how often something is left out.

    Returns:
        "examples": a fifth of the examples left out. "queries": a fifth of the queries, where a rule looks at them and
        that leaves k or more. "chance": examples dealt out anew into parts of the same sizes, what any number here is
        to be compared with.

    Raises:
        ValueError: draws is below 1.
    """
    n = len(made.partition.part)
    rng = np.random.default_rng((seed, 3))

    def some(kept: Int[np.ndarray, "_m"]) -> Partition:
        fewer = None if rows is None else rows[kept]
        return make_parts(rule, fewer, n=len(kept), k=min(k, len(kept)), seed=seed).partition

    found = {"examples": float(stability(some, n, rng=rng, draws=draws).mean())}
    m = rows.shape[1] if rows is not None and (rule in BY_QUERY or rule == "clusters") else 0
    left = round(0.8 * m)
    if m > left >= (k if rule in BY_QUERY else 1):
        again = [
            make_parts(rule, rows[:, np.sort(rng.permutation(m)[:left])], n=n, k=k, seed=seed) for _ in range(draws)
        ]
        found["queries"] = float(np.mean([agreement(made.partition, one.partition) for one in again]))
    dealt = [Partition(rng.permutation(made.partition.part), k, "chance") for _ in range(draws)]
    found["chance"] = float(np.mean([agreement(made.partition, one) for one in dealt]))
    return found


def alike_queries(rows: Rows, queries: Sequence[int], *, least: float = 0.9) -> list[tuple[int, int]]:
    """Pairs of parts whose queries score the examples almost alike, so that their arg max is close to a toss.

    Args:
        rows: (n, m) scores.
        queries: places of the queries of the parts, part by part.
        least: correlation of two columns from which on they count as alike.

    >>> alike_queries(np.array([[0.0, 0.0, 3.0], [1.0, 2.0, 0.0], [2.0, 4.0, 3.0]]), [0, 1, 2])
    [(0, 1)]
    """
    chosen = standardised(rows[:, list(queries)])
    alike = chosen.T @ chosen / len(chosen)
    return [(i, j) for i, j in zip(*map(np.ndarray.tolist, np.nonzero(np.triu(alike >= least, 1))), strict=True)]


def dealing_rows(records: Sequence[Record]) -> Float[np.ndarray, "n _d"]:
    """What "dealt" looks at: each example's prompt as a point, and last the number of its answer.

    >>> dealing_rows([Record.of("Name a fruit.", ["plum", "fig"]), Record.of("A fruit?", ["fig"])])[:, -1].tolist()
    [1.0, 0.0, 0.0]
    """
    prompts = [prompt_text(record.prompt) for record in records for _ in record.responses]
    answers = [response for record in records for response in record.responses]
    return np.column_stack([embed_texts(prompts), np.unique(answers, return_inverse=True)[1]])


def texts_of(records: Sequence[Record]) -> list[str]:
    """Every example, prompt and response, as one text: what BM25+ and embeddings read.

    >>> texts_of([Record.of("Name a fruit.", ["plum", "fig"])])
    ['Name a fruit. plum', 'Name a fruit. fig']
    """
    return [f"{prompt_text(record.prompt)} {response}" for record in records for response in record.responses]
