"""Callings, the budget: which K trains best for the same tokens, and does the variance measured beforehand say so?

Prompts go through the model once for all their responses, so a prompt with sixteen costs less than twice one with one.
All runs feed about as many tokens in as many updates; a larger K means fewer prompts in each. Before any training the
variances of loss and gradient are measured on a first, small data set, as `mrtlab plan` does it; and once more after
a short training on it, when the model no longer errs in the same way on all prompts.

Beside it: one data set of sixteen responses to each prompt, cut into updates of one, four and sixteen prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mrtlab.lab import subject
from mrtlab.lab.callings_data import exam, groups, prompts
from mrtlab.lab.callings_grid import mark_of
from mrtlab.lab.callings_grid_summary import NUMBERS
from mrtlab.lab.callings_run import Schedule, learn
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds

PROMPTS_PER_UPDATE = {1: 16, 2: 15, 4: 13, 8: 11, 16: 9}  # about 490 tokens each, see the cells' own counts
CUT = (1, 4, 16)  # prompts in an update, at K = 16
WHENS = ("final", "best")
_PILOT = (64, 8)  # prompts and responses that the variances are measured on
_PILOT_PER_UPDATE = 4  # prompts; one pass of the pilot, then the variances are measured again
_FLAT = 1.05  # a K is as good as the best if its predicted variance is at most so many times the least
_RESAMPLES = 4000


@dataclass(frozen=True, kw_only=True)
class BudgetCell:
    """One training run, or one measurement of the variances on a seed's first prompts."""

    what: Literal["tokens", "cut", "variances"]
    k: int
    n_prompts: int
    per_update: int
    seed: int
    weights: str
    short: bool

    @property
    def label(self) -> str:
        """Such as "tokens-k4-b13-seed3"."""
        return f"{self.what}-k{self.k}-b{self.per_update}-seed{self.seed}"


def cells(scale: str) -> Sequence[BudgetCell]:
    """Variances first, then every K at equal tokens and every cut, seed by seed."""
    updates, n_cut, pilot, seeds = {
        "smoke": (2, 32, (6, 3), 2),
        "book": (256, 512, _PILOT, 5),
        "full": (512, 512, _PILOT, 10),
    }[scale]
    found = []
    for seed in range(seeds):
        runs = [("variances", pilot[1], pilot[0], 0)]
        runs += [("tokens", k, updates * b, b) for k, b in PROMPTS_PER_UPDATE.items()]
        runs += [("cut", 16, n_cut, b) for b in CUT]
        found += [
            BudgetCell(
                what=what,
                k=k,
                n_prompts=n,
                per_update=b,
                seed=seed,
                weights=subject.fingerprint(),
                short=scale == "smoke",
            )
            for what, k, n, b in runs
        ]
    return found


def run_cell(cell: BudgetCell) -> dict[str, Any]:
    """Measure, or train on trees and sit the exam along the way; see `learn`. Adds the tokens that were fed."""
    records = groups(prompts(cell.n_prompts, seed=cell.seed), cell.k, seed=cell.seed)
    if cell.what == "variances":
        return _before_and_later(records, cell)
    updates = cell.n_prompts // cell.per_update
    schedule = Schedule(updates=updates, batch=cell.per_update, marks=tuple(updates * i // 4 for i in (1, 2, 3)))
    return learn(records, exam(cell.seed, short=cell.short), schedule, seed=cell.seed) | _tokens(records)


def _before_and_later(records: Sequence[Any], cell: BudgetCell) -> dict[str, Any]:
    """Variances of the embedded model, and of one that has trained on other prompts of as many responses."""

    def measure(model: Any, tokenizer: Any) -> dict[str, Any]:
        return {"later": _variances(model, tokenizer, records, cell.seed)}

    others = groups(prompts(2 * cell.n_prompts, seed=cell.seed), cell.k, seed=cell.seed)[cell.n_prompts :]
    schedule = Schedule(updates=max(1, len(others) // _PILOT_PER_UPDATE), batch=_PILOT_PER_UPDATE)
    trained = learn(others, exam(cell.seed, short=cell.short), schedule, seed=cell.seed, afterwards=measure)
    before = _variances(*subject.load(), records, cell.seed)
    return before | {"later": trained["later"], "later_kl": trained["marks"][-1]["kl"]}


def _variances(model: Any, tokenizer: Any, records: Sequence[Any], seed: int) -> dict[str, Any]:
    from mrtlab.training.variances import measure_variances

    found = measure_variances(model, tokenizer, records, max_prompts=len(records), max_responses=16, seed=seed)
    return {
        name: {"prompt": float(v.components.prompt), "response": float(v.components.response)}
        for name, v in (("loss", found.loss), ("gradient", found.gradient))
    } | {"prompt_tokens": found.prompt_tokens, "response_tokens": found.response_tokens}


def _tokens(records: Sequence[Any]) -> dict[str, float]:
    """Tokens fed in all, as trees and as a copy of the prompt for each response."""
    from mrtlab.lm.encode import encode
    from mrtlab.lm.tree import TokenTree

    _, tokenizer = subject.load()
    encoded = (encode(tokenizer, record.prompt, record.responses) for record in records)
    trees = [TokenTree.build(one.prompt_ids, one.answer_ids) for one in encoded]
    return {"tokens": sum(t.n_fed for t in trees), "tokens_as_copies": sum(t.n_fed_apart for t in trees)}


def summarise(outcomes: Sequence[tuple[BudgetCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        tokens.kK: prompts, pairs, tokens (mean over seeds), as copies; final and best with the numbers of `marks_of`;
            minus_k1, KL minus that of K = 1.
        cut.bB: updates, final and best, and minus_b1.
        variances.loss and .gradient: prompt, response and their ratio over seeds; predicted.kK, variance at equal
            tokens relative to the least of the K tried, from the mean variances and the tokens that a prompt with K
            responses really costs; k_star, of the formula with P and R; best and flat, K within 5 % of the least.
            Under `later` the same from the second measurement, and kl of the model that it was made on.
        argmin.WHEN: k, the K of least mean KL; share of each K among resamples of the seeds; in_flat.VARIANCE, share of
            resamples in which the best K is a predicted one; design.
    """
    runs: dict[tuple[str, int, int], list[tuple[BudgetCell, dict[str, Any]]]] = {}
    for cell, result in outcomes:
        runs.setdefault((cell.what, cell.k, cell.per_update), []).append((cell, result))
    by_k = {k: runs["tokens", k, b] for k, b in PROMPTS_PER_UPDATE.items()}
    by_cut = {b: runs["cut", 16, b] for b in CUT}
    measured = next(runs[key] for key in runs if key[0] == "variances")
    variances = _predictions(measured, by_k)
    kl = {when: np.array([_numbers(by_k[k], when, "kl") for k in by_k]) for when in WHENS}
    return {
        "tokens": {f"k{k}": _block(mine, by_k[1], "minus_k1") for k, mine in by_k.items()},
        "cut": {f"b{b}": _block(mine, by_cut[1], "minus_b1") for b, mine in by_cut.items()},
        "variances": variances,
        "argmin": {when: _argmin(kl[when], list(by_k), variances) for when in WHENS},
        "design": {
            "k": list(by_k),
            "cut": list(CUT),
            "pilot": {"prompts": measured[0][0].n_prompts, "responses": measured[0][0].k},
            "updates": by_k[1][0][0].n_prompts // PROMPTS_PER_UPDATE[1],
            "seeds": len(measured),
        },
    }


Runs = Sequence[tuple[BudgetCell, dict[str, Any]]]


def _numbers(runs: Runs, when: str, name: str) -> np.ndarray:
    return np.array([mark_of(result, when)[name] for _, result in runs])


def _block(runs: Runs, base: Runs, called: str) -> dict[str, Any]:
    cell = runs[0][0]
    return {
        "prompts": cell.n_prompts,
        "pairs": cell.n_prompts * cell.k,
        "updates": cell.n_prompts // cell.per_update,
        "per_update": cell.per_update,
        "tokens": float(np.mean([result["tokens"] for _, result in runs])),
        "tokens_as_copies": float(np.mean([result["tokens_as_copies"] for _, result in runs])),
        called: {when: over_seeds(_numbers(runs, when, "kl") - _numbers(base, when, "kl")) for when in WHENS},
    } | {when: {name: over_seeds(_numbers(runs, when, name)) for name in NUMBERS} for when in WHENS}


def _predictions(measured: Runs, by_k: Mapping[int, Runs]) -> dict[str, Any]:
    """What the law says about each K at equal tokens, from what was measured before training, and a little later."""
    costs = {
        k: float(np.mean([result["tokens"] / cell.n_prompts for cell, result in runs])) for k, runs in by_k.items()
    }
    tokens = {name: float(np.mean([r[name] for _, r in measured])) for name in ("prompt_tokens", "response_tokens")}
    before, later = [result for _, result in measured], [result["later"] for _, result in measured]
    return (
        {"tokens_per_prompt": {f"k{k}": float(cost) for k, cost in costs.items()}}
        | tokens
        | _foretold(before, costs, tokens)
        | {
            "later": _foretold(later, costs, tokens)
            | {"kl": over_seeds(np.array([result["later_kl"] for result in before]))}
        }
    )


def _foretold(
    measured: Sequence[Mapping[str, Any]], costs: Mapping[int, float], tokens: Mapping[str, float]
) -> dict[str, Any]:
    """Components, and the law at each K, of loss and of gradient."""
    from mrtlab.theory.budget import optimal_k
    from mrtlab.theory.components import Components

    found: dict[str, Any] = {}
    for name in ("loss", "gradient"):
        prompt, response = (np.array([r[name][of] for r in measured]) for of in ("prompt", "response"))
        mean = Components(prompt=float(prompt.mean()), response=float(response.mean()))
        curve = {k: (mean.prompt + mean.response / k) * cost for k, cost in costs.items()}
        least = min(curve.values())
        found[name] = {
            "prompt": over_seeds(prompt),
            "response": over_seeds(response),
            "ratio": float(mean.response / mean.prompt) if mean.prompt else float("inf"),
            "k_star": float(optimal_k(mean, tokens["prompt_tokens"], tokens["response_tokens"])),
            "predicted": {f"k{k}": float(v / least) for k, v in curve.items()},
            "best": min(curve, key=curve.__getitem__),
            "flat": [k for k, v in curve.items() if v <= _FLAT * least],
        }
    return found


def _argmin(kl: np.ndarray, ks: list[int], variances: Mapping[str, Any]) -> dict[str, Any]:
    """Where the mean over seeds is least, and in how many resamples of the seeds; (K, seeds) in."""
    rows = np.random.default_rng(69).integers(kl.shape[1], size=(_RESAMPLES, kl.shape[1]))
    best = np.array(ks)[kl[:, rows].mean(axis=2).argmin(axis=0)]
    return {
        "k": ks[int(kl.mean(axis=1).argmin())],
        "share": {f"k{k}": float(np.mean(best == k)) for k in ks},
        "in_flat": {name: float(np.isin(best, variances[name]["flat"]).mean()) for name in ("loss", "gradient")},
    }


def table(results: dict[str, Any]) -> Table:
    """What the law predicts and what training gives, by K; then the cuts."""
    rows = []
    for name, one in results["tokens"].items():
        predicted = [f"{results['variances'][v]['predicted'][name]:.2f}" for v in ("loss", "gradient")]
        numbers = [f"{v['mean']:.3f} ({v['lo']:.3f} to {v['hi']:.3f})" for v in (one[when]["kl"] for when in WHENS)]
        rows.append((f"K={name[1:]}", f"{one['prompts']}", f"{one['tokens']:,.0f}", *predicted, *numbers))
    for name, one in results["cut"].items():
        numbers = [f"{v['mean']:.3f} ({v['lo']:.3f} to {v['hi']:.3f})" for v in (one[when]["kl"] for when in WHENS)]
        rows.append((f"{name[1:]} a step", f"{one['prompts']}", f"{one['tokens']:,.0f}", "", "", *numbers))
    return Table(
        title="KL to the truth, nats, at equal tokens; predicted: variance over the least, of loss and of gradient.",
        columns=("", "prompts", "tokens", "loss", "gradient", "at the end", "best checkpoint"),
        rows=tuple(rows),
    )
