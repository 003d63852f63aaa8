"""Which programs are the same algorithm: a signature that sees through names, numbers and the order of a sum.

Two answers that differ in a space, in the name of a variable or in `x + y` against `y + x` are two texts and one idea.
Counting texts then says too much about diversity; counting signatures says how many ideas there are.
"""

import ast
import textwrap
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

NOT_PYTHON = "not Python"
_LONGEST = 20_000  # characters
_DEEPEST = 80  # levels of the tree
_COMMUTES = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)
_EITHER_WAY = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)
_MIRRORED = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_ANY_ORDER = ("max", "min")  # calls of these take their arguments in any order
_SIGNS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@", ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
    ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not", ast.In: "in",
    ast.NotIn: "not in", ast.And: "and", ast.Or: "or", ast.Not: "not", ast.USub: "-", ast.UAdd: "+", ast.Invert: "~",
}  # fmt: skip
_UNSEEN = ("ctx", "annotation", "returns", "type_comment", "type_ignores", "type_params", "kind", "simple", "level")


def kinds(program: str) -> str:
    """The kind of a program: two programs of one kind are taken for the same algorithm.

    What does not count: white space, comments, docstrings and annotations; the names of variables, arguments and of
    functions that the program defines, so that `x - y` and `y - x` are one kind, too; the values of constants, though
    not their types; the order of operands of `+ * & | ^`, `and`, `or`, `==`, `!=`, of the arguments of max and min, and
    brackets inside a chain of one of these operators; whether a comparison is written `a < b` or `b > a`; `s += x`
    against `s = s + x`; the sign of a constant; how a module's function is imported.

    What counts: which statements and expressions there are and how they nest, every operator, the number of arguments,
    and the names that the program does not define itself, such as `abs`, `sorted` or a method's `append`.

    It is a rule about form, not meaning. It tells `2 * x` from `x + x`, which mean the same, and takes `x + 1` and
    `x + 2` for one kind: ask for the kinds of right answers where that matters. `+` on texts is taken for `+` on
    numbers.

    Args:
        program: Python, a whole function or a few lines. Nothing of it is run.

    Returns:
        the signature, a text that can be read. All that is no Python (or longer than 20 000 characters, or nested
        more than 80 deep) is one kind, `NOT_PYTHON`.

    Source: the SPA sheet, section 7, on algorithm-level diversity (DA@K); that work asks a language model which
        programs are alike, this is a rule that anyone can check.

    >>> kinds("def f(x): return 2 * x")
    'def(1) return (* name number)'
    >>> kinds("def f(x): return x*3") == kinds("def g(y):\\n    return 2 * y  # twice")
    True
    >>> kinds("def f(x): return x + x") == kinds("def f(x): return 2 * x")
    False
    >>> kinds("def f(x): return x if x > 0 else -x") == kinds("def f(y): return y if 0 < y else -y")
    True
    >>> kinds("def f(x): return max(x, -x)"), kinds("Twice x, please.")
    ('def(1) return max((- name), name)', 'not Python')
    """
    if len(program) > _LONGEST:
        return NOT_PYTHON
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, on a strange escape
            tree = ast.parse(textwrap.dedent(program).strip())
        return _Signer.of(tree).block(tree.body) or NOT_PYTHON
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return NOT_PYTHON


def effective_kinds(answers: Sequence[str], *, kind: Callable[[str], str] = kinds) -> float:
    """How many kinds there are in effect, exp(−Σ s log s), s the share of each kind among the answers.

    The number of equally frequent kinds that would have the same entropy. Variant: shares as counted, which for few
    answers is low on average.

    Args:
        answers: at least one.
        kind: what tells kinds apart; that of programs by default.

    Returns:
        between 1 and the number of answers.

    Raises:
        ValueError: there is no answer.

    Source: the effective number of algorithms, the SPA sheet, section 7.

    >>> four = ["def f(x): return x + x", "def f(y): return y+y", "def f(x): return 2 * x", "def f(x): return x * 2"]
    >>> round(effective_kinds(four), 6), round(effective_kinds(four[:2]), 6)
    (2.0, 1.0)
    """
    if not len(answers):
        raise ValueError("effective_kinds needs at least one answer")
    share = np.array([*Counter(map(kind, answers)).values()]) / len(answers)
    return float(np.exp(-xlogy(share, share).sum()))


def effective_right_kinds(
    answers: Sequence[str], passed: Sequence[bool], *, kind: Callable[[str], str] = kinds
) -> float:
    """`effective_kinds` of the answers that passed, 0 if none did: mistakes make no diversity here.

    Args:
        answers: any number.
        passed: for each whether it is right.
        kind: as `effective_kinds`.

    Raises:
        ValueError: the lengths differ.

    >>> effective_right_kinds(["def f(x): return x + x", "def f(x): return x * x"], [True, False])
    1.0
    """
    if len(answers) != len(passed):
        raise ValueError(f"got {len(answers)} answers and {len(passed)} verdicts: expected one for each")
    right = [answer for answer, ok in zip(answers, passed, strict=True) if ok]
    return effective_kinds(right, kind=kind) if right else 0.0


@dataclass
class _Signer:
    """Writes signatures; knows which names the program made itself and where the others come from."""

    own: set[str]
    imported: dict[str, str]
    depth: int = 0

    @classmethod
    def of(cls, tree: ast.AST) -> "_Signer":
        own, imported = set(), {}
        for node in ast.walk(tree):
            match node:
                case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    own.add(name)
                case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                    own.add(name)
                case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                    own.add(name)
                case ast.Import(names=names):
                    imported |= {
                        (n.asname or n.name.split(".")[0]): (n.name if n.asname else n.name.split(".")[0])
                        for n in names
                    }
                case ast.ImportFrom(module=module, names=names):
                    imported |= {(n.asname or n.name): f"{module or ''}.{n.name}" for n in names}
        return cls(own, imported)

    def block(self, statements: Sequence[ast.stmt]) -> str:
        """Statements in their order, without those that do nothing."""
        return "; ".join(self.sign(s) for s in statements if not _idle(s))

    def sign(self, node: ast.AST) -> str:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise RecursionError
        try:
            return self._sign(node)
        finally:
            self.depth -= 1

    def _sign(self, node: ast.AST) -> str:
        match node:
            case ast.Constant(value=value):
                return _type_of(value)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=value)):
                return _type_of(value)
            case ast.Name(id=name):
                return "name" if name in self.own else self.imported.get(name, name)
            case ast.Attribute(value=value, attr=name):
                return f"{self.sign(value)}.{name}"
            case ast.BinOp(op=op) if isinstance(op, _COMMUTES):
                return _written(op, sorted(map(self.sign, _chain(node, type(op)))))
            case ast.BinOp(op=op, left=left, right=right):
                return _written(op, [self.sign(left), self.sign(right)])
            case ast.BoolOp(op=op, values=values):
                return _written(op, sorted(map(self.sign, values)))
            case ast.UnaryOp(op=op, operand=operand):
                return _written(op, [self.sign(operand)])
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._comparison(op, self.sign(left), self.sign(right))
            case ast.Call(func=called, args=given, keywords=named):
                return self._call(self.sign(called), list(map(self.sign, given)), sorted(map(self.sign, named)))
            case ast.Lambda(args=arguments, body=body):
                return f"lambda({_count(arguments)}) {self.sign(body)}"
            case ast.FunctionDef(args=arguments, body=body, decorator_list=over):
                heads = "".join(f"@{self.sign(head)} " for head in over)
                return f"{heads}def({_count(arguments)}) {self.block(body)}"
            case ast.Return(value=value):
                return f"return {self.sign(value)}" if value else "return"
            case ast.AugAssign(target=target, op=op, value=value):
                whole = ast.BinOp(left=target, op=op, right=value)
                return f"Assign({self.sign(target)}, {self.sign(whole)})"
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.Assign(targets=[target], value=value):
                return f"Assign({self.sign(target)}, {self.sign(value)})"
            case ast.Expr(value=value):
                return self.sign(value)
        return self._plain(node)

    def _comparison(self, op: ast.cmpop, left: str, right: str) -> str:
        if type(op) in _MIRRORED:
            return _written(_MIRRORED[type(op)](), [right, left])
        return _written(op, sorted([left, right]) if isinstance(op, _EITHER_WAY) else [left, right])

    def _call(self, called: str, given: list[str], named: list[str]) -> str:
        return f"{called}({', '.join((sorted(given) if called in _ANY_ORDER else given) + named)})"

    def _plain(self, node: ast.AST) -> str:
        """Any other node: its kind and what is in it."""
        parts = []
        for name, value in ast.iter_fields(node):
            if name in _UNSEEN or value is None:
                continue
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                parts.append(f"{{{self.block(value)}}}")
            elif isinstance(value, list):
                parts.append(f"[{', '.join(self._part(part) for part in value)}]" if value else "")
            else:
                parts.append(self._part(value))
        return f"{type(node).__name__}({', '.join(filter(None, parts))})"

    def _part(self, value: object) -> str:
        """A field's value: a node, an operator, a name."""
        if isinstance(value, ast.AST):
            return _SIGNS.get(type(value)) or self.sign(value)
        return "name" if value in self.own else str(value)


def _idle(statement: ast.stmt) -> bool:
    """Docstrings and other lone constants, pass, imports (their names are resolved where they are used)."""
    match statement:
        case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Import() | ast.ImportFrom():
            return True
        case ast.AnnAssign(value=None) | ast.Global() | ast.Nonlocal():
            return True
    return False


def _chain(node: ast.expr, op: type[ast.operator]) -> list[ast.expr]:
    """a + (b + c) + d as [a, b, c, d]."""
    found, open_ = [], [node]
    while open_:
        part = open_.pop()
        if isinstance(part, ast.BinOp) and type(part.op) is op:
            open_ += [part.right, part.left]
        else:
            found.append(part)
    return found


def _written(op: ast.AST, operands: Sequence[str]) -> str:
    return f"({_SIGNS[type(op)]} {' '.join(operands)})"


def _type_of(value: object) -> str:
    """Whole numbers and fractions are both numbers; True is none."""
    if isinstance(value, bool) or value is None or value is ...:
        return "constant"
    return {str: "text", bytes: "bytes"}.get(type(value), "number")


def _count(arguments: ast.arguments) -> int:
    plain = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
    return plain + (arguments.vararg is not None) + (arguments.kwarg is not None)
