"""The specifications of the programs: what is asked, right solutions, plausible wrong ones, and how it is tested.

`meaning` says what is wanted in Python of our own; the outputs of the tests come from it. Solutions and wrong programs
are texts. The tests of this module's family run every one of them: all solutions pass, all wrong ones fail.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from mrtlab.data.sandbox import Test

_ANY = (-12, -7, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 20)
_NOT_NEGATIVE = tuple(range(13))
_FEW = (-7, -3, -2, -1, 0, 1, 2, 4, 9)
_DIVISORS = (1, 2, 3, 5, 8)


@dataclass(frozen=True)
class Spec:
    """One function to write.

    Attributes:
        name: a short name.
        descriptions: what f returns, in words.
        meaning: the same in Python; its arguments are f's.
        solutions: right expressions, at least five, all different.
        wrong: wrong expressions that somebody might write.
        wrong_share: how often the taught law gives a wrong one.
        inputs: for each argument the values to test; all combinations are tested.
    """

    name: str
    descriptions: tuple[str, ...]
    meaning: Callable[..., int]
    solutions: tuple[str, ...]
    wrong: tuple[str, ...]
    wrong_share: float = 0.35
    inputs: tuple[tuple[int, ...], ...] = (_ANY,)

    @property
    def signature(self) -> str:
        """The head of the function, such as f(x, y)."""
        return f"f({', '.join(('x', 'y', 'z')[: len(self.inputs)])})"

    @property
    def programs(self) -> tuple[str, ...]:
        """The solutions as whole programs."""
        return tuple(f"def {self.signature}: return {expression}" for expression in self.solutions)

    @property
    def wrong_programs(self) -> tuple[str, ...]:
        """The wrong ones as whole programs."""
        return tuple(f"def {self.signature}: return {expression}" for expression in self.wrong)

    @cached_property
    def tests(self) -> tuple[Test, ...]:
        """Inputs and wanted outputs."""
        return tuple((inputs, self.meaning(*inputs)) for inputs in itertools.product(*self.inputs))


_TWO = (_FEW, _FEW)
_DIVIDED = (_FEW, _DIVISORS)
_THREE = ((-3, 0, 2, 5),) * 3

# fmt: off
SPECS = (
    Spec("double", ("twice x", "two times x", "x doubled"), lambda x: 2 * x,
         ("2 * x", "x * 2", "x + x", "x - -x", "3 * x - x", "x * 3 - x"), ("x * x", "x + 2", "2 + x"), 0.3),
    Spec("triple", ("three times x", "x tripled"), lambda x: 3 * x,
         ("3 * x", "x * 3", "x + x + x", "2 * x + x", "x + 2 * x", "4 * x - x"), ("x + 3", "x * x * x", "2 * x")),
    Spec("square", ("x squared", "x times itself", "the square of x"), lambda x: x**2,
         ("x * x", "-x * -x", "abs(x) * abs(x)", "x * (x - 1) + x", "x * (x + 1) - x"), ("2 * x", "x + x"), 0.3),
    Spec("cube", ("x cubed", "the cube of x"), lambda x: x**3,
         ("x * x * x", "x * (x * x)", "x * abs(x) * abs(x)", "abs(x) * x * abs(x)", "-x * -x * x"),
         ("3 * x", "x * x", "x + x + x"), 0.4),
    Spec("minus", ("minus x", "x with its sign changed"), lambda x: -x,
         ("-x", "0 - x", "-1 * x", "x * -1", "x - 2 * x", "x - x - x"), ("abs(x)", "-abs(x)", "1 - x"), 0.4),
    Spec("absolute", ("x without its sign", "the absolute value of x", "how far x is from zero"), abs,
         ("abs(x)", "max(x, -x)", "max(-x, x)", "-min(x, -x)", "x if x > 0 else -x", "-x if x < 0 else x"),
         ("-x", "max(x, 0)", "x if x < 0 else -x"), 0.4),
    Spec("next", ("x plus one", "the number after x"), lambda x: x + 1,
         ("x + 1", "1 + x", "x - -1", "x + 2 - 1", "-(-x - 1)"), ("x - 1", "x + 2", "x"), 0.2),
    Spec("previous", ("x minus one", "the number before x"), lambda x: x - 1,
         ("x - 1", "-1 + x", "x + -1", "-(1 - x)", "x + 1 - 2"), ("x + 1", "1 - x"), 0.3),
    Spec("half", ("half of x, rounded down", "x halved and rounded down"), lambda x: x // 2,
         ("x // 2", "x - (x + 1) // 2", "(x - x % 2) // 2", "2 * x // 4", "x * 2 // 4"),
         ("x % 2", "2 // x", "-(-x // 2)"), 0.4),
    Spec("last digit", ("the remainder of x divided by ten", "x modulo ten"), lambda x: x - 10 * (x // 10),
         ("x % 10", "x - x // 10 * 10", "x - 10 * (x // 10)", "(x + 10) % 10", "(x - 10) % 10"),
         ("x // 10", "x - 10", "10 % x"), 0.4),
    Spec("even", ("whether x is even", "whether two divides x"), lambda x: x in range(-100, 100, 2),
         ("x % 2 == 0", "0 == x % 2", "x % 2 != 1", "x % 2 < 1", "x // 2 * 2 == x"),
         ("x % 2 == 1", "x % 2", "x // 2 == 0"), 0.4),
    Spec("odd", ("whether x is odd", "whether x is not even"), lambda x: x in range(-99, 100, 2),
         ("x % 2 == 1", "1 == x % 2", "x % 2 != 0", "x % 2 > 0", "x // 2 * 2 != x"),
         ("x % 2 == 0", "x // 2 == 1", "x % 2"), 0.4),
    Spec("positive", ("whether x is positive", "whether x is above zero"), lambda x: x > 0,
         ("x > 0", "0 < x", "x >= 1", "max(x, 0) > 0", "max(0, x) != 0", "True if x > 0 else False"),
         ("x >= 0", "x < 0", "0 <= x"), 0.3),
    Spec("negative", ("whether x is negative", "whether x is below zero"), lambda x: x < 0,
         ("x < 0", "0 > x", "x <= -1", "min(x, 0) < 0", "abs(x) > x", "abs(x) != x"), ("x <= 0", "x > 0"), 0.3),
    Spec("zero", ("whether x is zero", "whether x equals zero"), lambda x: x == 0,
         ("x == 0", "0 == x", "abs(x) < 1", "abs(x) == 0", "x * x == 0"), ("x != 0", "x <= 0", "x"), 0.2),
    Spec("sign", ("the sign of x", "1, 0 or -1, the sign of x"), lambda x: 1 if x > 0 else -1 if x else 0,
         ("(x > 0) - (x < 0)", "max(-1, min(1, x))", "min(1, max(-1, x))", "1 if x > 0 else -1 if x < 0 else 0",
          "-1 if x < 0 else min(x, 1)", "0 if x == 0 else x // abs(x)"),
         ("1 if x > 0 else -1", "x // abs(x)", "x > 0"), 0.5),
    Spec("floor at zero", ("x, or zero if x is negative", "the larger of x and zero"), lambda x: x if x >= 0 else 0,
         ("max(x, 0)", "max(0, x)", "x if x > 0 else 0", "0 if x < 0 else x", "(x + abs(x)) // 2", "x - min(x, 0)"),
         ("min(x, 0)", "abs(x)", "0 if x > 0 else x"), 0.4),
    Spec("at most ten", ("x, but at most ten", "the smaller of x and ten"), lambda x: x if x <= 10 else 10,
         ("min(x, 10)", "min(10, x)", "x if x < 10 else 10", "10 if x > 10 else x", "x - max(x - 10, 0)"),
         ("max(x, 10)", "10", "x if x > 10 else 10"), 0.5),
    Spec("at least five", ("x, but at least five", "the larger of x and five"), lambda x: x if x >= 5 else 5,
         ("max(x, 5)", "max(5, x)", "x if x > 5 else 5", "5 if x < 5 else x", "5 + max(x - 5, 0)"),
         ("min(x, 5)", "5", "x + 5"), 0.5),
    Spec("square plus one", ("x squared plus one", "one more than the square of x"), lambda x: x**2 + 1,
         ("x * x + 1", "1 + x * x", "x * x - -1", "abs(x) * abs(x) + 1", "x * (x + 1) - x + 1"),
         ("x * x", "2 * x + 1", "(x + 1) * (x + 1)"), 0.4),
    Spec("sum to x", ("the sum of the numbers from one to x", "1 + 2 + ... + x"), lambda x: sum(range(x + 1)),
         ("x * (x + 1) // 2", "(x + 1) * x // 2", "(x * x + x) // 2", "(1 + x) * x // 2", "x * x - x * (x - 1) // 2"),
         ("x * (x - 1) // 2", "x + 1", "x * x // 2"), 0.5, (_NOT_NEGATIVE,)),
    Spec("double plus one", ("twice x plus one", "one more than twice x"), lambda x: 2 * x + 1,
         ("2 * x + 1", "1 + 2 * x", "x * 2 + 1", "x + x + 1", "x + 1 + x"), ("2 * (x + 1)", "2 * x - 1", "x + 2"), 0.4),
    Spec("from ten", ("how far x is from ten", "the distance between x and ten"), lambda x: max(x - 10, 10 - x),
         ("abs(x - 10)", "abs(10 - x)", "max(x - 10, 10 - x)", "x - 10 if x > 10 else 10 - x",
          "max(x, 10) - min(x, 10)"), ("x - 10", "10 - x", "abs(x) - 10"), 0.4),
    Spec("next even", ("the next even number after x", "the smallest even number above x"),
         lambda x: next(n for n in (x + 1, x + 2) if n % 2 == 0),
         ("x + 2 - x % 2", "x // 2 * 2 + 2", "(x // 2 + 1) * 2", "2 * (x // 2 + 1)", "x + 2 if x % 2 == 0 else x + 1"),
         ("x + 2", "x + 1", "2 * x"), 0.5),
    Spec("sum", ("x plus y", "the sum of x and y", "x and y added"), lambda x, y: x + y,
         ("x + y", "y + x", "x - -y", "y - -x", "max(x, y) + min(x, y)"), ("x - y", "x * y"), 0.2, _TWO),
    Spec("difference", ("x minus y", "y taken from x"), lambda x, y: x - y,
         ("x - y", "-y + x", "x + -y", "-(y - x)", "-1 * y + x"), ("y - x", "abs(x - y)"), 0.3, _TWO),
    Spec("product", ("x times y", "the product of x and y"), lambda x, y: x * y,
         ("x * y", "y * x", "-x * -y", "(x + 1) * y - y", "x * (y + 1) - x"), ("x + y", "x // y"), 0.3, _TWO),
    Spec("larger", ("the larger of x and y", "the maximum of x and y"), lambda x, y: sorted([x, y])[1],
         ("max(x, y)", "max(y, x)", "x if x > y else y", "y if x < y else x", "x if x >= y else y", "-min(-x, -y)"),
         ("min(x, y)", "x if x < y else y", "x"), 0.4, _TWO),
    Spec("smaller", ("the smaller of x and y", "the minimum of x and y"), lambda x, y: sorted([x, y])[0],
         ("min(x, y)", "min(y, x)", "x if x < y else y", "y if x > y else x", "x if x <= y else y", "-max(-x, -y)"),
         ("max(x, y)", "x if x > y else y", "y"), 0.4, _TWO),
    Spec("distance", ("the distance between x and y", "how far x is from y"), lambda x, y: max(x - y, y - x),
         ("abs(x - y)", "abs(y - x)", "max(x, y) - min(x, y)", "max(x - y, y - x)", "x - y if x > y else y - x"),
         ("x - y", "y - x", "abs(x) - abs(y)"), 0.4, _TWO),
    Spec("middle", ("the mean of x and y, rounded down", "half of x plus y, rounded down"), lambda x, y: (x + y) // 2,
         ("(x + y) // 2", "(y + x) // 2", "x + (y - x) // 2", "y + (x - y) // 2", "(x + y - (x + y) % 2) // 2"),
         ("x + y // 2", "x + y", "x // 2 + y // 2"), 0.5, _TWO),
    Spec("equal", ("whether x equals y", "whether x and y are the same"), lambda x, y: x == y,
         ("x == y", "y == x", "x - y == 0", "abs(x - y) < 1", "x <= y <= x", "max(x, y) == min(x, y)"),
         ("x != y", "x >= y", "abs(x) == abs(y)"), 0.3, _TWO),
    Spec("multiple", ("whether x is a multiple of y", "whether y divides x"),
         lambda x, y: x in {y * n for n in range(-20, 20)},
         ("x % y == 0", "0 == x % y", "x % y < 1", "x // y * y == x", "x == y * (x // y)"),
         ("y % x == 0", "x // y == 0", "x % y"), 0.4, _DIVIDED),
    Spec("remainder", ("the remainder of x divided by y", "x modulo y"), lambda x, y: x - y * (x // y),
         ("x % y", "x - x // y * y", "x - y * (x // y)", "(x + y) % y", "(x - y) % y"),
         ("x // y", "y % x", "x - y"), 0.3, _DIVIDED),
    Spec("above", ("whether x is larger than y", "whether x is above y"), lambda x, y: x > y,
         ("x > y", "y < x", "x - y > 0", "x >= y + 1", "0 < x - y", "True if x > y else False"),
         ("x >= y", "x < y", "x - y"), 0.3, _TWO),
    Spec("double sum", ("twice the sum of x and y", "x plus y, doubled"), lambda x, y: 2 * (x + y),
         ("2 * (x + y)", "(x + y) * 2", "2 * x + 2 * y", "x + x + y + y", "x + y + x + y"),
         ("2 * x + y", "x + y", "x + 2 * y"), 0.5, _TWO),
    Spec("largest", ("the largest of x, y and z", "the maximum of x, y and z"), lambda *n: sorted(n)[-1],
         ("max(x, y, z)", "max(z, y, x)", "max(y, x, z)", "max(x, max(y, z))", "max(max(x, y), z)"),
         ("max(x, y)", "min(x, y, z)"), 0.4, _THREE),
    Spec("sum of three", ("x plus y plus z", "the sum of x, y and z"), lambda *n: sum(n),
         ("x + y + z", "z + y + x", "y + x + z", "x + (y + z)", "x - -y + z"), ("x + y", "x * y * z"), 0.3, _THREE),
)
# fmt: on
