"""What chapter 7's draggable target computes and says: the twin of ``target.js``.

Eleven leaves: ten numbers and one for all that is off the list. Training is plain gradient descent on their logits.
"""

import re
from functools import cache
from math import comb, floor
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.lab import artifacts
from mrtlab.show.explorables.common import Data, State, Table, Value, fixed, percent
from mrtlab.theory.bandit import logit_step
from mrtlab.theory.distributions import entropy, kl
from mrtlab.theory.objectives import forward_kl, logit_descent

TARGETS = {
    "even": "even over all ten",
    "binomial": "Binomial(10, 0.2)",
    "zipf": "Zipf: 1/k",
    "pairs": "2, 4, 6, 8, 10 only",
    "model": "what the model does",
    "one": "one answer: 3",
    "own": "your own",
}
MOST = 50  # steps
RATE = 1.0  # step size, on the logits
OWN = "22-13-8-4-3-3-4-8-13-22"  # where "your own" begins
N = 10  # answers on the list

EDGES: tuple[dict[str, Value], ...] = (
    *({"target": target, "steps": 10} for target in TARGETS),
    {"target": "one", "steps": 50},  # the floor is 0
    {"target": "model", "steps": 50, "off": 0.8},  # the shape is right: only validity is left
    {"target": "model", "stop": 0.05},  # it would stop before the first step
    {"target": "binomial", "steps": 50, "stop": 0.05},
    {"steps": 50, "off": 0.8, "stop": 0.5},
    {"steps": 1, "off": 0.5},
    {"target": "zipf", "steps": 50, "off": 0.8},
    {"target": "own", "own": ""},  # nothing drawn: even
    {"target": "own", "own": "0-0-0"},
    {"target": "own", "own": "none of these"},
    {"target": "own", "own": "1 2, 3.5 <b>4</b> 5 6 7 8 9 10 11 12", "steps": 3},  # more than ten: the rest is cut
    {"target": "own", "own": "0-0-0-0-0-0-0-0-0-1", "steps": 30},
)
EXAMPLES: tuple[dict[str, Value], ...] = (
    {"target": "own", "own": OWN, "steps": 0},
    {"target": "own", "own": "0-0-20-0-20-0-40-0-20-0", "steps": 4},
    {"target": "own", "own": "1-3-8-17-21-21-17-8-3-1", "steps": 8},
    {"target": "own", "own": "18-16-15-13-11-9-7-5-4-2", "steps": 2},
    {"target": "own", "own": "50-0-0-0-0-0-0-0-0-50", "steps": 20},
    {"target": "zipf", "steps": 5},
    {"target": "pairs", "steps": 12},
    {"target": "model", "off": 0.5, "steps": 3},
)

Law = Float[np.ndarray, " 10"]
Leaves = Float[np.ndarray, " 11"]


@cache
def given() -> dict[str, Any]:
    """The embedded model's exact law, from chapter 4's artifact: its prompt, ten answers and the mass off the list.

    Raises:
        ArtifactMissing: the experiment has not been run.
    """
    ask = artifacts.load("meet_model", "book").results["ask"]
    return {"prompt": ask["question"], "law": [*ask["exact"], ask["wrong"]]}


def _start(off: float) -> Leaves:
    """The model before training; with `off` > 0 that much is off the list, and the rest keeps its shape."""
    law = np.array(given()["law"])
    law = law / law.sum()
    return np.append(law[:N] / law[:N].sum() * (1 - off), off) if off else law


def target(state: State) -> Law:
    """The target p* over the ten numbers.

    >>> target({"target": "own", "own": "3-1"})[:3]
    array([0.75, 0.25, 0.  ])
    """
    k = np.arange(1, N + 1)
    weights = {
        "even": lambda: np.ones(N),
        "binomial": lambda: np.array([comb(N, i) * 0.2**i * 0.8 ** (N - i) for i in range(1, N + 1)]),
        "zipf": lambda: 1 / k,
        "pairs": lambda: (k % 2 == 0) * 1.0,
        "model": lambda: _start(0)[:N],
        "one": lambda: (k == 3) * 1.0,
        "own": lambda: _read(state["own"]),
    }[state["target"]]()
    return weights / weights.sum()


def _read(text: str) -> Law:
    """The first ten numbers of a text; what is missing is 0, and nothing at all means even."""
    found = [float(number) for number in re.findall(r"[0-9]+(?:\.[0-9]+)?", text)[:N]]
    weights = np.array(found + [0.0] * (N - len(found)))
    return weights if weights.sum() > 0 else np.ones(N)


def _nine(values: np.ndarray) -> list[float]:
    """Nine decimals: more than anybody sees, and none of the last bits in which two languages differ."""
    return [floor(1e9 * value + 0.5) / 1e9 for value in values.tolist()]


def _parts(p: Leaves, aim: Law) -> np.ndarray:
    """Validity −log m and shape KL(p* ‖ p/m), nats; m is the mass on the list."""
    m = p[:N].sum()
    return np.array([-np.log(m), kl(aim, p[:N] / m)])


def target_training(state: State) -> Data:
    """Loss, its parts and every leaf's gradient, after so many steps of gradient descent on the leaves' logits.

    L = H(p*) + validity + shape, and ∂L/∂z = p − p* on every leaf's logit z, with p* = 0 off the list. A step is
    z ← z − η(p − p*), η = 1.

    Args:
        state: target (a key of `TARGETS`), own (ten weights as a text, for the target "own"), steps, stop (γ),
            off (mass off the list at first; 0: as the model has it).

    Returns:
        the target (10); the model's law (11) at first and after the steps; the pull p − p* (11); floor, validity,
        shape and loss in nats; the path of (validity, shape) for all 51 counts of steps; the step at which
        loss ≤ (1 + γ)·floor first holds, None if it never does; the largest pull at first.

    >>> data = target_training({"target": "even", "own": "", "steps": 0, "stop": 0.2, "off": 0.5})
    >>> round(data["floor"], 4), round(data["validity"], 4)  # log 10 and log 2
    (2.3026, 0.6931)
    >>> abs(sum(data["pull"])) < 1e-7, data["pull"][-1]  # off the list, the pull is the mass itself
    (True, 0.5)
    """
    aim = target(state)
    leaves = np.append(aim, 0.0)
    base = p = _start(state["off"])
    floor_ = float(entropy(aim))
    path = []
    for step in range(MOST + 1):
        if step == state["steps"]:
            now = p
        path.append(_parts(p, aim))
        p = logit_step(p, logit_descent(forward_kl(np.log(p), leaves).weight, np.log(p)), step=RATE)
    totals = [floor_ + parts.sum() for parts in path]
    stop = next((i for i, total in enumerate(totals) if total <= (1 + state["stop"]) * floor_), None)
    validity, shape = path[state["steps"]]
    pull = now - leaves
    floor_, validity, shape, loss = _nine(np.array([floor_, validity, shape, totals[state["steps"]]]))
    return {
        "target": _nine(aim),
        "start": _nine(base),
        "model": _nine(now),
        "pull": _nine(pull),
        "floor": floor_,
        "validity": validity,
        "shape": shape,
        "loss": loss,
        "path": [_nine(parts) for parts in path],
        "stop": stop,
        "most": _nine(np.abs(base - leaves).max(keepdims=True))[0],
    }


def _signed(value: float) -> str:
    text = fixed(value, 2)
    return text.replace("-", "−") if float(text) else "0.00"


def _when(steps: int) -> str:
    return "Before the first step" if steps == 0 else "After one step" if steps == 1 else f"After {steps} steps"


def _pulled(data: Data, state: State) -> str:
    if state["target"] == "model" and data["shape"] < 0.005:
        return "The shape is the model’s own: only validity is missing."
    if state["target"] == "model":
        return "The shape was right at first: mass that comes from off the list bends it for a while."
    first = data["path"][0][0]
    if data["validity"] > first + 0.005:
        return f"Validity rose from {fixed(first, 2)}: off the list, the pull is no more than its own mass."
    sizes = [abs(pull) for pull in data["pull"]]
    most = sizes.index(max(sizes))
    if sizes[most] < 0.02:
        return "No pull is left that is larger than 0.02."
    who = "off the list there is" if most == N else f"{most + 1} has"
    return f"The largest pull: {who} {fixed(sizes[most], 2)} too {'much' if data['pull'][most] > 0 else 'little'}."


def _stops(data: Data, state: State) -> str:
    at = f"Early stop, γ = {state['stop']:g}:"
    if data["floor"] < 1e-9:
        return f"{at} never, for one answer has floor 0."
    if data["stop"] is None:
        return f"{at} not in {MOST} steps."
    return f"{at} at step {data['stop']}." if data["stop"] else f"{at} before the first step."


def target_sentence(data: Data, state: State) -> str:
    """The line under the bars, as HTML; never holds what was typed."""
    return (
        f"{_when(state['steps'])} the loss is <b>{fixed(data['loss'], 2)}</b> nats: floor {fixed(data['floor'], 2)}, "
        f"validity <b>{fixed(data['validity'], 2)}</b>, shape <b>{fixed(data['shape'], 2)}</b>. "
        f"{_pulled(data, state)} {_stops(data, state)}"
    )


def _names() -> list[str]:
    return [*map(str, range(1, N + 1)), "off the list"]


def target_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the bars is told."""
    bars = [
        f"{name} {percent(p)} (target {percent(q)}, p − p* {_signed(pull)})"
        for name, p, q, pull in zip(_names(), data["model"], [*data["target"], 0.0], data["pull"], strict=True)
    ]
    return (
        f"Eleven leaves, the numbers 1 to 10 and all that is off the list. Target: {TARGETS[state['target']]}. The "
        f"model after {state['steps']} steps: {'; '.join(bars)}. Beside them the loss, {fixed(data['loss'], 2)} nats, "
        f"and its parts validity and shape, step by step."
    )


def target_table(data: Data, state: State) -> Table:
    """Every leaf: the model at first and now, the target, the gradient on its logit."""
    columns = ["answer", "model at first", f"after {state['steps']}", "target", "p − p*"]
    rows = [
        [name, percent(p0), percent(p), percent(q), _signed(pull)]
        for name, p0, p, q, pull in zip(
            _names(), data["start"], data["model"], [*data["target"], 0.0], data["pull"], strict=True
        )
    ]
    return {"columns": columns, "rows": rows}
