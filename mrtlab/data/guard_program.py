"""The side on which a stranger's program lives: it is loaded here, and answers what the tests ask.

This code runs in the same process as the program, which can read it, change it and lie in its name. Nothing rests on
it: the kernel's locks are closed already, the tests are in another process, and whatever is sent from here is taken for
the program's answer and for nothing else. What it adds is names: which module is not offered, which line failed, and
what it was that the program tried.
"""

import codecs
import importlib
import os
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

from mrtlab.data.guard_wire import FrameError, pack, read_frame, unpack, write_frame


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# What a program may import: loaded before the doors close, since no file can be opened after.
OFFERED = _words(
    "abc array ast base64 binascii bisect calendar cmath codecs collections collections.abc colorsys contextlib copy "
    "csv dataclasses datetime decimal difflib enum fractions functools graphlib hashlib heapq hmac html inspect io "
    "itertools json keyword locale math numbers operator os os.path pprint queue random re reprlib secrets statistics "
    "string struct sys textwrap time timeit tokenize traceback types typing unicodedata uuid warnings weakref zlib"
)
_ALSO = ("_strptime", "encodings.idna", "stringprep")  # what the offered ones import when they are first used
_ENCODINGS = _words("ascii latin-1 utf-8 utf-16 utf-32 cp1252 cp437 idna punycode rot13 hex base64 unicode_escape")
_HIDDEN = _words("_ctypes _posixsubprocess _socket ctypes fcntl mrtlab resource select signal socket")
# What Python itself announces before it does it: a program that gets there wants out, or does not belong here.
_FORBIDDEN = _words(
    "_posixsubprocess. _thread.start ctypes. fcntl. ftplib. glob. http. open os. pty. resource. shutil. signal. "
    "smtplib. socket. sqlite3. subprocess. syslog. tempfile. urllib."
)
_HARMLESS = ("os.putenv", "os.unsetenv")
NAME = "<program>"


class NotOfferedError(ImportError):
    """The module is not one of those that can be had inside the guard."""


class _Offer:
    """The last finder of modules, and the only one: what is not loaded cannot be had."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        raise NotOfferedError(f"import of {name}: the guard offers only part of the standard library")


def load_offered() -> None:
    """Load what programs may import. Slow (tens of milliseconds), and done once, before any process is forked."""
    for name in (*OFFERED, *_ALSO):
        importlib.import_module(name)
    for name in _ENCODINGS:
        codecs.lookup(name)


def close_imports() -> None:
    """From here on an import finds what is offered, and says so of all else."""
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.meta_path[:] = [_Offer()]
    for name in list(sys.modules):
        if name.partition(".")[0] in _HIDDEN:
            del sys.modules[name]


def announce(tell: Callable[[str], None]) -> None:
    """Watch for what is forbidden, tell what it was, and end. The kernel forbids it anyway, without a word."""

    def watch(event: str, arguments: tuple) -> None:
        if event.startswith(_FORBIDDEN) and event not in _HARMLESS and not _own_text(event, arguments):
            tell(f"{event}({', '.join(repr(a)[:60] for a in arguments[:2] if isinstance(a, str | bytes | int))})")
            os._exit(0)

    sys.addaudithook(watch)


def _own_text(event: str, arguments: tuple) -> bool:
    """Whether Python is looking for the line of a syntax error, in a file that there is not."""
    return event == "open" and isinstance(arguments[0], str) and arguments[0].startswith("<")


def serve(requests: int, replies: int) -> None:
    """Answer what the tests ask, one request after the other, until they have no more.

    The first request is the program's text. The others name something of it, or something that it gave out before, and
    say what to do with that: see `_Answers`.
    """
    answers = _Answers()
    announce(lambda what: write_frame(replies, {"forbidden": what}))
    while True:
        try:
            kind, *rest = read_frame(requests)
        except FrameError:
            return
        try:
            reply = getattr(answers, f"do_{kind}")(*rest)
        except BaseException as error:  # whatever the program raises is its answer
            reply = _raised(error)
        try:
            write_frame(replies, reply)
        except (FrameError, MemoryError) as error:  # too large to be sent
            write_frame(replies, _raised(error))


class _Answers:
    """The program, and the objects of it that the tests hold a handle to."""

    def __init__(self) -> None:
        self.module = types.ModuleType("solution")
        self.held: list[Any] = []

    def do_load(self, text: str) -> dict[str, Any]:
        sys.modules["solution"] = self.module
        exec(compile(text, NAME, "exec"), self.module.__dict__)
        return {"value": None}

    def do_name(self, name: str) -> dict[str, Any]:
        if name not in self.module.__dict__:
            raise NameError(f"the program does not define {name}")
        return self._reply(self.module.__dict__[name])

    def do_call(self, handle: Any, arguments: list, named: dict) -> dict[str, Any]:
        inputs = [self._in(form) for form in arguments]
        result = self._in(handle)(*inputs, **{name: self._in(form) for name, form in named.items()})
        after = [pack(value, opaque=self._hold) for value in inputs]
        return self._reply(result) | ({} if after == arguments else {"inputs": after})  # it changed them in place

    def do_get(self, handle: Any, name: str) -> dict[str, Any]:
        return self._reply(getattr(self._in(handle), name))

    def do_set(self, handle: Any, name: str, value: Any) -> dict[str, Any]:
        setattr(self._in(handle), name, self._in(value))
        return {"value": None}

    def do_item(self, handle: Any, key: Any) -> dict[str, Any]:
        return self._reply(self._in(handle)[self._in(key)])

    def do_list(self, handle: Any) -> dict[str, Any]:
        return self._reply(list(self._in(handle)))

    def do_len(self, handle: Any) -> dict[str, Any]:
        return self._reply(len(self._in(handle)))

    def _reply(self, value: Any) -> dict[str, Any]:
        return {"value": pack(value, opaque=self._hold)}

    def _hold(self, value: Any) -> dict[str, Any]:
        self.held.append(value)
        return {"handle": [len(self.held) - 1, type(value).__name__]}

    def _in(self, form: Any) -> Any:
        return unpack(form, opaque=lambda handle: self.held[handle["handle"][0]])


def _raised(error: BaseException) -> dict[str, Any]:
    """An exception as plain data: the names of its classes, what it says, and the line of the program."""
    names = [kind.__name__ for kind in type(error).__mro__]
    lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == NAME]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    try:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # its __str__ is the program's
        said = ""
    return {"raised": names, "said": str(said)[:500], "line": line}
