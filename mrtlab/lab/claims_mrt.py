"""Claims of "Escaping the Mode Lottery" (multi-response training, arXiv 2606.00544), with our rules.

Statements are in our words. A rule is committed before the run that it judges; its text is fingerprinted into
every cell of the run, so a rule that is edited afterwards shows. A remark is written after the run and says so.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mrtlab.lab import claims_budget, claims_callings, claims_callings_more
from mrtlab.lab.claims_selection import CLAIMS as _SELECTION
from mrtlab.lab.verdicts import Claim, Verdict

PAPER = "amin2026mode"


def _mode_lottery(results: Mapping[str, Any]) -> Verdict:
    """MRT-05: the spread of the test loss falls from K = 1 to K = 8, and does so at equal pairs too.

    "Falls" means: the whole 95 % interval of the ratio sd(K = 8) / sd(K = 1) lies below 1.
    """
    grow, matched = results["ratios"]["grow"]["final"], results["ratios"]["matched"]["final"]
    falls, falls_at_equal_pairs = grow["hi"] < 1, matched["hi"] < 1
    sd = {(arm, k): results["arms"][arm][f"k{k}"]["final"]["nll"]["sd"] for arm in ("grow", "matched") for k in (1, 8)}
    pairs = results["arms"]["matched"]["k8"]["pairs"]
    measured = (
        f"sd of the test loss from K=1 to K=8, nats: {sd['grow', 1]:.3g} to {sd['grow', 8]:.3g} with the same "
        f"prompts (ratio {_interval(grow)}); {sd['matched', 1]:.3g} to {sd['matched', 8]:.3g} with {pairs} pairs "
        f"at every K (ratio {_interval(matched)}); {results['design']['retrainings']} retrainings each"
    )
    if falls and falls_at_equal_pairs:
        return Verdict(kind="reproduced", measured=measured)
    if falls:
        return Verdict(
            kind="holds only if",
            condition="K adds training pairs: with the same number of pairs at every K, "
            "more responses from fewer prompts do not make the loss steadier",
            measured=measured,
        )
    return Verdict(kind="not reproduced", measured=measured)


def _mode_lottery_remark(results: Mapping[str, Any]) -> str:
    """What the rule does not read; `tests/lab/test_claims.py` checks that the artifact supports these words."""
    arms, scarce = results["arms"], results["ratios"]["scarce"]["final"]
    few, many = (arms["scarce"][k]["final"]["nll"] for k in ("k1", "k8"))
    one, eight = (arms["grow"][k]["stopped"]["nll"] for k in ("k1", "k8"))
    return (
        f"With only {arms['scarce']['k8']['pairs']} pairs at every K the sd does fall (ratio {_interval(scarce)}), "
        f"along with the mean loss, {few['mean']:.3g} to {many['mean']:.3g} nats; sd over mean stays, "
        f"{100 * few['cv']:.0f} % and {100 * many['cv']:.0f} %. So the condition speaks of "
        f"{arms['matched']['k8']['pairs']} pairs, not of every number. And most of the spread is over-fitting: "
        f"with early stopping and the same prompts the loss "
        f"is {one['mean']:.2f} ± {one['sd']:.2f} at K=1 and {eight['mean']:.2f} ± {eight['sd']:.2f} at K=8, where "
        f"a few runs carry the sd; the middle half of the runs spans {middle_half(one):.2g} and "
        f"{middle_half(eight):.2g} nats."
    )


def middle_half(summary: Mapping[str, Any]) -> float:
    """Width of the middle half of the values, in their unit.

    >>> middle_half({"values": [0.0, 1.0, 2.0, 3.0, 100.0]})
    2.0
    """
    low, high = np.percentile(summary["values"], [25, 75])
    return float(high - low)


def _interval(ratio: Mapping[str, float]) -> str:
    """Such as "0.06, 95 % interval 0.05 to 0.07"."""
    return f"{ratio['ratio']:.2g}, 95 % interval {ratio['lo']:.2g} to {ratio['hi']:.2g}"


CLAIMS: tuple[Claim, ...] = (
    claims_budget.VARIANCE_LAW,
    claims_budget.BEST_K,
    claims_budget.TRAINED_BEST_K,
    claims_callings_more.BUDGET_CLAIM,
    claims_budget.EQUAL_PAIRS,
    Claim(
        id="MRT-05",
        paper=PAPER,
        chapter=1,
        scope="toy network",
        title="More responses, steadier retrainings",
        statement="With one response per prompt, training is a lottery: which answer each prompt happened to "
        "show decides the model, and the test loss jumps from one retraining to the next. With more responses "
        "per prompt the jumps become smaller.",
        test="Retrain the paper's mixture-density network from scratch with new prompts, responses and starting "
        "weights, at K = 1, 2, 4, 8, and compare the sd of the test loss. Once with 120 prompts, as the paper "
        "does, so that training pairs grow eightfold; once with 960 pairs at every K. The claim is about K only "
        "if both show it.",
        experiment="mode_lottery",
        rule=_mode_lottery,
        remark=_mode_lottery_remark,
    ),
    *_SELECTION,
    claims_callings_more.GENERATOR_CLAIM,
    *claims_callings.GRID_CLAIMS[:3],
    *claims_callings_more.SELECTOR_CLAIMS,
    claims_budget.PARAPHRASES,
    claims_callings_more.CLUSTER_CLAIMS[0],
    claims_budget.WHERE_IT_PAYS,
    claims_callings_more.CLUSTER_CLAIMS[1],
    claims_budget.INVERSE_K,
    claims_callings.GRID_CLAIMS[3],
)
