"""Two kinds of check: an answer that is a number, and an answer that is a function.

Both look for the *slips* an exercise knows: a slip is a wrong result together with the hint that names the thought
behind it. Nothing a learner hands in makes a check raise.
"""

import copy
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mrtlab.show.exercises.exercise import Feedback

_REAL = "iuf"  # numpy kinds: signed, unsigned, floating


@dataclass(frozen=True, kw_only=True)
class NumberCheck:
    """Grade one number.

    Attributes:
        target: the exact answer.
        hint: first hint; shown before any answer and after an answer that no slip explains.
        why: one sentence on why the right answer is right.
        carry_on: something to try next.
        slips: wrong values, each with the hint that explains it.
        whole: the answer is a whole number and must be exact; otherwise two decimals are enough.
    """

    target: float | int
    hint: str
    why: str
    carry_on: str
    slips: tuple[tuple[float | int, str], ...] = ()
    whole: bool = False

    def __call__(self, answer: Any) -> Feedback:
        """Feedback on an answer of any type."""
        if answer is ...:
            return Feedback("not answered yet", self.hint)
        value, problem = _read_number(answer)
        if value is None:
            return Feedback("not yet", problem)
        if self.close(value, self.target):
            return Feedback("right", self.why, self.carry_on)
        return Feedback("not yet", self._hint_for(value))

    def close(self, value: float, to: float | int) -> bool:
        """Equal, or equal once both are rounded to two decimals."""
        return bool(value == to if self.whole else abs(value - to) <= 0.005 + 1e-9)

    def _hint_for(self, value: float) -> str:
        for wrong, hint in self.slips:
            if self.close(value, wrong):
                return hint
        if self.close(-value, self.target):
            return "The size is right, the sign is not."
        if self.whole and value != round(value):
            return f"You gave {value:.6g}; the answer is a whole number."
        if self.close(value / 100, self.target):
            return "That is 100 times too large. Is it a percentage?"
        if not self.whole and abs(value - self.target) <= 0.06:
            return "Very near. Give at least two decimals."
        return f"{value:.6g} is not it. {self.hint}"


@dataclass(frozen=True, kw_only=True)
class FunctionCheck:
    """Grade a function: call it on a few inputs and compare with the exact one.

    Attributes:
        reference: the exact function.
        cases: makes the inputs, a list of argument tuples, from a generator with a fixed seed. The first should be
            one to check by hand: it is the one shown.
        hint: first hint; shown before any answer and after a result that no slip explains.
        why: one sentence on why the right answer is right.
        carry_on: something to try next.
        slips: wrong functions, each with the hint that explains it.
        rtol: how much of a number may differ; more where a language model is run, in single precision or less.
    """

    reference: Callable[..., Any]
    cases: Callable[[np.random.Generator], list[tuple]]
    hint: str
    why: str
    carry_on: str
    slips: tuple[tuple[Callable[..., Any], str], ...] = ()
    rtol: float = 1e-6

    seed: ClassVar[int] = 1

    def __call__(self, answer: Any) -> Feedback:
        """Feedback on an answer of any type."""
        if answer is ...:
            return Feedback("not answered yet", self.hint)
        if not callable(answer):
            return Feedback("not yet", f"`check` wants the function itself, without brackets; it got `{show(answer)}`.")
        cases = self.cases(np.random.default_rng(self.seed))
        results = []
        for case in cases:
            given = copy.deepcopy(case)
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")  # the feedback says what is wrong, a red box would not
                    results.append(answer(*given))
            except Exception as error:  # a learner's function may raise anything
                said = show_text("".join(traceback.format_exception_only(error)))
                return Feedback("not yet", f"Your function raised `{said}` on `{_call(answer, case)}`.")
            if results[-1] is ...:
                return Feedback("not answered yet", self.hint)
            if not _same_inputs(case, given):
                return Feedback(
                    "not yet",
                    f"Your function changes its input on `{_call(answer, case)}`: the caller's array is different "
                    "afterwards. Work on a new array, for example `counts + 1` in place of `counts += 1`.",
                )
        return self._compare(answer, cases, results)

    def _compare(self, answer: Callable, cases: list[tuple], results: list[Any]) -> Feedback:
        exact = [self.reference(*copy.deepcopy(case)) for case in cases]
        wrong = [i for i, pair in enumerate(zip(results, exact, strict=True)) if not _agree(*pair, rtol=self.rtol)]
        if not wrong:
            return Feedback("right", self.why, self.carry_on)
        first = wrong[0]
        call, result = _call(answer, cases[first]), results[first]
        if result is None:
            return Feedback("not yet", f"`{call}` gives `None`. Is there a `return`?")
        values = _as_array(result)
        if values is None:
            return Feedback("not yet", f"`{call}` gives `{show(result)}`; expected numbers.")
        for slip, hint in self.slips:
            with np.errstate(all="ignore"):
                slipped = [slip(*copy.deepcopy(case)) for case in cases]
            if all(_agree(ours, theirs, rtol=self.rtol) for ours, theirs in zip(results, slipped, strict=True)):
                return Feedback("not yet", hint)
        expected = np.asarray(exact[first])
        if values.shape != expected.shape:
            return Feedback("not yet", f"`{call}` gives {_shape(values)}; expected {_shape(expected)}. {self.hint}")
        if not np.isfinite(values).all():
            return Feedback("not yet", f"`{call}` gives `{show(result)}`: a 0/0 or a log of 0 on the way?")
        return Feedback("not yet", f"`{call}` gives `{show(result)}`; exact is `{show(exact[first])}`. {self.hint}")


def show(value: Any) -> str:
    """A value in at most 120 characters, arrays rounded to four decimals; never raises.

    >>> show(np.array([0.123456, 0.5]))
    'np.array([0.1235, 0.5])'
    """
    try:
        if isinstance(value, np.ndarray | np.generic):
            listed = str(np.round(value, 4).tolist()) if value.dtype.kind == "f" else str(value.tolist())
            text = f"np.array({listed})" if value.ndim else listed
        else:
            text = f"{value:.6g}" if type(value) is float else repr(value)
    except Exception:  # a learner's object may fail to print itself
        text = f"a {type(value).__name__}"
    return show_text(text)


def show_text(text: str) -> str:
    """Text on one line, at most 120 characters, safe between backticks.

    >>> show_text("two\\nlines with a `tick`")
    "two lines with a 'tick'"
    """
    line = " ".join(text.replace("`", "'").split())
    return line if len(line) <= 120 else line[:119] + "…"


def _read_number(answer: Any) -> tuple[float | None, str]:
    """The number in an answer, or None and a sentence on what it is in place of one."""
    if answer is None:
        return None, "Your answer is `None`. A function that prints but does not `return` gives that."
    if isinstance(answer, str | bytes):
        return None, f"That is text, `{show(answer)}`. A number needs no quotation marks."
    if isinstance(answer, bool | np.bool_):
        return None, f"That is `{answer}`, the result of a comparison. Hand in the number itself."
    if callable(answer):
        return None, "That is a function. Call it, and hand in the number it gives."
    values = _as_array(answer)
    if values is None:
        return None, f"Expected one number, got `{show(answer)}`."
    if values.size != 1:
        return None, f"That is {_shape(values)}; the question asks for one number."
    value = float(values.reshape(-1)[0])
    if not np.isfinite(value):
        return None, f"Your answer is `{value}`. A log of 0, or a division by 0, on the way?"
    return value, ""


def _as_array(value: Any) -> np.ndarray | None:
    """The value as an array of real numbers, or None where it is something else."""
    try:
        values = np.asarray(value)
        if values.dtype.kind == "O":  # fractions and decimals are numbers too
            values = values.astype(float)
        return values.astype(float) if values.dtype.kind in _REAL else None
    except Exception:  # foreign types may refuse in any way they like
        return None


def _agree(result: Any, expected: Any, *, rtol: float) -> bool:
    """Same shape and same numbers; nan agrees with nan, so that a slip which gives nan is recognised."""
    values, target = _as_array(result), np.asarray(expected, dtype=float)
    return (
        values is not None
        and values.shape == target.shape
        and bool(np.allclose(values, target, rtol=rtol, atol=1e-9, equal_nan=True))
    )


def _same_inputs(before: tuple, after: tuple) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def _call(function: Callable, case: tuple) -> str:
    """The call as the learner would type it."""
    name = getattr(function, "__name__", "answer").replace("<lambda>", "answer")
    return f"{name}({', '.join(show(argument) for argument in case)})"


def _shape(values: np.ndarray) -> str:
    """How many numbers, in words: 'one number', '5 numbers', 'a table of shape (2, 3)'."""
    if values.ndim == 0:
        return "one number"
    return f"{values.size} numbers" if values.ndim == 1 else f"a table of shape {values.shape}"
