"""Chapter 7's film: the exact law of the embedded model after every pass while it is taught to be even.

Two kinds of run, 50 passes each, without an anchor: narrow teaches one prompt, a number from 1 to 10; mixed teaches
the 11 prompts of `diffuse_data.mixed`. After every pass the same five questions are asked, none of which is taught:
a number from 1 to 10 and from 1 to 30, a family that mixed teaches in other wordings, a family that it does not teach
and a family that never had a flat side. It describes, and judges no claim.

Cost: at one thread about 3 CPU-seconds for a narrow run and 20 for a mixed one; at book scale, five seeds, about two
CPU-minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.data.targets import Target, uniform
from mrtlab.lab import diffuse_data, subject
from mrtlab.lab.diffuse_transfer import LR, MARKS
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds

KINDS = ("narrow", "mixed")
NUMBERS = ("tv", "mass", "top")
_DIGITS = 4  # of a stored probability
_FROM_EXAM = {"taught": "wordings_seen", "other": "families", "never_flat": "never_flat"}


@dataclass(frozen=True, kw_only=True)
class FilmCell:
    """One training run."""

    kind: str
    passes: int
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "mixed-seed3"."""
        return f"{self.kind}-seed{self.seed}"


def cells(scale: str) -> Sequence[FilmCell]:
    """Both kinds, seed by seed."""
    passes, seeds = {"smoke": (2, 2), "book": (MARKS[-1], 5), "full": (MARKS[-1], 20)}[scale]
    return [FilmCell(kind=k, passes=passes, seed=s, weights=subject.fingerprint()) for s in range(seeds) for k in KINDS]


def asked(seed: int) -> dict[str, Target]:
    """What is asked after every pass, the same for both kinds.

    >>> {name: len(target.answers) for name, target in asked(0).items()}
    {'small': 10, 'wide': 30, 'taught': 40, 'other': 16, 'never_flat': 12}
    """
    numbers = {
        name: uniform(f"Pick a random number from 1 to {high}.", [str(v) for v in range(1, high + 1)], family="numbers")
        for name, high in (("small", 10), ("wide", 30))
    }
    exam = diffuse_data.exam(seed)
    return numbers | {name: exam[group][0] for name, group in _FROM_EXAM.items()}


def run_cell(cell: FilmCell) -> dict[str, Any]:
    """Train, and look after every pass.

    Returns:
        for each question, and for "lesson", the first prompt taught: prompt, family, answers, and law: probabilities
        of the answers, pass by pass, the first row before any training.
    """
    from mrtlab.training.aimed import aim
    from mrtlab.training.diffuse_methods import MethodSettings, train_by

    model, tokenizer = subject.load()
    narrow = cell.kind == "narrow"
    taught = diffuse_data.one_range(cell.seed, wide=False)[0] if narrow else diffuse_data.mixed(cell.seed)
    questions = {"lesson": taught[0]} | asked(cell.seed)
    looks: list[list[np.ndarray]] = []

    def look() -> None:
        looks.append([a.p for a in aim(model, tokenizer, list(questions.values()))])

    def on_step(done: int, of: int) -> None:
        if done % len(taught) == 0:
            look()

    look()
    settings = MethodSettings(method="tree", passes=cell.passes, lr=LR, anchor_weight=0.0, seed=cell.seed)
    train_by(model, tokenizer, taught, settings, on_step=on_step)
    return {
        name: {
            "prompt": target.prompt,
            "family": target.family,
            "answers": list(target.answers),
            "law": [laws[i].tolist() for laws in looks],
        }
        for i, (name, target) in enumerate(questions.items())
    }


def summarise(outcomes: Sequence[tuple[FilmCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        shown, of the first seed: asked.QUESTION, its prompt, family and answers, numbers in their order and words in
        that of the model before training; laws.KIND.QUESTION, probabilities to four digits, pass by pass, what is
        missing to 1 being off the list; lesson.KIND, the first prompt taught;
        over_seeds.KIND.QUESTION: tv, mass and top (of the likeliest answer) after every pass; design.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for cell, result in outcomes:
        runs.setdefault(cell.kind, []).append(result)
    first = {kind: some[0] for kind, some in runs.items()}
    names = [name for name in first["mixed"] if name != "lesson"]
    orders = {name: _order(first["mixed"][name]) for name in names}
    return {
        "shown": {
            "asked": {
                name: {
                    "prompt": one["prompt"],
                    "family": one["family"],
                    "answers": [one["answers"][i] for i in orders[name]],
                }
                for name, one in first["mixed"].items()
                if name in orders
            },
            "laws": {
                kind: {name: np.array(one[name]["law"])[:, orders[name]].round(_DIGITS).tolist() for name in names}
                for kind, one in first.items()
            },
            "lesson": {kind: one["lesson"]["prompt"] for kind, one in first.items()},
        },
        "over_seeds": {
            kind: {name: _numbers([np.array(run[name]["law"]) for run in some]) for name in ("lesson", *names)}
            for kind, some in runs.items()
        },
        "design": {
            "passes": outcomes[0][0].passes,
            "seeds": len(runs["mixed"]),
            "taught": len(diffuse_data.mixed(outcomes[0][0].seed)),
            "lr": LR,
        },
    }


def _order(one: dict[str, Any]) -> list[int]:
    """Places of numbers as they are, of words by their chance before training, largest first."""
    if one["family"] == "numbers":
        return list(range(len(one["answers"])))
    return np.argsort(-np.array(one["law"][0]), kind="stable").tolist()


def _numbers(laws: Sequence[np.ndarray]) -> dict[str, Any]:
    """tv to even, mass on the list and the likeliest answer, from laws (passes + 1, m), one for each seed."""
    mass = np.array([law.sum(1) for law in laws])
    gaps = [np.abs(law - 1 / law.shape[1]).sum(1) for law in laws]
    return {
        "tv": over_seeds(0.5 * (np.array(gaps) + np.maximum(0.0, 1 - mass))),
        "mass": over_seeds(mass),
        "top": over_seeds(np.array([law.max(1) for law in laws])),
    }


def table(results: dict[str, Any]) -> Table:
    """Total variation to even before and after, question by question."""
    rows = []
    for kind, questions in results["over_seeds"].items():
        for name, one in questions.items():
            ends = [f"{one['tv']['mean'][i]:.3f}" for i in (0, -1)]
            rows.append((kind, name, *ends, f"{one['top']['mean'][0]:.2f}", f"{one['top']['mean'][-1]:.2f}"))
    return Table(
        title=f"Total variation to even, and the likeliest answer, before and after {results['design']['passes']} "
        "passes.",
        columns=("run", "asked", "tv before", "tv after", "likeliest before", "after"),
        rows=tuple(rows),
    )
