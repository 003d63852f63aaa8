"""Callings, the grid: what the runs add up to. Differences are taken seed by seed, then averaged."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mrtlab.data.tasks import words
from mrtlab.lab.callings_data import CALLINGS, SHOWN, exam
from mrtlab.lab.callings_grid import PER_UPDATE, PLANS, GridCell, Plan, mark_of
from mrtlab.lab.callings_run import marks_of
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds
from mrtlab.lab.stats import line_fit

NUMBERS = ("nll", "kl", "mass", "shape_kl", "coverage", "diversity", "reward", "other", "best")
WHENS = ("final", "best")
_RESAMPLES = 2000
Runs = Mapping[tuple[int, int, int], list[dict[str, Any]]]  # run -> its results, seed after seed


def summarise(outcomes: Sequence[tuple[GridCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        arms.ARM.kK: prompts, pairs, updates, passes (over the pairs), seeds; final and best (checkpoint by validation)
            with every number of `marks_of`; facts (nll and right, before, after and change); minus_k1 (final and best:
            KL minus that of K = 1 in the same arm); minus_half (minus that of half as many responses);
        curves.RUN: step and kl (mean, lo, hi) of `many` at K = 1 and at the largest K, and of `fresh`;
        gain: KL at the end of the runs compared: of `many`, K = 1 minus the largest K, and minus `fresh`; of `fresh`
            minus the largest K; at the best checkpoints;
        fit: R² of a + b/K and of a + b log K to the mean loss of `once`, and in how many resamples of the seeds
            the logarithm fits better;
        portraits: see `_portraits`; constant: marks of the best single law for all questions; base: of the model
            before training; design.
    """
    plan = _plan(outcomes)
    runs: dict[tuple[int, int, int], list[dict[str, Any]]] = {}
    for cell, result in outcomes:
        runs.setdefault(cell.key, []).append(result)
    arms = {arm: _arm(runs, keys) for arm, keys in plan.arms().items()}
    top = f"k{plan.ks[-1]}"
    keys = plan.arms()
    watched = {"many_k1": keys["many"]["k1"], f"many_{top}": keys["many"][top], "fresh_k1": keys["fresh"]["k1"]}
    return {
        "arms": arms,
        "curves": {name: _curve(runs[key]) for name, key in watched.items()},
        "gain": _gains(runs, keys, top),
        "fit": _fit(np.array([_numbers(runs[keys["once"][f"k{k}"]], "final", "nll")[: plan.seeds] for k in plan.ks])),
        "portraits": _portraits(runs, watched),
        "constant": _constant(plan),
        "base": _base(runs[keys["many"]["k1"]]),
        "design": {
            "k": list(plan.ks),
            "prompts": plan.n,
            "pairs": plan.pairs,
            "few": plan.few,
            "many": plan.many,
            "per_update": PER_UPDATE,
            "seeds": plan.seeds,
            "more_seeds": plan.more,
            "runs": len(outcomes),
        },
    }


def _plan(outcomes: Sequence[tuple[GridCell, dict[str, Any]]]) -> Plan:
    """The plan whose runs these are."""
    have = {cell.key for cell, _ in outcomes}
    seeds = max(cell.seed for cell, _ in outcomes) + 1
    return next(
        plan
        for plan in PLANS.values()
        if {run for arm in plan.arms().values() for run in arm.values()} == have and plan.more == seeds
    )


def _numbers(results: Sequence[dict[str, Any]], when: str, name: str) -> np.ndarray:
    """One number per seed."""
    return np.array([mark_of(result, when)[name] for result in results])


def _arm(runs: Runs, keys: Mapping[str, tuple[int, int, int]]) -> dict[str, Any]:
    """Every K of an arm over the seeds that all of them have."""
    seeds = min(len(runs[key]) for key in keys.values())
    mine = {name: runs[key][:seeds] for name, key in keys.items()}
    found = {}
    previous = None
    for name, (n, k, updates) in keys.items():
        one = found[name] = {
            "prompts": n,
            "pairs": n * k,
            "updates": updates,
            "passes": updates * PER_UPDATE / (n * k),
            "seeds": seeds,
            "facts": _facts(mine[name]),
        }
        for when in WHENS:
            one[when] = {number: over_seeds(_numbers(mine[name], when, number)) for number in NUMBERS}
        one["best"]["step"] = [mark_of(result, "best")["step"] for result in mine[name]]
        one["minus_k1"] = {when: _difference(mine[name], mine["k1"], when) for when in WHENS}
        if previous:
            one["minus_half"] = {when: _difference(mine[name], mine[previous], when) for when in WHENS}
        previous = name
    return found


def _difference(some: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], when: str) -> dict[str, Any]:
    """KL of the one minus KL of the other, nats, seed by seed."""
    n = min(len(some), len(others))
    return over_seeds(_numbers(some[:n], when, "kl") - _numbers(others[:n], when, "kl"))


def _facts(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    before, after = (
        {name: np.array([result["facts"][when][name] for result in results]) for name in ("nll", "right")}
        for when in ("before", "after")
    )
    return {
        name: {
            "before": over_seeds(before[name]),
            "after": over_seeds(after[name]),
            "change": over_seeds(after[name] - before[name]),
        }
        for name in ("nll", "right")
    }


def _curve(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    steps = [mark["step"] for mark in results[0]["marks"]]
    return {"step": steps} | over_seeds(np.array([[mark["kl"] for mark in result["marks"]] for result in results]))


def _gains(runs: Runs, keys: Mapping[str, Mapping[str, tuple[int, int, int]]], top: str) -> dict[str, Any]:
    one, most, fresh = runs[keys["many"]["k1"]], runs[keys["many"][top]], runs[keys["fresh"]["k1"]]
    return {
        "responses": {when: _difference(one, most, when) for when in WHENS},
        "fresh": {when: _difference(one, fresh, when) for when in WHENS},
        "responses_minus_fresh": {when: _difference(most, fresh, when) for when in WHENS},
    }


def _fit(nll: np.ndarray) -> dict[str, Any]:
    """Lines in 1/K and in log K through the mean loss; (K, seeds) in, K doubling from 1."""
    k = 2.0 ** np.arange(len(nll))
    rng = np.random.default_rng(67)

    def r2(loss: np.ndarray) -> tuple[float, float]:
        return line_fit(1 / k, loss).r2, line_fit(np.log(k), loss).r2

    inverse, log = r2(nll.mean(1))
    drawn = rng.integers(nll.shape[1], size=(_RESAMPLES, nll.shape[1]))
    better = [by_log > by_inverse for by_inverse, by_log in (r2(nll[:, rows].mean(1)) for rows in drawn)]
    return {
        "inverse": {"r2": inverse},
        "log": {"r2": log, "per_doubling": line_fit(np.log2(k), nll.mean(1)).slope},
        "log_better": float(np.mean(better)),
        "resamples": _RESAMPLES,
    }


def _portraits(runs: Runs, watched: Mapping[str, tuple[int, int, int]]) -> dict[str, Any]:
    """What runs say about the same four prompts.

    Returns:
        jobs; prompts: text, truth, and was it shown; final.RUN: [seed][prompt][job]; frames.RUN: steps and
        [step][prompt][job] of seed 0, for the first prompt of each sort.
    """
    asked = exam(0).portraits
    places = (0, len(SHOWN))
    found: dict[str, Any] = {
        "jobs": list(words.JOBS),
        "prompts": [
            {"text": q.text, "truth": CALLINGS.truth(q).p.tolist(), "shown": i < len(SHOWN)}
            for i, q in enumerate(asked)
        ],
        "framed": list(places),
        "final": {},
        "frames": {},
    }
    for name, key in watched.items():
        looks = [{int(step): p for step, p in result["portraits"].items()} for result in runs[key]]
        last = max(looks[0])
        found["final"][name] = [look[last] for look in looks]
        steps = sorted(looks[0])
        found["frames"][name] = {"step": steps, "p": [[looks[0][step][i] for i in places] for step in steps]}
    return found


def _constant(plan: Plan) -> dict[str, Any]:
    """The best single law for all questions, by seed: the mean of the truths of its test questions."""
    rows = []
    for seed in range(plan.seeds):
        sat = exam(seed, short=plan.short)
        truth = sat.truths(sat.test)
        rows.append(marks_of(truth, np.log(np.broadcast_to(truth.mean(0), truth.shape))))
    return {name: over_seeds(np.array([row[name] for row in rows])) for name in NUMBERS}


def _base(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: over_seeds(np.array([result["marks"][0][name] for result in results])) for name in NUMBERS}


def table(results: dict[str, Any]) -> Table:
    """KL to the truth by arm and K, at the end and at the best checkpoint."""
    rows = []
    for arm, by_k in results["arms"].items():
        for name, one in by_k.items():
            numbers = [
                f"{one[w]['kl']['mean']:.3f} ({one[w]['kl']['lo']:.3f} to {one[w]['kl']['hi']:.3f})" for w in WHENS
            ]
            rows.append((arm, name[1:], f"{one['prompts']}", f"{one['pairs']}", f"{one['updates']}", *numbers))
    return Table(
        title=f"KL to the truth, nats; a constant answer has {results['constant']['kl']['mean']:.3f}.",
        columns=("arm", "K", "prompts", "pairs", "updates", "at the end", "best checkpoint"),
        rows=tuple(rows),
    )
