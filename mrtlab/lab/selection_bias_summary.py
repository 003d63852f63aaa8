"""From the cells of the selection experiment to the numbers of its artifact. Editing this file makes no cell stale."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mrtlab.lab import selectors
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds, ratio_over_seeds
from mrtlab.lab.selection_bias import BiasCell, K, N

_RATIOS = {"mse": "mse_ratio", "grad_mse": "grad_mse_ratio"}


def summarise(outcomes: Sequence[tuple[BiasCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Args:
        outcomes: (cell, what `run_cell` gave) for every seed.

    Returns:
        design: sizes, checkpoints, and what the rewards are;
        GROUP.SELECTOR, GROUP being "free" or a reward: for every measure of `selection_bias.measure` a mean with
            its interval over seeds, one entry per checkpoint; mse_ratio and grad_mse_ratio over random choice,
            paired by seed; kept: share of the kept answers at each mode;
        model: loss (nats), gradient (length for one prompt), sigma (mean width of the mixture) by checkpoint;
        unbiased: for random choice, worst_z and n_z: the largest |z| over seeds and checkpoints, of how many.
    """
    first = outcomes[0][0]
    cells = [result for _, result in outcomes]

    def table(group: str, selector: str, measure: str) -> np.ndarray:
        return np.array([cell["found"][group][selector][measure] for cell in cells])

    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for group, selector, measures in _entries(cells[0]["found"]):
        block: dict[str, Any] = {m: over_seeds(table(group, selector, m)) for m in measures if m != "z"}
        for measure, name in _RATIOS.items():
            if selector != "random":
                block[name] = ratio_over_seeds(table(group, selector, measure), table("free", "random", measure))
        block["kept"] = over_seeds(np.array([cell["kept"][group][selector] for cell in cells]))
        groups.setdefault(group, {})[selector] = block
    z = table("free", "random", "z")
    return groups | {
        "design": {
            "alphas": selectors.ALPHAS,
            "bandwidth": selectors.BANDWIDTH,
            "candidates": N,
            "checkpoints": list(first.checkpoints),
            "k": K,
            "prompts": first.prompts,
            "rewards": selectors.REWARDS,
            "seeds": len(cells),
            "temperatures": {"cool": selectors.COOL, "warm": selectors.WARM},
            "train_k": first.train_k,
            "train_prompts": first.train_prompts,
            "trials": first.trials,
        },
        "model": {name: over_seeds(np.array([cell["model"][name] for cell in cells])) for name in cells[0]["model"]},
        "unbiased": {"n_z": int(z.size), "worst_z": float(np.abs(z).max()), "sd_z": float(z.std(ddof=1))},
    }


def _entries(found: dict[str, dict[str, dict[str, Any]]]) -> Iterator[tuple[str, str, list[str]]]:
    """(group, selector, its measures), one by one."""
    for group, by_selector in found.items():
        for selector, measures in by_selector.items():
            yield group, selector, list(measures)


def table(results: dict[str, Any]) -> Table:
    """Headline numbers: at random starting weights and after the last step, for two rewards."""
    rows = []
    for group in ("free", "middle", "judge"):
        for selector, block in results[group].items():
            rows.append(
                (
                    {"free": "none"}.get(group, group),
                    selector,
                    *(f"{max(0.0, block[m]['mean'][0]):.3f}" for m in ("bias2", "variance", "mse")),
                    *(f"{block['cos_prompt']['mean'][at]:+.2f}" for at in (0, -1)),
                    *(f"{block['cos_batch']['mean'][at]:+.2f}" for at in (0, -1)),
                )
            )
    design = results["design"]
    steps = design["checkpoints"][-1]
    return Table(
        title=(
            f"Keep {design['k']} of {design['candidates']} answers, {design['seeds']} seeds. Loss of one prompt at "
            f"random weights (nats²), and cosine with the true gradient, at step 0 and step {steps}."
        ),
        columns=("reward", "selector", "bias²", "variance", "MSE", "cos 0", f"cos {steps}", "all 0", f"all {steps}"),
        rows=tuple(rows),
    )
