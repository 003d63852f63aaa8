"""What training changed, measured exactly on the same prompts before and after."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mrtlab.data.records import Record
from mrtlab.lm.evaluate import band
from mrtlab.lm.listed import Listed, score_listed

NUMBERS = ("nll", "mass", "entropy")
FEW = 5  # prompts; an interval over fewer says nothing
EXAMPLES = 4  # prompts whose responses are kept with their probabilities
_RESPONSES = 12  # of each of them

Measured = dict[str, Any]
"""Lists with a number for each prompt, named as `NUMBERS`; and under "examples" responses with probabilities."""


def measure(
    model: Any,
    tokenizer: Any,
    records: Sequence[Record],
    *,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Measured:
    """Exact numbers of a model on the responses that records list, each different response counted once.

    - nll: mean over a prompt's responses of −log p(response), end of the response included, nats.
    - mass: probability that the model's answer is one of them.
    - entropy: of the model's law among them, nats.

    Args:
        model, tokenizer: as `load_model` returns them. The model's mode is put back afterwards.
        records: what to measure; no records give empty lists.
        report: called with how many prompts are done, and how many there are.

    Raises:
        ValueError: a prompt or response does not fit into the model.
    """
    training = model.training
    model.eval()
    try:
        asked = [(record.prompt, record.responses, None) for record in records]
        rows = score_listed(model, tokenizer, asked, report=report)
    finally:
        model.train(training)
    return {
        "nll": [float(-row.logp.mean()) for row in rows],
        "mass": [row.mass for row in rows],
        "entropy": [row.entropy for row in rows],
        "examples": [_example(rows[i]) for i in _evenly(len(rows), EXAMPLES)],
    }


def change(before: Measured, after: Measured, *, seed: int = 0) -> dict[str, dict[str, list[float]]]:
    """Mean and 95 % bootstrap interval over prompts: before, after, and of the difference prompt by prompt.

    >>> both = change({"nll": [3.0, 2.0], "mass": [0.1, 0.1], "entropy": [1.0, 1.0]},
    ...               {"nll": [2.5, 1.5], "mass": [0.2, 0.2], "entropy": [1.0, 1.0]})
    >>> both["nll"]["change"]
    [-0.5, -0.5, -0.5]
    """
    found = {}
    for name in NUMBERS:
        old, new = np.array(before[name]), np.array(after[name])
        if len(old):
            rows = (("before", old), ("after", new), ("change", new - old))
            found[name] = {what: list(band(values, seed=seed)) for what, values in rows}
    return found


def _evenly(n: int, wanted: int) -> list[int]:
    """Up to `wanted` places among n, evenly spaced from the first to the last.

    >>> _evenly(10, 4), _evenly(2, 4), _evenly(1, 4), _evenly(0, 4)
    ([0, 3, 6, 9], [0, 1], [0], [])
    """
    return sorted({round(i * (n - 1) / (wanted - 1)) for i in range(wanted)}) if n else []


def _example(row: Listed) -> dict[str, Any]:
    prompt = row.prompt if isinstance(row.prompt, str) else [dict(message) for message in row.prompt]
    shown = zip(row.responses[:_RESPONSES], row.logp[:_RESPONSES], strict=True)
    return {"prompt": prompt, "responses": [[text, float(np.exp(logp))] for text, logp in shown]}
