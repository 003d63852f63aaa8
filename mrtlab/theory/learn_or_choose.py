"""Learn or choose: closed forms of best-of-N with a one-bit reward, and one paired trial of all the ways to adapt.

The world is that of `bitstrings`: our own formal model, not that of any paper.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, UInt8

from mrtlab.theory.bitstrings import accepts, choose, draw_base, fit_erm, fit_reward, rollout

Share = Float[np.ndarray, "*rows"] | Float[np.floating, ""] | float
Number = Int[np.ndarray, "*rows"] | Int[np.integer, ""] | int
PerRepetition = Float[np.ndarray, " r"]


def any_correct(coverage: Share, candidates: Number) -> Share:
    """Best-of-N with a perfect verifier: probability that one of N candidates is right, 1 − (1 − α)ᴺ.

    With α = cᵀ (each of T bits right with probability c on its own) this is 1 − (1 − cᵀ)ᴺ.

    Args:
        coverage: α, probability that one candidate is right, in [0, 1].
        candidates: N ≥ 0; broadcasts with coverage.

    Returns:
        a probability, exact also when α is tiny.

    Raises:
        ValueError: α is outside [0, 1] or N is negative.

    Source: our own algebra, for claims BON-03 and BON-07.

    >>> float(any_correct(0.5, 2))
    0.75
    """
    alpha, n = _probability("coverage", coverage), np.asarray(candidates, float)
    if np.any(n < 0):
        raise ValueError(f"candidates must be 0 or more, got {candidates}")
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = np.where(n == 0, 0.0, n * np.log1p(-alpha))
    return -np.expm1(missed) + 0.0


def candidates_needed(coverage: Share, *, confidence: float = 0.95) -> Share:
    """Candidates for a perfect verifier to find a right one, N = ln(1 − confidence) / ln(1 − α), a real number.

    Round up to get whole candidates.

    Args:
        coverage: α in (0, 1).
        confidence: wanted probability of success, in (0, 1).

    Returns:
        N, shape of coverage.

    Raises:
        ValueError: α or the confidence is not strictly between 0 and 1.

    Source: claim BON-03 (derived).

    >>> np.ceil(candidates_needed(np.array([0.5, 0.1, 0.01])))
    array([  5.,  29., 299.])
    """
    alpha = np.asarray(coverage, float)
    if not (np.all((alpha > 0) & (alpha < 1)) and 0 < confidence < 1):
        raise ValueError(f"coverage and confidence must lie in (0, 1), got {coverage} and {confidence}")
    return np.log1p(-confidence) / np.log1p(-alpha)


def collapse_length(accuracy: Share, candidates: Number) -> Share:
    """Reply length at which best-of-N gives way when α = cᵀ: T = ln N / ln(1/c), where Nα = 1.

    There the success 1 − (1 − 1/N)ᴺ is near 1 − 1/e = .63; it is near 1 for shorter and near Nα for longer replies.

    Args:
        accuracy: c, probability that one bit is right, in (0, 1).
        candidates: N ≥ 1; broadcasts with accuracy.

    Returns:
        T in bits, a real number.

    Raises:
        ValueError: c is not strictly between 0 and 1, or N < 1.

    Source: claim BON-07 (derived).

    >>> float(collapse_length(0.5, 16))  # (1/2)⁴ = 1/16
    4.0
    """
    c, n = np.asarray(accuracy, float), np.asarray(candidates, float)
    if not (np.all((c > 0) & (c < 1)) and np.all(n >= 1)):
        raise ValueError(f"need accuracy in (0, 1) and at least 1 candidate, got {accuracy} and {candidates}")
    return np.log(n) / -np.log(c)


def noisy_verifier(coverage: Share, false_accept: Share, candidates: Number) -> Share:
    """Best-of-N when the verifier accepts a wrong candidate with probability f, and a right one always.

    A random accepted candidate is answered (any one if none is accepted, and then all are wrong):
    Pr[right] = α / (α + (1 − α)f) · (1 − ((1 − α)(1 − f))ᴺ). It rises with N to `noisy_verifier_limit`.

    Args:
        coverage: α in [0, 1].
        false_accept: f in [0, 1], independent between candidates.
        candidates: N ≥ 1; all three broadcast.

    Returns:
        a probability; f = 0 gives `any_correct`, f = 1 gives α.

    Raises:
        ValueError: a probability is outside [0, 1], or N < 1.

    Source: our own algebra, for claim BON-05.

    >>> float(noisy_verifier(0.5, 0.5, 2))  # (.5 / .75)·(1 − 1/16)
    0.625
    """
    alpha, f = _probability("coverage", coverage), _probability("false_accept", false_accept)
    if np.any(np.asarray(candidates) < 1):
        raise ValueError(f"candidates must be 1 or more, got {candidates}")
    return noisy_verifier_limit(alpha, f) * any_correct(np.minimum(alpha + (1 - alpha) * f, 1.0), candidates)


def noisy_verifier_limit(coverage: Share, false_accept: Share) -> Share:
    """Where best-of-N with false accepts ends as N grows: α / (α + (1 − α)f), the share of right among accepted.

    Args:
        coverage: α in [0, 1].
        false_accept: f in [0, 1]; broadcasts with coverage.

    Returns:
        a probability; 0 where α = 0.

    Raises:
        ValueError: a probability is outside [0, 1].

    Source: claim BON-05 (derived).

    >>> np.round(noisy_verifier_limit(np.array([0.1, 0.1, 0.01, 0.01]), np.array([0.01, 0.1, 0.01, 0.1])), 3)
    array([0.917, 0.526, 0.503, 0.092])
    """
    alpha, f = _probability("coverage", coverage), _probability("false_accept", false_accept)
    accepted = alpha + (1 - alpha) * f
    return np.where(alpha > 0, alpha / np.where(alpha > 0, accepted, 1.0), 0.0)


@dataclass(frozen=True, kw_only=True)
class BitTask:
    """One comparison of learning and choosing on bit strings.

    Attributes:
        width: d, window of the true rule, in bits.
        length: T, bits in a reply.
        prompt_bits: length of a prompt, at least `width`.
        model_width: window of the next-bit class; less than `width` misspecifies it. None: `width`.
        reward_width: window of the reward class; likewise.
        coverage: α, probability that a reply of the base is right; give this or accuracy.
        accuracy: c, probability that a bit of the base is right, so that α = cᵀ.
        token_noise: probability that the writer of the SFT strings slips at a bit, and goes on from there.
        label_noise: probability that a one-bit label for the reward learner is turned over.
        false_accept: probability that a candidate that the reward rejects is accepted all the same.
    """

    width: int = 8
    length: int = 16
    prompt_bits: int = 8
    model_width: int | None = None
    reward_width: int | None = None
    coverage: float | None = None
    accuracy: float | None = None
    token_noise: float = 0.0
    label_noise: float = 0.0
    false_accept: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no trial can run."""
        if (self.coverage is None) == (self.accuracy is None):
            raise ValueError("give exactly one of coverage (fixed α) and accuracy (α = c^T)")
        for name in ("coverage", "accuracy", "token_noise", "label_noise", "false_accept"):
            if getattr(self, name) is not None:
                _probability(name, getattr(self, name))
        widest = max(self.width, self.model_width or 0, self.reward_width or 0)
        if self.prompt_bits < widest:
            raise ValueError(f"prompts of {self.prompt_bits} bits cannot fill a window of {widest}")

    @property
    def alpha(self) -> float:
        """Probability that one reply of the base is right: the fixed coverage, or cᵀ."""
        return self.coverage if self.accuracy is None else self.accuracy**self.length


@dataclass(frozen=True)
class BitOutcome:
    """Share of fresh prompts answered right in all T bits, one entry per repetition, same truth in every arm.

    Attributes:
        sft: learn from n correct strings.
        filtered: learn from those of the n labelled base strings that are labelled correct.
        best_of_n: choose among N base replies with a reward learned from the n labelled base strings.
        distilled: learn from the best-of-N choices on n fresh prompts: the third arm.
        oracle: choose with the true reward; what best-of-N could reach.
    """

    sft: PerRepetition
    filtered: PerRepetition
    best_of_n: PerRepetition
    distilled: PerRepetition
    oracle: PerRepetition


def run_bit_trial(
    task: BitTask, n: int, *, candidates: int, repetitions: int, n_test: int = 100, rng: np.random.Generator
) -> BitOutcome:
    """Adapt the base in every way to the same random truths, and test each way on the same fresh prompts.

    What n counts: SFT gets n correct strings, best-of-N gets n labelled base strings of which about α·n are
    correct. `filtered` learns from the very strings that best-of-N's reward learns from, so these two compare
    equal information. Learners are `fit_erm` and `fit_reward`.

    Args:
        task: the world, the classes, the base and the noise.
        n: training strings, ≥ 1.
        candidates: N, candidates per query, ≥ 1.
        repetitions: R independent truths and training sets, ≥ 1.
        n_test: fresh prompts per repetition, ≥ 1.
        rng: source of everything random.

    Returns:
        exact-match shares, (R,) for each arm.

    Raises:
        ValueError: a count is below 1, or a window is too wide to list all rules.

    Source: our own, for claims BON-01, BON-02, BON-04 and BON-06.

    >>> task = BitTask(width=3, length=4, prompt_bits=3, coverage=0.5)
    >>> outcome = run_bit_trial(task, 40, candidates=20, repetitions=5, rng=np.random.default_rng(0))
    >>> outcome.sft
    array([1., 1., 1., 1., 1.])
    """
    if min(n, candidates, repetitions, n_test) < 1:
        raise ValueError(
            f"n, candidates, repetitions and n_test must be 1 or more: {n}, {candidates}, {repetitions}, {n_test}"
        )
    model_width, reward_width = task.model_width or task.width, task.reward_width or task.width
    rule = _bits(rng, repetitions, task.width)

    def learn(prompts: np.ndarray, replies: np.ndarray) -> np.ndarray:
        return fit_erm(prompts, replies, model_width, rng=rng)

    clean_prompts = _bits(rng, repetitions, n, task.prompt_bits)
    slips = (rng.random((repetitions, n, task.length)) < task.token_noise).astype(np.uint8)
    sft = learn(clean_prompts, rollout(rule, clean_prompts, task.length, slips=slips))

    prompts = _bits(rng, repetitions, n, task.prompt_bits)
    replies = _draw(task, rule, prompts, rng)
    labels = accepts(rule, prompts, replies) ^ (rng.random((repetitions, n)) < task.label_noise)
    reward = fit_reward(prompts, replies, labels, reward_width, rng=rng)
    # an all-zero prompt with an all-zero reply agrees with every parity: it drops a string from the count of errors
    kept = labels[:, :, None].astype(np.uint8)
    filtered = learn(prompts * kept, replies * kept)

    fresh = _bits(rng, repetitions, n, task.prompt_bits)
    distilled = learn(fresh, _best_of_n(task, rule, reward, fresh, candidates, rng))

    test = _bits(rng, repetitions, n_test, task.prompt_bits)
    right = rollout(rule, test, task.length)

    def share(answers: np.ndarray) -> np.ndarray:
        return np.all(answers == right, axis=2).mean(1)

    perfect = replace(task, false_accept=0.0)
    return BitOutcome(
        sft=share(rollout(sft, test, task.length)),
        filtered=share(rollout(filtered, test, task.length)),
        best_of_n=share(_best_of_n(task, rule, reward, test, candidates, rng)),
        distilled=share(rollout(distilled, test, task.length)),
        oracle=share(_best_of_n(perfect, rule, rule, test, candidates, rng)),
    )


def _best_of_n(
    task: BitTask,
    rule: UInt8[np.ndarray, "r d"],
    reward: UInt8[np.ndarray, "r e"],
    prompts: UInt8[np.ndarray, "r n p"],
    candidates: int,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "r n t"]:
    """Answer each prompt with the chosen one of N base replies."""
    repeated = np.repeat(prompts, candidates, axis=1)
    replies = _draw(task, rule, repeated, rng)
    accepted = accepts(reward, repeated, replies)
    accepted |= rng.random(accepted.shape) < task.false_accept
    shape = (*prompts.shape[:2], candidates)
    chosen = choose(accepted.reshape(shape), rng=rng)
    return np.take_along_axis(replies.reshape(*shape, task.length), chosen[:, :, None, None], axis=2)[:, :, 0]


def _draw(
    task: BitTask, rule: UInt8[np.ndarray, "r d"], prompts: UInt8[np.ndarray, "r n p"], rng: np.random.Generator
) -> UInt8[np.ndarray, "r n t"]:
    """Replies of the task's base."""
    return draw_base(rule, prompts, task.length, coverage=task.coverage, accuracy=task.accuracy, rng=rng)


def _bits(rng: np.random.Generator, *shape: int) -> UInt8[np.ndarray, "..."]:
    """Fair coins."""
    return rng.integers(2, size=shape, dtype=np.uint8)


def _probability(name: str, value: Share) -> np.ndarray:
    """Refuse what is not a probability, in one sentence."""
    array = np.asarray(value, float)
    if not np.all((array >= 0) & (array <= 1)):
        raise ValueError(f"{name} must lie in [0, 1], got {value}")
    return array
