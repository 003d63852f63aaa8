"""From the cells of the variance law to the numbers of its artifact. Editing this file makes no cell stale."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mrtlab.lab import stats
from mrtlab.lab.gradient_law import STAGES, GradientCell
from mrtlab.lab.registry import Table
from mrtlab.lab.variance_law import (
    BUDGET,
    COST_K,
    K_VALUES,
    N_PROMPTS,
    POOL,
    PROMPT_COST,
    RESPONSE_COST,
    affordable,
)
from mrtlab.theory.budget import optimal_k, variance, variance_frozen_pool
from mrtlab.theory.components import Components

FLAT = 1.05  # a K whose variance is within 5 % of the smallest counts as good as the best
_RESAMPLES = 2000


def summarise(outcomes: Sequence[tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        design: seeds (networks), draws, prompts, costs.
        fresh: v_x, v_yx, ratio, floor (means over networks); kN: law and measured variance and their quotients
            with K = 1; r2 (fit of a + b/K) and r2_law (the law itself), smallest over networks; worst_error,
            largest |measured/law − 1|; tolerance, 4·sqrt(2/draws); by_seed.
        frozen.kN: measured, law with the factor 1 − K/50, law without it.
        cost: k_star, best (integer K of the law), argmin with interval, flat range, kN curve, at_k1 and at_k32
            (variance over that at the best K, with interval), by_seed.
        gradient.stepN: loss and gradient, each ratio and k_star (median over networks, lowest, highest), and
            smaller: in how many networks K* by gradient is below K* by loss.
    """
    parts: dict[str, list[dict[str, Any]]] = {"fresh": [], "frozen": [], "cost": [], "gradient": []}
    draws = {}
    for cell, result in sorted(outcomes, key=lambda pair: pair[0].seed):
        part = "gradient" if isinstance(cell, GradientCell) else cell.part
        parts[part].append(result)
        if part != "gradient":
            draws[part] = cell.draws
    return {
        "cost": _cost(parts["cost"], np.random.default_rng(0)),
        "design": {
            "budget": BUDGET,
            "draws": draws,
            "n_prompts": N_PROMPTS,
            "pool": POOL,
            "prompt_cost": PROMPT_COST,
            "response_cost": RESPONSE_COST,
            "seeds": len(parts["fresh"]),
        },
        "fresh": _fresh(parts["fresh"], draws["fresh"]),
        "frozen": _frozen(parts["frozen"], parts["fresh"]),
        "gradient": {f"step{step}": _gradient([r[f"step{step}"] for r in parts["gradient"]]) for step in STAGES},
    }


def _components(result: dict[str, Any]) -> Components:
    return Components(prompt=result["v_x"], response=result["v_yx"])


def _mean_components(results: list[dict[str, Any]]) -> Components:
    """The law is linear in V_x and V_{y|x}, so the mean over networks obeys it with the mean components."""
    return Components(
        prompt=float(np.mean([r["v_x"] for r in results])), response=float(np.mean([r["v_yx"] for r in results]))
    )


def _fresh(results: list[dict[str, Any]], draws: int) -> dict[str, Any]:
    inverse = 1 / np.array(K_VALUES)
    by_seed = []
    for result in results:
        law = np.array([variance(_components(result), N_PROMPTS, k) for k in K_VALUES])
        measured = np.array(result["var"]).mean(1)
        by_seed.append(
            {
                "r2": stats.line_fit(inverse, measured).r2,
                "r2_law": float(1 - np.sum((measured - law) ** 2) / np.sum((measured - measured.mean()) ** 2)),
                "ratio": _components(result).ratio,
                "v_x": result["v_x"],
                "v_yx": result["v_yx"],
                "worst_error": float(np.max(np.abs(measured / law - 1))),
            }
        )
    mean = _mean_components(results)
    measured = np.mean([np.array(r["var"]).mean(1) for r in results], axis=0)
    law = np.array([variance(mean, N_PROMPTS, k) for k in K_VALUES])
    return {
        "by_seed": by_seed,
        "floor": mean.prompt / N_PROMPTS,
        "r2": min(s["r2"] for s in by_seed),
        "r2_law": min(s["r2_law"] for s in by_seed),
        "ratio": mean.ratio,
        "tolerance": float(4 * np.sqrt(2 / draws)),
        "v_x": mean.prompt,
        "v_yx": mean.response,
        "worst_error": max(s["worst_error"] for s in by_seed),
    } | {
        f"k{k}": {
            "law": float(law[i]),
            "law_share": float(law[i] / law[0]),
            "measured": float(measured[i]),
            "measured_share": float(measured[i] / measured[0]),
        }
        for i, k in enumerate(K_VALUES)
    }


def _frozen(results: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> dict[str, Any]:
    measured = np.mean([r["var"] for r in results], axis=0)
    pool = float(np.mean([r["pool_variance"] for r in results]))
    law = [float(variance_frozen_pool(Components(0.0, pool), N_PROMPTS, k, POOL)) for k in K_VALUES]
    return {
        f"k{k}": {
            "fresh_law": float(variance(_mean_components(fresh), N_PROMPTS, k)),
            "law": law[i],
            "measured": float(measured[i]),
            "without_factor": pool / (N_PROMPTS * k),
        }
        for i, k in enumerate(K_VALUES)
    } | {"worst_error": float(np.max(np.abs(measured / np.array(law) - 1)))}


def _cost(results: list[dict[str, Any]], rng: np.random.Generator) -> dict[str, Any]:
    ks = np.array(COST_K)
    batches = np.array([r["var"] for r in results])  # networks, K, batches
    pooled = _argmin(batches, _mean_components(results), rng)
    drawn = _redraw(batches, rng).mean(0)  # resamples, K
    best = int(np.flatnonzero(ks == pooled["best"])[0])
    mean = _mean_components(results)
    curve = {
        f"k{k}": {
            "law": float(variance(mean, affordable(k), k)),
            "measured": float(batches[:, i].mean()),
            "measured_hi": float(np.percentile(drawn[:, i], 97.5)),
            "measured_lo": float(np.percentile(drawn[:, i], 2.5)),
            "n_prompts": affordable(k),
        }
        for i, k in enumerate(COST_K)
    }
    extra = {}
    for k in (1, 32):
        at = int(np.flatnonzero(ks == k)[0])
        quotient = drawn[:, at] / drawn[:, best]
        extra[f"at_k{k}"] = {
            "ratio": float(batches[:, at].mean() / batches[:, best].mean()),
            "lo": float(np.percentile(quotient, 2.5)),
            "hi": float(np.percentile(quotient, 97.5)),
        }
    by_seed = [_argmin(batches[i : i + 1], _components(r), rng) for i, r in enumerate(results)]
    inside = sum(s["flat_lo"] <= s["argmin"] <= s["flat_hi"] for s in by_seed)
    return pooled | extra | {"by_seed": by_seed, "curve": curve, "inside_flat": inside, "k": list(COST_K)}


def _redraw(batches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Variance estimates of resampled draws: (networks, resamples, K)."""
    networks, n_k, n_batches = batches.shape
    picks = rng.integers(n_batches, size=(networks, _RESAMPLES, n_k, n_batches), dtype=np.int8)
    return np.stack([
        np.take_along_axis(np.broadcast_to(table, (_RESAMPLES, n_k, n_batches)), pick.astype(int), axis=2).mean(2)
        for table, pick in zip(batches, picks, strict=True)
    ])  # fmt: skip


def _argmin(batches: np.ndarray, components: Components, rng: np.random.Generator) -> dict[str, Any]:
    """Where the measured curve is lowest, with a bootstrap interval, beside what the law says."""
    ks = np.array(COST_K)
    law = np.array([float(variance(components, affordable(k), k)) for k in COST_K])
    lowest = ks[np.argmin(_redraw(batches, rng).mean(0), axis=1)]
    flat = ks[law <= FLAT * law.min()]
    return {
        "argmin": int(ks[np.argmin(batches.mean((0, 2)))]),
        "argmin_hi": int(np.percentile(lowest, 97.5, method="higher")),
        "argmin_lo": int(np.percentile(lowest, 2.5, method="lower")),
        "best": int(ks[np.argmin(law)]),
        "flat_hi": int(flat.max()),
        "flat_lo": int(flat.min()),
        "k_star": float(optimal_k(components, PROMPT_COST, RESPONSE_COST)),
    }


def _gradient(results: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    stars = {}
    for name in ("loss", "gradient"):
        # An estimate of V_x can come out below 0 by chance; a ratio of a thousand then says "very large".
        parts = [Components(max(r[name]["v_x"], 1e-3 * r[name]["v_yx"]), r[name]["v_yx"]) for r in results]
        stars[name] = np.array([float(optimal_k(c, PROMPT_COST, RESPONSE_COST)) for c in parts])
        found[name] = {"k_star": _spread(stars[name]), "ratio": _spread(np.array([c.ratio for c in parts]))}
    return found | {"networks": len(results), "smaller": int(np.sum(stars["gradient"] < stars["loss"]))}


def _spread(values: np.ndarray) -> dict[str, float]:
    return {"highest": float(values.max()), "lowest": float(values.min()), "median": float(np.median(values))}


def table(results: dict[str, Any]) -> Table:
    """Headline numbers of the artifact, one row per K of the fresh draws."""
    fresh, cost = results["fresh"], results["cost"]
    return Table(
        title=(
            f"Variance of the mean loss over {results['design']['draws']['fresh']} fresh data sets, mean of "
            f"{results['design']['seeds']} networks.\nSmallest R² of a + b/K: {fresh['r2']:.4f}. At fixed cost: "
            f"K* = {cost['k_star']:.2f}, lowest measured at K = {cost['argmin']} "
            f"({cost['argmin_lo']} to {cost['argmin_hi']})."
        ),
        columns=("K", "law", "measured", "share of K = 1"),
        rows=tuple(
            (f"{k}", f"{v['law']:.4g}", f"{v['measured']:.4g}", f"{v['measured_share']:.3f}")
            for k in K_VALUES
            for v in [fresh[f"k{k}"]]
        ),
    )
