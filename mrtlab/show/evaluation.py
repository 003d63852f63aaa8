"""An evaluation as rows of text, for the terminal, the report and the model card alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrtlab.data.records import prompt_text
from mrtlab.data.tasks import FAMILIES
from mrtlab.lm.listed import Listed

COLUMNS = ("family", "n", "validity", "KL", "shape KL", "TV", "even", "favourite")
"""n: questions. Validity: mass on right answers. KL(truth ‖ model) = −log validity + shape KL, question by question.
Even: entropy among right answers as a share of its maximum. Favourite: times its even share."""

LISTED_COLUMNS = ("prompt", "responses", "mass on them", "worth, of equal ones", "likeliest")
_NUMBERS = {"validity": 2, "kl": 2, "shape_kl": 2, "tv": 2, "entropy_share": 2, "favourite": 1}
_LISTED = {
    "logp": "log-probability of a response, nats",
    "mass": "mass on the listed responses",
    "entropy": "entropy among them, nats",
    "effective": "worth so many equally likely ones",
    "kl": "KL(targets ‖ model), nats",
}
_LONG = 48  # characters of a text in a table


def interval(low: float, high: float, *, digits: int = 2) -> str:
    """Two ends of an interval.

    >>> interval(0.123, 0.2)
    '0.12 to 0.20'
    """
    return f"{low:.{digits}f} to {high:.{digits}f}"


def family_rows(results: Mapping[str, Any], *, line: str = "\n", to: str = "–") -> list[list[str]]:
    """A row for each family: means, each with its interval after `line`; a dash where answers cannot be listed."""
    rows = []
    order = {name: place for place, name in enumerate(FAMILIES)}  # JSON files come back in the order of the alphabet
    for name, family in sorted(results["families"].items(), key=lambda item: order.get(item[0], len(order))):
        cells = [name, str(family["asked"])]
        for key, digits in _NUMBERS.items():
            if key in family["numbers"]:
                mean, low, high = family["numbers"][key]
                cells.append(f"{mean:.{digits}f}{line}{low:.{digits}f}{to}{high:.{digits}f}")
            else:
                cells.append("–")
        rows.append(cells)
    return rows


def programs_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """pass@k for each k."""
    passed = sorted(results["programs"]["pass"].items(), key=lambda item: int(item[0]))
    return [[k, f"{mean:.2f}", interval(low, high)] for k, (mean, low, high) in passed]


def facts_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """Kinds of facts, then all together."""
    rows = [
        [name, str(kind["questions"]), f"{kind['accuracy'][0]:.2f}", interval(*kind["accuracy"][1:]),
         f"{kind['nll'][0]:.2f}"]
        for name, kind in results["facts"]["kinds"].items()
    ]  # fmt: skip
    mean, low, high = results["facts"]["accuracy"]
    return [*rows, ["all", str(results["facts"]["questions"]), f"{mean:.2f}", interval(low, high), ""]]


def calibration_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """Bins of probability."""
    return [
        [f"{bin['low']:g} to {bin['high']:g}", f"{bin['answers']:,}", f"{bin['model']:.2g}", f"{bin['truth']:.2g}"]
        for bin in results["calibration"]
    ]


def listed_number_rows(numbers: Mapping[str, Sequence[float]]) -> list[list[str]]:
    """What was measured over all prompts of a file."""
    return [[_LISTED[name], f"{mean:.3g}", f"{low:.3g} to {high:.3g}"] for name, (mean, low, high) in numbers.items()]


def listed_rows(rows: Sequence[Listed]) -> list[list[str]]:
    """A row for each prompt of a file."""
    return [
        [
            cut(prompt_text(row.prompt)),
            str(len(row.responses)),
            f"{row.mass:.3g}",
            f"{row.effective:.1f}",
            f"{cut(row.responses[int(row.logp.argmax())])} ({row.shape.max():.0%})",
        ]
        for row in rows
    ]


def cut(text: str, length: int = _LONG) -> str:
    """A text of one line, cut to a readable length.

    >>> cut("one two three", 9)
    'one tw...'
    """
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
