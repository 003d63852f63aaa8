"""Other ways to train towards a target, as rules: from log-probabilities, or from draws, to signed weights.

Diffuse fine-tuning is `mrtlab.theory.forward_kl` with the weight p*(y) on every listed answer; one string after the
other or all in a tree, loss and gradient are the same. The rules here are its rivals. Each says its measure (who
drew the answers) apart from its coefficient. The last one, GEM, is of the second kind: it needs whole laws of the
next token and is no rule on log-probabilities of answers.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from mrtlab.lm.tree import ROOT, TokenTree
from mrtlab.theory.objectives import rloo_advantage
from mrtlab.theory.signed_weights import Constant, LogProbs, Objective, checked, constant


def path_mean(tree: TokenTree, target: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m R"]:
    """Weights of the mean along paths: soft targets at every fork, each path's loss divided by its length.

    The loss is E_{y∼p*} (1/|y|) Σ_t Σ_v q(v | y_<t)·(−log p(v | y_<t)), q the target's law of the next token. A token
    edge e after the beginning n therefore weighs Q_e·S_n/Q_n, with Q the target mass of all answers through it and
    S = Σ p*(y)/|y| over the same answers. Without the division by length it is the loss of the tree; with it, answers
    that share beginnings with short ones weigh more.

    Measure: exact, every answer of the target is listed. Coefficient: p*(y) times the mean of 1/|y| over the answers
    that share the beginning.

    Args:
        tree: the m answers, all different, ends included.
        target: their probabilities.

    Returns:
        weights for `mrtlab.lm.backward_tokens`, (m, R) as `answer_tokens` lays out, 0 where an answer is over. The
        weights of an edge that several answers share add up to its own.

    Source: soft calibration fine-tuning (Baldelli et al., section 9.1 of our notes), in expectation over its paths.

    >>> tree = TokenTree.build([1], [[2, 9], [3, 4, 5, 9]])  # lengths 2 and 4, nothing shared
    >>> path_mean(tree, np.array([0.5, 0.5]))  # the first token: mean of 1/2 and 1/4; after it, the answer's own
    array([[0.1875, 0.25  , 0.    , 0.    ], [0.1875, 0.125 , 0.125 , 0.125 ]])
    """
    lengths = np.diff(tree.offset)
    mass, share = np.zeros(tree.n_edges), np.zeros(tree.n_edges)
    for path, q, length in zip(tree.paths(), target, lengths, strict=True):
        mass[path] += q
        share[path] += q / length
    before = np.append(share / np.where(mass > 0, mass, 1.0), (target / lengths).sum() / target.sum())  # [ROOT] is last
    weights = np.zeros((tree.n_answers, int(lengths.max())))
    for row, (path, q) in enumerate(zip(tree.paths(), target, strict=True)):
        weights[row, : len(path)] = q * before[np.where(tree.parent[path] == ROOT, -1, tree.parent[path])]
    return weights


def fixed_tokens(weights: Float[np.ndarray, "m R"]) -> Callable[..., Objective]:
    """A rule for `backward_tokens` from weights that are known beforehand: loss = −Σ w·log p."""

    def rule(logp: torch.Tensor, real: torch.Tensor) -> Objective:
        weight = torch.as_tensor(weights).to(logp)
        return Objective(-(weight * logp).sum(), weight)

    return rule


def hard_samples(target: Float[np.ndarray, "m"], *, n: int, rng: np.random.Generator) -> Float[np.ndarray, "m"]:
    """Likelihood on n answers drawn from the target: weights count/n.

    Measure: p* drew the answers, anew at every step. Coefficient: 1/n for each draw. Its mean is the weight of
    `forward_kl`; its noise is multi-response training with K = n.

    Raises:
        ValueError: n < 1.

    Source: hard calibration fine-tuning (Baldelli et al., section 9.1 of our notes).

    >>> hard_samples(np.array([1.0, 0.0]), n=3, rng=np.random.default_rng(0))
    array([1., 0.])
    """
    if n < 1:
        raise ValueError(f"n must be 1 or more, got {n}")
    return rng.multinomial(n, target / target.sum()) / n


def entropy_bonus(logp: LogProbs, *, bonus: float) -> Objective:
    """Validity with a bonus for entropy: loss = −Σ p − τ·H, H = −Σ p log p over the listed answers.

    Measure: exact; all valid answers are listed. Coefficient: p·(1 − τ(1 + log p)). No target stands in it, so any
    law with mass 1 and much entropy will do, and with a small τ the first term rules.

    Args:
        logp: log-probabilities of the valid answers, shape (..., m).
        bonus: τ, 0 or more.

    Returns:
        loss, shape (...), and weights, shape (..., m).

    Raises:
        ValueError: τ is negative or not finite, or logp is no log-probability.

    Source: the entropy bonus of Arabi et al. (DIF-16), in its exact form.

    >>> entropy_bonus(np.log(np.array([0.5, 0.25])), bonus=0.0).weight  # more of what is likely
    array([0.5 , 0.25])
    """
    xp, logp = checked(logp)
    if not 0 <= bonus < float("inf"):
        raise ValueError(f"bonus must be 0 or more and finite, got {bonus}")
    p = xp.exp(logp)
    return Objective(-xp.sum(p * (1 - bonus * logp), axis=-1), p * (1 - bonus * (1 + logp)))


def entropy_bonus_advantage(
    valid: Sequence[bool], logp: Float[np.ndarray, "n"], *, bonus: float
) -> Float[np.ndarray, "n"]:
    """Advantages of n answers that the policy drew: reward 1 if valid, less τ·log p, minus the mean of the others.

    Measure: the policy drew the answers. Coefficient: the advantage over n (`mrtlab.theory.reinforce`). It is
    `entropy_bonus` by sampling, the answers off the list included.

    >>> entropy_bonus_advantage([True, False], np.zeros(2), bonus=0.01)
    array([ 1., -1.])
    """
    return rloo_advantage(np.array(valid, dtype=float) - bonus * logp)


def witness(logp: LogProbs, *, target: Constant) -> Objective:
    """Squared distance on the list, Σ (p − p*)²: what the witness advantage descends in expectation.

    Measure: exact, over the listed answers. Coefficient: 2p(p* − p). Answers off the list add Σ p² to the whole, which
    is left out here: it cannot be listed, and it is small once it is spread.

    Args:
        logp: log-probabilities of the listed answers, shape (..., m).
        target: p*, broadcastable to logp.

    Returns:
        loss, shape (...), and signed weights, shape (..., m).

    Raises:
        ValueError: the shapes do not fit, or logp is no log-probability.

    Source: Arabi et al. (DIF-15), E[U] = −∇ Σ (p − p*)².

    >>> witness(np.log(np.array([0.5, 0.25])), target=np.array([0.5, 0.5])).weight
    array([-0.  ,  0.125])
    """
    xp, logp = checked(logp)
    q, p = constant(target, logp, "target"), xp.exp(logp)
    return Objective(xp.sum((p - q) ** 2, axis=-1), -2 * p * (p - q))


def witness_advantage(drawn: Sequence[Hashable], wanted: Sequence[float]) -> Float[np.ndarray, "n"]:
    """Advantages of n answers that the policy drew: A_i = 2·(p*(y_i) − share of y_i among the others).

    Measure: the policy drew the answers. Coefficient: A_i/n (`mrtlab.theory.reinforce`). What is drawn more often than
    it should be is pushed down; the share leaves the draw itself out, so it is unbiased.

    Args:
        drawn: the answers, n ≥ 2; equal ones are the same answer, on the list or off it.
        wanted: p* of each of them, 0 off the list.

    Raises:
        ValueError: fewer than two answers, or another number of probabilities.

    Source: Arabi et al. (DIF-15).

    >>> witness_advantage(["7", "7", "3"], [0.5, 0.5, 0.5])
    array([0., 0., 1.])
    """
    if len(drawn) < 2 or len(wanted) != len(drawn):
        raise ValueError(f"expected two answers or more, each with its target; got {len(drawn)} and {len(wanted)}")
    counts = Counter(drawn)
    others = np.array([(counts[answer] - 1) / (len(drawn) - 1) for answer in drawn])
    return 2 * (np.array(wanted, dtype=float) - others)


def gem(
    logp: Float[torch.Tensor, "places V"], token: Int[torch.Tensor, "places"], *, beta: float = 0.7
) -> Float[torch.Tensor, ""]:
    """GEM: likelihood against the model's own sharpened law, mean over places.

    loss = −Σ_v sg[softmax(z/β)]_v·(log p_y − log p_v) at every place, sg: held fixed. What the model itself finds
    likely is pushed down as much as the given token is pulled up, so tokens that are likely enough are left alone.

    Args:
        logp: log-probabilities of the next token over the whole vocabulary, one row for each place; differentiable.
        token: the one that came, from data that p* drew.
        beta: β; below 1 sharpens.

    Raises:
        ValueError: β ≤ 0.

    Source: Li et al., formula of section 9.3 of our notes, with all w = 1.

    >>> float(gem(torch.log(torch.tensor([[0.5, 0.5]])), torch.tensor([0]), beta=1.0))
    0.0
    """
    if not beta > 0:
        raise ValueError(f"beta must be above 0, got {beta}")
    rival = (logp.detach() / beta).softmax(-1)
    return ((rival * logp).sum(-1) - logp.gather(1, token[:, None])[:, 0]).mean()
