"""What the arms of chapter 8 add up to: right answers, different answers, adapters apart, and parts; all over seeds."""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.data.tasks.story_words import TONES
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds
from mrtlab.lab.spa_adapters import BASELINE, LONE, PLANS, AdaptersCell, Arm, Plan, judged
from mrtlab.lab.spa_data import exam, family_of
from mrtlab.lab.spa_world import BASE_STEPS, BATCH, LISSA_BATCH, LISSA_DEPTH, LR, RANK, STEPS, N
from mrtlab.theory.distributions import effective_support

PASS_AT = 5  # the paper's k
_HEADLINE = ("pass@1", "pass@few", "distinct_right", "pair_share", "unique_share")
_SHOWN = ("double", "larger", "sum of three")  # specifications whose answers are kept word for word, of seed 0
Outcome = tuple[Arm, dict[str, Any]]


def summarise(finished: Sequence[tuple[AdaptersCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        domains.DOMAIN.ARM.kK.TEMPERATURE: over seeds, the measures of `mrtlab.spa.diversity.judge_answers` averaged
            over questions; pass@few, which is pass@5 if there are five answers; pass@all, one right at all; of stories
            also tones; less.OTHER: some of them less those of the arms `BASELINE` at the same K and temperature;
        less_one.DOMAIN.ARM.TEMPERATURE: of an arm at the main K: cold, less one adapter at its lowest temperature;
            matched, less one adapter where it is as often right, see `_matched`;
        kl.DOMAIN.ARM.kK: symmetric, nats per token; sizes.DOMAIN.ARM.kK: largest and smallest part over an even one;
        agreement.DOMAIN.ARM.OTHER: of parts at the main K, the best matching of their names; chance: of one with the
            other shuffled; stability.DOMAIN;
        shown: answers of every adapter to a few questions, seed 0; design.
    """
    outcomes = [(arm, result[arm.key]) for cell, result in finished for arm in cell.each()]
    plan = _plan(outcomes)
    tables = _tables(outcomes)
    domains = list(dict.fromkeys(cell.domain for cell, _ in outcomes))
    return {
        "domains": {domain: _domain(tables, domain) for domain in domains},
        "less_one": {domain: _less_one(tables, domain, plan.k) for domain in domains},
        "kl": {domain: _over(_kls(outcomes, domain, plan.k)) for domain in domains},
        "sizes": {domain: _over(_sizes(outcomes, domain)) for domain in domains},
        "agreement": {domain: _agreements(outcomes, domain, plan.k) for domain in domains},
        "stability": {domain: _stability(outcomes, domain) for domain in domains},
        "shown": _shown(outcomes, plan.k),
        "design": _design(outcomes, plan),
    }


def _plan(outcomes: Sequence[Outcome]) -> Plan:
    """Whose cells these are: the plan with as few adapters."""
    return PLANS["smoke" if outcomes[0][0].short else "book"]


Key = tuple[str, str, int, str]  # domain, arm, K, temperature
Tables = dict[Key, list[dict[str, float]]]  # a row of measures for each seed


def _tables(outcomes: Sequence[Outcome]) -> Tables:
    """Measures of every arm, seed by seed. The first K of twelve adapters on all the data are the control at K."""
    found: Tables = {}
    for cell, result in outcomes:
        for temperature, answers in result["answers"].items():
            ks = {cell.k}
            if cell.arm == "seeds":
                ks |= {c.k for c, _ in outcomes if c.domain == cell.domain and c.arm not in LONE}
            for k in sorted(ks):
                some = [row[:k] for row in answers]
                found.setdefault((cell.domain, cell.arm, k, temperature), []).append(_measures(cell, some))
    return found


def _measures(cell: Arm, answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """Means over the questions of an exam."""
    from mrtlab.spa.diversity import judge_answers
    from mrtlab.spa.kin import kinds

    programs = cell.domain.startswith("programs")
    right = judged(cell, answers)
    few = min(PASS_AT, len(answers[0]))
    rows = [
        judge_answers(some, ok, ks=(few,), kind=kinds if programs else None).numbers
        for some, ok in zip(answers, right, strict=True)
    ]
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    found["pass@few"] = found[f"pass@{few}"]
    found["pass@all"] = float(np.mean([any(ok) for ok in right]))
    if cell.domain == "stories":
        found["tones"] = _tones(cell, answers, right)
    return found


def _tones(cell: Arm, answers: Sequence[Sequence[str]], right: Sequence[Sequence[bool]]) -> float:
    """Effective number of tones among the right stories to a question: exp of the entropy of their mean posterior."""
    stories, worth = family_of("stories"), []
    for question, some, ok in zip(exam("stories", seed=cell.seed, short=cell.short), answers, right, strict=True):
        topic = question.slots[0]
        told = [stories.posterior(topic, text).sum(1) for text, good in zip(some, ok, strict=True) if good]
        if told:
            worth.append(float(effective_support(np.mean(told, axis=0))))
    return float(np.mean(worth)) if worth else 0.0


def _domain(tables: Tables, domain: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (where, arm, k, temperature), rows in tables.items():
        if where != domain:
            continue
        # A part that is empty in one seed leaves it an answer less, and with it another pass@k: what all seeds have.
        shared = [name for name in rows[0] if all(name in row for row in rows)]
        here = {name: over_seeds(_column(rows, name)) for name in shared}
        less = {}
        for other in BASELINE:
            beside = tables.get((domain, other, k, temperature))
            if beside and other != arm and arm not in LONE:
                less[other] = {
                    name: over_seeds(_column(rows, name) - _column(beside, name)) for name in _compared(rows)
                }
        found.setdefault(arm, {}).setdefault(f"k{k}", {})[temperature] = here | ({"less": less} if less else {})
    return found


def _less_one(tables: Tables, domain: str, k: int) -> dict[str, Any]:
    """Every arm at the main K beside one adapter that is drawn from K times."""
    one = {float(t): rows for (where, arm, _, t), rows in tables.items() if where == domain and arm == "one"}
    cold = one[min(one)]
    found: dict[str, Any] = {}
    for (where, arm, n, temperature), rows in tables.items():
        if where == domain and n == k and arm not in LONE:
            found.setdefault(arm, {})[temperature] = {
                "cold": {name: over_seeds(_column(rows, name) - _column(cold, name)) for name in _compared(rows)},
                "matched": {
                    name: over_seeds(_column(rows, name) - _matched(one, rows, name)) for name in _compared(rows)[1:]
                },
            }
    return found


def _matched(
    one: Mapping[float, list[dict[str, float]]], rows: Sequence[Mapping[str, float]], name: str
) -> Float[np.ndarray, "seeds"]:
    """A measure of one adapter at the temperature at which its pass@1 is that of `rows`, seed by seed.

    Between neighbouring temperatures the line is straight; of several that have that pass@1 the one with the largest
    measure counts, in favour of one adapter. Above the best and below the worst pass@1 stands the nearest.
    """
    found = []
    for seed, row in enumerate(rows):
        curve = [(one[t][seed]["pass@1"], one[t][seed][name]) for t in sorted(one)]
        found.append(_along(curve, row["pass@1"]))
    return np.array(found)


def _along(curve: Sequence[tuple[float, float]], right: float) -> float:
    """The largest height of a broken line over a place, or that of its nearest corner.

    >>> _along([(0.75, 1.0), (0.25, 2.0), (0.5, 4.0)], 0.375), _along([(0.75, 1.0), (0.25, 2.0)], 0.9)
    (3.0, 1.0)
    """
    met = [
        float(np.interp(right, *zip(*sorted(ends), strict=True)))
        for ends in pairwise(curve)
        if min(ends)[0] <= right <= max(ends)[0]
    ]
    return max(met) if met else min(curve, key=lambda corner: abs(corner[0] - right))[1]


def _kls(outcomes: Sequence[Outcome], domain: str, main: int) -> dict[str, dict[str, list[float]]]:
    """Symmetric KL, arm by arm and K by K."""
    from mrtlab.spa.diversity import symmetric_kl

    found: dict[str, dict[str, list[float]]] = {}
    for cell, result in outcomes:
        if cell.domain == domain and "kl" in result:
            matrix = np.array(result["kl"])
            for k in {cell.k, main} if cell.arm == "seeds" else {cell.k}:
                at = found.setdefault(cell.arm, {}).setdefault(f"k{k}", [])
                at.append(symmetric_kl(matrix[:k, :k]))
    return found


def _sizes(outcomes: Sequence[Outcome], domain: str) -> dict[str, dict[str, dict[str, list[float]]]]:
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for cell, result in outcomes:
        if cell.domain == domain and "part" in result:
            even = len(result["part"]) / cell.k
            sizes = np.bincount(result["part"], minlength=cell.k) / even
            at = found.setdefault(cell.arm, {}).setdefault(f"k{cell.k}", {"largest": [], "smallest": []})
            at["largest"].append(float(sizes.max()))
            at["smallest"].append(float(sizes.min()))
    return found


def _agreements(outcomes: Sequence[Outcome], domain: str, k: int) -> dict[str, Any]:
    """Between the partitions of any two arms at the main K, and between two by chance."""
    from mrtlab.spa.partition import Partition, agreement

    by_seed: dict[int, dict[str, Partition]] = {}
    for cell, result in outcomes:
        if cell.domain == domain and "part" in result and cell.k == k:
            by_seed.setdefault(cell.seed, {})[cell.arm] = Partition(np.array(result["part"]), cell.k, cell.arm)
    arms = list(next(iter(by_seed.values()), {}))
    found: dict[str, Any] = {}
    for a, b in combinations(arms, 2):
        values, chance = [], []
        for seed, parts in by_seed.items():
            rng = np.random.default_rng([88, seed])
            shuffled = Partition(rng.permutation(parts[b].part), parts[b].k, "shuffled")
            values.append(agreement(parts[a], parts[b]))
            chance.append(agreement(parts[a], shuffled))
        found.setdefault(a, {})[b] = over_seeds(np.array(values)) | {"chance": float(np.mean(chance))}
    return found


def _stability(outcomes: Sequence[Outcome], domain: str) -> Any:
    values = [np.mean(r["stability"]) for c, r in outcomes if c.domain == domain and "stability" in r]
    return over_seeds(np.array(values)) if len(values) > 1 else None


def _shown(outcomes: Sequence[Outcome], k: int) -> list[dict[str, Any]]:
    """Greedy answers of every arm at the main K to the first question on some specifications, with verdicts, seed 0."""
    found: list[dict[str, Any]] = []
    first = [(c, r) for c, r in outcomes if c.seed == 0 and c.domain == "programs" and "0.0" in r["answers"]]
    if not first:
        return found
    asked = exam("programs", seed=0, short=first[0][0].short)
    for name in _SHOWN:
        place = next((i for i, question in enumerate(asked) if question.slots[0] == name), None)
        if place is None:
            continue
        arms = {}
        for cell, result in first:
            if cell.k == k or cell.arm == "seeds":
                answers = result["answers"]["0.0"][place][:k]
                ok = [family_of("programs").valid(asked[place], answer) for answer in answers]
                arms[cell.arm] = {"answers": answers, "right": ok}
        found.append({"question": asked[place].text, "arms": arms})
    return found


def _design(outcomes: Sequence[Outcome], plan: Plan) -> dict[str, Any]:
    cell = outcomes[0][0]
    return {
        "seeds": len({c.seed for c, _ in outcomes}),
        "pairs": N,
        "steps": STEPS,
        "base_steps": BASE_STEPS,
        "batch": BATCH,
        "rank": RANK,
        "lr": LR,
        "k": plan.k,
        "ks": sorted({plan.k, *plan.ks}),
        "one_at": list(plan.one_at),
        "lissa": {"depth": LISSA_DEPTH, "batch": LISSA_BATCH},
        "tones": len(TONES),
        "questions": {
            domain: len(exam(domain, seed=0, short=cell.short))
            for domain in dict.fromkeys(c.domain for c, _ in outcomes)
        },
        "pass_at": PASS_AT,
    }


def _over(values: Any) -> Any:
    """Lists of a number for each seed as means with intervals, however deep they lie."""
    if isinstance(values, Mapping):
        return {name: _over(value) for name, value in values.items()}
    return over_seeds(np.array(values))


def _column(rows: Sequence[Mapping[str, float]], name: str) -> Float[np.ndarray, "seeds"]:
    return np.array([row[name] for row in rows])


def _compared(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Measures that are set side by side."""
    return [name for name in (*_HEADLINE, "right_kinds", "tones") if name in rows[0]]


def table(results: dict[str, Any]) -> Table:
    """Right and different answers, arm by arm, greedy where there are several adapters."""
    rows = []
    for domain, arms in results["domains"].items():
        for arm, by_k in arms.items():
            k = f"k{results['design']['k']}"
            by_temperature = by_k[k]
            t, here = next(iter(by_temperature.items()))
            kl = results["kl"][domain].get(arm, {}).get(k)
            rows.append(
                (
                    domain,
                    arm,
                    f"{float(t):.1f}",
                    f"{here['pass@1']['mean']:.3f}",
                    f"{here['distinct_right']['mean']:.2f}",
                    f"{here['unique_share']['mean']:.0%}",
                    f"{here['pair_share']['mean']:.0%}",
                    f"{kl['mean']:.3f}" if kl else "",
                )
            )
    return Table(
        title="Eight answers to a question: share right, different right ones, unique share, pairs that differ, KL.",
        columns=("domain", "arm", "temperature", "pass@1", "right, different", "unique", "pairs", "nats"),
        rows=tuple(rows),
    )
