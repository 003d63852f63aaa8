"""Callings, the clusters: do several wordings of one question act like several responses, and where do responses pay?

A cluster is one person, town and day, asked about in four wordings that share their parts more or less. Arms with four
pairs per cluster read them four times, `single` reads its one pair sixteen times, so that updates are equal.

A first look with a quarter of the passes (and other seeds) showed no gain that could be shared: reading one pair four
times was as good as reading four, 0.63 to 0.61 nats. Hence the passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.data.records import Record
from mrtlab.data.tasks import Question
from mrtlab.lab import subject
from mrtlab.lab.callings_data import CALLINGS, exam, prompts, responses
from mrtlab.lab.callings_grid import PER_UPDATE, mark_of
from mrtlab.lab.callings_run import Schedule, learn
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds

WORDINGS = 4
CLOSE, FAR = 0.8, 0.2  # chance that a wording keeps a part of its cluster's first
SHARP = 3.0  # power of the world whose answers differ little
WHENS = ("final", "best")
_FIRST_SEED = 10  # those below were looked at before
_MARKS = 8  # exams along a run


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What is shown of each cluster.

    Attributes:
        wordings: how many of the four.
        k: responses to each.
        redundancy: how close the wordings are.
        copied: whether all wordings come with the same response.
        passes: times that every pair is read.
        power: of the truth, see `law`.
        share: of the clusters that are used; the others are left out.
    """

    wordings: int = 1
    k: int = 1
    redundancy: float = CLOSE
    copied: bool = False
    passes: int = 4
    power: float = 1.0
    share: float = 1.0


ARMS: Mapping[str, Arm] = {
    "single": Arm(passes=16),
    "explicit": Arm(k=4),
    "hybrid-close": Arm(wordings=2, k=2),
    "hybrid-far": Arm(wordings=2, k=2, redundancy=FAR),
    "implicit-close": Arm(wordings=4),
    "implicit-far": Arm(wordings=4, redundancy=FAR),
    "same-close": Arm(wordings=4, copied=True),
    "same-far": Arm(wordings=4, copied=True, redundancy=FAR),
    "sharp-one": Arm(passes=16, power=SHARP),
    "sharp-four": Arm(k=4, power=SHARP),
    "redundant-one": Arm(wordings=4, passes=16, share=1 / 4),
    "redundant-four": Arm(wordings=4, k=4, share=1 / 4),
}
TRIAD = ("hybrid", "implicit", "same")
GAINS = {"diverse": ("single", "explicit"), "sharp": ("sharp-one", "sharp-four")}
GAINS["redundant"] = ("redundant-one", "redundant-four")


@dataclass(frozen=True, kw_only=True)
class ClusterCell:
    """One training run."""

    arm: str
    n_clusters: int
    seed: int
    weights: str
    short: bool

    @property
    def label(self) -> str:
        """Such as "implicit-close-seed3"."""
        return f"{self.arm}-seed{self.seed}"


def cells(scale: str) -> Sequence[ClusterCell]:
    """Every arm, seed by seed."""
    n, seeds = {"smoke": (8, 2), "book": (256, 5), "full": (512, 10)}[scale]
    return [
        ClusterCell(arm=arm, n_clusters=n, seed=seed, weights=subject.fingerprint(), short=scale == "smoke")
        for seed in range(_FIRST_SEED, _FIRST_SEED + seeds)
        for arm in ARMS
    ]


def run_cell(cell: ClusterCell) -> dict[str, Any]:
    """Train on what the arm shows, always in as many updates; see `learn`."""
    arm = ARMS[cell.arm]
    n = int(cell.n_clusters * arm.share)
    pairs = [pair for place, q in enumerate(prompts(n, seed=cell.seed)) for pair in shown(q, arm, cell.seed, place)]
    updates = len(pairs) * arm.passes // PER_UPDATE
    schedule = Schedule(updates=updates, batch=PER_UPDATE, marks=tuple(updates * i // _MARKS for i in range(1, _MARKS)))
    return learn(pairs, exam(cell.seed, short=cell.short, power=arm.power), schedule, seed=cell.seed)


def shown(question: Question, arm: Arm, seed: int, place: int) -> list[Record]:
    """The pairs of one cluster. Its first response is the same in all arms, its first wording in those as close."""
    rng = np.random.default_rng([68, seed, place])
    asked = CALLINGS.paraphrases(*question.slots[:3], n=arm.wordings, redundancy=arm.redundancy, rng=rng)
    drawn = responses(question, arm.wordings * arm.k, seed=seed, place=place, power=arm.power)
    if arm.copied:
        drawn = drawn[:1] * arm.wordings
    return [Record.of(asked[i // arm.k].text, [response]) for i, response in enumerate(drawn)]


def summarise(outcomes: Sequence[tuple[ClusterCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact, each for the end of the runs ("final") and the best checkpoint ("best").

    Returns:
        arms.ARM.WHEN: kl, nats, over seeds.
        triad.WHEN.DISTANCE.NAME: share of explicit's gain over single that hybrid, implicit and same keep: the mean
            gain over seeds as a share of explicit's mean gain, with an interval by `_share`.
        gain.WHEN.WORLD: KL of one response minus KL of four, nats; and gain.WHEN.minus.WORLD, how much more is gained
            where answers are diverse and prompts are not redundant; design.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for cell, result in outcomes:
        runs.setdefault(cell.arm, []).append(result)
    kl = {
        when: {arm: np.array([mark_of(result, when)["kl"] for result in mine]) for arm, mine in runs.items()}
        for when in WHENS
    }
    found: dict[str, Any] = {
        "arms": {arm: {when: {"kl": over_seeds(kl[when][arm])} for when in WHENS} for arm in ARMS},
        "triad": {when: {} for when in WHENS},
        "gain": {when: {} for when in WHENS},
    }
    for when in WHENS:
        at = kl[when]
        explicit = at["single"] - at["explicit"]
        for distance in ("close", "far"):
            found["triad"][when][distance] = {
                name: _share(at["single"] - at[f"{name}-{distance}"], explicit) for name in TRIAD
            }
        gains = {world: at[one] - at[four] for world, (one, four) in GAINS.items()}
        found["gain"][when] = {world: over_seeds(gain) for world, gain in gains.items()} | {
            "minus": {world: over_seeds(gains["diverse"] - gains[world]) for world in ("sharp", "redundant")}
        }
    first = outcomes[0][0]
    return found | {
        "design": {
            "clusters": first.n_clusters,
            "wordings": WORDINGS,
            "close": CLOSE,
            "far": FAR,
            "sharp": SHARP,
            "seeds": len({cell.seed for cell, _ in outcomes}),
        }
    }


def _share(gain: np.ndarray, whole: np.ndarray) -> dict[str, float]:
    """Mean gain as a share s of the mean whole gain, with the interval of gain − s·whole over seeds (Fieller's idea).

    >>> {k: round(v, 3) for k, v in _share(np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0])).items()}
    {'mean': 0.5, 'lo': 0.5, 'hi': 0.5}
    """
    share = float(gain.mean() / whole.mean())
    off = over_seeds(gain - share * whole)
    half = (off["hi"] - off["lo"]) / 2 / abs(float(whole.mean()))
    return {"mean": share, "lo": share - half, "hi": share + half}


def table(results: dict[str, Any]) -> Table:
    """KL by arm, at the end and at the best checkpoint."""
    rows = []
    for arm, one in results["arms"].items():
        numbers = [f"{v['mean']:.3f} ({v['lo']:.3f} to {v['hi']:.3f})" for v in (one[when]["kl"] for when in WHENS)]
        rows.append((arm, *numbers))
    return Table(
        title=f"KL to the truth, nats; {results['design']['clusters']} clusters, {results['design']['seeds']} seeds.",
        columns=("arm", "at the end", "best checkpoint"),
        rows=tuple(rows),
    )
