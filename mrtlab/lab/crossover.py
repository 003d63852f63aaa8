"""Crossover: when learning new bits beats choosing among old strings, over training strings n and reply length T.

The world is our own formal model (`mrtlab.theory.bitstrings`), not that of any paper. Every world of `WORLDS` is one
setting of it. Two more cells check single laws: `laws` draws candidates and compares them with closed forms,
`by_position` gives the reward learner a larger class.

What n counts: learning gets n correct strings, choosing gets n labelled strings of the base, of which about α·n are
correct. The arm `filtered` learns from those correct ones alone, so it and `best_of_n` see the same strings.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from mrtlab.theory.bitstrings import accepts, choose, draw_base, fit_erm, fit_reward_by_position, rollout, windows
from mrtlab.theory.gf2 import parity
from mrtlab.theory.learn_or_choose import BitTask, candidates_needed, run_bit_trial

WIDTH = 8  # d of the true rule, in bits; prompts are as long
CANDIDATES = 16  # N per query
COVERAGE, ACCURACY = 0.25, 0.9
WORLDS: dict[str, dict[str, Any]] = {
    "realizable": {"coverage": COVERAGE},
    "small_model": {"coverage": COVERAGE, "model_width": WIDTH - 1},
    "small_reward": {"coverage": COVERAGE, "reward_width": WIDTH - 1},
    "label_noise": {"coverage": COVERAGE, "label_noise": 0.1},
    "token_noise": {"coverage": COVERAGE, "token_noise": 0.05},
    "falling": {"accuracy": ACCURACY},
}
ARMS = ("sft", "filtered", "best_of_n", "distilled", "oracle")
BY_POSITION, LAWS = "by_position", "laws"

SEARCH_COVERAGES = (0.5, 0.1, 0.01)
NOISY_COVERAGE, FALSE_ACCEPT = 0.1, 0.1
NOISY_CANDIDATES = (1, 2, 4, 8, 16, 32, 64, 256)
COLLAPSE_LENGTHS = (6, 13, 26, 53)  # a quarter, a half, once and twice ln N / ln(1/c) = 26.3
SLIP = 0.01  # e of the slipping writer
COMPOUND_LENGTHS = (4, 16, 64)
_LAW_LENGTH = 4  # fixed coverage does not depend on T, so short replies will do
_PLENTY = 128  # strings for a learner that is to make no mistake for want of data
_STREAM = 51

Rules = UInt8[np.ndarray, "r d"]


@dataclass(frozen=True, kw_only=True)
class BitCell:
    """One seed of one world: this many truths, each tried at every n and T."""

    world: str
    lengths: tuple[int, ...]
    ns: tuple[int, ...]
    truths: int
    n_test: int
    seed: int

    @property
    def label(self) -> str:
        """Such as "small-model-seed3"."""
        return f"{self.world.replace('_', '-')}-seed{self.seed}"


def cells(scale: str) -> Sequence[BitCell]:
    """One cell per world and seed."""
    lengths, ns, truths, seeds, n_test = {
        "smoke": ((4, 64), (1, 4, 64), 3, 2, 10),
        "book": ((1, 4, 16, 64), (1, 2, 4, 8, 16, 32, 64, 128), 20, 10, 40),
        "full": ((1, 4, 16, 64, 256), (1, 2, 4, 8, 16, 32, 64, 128, 256), 50, 20, 100),
    }[scale]
    return [
        BitCell(world=world, lengths=lengths, ns=ns, truths=truths, n_test=n_test, seed=seed)
        for world in (*WORLDS, BY_POSITION, LAWS)
        for seed in range(seeds)
    ]


def run_cell(cell: BitCell) -> dict[str, Any]:
    """Try every arm at every n and T, or check the laws.

    Returns:
        {"t16": {"n8": {arm: [share of fresh prompts answered right, one per truth]}}}; for the world `laws` see there.
    """
    if cell.world == LAWS:
        return laws(cell)
    place = (*WORLDS, BY_POSITION).index(cell.world)
    grid: dict[str, Any] = {}
    for length in cell.lengths:
        row = grid[f"t{length}"] = {}
        for n in cell.ns:
            rng = np.random.default_rng([_STREAM, cell.seed, place, length, n])
            if cell.world == BY_POSITION:
                row[f"n{n}"] = {"best_of_n": by_position(cell, length, n, rng=rng).tolist()}
            else:
                task = BitTask(width=WIDTH, prompt_bits=WIDTH, length=length, **WORLDS[cell.world])
                outcome = run_bit_trial(
                    task, n, candidates=CANDIDATES, repetitions=cell.truths, n_test=cell.n_test, rng=rng
                )
                row[f"n{n}"] = {arm: shares.tolist() for arm, shares in asdict(outcome).items()}
    return grid


def by_position(cell: BitCell, length: int, n: int, *, rng: np.random.Generator) -> np.ndarray:
    """Best-of-N with a reward that has a separate rule for every position, T·d unknowns instead of d.

    Returns:
        share of fresh prompts answered right, one per truth.
    """
    rule, prompts = _bits(rng, cell.truths, WIDTH), _bits(rng, cell.truths, n, WIDTH)
    replies = draw_base(rule, prompts, length, coverage=COVERAGE, rng=rng)
    reward = fit_reward_by_position(prompts, replies, accepts(rule, prompts, replies), WIDTH, rng=rng)
    asked = np.repeat(_bits(rng, cell.truths, cell.n_test, WIDTH), CANDIDATES, axis=1)
    candidates = draw_base(rule, asked, length, coverage=COVERAGE, rng=rng)
    right, accepted = accepts(rule, asked, candidates), accepts(reward, asked, candidates)
    return _chosen(right, accepted, CANDIDATES, rng).mean(1)


def laws(cell: BitCell) -> dict[str, Any]:
    """Counts to set beside closed forms.

    Returns:
        prompts: how many were asked each time;
        search: per α, prompts for which a perfect verifier finds a right candidate among the N that 95 % needs;
        noisy: per N, prompts answered right when a wrong candidate is accepted with probability f;
        collapse: per T, prompts with a right one among N candidates when α = cᵀ;
        slips: per T, strings right when a writer slips at each bit with probability e, and the wrong bits among
            those after a first slip;
        small_window: per T, the bits that a rule with too small a window gets wrong given the right ones before
            it, of how many, and the strings that it writes right; truths use the bit it cannot see.
    """
    rng = np.random.default_rng([_STREAM, cell.seed])
    rule, prompts = _bits(rng, cell.truths, WIDTH), _bits(rng, cell.truths, cell.n_test, WIDTH)

    def is_right(candidates: int, length: int, **base: float) -> Bool[np.ndarray, "r m"]:
        asked = np.repeat(prompts, candidates, axis=1)
        return accepts(rule, asked, draw_base(rule, asked, length, rng=rng, **base))

    def found(candidates: int, length: int, **base: float) -> int:
        right = is_right(candidates, length, **base)
        return int(_chosen(right, right, candidates, rng).sum())

    noisy = []
    for n in NOISY_CANDIDATES:
        right = is_right(n, _LAW_LENGTH, coverage=NOISY_COVERAGE)
        noisy.append(int(_chosen(right, right | (rng.random(right.shape) < FALSE_ACCEPT), n, rng).sum()))
    return {
        "prompts": cell.truths * cell.n_test,
        "search": [found(int(np.ceil(candidates_needed(a))), _LAW_LENGTH, coverage=a) for a in SEARCH_COVERAGES],
        "noisy": noisy,
        "collapse": [found(CANDIDATES, length, accuracy=ACCURACY) for length in COLLAPSE_LENGTHS],
        "slips": [_slipping_writer(rule, prompts, length, rng) for length in COMPOUND_LENGTHS],
        "small_window": [_small_window(rule, prompts, length, rng) for length in COMPOUND_LENGTHS],
    }


def _slipping_writer(rule: Rules, prompts: np.ndarray, length: int, rng: np.random.Generator) -> dict[str, int]:
    """A writer that slips with probability e at each bit: right strings, and what becomes of a slip."""
    wrong = draw_base(rule, prompts, length, accuracy=1 - SLIP, rng=rng) != rollout(rule, prompts, length)
    after = (np.cumsum(wrong, axis=2) - wrong) > 0  # bits behind the first wrong one
    return {
        "right": int((~wrong.any(2)).sum()),
        "bits_after": int(after.sum()),
        "wrong_after": int((wrong & after).sum()),
    }


def _small_window(rule: Rules, prompts: np.ndarray, length: int, rng: np.random.Generator) -> dict[str, int]:
    """A learner whose window is one bit too short, with plenty of data: teacher-forced errors and whole strings."""
    truth = rule.copy()
    truth[:, 0] = 1  # the truth uses its oldest bit, which the learner cannot see
    shown = _bits(rng, len(rule), _PLENTY, WIDTH)
    learned = fit_erm(shown, rollout(truth, shown, length), WIDTH - 1, rng=rng)
    right = rollout(truth, prompts, length)
    forced = parity(windows(prompts, right, WIDTH - 1), learned[:, None, None, :])
    return {
        "bits": int(right.size),
        "wrong_bits": int((forced != right).sum()),
        "right": int(np.all(rollout(learned, prompts, length) == right, axis=2).sum()),
    }


def _chosen(
    right: Bool[np.ndarray, "r m"], accepted: Bool[np.ndarray, "r m"], candidates: int, rng: np.random.Generator
) -> Bool[np.ndarray, "r n"]:
    """Is the chosen one of each N candidates right? Candidates of a prompt stand side by side."""
    shape = (len(right), -1, candidates)
    pick = choose(accepted.reshape(shape), rng=rng)
    return np.take_along_axis(right.reshape(shape), pick[..., None], axis=2)[..., 0]


def _bits(rng: np.random.Generator, *shape: int) -> UInt8[np.ndarray, "..."]:
    """Fair coins."""
    return rng.integers(2, size=shape, dtype=np.uint8)
