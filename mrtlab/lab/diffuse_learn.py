"""One training run of chapter 7: the embedded model is taught even laws and examined exactly along the way."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mrtlab.data.targets import Target
from mrtlab.lab import subject
from mrtlab.lab.diffuse_data import Groups, facts

DRAWS = 1000  # of expected coverage: the paper's number
STOPS = (0.5, 0.2, 0.05)  # γ of the early stop
_RARE = 0.5  # answers below the median of a target are its rare half


def learn(targets: Sequence[Target], groups: Groups, settings: Any, *, marks: Sequence[int]) -> dict[str, Any]:
    """Train an adapter on the embedded model by one method.

    A shorter run is the beginning of a longer one with the same seed, so one run tells about every number of passes,
    and about every early stop.

    Args:
        targets: what is taught.
        groups: what is asked beside it.
        settings: a `MethodSettings`; with an anchor weight above 0, facts at even places are anchored.
        marks: passes after which everything is asked, 0 for before.

    Returns:
        marks: {pass: {"groups": {group: numbers}, "facts": [logp of every fact, nats]}}, "trained" among the groups;
        trace: Σ of the losses after every pass, nats, the first before any; floor: Σ H(p*);
        stops: {γ: the first pass with Σ L ≤ (1 + γ)·Σ H(p*), or none}, examined as a mark, too.
    """
    from mrtlab.training.aimed import aim
    from mrtlab.training.anchor import anchor_rows
    from mrtlab.training.diffuse import floor, losses
    from mrtlab.training.diffuse_methods import train_by

    model, tokenizer = subject.load()
    anchors = anchor_rows(model, tokenizer, facts()[::2], seed=settings.seed) if settings.anchor_weight else None
    found: dict[str, Any] = {"marks": {}, "trace": [], "floor": floor(targets), "stops": {}}

    def sit(number: int) -> None:
        found["trace"].append(float(losses(targets, [a.trained for a in aim(model, tokenizer, targets)]).sum()))
        reached = [g for g in STOPS if found["trace"][-1] <= (1 + g) * found["floor"] and str(g) not in found["stops"]]
        found["stops"] |= {str(g): number for g in reached}
        if number in marks or reached:
            found["marks"][str(number)] = look(model, tokenizer, {"trained": list(targets)} | groups)

    sit(0)
    per_pass = len(targets)

    def on_step(done: int, of: int) -> None:
        if done % per_pass == 0:
            sit(done // per_pass)

    train_by(model, tokenizer, targets, settings, anchors=anchors, on_step=on_step)
    return found


def look(model: Any, tokenizer: Any, groups: Groups) -> dict[str, Any]:
    """Numbers of every group, and the log-probability of every fact."""
    from mrtlab.training.aimed import aim

    laws = {
        name: numbers_of([(t, a.logp) for t, a in zip(some, aim(model, tokenizer, some), strict=True)])
        for name, some in groups.items()
    }
    asked = [Target.of(fact.prompt, [fact.right]) for fact in facts()]
    return {"groups": laws, "facts": [float(a.logp[0]) for a in aim(model, tokenizer, asked)]}


def numbers_of(laws: Sequence[tuple[Target, np.ndarray]]) -> dict[str, float]:
    """Means over prompts of what a model's law says beside the target, all exact.

    kl = validity_kl + shape_kl (nats), mass (on the list), tv (mass off the list counted: excess TV of endless draws),
    entropy (of the shape, over that of the target), top (of the likeliest answer), coverage (share of the list met in
    1,000 draws), rare and common (mean |log p/p*| over the rarer half of a target's answers, and the other half).
    """
    rows = []
    for target, logp in laws:
        p, law = np.exp(logp), target.law
        mass = float(p.sum())
        kl = float((law * (np.log(law) - logp)).sum())
        shape = p / mass
        gap = np.abs(logp - np.log(law))
        order = np.argsort(law, kind="stable")
        cut = max(1, int(len(law) * _RARE))
        rows.append(
            {
                "kl": kl,
                "validity_kl": -np.log(mass),
                "shape_kl": kl + np.log(mass),
                "mass": mass,
                "tv": 0.5 * float(np.abs(p - law).sum() + max(0.0, 1 - mass)),
                "entropy": float(-(shape * np.log(np.maximum(shape, 1e-300))).sum() / target.entropy),
                "top": float(p.max()),
                "coverage": float(-np.expm1(DRAWS * np.log1p(-np.minimum(p, 1 - 1e-12))).mean()),
                "rare": float(gap[order[:cut]].mean()),
                "common": float(gap[order[cut:]].mean()),
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def stopped(result: Mapping[str, Any], gamma: float, last: int) -> str:
    """The mark at which a run with this γ would have ended: where the stop was, or at the last pass."""
    return str(result["stops"].get(str(gamma), last))
