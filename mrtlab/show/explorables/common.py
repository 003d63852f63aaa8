"""What the twins share: their types, how a number is written, and the random generator of the page."""

from collections.abc import Iterator, Mapping
from typing import Any

Value = int | float | str
State = Mapping[str, Value]
Data = dict[str, Any]
Table = dict[str, list]  # {"columns": [text, …], "rows": [[text, …], …]}

_NUDGE = 1e-9  # so that 12.5 rounds the same way here and in JavaScript


def fixed(value: float, digits: int) -> str:
    """A number with so many decimals.

    >>> fixed(12.5, 0)
    '13'
    """
    return f"{value + _NUDGE:.{digits}f}"


def percent(share: float) -> str:
    """A share as whole percent, with a space that does not break.

    >>> percent(0.125)
    '13\\xa0%'
    """
    return f"{fixed(100 * float(share), 0)}\u00a0%"


def mulberry32(seed: int) -> Iterator[float]:
    """The generator of theory.js: uniform numbers from 32-bit integers, so that both sides draw the same.

    >>> round(next(mulberry32(1)), 4)
    0.6271
    """
    state = seed
    while True:
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((state ^ state >> 15) * (state | 1)) & 0xFFFFFFFF
        t ^= (t + (t ^ t >> 7) * (t | 61)) & 0xFFFFFFFF
        yield (t ^ t >> 14) / 2**32
