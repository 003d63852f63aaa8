"""One clear sentence for a name that does not exist."""

import difflib
from collections.abc import Iterable


class UnknownName(LookupError):  # noqa: N818 - reads as a sentence where it is caught
    """Somebody asked for an experiment, claim or scale that does not exist.

    >>> print(UnknownName("scale", "bok", ["smoke", "book", "full"]))
    no scale called 'bok'; did you mean book? The choice is: smoke, book, full
    """

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        known = list(known)
        by_lower = {name.lower(): name for name in known}
        close = difflib.get_close_matches(given.lower(), by_lower, n=2, cutoff=0.6)
        hint = f"; did you mean {' or '.join(by_lower[name] for name in close)}?" if close else "."
        super().__init__(f"no {kind} called {given!r}{hint} The choice is: {', '.join(known)}")
