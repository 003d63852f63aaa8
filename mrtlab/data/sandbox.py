"""Run one-line functions that a model wrote, and nothing else.

A program is `def f(x, y): return …` with whole numbers, `+ - * // %`, comparisons, `… if … else …`, `abs`, `max` and
`min`. Its text is parsed, every node is held against a list of what is allowed, and our own interpreter walks the tree:
Python never executes it. Whatever is not on the list is refused by name. Loops and calls to itself are not on it, so
every program ends; limits on length, depth, steps and size of numbers hold all the same.

>>> parse_program("def f(x): return x if x > 0 else -x").run(-3)
3
>>> parse_program("def f(x): return x.real")
Traceback (most recent call last):
mrtlab.data.sandbox.RefusedError: Attribute is not allowed
"""

import ast
import operator
import warnings
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

MAX_CHARACTERS = 300
MAX_DEPTH = 20  # of brackets in the text, and of the tree
MAX_STEPS = 200  # nodes visited in one run
MAX_CONSTANT = 1_000
MAX_NUMBER = 10**9  # of any value on the way
MAX_ARGUMENTS = 4

_BINARY: dict[type[ast.operator], Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_CALLS: dict[str, tuple[Callable, range]] = {  # the function, and how many arguments it may have
    "abs": (abs, range(1, 2)),
    "max": (max, range(2, MAX_ARGUMENTS + 1)),
    "min": (min, range(2, MAX_ARGUMENTS + 1)),
}
Test = tuple[tuple[int, ...], int]


class RefusedError(ValueError):
    """The text is not a program of the grammar, or its run broke a limit. The message says which."""


@dataclass(frozen=True)
class Program:
    """A function that has been checked.

    Attributes:
        arguments: the names of its arguments.
        body: the expression that it returns; every node of it is on the list.
    """

    arguments: tuple[str, ...]
    body: ast.expr

    def run(self, *inputs: int) -> int:
        """Its value on these inputs: an int, or a bool if the expression is a comparison.

        Raises:
            RefusedError: the number of inputs is wrong, a division by zero, or a limit was broken.

        >>> parse_program("def f(x, y): return x // y").run(7, 2)
        3
        """
        if len(inputs) != len(self.arguments):
            raise RefusedError(f"f takes {len(self.arguments)} arguments, got {len(inputs)}")
        values = dict(zip(self.arguments, map(_small, inputs), strict=True))
        return _Run(values).value(self.body, depth=0)


def parse_program(text: str) -> Program:
    """Check a text against the grammar.

    Raises:
        RefusedError: it is anything but one function `f` of the grammar; the message names what is not allowed.

    >>> parse_program("def f(x): return 2 * x").arguments
    ('x',)
    >>> parse_program("def f(x): return x ** x")
    Traceback (most recent call last):
    mrtlab.data.sandbox.RefusedError: Pow is not allowed
    """
    function = _only(_syntax_tree(text).body, ast.FunctionDef)
    arguments = _arguments(function)
    body = _only(function.body, ast.Return).value
    if body is None:
        raise RefusedError("a return without a value")
    _check(body, set(arguments), depth=0)
    return Program(arguments, body)


def passes(text: str, tests: Sequence[Test]) -> bool:
    """Whether a text is a program of the grammar and gives the wanted output, of the same type, on every test.

    Args:
        text: the program.
        tests: pairs of inputs and output.

    >>> passes("def f(x): return x + x", [((3,), 6), ((-1,), -2)]), passes("import os", [((3,), 6)])
    (True, False)
    """
    try:
        program = parse_program(text)
        return all(_same(program.run(*inputs), wanted) for inputs, wanted in tests)
    except RefusedError:
        return False


def _same(got: int, wanted: int) -> bool:
    return type(got) is type(wanted) and got == wanted  # True is not 1 here


def _syntax_tree(text: str) -> ast.Module:
    """Python's parser, kept from texts that could exhaust it."""
    if len(text) > MAX_CHARACTERS:
        raise RefusedError(f"longer than {MAX_CHARACTERS} characters")
    if not text.isascii():  # the parser would take some other letters for a, b, c
        raise RefusedError("a character outside ASCII")
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth > MAX_DEPTH:
            raise RefusedError(f"nested more than {MAX_DEPTH} deep")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what Python itself would warn about is refused
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, Warning, RecursionError, MemoryError, OverflowError):
            raise RefusedError("not Python") from None


def _only(statements: list[ast.stmt], kind: type[ast.stmt]) -> Any:
    """The one statement there is, of the kind there must be."""
    for statement in statements:
        if type(statement) is not kind:
            raise _not_allowed(statement)
    if len(statements) != 1:
        raise RefusedError(f"there must be one {kind.__name__}, got {len(statements)}")
    return statements[0]


def _arguments(function: ast.FunctionDef) -> tuple[str, ...]:
    """The names of plain arguments; anything fancier is refused."""
    given = function.args
    if function.name != "f":
        raise RefusedError("the function must be called f")
    if function.decorator_list or function.returns or getattr(function, "type_params", None):
        raise RefusedError("decorators and annotations are not allowed")
    if given.posonlyargs or given.kwonlyargs or given.vararg or given.kwarg or given.defaults or given.kw_defaults:
        raise RefusedError("only plain arguments are allowed")
    names = tuple(a.arg for a in given.args)
    if any(a.annotation for a in given.args):
        raise RefusedError("decorators and annotations are not allowed")
    if not 1 <= len(names) <= MAX_ARGUMENTS or len(set(names)) != len(names):
        raise RefusedError(f"f needs one to {MAX_ARGUMENTS} different arguments")
    for name in names:
        if name in _CALLS or name == "f" or name.startswith("_"):
            raise RefusedError(f"{name} is no name for an argument")
    return names


def _check(node: ast.expr, names: set[str], *, depth: int) -> None:
    """Refuse whatever is not on the list; the kinds are compared exactly, so nothing passes as a subclass."""
    if depth > MAX_DEPTH:
        raise RefusedError(f"nested more than {MAX_DEPTH} deep")
    for child in _operands(node, names):
        _check(child, names, depth=depth + 1)


def _operands(node: ast.expr, names: set[str]) -> list[ast.expr]:
    """The expressions below an allowed node."""
    kind = type(node)
    if kind is ast.Constant:
        if type(node.value) not in (int, bool) or abs(node.value) > MAX_CONSTANT:
            raise RefusedError(f"a constant must be a whole number up to {MAX_CONSTANT}, True or False")
        return []
    if kind is ast.Name:
        if node.id not in names:
            raise RefusedError(f"the name {node.id} is not an argument")
        return []
    if kind is ast.BinOp:
        _on_list(node.op, _BINARY)
        return [node.left, node.right]
    if kind is ast.UnaryOp:
        _on_list(node.op, (ast.USub,))
        return [node.operand]
    if kind is ast.Compare:
        for op in node.ops:
            _on_list(op, _COMPARE)
        return [node.left, *node.comparators]
    if kind is ast.IfExp:
        return [node.test, node.body, node.orelse]
    if kind is ast.Call:
        _check_call(node)
        return node.args
    raise _not_allowed(node)


def _check_call(node: ast.Call) -> None:
    if type(node.func) is not ast.Name:
        raise _not_allowed(node.func)
    if node.func.id not in _CALLS:
        raise RefusedError(f"a call of {node.func.id} is not allowed: only abs, max and min are")
    if node.keywords or len(node.args) not in _CALLS[node.func.id][1]:
        raise RefusedError(f"{node.func.id} with these arguments is not allowed")


def _on_list(op: ast.AST, allowed: Container[type]) -> None:
    if type(op) not in allowed:
        raise _not_allowed(op)


def _not_allowed(node: ast.AST) -> RefusedError:
    return RefusedError(f"{type(node).__name__} is not allowed")


def _small(value: int) -> int:
    if type(value) not in (int, bool) or abs(value) > MAX_NUMBER:
        raise RefusedError(f"a value must be a whole number up to {MAX_NUMBER}")
    return value


class _Run:
    """One walk through a checked tree. It checks again what it meets: nothing unknown is ever evaluated."""

    def __init__(self, values: dict[str, int]):
        self.values = values
        self.steps = 0

    def value(self, node: ast.expr, *, depth: int) -> int:
        self.steps += 1
        if self.steps > MAX_STEPS or depth > MAX_DEPTH:
            raise RefusedError(f"more than {MAX_STEPS} steps or {MAX_DEPTH} deep")
        return _small(self._value(node, depth + 1))

    def _value(self, node: ast.expr, depth: int) -> int:
        operands = _operands(node, set(self.values))
        kind = type(node)
        if kind is ast.Constant:
            return node.value
        if kind is ast.Name:
            return self.values[node.id]
        if kind is ast.IfExp:  # only the branch taken runs, as in Python
            return self.value(node.body if self.value(node.test, depth=depth) else node.orelse, depth=depth)
        if kind is ast.Compare:
            return self._compare(node, depth)
        numbers = [self.value(operand, depth=depth) for operand in operands]
        if kind is ast.UnaryOp:
            return -numbers[0]
        if kind is ast.Call:
            return _CALLS[node.func.id][0](*numbers)
        if numbers[1] == 0 and type(node.op) in (ast.FloorDiv, ast.Mod):
            raise RefusedError("division by zero")
        return _BINARY[type(node.op)](*numbers)

    def _compare(self, node: ast.Compare, depth: int) -> bool:
        left = self.value(node.left, depth=depth)
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.value(comparator, depth=depth)
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True
