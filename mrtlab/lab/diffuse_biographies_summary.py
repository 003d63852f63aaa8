"""What the runs of `diffuse_biographies` add up to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mrtlab.lab import diffuse_biographies_data as data
from mrtlab.lab.diffuse_biographies import FIRST, GROUPS, KINDS, LR, BiographyCell
from mrtlab.lab.diffuse_biographies_look import MET
from mrtlab.lab.diffuse_biographies_worth import SIZES
from mrtlab.lab.diffuse_transfer import facts_of
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds, ratio_over_seeds

_NONE = 1e-9  # a ratio needs something
_SPREAD = ("name", "age", "city", "job", "hobby")  # fields with many values


def summarise(outcomes: Sequence[tuple[BiographyCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        kinds.KIND.GROUP: numbers of `look`, over seeds, with change (after minus before, paired) and times
        (FIELD: how many times as many different values as before in as many draws, and distinct: of whole lives);
        kinds.KIND.worth.nN: numbers of `worth`, with change; kinds.KIND.facts: see `facts_of`;
        fair.fair, fair.worth: wordings that ask for chance, without training, changes against casual wordings;
        truth.worth: of draws of the truth; trace: {pass: fields.FIELD} of the long run;
        floor: −log p of the truth's own law, nats a biography; perfect: what even laws give; examples: of seed 0;
        design.
    """
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for cell, result in outcomes:
        runs[cell.kind].append(result)
    before = runs["before"]
    kinds = {
        kind: {group: _group([r[group] for r in some], [b[group] for b in before]) for group in GROUPS}
        | {"worth": _worth(some, before)}
        | {"facts": facts_of([b["facts"] for b in before], [r["facts"] for r in some])}
        for kind, some in runs.items()
    }
    fair = [run["fair"] for run in before]
    cell = outcomes[0][0]
    return {
        "kinds": kinds,
        "fair": {"fair": _group(fair, [b["taught"] for b in before]), "worth": _worth(fair, before)},
        "truth": {"worth": _worth([run["truth"] for run in before], before)},
        "trace": {mark: _over([run["trace"][mark] for run in runs["long"]]) for mark in runs["long"][0]["trace"]},
        "floor": float(sum(np.log(len(data.VALUES[field])) for field in _SPREAD)),
        "perfect": {field: _different(len(values)) for field, values in data.VALUES.items()},
        "examples": {kind: runs[kind][0]["examples"] for kind in KINDS} | {"fair": fair[0]["examples"]},
        "design": {
            "seeds": len(before),
            "draws": cell.draws,
            "exact": cell.exact,
            "met": MET,
            "sizes": list(SIZES),
            "wordings": data.WORDINGS,
            "beginnings": data.N_BEGINNINGS,
            "first": FIRST,
            "passes": next(cell.passes for cell, _ in outcomes if cell.kind == "both"),
            "lr": LR,
            "taught": list(data.TAUGHT),
            "prompts": data.asked(cell.seed),
        },
    }


def _different(k: int) -> float:
    """Different values that a perfect sampler says in 40 draws, k·(1 − (1 − 1/k)⁴⁰)."""
    return float(k * -np.expm1(MET * np.log1p(-1 / k)))


def _group(rows: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    met = {
        field: [np.array([max(r["fields"][field]["met"], _NONE) for r in some]) for some in (rows, before)]
        for field in _SPREAD
    } | {"distinct": [np.array([max(r["distinct"], _NONE) for r in some]) for some in (rows, before)]}
    times = {what: ratio_over_seeds(*both) for what, both in met.items()}
    numbers = [{key: value for key, value in row.items() if key in _NUMBERS} for row in rows]
    then = [{key: value for key, value in row.items() if key in _NUMBERS} for row in before]
    return _over(numbers) | {"change": _over(numbers, then), "times": times}


_NUMBERS = ("fields", "parity", "valid", "distinct", "broken", "met")


def _worth(rows: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    now, then = [row["worth"] for row in rows], [row["worth"] for row in before]
    return {
        n: _over([r[n] for r in now]) | {"change": _over([r[n] for r in now], [b[n] for b in then])} for n in now[0]
    }


def _over(rows: Sequence[Mapping[str, Any]], less: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Numbers over seeds, entry by entry, less those of other rows if there are any."""
    found: dict[str, Any] = {}
    for key, value in rows[0].items():
        own, other = [row[key] for row in rows], [row[key] for row in less] if less else None
        if isinstance(value, Mapping):
            found[key] = _over(own, other)
        else:
            found[key] = over_seeds(np.array(own, dtype=float) - np.array(other or [0.0] * len(own), dtype=float))
    return found


def table(results: dict[str, Any]) -> Table:
    """Evenness of every field, validity, parity and what the data is worth, kind by kind."""
    fields = list(results["perfect"])
    rows = []
    for kind, one in results["kinds"].items():
        for group in GROUPS:
            here = one[group]
            rows.append(
                (
                    kind,
                    group,
                    *(f"{here['fields'][f]['entropy']['mean']:.2f}" for f in fields),
                    f"{here['valid']['mean']:.0%}",
                    f"{here['parity']['even_both']['mean']:.2f}",
                    f"{one['worth'][f'n{SIZES[-1]}']['nll']['mean']:.1f}" if group == "taught" else "",
                )
            )
    return Table(
        title="Entropy of each field over the largest there is; whole biographies; total variation of gender and place "
        f"to even; nats a true biography for a small model trained on {SIZES[-1]} of them.",
        columns=("run", "wordings", *fields, "whole", "parity", "nats"),
        rows=tuple(rows),
    )
