"""What the cells of `bandit_race` add up to: one rate per rule, means over seeds with intervals, and differences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mrtlab.lab.bandit_race import ANSWERS, PEAKS, RULES, RaceCell, Study, studies
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds
from mrtlab.theory.bandit import bandit_reference, bandit_reward, compounded_best_of_n, expected_reward

_CONTRASTIVE, _REWARDED = ("dpo", "ipo10", "ipo30"), ("reinforce", "ppo")
_EXACT_ROUNDS = 3

Blocks = dict[str, dict[str, dict[str, dict[str, Any]]]]


def summarise(outcomes: Sequence[tuple[RaceCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact. "Interval" means mean, lo and hi over seeds; differences are paired by seed.

    Returns:
        exact.PEAK: expected reward of the reference policy and of exact best-of-10, iterated: row k is k rounds;
        races.STUDY.PEAK: step, and by rule: rate (chosen as `Study.choose_by` says), reward (intervals by look),
            best (at the best look), final, area (mean over looks); as means, kl by look and mass at the end;
        gain: over offline best-of-10 from 100 prompts, of on-policy best-of-10 with T = 5, by peak; and far − aligned;
        stale.PEAK.RULE.bB: reward with B = 10 minus that with B, "final" and "early" (a fifth of the way);
        reuse.PEAK.RULE: final reward at T = 5 minus T = 1, and at T = 60 minus T = 15;
        push.PEAK.STUDY.RULE: best reward minus that of offline best-of-10;
        joint.PEAK.tT: area of the on-policy contrastive rule with the highest area, minus that of the best on-policy
            reward rule ("over_rl") and minus the same rule's offline final reward ("over_offline");
        calculus.mM: intervals of the shares of `bandit_race.calculus`; reference: the policy's mass in ten groups.
    """
    plan = studies(outcomes[0][0].scale)
    cells = [result for _, result in outcomes]
    raw = {
        name: {where: _chosen(study, [cell["races"][name][where] for cell in cells]) for where in PEAKS}
        for name, study in plan.items()
    }
    results: dict[str, Any] = {
        "exact": {where: _exact(peak) for where, peak in PEAKS.items()},
        "races": {
            name: {
                where: {"step": cells[0]["races"][name][where]["step"]}
                | {rule: _intervals(block) for rule, block in raw[name][where].items()}
                for where in PEAKS
            }
            for name in plan
        },
        "gain": _gain(raw),
        "stale": {where: _stale(raw, where) for where in PEAKS},
        "reuse": {where: _reuse(raw, where) for where in PEAKS},
        "push": {where: _push(raw, where) for where in PEAKS},
        "joint": {where: {f"t{t}": _joint(raw, where, t) for t in (1, 5)} for where in PEAKS},
        "calculus": {
            m: {name: over_seeds(np.array([cell["calculus"][m][name] for cell in cells])) for name in found}
            for m, found in cells[0]["calculus"].items()
        },
        "reference": bandit_reference().reshape(10, -1).sum(-1).tolist(),
        "design": {"answers": ANSWERS, "seeds": len(cells), "policies": outcomes[0][0].policies,
                   "rates": list(plan["fresh_t1"].rates), "rules": list(RULES)},
    }  # fmt: skip
    return results


def _chosen(study: Study, seeds: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each rule at its rate, arrays with seeds first."""
    reward, divergence = (np.array([seed[name] for seed in seeds]) for name in ("reward", "kl"))
    mass = np.array([seed["mass"] for seed in seeds])
    score = reward.max(1) if study.choose_by == "best" else reward.mean(1)
    pick = score.mean(0).argmax(-1)
    return {
        rule: {
            "rate": study.rates[k],
            "reward": reward[:, :, i, k],
            "kl": divergence[:, :, i, k],
            "mass": mass[:, i, k],
            "best": reward[:, :, i, k].max(1),
            "final": reward[:, -1, i, k],
            "area": reward[:, :, i, k].mean(1),
        }
        for i, (rule, k) in enumerate(zip(study.rules, pick, strict=True))
    }


def _intervals(block: dict[str, Any]) -> dict[str, Any]:
    """Intervals over seeds; of what only figures need, the means."""
    means = {name: block[name].mean(0).tolist() for name in ("kl", "mass")}
    return {"rate": block["rate"]} | means | {k: over_seeds(block[k]) for k in ("reward", "best", "final", "area")}


def _exact(peak: float) -> list[float]:
    """Expected reward of the reference, and after each round of exact best-of-10."""
    reward = bandit_reward(peak=peak)
    rounds = compounded_best_of_n(bandit_reference(), reward, ANSWERS, rounds=_EXACT_ROUNDS)
    return expected_reward(rounds, reward).tolist()


def _gain(raw: Blocks) -> dict[str, Any]:
    gain = {
        where: raw["fresh_t5"][where]["best_of_n"]["best"] - raw["offline_100"][where]["best_of_n"]["best"]
        for where in PEAKS
    }
    found = gain | {"far_minus_aligned": gain["far"] - gain["aligned"]}
    return {name: over_seeds(value) for name, value in found.items()}


def _stale(raw: Blocks, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for rule in raw["stale_b10"][where]:
        fresh = raw["stale_b10"][where][rule]["reward"]
        early = (fresh.shape[1] - 1) // 5
        found[rule] = {}
        for batch in (50, 200, 1000):
            gap = fresh - raw[f"stale_b{batch}"][where][rule]["reward"]
            found[rule][f"b{batch}"] = {"final": over_seeds(gap[:, -1]), "early": over_seeds(gap[:, early])}
    return found


def _reuse(raw: Blocks, where: str) -> dict[str, Any]:
    def gap(rule: str, more: int, less: int) -> dict[str, Any]:
        return over_seeds(raw[f"reuse_t{more}"][where][rule]["final"] - raw[f"reuse_t{less}"][where][rule]["final"])

    return {rule: {"t5_t1": gap(rule, 5, 1), "t60_t15": gap(rule, 60, 15)} for rule in raw["reuse_t1"][where]}


def _push(raw: Blocks, where: str) -> dict[str, Any]:
    return {
        name: {
            rule: over_seeds(raw[name][where][rule]["best"] - raw[name][where]["best_of_n"]["best"])
            for rule in _CONTRASTIVE
        }
        for name in ("offline_20", "offline_100")
    }


def _joint(raw: Blocks, where: str, reuse: int) -> dict[str, Any]:
    fresh = raw[f"fresh_t{reuse}"][where]
    both, rl = (max(rules, key=lambda r: fresh[r]["area"].mean()) for rules in (_CONTRASTIVE, _REWARDED))
    return {
        "rule": both,
        "rl": rl,
        "over_rl": over_seeds(fresh[both]["area"] - fresh[rl]["area"]),
        "over_offline": over_seeds(fresh[both]["final"] - raw["offline_100"][where][both]["final"]),
    }


def table(results: dict[str, Any]) -> Table:
    """Reward of every rule, offline and on-policy, on both rewards."""
    rows = []
    for where in PEAKS:
        rows.append((where, "exact best of 10, 1 round", f"{results['exact'][where][1]:.3f}", "", ""))
        for rule in results["design"]["rules"]:
            off = results["races"]["offline_100"][where].get(rule)
            fresh = [results["races"][f"fresh_t{t}"][where][rule]["final"]["mean"] for t in (1, 5)]
            cell = f"{off['best']['mean']:.3f}" if off else "–"
            rows.append((where, rule, cell, *(f"{v:.3f}" for v in fresh)))
    return Table(
        title=f"Expected reward on 100 arms; rates chosen per rule; means of {results['design']['seeds']} seeds.",
        columns=("peak", "rule", "offline, best look", "on-policy T=1, end", "on-policy T=5, end"),
        rows=tuple(rows),
    )
