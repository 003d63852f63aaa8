"""Chapter 10, full training: what a run keeps in memory, and how many prompts there is room for."""

import math

import numpy as np

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck


def _bytes(each: float, frozen: float, adapter: float) -> object:
    """Bytes kept: for each weight that is trained, for a frozen one, and for a number of the adapter."""
    return lambda parameters, trained: np.array([each * parameters, frozen * parameters + adapter * trained])


_state = _bytes(16, 2, 16)

_STATE = Exercise(
    id="ch10.state",
    title="Sixteen bytes or two",
    difficulty=1,
    minutes=5,
    text=r"""
A training run keeps more than weights. With AdamW there are four numbers for every weight that is *trained*: the
weight, its gradient, and two running averages. In single precision each takes 4 bytes.

An adapter leaves the model's own weights as they are. They are *frozen*, and 16 bits each are enough for them. The four
numbers in single precision are kept for the adapter alone.

Write `state(parameters, trained)`, two numbers of bytes:

1. for a model of `parameters` weights that are all trained;
2. for the same model, frozen, with an adapter of `trained` numbers beside it.

`state(1000, 10)` should be `[16000, 2160]`. Activations come on top later.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def state(parameters, trained):
    return ...

check("ch10.state", state)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def state(parameters, trained):
    full = 16 * parameters
    adapter = 2 * parameters + 16 * trained
    return np.array([full, adapter])

check("ch10.state", state)
""",
    check=FunctionCheck(
        reference=_state,
        cases=lambda rng: [
            (1000, 10),
            (596_049_920, 10_092_544),
            (int(rng.integers(10**6, 10**7)), int(rng.integers(10**4, 10**5))),
        ],
        hint="How many numbers are kept for one weight, and how many bytes has each? 8 bits are a byte.",
        why="Sixteen bytes against two and a little. For a model of 596 million weights that is 9.5 GB, or 1.4 GB with "
        "an adapter of ten million numbers.",
        carry_on="Carry on: how large may a model be whose weights are all trained on a card of 16 GB, if nothing else "
        "were kept there? And what is kept if the frozen weights take four bits each?",
        slips=(
            (
                _bytes(12, 2, 12),
                "Twelve bytes are three numbers. AdamW keeps *two* averages, beside weight and gradient.",
            ),
            (_bytes(8, 2, 8), "Weight and gradient are counted. AdamW's two averages are missing."),
            (_bytes(4, 2, 4), "Those are the weights. Gradient and averages are missing where something is trained."),
            (_bytes(8, 2, 16), "In the first, weight and gradient are counted. AdamW's two averages are missing."),
            (_bytes(8, 1, 8), "Half of it. A number in single precision takes 4 bytes, one of 16 bits takes 2."),
            (
                _bytes(16, 4, 16),
                "The second is too large: a frozen weight takes 16 bits, which is 2 bytes, and has no gradient.",
            ),
            (
                _bytes(16, 16, 16),
                "The second is too large: a frozen weight has neither a gradient nor averages. It takes 2 bytes.",
            ),
            (
                _bytes(16, 0, 16),
                "The second is the adapter alone. The frozen weights are not trained, but they have to be there.",
            ),
            (_bytes(16, 16, 0), "The second has the bytes of the first. Frozen weights take 2 bytes each."),
            (_bytes(16, 2, 2), "The adapter is not frozen: it is what is trained. Four numbers of 4 bytes each."),
            (_bytes(16, 2, 4), "The adapter is what is trained. Its gradient and averages are kept as well."),
            (_bytes(16, 2, 8), "The adapter is what is trained. It has all four numbers, of 4 bytes each."),
            (
                _bytes(16, 2, 16 - 2),
                "An adapter takes no weight's place: it stands beside the model, and all of that is frozen.",
            ),
            (_bytes(128, 16, 128), "Those are bits. A byte has eight."),
            (lambda *case: _state(*case) / 1e9, "Those are gigabytes. Give bytes."),
            (lambda *case: _state(*case) / 2**30, "Those are gibibytes. Give bytes."),
            (lambda *case: _state(*case)[::-1], "Right numbers, in the other order: all trained comes first."),
        ),
    ),
    mistakes=(
        (lambda: _bytes(12, 2, 12), "*two* averages"),
        (lambda: _bytes(8, 2, 8), "averages are missing"),
        (lambda: _bytes(16, 4, 16), "which is 2 bytes"),
        (lambda: lambda parameters, trained: np.array([16 * parameters, 16 * trained]), "have to be there"),
        (lambda: lambda parameters, trained: [16 * parameters, 2 * (parameters + trained)], "is not frozen"),
        (lambda: lambda parameters, trained: [16 * parameters, 2 * (parameters - trained) + 16 * trained], "beside"),
        (lambda: lambda parameters, trained: 16 * parameters, "expected 2 numbers"),
        (lambda: [16000, 2160], "the function itself"),
    ),
)


def _room(memory: int, state: int, per_token: int, p: int, r: int, k: int) -> float:
    """How many prompts there is room for, parts of one and less than none included."""
    return (memory - state) / (per_token * (p + k * r))


def _largest(*case: int) -> int:
    return max(0, math.floor(_room(*case)))


_LARGEST = Exercise(
    id="ch10.largest",
    title="How many prompts fit?",
    difficulty=2,
    minutes=6,
    text=r"""
A card has `memory` bytes. What the run keeps anyway, weights and all that AdamW needs, takes `state` of them. What a
pass keeps for its way back grows with the tokens that it feeds: `per_token` bytes for each.

A prompt of $P$ tokens comes with its $K$ responses of $R$ tokens as a tree, which feeds the prompt once. Prompts stay
whole.

Write `largest(memory, state, per_token, p, r, k)`: the largest number of prompts that one pass has room for. If there
is room for none, it is 0.

`largest(1000, 60, 2, 60, 10, 4)` should be 4: there would be room for 4.7.
""",
    stub="""
from mrtlab.show.exercises import check

def largest(memory, state, per_token, p, r, k):
    return ...

check("ch10.largest", largest)
""",
    solution="""
from mrtlab.show.exercises import check

def largest(memory, state, per_token, p, r, k):
    free = memory - state
    per_prompt = per_token * (p + k * r)
    return max(0, free // per_prompt)

check("ch10.largest", largest)
""",
    check=FunctionCheck(
        reference=_largest,
        cases=lambda rng: [
            (1000, 60, 2, 60, 10, 4),
            (16 * 10**9, 1_353_580_544, 500_000, 256, 32, 8),
            (1000, 200, 2, 60, 10, 4),  # four, to the last byte
            (1000, 950, 2, 60, 10, 4),
            (1000, 1400, 2, 60, 10, 4),
        ],
        hint="First what is left beside the state, then the bytes of one prompt with all its responses. How often do "
        "they go into what is left, whole? What if nothing is left?",
        why="The state is paid once, every prompt brings its own tree. Copies would take K(P + R) tokens for each, so "
        "what a tree saves in tokens it saves in room as well.",
        carry_on="Carry on: a driver and the gaps between pieces of memory take room, too. Which of the six numbers "
        "would you rather measure than believe? And what can be changed where the answer is 0?",
        slips=(
            (
                lambda m, s, t, p, r, k: max(0, (m - s) // (t * (k * (p + r)))),
                "That is the room for copies. The tree feeds the prompt once: P + KR tokens.",
            ),
            (
                lambda m, s, t, p, r, k: m // (t * (p + k * r)),
                "The state is in the way: first take it off the card's memory.",
            ),
            (
                lambda m, s, t, p, r, k: max(0, (m - s) // (t * (p + r))),
                "That is the room for a prompt with one response. All K come with it.",
            ),
            (lambda m, s, t, p, r, k: max(0, (m - s) // (t * p)), "The responses take room as well: P + KR tokens."),
            (lambda m, s, t, p, r, k: max(0, (m - s) // t), "Those are tokens. How many tokens has a prompt's tree?"),
            (
                lambda m, s, t, p, r, k: max(0, (m - s) // (p + k * r)),
                "Every token takes `per_token` bytes.",
            ),
            (lambda *case: case[-1] * _largest(*case), "Those are responses: K of them belong to each prompt."),
            (lambda *case: max(0.0, _room(*case)), "Prompts stay whole: leave out what is after the point."),
            (_room, "Prompts stay whole, and there are never fewer than 0 of them."),
            (lambda *case: max(0, round(_room(*case))), "Rounding may go up: then one prompt too many is on the card."),
            (lambda *case: max(0, math.ceil(_room(*case))), "Rounded up, the last prompt does not fit. Round down."),
            (
                lambda *case: math.floor(_room(*case)),
                "Fine while the state fits. Where it does not, that is below 0: take 0 then.",
            ),
            (lambda *case: max(1, _largest(*case)), "Sometimes not even one prompt fits. Then the answer is 0."),
            (
                lambda *case: max(0, math.ceil(_room(*case)) - 1),
                "Where the last prompt fits to the byte, it fits: take it.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda m, s, t, p, r, k: max(0, (m - s) // (t * k * (p + r))), "room for copies"),
        (lambda: lambda m, s, t, p, r, k: m // (t * (p + k * r)), "in the way"),
        (lambda: lambda m, s, t, p, r, k: (m - s) // (t * (p + k * r)), "take 0 then"),
        (lambda: lambda m, s, t, p, r, k: max(0, (m - s) / (t * (p + k * r))), "after the point"),
        (lambda: lambda m, s, t, p, r, k: max(0, round((m - s) / (t * (p + k * r)))), "one prompt too many"),
        (lambda: lambda m, s, t, p, r, k: max(1, (m - s) // (t * (p + k * r))), "not even one"),
        (lambda: lambda m, s, t, p, r, k: max(0, (m - s) // t), "Those are tokens"),
        (lambda: 4, "the function itself"),
    ),
)

EXERCISES = (_STATE, _LARGEST)
