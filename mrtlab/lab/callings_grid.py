"""Callings, the grid: K = 1 to 16 responses a prompt, at equal epochs, equal updates and equal pairs.

Pairs are shuffled and sixteen of them make an update, as in the authors' runs, so that arms differ in what they are
shown and in nothing else. A run is told by its prompts, its K and its updates; arms that need the same run share it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.lab import subject
from mrtlab.lab.callings_data import exam, prompts, singles
from mrtlab.lab.callings_run import Schedule, learn

PER_UPDATE = 16  # pairs
_FRACTIONS = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)  # of a watched run, when the exam is sat
_FRAMES = 32  # looks at the portraits along a watched run


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The grid of a scale.

    Attributes:
        ks: responses per prompt.
        n: prompts of the arms that keep them fixed.
        pairs: of the arm that keeps them fixed.
        seeds: of every run; `more` of the cheap ones at few updates.
        short: whether the exam is.
    """

    ks: tuple[int, ...]
    n: int
    pairs: int
    seeds: int
    more: int
    short: bool = False

    @property
    def few(self) -> int:
        """Updates that show K = 1 every pair once."""
        return self.n // PER_UPDATE

    @property
    def many(self) -> int:
        """Updates that show the largest K every pair once."""
        return self.few * self.ks[-1]

    def arms(self) -> dict[str, dict[str, tuple[int, int, int]]]:
        """{arm: {"k4": (prompts, K, updates)}}.

        - once: fixed prompts, every pair once, so updates grow with K.
        - few: fixed prompts, as many updates as K = 1 needs for one pass.
        - many: fixed prompts, as many updates as the largest K needs for one pass.
        - pairs: fixed pairs, every pair once: fewer prompts as K grows.
        - fresh: K = 1, as many prompts as `many` has updates for: no pair is seen twice.
        """
        ks, n = self.ks, self.n
        return {
            "once": {f"k{k}": (n, k, self.few * k) for k in ks},
            "few": {f"k{k}": (n, k, self.few) for k in ks},
            "many": {f"k{k}": (n, k, self.many) for k in ks},
            "pairs": {f"k{k}": (self.pairs // k, k, self.pairs // PER_UPDATE) for k in ks},
            "fresh": {"k1": (self.many * PER_UPDATE, 1, self.many)},
        }


PLANS: Mapping[str, Plan] = {
    "smoke": Plan(ks=(1, 2, 4), n=32, pairs=64, seeds=2, more=2, short=True),
    "book": Plan(ks=(1, 2, 4, 8, 16), n=512, pairs=4096, seeds=5, more=10),
    "full": Plan(ks=(1, 2, 4, 8, 16), n=512, pairs=4096, seeds=10, more=20),
}


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """One training run."""

    n_prompts: int
    k: int
    updates: int
    seed: int
    weights: str
    marks: tuple[int, ...]
    frames: int
    short: bool

    @property
    def label(self) -> str:
        """Such as "n512-k4-u128-seed3"."""
        return f"n{self.n_prompts}-k{self.k}-u{self.updates}-seed{self.seed}"

    @property
    def key(self) -> tuple[int, int, int]:
        """What tells a run from another of the same seed."""
        return self.n_prompts, self.k, self.updates


def cells(scale: str) -> Sequence[GridCell]:
    """Every run once, seed by seed, so that an interrupted grid has whole seeds.

    Runs of many updates are watched from near the start, since a model that reads the same pairs again and again is
    best long before the end.
    """
    plan = PLANS[scale]
    arms = plan.arms()
    cheap = set(arms["few"].values())
    runs = sorted({run for arm in arms.values() for run in arm.values()})
    found = []
    for seed in range(plan.more):
        for n, k, updates in runs:
            watched = updates == plan.many
            if seed < plan.seeds or (n, k, updates) in cheap:
                marks = tuple(int(updates * fraction) for fraction in _FRACTIONS) if watched else (updates // 2,)
                found.append(
                    GridCell(
                        n_prompts=n,
                        k=k,
                        updates=updates,
                        seed=seed,
                        weights=subject.fingerprint(),
                        marks=marks,
                        frames=_FRAMES if watched else 0,
                        short=plan.short,
                    )
                )
    return found


def run_cell(cell: GridCell) -> dict[str, Any]:
    """Train on shuffled pairs and sit the exam along the way; see `learn`."""
    records = singles(prompts(cell.n_prompts, seed=cell.seed), cell.k, seed=cell.seed)
    schedule = Schedule(updates=cell.updates, batch=PER_UPDATE, marks=cell.marks, frames=cell.frames)
    return learn(records, exam(cell.seed, short=cell.short), schedule, seed=cell.seed)


def mark_of(result: Mapping[str, Any], when: str) -> dict[str, float]:
    """The marks of a run: "final" at its end, "best" where the validation questions went best."""
    marks = result["marks"]
    return marks[-1] if when == "final" else marks[int(np.argmin([mark["validation"] for mark in marks]))]
