"""What chapter 3's explorable computes and says: the twin of ``selection.js``."""

from math import comb
from typing import NamedTuple

import numpy as np

from mrtlab.show.explorables.common import Data, State, Table, fixed, mulberry32, percent
from mrtlab.theory import facility_location, facility_value, top_k


class _Kind(NamedTuple):
    """Where answers of a kind lie on the map, how far they spread, and what the reward thinks of them."""

    name: str
    count: int
    x: float
    y: float
    spread: float
    reward: float


_KINDS = (
    _Kind("a walk", 12, 0.3, 0.36, 0.26, 0.55),
    _Kind("a museum", 8, 0.74, 0.3, 0.2, 0.8),
    _Kind("cooking", 4, 0.58, 0.82, 0.14, 0.45),
)
_REACH = 0.25  # distance at which two answers are alike by a factor e less
RULES = {
    "random": "at random",
    "best": "best reward",
    "diverse": "diverse",
    "quality-diversity": "quality–diversity",
}


def _uniform(seed: int, draw: int):
    return mulberry32((seed * 0x9E3779B1 + draw * 0x85EBCA77) & 0xFFFFFFFF)


def _candidates(seed: int) -> list[tuple[int, float, float, float]]:
    """Kind, place and reward of 24 candidates; sums of uniform numbers, which both languages add alike."""
    draw, made = _uniform(seed, 0), []
    for kind, one in enumerate(_KINDS):
        for _ in range(one.count):
            dx, dy = (one.spread * (next(draw) + next(draw) + next(draw) - 1.5) for _ in range(2))
            reward = one.reward + 0.2 * (next(draw) + next(draw) - 1)
            made.append((kind, one.x + dx, one.y + dy, reward))
    return made


def _picks(by: str, similarity: np.ndarray, reward: np.ndarray, state: State) -> list[int]:
    k = state["k"]
    if by == "best":
        return top_k(reward, k).tolist()
    if by == "diverse":
        return facility_location(similarity, k).tolist()
    if by == "quality-diversity":
        return facility_location(similarity, k, reward=reward, alpha=state["alpha"]).tolist()
    draw = _uniform(state["seed"], state["draw"])
    return np.argsort([next(draw) for _ in reward], kind="stable")[:k].tolist()


def expected_kinds(sizes: list[int], k: int) -> float:
    """Expected number of kinds among K of N picked at random, Σ 1 − C(N − n, K)/C(N, K).

    >>> expected_kinds([1, 1], 1)
    1.0
    """
    return float(sum(1 - comb(sum(sizes) - size, k) / comb(sum(sizes), k) for size in sizes))


def selection(state: State) -> Data:
    """What each rule keeps of 24 candidates.

    Args:
        state: k kept, alpha (exponent of the reward), by (a key of `RULES`), seed of the candidates, draw (which
            random choice).

    Returns:
        the numbers behind the figure: the candidates, every rule's picks in order with the kinds among them, their
        mean reward and coverage (mean similarity of a candidate to the nearest kept one), and the same of the chosen
        rule; `stands_for` is the kept answer nearest to each candidate.

    >>> data = selection({"k": 8, "alpha": 0.0, "by": "best", "seed": 1, "draw": 1})
    >>> [rule["picks"] for rule in data["rules"]][2] == [rule["picks"] for rule in data["rules"]][3]  # alpha 0: diverse
    True
    """
    kind, x, y, reward = (list(column) for column in zip(*_candidates(state["seed"]), strict=True))
    place = np.array([x, y])
    similarity = np.exp(-((place[:, :, None] - place[:, None, :]) ** 2).sum(0) / _REACH**2)
    rules = []
    for by in RULES:
        picks = _picks(by, similarity, np.array(reward), state)
        rules.append(
            {
                "by": by,
                "picks": picks,
                "kinds": len({kind[j] for j in picks}),
                "reward": sum(reward[j] for j in picks) / state["k"],
                "coverage": float(facility_value(similarity, np.array(picks))) / len(reward),
            }
        )
    chosen = next(rule for rule in rules if rule["by"] == state["by"])
    nearest = np.argmax(similarity[:, chosen["picks"]], axis=1)
    return {
        "x": x,
        "y": y,
        "kind": kind,
        "reward": reward,
        "rules": rules,
        "chosen": chosen,
        "stands_for": [chosen["picks"][i] for i in nearest],
        "mean_reward": sum(reward) / len(reward),
        "expected_kinds": expected_kinds([one.count for one in _KINDS], state["k"]),
    }


def _of_kinds(kinds: int) -> str:
    return "one kind" if kinds == 1 else f"{kinds} of the 3 kinds"


def selection_sentence(data: Data, state: State) -> str:
    """The line under the map, as HTML."""
    by, k, chosen = state["by"], state["k"], data["chosen"]
    best = next(rule for rule in data["rules"] if rule["by"] == "best")
    kept = "one answer" if k == 1 else _of_kinds(chosen["kinds"])
    gets = f"<b>{kept}</b>, mean reward <b>{fixed(chosen['reward'], 2)}</b>"
    best_gets = f"best-K has {fixed(best['reward'], 2)} from {_of_kinds(best['kinds'])}"
    everyone = fixed(data["mean_reward"], 2)
    if by == "random":
        return (
            f"K = {k} at random: {gets}. On average it finds {fixed(data['expected_kinds'], 1)} kinds and the mean "
            f"reward of all 24, {everyone}: no bias, only luck."
        )
    if by == "best":
        return f"The best K = {k}: {gets}. The mean of all 24 is {everyone}, so this is not what people answer."
    if by == "diverse":
        return f"Diverse with K = {k}: {gets}. It looks at the map and never at the reward; {best_gets}."
    if state["alpha"] == 0:
        return f"Quality–diversity with α = 0: {gets}. At 0 the reward does not count: this is the diverse rule."
    return f"Quality–diversity with α = {fixed(state['alpha'], 2)} and K = {k}: {gets}; {best_gets}."


def selection_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the map is told."""
    kept = [f"{_KINDS[data['kind'][j]].name} {fixed(data['reward'][j], 2)}" for j in data["chosen"]["picks"]]
    return (
        f"Map of 24 candidate answers in three groups: 12 say a walk, 8 a museum, 4 cooking. Rule: "
        f"{RULES[state['by']]}. The {state['k']} kept, with their rewards: {', '.join(kept)}. A line ties each "
        "candidate to the kept answer most like it. Beside the map, the rewards of each kind."
    )


def selection_table(data: Data, state: State) -> Table:
    """Every rule at these settings: kinds, reward, coverage."""
    columns = ["rule", "kinds kept", "mean reward", "how alike, on average, is the nearest kept answer"]
    rows = [
        [RULES[rule["by"]], str(rule["kinds"]), fixed(rule["reward"], 2), percent(rule["coverage"])]
        for rule in data["rules"]
    ]
    return {"columns": columns, "rows": rows}
