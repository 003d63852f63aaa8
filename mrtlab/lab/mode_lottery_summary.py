"""From the cells of the mode lottery to the numbers of its artifact. Editing this file makes no cell stale."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mrtlab.lab import stats
from mrtlab.lab.mode_lottery import (
    ARMS,
    HELD_OUT,
    STOPPINGS,
    TEST_PROMPTS,
    TEST_RESPONSES,
    WORLD,
    LotteryCell,
    places,
)
from mrtlab.lab.registry import Table

_MEASURES = ("nll", "modes", "off", "tv")


def summarise(outcomes: Sequence[tuple[LotteryCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Args:
        outcomes: (cell, what `run_cell` gave) for every cell of a run.

    Returns:
        design: seeds, retrainings per seed, steps and so on.
        floors: entropy of the truth and loss of the best constant Gaussian, nats per response.
        arms.ARM.kK: n_prompts, pairs, and for each way of stopping ("final", "stopped")
            nll, modes, off, tv: `stats.summary` of the retrainings; nll also has cv and the values themselves;
            worse_than_constant: share of retrainings whose test loss is above the constant Gaussian's;
            step: median step whose weights were kept.
        ratios.ARM.STOPPING: sd of the test loss at the largest K over that at K = 1, with its interval.
    """
    rng = np.random.default_rng(0)
    first = outcomes[0][0]
    seeds = sorted({cell.seed for cell, _ in outcomes})
    by_cell = {(cell.n_prompts, cell.k, cell.stopping, cell.seed): result for cell, result in outcomes}

    def table(place: tuple[int, int], stopping: str, measure: str) -> np.ndarray:
        return np.array([by_cell[(*place, stopping, seed)][measure] for seed in seeds])

    blocks = {
        (place, stopping): _block({m: table(place, stopping, m) for m in (*_MEASURES, "step")}, rng)
        for place in places()
        for stopping in STOPPINGS
    }
    arms = {
        arm: {
            f"k{k}": {"n_prompts": n_prompts, "pairs": n_prompts * k}
            | {stopping: blocks[(n_prompts, k), stopping] for stopping in STOPPINGS}
            for k, n_prompts in path.items()
        }
        for arm, path in ARMS.items()
    }
    ratios = {
        arm: {
            stopping: stats.sd_ratio(
                table((path[max(path)], max(path)), stopping, "nll"),
                table((path[1], 1), stopping, "nll"),
                rng=rng,
            )
            for stopping in STOPPINGS
        }
        for arm, path in ARMS.items()
    }
    return {
        "arms": arms,
        "design": {
            "held_out": HELD_OUT,
            "k": sorted(ARMS["grow"]),
            "retrainings_per_seed": first.retrainings,
            "retrainings": first.retrainings * len(seeds),
            "seeds": len(seeds),
            "steps": first.steps,
            "test_prompts": TEST_PROMPTS,
            "test_responses": TEST_RESPONSES,
            "unit": "nats per response",
        },
        "floors": {"constant_gaussian": WORLD.constant_gaussian_loss, "entropy": WORLD.entropy},
        "ratios": ratios,
    }


def _block(tables: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, Any]:
    """All numbers of one place and way of stopping."""
    block: dict[str, Any] = {m: stats.summary(tables[m], rng=rng, cv=m == "nll") for m in _MEASURES}
    block["nll"]["values"] = [round(float(v), 4) for v in tables["nll"].ravel()]
    block["worse_than_constant"] = float(np.mean(tables["nll"] > WORLD.constant_gaussian_loss))
    block["step"] = float(np.median(tables["step"]))
    return block


def table(results: dict[str, Any]) -> Table:
    """Headline numbers of the artifact, one row per arm and K."""
    rows = []
    for arm in ARMS:
        for name, place in results["arms"][arm].items():
            final, stopped = place["final"], place["stopped"]
            rows.append(
                (
                    arm,
                    name.removeprefix("k"),
                    f"{place['n_prompts']}",
                    f"{place['pairs']}",
                    f"{final['nll']['mean']:.2f} ± {final['nll']['sd']:.2f}",
                    f"{100 * final['nll']['cv']:.0f} %",
                    f"{final['modes']['mean']:.2f}",
                    f"{stopped['nll']['mean']:.2f} ± {stopped['nll']['sd']:.2f}",
                    f"{stopped['modes']['mean']:.2f}",
                )
            )
    design, floors = results["design"], results["floors"]
    return Table(
        title=(
            f"Test loss over {design['retrainings']} retrainings, mean ± sd, in nats per response.\n"
            f"For comparison: truth {floors['entropy']:.2f}, best constant Gaussian "
            f"{floors['constant_gaussian']:.2f}. Modes: of 3. Stopped: with early stopping."
        ),
        columns=("arm", "K", "prompts", "pairs", "loss", "CV", "modes", "stopped", "modes"),
        rows=tuple(rows),
    )
