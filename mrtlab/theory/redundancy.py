"""When prompts or responses repeat one another: what near-copies are worth.

A corpus often asks one question in several wordings, and several responses often say one thing. Both count for
less than their number, and both can stand in for something else: wordings for responses.
"""

from dataclasses import dataclass

import numpy as np

from mrtlab.theory.checks import Numbers, count, number


def effective_k(k: Numbers, similarity: Numbers) -> Numbers:
    """How many independent responses K similar ones are worth, K / (1 + (K − 1)·max(s̄, 0)).

    Args:
        k: K ≥ 1.
        similarity: s̄ ≤ 1, mean pairwise similarity (correlation) of the kept responses; below 0 counts as 0.

    Returns:
        between 1 (all alike) and K (unrelated).

    Raises:
        ValueError: K is below 1, or a similarity is above 1 or not a number.

    Source: multi-response training, released code of experiment 6; the design effect of cluster sampling.

    >>> effective_k(4, np.array([-0.2, 0.0, 1 / 3, 1.0]))
    array([4., 4., 2., 1.])
    """
    mean = number(similarity)
    if not np.all(mean <= 1):
        raise ValueError(f"similarity must be at most 1, got {similarity}")
    kept = count(k, "k")
    return kept / (1 + (kept - 1) * np.maximum(mean, 0.0))


@dataclass(frozen=True)
class ClusterComponents:
    """Variances in a corpus where C questions are each asked in p wordings.

    Attributes:
        cluster: V_c ≥ 0, between questions.
        variant: V_w ≥ 0, between wordings of one question.
        response: V_{y|x} ≥ 0, among responses to one wording.

    Raises:
        ValueError: one of them is negative or not finite.
    """

    cluster: Numbers
    variant: Numbers
    response: Numbers

    def __post_init__(self) -> None:
        for name in ("cluster", "variant", "response"):
            numbers = np.asarray(getattr(self, name), dtype=float)
            if not np.all(np.isfinite(numbers)) or np.any(numbers < 0):
                raise ValueError(f"the {name} variance must be 0 or more and finite, got {getattr(self, name)}")


def variance_redundant(components: ClusterComponents, n_clusters: Numbers, variants: Numbers, k: Numbers) -> Numbers:
    """Variance with C questions in p wordings and K responses to each, V_c/C + V_w/(Cp) + V_{y|x}/(CpK).

    When wordings hardly matter (V_w ≈ 0), p and K are interchangeable: a redundant corpus is multi-response
    training in disguise. This formula is **our reconstruction**. We have not read the one in the paper.

    Args:
        components: V_c, V_w, V_{y|x}.
        n_clusters: C ≥ 1.
        variants: p ≥ 1.
        k: K ≥ 1.

    Raises:
        ValueError: a count is below 1.

    Source: our derivation for claims MRT-17 and MRT-18.

    >>> near_copies = ClusterComponents(cluster=1.0, variant=0.0, response=4.0)
    >>> variance_redundant(near_copies, 10, variants=np.array([1, 2, 4]), k=np.array([4, 2, 1]))  # 1/10 + 4/40
    array([0.2, 0.2, 0.2])
    """
    c, p, kept = count(n_clusters, "n_clusters"), count(variants, "variants"), count(k, "k")
    return (
        number(components.cluster) / c
        + number(components.variant) / (c * p)
        + number(components.response) / (c * p * kept)
    )


def variance_same_response(components: ClusterComponents, n_clusters: Numbers, variants: Numbers) -> Numbers:
    """The control: p wordings that all carry *one* response, V_c/C + V_w/(Cp) + V_{y|x}/C.

    Repeating a response does not average it, so only the wordings' part shrinks. Our reconstruction, as
    `variance_redundant`.

    Args:
        components: V_c, V_w, V_{y|x}.
        n_clusters: C ≥ 1.
        variants: p ≥ 1.

    Raises:
        ValueError: a count is below 1.

    Source: our derivation for the "same" arm of claim MRT-17.

    >>> float(variance_same_response(ClusterComponents(1.0, 0.0, 4.0), 10, variants=4))  # 1/10 + 4/10
    0.5
    """
    c, p = count(n_clusters, "n_clusters"), count(variants, "variants")
    return number(components.cluster) / c + number(components.variant) / (c * p) + number(components.response) / c
