"""Chapter 8, is there data to spare: how right is one adapter after a twentieth of the data, after half, after all?

For each share an adapter of its own makes one pass over that much, its learning rate falling to 0 at the end, so that
a share is as good as its data are and no training that was cut off. The paper asks one training on the way.

Cost: about 60 CPU-seconds a seed and domain.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrtlab.lab import subject
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds
from mrtlab.lab.spa_data import LENGTH, draw_by, exam, family_of, pairs
from mrtlab.lab.spa_world import BATCH, LR, RANK, records_of

SHARES = (0.05, 0.15, 0.3, 0.5, 1.0)
N = 1024
DOMAINS = ("programs",)


@dataclass(frozen=True, kw_only=True)
class ShareCell:
    """One share of one seed."""

    domain: str
    share: float
    n: int
    short: bool
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "programs-15-seed3"."""
        return f"{self.domain}-{round(100 * self.share)}-seed{self.seed}"


def cells(scale: str) -> Sequence[ShareCell]:
    """Every share of every seed, 0 for the base model."""
    n, seeds = {"smoke": (24, 2), "book": (N, 5), "full": (8192, 10)}[scale]
    return [
        ShareCell(domain=domain, share=share, n=n, short=scale == "smoke", seed=seed, weights=subject.fingerprint())
        for seed in range(seeds)
        for domain in DOMAINS
        for share in (0.0, *SHARES)
    ]


def run_cell(cell: ShareCell) -> dict[str, Any]:
    """Train one pass over the first pairs and ask, greedily.

    Returns:
        right: for each question of the exam; seen: pairs.
    """
    from mrtlab.lm.sampling import Sampler, sample
    from mrtlab.spa.adapters import AdaptSettings, adapter_name, load_adapters, train_adapters

    model, tokenizer = subject.load()
    asked = exam(cell.domain, seed=cell.seed, short=cell.short)
    seen = round(cell.share * cell.n)
    if seen:
        some = records_of(pairs(cell.domain, seen, seed=cell.seed, draw=draw_by(model, tokenizer)))
        settings = AdaptSettings(
            steps=max(1, seen // BATCH), batch_prompts=BATCH, lora_rank=RANK, lr=LR, seed=cell.seed
        )
        with tempfile.TemporaryDirectory() as folder:
            made = train_adapters(
                model, tokenizer, [some], Path(folder) / "some", base=subject.name(), settings=settings
            )
            model = load_adapters(model, made)
        model.set_adapter(adapter_name(made[0]))
    said = sample(
        model,
        tokenizer,
        [question.text for question in asked],
        n=1,
        seed=cell.seed,
        sampler=Sampler(temperature=0),
        max_new_tokens=LENGTH,
    )
    valid = family_of(cell.domain).valid
    return {"seen": seen, "right": [valid(question, answer) for question, (answer,) in zip(asked, said, strict=True)]}


def summarise(outcomes: Sequence[tuple[ShareCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        domains.DOMAIN.shares.PERCENT: right, over seeds, and short, the same less that after all the data; design.
    """
    by: dict[str, dict[float, list[float]]] = {}
    for cell, result in outcomes:
        by.setdefault(cell.domain, {}).setdefault(cell.share, []).append(float(np.mean(result["right"])))
    return {
        "domains": {
            domain: {
                "shares": {
                    f"{round(100 * share)}": {
                        "right": over_seeds(np.array(values)),
                        "short": over_seeds(np.array(values) - np.array(shares[1.0])),
                    }
                    for share, values in sorted(shares.items())
                }
            }
            for domain, shares in by.items()
        },
        "design": {
            "pairs": outcomes[0][0].n,
            "seeds": len({cell.seed for cell, _ in outcomes}),
            "questions": len(outcomes[0][1]["right"]),
        },
    }


def table(results: dict[str, Any]) -> Table:
    """Share right after each share of the data."""
    rows = []
    for domain, one in results["domains"].items():
        for percent, here in one["shares"].items():
            right = here["right"]
            rows.append((domain, f"{percent} %", f"{right['mean']:.3f} ({right['lo']:.3f} to {right['hi']:.3f})"))
    return Table(
        title=f"Share of programs that are right after part of {results['design']['pairs']} pairs, greedy.",
        columns=("domain", "data", "pass@1"),
        rows=tuple(rows),
    )
