"""The sandbox runs its own grammar as Python would, and nothing else."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.data.sandbox import MAX_NUMBER, RefusedError, parse_program, passes

HOSTILE = {
    "def f(x): return x.__class__": "Attribute",
    "def f(x): return ().__class__.__bases__": "Attribute",
    "def f(x): return x ** x": "Pow",
    "def f(x): return 9 ** 9 ** 9": "Pow",
    "def f(x): return 1 << x": "LShift",
    "def f(x): return x / 2": "Div",
    "def f(x): return [x for _ in x]": "ListComp",
    "def f(x): return {x: x for x in x}": "DictComp",
    "def f(x): return (x for x in x)": "GeneratorExp",
    "def f(x): return max(*[x, x])": "Starred|with these arguments",
    "def f(x): return (lambda: x)()": "Lambda",
    "def f(x): return lambda: x": "Lambda",
    "def f(x): return (y := x)": "NamedExpr",
    "def f(x): return x and 1": "BoolOp",
    "def f(x): return not x": "Not",
    "def f(x): return +x": "UAdd",
    "def f(x): return ~x": "Invert",
    "def f(x): return x in x": "In ",
    "def f(x): return x is x": "Is ",
    "def f(x): return x[0]": "Subscript",
    "def f(x): return (x, x)": "Tuple",
    "def f(x): return f'{x}'": "JoinedStr",
    "def f(x): return 'x' * 999": "constant",
    "def f(x): return 1.5": "constant",
    "def f(x): return 1j": "constant",
    "def f(x): return None": "constant",
    "def f(x): return ...": "constant",
    "def f(x): return 100000": "constant",
    "def f(x): return " + "9" * 200: "constant",
    "def f(x): return __import__('os')": "__import__",
    "def f(x): return eval(x)": "eval",
    "def f(x): return f(x)": "call of f",
    "def f(x): return __builtins__": "__builtins__",
    "def f(x): return abs": "abs",
    "def f(x): return y": "y",
    "def f(x): return max(x)": "max",
    "def f(x): return max(x, x, key=x)": "max",
    "def f(x): return abs(x, x)": "abs",
    "def f(x): return (yield x)": "Yield",
    "def f(x): return": "without a value",
    "def f(x): pass": "Pass",
    "def f(x):\n while True: pass": "While",
    "def f(x):\n for y in x: pass": "For",
    "def f(x):\n import os\n return x": "Import",
    "def f(x):\n 'text'\n return x": "Expr",
    "def f(x):\n return x\n return x": "one Return",
    "def f(x): return x\ndef f(x): return x": "one FunctionDef",
    "": "one FunctionDef",
    "import os": "Import",
    "f = 1": "Assign",
    "class f: pass": "ClassDef",
    "async def f(x): return x": "AsyncFunctionDef",
    "def g(x): return x": "called f",
    "def f(): return 1": "arguments",
    "def f(x, x): return x": "arguments",
    "def f(x=1): return x": "plain",
    "def f(*x): return 1": "plain",
    "def f(**x): return 1": "plain",
    "def f(x, /): return x": "plain",
    "def f(*, x): return x": "plain",
    "def f(x: int): return x": "annotations",
    "def f(x) -> int: return x": "annotations",
    "@abs\ndef f(x): return x": "decorators",
    "def f(max): return max": "no name",
    "def f(__x__): return 1": "no name",
    "def f(x): return ａbs(x)": "ASCII",
    "def f(x): return 1 if": "not Python",
    "def f(x): return 0or x": "not Python",
    "def f(x): return x\0": "not Python",
    "def f(x): return '\\d'": "not Python",
    "def f(x): return " + "(" * 90 + "x" + ")" * 90: "deep",
    "def f(x): return " + "{" * 250: "deep",
    "def f(x): return " + "-" * 250 + "x": "deep",
    "def f(x): return " + "x + " * 60 + "x": "deep",
    "def f(x): return " + "x if x else " * 22 + "x": "deep",
    "def f(x): return " + "x + " * 10_000 + "x": "longer",
    "def f(x): return " + "(" * 10_000: "longer",
}


@pytest.mark.parametrize(("text", "why"), HOSTILE.items(), ids=range(len(HOSTILE)))
def test_hostile_programs_are_refused_by_name_and_at_once(text: str, why: str) -> None:
    start = time.perf_counter()
    with pytest.raises(RefusedError, match=why):
        parse_program(text)
    assert time.perf_counter() - start < 1
    assert not passes(text, [((1,), 1)])


@pytest.mark.parametrize(
    ("text", "inputs", "why"),
    [
        ("def f(x): return x // 0", (1,), "zero"),
        ("def f(x): return 1 % x", (0,), "zero"),
        ("def f(x): return " + "*".join(["x"] * 12), (100,), "value"),
        ("def f(x): return x", (10 * MAX_NUMBER,), "value"),
        ("def f(x): return x", (1, 2), "takes 1"),
    ],
)
def test_runs_that_break_a_limit_are_refused(text: str, inputs: tuple[int, ...], why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        parse_program(text).run(*inputs)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text(alphabet="defrtunxy():+-*/%<>=! 0159,\n[]{}._'\\#", max_size=60)))
def test_any_text_after_return_is_refused_or_gives_a_small_whole_number(tail: str) -> None:
    try:
        got = parse_program(f"def f(x): return {tail}").run(3)
    except RefusedError:
        return
    assert type(got) in (int, bool)
    assert abs(got) <= MAX_NUMBER


def _larger(smaller: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(("+", "-", "*", "//", "%", "<", "<=", ">", ">=", "==", "!="))
    return st.one_of(
        st.builds("({} {} {})".format, smaller, binary, smaller),
        st.builds("({} < {} == {})".format, smaller, smaller, smaller),
        st.builds("(-{})".format, smaller),
        st.builds("({} if {} else {})".format, smaller, smaller, smaller),
        st.builds("abs({})".format, smaller),
        st.builds("max({}, {}, {})".format, smaller, smaller, smaller),
        st.builds("min({}, {})".format, smaller, smaller),
    )


_EXPRESSIONS = st.recursive(st.sampled_from(("x", "y", "0", "1", "2", "7", "True")), _larger, max_leaves=6)
_NUMBERS = st.integers(-20, 20)


@settings(max_examples=200, deadline=None)
@given(_EXPRESSIONS, _NUMBERS, _NUMBERS)
def test_values_are_those_of_python(expression: str, x: int, y: int) -> None:
    """Python itself is the judge, on expressions built here and therefore harmless."""
    program = parse_program(f"def f(x, y): return {expression}")
    try:
        wanted = eval(expression, {}, {"x": x, "y": y})
    except ZeroDivisionError:
        with pytest.raises(RefusedError, match="zero"):
            program.run(x, y)
        return
    got = program.run(x, y)
    assert (type(got), got) == (type(wanted), wanted)


def test_a_bool_is_not_a_number_to_the_tests() -> None:
    assert passes("def f(x): return x > 0", [((3,), True)])
    assert not passes("def f(x): return 1", [((3,), True)])
