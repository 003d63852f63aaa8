"""Callings, the selectors: which K of 32 candidates to train on, when candidates are fair and when they are not.

In the fair world candidates are drawn from the truth. In the peaked one the generator says what is common more often
than it should be, as post-trained models do: the truth squared. A judge scores every candidate; another judge, who
scored nothing, says what the trained model's answers are worth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.data.records import Record
from mrtlab.lab import subject
from mrtlab.lab.callings_data import exam, prompts, scored
from mrtlab.lab.callings_grid import PER_UPDATE, mark_of
from mrtlab.lab.callings_grid_summary import NUMBERS
from mrtlab.lab.callings_run import Schedule, learn
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds

POWER = {"fair": 1.0, "peaked": 2.0}  # of the generator; the truth has 1
ALPHA = 0.75
TEMPERATURE = 0.2  # of softmax choice; scores of liked and unliked jobs are about 1 apart
ARMS: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "fair": {
        1: ("random", "top"),
        4: ("random", "softmax", "top", "diverse", "quality-diverse"),
        8: ("random", "top", "diverse", "quality-diverse"),
    },
    "peaked": {1: ("random", "top"), 8: ("random", "top", "quality-diverse")},
}


@dataclass(frozen=True, kw_only=True)
class SelectorCell:
    """One training run: K of N candidates, kept by a rule, every kept pair once."""

    world: str
    rule: str
    k: int
    n_prompts: int
    candidates: int
    seed: int
    weights: str
    short: bool

    @property
    def label(self) -> str:
        """Such as "fair-k4-top-seed3"."""
        return f"{self.world}-k{self.k}-{self.rule}-seed{self.seed}"


def cells(scale: str) -> Sequence[SelectorCell]:
    """Every rule at every K in both worlds, seed by seed."""
    n, candidates, seeds = {"smoke": (16, 12, 2), "book": (256, 32, 5), "full": (512, 64, 10)}[scale]
    return [
        SelectorCell(
            world=world,
            rule=rule,
            k=k,
            n_prompts=n,
            candidates=candidates,
            seed=seed,
            weights=subject.fingerprint(),
            short=scale == "smoke",
        )
        for seed in range(seeds)
        for world, by_k in ARMS.items()
        for k, rules in by_k.items()
        for rule in rules
    ]


def run_cell(cell: SelectorCell) -> dict[str, Any]:
    """Choose, shuffle the pairs, train; see `learn`. Adds what was kept: the share of each job among the kept ones."""
    from mrtlab.training.choose import Choice, choose_all

    asked = prompts(cell.n_prompts, seed=cell.seed)
    pools = [
        scored(question, cell.candidates, seed=cell.seed, place=place, power=POWER[cell.world])
        for place, question in enumerate(asked)
    ]
    choice = Choice(rule=cell.rule, k=cell.k, temperature=TEMPERATURE, alpha=ALPHA)
    kept = [pool.keep(places) for pool, places in zip(pools, choose_all(pools, choice, seed=cell.seed), strict=True)]
    records = [Record.of(record.prompt, [response]) for record in kept for response in record.responses]
    schedule = Schedule(updates=len(records) // PER_UPDATE, batch=PER_UPDATE)
    different = np.mean([len(set(record.responses)) for record in kept])
    return learn(records, exam(cell.seed, short=cell.short), schedule, seed=cell.seed) | {"different": float(different)}


def summarise(outcomes: Sequence[tuple[SelectorCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        WORLD.kK.RULE: every number of `marks_of` at the end, over seeds; different, the mean number of different
            responses that were kept; minus.OTHER: each number minus that of another rule at the same K, seed by seed.
        portraits.WORLD.kK.RULE: [prompt][job] of seed 0; design.
    """
    runs: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for cell, result in outcomes:
        runs.setdefault((cell.world, cell.k, cell.rule), []).append(result)

    def number(key: tuple[str, int, str], name: str) -> np.ndarray:
        return np.array([mark_of(result, "final")[name] for result in runs[key]])

    found: dict[str, Any] = {"portraits": {}}
    for world, by_k in ARMS.items():
        found[world], found["portraits"][world] = {}, {}
        for k, rules in by_k.items():
            block, looks = found[world].setdefault(f"k{k}", {}), found["portraits"][world].setdefault(f"k{k}", {})
            for rule in rules:
                mine = (world, k, rule)
                block[rule] = {name: over_seeds(number(mine, name)) for name in NUMBERS}
                block[rule]["different"] = over_seeds(np.array([result["different"] for result in runs[mine]]))
                block[rule]["minus"] = {
                    other: {name: over_seeds(number(mine, name) - number((world, k, other), name)) for name in NUMBERS}
                    for other in rules
                    if other != rule
                }
                portraits = runs[mine][0]["portraits"]
                looks[rule] = portraits[max(portraits, key=int)]
    first = outcomes[0][0]
    return found | {
        "design": {
            "alpha": ALPHA,
            "candidates": first.candidates,
            "power": POWER,
            "prompts": first.n_prompts,
            "seeds": len({cell.seed for cell, _ in outcomes}),
            "temperature": TEMPERATURE,
        }
    }


def table(results: dict[str, Any]) -> Table:
    """What each rule does to the distance from the truth, to diversity and to the reward."""
    rows = []
    for world in ARMS:
        for k, block in results[world].items():
            for rule, one in block.items():
                shown = [f"{one[name]['mean']:.3f}" for name in ("kl", "coverage", "diversity", "other", "best")]
                rows.append((world, k[1:], rule, *shown))
    return Table(
        title=f"Trained on K of {results['design']['candidates']} candidates, {results['design']['seeds']} seeds.",
        columns=("world", "K", "rule", "KL (nats)", "coverage", "diversity", "reward", "best of 16"),
        rows=tuple(rows),
    )
