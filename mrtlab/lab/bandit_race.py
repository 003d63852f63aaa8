"""The 100-arm race: who draws the answers, how often they are used, and whether any are pushed down.

One cell is one seed. It runs every study of chapter 4 on both rewards (peak far from the reference policy, peak where
that policy already is) and, on random small policies, checks the one-step calculus of PRF-08, 09 and 10 by taking
the steps. Expected rewards are exact at every look; only the training data are drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.theory.bandit import (
    ALIGNED_PEAK,
    FAR_PEAK,
    bandit_reference,
    bandit_reward,
    gradient_alignment,
    logit_step,
    pair_rates,
    pair_step,
)
from mrtlab.theory.distributions import kl
from mrtlab.theory.objectives import forward_kl, logit_descent, reverse_kl
from mrtlab.theory.race import Rule, race

PEAKS = {"far": FAR_PEAK, "aligned": ALIGNED_PEAK}
RATES = (0.05, 0.2, 0.5)
ANSWERS = 10
RULES = {
    "pref_ft": Rule(method="pref_ft"),
    "best_of_n": Rule(method="best_of_n"),
    "dpo": Rule(method="dpo", beta=0.1),
    "ipo10": Rule(method="ipo", margin=10.0),
    "ipo30": Rule(method="ipo", margin=30.0),
    "reinforce": Rule(method="reinforce"),
    "ppo": Rule(method="ppo"),
}
_FROM_PAIRS = ("pref_ft", "best_of_n", "dpo", "ipo10", "ipo30")
_CHEAP = ("best_of_n", "reinforce", "ppo")
_BINS = 10  # groups of arms in which the final mass is reported
_STREAM, _CALCULUS = 51, 52
_SMALL_STEP, _STEP = 1e-4, 0.5


@dataclass(frozen=True, kw_only=True)
class Study:
    """One race: rules, rates and the three axes; names as in `mrtlab.theory.race.race`.

    Attributes:
        rules: keys of `RULES`.
        rates: learning rates.
        steps: gradient steps.
        batch: B, prompts drawn in a round.
        minibatch: M, prompts per step.
        reuse: T.
        on_policy: whether rounds after the first exist.
        looks: how often the policy is looked at after the start.
        choose_by: how a rule's rate is chosen, on the mean over seeds: "best", the highest reward at any look (an
            oracle's stop), or "area", the mean reward over the looks.
    """

    rules: tuple[str, ...]
    rates: tuple[float, ...]
    steps: int
    batch: int
    minibatch: int
    reuse: int
    on_policy: bool
    looks: int
    choose_by: str


def studies(scale: str) -> dict[str, Study]:
    """The races of a scale.

    >>> sorted(studies("smoke")) == sorted(studies("book"))
    True
    """
    offline, rounds, stale, few, looks = (30, 5, 45, 2, 5) if scale == "smoke" else (600, 100, 1500, 25, 20)
    common = {"rates": RATES, "looks": looks}
    found = {
        f"offline_{prompts}": Study(
            rules=_FROM_PAIRS, steps=offline, batch=prompts, minibatch=prompts, reuse=1, on_policy=False,
            choose_by="best", **common,
        )
        for prompts in (20, 100)
    }  # fmt: skip
    found |= {
        f"fresh_t{reuse}": Study(
            rules=tuple(RULES), steps=rounds * reuse, batch=10, minibatch=10, reuse=reuse, on_policy=True,
            choose_by="area", **common,
        )
        for reuse in (1, 5)
    }  # fmt: skip
    found |= {
        f"stale_b{batch}": Study(
            rules=_CHEAP, steps=stale, batch=batch, minibatch=10, reuse=15, on_policy=batch < 1000,
            choose_by="area", rates=(0.01,), looks=looks,
        )
        for batch in (10, 50, 200, 1000)
    }  # fmt: skip
    return found | {
        f"reuse_t{reuse}": Study(
            rules=_CHEAP, steps=few * reuse, batch=10, minibatch=10, reuse=reuse, on_policy=True,
            choose_by="area", rates=(0.05,), looks=few,
        )
        for reuse in (1, 5, 15, 60)
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RaceCell:
    """One seed of all studies, and so many random policies for the calculus."""

    scale: str
    policies: int
    seed: int

    @property
    def label(self) -> str:
        """Such as "seed3"."""
        return f"seed{self.seed}"


def cells(scale: str) -> Sequence[RaceCell]:
    """One cell per seed."""
    policies, seeds = {"smoke": (100, 2), "book": (5000, 10), "full": (20000, 30)}[scale]
    return [RaceCell(scale=scale, policies=policies, seed=seed) for seed in range(seeds)]


def run_cell(cell: RaceCell) -> dict[str, Any]:
    """Run all studies of one seed.

    Returns:
        races: {study: {"far" or "aligned": {"step", "reward", "kl", "mass"}}}; reward and kl (to the reference,
            nats) as lists [looks][rules][rates], mass at the end as [rules][rates][10 groups of 10 arms];
        calculus: {m: counts} for policies over m arms, see `calculus`.
    """
    reference = bandit_reference()
    races: dict[str, Any] = {}
    for name, study in studies(cell.scale).items():
        races[name] = {}
        for where, peak in PEAKS.items():
            reward = bandit_reward(peak=peak)
            found = race(
                [RULES[rule] for rule in study.rules],
                reference=reference,
                reward=reward,
                rates=study.rates,
                rngs=[np.random.default_rng([_STREAM, cell.seed])],  # the same luck in every study
                steps=study.steps,
                batch=study.batch,
                minibatch=study.minibatch,
                answers=ANSWERS,
                reuse=study.reuse,
                on_policy=study.on_policy,
                look_every=study.steps // study.looks,
            )
            policy = found.policy[:, :, :, 0]
            races[name][where] = {
                "step": found.step.tolist(),
                "reward": (policy * reward).sum(-1).tolist(),
                "kl": np.asarray(kl(policy, np.broadcast_to(reference, policy.shape))).tolist(),
                "mass": policy[-1].reshape(*policy.shape[1:3], _BINS, -1).sum(-1).tolist(),
            }
    rng = np.random.default_rng([_CALCULUS, cell.seed])
    return {"races": races, "calculus": {f"m{m}": calculus(cell.policies, m, rng=rng) for m in (3, 5, 9)}}


def calculus(n: int, m: int, *, rng: np.random.Generator) -> dict[str, float]:
    """Take single steps on n random policies over m arms and compare with what the formulas foretell.

    Args:
        n: policies, drawn uniformly from all distributions; targets likewise.
        m: arms, at least 3. Arm 0 is the winner, arm 1 the loser.
        rng: source of both.

    Returns:
        shares of the policies:
        lift: pushing the loser down lifts the winner's log-probability, after a small step, more than not doing so;
        lift_as_foretold: that happens where p_w + p_l > ‖p‖² and only there;
        winner_up, loser_down: after a step of ½ along e_w − e_l;
        third_up: the other arms gain in that step; third_as_foretold: where p_l > p_w·e^½ and only there;
        rates_error: largest gap between measured and foretold rates of log p, nats per unit of step;
        reverse_faster: a step on KL(p‖q) separates two arms that start level more than one on KL(q‖p), where the
            target prefers the first; reverse_as_foretold: where p exceeds the logarithmic mean of q and only there;
        rare_slower: the arm most short of mass gets less lift from KL(p‖q) than from KL(q‖p).
    """
    p = rng.dirichlet(np.ones(m), size=n)
    q = rng.dirichlet(np.ones(m), size=n)
    one_hot = np.eye(m)
    with_push = logit_step(p, one_hot[0] - one_hot[1], step=_SMALL_STEP)
    without = logit_step(p, one_hot[0] - p, step=_SMALL_STEP)
    lift = with_push[:, 0] > without[:, 0]
    moved = pair_step(p, 0, 1, step=_STEP)
    third = moved[:, 2] > p[:, 2]
    rates = (np.log(with_push) - np.log(p)) / _SMALL_STEP
    level = p.copy()
    level[:, :2] = p[:, :2].mean(-1, keepdims=True)
    ordered = q.copy()
    ordered[:, :2] = -np.sort(-q[:, :2], axis=-1)
    forward, reverse = _descent(level, ordered)
    faster = reverse[:, 0] - reverse[:, 1] > forward[:, 0] - forward[:, 1]
    log_mean = (ordered[:, 0] - ordered[:, 1]) / (np.log(ordered[:, 0]) - np.log(ordered[:, 1]))
    forward_any, reverse_any = _descent(p, q)
    short = np.arange(n), (q - p).argmax(-1)
    return {
        "lift": float(lift.mean()),
        "lift_as_foretold": float((lift == (gradient_alignment(p, 0, 1) < 0)).mean()),
        "winner_up": float((moved[:, 0] > p[:, 0]).mean()),
        "loser_down": float((moved[:, 1] < p[:, 1]).mean()),
        "third_up": float(third.mean()),
        "third_as_foretold": float((third == (p[:, 1] > p[:, 0] * np.exp(_STEP))).mean()),
        "rates_error": float(np.abs(rates - pair_rates(p, 0, 1)).max()),
        "reverse_faster": float(faster.mean()),
        "reverse_as_foretold": float((faster == (level[:, 0] > log_mean)).mean()),
        "rare_slower": float((reverse_any[short] < forward_any[short]).mean()),
    }


def _descent(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How the logits move under forward and reverse KL to the target q."""
    logp = np.log(p)
    forward, reverse = (logit_descent(rule(logp, q).weight, logp) for rule in (forward_kl, reverse_kl))
    return forward, reverse
