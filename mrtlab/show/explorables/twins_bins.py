"""What the opening machine of chapter 4 computes and says: the twin of ``bins.js``."""

from math import floor

import numpy as np
from jaxtyping import Float

from mrtlab.show.explorables.common import Data, State, Table, fixed
from mrtlab.theory import best_of_n
from mrtlab.theory.bandit import logit_step
from mrtlab.theory.objectives import dpo, forward_kl, listed_pairs, logit_descent, mle, reinforce_exact, reverse_kl

BINS = ("poor", "fair", "good")
METHODS = {
    "imitate": "imitate a fair sample",
    "best-of-n": "best-of-4 SFT",
    "reinforce": "REINFORCE",
    "dpo": "DPO: good over fair",
    "forward": "forward KL",
    "reverse": "reverse KL",
}
MOST = 200  # steps
N = 4  # draws that best-of-n chooses from
RATE = 1.0  # step size, on the logits
BETA = 1.0  # of DPO

Law = Float[np.ndarray, " 3"]

_REWARD = np.array([0.0, 0.5, 1.0])
_TARGET = np.array([0.1, 0.3, 0.6])
_SAMPLE = np.array([1])  # the one answer that was seen: a fair one
_PAIR = listed_pairs(np.array([2]), np.array([1]), n_answers=3)  # good was preferred to fair
_ENDS = {
    "imitate": np.eye(3)[1],
    "reinforce": np.eye(3)[2],
    "dpo": np.eye(3)[2],
    "forward": _TARGET,
    "reverse": _TARGET,
}
_LESSONS = {
    "imitate": "One answer was seen, a fair one: in the end nothing else is left.",
    "reinforce": "A bin is pulled in proportion to its own mass: the rare one waits.",
    "forward": "The pull is target minus model: a rare bin waits for nothing.",
    "reverse": "Its own mass multiplies the pull on a bin: the rare one waits.",
}


def _start(rare: float) -> Law:
    """The first policy: this much on good, the rest split 7 to 2 between poor and fair."""
    return np.array([(1 - rare) * 7 / 9, (1 - rare) * 2 / 9, rare])


def weights(method: str, p: Law, start: Law) -> Law:
    """Exact signed weights of a method on the three bins.

    >>> half = np.array([0.25, 0.5, 0.25])
    >>> weights("dpo", half, half)  # β/2 up for the winner, down for the loser
    array([ 0. , -0.5,  0.5])
    """
    logp = np.log(p)
    if method == "imitate":
        found = np.zeros(3)
        found[_SAMPLE] = mle(logp[_SAMPLE]).weight
        return found
    if method == "best-of-n":
        return forward_kl(logp, best_of_n(start, _REWARD, N)).weight
    if method == "reinforce":
        return reinforce_exact(logp, _REWARD).weight
    if method == "dpo":
        return dpo(logp, np.log(start), _PAIR, beta=BETA).weight
    return (forward_kl if method == "forward" else reverse_kl)(logp, _TARGET).weight


def _nine(values: Law) -> list[float]:
    """Nine decimals: more than anybody sees, and none of the last bits in which two languages differ."""
    return [floor(1e9 * value + 0.5) / 1e9 for value in values.tolist()]


def bins(state: State) -> Data:
    """The policy before every step and after the last one.

    Args:
        state: method (a key of `METHODS`), rare (mass of the good bin at first), steps taken.

    Returns:
        `path`, the masses of poor, fair and good after 0, 1 … steps; the move of the logits in the next step; the
        policy after it; the end that the method heads for, however slowly; the mean reward.

    >>> data = bins({"method": "forward", "rare": 0.1, "steps": 0})  # 0.9 split 7 to 2; the push is target − model
    >>> data["path"], data["push"]
    ([[0.7, 0.2, 0.1]], [-0.6, 0.1, 0.5])
    """
    start = p = _start(state["rare"])
    path, method = [_nine(start)], state["method"]
    for step in range(state["steps"] + 1):
        push = logit_descent(weights(method, p, start), np.log(p))
        after = logit_step(p, push, step=RATE)
        if step < state["steps"]:
            p = after
            path.append(_nine(p))
    return {
        "path": path,
        "push": _nine(push),
        "next": _nine(after),
        "end": _nine(best_of_n(start, _REWARD, N) if method == "best-of-n" else _ENDS[method]),
    }


def _share(value: float) -> str:
    return f"{fixed(100 * value, 1)}\u00a0%"


def _verb(before: float, after: float) -> str:
    return "kept" if abs(after - before) < 5e-4 else "rose to" if after > before else "fell to"


def _lesson(data: Data, state: State) -> str:
    if state["method"] == "best-of-n":
        return f"It ends at the law of the best of four first draws: good gets {_share(data['end'][2])}, no more."
    if state["method"] == "dpo":
        rises = data["next"][0] > data["path"][-1][0]
        return f"The next step {'lifts' if rises else 'lowers'} poor{' too' if rises else ''}, which is in no pair."
    return _LESSONS[state["method"]]


def bins_sentence(data: Data, state: State) -> str:
    """The line under the bins, as HTML."""
    first, last, steps = data["path"][0], data["path"][-1], state["steps"]
    if steps == 0:
        return f"Before the first step, good has <b>{_share(first[2])}</b>. {_lesson(data, state)}"
    moved = [f"{name} {_verb(a, b)} <b>{_share(b)}</b>" for name, a, b in zip(BINS, first, last, strict=True)]
    return f"{'One step' if steps == 1 else f'{steps} steps'}: {', '.join(moved)}. {_lesson(data, state)}"


def bins_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the bins is told."""
    bars = [
        f"{name} from {_share(a)} to {_share(b)} (target {_share(q)}, end {_share(end)})"
        for name, a, b, q, end in zip(
            BINS, data["path"][0], data["path"][-1], _TARGET.tolist(), data["end"], strict=True
        )
    ]
    return (
        f"Three bins, their rewards 0, ½ and 1. Method: {METHODS[state['method']]}. Mass at the start and after "
        f"{state['steps']} steps: {'; '.join(bars)}. Beside them, the three masses after every step."
    )


def bins_table(data: Data, state: State) -> Table:
    """Every bin: where it was, is, is pushed and ends."""
    columns = ["bin", "reward", "start", f"after {state['steps']}", "next move of its logit", "target", "method’s end"]
    rows = [
        [name, fixed(r, 1), _share(a), _share(b), fixed(push, 3).replace("-", "−"), _share(q), _share(end)]
        for name, r, a, b, push, q, end in zip(
            BINS, _REWARD, data["path"][0], data["path"][-1], data["push"], _TARGET, data["end"], strict=True
        )
    ]
    return {"columns": columns, "rows": rows}
