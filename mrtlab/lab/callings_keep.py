"""Callings, what is kept: does learning callings cost the model the facts it knew, and what protects them?

The same pairs in the same number of updates, trained with every weight, more gently, through an adapter, or with known
facts among the pairs. Half of the examined facts are among those rehearsed, so that the others show what is protected
beyond them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.data.records import Record
from mrtlab.lab import subject
from mrtlab.lab.callings_data import exam, prompts, singles
from mrtlab.lab.callings_grid import PER_UPDATE
from mrtlab.lab.callings_run import LR, Schedule, facts, learn, right
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the pairs are learned.

    Attributes:
        lr: the peak learning rate.
        rank: of an adapter; None trains every weight.
        rehearsed: one fact for so many pairs, in updates that are as much larger; 0 for none.
    """

    lr: float = LR
    rank: int | None = None
    rehearsed: int = 0


WAYS: Mapping[str, Way] = {
    "full": Way(),
    "gentle": Way(lr=LR / 4),
    "adapter": Way(rank=16, lr=4 * LR),
    "rehearsal": Way(rehearsed=8),
    "adapter-rehearsal": Way(rank=16, lr=4 * LR, rehearsed=8),
}
_K = 8


@dataclass(frozen=True, kw_only=True)
class KeepCell:
    """One training run."""

    way: str
    n_prompts: int
    seed: int
    weights: str
    short: bool

    @property
    def label(self) -> str:
        """Such as "gentle-seed3"."""
        return f"{self.way}-seed{self.seed}"


def cells(scale: str) -> Sequence[KeepCell]:
    """Every way, seed by seed."""
    n, seeds = {"smoke": (8, 2), "book": (256, 5), "full": (512, 10)}[scale]
    return [
        KeepCell(way=way, n_prompts=n, seed=seed, weights=subject.fingerprint(), short=scale == "smoke")
        for seed in range(seeds)
        for way in WAYS
    ]


def run_cell(cell: KeepCell) -> dict[str, Any]:
    """Train on shuffled pairs, facts among them where the way says so; see `learn`."""
    way = WAYS[cell.way]
    records = singles(prompts(cell.n_prompts, seed=cell.seed), _K, seed=cell.seed)
    updates, batch = len(records) // PER_UPDATE, PER_UPDATE
    if way.rehearsed:
        batch += PER_UPDATE // way.rehearsed
        asked, answers = facts()
        rng = np.random.default_rng([70, cell.seed])
        drawn = rng.choice(range(0, len(asked), 2), size=updates * (PER_UPDATE // way.rehearsed))
        records += [Record.of(asked[i].text, [answers[i][0]]) for i in drawn]
    schedule = Schedule(updates=updates, batch=batch, lr=way.lr, rank=way.rank)
    return learn(records, exam(cell.seed, short=cell.short), schedule, seed=cell.seed)


def summarise(outcomes: Sequence[tuple[KeepCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        ways.WAY: kl and mass at the end, nats and a share; right, share of facts known, and nll, before and after; the
            same under rehearsed (even places) and others (odd places); minus_full: kl and right after, minus those of
            "full". All over seeds.
        design.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for cell, result in outcomes:
        runs.setdefault(cell.way, []).append(result)

    def logp(way: str, when: str) -> np.ndarray:
        return np.array([result["facts"][when]["logp"] for result in runs[way]])

    found: dict[str, Any] = {"ways": {}}
    base = np.array([result["marks"][-1]["kl"] for result in runs["full"]])
    for way, mine in runs.items():
        kl = np.array([result["marks"][-1]["kl"] for result in mine])
        one = found["ways"][way] = {
            "kl": over_seeds(kl),
            "mass": over_seeds(np.array([result["marks"][-1]["mass"] for result in mine])),
            "minus_full": {
                "kl": over_seeds(kl - base),
                "right": over_seeds(_right(logp(way, "after")) - _right(logp("full", "after"))),
            },
        }
        for name, some in (("facts", slice(None)), ("rehearsed", slice(0, None, 2)), ("others", slice(1, None, 2))):
            one[name] = {
                when: {
                    "right": over_seeds(_right(logp(way, when)[:, some])),
                    "nll": over_seeds(-logp(way, when)[:, some].mean(axis=1)),
                }
                for when in ("before", "after")
            }
    first = outcomes[0][0]
    return found | {
        "design": {
            "k": _K,
            "prompts": first.n_prompts,
            "facts": int(logp("full", "before").shape[1]),
            "seeds": len({cell.seed for cell, _ in outcomes}),
            "lr": {name: way.lr for name, way in WAYS.items()},
            "rank": {name: way.rank or 0 for name, way in WAYS.items()},
            "rehearsed": {name: way.rehearsed for name, way in WAYS.items()},
        }
    }


def _right(logp: np.ndarray) -> np.ndarray:
    return np.array([right(row) for row in logp])


def table(results: dict[str, Any]) -> Table:
    """What is learned and what is lost, way by way."""
    rows = []
    for way, one in results["ways"].items():
        shares = [f"{one[name]['after']['right']['mean']:.0%}" for name in ("facts", "rehearsed", "others")]
        kl = one["kl"]
        rows.append((way, f"{kl['mean']:.3f} ({kl['lo']:.3f} to {kl['hi']:.3f})", *shares))
    before = results["ways"]["full"]["facts"]["before"]["right"]["mean"]
    return Table(
        title=f"Learned and lost; before training {before:.0%} of the facts are known.",
        columns=("way", "KL to the truth (nats)", "facts known", "rehearsed ones", "others"),
        rows=tuple(rows),
    )
