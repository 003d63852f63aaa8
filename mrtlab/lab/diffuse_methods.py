"""Chapter 7, the one table: ways to an even law at equal steps, and what decoding and asking reach without training.

Every method trains on the same 11 prompts for 10 passes, 110 steps, from the same adapter in the same order; only the
signal differs. Methods that draw take 16 answers a step. Each has three learning rates. The rate that counts for a
seed is the best over the *other* seeds, by total variation on held-out wordings; so are the settings of decoding rules,
whose laws are exact too. Nothing is anchored here.

Cost: at one thread about 8 CPU-seconds for a run of a method on fixed answers (12 with a row for each), 10 for one that
draws from the policy; at book scale, seven methods, three rates, five seeds, about 16 CPU-minutes. Estimated from runs
of 3 passes with a seed that no run uses (99).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.data.targets import Target
from mrtlab.lab import diffuse_data, subject
from mrtlab.lab.callings_run import right
from mrtlab.lab.diffuse_learn import learn
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds

WAYS = ("tree", "strings", "path-mean", "hard", "gem", "entropy-bonus", "witness")
LRS = (5e-4, 2e-3, 8e-3)
DECODING: dict[str, dict[str, dict[str, Any]]] = {
    "temperature": {f"T{t:g}": {"temperature": t} for t in (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)},
    "top-k": {f"k{k}": {"top_k": k} for k in (2, 5, 10, 20, 40)},
    "top-p": {f"p{p:g}": {"top_p": p} for p in (0.8, 0.9, 0.95, 0.99)},
    "temperature-top-k": {
        f"T{t:g}-k{k}": {"temperature": t, "top_k": k} for t in (2.0, 5.0, 20.0) for k in (5, 10, 20)
    },
}
GROUPS = ("trained", "wordings_seen", "wordings_new", "families", "never_flat", "ranges", "letters", "likert")
NUMBERS = ("tv", "mass", "top", "entropy")
_CHOSEN_ON = "wordings_new"


@dataclass(frozen=True, kw_only=True)
class MethodCell:
    """One run of one method at one learning rate, or all that needs no training at once."""

    way: str
    lr: float
    passes: int
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "witness-lr0002-seed3"; learning rates in millionths."""
        return f"{self.way}-lr{round(self.lr * 1e6):05}-seed{self.seed}" if self.lr else f"{self.way}-seed{self.seed}"


def cells(scale: str) -> Sequence[MethodCell]:
    """Everything without training first, then every method at every rate, seed by seed."""
    passes, seeds = {"smoke": (1, 2), "book": (10, 5), "full": (10, 20)}[scale]
    ways = [("untrained", 0.0), *((way, lr) for way in WAYS for lr in LRS)]
    return [
        MethodCell(way=way, lr=lr, passes=passes, seed=seed, weights=subject.fingerprint())
        for seed in range(seeds)
        for way, lr in ways
    ]


def run_cell(cell: MethodCell) -> dict[str, Any]:
    """A training run, see `learn`; or {"plain", "asked", "decoding": {rule: {setting: …}}}, each group by group."""
    if cell.way == "untrained":
        return _untrained(cell.seed)
    from mrtlab.training.diffuse_methods import MethodSettings

    settings = MethodSettings(method=cell.way, passes=cell.passes, lr=cell.lr, anchor_weight=0.0, seed=cell.seed)
    groups = {name: some for name, some in diffuse_data.exam(cell.seed).items() if name in GROUPS}
    found = learn(diffuse_data.mixed(cell.seed), groups, settings, marks=(cell.passes,))
    return {"groups": found["marks"][str(cell.passes)]["groups"], "facts": found["marks"][str(cell.passes)]["facts"]}


def _untrained(seed: int) -> dict[str, Any]:
    """The model as it is, asked as usual, asked for a fair draw, and read out by other rules."""
    from mrtlab.lab.diffuse_learn import look
    from mrtlab.lm.reshaped import decoded_logprobs
    from mrtlab.lm.sampling import Sampler
    from mrtlab.training.diffuse import target_groups

    model, tokenizer = subject.load()
    exam = {name: some for name, some in diffuse_data.exam(seed).items() if name in GROUPS}
    groups = {"trained": diffuse_data.mixed(seed)} | exam
    asked = diffuse_data.asked_fairly(seed)
    found: dict[str, Any] = {"plain": look(model, tokenizer, groups), "asked": look(model, tokenizer, asked)["groups"]}
    names = [(rule, name) for rule, some in DECODING.items() for name in some]
    samplers = [Sampler(**DECODING[rule][name]) for rule, name in names]
    read = {}
    for group, targets in groups.items():
        made = target_groups(targets, tokenizer)
        laws = decoded_logprobs(model, [made[i].tree for i in range(len(targets))], samplers)
        read[group] = [
            decoded_numbers([(t, law[s]) for t, law in zip(targets, laws, strict=True)]) for s in range(len(names))
        ]
    found["decoding"] = {rule: {} for rule in DECODING}
    for s, (rule, name) in enumerate(names):
        found["decoding"][rule][name] = {group: rows[s] for group, rows in read.items()}
    return found


def decoded_numbers(laws: Sequence[tuple[Target, np.ndarray]]) -> dict[str, float]:
    """Means over prompts of tv, mass, top, and entropy over the target's; 0 where nothing on the list can be said.

    A rule may give an answer no chance at all, and then a KL is infinite; these numbers are not.
    """
    rows = []
    for target, logp in laws:
        p = np.exp(logp)
        mass = float(p.sum())
        shape = p / mass if mass > 0 else p
        entropy = -(shape[shape > 0] * np.log(shape[shape > 0])).sum() / target.entropy
        tv = 0.5 * (np.abs(p - target.law).sum() + max(0.0, 1 - mass))
        rows.append([float(tv), mass, float(p.max()), float(entropy)])
    return dict(zip(NUMBERS, np.mean(rows, axis=0).tolist(), strict=True))


def summarise(outcomes: Sequence[tuple[MethodCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        ways.WAY.groups.GROUP: tv, mass, top, entropy at the chosen setting, over seeds; minus_tree and minus_plain:
        the same differences, paired by seed; facts: share known, over seeds; chosen: settings by seed. Ways are the
        methods, "plain", "asked" and the decoding rules.
        sweep.temperature.T: entropy and mass of "trained" and "families", over seeds;
        equal.RATE: the largest difference in tv of tree and strings over seeds and groups;
        pairs.hard_minus_path-mean.GROUP: differences of two methods, paired by seed;
        split: validity and shape part of KL before training, group by group, over seeds; design.
    """
    runs = {(cell.way, cell.lr, cell.seed): result for cell, result in outcomes}
    seeds = sorted({cell.seed for cell, _ in outcomes})
    plain = [runs["untrained", 0.0, s] for s in seeds]
    options: dict[str, dict[str, list[dict[str, Any]]]] = {
        way: {f"{lr:g}": [runs[way, lr, s]["groups"] for s in seeds] for lr in LRS} for way in WAYS
    }
    for rule, some in DECODING.items():
        options[rule] = {name: [one["decoding"][rule][name] for one in plain] for name in some}
    options["plain"] = {"": [one["plain"]["groups"] for one in plain]}
    options["asked"] = {"": [one["asked"] for one in plain]}
    chosen = {way: _chosen(some) for way, some in options.items()}
    picked = {way: [options[way][name][i] for i, name in enumerate(chosen[way])] for way in options}
    known = {way: [runs[way, float(n), s]["facts"] for n, s in zip(chosen[way], seeds, strict=True)] for way in WAYS}
    known["plain"] = [one["plain"]["facts"] for one in plain]
    return {
        "ways": {
            way: {
                "groups": _over(rows),
                "minus_tree": _over(rows, picked["tree"]),
                "minus_plain": _over(rows, picked["plain"]),
                "chosen": chosen[way],
            }
            | ({"facts": over_seeds(np.array([right(row) for row in known[way]]))} if way in known else {})
            for way, rows in picked.items()
        },
        "sweep": {
            name: {
                g: {n: over_seeds(np.array([r[g][n] for r in rows])) for n in NUMBERS} for g in ("trained", "families")
            }
            for name, rows in options["temperature"].items()
        },
        "equal": {name: _apart(rows, options["strings"][name]) for name, rows in options["tree"].items()},
        "pairs": {"hard_minus_path-mean": _over(picked["hard"], picked["path-mean"])},
        "split": {
            group: {
                n: over_seeds(np.array([one["plain"]["groups"][group][n] for one in plain]))
                for n in ("validity_kl", "shape_kl", "kl")
            }
            for group in GROUPS
        },
        "design": {
            "passes": outcomes[-1][0].passes,
            "steps": outcomes[-1][0].passes * len(diffuse_data.mixed(seeds[0])),
            "lrs": list(LRS),
            "seeds": len(seeds),
        },
    }


def _chosen(options: dict[str, list[dict[str, Any]]]) -> list[str]:
    """For each seed the setting that is best over the other seeds, by tv on held-out wordings."""
    names = list(options)
    if len(names) == 1:
        return names * len(options[names[0]])
    table = np.array([[row[_CHOSEN_ON]["tv"] for row in options[name]] for name in names])
    return [names[int(np.delete(table, i, axis=1).mean(1).argmin())] for i in range(table.shape[1])]


def _over(rows: Sequence[dict[str, Any]], less: Sequence[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Numbers over seeds, less those of another way in the same seed if there is one."""
    groups = [g for g in rows[0] if less is None or g in less[0]]
    return {
        g: {
            n: over_seeds(np.array([r[g][n] - (less[i][g][n] if less else 0.0) for i, r in enumerate(rows)]))
            for n in NUMBERS
        }
        for g in groups
    }


def _apart(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> float:
    """The largest difference in tv anywhere."""
    return max(abs(a[g]["tv"] - b[g]["tv"]) for a, b in zip(one, other, strict=True) for g in a)


def table(results: dict[str, Any]) -> Table:
    """Total variation to the target, way by way."""
    groups = ("trained", "wordings_new", "families", "never_flat")
    rows = []
    for way, one in results["ways"].items():
        shown = []
        for g in groups:
            tv = one["groups"].get(g, {}).get("tv")
            shown.append(f"{tv['mean']:.3f} ({tv['lo']:.3f} to {tv['hi']:.3f})" if tv else "")
        known = f"{one['facts']['mean']:.0%}" if "facts" in one else ""
        rows.append((way, *shown, known))
    return Table(
        title=f"Total variation to the target after {results['design']['steps']} steps, or without training.",
        columns=("way", *groups, "facts known"),
        rows=tuple(rows),
    )
