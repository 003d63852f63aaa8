"""Which programs are the same algorithm: what a signature sees through, and what it must not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtlab.data.tasks.program_specs import SPECS
from mrtlab.spa.kin import NOT_PYTHON, effective_kinds, effective_right_kinds, kinds


def one_line(expression: str) -> str:
    return f"def f(x, y): return {expression}"


SAME = [
    ("x + x", "x+x"),
    ("x + y", "y + x"),
    ("2 * x", "x * 3"),
    ("x + 1 + y", "y + (x + 7)"),
    ("x - y", "y - x"),
    ("-1 * x", "x * 1"),
    ("x > 0", "0 < x"),
    ("x == y + 1", "1 + x == y"),
    ("x and y > 1", "1 < y and x"),
    ("max(x, 0)", "max(0, y)"),
    ("sorted([x, y], key=abs, reverse=True)", "sorted([y, x], reverse=False, key=abs)"),
]
APART = [
    ("x + x", "2 * x"),
    ("x + y", "x - y"),
    ("x // y", "x / y"),
    ("x > y", "x >= y"),
    ("max(x, y)", "min(x, y)"),
    ("x * 2", "x * 'a'"),
    ("x - 1 - y", "x - (1 - y)"),
    ("x if x > y else y", "max(x, y)"),
    ("x + y + 1", "x + y"),
    ("x and y or 1", "x and (y or 1)"),
    ("pow(x, 2)", "pow(2, x)"),
    ("x.real", "x.imag"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_does_not_count(one, other):
    assert kinds(one_line(one)) == kinds(one_line(other)) != NOT_PYTHON


@pytest.mark.parametrize(("one", "other"), APART)
def test_what_counts(one, other):
    assert kinds(one_line(one)) != kinds(one_line(other))


LOOP = """
import math
def total(values: list[int]) -> int:
    '''Add them up.'''
    result = 0  # so far
    for value in values:
        result = result + math.floor(value)
    return result
"""


def test_a_function_of_several_lines_under_other_names_and_without_its_comments():
    other = """
    from math import floor as down
    def f(xs):
        s = 1
        for x in xs:
            s += down(x)
        return s
    """
    assert kinds(LOOP) == kinds(other)
    assert "for" in kinds(LOOP).lower()
    assert "math.floor" in kinds(LOOP)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("for value in values", "while values"),
        ("+ math", "- math"),
        ("math.floor", "math.ceil"),
        ("def total(", "def total(a, "),
    ],
)
def test_a_change_of_the_loop_is_another_kind(before, after):
    assert before in LOOP
    assert kinds(LOOP) != kinds(LOOP.replace(before, after))


def test_recursion_is_told_from_a_loop_and_from_a_call_of_something_else():
    recursive = "def f(n): return 1 if n < 2 else n * f(n - 1)"
    assert kinds(recursive) == kinds(recursive.replace("f(", "fact("))
    assert kinds(recursive) != kinds(recursive.replace("f(n -", "abs(n -"))


@pytest.mark.parametrize(
    "text", ["", "def f(x: return", "x" * 30_000, "(" * 500, "-" * 5000 + "1", "f(" * 90 + ")" * 90, "a\0b"]
)
def test_whatever_is_no_program_is_one_kind(text):
    assert kinds(text) == NOT_PYTHON


@given(st.text())
def test_any_text_has_a_kind(text):
    assert kinds(text)


def test_the_listed_solutions_of_a_task_are_of_several_kinds_but_fewer_than_their_texts():
    programs = [program for spec in SPECS for program in spec.programs]
    per_spec = [len(set(map(kinds, spec.programs))) for spec in SPECS]
    assert min(per_spec) >= 2
    assert sum(per_spec) < len(programs)
    assert NOT_PYTHON not in map(kinds, programs)


def test_effective_kinds_by_hand():
    a, b, c = (one_line(text) for text in ("x + y", "x - y", "x * y"))
    assert effective_kinds([a, a, b, b, c, c]) == pytest.approx(3)
    assert effective_kinds([a, a, a, b]) == pytest.approx(4 / 27**0.25)  # exp(−¾ log ¾ − ¼ log ¼)
    assert effective_kinds(["one", "two", "two"], kind=lambda text: text[0]) == pytest.approx(3 / 4 ** (1 / 3))
    assert effective_right_kinds([a, b, c], [True, True, False]) == pytest.approx(2)
    assert effective_right_kinds([a, b], [False, False]) == 0


def test_effective_kinds_refuses():
    with pytest.raises(ValueError, match="at least one"):
        effective_kinds([])
    with pytest.raises(ValueError, match="2 answers and 1 verdicts"):
        effective_right_kinds(["a", "b"], [True])
