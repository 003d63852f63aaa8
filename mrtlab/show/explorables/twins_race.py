"""What chapter 4's race computes and says: the twin of ``race.js``.

Four rules start at the reference policy of the 100 arms and take the same plain gradient steps on its logits, each
step the exact expectation over what would be drawn. `mrtlab.theory.race` runs the same world as one would train: with
drawn answers and Adam, which rescales each logit's move. For peaks at arms 70 and 20 both end alike
(tests/show/test_explorables_race.py); how fast they get there differs.
"""

from functools import lru_cache
from math import floor

import numpy as np
from jaxtyping import Float

from mrtlab.show.explorables.common import Data, State, Table, fixed, percent
from mrtlab.theory import best_of_n
from mrtlab.theory.bandit import N_ARMS, bandit_reference, bandit_reward, expected_reward, logit_step
from mrtlab.theory.objectives import forward_kl, ipo, ipo_tau, logit_descent, reinforce_exact

RULES = {
    "old": "best-of-10, old data",
    "fresh": "best-of-10, fresh data",
    "pairs": "IPO pairs, old data",
    "gradient": "REINFORCE, fresh data",
}
MOST = 200  # steps
N = 10  # draws that best-of-n chooses from
RATE = 4.0  # step size, on the logits
MARGIN = 10.0  # of IPO, nats
NEAR = 10  # arms on either side of the peak that count as close to it: there the reward is 1/e or more
_OLD = ("old", "pairs")  # these never see an answer of their own

Law = Float[np.ndarray, " m"]


@lru_cache(maxsize=4)
def _pairs(peak: int) -> Float[np.ndarray, "m m"]:
    """Shares of all pairs of two draws from the reference whose rewards differ; the better one wins."""
    reference, reward = bandit_reference(), bandit_reward(peak=peak)
    shares = np.outer(reference, reference) * (reward[:, None] > reward)
    return shares / shares.sum()


def weights(rule: str, p: Law, peak: int) -> Law:
    """Exact signed weights of a rule on the arms.

    >>> reference = bandit_reference()  # at the start old data is fresh
    >>> bool(np.array_equal(weights("old", reference, 70), weights("fresh", reference, 70)))
    True
    """
    reference, reward, logp = bandit_reference(), bandit_reward(peak=peak), np.log(p)
    if rule == "gradient":
        return reinforce_exact(logp, reward).weight
    if rule == "pairs":
        return ipo(logp, np.log(reference), _pairs(peak), tau=ipo_tau(MARGIN)).weight
    return forward_kl(logp, best_of_n(reference if rule == "old" else p, reward, N)).weight


@lru_cache(maxsize=16)
def _path(rule: str, peak: int) -> Float[np.ndarray, "steps m"]:
    """The policy after 0, 1 … MOST steps."""
    path = [bandit_reference()]
    for _ in range(MOST):
        push = logit_descent(weights(rule, path[-1], peak), np.log(path[-1]))
        path.append(logit_step(path[-1], push, step=RATE))
    return np.stack(path)


def _six(value: float) -> float:
    """Six decimals: more than anybody sees, and none of the last bits in which two languages differ."""
    return floor(1e6 * value + 0.5) / 1e6


def race(state: State) -> Data:
    """Four rules from one reference policy, up to a number of steps.

    Args:
        state: peak (the arm that pays 1), steps taken, rule (a key of `RULES`) whose policy is shown.

    Returns:
        the numbers behind the figure: the reward of one exact round of best-of-10 (the ceiling); the reference, its
        mass near the peak, and the policy of the rule; and of every rule its expected reward after 0, 1 … steps, its
        mass near the peak and the first step above the ceiling.

    >>> data = race({"peak": 70, "steps": 0, "rule": "old"})
    >>> data["ceiling"], data["policy"] == data["reference"], [rule["rewards"] for rule in data["rules"]]
    (0.313484, True, [[0.039046], [0.039046], [0.039046], [0.039046]])
    """
    peak, steps = state["peak"], state["steps"]
    reference, reward = bandit_reference(), bandit_reward(peak=peak)
    ceiling = _six(expected_reward(best_of_n(reference, reward, N), reward))
    near = abs(np.arange(N_ARMS) - peak) <= NEAR
    rules = []
    for rule in RULES:
        path = _path(rule, peak)[: steps + 1]
        rewards = [_six(value) for value in expected_reward(path, reward).tolist()]
        passed = next((step for step, value in enumerate(rewards) if value > ceiling), None)
        rules.append({"rule": rule, "rewards": rewards, "near": _six(path[-1][near].sum()), "passed": passed})
    return {
        "ceiling": ceiling,
        "near": _six(reference[near].sum()),
        "reference": [_six(mass) for mass in reference.tolist()],
        "policy": [_six(mass) for mass in _path(state["rule"], peak)[steps].tolist()],
        "chosen": next(rule for rule in rules if rule["rule"] == state["rule"]),
        "rules": rules,
    }


def _now(rule: Data) -> str:
    return fixed(rule["rewards"][-1], 2)


def _lesson(data: Data, state: State) -> str:
    policy, limit = data["policy"], f"the ceiling of {fixed(data['ceiling'], 2)}"
    top, passed = policy.index(max(policy)), data["chosen"]["passed"]
    if policy[top] > 0.5 and abs(top - state["peak"]) > 5:
        return f"Arm {top} took {percent(policy[top])}: the reference is often there, and it pays a little."
    if passed is not None:
        return f"It passed {limit} at step {passed}{', without a new answer' if state['rule'] in _OLD else ''}."
    if state["rule"] == "old":
        return f"Its data ends at {limit}: more steps do not help."
    return f"It is not yet past {limit}."


def race_sentence(data: Data, state: State) -> str:
    """The line under the race, as HTML."""
    shown, before, steps = data["chosen"], percent(data["near"]), state["steps"]
    if steps == 0:
        return (
            f"Before the first step all four are the reference: reward <b>{_now(shown)}</b>, {before} of the mass near "
            f"the peak. One round of best-of-10 reaches {fixed(data['ceiling'], 2)}."
        )
    return (
        f"Step {steps} of {RULES[state['rule']]}: reward <b>{_now(shown)}</b>, "
        f"<b>{percent(shown['near'])}</b> of the mass near the peak (at first {before}). {_lesson(data, state)}"
    )


def race_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the race is told."""
    ends = "; ".join(f"{RULES[rule['rule']]} {_now(rule)}" for rule in data["rules"])
    return (
        f"Expected reward of four rules, peak at arm {state['peak']}. After {state['steps']} of {MOST} steps: {ends}. "
        f"Dotted: one round of best-of-10, {fixed(data['ceiling'], 2)}. Beside it the mass on the arms; within {NEAR} "
        f"of the peak {RULES[state['rule']]} has {percent(data['chosen']['near'])}, the reference "
        f"{percent(data['near'])}."
    )


def race_table(data: Data, state: State) -> Table:
    """Every rule at this step."""
    columns = ["rule", f"reward after {state['steps']}", "passed the ceiling at step", "mass near the peak (±10)"]
    rows = []
    for rule in data["rules"]:
        passed = "not yet" if rule["passed"] is None else str(rule["passed"])
        rows.append([RULES[rule["rule"]], fixed(rule["rewards"][-1], 3), passed, percent(rule["near"])])
    return {"columns": columns, "rows": rows}
