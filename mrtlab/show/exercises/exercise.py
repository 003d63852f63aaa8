"""What an exercise is made of, and what a learner gets back."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["not answered yet", "right", "not yet"]

# A border and a wash of the same hue; the text keeps the page's own colour, so light and dark both read well.
_LOOK: dict[str, tuple[str, str, str, str]] = {
    "not answered yet": ("○", "Not answered yet.", "#7d8590", "rgba(125,133,144,.12)"),
    "right": ("✓", "Right.", "#2f9e5b", "rgba(47,158,91,.14)"),
    "not yet": ("→", "Not yet.", "#c98a1b", "rgba(201,138,27,.14)"),
}

# Jupyter Book's theme puts a light frame around HTML outputs in the dark; this box brings its own ground.
_NO_FRAME = (
    "<style>html[data-theme=dark] .bd-content div.cell_output .text_html:has(div.mrtlab-feedback)"
    "{background:none;color:inherit;padding:0}</style>"
)


@dataclass(frozen=True)
class Feedback:
    """The answer to an answer.

    Attributes:
        state: "not answered yet", "right" or "not yet".
        message: why, or a hint; `code` in backticks.
        carry_on: where to go from a right answer.

    >>> Feedback("not yet", "That counts the `missed` answers.")
    Not yet. That counts the `missed` answers.
    """

    state: State
    message: str
    carry_on: str = ""

    def __repr__(self) -> str:
        """Plain text, for a terminal."""
        _, headline, _, _ = _LOOK[self.state]
        return " ".join(part for part in (headline, self.message, self.carry_on) if part)

    def _repr_html_(self) -> str:
        """A calm box, for JupyterLab, Colab and the book."""
        sign, headline, border, wash = _LOOK[self.state]
        more = f'<div style="margin-top:.4em">{_inline(self.carry_on)}</div>' if self.carry_on else ""
        return (
            f'{_NO_FRAME}<div class="mrtlab-feedback" role="status" style="border-left:4px solid {border};'
            f"background:{wash};color:inherit;padding:.6em .9em;border-radius:4px;max-width:46em;"
            f'font-family:inherit;line-height:1.5">'
            f'<strong><span aria-hidden="true">{sign}</span> {headline}</strong> '
            f"{_inline(self.message)}{more}</div>"
        )


def _inline(text: str) -> str:
    """Escape text for a page and set what stands in backticks as code."""
    code = r'<code style="background:none;color:inherit;white-space:pre-wrap">\1</code>'
    return re.sub(r"`([^`]+)`", code, html.escape(text))


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise: everything the notebook shows and everything the check needs.

    Attributes:
        id: chapter and name, "ch1.coverage".
        title: its heading.
        difficulty: 1 (a line), 2 (a few lines and a thought) or 3 (worth a walk).
        minutes: about how long it takes.
        text: the question, markdown.
        stub: code the learner edits; runs as it is, and ends in the same `check(...)` line as the solution.
        solution: code that answers it.
        check: turns an answer into feedback; never raises for a wrong one.
        mistakes: wrong answers that learners give, each a factory and a part of the hint it must bring.
    """

    id: str
    title: str
    difficulty: Literal[1, 2, 3]
    minutes: int
    text: str
    stub: str
    solution: str
    check: Callable[[Any], Feedback]
    mistakes: tuple[tuple[Callable[[], Any], str], ...]
