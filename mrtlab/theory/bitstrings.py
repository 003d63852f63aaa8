"""Learn or choose: our own small world of bit strings, for supervised fine-tuning (SFT) against best-of-N (BoN).

This is our formal model, not that of the paper on Best-of-N and SFT for bit strings (Somerstep et al., AISTATS
2026), whose body we have not read. It shares with the paper's abstract what is compared: SFT learns a new next-bit
rule from correct strings; BoN learns a reward and picks among strings of an unaltered base.

A *rule* is a sliding-window parity: the next bit is the parity of some of the last d bits. Rule w reads the window
(oldest bit first) and answers Σ w_i·bit_i mod 2. From a random prompt x of at least d bits it writes T bits one by
one; that string is the only right answer, and a reply is right when all T bits are. VC dimension of the class: d.

Arrays are uint8 zeros and ones with a leading axis of repetitions: rules (R, d), prompts (R, n, p), replies (R, n, T).
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from mrtlab.theory.gf2 import SolutionSet, parity, solve

Rules = UInt8[np.ndarray, "r d"]
PositionRules = UInt8[np.ndarray, "r t d"]
Prompts = UInt8[np.ndarray, "r n p"]
Replies = UInt8[np.ndarray, "r n t"]

MAX_ENUMERATED_WIDTH = 12  # `fit_erm` and `fit_reward` list all 2^width rules; beyond this the tables get large


def rollout(rule: Rules, prompts: Prompts, length: int, *, slips: Replies | None = None) -> Replies:
    """Let a rule write: y_t = parity of the rule's bits among the last d bits of (x, y_<t), then go on from there.

    Args:
        rule: one rule per repetition, (R, d).
        prompts: what comes before, (R, n, p) with p ≥ d.
        length: T, bits to write, ≥ 1.
        slips: where a 1 turns the written bit over, (R, n, T); later bits are computed from the turned one.

    Returns:
        the written bits, (R, n, T).

    Raises:
        ValueError: a prompt is shorter than the window, or length < 1.

    >>> fibonacci_mod_2 = np.array([[1, 1]], np.uint8)  # each bit is the sum of the two before it
    >>> rollout(fibonacci_mod_2, np.array([[[0, 1]]], np.uint8), 6)
    array([[[1, 0, 1, 1, 0, 1]]], dtype=uint8)
    """
    width, start = rule.shape[1], prompts.shape[2]
    _check_sizes(start, width, length)
    text = np.concatenate([prompts, np.zeros((*prompts.shape[:2], length), np.uint8)], axis=2)
    for t in range(start, start + length):
        text[:, :, t] = parity(text[:, :, t - width : t], rule[:, None, :])
        if slips is not None:
            text[:, :, t] ^= slips[:, :, t - start]
    return text[:, :, start:]


def windows(prompts: Prompts, replies: Replies, width: int) -> UInt8[np.ndarray, "r n t d"]:
    """The last `width` bits before each written bit, oldest first: what a next-bit rule gets to see.

    Args:
        prompts: (R, n, p) with p ≥ width.
        replies: (R, n, T).
        width: bits per window.

    Returns:
        (R, n, T, width).

    Raises:
        ValueError: a prompt is shorter than the window.

    >>> windows(np.array([[[0, 1]]], np.uint8), np.array([[[1, 0]]], np.uint8), 2)[0, 0]
    array([[0, 1], [1, 1]], dtype=uint8)
    """
    start, length = prompts.shape[2], replies.shape[2]
    _check_sizes(start, width, length)
    text = np.concatenate([prompts, replies], axis=2)[:, :, start - width : start + length - 1]
    return np.lib.stride_tricks.sliding_window_view(text, width, axis=2)


def slip_response(rule: UInt8[np.ndarray, " d"], length: int) -> UInt8[np.ndarray, " t"]:
    """Which bits differ from the right string after one slip at step 0: does the error heal or cascade?

    The rule is linear, so the difference of two strings follows the same rule from a window 0…01, whatever the
    prompt. It heals at once for the rule w = 0 and never for good for any other rule.

    Args:
        rule: (d,).
        length: T, steps to follow, the slip included.

    Returns:
        (T,), 1 where the bit is wrong; the first entry is the slip itself.

    Source: our own, for claim BON-04.

    >>> slip_response(np.array([1, 1], np.uint8), 6)
    array([1, 1, 0, 1, 1, 0], dtype=uint8)
    """
    slips = np.zeros((1, 1, length), np.uint8)
    slips[..., 0] = 1
    return rollout(rule[None], np.zeros((1, 1, len(rule)), np.uint8), length, slips=slips)[0, 0]


def draw_base(
    rule: Rules,
    prompts: Prompts,
    length: int,
    *,
    coverage: float | None = None,
    accuracy: float | None = None,
    rng: np.random.Generator,
) -> Replies:
    """Replies of an imperfect base, with coverage α = Pr[all T bits right] fixed, or falling with T as cᵀ.

    With `coverage` = α a reply is right with probability α; otherwise one bit, at a random place, is turned over
    and the rule goes on from there, so it is wrong for sure. With `accuracy` = c each bit follows the rule, given
    what stands before it, with probability c on its own: α = cᵀ.

    Args:
        rule: the true rule, (R, d).
        prompts: (R, n, p).
        length: T.
        coverage: α in [0, 1]; give this or accuracy.
        accuracy: c in [0, 1].
        rng: source of the draws.

    Returns:
        (R, n, T).

    Raises:
        ValueError: both or neither of coverage and accuracy are given, or one is outside [0, 1].

    >>> rule, prompts = np.array([[1, 1]], np.uint8), np.zeros((1, 4, 2), np.uint8)
    >>> draw_base(rule, prompts, 3, coverage=0.0, rng=np.random.default_rng(0)).any(2)  # right would be 000
    array([[ True,  True,  True,  True]])
    """
    if (coverage is None) == (accuracy is None):
        raise ValueError("give exactly one of coverage (fixed α) and accuracy (α = c^T)")
    shape = (*prompts.shape[:2], length)
    if coverage is not None:
        _check_share("coverage", coverage)
        place = rng.integers(length, size=shape[:2])[..., None] == np.arange(length)
        slips = place & (rng.random(shape[:2]) >= coverage)[..., None]
    else:
        _check_share("accuracy", accuracy)
        slips = rng.random(shape) >= accuracy
    return rollout(rule, prompts, length, slips=slips.astype(np.uint8))


def version_space(prompts: Prompts, replies: Replies, width: int) -> SolutionSet:
    """All rules of this width that would have written every bit of every string: n·T equations in `width` unknowns.

    Args:
        prompts: (R, n, p).
        replies: strings to agree with, (R, n, T).
        width: d of the class; smaller than the truth's window makes the class misspecified.

    Returns:
        the solutions, one set per repetition; not consistent where no rule fits.

    Raises:
        ValueError: a prompt is shorter than the window.

    Source: our own, for claim BON-01.

    >>> seen = version_space(np.array([[[0, 1]]], np.uint8), np.array([[[1]]], np.uint8), 2)  # w₂ = 1, w₁ free
    >>> seen.log2_size
    array([1])
    """
    seen = windows(prompts, replies, width)
    return solve(seen.reshape(len(seen), -1, width), replies.reshape(len(seen), -1))


def fit_consistent(prompts: Prompts, replies: Replies, width: int, *, rng: np.random.Generator) -> Rules:
    """SFT without noise: a rule drawn at random among those that fit every training bit.

    Args:
        prompts: (R, n, p).
        replies: correct strings, (R, n, T).
        width: d of the class.
        rng: source of the draw.

    Returns:
        one rule per repetition, (R, width).

    Raises:
        ValueError: no rule fits (noise, or too small a window): use `fit_erm`.

    >>> fit_consistent(np.array([[[0, 1], [1, 0]]], np.uint8), np.array([[[1], [0]]], np.uint8), 2,
    ...                rng=np.random.default_rng(0))
    array([[0, 1]], dtype=uint8)
    """
    fits = version_space(prompts, replies, width)
    if not np.all(fits.consistent):
        raise ValueError(f"no rule of width {width} fits every training bit: use fit_erm for noise or a small window")
    return fits.sample(rng=rng)


def fit_erm(prompts: Prompts, replies: Replies, width: int, *, rng: np.random.Generator) -> Rules:
    """SFT with noise or a misspecified class: a rule with the fewest wrong training bits, ties at random.

    All 2^width rules are scored at once: the Walsh–Hadamard transform of the signed counts of windows,
    Σ (−1)^(y + w·window), is the number of bits a rule gets right minus the number it gets wrong.

    Args:
        prompts: (R, n, p).
        replies: training strings, (R, n, T).
        width: d of the class, at most 12.
        rng: breaks ties.

    Returns:
        one rule per repetition, (R, width).

    Raises:
        ValueError: the width is too large to list all rules, or a prompt is shorter than the window.

    >>> noisy = np.array([[[1], [1], [0]]], np.uint8)  # the window 01 says 1 twice and 0 once; 10 is not seen
    >>> int(fit_erm(np.array([[[0, 1]] * 3], np.uint8), noisy, 2, rng=np.random.default_rng(0))[0, 1])
    1
    """
    _check_enumerable(width)
    codes = _encode(windows(prompts, replies, width)).reshape(len(prompts), -1)
    signs = 1.0 - 2.0 * replies.reshape(len(prompts), -1)
    flat = (codes + (np.arange(len(codes)) << width)[:, None]).ravel()
    score = np.bincount(flat, weights=signs.ravel(), minlength=len(codes) << width).reshape(len(codes), -1)
    for bit in range(width):
        pair = score.reshape(len(codes), -1, 2, 1 << bit)
        score = np.stack([pair[:, :, 0] + pair[:, :, 1], pair[:, :, 0] - pair[:, :, 1]], axis=2)
    return _decode(_argmax_random(score.reshape(len(codes), -1), rng), width)


def accepts(rule: Rules | PositionRules, prompts: Prompts, replies: Replies) -> Bool[np.ndarray, "r n"]:
    """One-bit reward of a rule: would it have written every bit of this reply, 1[y = f⁽ᵀ⁾(x)]?

    Args:
        rule: one rule per repetition, (R, d), or one per position of the reply, (R, T, d).
        prompts: (R, n, p).
        replies: (R, n, T).

    Returns:
        (R, n).

    Raises:
        ValueError: a prompt is shorter than the window.

    >>> prompts, replies = np.array([[[0, 1]] * 2], np.uint8), np.array([[[1, 0], [1, 1]]], np.uint8)
    >>> accepts(np.array([[1, 1]], np.uint8), prompts, replies)
    array([[ True, False]])
    """
    weights = rule[:, None, None, :] if rule.ndim == 2 else rule[:, None, :, :]
    seen = windows(prompts, replies, rule.shape[-1])
    fits = np.ones(replies.shape[:2], bool)
    for t in range(replies.shape[2]):  # one position at a time: all windows at once would be d times the text
        fits &= parity(seen[:, :, t], weights[:, :, min(t, weights.shape[2] - 1)]) == replies[:, :, t]
    return fits


def fit_reward(
    prompts: Prompts, replies: Replies, correct: Bool[np.ndarray, "r n"], width: int, *, rng: np.random.Generator
) -> Rules:
    """Reward learner on the roll-out class {1[y = f⁽ᵀ⁾(x)]}: a rule with the fewest wrong labels, ties at random.

    It sees one bit per string. A rejected string says only that some bit is wrong, not which. One that is labelled
    correct says all T bits, so longer replies need no more labels as long as coverage stays where it is.

    Args:
        prompts: (R, n, p).
        replies: strings of the base, (R, n, T).
        correct: their labels, possibly noisy, (R, n).
        width: d of the class, at most 12.
        rng: breaks ties.

    Returns:
        one rule per repetition, (R, width), to be used with `accepts`.

    Raises:
        ValueError: the width is too large to list all rules, or a prompt is shorter than the window.

    Source: our own, for claim BON-02.

    >>> prompts, replies = np.array([[[0, 1], [1, 0]]], np.uint8), np.array([[[1], [1]]], np.uint8)
    >>> fit_reward(prompts, replies, np.array([[True, False]]), 2, rng=np.random.default_rng(0))
    array([[0, 1]], dtype=uint8)
    """
    _check_enumerable(width)
    codes = _encode(windows(prompts, replies, width))
    every = _decode(np.arange(1 << width), width)
    says = parity(every[:, None, :], every)  # (rule, window) -> bit
    mistakes = np.empty((len(prompts), 1 << width))
    for r, (seen, bits) in enumerate(zip(codes, replies, strict=True)):
        accepted = np.ones((1 << width, len(seen)), bool)
        for t in range(replies.shape[2]):
            accepted &= says[:, seen[:, t]] == bits[:, t]
        mistakes[r] = np.sum(accepted != correct[r], axis=1)
    return _decode(_argmax_random(-mistakes, rng), width)


def fit_reward_by_position(
    prompts: Prompts, replies: Replies, correct: Bool[np.ndarray, "r n"], width: int, *, rng: np.random.Generator
) -> PositionRules:
    """Reward learner on a larger class, T·d instead of d unknowns: a separate rule for every position.

    Fits the strings labelled correct, at each position on its own; rejected strings are not used. Expects labels
    without noise.

    Args:
        prompts: (R, n, p).
        replies: strings of the base, (R, n, T).
        correct: their labels, (R, n).
        width: d.
        rng: source of the draw among rules that fit.

    Returns:
        one rule per repetition and position, (R, T, width), to be used with `accepts`.

    Raises:
        ValueError: no rules fit the strings labelled correct, or a prompt is shorter than the window.

    >>> prompts, replies = np.array([[[0, 1], [1, 0]]], np.uint8), np.array([[[1], [0]]], np.uint8)
    >>> fit_reward_by_position(prompts, replies, np.array([[True, True]]), 2, rng=np.random.default_rng(0))
    array([[[0, 1]]], dtype=uint8)
    """
    kept = correct[:, :, None]
    seen = np.swapaxes(windows(prompts, replies, width) * kept[..., None], 1, 2)  # a row of zeros says nothing
    return solve(seen, np.swapaxes(replies * kept, 1, 2)).sample(rng=rng)


def choose(accepted: Bool[np.ndarray, "*batch n"], *, rng: np.random.Generator) -> Int[np.ndarray, "*batch"]:
    """Best-of-N with a one-bit reward: a random one of the accepted candidates, of all if none is accepted.

    Args:
        accepted: reward of each of N candidates, (..., N).
        rng: source of the draw.

    Returns:
        index of the chosen candidate, (...).

    >>> choose(np.array([[False, True, False]]), rng=np.random.default_rng(0))
    array([1])
    """
    return np.asarray(np.argmax(accepted + rng.random(accepted.shape), axis=-1))


def _argmax_random(score: Float[np.ndarray, "r m"], rng: np.random.Generator) -> Int[np.ndarray, " r"]:
    """Index of the largest score of each row, ties broken at random."""
    return np.argmax((score == score.max(1, keepdims=True)) * (1 + rng.random(score.shape)), axis=1)


def _encode(bits: UInt8[np.ndarray, "*batch d"]) -> Int[np.ndarray, "*batch"]:
    """Bits as an integer, the last bit in the lowest place."""
    return bits @ (1 << np.arange(bits.shape[-1])[::-1])


def _decode(codes: Int[np.ndarray, "*batch"], width: int) -> UInt8[np.ndarray, "*batch d"]:
    """Integers as bits, the inverse of `_encode`."""
    return ((codes[..., None] >> np.arange(width)[::-1]) & 1).astype(np.uint8)


def _check_sizes(prompt: int, width: int, length: int) -> None:
    """Refuse a window that the prompt cannot fill and an empty reply."""
    if prompt < width or width < 1:
        raise ValueError(f"prompts of {prompt} bits cannot fill a window of {width}: need 1 ≤ width ≤ prompt length")
    if length < 1:
        raise ValueError(f"a reply needs at least one bit, got length={length}")


def _check_share(name: Literal["coverage", "accuracy"], value: float | None) -> None:
    """Refuse what is not a probability."""
    if value is None or not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


def _check_enumerable(width: int) -> None:
    """Refuse a class too large to list."""
    if width > MAX_ENUMERATED_WIDTH:
        raise ValueError(f"2^{width} rules are too many to list: expected a width of at most {MAX_ENUMERATED_WIDTH}")
