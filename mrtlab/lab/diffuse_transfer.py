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

from mrtlab.lab import diffuse_data
from mrtlab.lab.callings_run import right, weights
from mrtlab.lab.diffuse_learn import STOPS, learn, stopped
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds

KINDS = ("mixed", "mixed-anchored", "half", "weighted", "narrow", "wide")
MARKS = (0, 1, 2, 5, 10, 20, 50)
SHOWN = (0, 5, 10, 50)  # what the table and the claims speak of
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
    return [TransferCell(kind=k, passes=passes, seed=s, weights=weights()) for s in range(seeds) for k in KINDS]


def run_cell(cell: TransferCell) -> dict[str, Any]:
    """See `learn`."""
    from mrtlab.training.diffuse_methods import MethodSettings

    anchored = cell.kind == "mixed-anchored"
    settings = MethodSettings(
        method="tree", passes=cell.passes, lr=LR, anchor_weight=1.0 if anchored else 0.0, seed=cell.seed
    )
    targets, groups = _questions(cell)
    marks = {min(mark, cell.passes) for mark in MARKS}
    return learn(targets, groups, settings, marks=sorted(marks))


def _questions(cell: TransferCell) -> tuple[list[Any], diffuse_data.Groups]:
    if cell.kind == "half":
        return diffuse_data.half_lists(cell.seed)
    if cell.kind == "weighted":
        return diffuse_data.weighted(cell.seed)
    if cell.kind in ("narrow", "wide"):
        return diffuse_data.one_range(cell.seed, wide=cell.kind == "wide")
    return diffuse_data.mixed(cell.seed), diffuse_data.exam(cell.seed)


def summarise(outcomes: Sequence[tuple[TransferCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        kinds.KIND.marks.PASS.groups.GROUP.NUMBER and .change (after minus before), over seeds; .facts likewise, see
        `facts_of`; kinds.KIND.stops.γ: the same where a run with this early stop ends, with `passes`, over seeds;
        kinds.half.stops.γ.kept: mass of unlisted answers there, less that after the last pass;
        kinds.KIND.trace: mean loss above its floor after every pass, nats a prompt, over seeds;
        anchored_minus_free.PASS: groups.GROUP.tv and kl, facts.all, of the two mixed kinds, over seeds;
        design.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for cell, result in outcomes:
        runs.setdefault(cell.kind, []).append(result)
    last = outcomes[0][0].passes
    shared = {kind: sorted({int(m) for m in some[0]["marks"]} & _planned(last)) for kind, some in runs.items()}
    kinds = {
        kind: {
            "marks": {str(m): _at(some, [str(m)] * len(some)) for m in shared[kind]},
            "stops": {
                str(g): _at(some, [stopped(run, g, last) for run in some])
                | {"passes": over_seeds(np.array([float(stopped(run, g, last)) for run in some]))}
                | ({"kept": _kept(some, g, last)} if kind == "half" else {})
                for g in STOPS
            },
            "trace": over_seeds(np.array([run["trace"] for run in some]) - np.array([[run["floor"]] for run in some])),
        }
        for kind, some in runs.items()
    }
    return {
        "kinds": kinds,
        "anchored_minus_free": {
            str(m): _between(runs["mixed-anchored"], runs["mixed"], str(m)) for m in shared["mixed"]
        },
        "design": {
            "passes": last,
            "marks": shared["mixed"],
            "stops": list(STOPS),
            "seeds": len(runs["mixed"]),
            "lr": LR,
            "prompts": {kind: len(_questions(_first(outcomes, kind))[0]) for kind in runs},
            "facts": len(runs["mixed"][0]["marks"]["0"]["facts"]),
        },
    }


def _kept(runs: Sequence[dict[str, Any]], gamma: float, last: int) -> dict[str, Any]:
    """Mass of valid unlisted answers where the stop is, less that after the last pass, paired by seed."""
    mass = [
        [run["marks"][mark]["groups"]["unlisted"]["mass"] for mark in (stopped(run, gamma, last), str(last))]
        for run in runs
    ]
    return over_seeds(np.array([at_stop - at_end for at_stop, at_end in mass]))


def _planned(last: int) -> set[int]:
    return {min(mark, last) for mark in MARKS}


def _first(outcomes: Sequence[tuple[TransferCell, Any]], kind: str) -> TransferCell:
    return next(cell for cell, _ in outcomes if cell.kind == kind)


def _at(runs: Sequence[dict[str, Any]], marks: Sequence[str]) -> dict[str, Any]:
    """Numbers and changes at one mark of each run."""
    now = [run["marks"][mark] for run, mark in zip(runs, marks, strict=True)]
    then = [run["marks"]["0"] for run in runs]
    groups = {}
    for group, numbers in now[0]["groups"].items():
        table = {n: np.array([one["groups"][group][n] for one in now]) for n in numbers}
        before = {n: np.array([one["groups"][group][n] for one in then]) for n in numbers}
        groups[group] = {n: over_seeds(v) for n, v in table.items()} | {
            "change": {n: over_seeds(table[n] - before[n]) for n in numbers}
        }
    return {"groups": groups, "facts": facts_of([one["facts"] for one in then], [one["facts"] for one in now])}


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


def _between(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]], mark: str) -> dict[str, Any]:
    """Differences of two kinds, paired by seed."""
    a, b = ([run["marks"][mark] for run in runs] for runs in (one, other))
    pairs = list(zip(a, b, strict=True))
    return {
        "groups": {
            group: {
                n: over_seeds(np.array([x["groups"][group][n] - y["groups"][group][n] for x, y in pairs]))
                for n in ("tv", "kl", "entropy", "mass")
            }
            for group in a[0]["groups"]
        },
        "facts": {"right": over_seeds(np.array([right(x["facts"]) - right(y["facts"]) for x, y in pairs]))},
    }


def table(results: dict[str, Any]) -> Table:
    """KL to the target before and after, group by group, without and with the anchor."""
    marks = [m for m in results["design"]["marks"] if m in SHOWN or m == results["design"]["passes"]]
    rows = []
    for kind in ("mixed", "mixed-anchored"):
        at = results["kinds"][kind]["marks"]
        for group in at["0"]["groups"]:
            rows.append((kind, group, *(f"{at[str(m)]['groups'][group]['kl']['mean']:.3f}" for m in marks)))
        for group in ("anchored", "free"):
            rows.append(
                (kind, f"facts {group}, known", *(f"{at[str(m)]['facts'][group]['after']['mean']:.0%}" for m in marks))
            )
    return Table(
        title="KL(target to model) in nats after so many passes, and facts known.",
        columns=("run", "asked", *(f"{m} passes" for m in marks)),
        rows=tuple(rows),
    )
