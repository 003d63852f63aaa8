"""A machine with 100 arms: a small world in which every step of preference fine-tuning can be computed exactly.

The didactic bandit of "Preference Fine-Tuning of LLMs Should Leverage Suboptimal, On-Policy Data" (Tajwar et al.,
ICML 2024), rebuilt from its code's settings: a reference policy with most of its mass on low arms, and rewards that
peak either where that mass is (arm 20) or where it is not (arm 70). The functions from `gradient_alignment` on are
the one-step calculus of a softmax: what raising one arm and lowering another does to *every* arm. Logs are natural.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from mrtlab.theory.distributions import PerRow, Probs, _check, best_of_n

FAR_PEAK = 70.0  # rewards R4 and R6 of the paper's code: the reference policy rarely goes there
ALIGNED_PEAK = 20.0  # rewards R5 and R7: close to what the reference policy already does
N_ARMS = 100
N_NEW_TOKENS = 9  # the token form scores one prompt token and nine new ones


def bandit_reference(
    *, n_arms: int = N_ARMS, location: float = -0.7, scale: float = 0.4
) -> Float[np.ndarray, " n_arms"]:
    """Reference policy: the exact law of tanh(X) in equal bins of [−1, 1], X ~ Cauchy(location, scale).

    π_ref(i) = F(atanh e_{i+1}) − F(atanh e_i), with F(x) = ½ + arctan((x − location)/scale)/π and edges
    e_i = −1 + 2i/n_arms. The paper's code draws a histogram of 10,000 samples; this is its limit. The two end bins
    hold the Cauchy tails, so they are large however far they lie from the mode.

    Args:
        n_arms: number of bins, ≥ 1.
        location: middle of the Cauchy law, before the tanh.
        scale: half-width of the Cauchy law at half its height, > 0.

    Returns:
        probabilities, shape (n_arms,).

    Raises:
        ValueError: n_arms < 1, or scale is not positive.

    Source: Tajwar et al. (2024), the bandit of PRF-01 to PRF-07.

    >>> bandit_reference(n_arms=2, location=0.0)  # a symmetric law, cut in the middle
    array([0.5, 0.5])
    """
    if n_arms < 1:
        raise ValueError(f"n_arms must be at least 1 bin, got {n_arms}")
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    edges = (2 * np.arange(n_arms + 1) - n_arms) / n_arms  # this form hits −1 and 1 exactly
    with np.errstate(divide="ignore"):
        cumulative = 0.5 + np.arctan((np.arctanh(edges) - location) / scale) / np.pi
    return np.diff(cumulative)


def bandit_reward(*, peak: float, width: float = 10.0, n_arms: int = N_ARMS) -> Float[np.ndarray, " n_arms"]:
    """Reward of every arm: a bell around one of them, r(a) = exp(−((a − peak)/width)²).

    R4 of the paper's code is `peak=FAR_PEAK`, R5 is `peak=ALIGNED_PEAK`; R8 and R9 are R4 with width 20 and 30.

    Args:
        peak: the arm that pays 1.
        width: distance, in arms, at which the reward has fallen to 1/e, > 0.
        n_arms: number of arms, ≥ 1.

    Returns:
        rewards, shape (n_arms,), each in [0, 1].

    Raises:
        ValueError: n_arms < 1, or width is not positive.

    Source: Tajwar et al. (2024), PRF-01.

    >>> bandit_reward(peak=1.0, width=1.0, n_arms=3).round(4)  # 1/e, 1, 1/e
    array([0.3679, 1.    , 0.3679])
    """
    if n_arms < 1:
        raise ValueError(f"n_arms must be at least 1 arm, got {n_arms}")
    return _bell(np.arange(n_arms), peak, width)


def token_reward(
    tokens: Int[np.ndarray, "*batch length"], *, peak: float, width: float = 10.0
) -> Float[np.ndarray, "*batch"] | Float[np.floating, ""]:
    """Reward of a sequence of arms, the mean of its tokens' rewards: (1/T) Σ exp(−((a_t − peak)/width)²).

    R6 of the paper's code (its R1) is `peak=FAR_PEAK`, R7 (its R2) is `peak=ALIGNED_PEAK`. There T = 10: the prompt
    token is scored along with the nine new ones, although no policy can change it (see `expected_token_reward`).

    Args:
        tokens: arms, shape (..., T), T ≥ 1; drop the prompt token first to score new tokens only.
        peak: the arm that pays 1.
        width: distance, in arms, at which the reward has fallen to 1/e, > 0.

    Returns:
        shape (...), in [0, 1].

    Raises:
        ValueError: there are no tokens, or width is not positive.

    Source: Tajwar et al. (2024), the token form of PRF-01.

    >>> float(token_reward(np.array([20, 20, 20, 99]), peak=20.0).round(4))  # three right, one far off
    0.75
    """
    if not tokens.shape[-1]:
        raise ValueError("tokens is empty: expected at least one token on the last axis")
    return _bell(tokens, peak, width).mean(-1)


def _bell(arms: np.ndarray, peak: float, width: float) -> np.ndarray:
    """exp(−((a − peak)/width)²), with the width checked."""
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    return np.exp(-(((arms - peak) / width) ** 2))


def expected_reward(p: Probs, reward: Float[np.ndarray, "*#batch m"]) -> PerRow:
    """Exact mean reward of a policy, E[r] = Σ p(a) r(a).

    Args:
        p: probability of each arm, shape (..., m).
        reward: reward of each arm, broadcastable to p.

    Returns:
        shape (...), in the unit of the reward.

    Raises:
        ValueError: p is not a distribution.

    >>> float(expected_reward(np.array([0.75, 0.25]), np.array([0.0, 1.0])))
    0.25
    """
    _check(p, "p")
    return (p * reward).sum(-1)


def expected_token_reward(
    p: Probs, reward: Float[np.ndarray, "*#batch m"], *, n_new: int = N_NEW_TOKENS, score_prompt: bool = True
) -> PerRow:
    """Exact mean of `token_reward` when a uniform prompt token is followed by n_new independent draws from p.

    E = (r̄ + n_new · Σ p r)/(1 + n_new), with r̄ the plain mean of the rewards. Even a perfect policy stays below 1:
    the prompt token is chance. With `score_prompt=False` only the new tokens count, and E = Σ p r.

    Args:
        p: probability of each arm at every new position, shape (..., m).
        reward: reward of each arm, broadcastable to p.
        n_new: new tokens after the prompt token, ≥ 1.
        score_prompt: whether the prompt token is part of the mean, as in the paper's code.

    Returns:
        shape (...), in the unit of the reward.

    Raises:
        ValueError: p is not a distribution, or n_new < 1.

    Source: Tajwar et al. (2024), rewards R6 and R7.

    >>> float(expected_token_reward(np.array([0.0, 1.0]), np.array([0.0, 1.0]), n_new=4))  # (½ + 4)/5
    0.9
    """
    if n_new < 1:
        raise ValueError(f"n_new must be at least 1 token, got {n_new}")
    per_token = expected_reward(p, reward)
    return (reward.mean(-1) + n_new * per_token) / (1 + n_new) if score_prompt else per_token


def sequence_logprob(
    logits: Float[np.ndarray, "*batch length vocab"], tokens: Int[np.ndarray, "*batch length"]
) -> Float[np.ndarray, "*batch"] | Float[np.floating, ""]:
    """Log-probability of the tokens after the first, Σ_{t ≥ 1} log softmax(logits_{t−1})[a_t].

    The logits at a position have read the token there, so they predict the *next* one. Reading a token's
    log-probability at its own position scores copying, not prediction; the paper's released code does that.

    Args:
        logits: outputs at every position, shape (..., T, V); those at the last position predict nothing here.
        tokens: the prompt token and what followed it, shape (..., T), each in 0 … V − 1.

    Returns:
        shape (...), nats, ≤ 0. The first token is given, not scored.

    Raises:
        ValueError: fewer than two tokens, or a token outside the vocabulary.

    Source: our reading of the code of Tajwar et al. (2024), its gpt.py.

    >>> logits = np.log(np.array([[0.75, 0.25], [0.5, 0.5]]))  # after token 0, token 0 again in three cases of four
    >>> float(np.exp(sequence_logprob(logits, np.array([0, 0]))).round(6))
    0.75
    """
    if tokens.shape[-1] < 2:
        raise ValueError(f"expected a prompt token and at least one more, got {tokens.shape[-1]} tokens")
    if tokens.min() < 0 or tokens.max() >= logits.shape[-1]:
        raise ValueError(f"tokens must lie in 0 … {logits.shape[-1] - 1}, got {tokens.min()} … {tokens.max()}")
    predicting = logits[..., :-1, :]
    chosen = np.take_along_axis(predicting, tokens[..., 1:, None], axis=-1)[..., 0]
    return (chosen - logsumexp(predicting, axis=-1)).sum(-1)


def compounded_best_of_n(
    p: Probs, reward: Float[np.ndarray, "*#batch m"], n: int, *, rounds: int
) -> Float[np.ndarray, "rounds_and_start *batch m"]:
    """Exact on-policy best-of-n: each round replaces the policy by the law of the best of its own n draws.

    F_{k+1} = F_kⁿ on the reward's distribution function, so k rounds are one best-of-nᵏ: selection compounds.
    Row 1 is all that *offline* best-of-n can reach, however long it is trained.

    Args:
        p: the policy before the first round, shape (..., m).
        reward: reward of each arm, broadcastable to p.
        n: draws per choice, ≥ 1.
        rounds: how often the policy is replaced, ≥ 0.

    Returns:
        the policy before and after every round, shape (rounds + 1, ..., m); row 0 is p.

    Raises:
        ValueError: p is not a distribution, n < 1, or rounds < 0.

    Source: PRF-01 (the cap) and PRF-02 (the compounding).

    >>> compounded_best_of_n(np.array([0.5, 0.5]), np.array([0.0, 1.0]), 2, rounds=2)  # ½, ½², ½⁴ on the worse one
    array([[0.5   , 0.5   ], [0.25  , 0.75  ], [0.0625, 0.9375]])
    """
    if rounds < 0:
        raise ValueError(f"rounds must be 0 or more, got {rounds}")
    policies = [p]
    for _ in range(rounds):
        law = best_of_n(policies[-1], reward, n)
        policies.append(law / law.sum(-1, keepdims=True))  # keeps rounding from piling up over rounds
    return np.stack(policies)


def gradient_alignment(p: Probs, winner: int, loser: int) -> PerRow:
    """Do raising the winner and raising the loser pull the same way? ⟨∇log p_w, ∇log p_l⟩ = ‖p‖² − p_w − p_l.

    Gradients are taken on the logits of one softmax. Zero or less means that pushing the loser *down* also lifts the
    winner (to first order), the condition of the paper's Lemma 6.2(b): p_w + p_l ≥ ‖p‖². It fails when both are rare.

    Args:
        p: probabilities, shape (..., m).
        winner: index of the preferred answer.
        loser: index of the other one.

    Returns:
        shape (...).

    Raises:
        ValueError: p is not a distribution, or winner and loser are not two different answers of it.

    Source: PRF-08.

    >>> float(gradient_alignment(np.array([0.5, 0.25, 0.25]), 1, 2))  # 0.375 − 0.5
    -0.125
    """
    _check_pair(p, winner, loser)
    return (p**2).sum(-1) - p[..., winner] - p[..., loser]


def pair_rates(p: Probs, winner: int, loser: int) -> Probs:
    """Speed of every log-probability when the logits move along e_w − e_l, the gradient of any DPO or IPO pair.

    d log p_i/dη = 1[i = w] − 1[i = l] − (p_w − p_l). The winner always rises (1 − p_w + p_l), the loser always falls
    (−(1 − p_l + p_w)), and all other answers move together: up if the loser was the more likely of the two.

    Args:
        p: probabilities, shape (..., m).
        winner: index of the preferred answer.
        loser: index of the other one.

    Returns:
        shape (..., m), nats per unit of step.

    Raises:
        ValueError: as `gradient_alignment`.

    Source: PRF-10.

    >>> pair_rates(np.array([0.25, 0.5, 0.25]), 0, 1)  # the third answer takes part of what the loser gives up
    array([ 1.25, -0.75,  0.25])
    """
    _check_pair(p, winner, loser)
    rates = np.repeat((p[..., loser] - p[..., winner])[..., None], p.shape[-1], axis=-1)
    rates[..., winner] += 1
    rates[..., loser] -= 1
    return rates


def pair_step(p: Probs, winner: int, loser: int, *, step: float) -> Probs:
    """The policy after a step of any size along e_w − e_l: p_i · exp(step·(1[i = w] − 1[i = l])) / Z.

    Z = 1 + p_w(e^step − 1) − p_l(1 − e^−step). Every third answer is multiplied by 1/Z, so they gain together if and
    only if p_l > p_w·e^step: the small-step rule p_l > p_w, made stricter by the size of the step.

    Args:
        p: probabilities, shape (..., m).
        winner: index of the preferred answer.
        loser: index of the other one.
        step: how far each of the two logits moves, up for the winner and down for the loser, nats.

    Returns:
        probabilities, shape (..., m).

    Raises:
        ValueError: as `gradient_alignment`.

    Source: PRF-10; the finite-step form is ours.

    >>> pair_step(np.array([0.25, 0.25, 0.5]), 0, 1, step=float(np.log(2))) * 9  # ½, ⅛ and ½, out of 9/8
    array([4., 1., 4.])
    """
    _check_pair(p, winner, loser)
    one_hot = np.eye(p.shape[-1])
    return logit_step(p, one_hot[winner] - one_hot[loser], step=step)


def logit_step(p: Probs, direction: Float[np.ndarray, "*#batch m"], *, step: float) -> Probs:
    """The policy after its logits moved by step·direction: p_i · exp(step·d_i) / Z.

    Pushing one answer down alone is the direction p − e_l, the gradient of −log p_l: of the others, the
    likeliest gain most.

    Args:
        p: probabilities, shape (..., m).
        direction: change of each logit per unit of step, broadcastable to p.
        step: how far to go.

    Returns:
        probabilities, shape (..., m); answers at 0 stay there.

    Raises:
        ValueError: p is not a distribution.

    Source: PRF-08 and PRF-10.

    >>> logit_step(np.array([0.5, 0.5]), np.array([1.0, 0.0]), step=float(np.log(3)))
    array([0.75, 0.25])
    """
    _check(p, "p")
    moves = step * direction
    weights = p * np.exp(moves - moves.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def _check_pair(p: np.ndarray, winner: int, loser: int) -> None:
    """Refuse what is not a pair of different answers."""
    _check(p, "p")
    m = p.shape[-1]
    if winner == loser or not (0 <= winner < m and 0 <= loser < m):
        raise ValueError(f"winner and loser must be two different indices in 0 … {m - 1}, got {winner} and {loser}")
