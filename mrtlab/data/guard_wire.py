"""What crosses from one guarded process to another: frames of JSON, and in them plain data and nothing else.

A program and its tests live in two processes. The tests ask "what is f(3)?" and the program's answer comes back as
numbers, texts, lists and the like, rebuilt here from JSON. An object with an `==` of its own cannot cross: it stays
where it is, and the other side gets a handle, by which it can be called or asked, never compared.

>>> pack({(1, 2): {3}}), unpack(pack({(1, 2): {3}}))
({'dict': [[{'tuple': [1, 2]}, {'set': [3]}]]}, {(1, 2): {3}})
>>> class Agreeable(int):
...     def __eq__(self, other):
...         return True
>>> unpack(pack(Agreeable(4))) == 5  # what crosses is the number
False
"""

import collections
import decimal
import fractions
import json
import os
import struct
from collections.abc import Callable
from typing import Any

MAX_FRAME = 8 << 20  # bytes
_EXACT = 1 << 53  # whole numbers up to here are themselves in every reader of JSON; larger ones go as a text
_LENGTH = struct.Struct(">I")


class FrameError(ValueError):
    """What came is no frame, is too long, or the other side has gone."""


class OpaqueError(TypeError):
    """The value is not plain data and cannot cross."""


def write_frame(descriptor: int, message: Any) -> None:
    """Send one message: its length in four bytes, then JSON.

    Raises:
        FrameError: it is longer than MAX_FRAME.
        OSError: the other side has gone.
    """
    body = json.dumps(message).encode("ascii")
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body):,} bytes; at most {MAX_FRAME:,} may cross")
    rest = memoryview(_LENGTH.pack(len(body)) + body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_frame(descriptor: int) -> Any:
    """Wait for one message.

    Raises:
        FrameError: the other side has gone, or what came is no message.
    """
    (length,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size))
    if length > MAX_FRAME:
        raise FrameError(f"a message of {length:,} bytes; at most {MAX_FRAME:,} may cross")
    try:
        return json.loads(_exactly(descriptor, length))
    except (ValueError, RecursionError):
        raise FrameError("what came is no message") from None


def pack(value: Any, *, opaque: Callable[[Any], Any] | None = None) -> Any:
    """A value in the form that JSON can carry.

    What inherits from a plain type crosses as that type: a Counter as a dict, a named tuple as a tuple. `opaque` gives
    the form of everything else.

    Raises:
        OpaqueError: it is not plain data, and there is no `opaque`.

    >>> pack([1, 2.5, "a", None, True]), pack(b"a"), pack(range(3))
    ([1, 2.5, 'a', None, True], {'bytes': 'a'}, {'range': [0, 3, 1]})
    >>> pack(print)
    Traceback (most recent call last):
    mrtlab.data.guard_wire.OpaqueError: a builtin_function_or_method is not plain data
    """
    if value is None or value is True or value is False:
        return value
    for kind, form in _FORMS.items():
        if isinstance(value, kind):
            return form(value, lambda item: pack(item, opaque=opaque))
    if opaque is None:
        raise OpaqueError(f"a {type(value).__name__} is not plain data")
    return opaque(value)


def unpack(form: Any, *, opaque: Callable[[Any], Any] | None = None) -> Any:
    """The value that was packed.

    Raises:
        FrameError: the form is none that `pack` makes. Whoever sent it is not to be trusted.

    >>> unpack({"int": "-0x20000000000000"}) == -(2**53)
    True
    """
    if form is None or isinstance(form, bool | int | float | str):
        return form
    if isinstance(form, list):
        return [unpack(item, opaque=opaque) for item in form]
    try:
        ((kind, body),) = form.items()
        if kind in _BUILD:
            return _BUILD[kind](body, lambda item: unpack(item, opaque=opaque))
        if opaque is not None:
            return opaque(form)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
        pass
    raise FrameError("what came is no plain data")


def _exactly(descriptor: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.read(descriptor, min(length, 1 << 16))
        if not part:
            raise FrameError("the other side has gone")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _int(value: int, _: Callable) -> Any:
    value = int.__int__(value)
    return value if -_EXACT < value < _EXACT else {"int": hex(value)}


def _items(kind: type) -> Callable[[Any, Callable], Any]:
    return lambda value, each: {kind.__name__: [each(item) for item in kind.__iter__(value)]}


# By base type, the first that fits; what inherits from a type goes by that type's own methods, not by its own.
_FORMS: dict[type, Callable[[Any, Callable], Any]] = {
    int: _int,
    float: lambda value, _: float.__float__(value),
    str: lambda value, _: str.__str__(value),
    list: lambda value, each: [each(item) for item in list.__iter__(value)],
    tuple: _items(tuple),
    dict: lambda value, each: {"dict": [[each(key), each(item)] for key, item in dict.items(value)]},
    set: _items(set),
    frozenset: _items(frozenset),
    complex: lambda value, _: {"complex": [value.real, value.imag]},
    bytes: lambda value, _: {"bytes": bytes(value).decode("latin-1")},
    bytearray: lambda value, _: {"bytearray": bytes(value).decode("latin-1")},
    range: lambda value, _: {"range": [value.start, value.stop, value.step]},
    collections.deque: _items(collections.deque),
    decimal.Decimal: lambda value, _: {"decimal": str(value)},
    fractions.Fraction: lambda value, _: {"fraction": f"{value.numerator}/{value.denominator}"},
    type(...): lambda value, _: {"ellipsis": None},
}
_BUILD: dict[str, Callable[[Any, Callable], Any]] = {
    "int": lambda body, _: int(body, 16),
    "tuple": lambda body, each: tuple(map(each, body)),
    "dict": lambda body, each: {each(key): each(item) for key, item in body},
    "set": lambda body, each: set(map(each, body)),
    "frozenset": lambda body, each: frozenset(map(each, body)),
    "complex": lambda body, _: complex(*body),
    "bytes": lambda body, _: body.encode("latin-1"),
    "bytearray": lambda body, _: bytearray(body.encode("latin-1")),
    "range": lambda body, _: range(*body),
    "deque": lambda body, each: collections.deque(map(each, body)),
    "decimal": lambda body, _: decimal.Decimal(body),
    "fraction": lambda body, _: fractions.Fraction(body),
    "ellipsis": lambda body, _: ...,
}
