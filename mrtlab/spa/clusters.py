"""Parts of examples that are alike: k-means on rows of scores, on directions of gradients, on embeddings of texts."""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg

from mrtlab.spa.influence import DAMPING, gram
from mrtlab.spa.partition import Partition, check_k

Rows = Float[np.ndarray, "n p"]

_STARTS = 10
_ROUNDS = 100


def k_means(rows: Rows, k: int, *, seed: int, how: str = "k-means on scores") -> Partition:
    """k-means on rows, such as the standardised scores of every example: the clustering that SPA names as future work.

    It lowers Σ_k Σ_{i ∈ part k} |row_i − mean_k|². SPA's Eq. 4, `pairwise_cost`, weighs each term by its part's size
    and so prefers equal sizes more.

    Args:
        rows: (n, p).
        k: parts.
        seed: of the ten starts, of which the best is kept.
        how: what the rows are, for records.

    Raises:
        ValueError: k is below 1 or above n.

    Source: SPA Eq. 4 and section 7; claim SPA-10.

    >>> part = k_means(np.array([[0.0], [0.1], [5.0]]), 2, seed=0).part
    >>> bool(part[0] == part[1] != part[2])
    True
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    check_k(len(rows), k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than parts: some stay empty
        part = KMeans(k, n_init=_STARTS, random_state=seed).fit_predict(np.asarray(rows, dtype=np.float64))
    return Partition(part.astype(np.int64), k, how)


def pairwise_cost(rows: Rows, partition: Partition) -> float:
    """Σ_k Σ_{i,j ∈ part k} |row_i − row_j|² = 2·Σ_k n_k·Σ_{i ∈ part k} |row_i − mean_k|²: what SPA would lower.

    Raises:
        ValueError: the partition is of another number of examples.

    Source: SPA Eq. 4.

    >>> pairwise_cost(np.array([[0.0], [2.0], [7.0]]), Partition(np.array([0, 0, 1]), 2, ""))
    8.0
    """
    if len(rows) != len(partition.part):
        raise ValueError(f"{len(rows)} rows and a partition of {len(partition.part)} examples do not belong together")
    parts = [rows[members].astype(np.float64) for members in partition.members() if len(members)]
    return float(sum(2 * len(part) * np.square(part - part.mean(axis=0)).sum() for part in parts))


def spherical_k_means(rows: Rows, k: int, *, seed: int, how: str = "spherical k-means on gradients") -> Partition:
    """Parts of like direction, no query needed: raises Σ_i cos(row_i, centre of its part), centres of length one.

    Rounds of two steps: each row to its nearest centre, each centre to the direction of its rows' sum (rows have length
    one meanwhile; a zero row stays where it falls). An empty part takes the row that is worst off. The best of ten
    starts by k-means++ is kept.

    Args:
        rows: (n, p) gradients, projected or whitened ones, or embeddings.
        k: parts.
        seed: of the starts.
        how: what the rows are, for records.

    Raises:
        ValueError: k is below 1 or above n.

    Source: the partition by gradient direction of ELREA (SPA sheet, section 7); claim SPA-10.

    >>> part = spherical_k_means(np.array([[1.0, 0.0], [9.0, 1.0], [0.0, 2.0]]), 2, seed=0).part
    >>> bool(part[0] == part[1] != part[2])
    True
    """
    from sklearn.cluster import kmeans_plusplus

    check_k(len(rows), k)
    size = np.linalg.norm(np.asarray(rows, dtype=np.float64), axis=1, keepdims=True)
    unit = np.divide(rows, size, out=np.zeros(rows.shape), where=size > 0)
    best, kept = -np.inf, np.zeros(len(rows), dtype=np.int64)
    for start in np.random.SeedSequence(seed).generate_state(_STARTS).tolist():
        part, value = _rounds(unit, kmeans_plusplus(unit, k, random_state=start)[0])
        if value > best:
            best, kept = value, part
    return Partition(kept, k, how)


def whitened(gradients: Rows, *, damping: float = DAMPING) -> Float[np.ndarray, "n m"]:
    """Gradients in which no direction is louder than others: (GᵀG/n + λI)^(−½) g, with λ = damping · mean(G²).

    Products of two rows are influences of one example on the other under the damped empirical Fisher matrix.

    Args:
        gradients: (n, p).
        damping: λ relative to the mean diagonal.

    Returns:
        (n, min(n, p)) coordinates in the span of the gradients, in which lengths and angles are the same.

    Raises:
        ValueError: damping is not positive.

    Source: influence embeddings (InfEmbed, NeurIPS 2023; SPA sheet, section 7).

    >>> rows = whitened(np.array([[2.0, 0.0], [0.0, 1.0]]), damping=0.2)  # λ = 0.25; 2²/(2 + ¼) and 1²/(½ + ¼)
    >>> np.square(rows).sum(axis=1).round(6).tolist()
    [1.777778, 1.333333]
    """
    if not 0 < damping < np.inf:
        raise ValueError(f"damping must be a positive number, got {damping}")
    n, p = gradients.shape
    lam = damping * np.square(gradients, dtype=np.float64).mean()
    if lam == 0:
        return np.zeros((n, min(n, p)))
    if n <= p:  # K = U s² Uᵀ has the same left vectors as G = U s Wᵀ
        square, left = linalg.eigh(gram(gradients))
        square = np.maximum(square, 0)
        return left * np.sqrt(square / (square / n + lam))
    g = np.asarray(gradients, dtype=np.float64)
    square, right = linalg.eigh(g.T @ g)
    return (g @ right) / np.sqrt(np.maximum(square, 0) / n + lam)


def embed_texts(texts: Sequence[str], *, features: int = 64, seed: int = 0) -> Float[np.ndarray, "n _d"]:
    """Texts as points, without a model: counts of words weighted by rarity, then their main directions (LSA).

    Rows go well with `spherical_k_means`; so do embeddings of any model. The first author's code clusters INSTRUCTOR
    embeddings, which are a download.

    Args:
        texts: (n,).
        features: directions, fewer where there are fewer words or texts.
        seed: of the decomposition.

    Returns:
        (n, d).

    Raises:
        ValueError: no text has a word.

    Source: the SPA sheet, section 3 (k-means on embeddings).

    >>> a, b, c = embed_texts(["red plum", "red ripe plum", "walk home"], features=2)
    >>> bool(a @ b > 10 * abs(a @ c))
    True
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(text.split() for text in texts):
        raise ValueError("no text has a word: give at least one")
    counts = TfidfVectorizer(token_pattern=r"\S+", sublinear_tf=True).fit_transform(texts)
    if min(counts.shape) <= features:
        return np.asarray(counts.todense())  # few words or texts: nothing to cut
    return TruncatedSVD(features, random_state=seed).fit_transform(counts)


def _rounds(unit: Float[np.ndarray, "n p"], centres: Float[np.ndarray, "k p"]) -> tuple[Int[np.ndarray, "n"], float]:
    """Alternate until nothing moves; the parts and the sum of cosines."""
    k, part = len(centres), np.full(len(unit), -1)
    for _ in range(_ROUNDS):
        cos = unit @ centres.T
        new = cos.argmax(axis=1)
        for empty in np.setdiff1d(np.arange(k), new):
            own = cos[np.arange(len(unit)), new]
            own[np.bincount(new, minlength=k)[new] == 1] = np.inf  # nobody is left alone's only row
            new[own.argmin()] = empty
        if (new == part).all():
            break
        part = new
        sums = np.zeros_like(centres)
        np.add.at(sums, part, unit)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.divide(sums, length, out=centres.copy(), where=length > 0)
    return part, float((unit * centres[part]).sum())
