"""Chapter 7, how far evenness reaches: what the runs add up to. Differences are taken seed by seed, then averaged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mrtlab.lab.callings_run import right
from mrtlab.lab.diffuse_learn import STOPS, stopped
from mrtlab.lab.diffuse_transfer import LR, MARKS, TransferCell, facts_of, questions
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds

CHANGES = ("tv", "kl", "entropy", "mass")  # numbers whose change since the start is kept
_SHOWN = (0, 5, 10, 50)  # passes in the table
_SHORT = 10  # passes of a short training, which the long one is compared with


def summarise(outcomes: Sequence[tuple[TransferCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        kinds.KIND.marks.PASS.groups.GROUP.NUMBER and .change (after minus before), over seeds; .facts likewise, see
        `facts_of`; kinds.KIND.stops.γ.passes: after which a run with this early stop ends, over seeds;
        kinds.half.stops.γ.groups and facts: as the marks, where the run ends; kept: mass of unlisted answers there,
        less that after the last pass;
        kinds.KIND.drift.GROUP: TV after the last pass less that after ten, paired by seed;
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
                str(g): {"passes": over_seeds(np.array([float(stopped(run, g, last)) for run in some]))}
                | ({"kept": _kept(some, g, last), **_at_stop(some, g, last)} if kind == "half" else {})
                for g in STOPS
            },
            "drift": _drift(some, str(min(_SHORT, last)), str(last)),
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
            "prompts": {kind: len(questions(_first(outcomes, kind))[0]) for kind in runs},
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


def _drift(runs: Sequence[dict[str, Any]], short: str, last: str) -> dict[str, Any]:
    ends = [(run["marks"][last]["groups"], run["marks"][short]["groups"]) for run in runs]
    return {g: over_seeds(np.array([late[g]["tv"] - early[g]["tv"] for late, early in ends])) for g in ends[0][0]}


def _at_stop(runs: Sequence[dict[str, Any]], gamma: float, last: int) -> dict[str, Any]:
    return _at(runs, [stopped(run, gamma, last) for run in runs])


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
            "change": {n: over_seeds(table[n] - before[n]) for n in CHANGES}
        }
    return {"groups": groups, "facts": facts_of([one["facts"] for one in then], [one["facts"] for one in now])}


def _between(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]], mark: str) -> dict[str, Any]:
    """Differences of two kinds, paired by seed."""
    a, b = ([run["marks"][mark] for run in runs] for runs in (one, other))
    pairs = list(zip(a, b, strict=True))
    return {
        "groups": {
            group: {
                n: over_seeds(np.array([x["groups"][group][n] - y["groups"][group][n] for x, y in pairs]))
                for n in CHANGES
            }
            for group in a[0]["groups"]
        },
        "facts": {"right": over_seeds(np.array([right(x["facts"]) - right(y["facts"]) for x, y in pairs]))},
    }


def table(results: dict[str, Any]) -> Table:
    """KL to the target before and after, group by group, without and with the anchor."""
    marks = [m for m in results["design"]["marks"] if m in _SHOWN or m == results["design"]["passes"]]
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
