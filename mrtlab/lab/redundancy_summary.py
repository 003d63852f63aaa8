"""From the cells of the redundancy experiment to the numbers of its artifact. Editing this file makes no cell stale."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import t

from mrtlab.lab import lottery_gain, stats
from mrtlab.lab.lottery_gain import DIVERSITIES, REDUNDANCIES, SMOOTHINGS, GainCell, ladder
from mrtlab.lab.mode_lottery import HELD_OUT, STOPPINGS, WORLD
from mrtlab.lab.redundancy import ARMS, CLUSTERS, DISTANCES, ClusterLawCell, TriadCell
from mrtlab.lab.registry import Table
from mrtlab.theory import effective_support
from mrtlab.theory.redundancy import ClusterComponents, variance_redundant, variance_same_response

_RESAMPLES = 4000


def percent(value: float) -> int:
    """A dial as a whole number for keys: 0.3 -> 30."""
    return round(100 * value)


def summarise(outcomes: Sequence[tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact; dials in keys are percentages (d30: distance 0.3).

    Returns:
        design, floors;
        law.dN: v_c, v_w, v_yx (means over networks), arms.ARM with law and measured variance; law.worst_error over
            networks, distances and arms but "same", and law.tolerance, 4·sqrt(2/draws);
        triad.STOPPING: single and explicit, and dN.hybrid, dN.implicit, dN.same, each with loss (mean, lo, hi);
            all but single with gain, the loss of "single" minus theirs, and share, gain over explicit's gain, both
            with 95 % bootstrap intervals that redraw seeds and retrainings and keep pairs together;
        gain.sS.vV: support, ratio (None where V_x is 0), and rR with the exact gain of K = 4 over K = 1, the
            simulated one with its interval, and law, the share of the gradient's variance that K = 4 removes;
        gain.worst_z: largest |simulated − exact| in standard errors; gain.monotone: of the exact gains,
        see `_monotone`.
    """
    rng = np.random.default_rng(0)
    by_kind: dict[type, list[tuple[Any, dict[str, Any]]]] = {TriadCell: [], ClusterLawCell: [], GainCell: []}
    for cell, result in outcomes:
        by_kind[type(cell)].append((cell, result))
    first = by_kind[TriadCell][0][0]
    seeds = len({cell.seed for cell, _ in by_kind[TriadCell]})
    return {
        "design": {
            "clusters": CLUSTERS,
            "distances": list(DISTANCES),
            "draws": by_kind[ClusterLawCell][0][0].draws,
            "held_out": HELD_OUT,
            "lotteries": by_kind[GainCell][0][0].lotteries * len(by_kind[GainCell]),
            "retrainings": first.retrainings * seeds,
            "seeds": seeds,
            "steps": first.steps,
            "unit": "nats per response",
        },
        "floors": {"constant_gaussian": WORLD.constant_gaussian_loss, "entropy": WORLD.entropy},
        "gain": _gain([result["gain"] for _, result in by_kind[GainCell]]),
        "law": _law(by_kind[ClusterLawCell]),
        "triad": {stopping: _triad(by_kind[TriadCell], stopping, rng) for stopping in STOPPINGS},
    }


def _law(outcomes: list[tuple[ClusterLawCell, dict[str, Any]]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    errors = []
    for distance in DISTANCES:
        here = [r for cell, r in outcomes if cell.distance == distance]
        expected = np.array([list(_expected(r).values()) for r in here])
        measured = np.array([[r["var"][arm] for arm in ARMS] for r in here])
        known = [arm != "same" for arm in ARMS]  # for "same" the law is an upper bound, see `_expected`
        errors.append(np.abs(measured / expected - 1)[:, known].max())
        found[f"d{percent(distance)}"] = {
            "arms": {
                arm: {"law": float(expected[:, i].mean()), "measured": float(measured[:, i].mean())}
                for i, arm in enumerate(ARMS)
            }
        } | {name: float(np.mean([r[name] for r in here])) for name in ("v_c", "v_w", "v_yx")}
    return found | {
        "tolerance": float(4 * np.sqrt(2 / outcomes[0][0].draws)),
        "worst_error": float(max(errors)),
    }


def _expected(result: dict[str, Any]) -> dict[str, float]:
    """The law for every arm. For "same" it takes a copied response to move every wording's loss alike, which holds
    for near copies only."""
    parts = ClusterComponents(cluster=result["v_c"], variant=result["v_w"], response=result["v_yx"])
    return {
        arm: float(
            variance_same_response(parts, CLUSTERS, p) if arm == "same" else variance_redundant(parts, CLUSTERS, p, k)
        )
        for arm, (p, k) in ARMS.items()
    }


def _triad(outcomes: list[tuple[TriadCell, dict[str, Any]]], stopping: str, rng: np.random.Generator) -> dict[str, Any]:
    results = {(c.arm, c.distance, c.seed): r["nll"] for c, r in outcomes if c.stopping == stopping}
    seeds = sorted({seed for _, _, seed in results})
    tables = {
        (arm, distance): np.array([results[arm, distance, seed] for seed in seeds])
        for arm, distance, _ in sorted(results)
    }
    rows, columns = stats.nested_resamples(tables["single", 0.0].shape, n=_RESAMPLES, rng=rng)

    def block(arm: str, distance: float) -> dict[str, Any]:
        losses = tables[arm, distance]
        gain, explicit = tables["single", 0.0] - losses, tables["single", 0.0] - tables["explicit", 0.0]
        drawn, drawn_explicit = (g[rows, columns].mean((1, 2)) for g in (gain, explicit))
        # With a gain of explicit near 0 a share means nothing; the floor keeps it finite and its interval wide.
        share = drawn / np.maximum(drawn_explicit, 1e-6)
        found = {"loss": _interval(losses.mean(), losses[rows, columns].mean((1, 2)))}
        if arm == "single":
            return found
        return found | {
            "gain": _interval(gain.mean(), drawn),
            "share": _interval(gain.mean() / max(explicit.mean(), 1e-6), share),
        }

    return {arm: block(arm, 0.0) for arm in ("single", "explicit")} | {
        f"d{percent(d)}": {arm: block(arm, d) for arm in ("hybrid", "implicit", "same")} for d in DISTANCES
    }


def _interval(value: float, drawn: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"hi": float(high), "lo": float(low), "mean": float(value)}


def _gain(by_seed: list[list[float]]) -> dict[str, Any]:
    table = np.array(by_seed)
    half = t.ppf(0.975, len(table) - 1) * table.std(axis=0, ddof=1) / np.sqrt(len(table))
    exact = np.array([lottery_gain.exact_gain(*setting) for setting in lottery_gain.settings()])
    standard_error = np.maximum(table.std(axis=0, ddof=1) / np.sqrt(len(table)), 1e-12)
    found: dict[str, Any] = {}
    for i, (s, v, r) in enumerate(lottery_gain.settings()):
        block = found.setdefault(f"s{percent(s)}", {}).setdefault(
            f"v{percent(v)}",
            {"ratio": lottery_gain.gradient_ratio(v), "support": float(effective_support(ladder(v)))},
        )
        block[f"r{percent(r)}"] = {
            "exact": float(exact[i]),
            "hi": float(table[:, i].mean() + half[i]),
            "law": _removed(v, r),
            "lo": float(table[:, i].mean() - half[i]),
            "simulated": float(table[:, i].mean()),
        }
    cube = exact.reshape(len(SMOOTHINGS), len(DIVERSITIES), len(REDUNDANCIES))
    law = np.array([[_removed(v, r) for r in REDUNDANCIES] for v in DIVERSITIES])[None]
    return found | {
        "monotone": {"memory": _monotone(cube), "law": _monotone(law)},
        "worst_z": float(np.max(np.abs(table.mean(0) - exact) / standard_error)),
    }


def _removed(diversity: float, redundancy: float) -> float:
    """Share of the variance of the mean gradient that K = 4 removes, with V_w = 0 and p = 1/(1 − redundancy)."""
    together = float(np.sum(ladder(diversity) ** 2))
    parts = ClusterComponents(cluster=max(together - 1 / lottery_gain.N_MODES, 0.0), variant=0.0, response=1 - together)
    p = 1 / (1 - redundancy)
    few, many = (float(variance_redundant(parts, 1, p, k)) for k in (lottery_gain.FEW, lottery_gain.MANY))
    return 1 - many / few


def _monotone(cube: np.ndarray) -> dict[str, bool]:
    """Does the gain rise with diversity, and fall with redundancy? In the whole table and where questions repeat.

    Args:
        cube: gains by (smoothing, diversity, redundancy).

    Returns:
        rises, falls: in the whole table; rises_repeated, falls_repeated: at redundancy 0.8 and above only, where a
        question is asked five times or more on average.
    """
    tail = cube[:, :, [r >= 0.8 for r in REDUNDANCIES]]
    return {
        "falls": bool(np.all(np.diff(cube, axis=2) <= 0)),
        "falls_repeated": bool(np.all(np.diff(tail, axis=2) <= 0)),
        "rises": bool(np.all(np.diff(cube, axis=1) >= 0)),
        "rises_repeated": bool(np.all(np.diff(tail, axis=1) >= 0)),
    }


def table(results: dict[str, Any]) -> Table:
    """Test loss of the arms at every distance, with and without early stopping."""
    rows = []
    for name, at in [("single", None), ("explicit", None)] + [
        (arm, d) for d in DISTANCES for arm in ("hybrid", "implicit", "same")
    ]:
        cells = [
            (results["triad"][s] if at is None else results["triad"][s][f"d{percent(at)}"])[name] for s in STOPPINGS
        ]
        text = [f"{c['loss']['mean']:.3g} ({c['loss']['lo']:.3g} to {c['loss']['hi']:.3g})" for c in cells]
        rows.append((name, "{}·{}".format(*ARMS[name]), "-" if at is None else f"{at:g}", *text))
    return Table(
        title=(
            f"Test loss, {results['design']['clusters']} clusters, mean of {results['design']['retrainings']} "
            "retrainings with 95 % interval, nats per response.\np·K: paraphrases and responses to each."
        ),
        columns=("arm", "p·K", "distance", "to the end", "stopped early"),
        rows=tuple(rows),
    )
