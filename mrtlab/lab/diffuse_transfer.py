"""Chapter 7, how far evenness reaches: what a few even prompts do to wordings, families, ranges and facts not taught.

Kinds of run, each with 50 passes of the exact loss and a LoRA of rank 4, measured on the way, so that one run tells
about 5, 10 and 50 passes and about every early stop:

- mixed: 11 prompts, four families in two wordings and three number ranges, without an anchor or with one (weight 1,
  8 rows a step, half of the facts).
- half: the four families with half of their answers listed; is the other half still said?
- weighted: the four families with Zipf's law.
- narrow, wide: a single prompt, a number from 1 to 10 or from 1 to 30.

Cost: at one thread about 35 CPU-seconds for a mixed run, 65 with the anchor, 30 for a half or weighted one and 3 for
one range; at book scale, five seeds, about 14 CPU-minutes. Estimated from runs of 4 to 10 passes with a seed that no
run uses (99).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.lab import diffuse_data, subject
from mrtlab.lab.callings_run import right
from mrtlab.lab.diffuse_learn import learn
from mrtlab.lab.seed_means import over_seeds

KINDS = ("mixed", "mixed-anchored", "half", "weighted", "narrow", "wide")
MARKS = (0, 1, 2, 5, 10, 20, 50)
LR = 2e-3
_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class TransferCell:
    """One training run."""

    kind: str
    passes: int
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "mixed-anchored-seed3"."""
        return f"{self.kind}-seed{self.seed}"


def cells(scale: str) -> Sequence[TransferCell]:
    """Every kind, seed by seed."""
    passes, seeds = {"smoke": (2, 2), "book": (MARKS[-1], 5), "full": (MARKS[-1], 20)}[scale]
    return [
        TransferCell(kind=k, passes=passes, seed=s, weights=subject.fingerprint()) for s in range(seeds) for k in KINDS
    ]


def run_cell(cell: TransferCell) -> dict[str, Any]:
    """See `learn`."""
    from mrtlab.training.diffuse_methods import MethodSettings

    anchored = cell.kind == "mixed-anchored"
    settings = MethodSettings(
        method="tree", passes=cell.passes, lr=LR, anchor_weight=1.0 if anchored else 0.0, seed=cell.seed
    )
    targets, groups = questions(cell)
    marks = {min(mark, cell.passes) for mark in MARKS}
    return learn(targets, groups, settings, marks=sorted(marks))


def questions(cell: TransferCell) -> tuple[list[Any], diffuse_data.Groups]:
    """What a run is taught, and what is asked beside it."""
    if cell.kind == "half":
        return diffuse_data.half_lists(cell.seed)
    if cell.kind == "weighted":
        return diffuse_data.weighted(cell.seed)
    if cell.kind in ("narrow", "wide"):
        return diffuse_data.one_range(cell.seed, wide=cell.kind == "wide")
    return diffuse_data.mixed(cell.seed), diffuse_data.exam(cell.seed)


def facts_of(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Facts before and after: log-probabilities, a row for each seed.

    Returns:
        for all, anchored (even places) and free (odd places): right before and after, over seeds; change.right and
        change.nll: mean over facts, each first averaged over seeds, with the 95 % interval of a bootstrap over facts.
    """
    old, new = np.array(before), np.array(after)
    found = {}
    for name, some in (("all", slice(None)), ("anchored", slice(0, None, 2)), ("free", slice(1, None, 2))):
        was, now = old[:, some], new[:, some]
        known = [(values > np.log(0.5)).astype(float) for values in (was, now)]
        found[name] = {
            "before": over_seeds(np.array([right(row) for row in was])),
            "after": over_seeds(np.array([right(row) for row in now])),
            "change": {"right": _band((known[1] - known[0]).mean(0)), "nll": _band((was - now).mean(0))},
        }
    return found


def _band(values: np.ndarray) -> dict[str, float]:
    """Mean and 95 % bootstrap interval over facts."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))].mean(1)
    lo, hi = np.quantile(means, [0.025, 0.975])
    return {"mean": float(values.mean()), "lo": float(lo), "hi": float(hi)}
