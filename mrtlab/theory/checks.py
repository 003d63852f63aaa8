"""Checks of numbers and arrays, shared by the budget's files: one sentence that says what was given."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Real

Numbers = Real[np.ndarray, "..."] | np.number | float | int


def number(value: Numbers) -> Any:
    """As a float or an array of floats, unchecked."""
    return np.asarray(value, dtype=float)[()]


def _checked(value: Numbers, name: str, fits: Callable[[Any], Any], expected: str) -> Any:
    numbers = np.asarray(value, dtype=float)
    if not np.all(np.isfinite(numbers)) or not np.all(fits(numbers)):
        raise ValueError(f"{name} must be {expected}, got {value}")
    return numbers[()]


def count(value: Numbers, name: str) -> Any:
    """A count, 1 or more.

    >>> float(count(3, "k"))
    3.0
    """
    return _checked(value, name, lambda v: v >= 1, "1 or more")


def cost(value: Numbers, name: str) -> Any:
    """A cost, a length or a variance: 0 or more."""
    return _checked(value, name, lambda v: v >= 0, "0 or more and finite")


def positive(value: Numbers, name: str) -> Any:
    """A budget: more than 0."""
    return _checked(value, name, lambda v: v > 0, "more than 0 and finite")
