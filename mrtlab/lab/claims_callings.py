"""Claims of chapter 6 on the grid of K: statements in our words, and rules committed before the runs.

Claims are those of "Escaping the Mode Lottery" (arXiv 2606.00544). A letter behind an id marks a second test of the
same claim, on another kind of model. What the runs show is the work of a model of 1.7 million weights that learns a
law which is known; it says nothing about a model of 8 billion.
"""

from collections.abc import Mapping
from typing import Any

from mrtlab.lab.verdicts import Claim, Verdict

PAPER = "amin2026mode"
GRID = "callings_grid"


def _once(results: Mapping[str, Any]) -> Verdict:
    """MRT-12: every pair once, the loss at the end falls from each K to the next.

    Falls: the whole 95 % interval over seeds of the difference lies below 0. Reproduced if so at every doubling; holds
    only for K far apart if so from K = 1 to the largest, and no doubling clearly raises it.
    """
    arm, ks = results["arms"]["once"], results["design"]["k"]
    top = f"k{ks[-1]}"
    steps = [arm[f"k{k}"]["minus_half"]["final"] for k in ks[1:]]
    whole = arm[top]["minus_k1"]["final"]
    losses = ", ".join(f"{arm[f'k{k}']['final']['nll']['mean']:.3f}" for k in ks)
    measured = (
        f"loss at K = {', '.join(map(str, ks))}: {losses} nats; K={ks[-1]} minus K=1 {whole['mean']:+.3f} "
        f"({whole['lo']:+.3f} to {whole['hi']:+.3f}); updates {arm['k1']['updates']} to {arm[top]['updates']}"
    )
    if all(step["hi"] < 0 for step in steps):
        return Verdict(kind="reproduced", measured=measured)
    if whole["hi"] < 0 and not any(step["lo"] > 0 for step in steps):
        return Verdict(kind="holds only if", condition="the K compared are far apart", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def _few(results: Mapping[str, Any]) -> Verdict:
    """MRT-13: at the same few updates no K differs from K = 1 by more than a tenth of what K does at one epoch.

    Reproduced if every 95 % interval lies within a tenth of the gain of MRT-12, in the authors' runs about .01 of .115.
    Not reproduced if one lies wholly outside. Otherwise these seeds cannot tell.
    """
    arm, ks = results["arms"]["few"], results["design"]["k"]
    margin = 0.1 * abs(results["arms"]["once"][f"k{ks[-1]}"]["minus_k1"]["final"]["mean"])
    gaps = {k: arm[f"k{k}"]["minus_k1"]["final"] for k in ks[1:]}
    found = ", ".join(f"K={k} {g['mean']:+.3f} ({g['lo']:+.3f} to {g['hi']:+.3f})" for k, g in gaps.items())
    measured = (
        f"loss minus that at K=1 after {arm['k1']['updates']} updates, nats: {found}; allowed {margin:.3f}; "
        f"{arm['k1']['seeds']} seeds"
    )
    if all(-margin <= g["lo"] and g["hi"] <= margin for g in gaps.values()):
        return Verdict(kind="reproduced", measured=measured)
    if any(g["lo"] > margin or g["hi"] < -margin for g in gaps.values()):
        return Verdict(kind="not reproduced", measured=measured)
    return Verdict(
        kind="not testable here", condition="the runs differ too much from seed to seed to say", measured=measured
    )


def _many(results: Mapping[str, Any]) -> Verdict:
    """MRT-14: at the same many updates the largest K beats K = 1, each at its best checkpoint by validation.

    Beats: the whole 95 % interval over seeds of the difference lies above 0. The comparison that the authors' runs do
    not have, new prompts instead of new responses, is measured beside it.
    """
    gain, design = results["gain"], results["design"]
    responses, rest = gain["responses"]["best"], gain["responses_minus_fresh"]["best"]
    last = gain["responses"]["final"]
    measured = (
        f"loss at K=1 minus that at K={design['k'][-1]} after {design['many']} updates, nats: {responses['mean']:.3f} "
        f"({responses['lo']:.3f} to {responses['hi']:.3f}) at the best checkpoints, {last['mean']:.2f} "
        f"({last['lo']:.2f} to {last['hi']:.2f}) at the end; as many new prompts with one response each are better by "
        f"another {rest['mean']:.3f} ({rest['lo']:.3f} to {rest['hi']:.3f})"
    )
    if responses["lo"] > 0:
        return Verdict(kind="reproduced", measured=measured)
    if last["lo"] > 0:
        return Verdict(kind="holds only if", condition="no checkpoint is chosen", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def _inverse_k(results: Mapping[str, Any]) -> Verdict:
    """MRT-19b: of a + b/K and a + b log K, the first fits the losses of one epoch better.

    Better: in at least 95 % of resamples of the seeds. The other way round: not reproduced. Else five values of K and
    these seeds cannot tell.
    """
    fit = results["fit"]
    measured = (
        f"R² {fit['inverse']['r2']:.3f} for a + b/K, {fit['log']['r2']:.3f} for a + b log K, which fits better in "
        f"{fit['log_better']:.0%} of resamples; {fit['log']['per_doubling']:+.3f} nats per doubling"
    )
    if fit["log_better"] <= 0.05:
        return Verdict(kind="reproduced", measured=measured)
    if fit["log_better"] >= 0.95:
        return Verdict(kind="not reproduced", measured=measured)
    return Verdict(
        kind="not testable here", condition="neither curve fits better in 95 % of resamples", measured=measured
    )


GRID_CLAIMS = (
    Claim(
        id="MRT-12",
        paper=PAPER,
        chapter=6,
        scope="embedded model",
        title="Loss falls with K at one epoch",
        statement="Trained for one epoch, a language model's loss on reference responses falls as K rises.",
        test="Fine-tune the embedded model on 512 prompts with K = 1 to 16 responses from a known law, every pair "
        "once, sixteen pairs to an update, and compare the exact loss on new prompts. Updates grow with K, so MRT-13 "
        "and MRT-14 belong beside it.",
        experiment=GRID,
        rule=_once,
    ),
    Claim(
        id="MRT-13",
        paper=PAPER,
        chapter=6,
        scope="embedded model",
        title="Flat in K at few equal updates",
        statement="With the same small number of updates at every K, K makes no difference to the loss.",
        test="The same prompts and shuffled pairs, stopped after as many updates as K = 1 needs to see every pair "
        "once. Then hardly any prompt comes twice, whatever K is.",
        experiment=GRID,
        rule=_few,
    ),
    Claim(
        id="MRT-14",
        paper=PAPER,
        chapter=6,
        scope="embedded model",
        title="K helps at many equal updates",
        statement="With the same large number of updates, new responses help more than reading old ones again.",
        test="The same prompts, as many updates at K = 1 as K = 16 needs for one pass, each at its best checkpoint. "
        "Beside it as many new prompts with one response each, which the authors' runs do not include.",
        experiment=GRID,
        rule=_many,
    ),
    Claim(
        id="MRT-19b",
        paper=PAPER,
        chapter=6,
        scope="embedded model",
        title="Trained loss follows 1/K, in a language model",
        statement="The loss of trained models falls along a + b/K.",
        test="Fit both curves to the losses of MRT-12 and resample the seeds.",
        experiment=GRID,
        rule=_inverse_k,
    ),
)
