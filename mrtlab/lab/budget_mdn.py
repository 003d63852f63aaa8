"""Does the best K of the variance law carry over to trained models? The paper's experiment 2, with controls.

The retrainings are those of `mode_lottery`: the paper's network and training, new prompts, responses and starting
weights each time, trained to the end or stopped early on held-out prompts. Two arms:

=========  ==========================  =====================================================
arm        prompts                     what it holds fixed
=========  ==========================  =====================================================
cost       ⌊400 / (4 + K)⌋             the total cost, a prompt at 4 and a response at 1
matched    240 / K                     240 training pairs; more responses mean fewer prompts
=========  ==========================  =====================================================

What the law predicts for this network is measured beside it: V_x and V_{y|x} of the loss of untrained networks, as
the authors do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import t

from mrtlab.lab import mdn, mode_lottery, stats
from mrtlab.lab.mode_lottery import STOPPINGS, WORLD, LotteryCell
from mrtlab.lab.registry import Table
from mrtlab.theory.budget import optimal_k, variance
from mrtlab.theory.components import Components, estimate_components

PROMPT_COST, RESPONSE_COST, BUDGET, PAIRS = 4.0, 1.0, 400.0, 240
ARMS: dict[str, dict[int, int]] = {
    "cost": {k: int(BUDGET // (PROMPT_COST + k * RESPONSE_COST)) for k in (1, 2, 4, 6, 8, 12, 16)},
    "matched": {k: PAIRS // k for k in (1, 2, 4, 8, 16)},
}
FLAT = 1.05  # a K whose predicted variance is within 5 % of the smallest counts as predicted best
TABLE_PROMPTS, TABLE_RESPONSES = 400, 8

_TABLE_STREAM, _WEIGHT_STREAM = 41, 42
_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class ComponentsCell:
    """Variance components of the loss of several untrained networks."""

    seed: int
    networks: int

    @property
    def label(self) -> str:
        """Such as "components-seed3"."""
        return f"components-seed{self.seed}"


SCALES: dict[str, mode_lottery.Scale] = {
    "smoke": mode_lottery.Scale(seeds=2, retrainings=3, steps=20),
    "book": mode_lottery.Scale(seeds=6, retrainings=20, steps=400),
    "full": mode_lottery.Scale(seeds=50, retrainings=40, steps=400),
}


def places() -> list[tuple[int, int]]:
    """The different (prompts, K) that the arms visit, sorted."""
    return sorted({(n_prompts, k) for arm in ARMS.values() for k, n_prompts in arm.items()})


def cells(scale: str) -> Sequence[LotteryCell | ComponentsCell]:
    """The cells of a run, seed by seed."""
    size = SCALES[scale]
    found: list[LotteryCell | ComponentsCell] = []
    for seed in range(size.seeds):
        found.append(ComponentsCell(seed=seed, networks=size.retrainings))
        found += [
            LotteryCell(
                n_prompts=n_prompts,
                k=k,
                stopping=stopping,
                seed=seed,
                retrainings=size.retrainings,
                steps=size.steps,
            )
            for n_prompts, k in places()
            for stopping in STOPPINGS
        ]
    return found


def run_cell(cell: LotteryCell | ComponentsCell) -> dict[str, Any]:
    """Retrain and test as `mode_lottery` does, or measure the components of untrained networks.

    Returns:
        see `mode_lottery.run_cell`; components cells: v_x and v_yx, one entry per network.
    """
    if isinstance(cell, LotteryCell):
        return mode_lottery.run_cell(cell)
    rng = np.random.default_rng([_WEIGHT_STREAM, cell.seed])
    weights = mdn.stack([mdn.init_weights(mdn.MDNConfig(), rng=rng) for _ in range(cell.networks)])
    x, y = WORLD.sample(TABLE_PROMPTS, TABLE_RESPONSES, rng=np.random.default_rng([_TABLE_STREAM, cell.seed]))
    with mdn.one_thread(), torch.no_grad():
        prompts, answers = (torch.tensor(v, dtype=torch.float32).expand(cell.networks, -1, -1) for v in (x, y))
        loss = -mdn.forward(weights, prompts).logp(answers).double().numpy()
    found = [estimate_components(network).components for network in loss]
    return {"v_x": [float(c.prompt) for c in found], "v_yx": [float(c.response) for c in found]}


def summarise(outcomes: Sequence[tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        design, floors; predicted: v_x, v_yx, ratio, k_star (mean over seeds, with interval) and flat, the K of the
        cost arm within 5 % of the predicted minimum;
        arms.ARM.kN: n_prompts, pairs, final and stopped with `stats.summary` of nll and modes, and difference:
            mean loss minus that at K = 1, with Student's 95 % interval over seeds (they share test sets);
        argmin.ARM.STOPPING: K with the lowest mean loss, its 95 % bootstrap interval, how often each K came out
            lowest, in_flat (share of resamples in which it is among the predicted), and median: K with the lowest
            median loss.
    """
    rng = np.random.default_rng(0)
    trained = {(c.n_prompts, c.k, c.stopping, c.seed): r for c, r in outcomes if isinstance(c, LotteryCell)}
    seeds = sorted({c.seed for c, _ in outcomes})
    first = next(c for c, _ in outcomes if isinstance(c, LotteryCell))

    def table(place: tuple[int, int], stopping: str, measure: str = "nll") -> np.ndarray:
        return np.array([trained[(*place, stopping, seed)][measure] for seed in seeds])

    predicted = _predicted([r for c, r in outcomes if isinstance(c, ComponentsCell)])
    arms: dict[str, Any] = {}
    argmin: dict[str, Any] = {}
    for arm, path in ARMS.items():
        arms[arm] = {f"k{k}": {"n_prompts": n_prompts, "pairs": n_prompts * k} for k, n_prompts in path.items()}
        argmin[arm] = {}
        for stopping in STOPPINGS:
            nll = {k: table((n_prompts, k), stopping) for k, n_prompts in path.items()}
            argmin[arm][stopping] = _argmin(nll, predicted["flat"], rng)
            for k, n_prompts in path.items():
                arms[arm][f"k{k}"][stopping] = {
                    "difference": _difference(nll[k], nll[1]),
                    "modes": stats.summary(table((n_prompts, k), stopping, "modes"), rng=rng),
                    "nll": stats.summary(nll[k], rng=rng),
                }
    return {
        "argmin": argmin,
        "arms": arms,
        "design": {
            "budget": BUDGET,
            "k": {arm: sorted(path) for arm, path in ARMS.items()},
            "pairs": PAIRS,
            "prompt_cost": PROMPT_COST,
            "response_cost": RESPONSE_COST,
            "retrainings": first.retrainings * len(seeds),
            "seeds": len(seeds),
            "steps": first.steps,
            "unit": "nats per response",
        },
        "floors": {"constant_gaussian": WORLD.constant_gaussian_loss, "entropy": WORLD.entropy},
        "predicted": predicted,
    }


def _predicted(results: list[dict[str, Any]]) -> dict[str, Any]:
    """What the law says for this network, from the components of untrained ones."""
    by_seed = [Components(float(np.mean(r["v_x"])), float(np.mean(r["v_yx"]))) for r in results]
    mean = Components(float(np.mean([c.prompt for c in by_seed])), float(np.mean([c.response for c in by_seed])))
    stars = np.array([float(optimal_k(c, PROMPT_COST, RESPONSE_COST)) for c in by_seed])
    half = _half_width(stars)
    law = {k: float(variance(mean, n_prompts, k)) for k, n_prompts in ARMS["cost"].items()}
    return {
        "flat": [k for k, v in law.items() if v <= FLAT * min(law.values())],
        "k_star": float(optimal_k(mean, PROMPT_COST, RESPONSE_COST)),
        "k_star_hi": float(stars.mean() + half),
        "k_star_lo": float(stars.mean() - half),
        "law": {f"k{k}": v for k, v in law.items()},
        "ratio": mean.ratio,
        "v_x": mean.prompt,
        "v_yx": mean.response,
    }


def _argmin(nll: dict[int, np.ndarray], flat: list[int], rng: np.random.Generator) -> dict[str, Any]:
    """K of the lowest mean loss; seeds are redrawn for all K together, retrainings for each K by itself."""
    ks = np.array(sorted(nll))
    shape = nll[1].shape
    rows, _ = stats.nested_resamples(shape, n=_RESAMPLES, rng=rng)
    means = []
    for k in ks:
        _, columns = stats.nested_resamples(shape, n=_RESAMPLES, rng=rng)
        means.append(nll[int(k)][rows, columns].mean((1, 2)))
    lowest = ks[np.argmin(means, axis=0)]
    return {
        "hi": int(np.percentile(lowest, 97.5, method="higher")),
        "in_flat": float(np.isin(lowest, flat).mean()),
        "k": int(ks[np.argmin([nll[int(k)].mean() for k in ks])]),
        "lo": int(np.percentile(lowest, 2.5, method="lower")),
        "median": int(ks[np.argmin([np.median(nll[int(k)]) for k in ks])]),
        "share": {f"k{k}": float(np.mean(lowest == k)) for k in ks},
    }


def _difference(table: np.ndarray, single: np.ndarray) -> dict[str, float]:
    """Mean loss minus that at K = 1, seed by seed."""
    by_seed = table.mean(1) - single.mean(1)
    half = _half_width(by_seed)
    return {"hi": float(by_seed.mean() + half), "lo": float(by_seed.mean() - half), "mean": float(by_seed.mean())}


def _half_width(by_seed: np.ndarray) -> float:
    """Half of Student's 95 % interval for the mean."""
    return float(t.ppf(0.975, len(by_seed) - 1) * by_seed.std(ddof=1) / np.sqrt(len(by_seed)))


def table(results: dict[str, Any]) -> Table:
    """Headline numbers, one row per arm and K."""
    rows = []
    for arm in ARMS:
        for name, place in results["arms"][arm].items():
            final, stopped = place["final"]["nll"], place["stopped"]["nll"]
            rows.append((
                arm, name.removeprefix("k"), f"{place['n_prompts']}", f"{place['pairs']}",
                f"{final['mean']:.1f} ± {final['sd']:.1f}", f"{stopped['mean']:.3f} ± {stopped['sd']:.3f}",
            ))  # fmt: skip
    return Table(
        title=(
            f"Test loss over {results['design']['retrainings']} retrainings, mean ± sd, nats per response. "
            f"K* by the law: {results['predicted']['k_star']:.1f}.\nBest constant Gaussian "
            f"{results['floors']['constant_gaussian']:.2f}, truth {results['floors']['entropy']:.2f}."
        ),
        columns=("arm", "K", "prompts", "pairs", "to the end", "stopped early"),
        rows=tuple(rows),
    )
