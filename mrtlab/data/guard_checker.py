"""The side on which the tests live. They ask the program, in another process, through objects that stand for it.

The verdict is made here, where no line of the program ever runs. What comes from the program is plain data, or a
handle, and a handle never decides a test: it cannot be compared, and it is neither true nor false. So a program cannot
claim that it passed. It can only answer, and an answer that fits the test is what the test asks for.

The tests are somebody's code as well, and run behind the same locks.
"""

import builtins
import symtable
import sys
import types
from collections.abc import Iterator
from typing import Any, NoReturn

from mrtlab.data.guard_program import NotOfferedError, announce
from mrtlab.data.guard_wire import FrameError, OpaqueError, pack, read_frame, unpack, write_frame

NAME = "<tests>"
# Raised by a program, these would end a loop of the tests early, and quietly, as if all had been well.
_ENDS_A_LOOP = (StopIteration, StopAsyncIteration)


class GoneError(BaseException):
    """The program ended, or what it sent is no answer. Tests that catch every Exception do not catch this."""


class VerdictError(BaseException):
    """The program's conduct decides, whatever the tests would say."""

    def __init__(self, verdict: str, detail: str):
        super().__init__(verdict, detail)
        self.verdict, self.detail = verdict, detail


class Line:
    """The line to the program's process."""

    def __init__(self, requests: int, replies: int):
        self.requests, self.replies = requests, replies
        self.raised: list[tuple[BaseException, str]] = []  # what the program raised, not the tests; and the detail
        self.ended: BaseException | None = None  # the first thing that decided, even where the tests caught it

    def stop(self, error: BaseException) -> NoReturn:
        """End the tests with this; tests that catch everything do not undo it."""
        self.ended = self.ended or error
        raise error

    def ask(self, kind: str, *rest: Any) -> Any:
        """One request; the value of the reply, or the exception that the program raised."""
        return self.value(self.reply(kind, *rest)["value"])

    def reply(self, kind: str, *rest: Any) -> dict[str, Any]:
        """One request; the whole reply.

        Raises:
            GoneError: there is none.
            VerdictError: the program tried what is forbidden, ran out of memory, or said too much.
            Exception: one like the one that the program raised.
        """
        try:
            write_frame(self.requests, [kind, *rest])
            reply = read_frame(self.replies)
        except (FrameError, OSError) as error:
            self.stop(GoneError(str(error)))
        if isinstance(reply, dict) and "forbidden" in reply:
            self.stop(VerdictError("forbidden", f"it tried {reply['forbidden']}"))
        if isinstance(reply, dict) and isinstance(reply.get("raised"), list):
            self._raise(reply)
        if not isinstance(reply, dict) or "value" not in reply:
            self.stop(GoneError("what came is no reply"))
        return reply

    def value(self, form: Any) -> Any:
        """What the program answered; no line of its code is needed to rebuild it."""
        try:
            return unpack(form, opaque=lambda handle: Remote(self, handle, str(handle["handle"][1])))
        except (FrameError, RecursionError) as error:
            self.stop(GoneError(str(error)))

    def form(self, value: Any) -> Any:
        """What goes to the program."""
        return pack(value, opaque=_handle)

    def _raise(self, reply: dict[str, Any]) -> None:
        names, said, line = [str(name) for name in reply["raised"]], reply.get("said"), reply.get("line")
        first = names[0] if names else "Exception"
        detail = f"{first}: {said}" + (f" (line {line} of the program)" if line else "")
        if "MemoryError" in names:
            self.stop(VerdictError("memory", "it asked for more memory than it may have"))
        if "NotOfferedError" in names:
            self.stop(VerdictError("forbidden", str(said)))
        if "FrameError" in names:
            self.stop(VerdictError("output", str(said)))
        kinds = [getattr(builtins, name, None) for name in names]
        kind = next((k for k in kinds if isinstance(k, type) and issubclass(k, Exception)), None)
        if kind is None or issubclass(kind, _ENDS_A_LOOP):  # SystemExit and its like
            self.stop(VerdictError("error", detail))
        try:
            error = kind(said)
        except TypeError:  # a few need more than a message
            error = Exception(said)
        self.raised.append((error, detail))
        raise error


class Remote:
    """Something of the program's: a function, a class, an object. It lives on the other side."""

    def __init__(self, line: Line, handle: dict[str, Any], kind: str):
        self.__dict__.update(_line=line, _handle=handle, _kind=kind)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it there; arguments that it changes in place are changed here too."""
        line = self._line
        forms = [line.form(value) for value in arguments]
        reply = line.reply("call", self._handle, forms, {name: line.form(value) for name, value in named.items()})
        after = reply.get("inputs")
        if isinstance(after, list) and len(after) == len(arguments):
            for value, form in zip(arguments, after, strict=True):
                _update(value, line.value(form))
        return line.value(reply["value"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._line.ask("get", self._handle, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._line.ask("set", self._handle, name, self._line.form(value))

    def __getitem__(self, key: Any) -> Any:
        return self._line.ask("item", self._handle, self._line.form(key))

    def __iter__(self) -> Iterator[Any]:
        items = self._line.ask("list", self._handle)
        if type(items) is not list:
            self._line.stop(GoneError("what came is no list"))
        return iter(items)

    def __len__(self) -> int:
        return self._line.ask("len", self._handle)

    def _never(self, *_: Any) -> Any:
        what = f"it answered with a {self._kind}, which is not plain data and cannot be compared"
        self._line.stop(VerdictError("failed", what))

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __hash__ = _never


def run_checker(job: int, requests: int, replies: int) -> None:
    """Read the job, ask the program, run the tests, and send the verdict to where the job came from."""
    announce(lambda what: write_frame(job, ["refused", f"the tests tried {what}"]))
    trial = read_frame(job)
    verdict = _verdict(trial, Line(requests, replies))
    write_frame(job, verdict)


def _verdict(trial: dict[str, Any], line: Line) -> list[str]:
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    try:
        exec(compile(trial["helpers"], "<helpers>", "exec"), module.__dict__)
        line.ask("load", trial["program"])
        for name in free_names(trial["tests"]) if trial["names"] is None else trial["names"]:
            module.__dict__[name] = line.ask("name", name)
        exec(compile(trial["tests"], NAME, "exec"), module.__dict__)
    except BaseException as error:
        if line.ended is None:
            return _of_exception(error, line, trial["tests"])
    if isinstance(line.ended, VerdictError):
        return [line.ended.verdict, line.ended.detail]
    if line.ended is not None:
        return ["gone", str(line.ended)]
    return ["passed", "every test holds"]


def free_names(code: str) -> tuple[str, ...]:
    """The names that a text of Python uses and neither defines nor finds among Python's own.

    Raises:
        SyntaxError: it is not Python.

    >>> free_names("import math\\nroot = Node(1)\\nassert math.isclose(depth(root), len([2]))")
    ('Node', 'depth')
    """
    top = symtable.symtable(code, "<tests>", "exec")
    used, defined, tables = set(), set(), [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            is_global = table is top or symbol.is_global()
            if is_global and (symbol.is_assigned() or symbol.is_imported()):
                defined.add(symbol.get_name())
            elif is_global and symbol.is_referenced():
                used.add(symbol.get_name())
    return tuple(sorted(used - defined - set(dir(builtins)) - {"__name__"}))


def _of_exception(error: BaseException, line: Line, tests: str) -> list[str]:
    """Whose exception it is says what it means."""
    for raised, detail in line.raised:
        if error is raised:
            return ["error", detail]
    if isinstance(error, MemoryError):
        return ["memory", "its answer and the tests need more memory than they may have"]
    if isinstance(error, OpaqueError):
        return ["refused", f"the tests hand the program something that cannot cross: {error}"]
    if isinstance(error, NotOfferedError | SyntaxError) or not isinstance(error, Exception):
        return ["refused", f"the tests cannot be run: {type(error).__name__}: {error}"]
    place, lines = error.__traceback__, tests.splitlines()
    text = ""
    while place is not None:
        if place.tb_frame.f_code.co_filename == NAME and 0 < place.tb_lineno <= len(lines):
            text = lines[place.tb_lineno - 1].strip()
        place = place.tb_next
    if isinstance(error, AssertionError):
        return ["failed", f"this does not hold: {text}"]
    return ["failed", f"{type(error).__name__}: {error}, in: {text}"]


def _handle(value: Any) -> Any:
    if isinstance(value, Remote):
        return value._handle
    raise OpaqueError(f"a {type(value).__name__} of the tests is not plain data")


def _update(value: Any, after: Any) -> None:
    """Give an argument the contents that the program left in it, as if both had held the same object."""
    if type(value) is not type(after):
        return
    if isinstance(value, list | bytearray):
        value[:] = after
    elif isinstance(value, dict | set):
        value.clear()
        value.update(after)
