"""What a claim is, and what a verdict on it can say."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Scope = Literal["tabular", "toy network", "embedded model", "hub model", "published results"]
Kind = Literal["reproduced", "holds only if", "not reproduced", "not testable here"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a rule says about a claim.

    Attributes:
        kind: one of the four words of the ledger.
        measured: the number and its interval, one line, computed from the results.
        condition: what must hold as well, for "holds only if"; a reason, for "not testable here"; else empty.
    """

    kind: Kind
    measured: str
    condition: str = ""

    def __post_init__(self) -> None:
        """Refuse a kind the ledger does not know and a condition that is missing."""
        if self.kind not in get_args(Kind):
            raise ValueError(f"a verdict is one of {', '.join(get_args(Kind))}; got {self.kind!r}")
        if self.kind in ("holds only if", "not testable here") and not self.condition:
            raise ValueError(f"a verdict {self.kind!r} must say what the condition or reason is")

    def __str__(self) -> str:
        """The verdict as it is read: "holds only if K adds training pairs".

        >>> str(Verdict(kind="not reproduced", measured="ratio 1.1 (0.9 to 1.3)"))
        'not reproduced'
        """
        joint = ": " if self.kind == "not testable here" else " "
        return f"{self.kind}{joint}{self.condition}" if self.condition else self.kind


Rule = Callable[[Mapping[str, Any]], Verdict]
Remark = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Something a paper says, and how this project tests it.

    Attributes:
        id: stable name, such as "MRT-05".
        paper: key of the paper's bibliography entry.
        chapter: chapter of the book that tells about it.
        title: a few words for a table.
        statement: what is claimed, in our words.
        test: how we test it, and what to look out for.
        scope: the kind of model the test uses; part of the verdict, since a toy proves nothing about a large model.
        experiment: name of the experiment whose artifact the rule reads; empty while the test is only planned.
        scale: scale of that artifact.
        rule: results of the artifact -> verdict, committed before the artifact; None while only planned.
        remark: results of the artifact -> what else they show; written after the run, no part of the verdict, and
            shown as such.
    """

    id: str
    paper: str
    chapter: int
    title: str
    statement: str
    test: str
    scope: Scope
    experiment: str = ""
    scale: str = "book"
    rule: Rule | None = None
    remark: Remark | None = None

    def __post_init__(self) -> None:
        """A rule and the experiment that it reads come together or not at all."""
        if self.scope not in get_args(Scope):
            raise ValueError(f"{self.id}: scope is one of {', '.join(get_args(Scope))}; got {self.scope!r}")
        if (self.rule is None) != (not self.experiment):
            raise ValueError(f"{self.id}: a rule needs an experiment to read, and the other way round")

    @property
    def fingerprint(self) -> str:
        """First twelve digits of the SHA-256 of the rule's source text; empty without a rule."""
        if self.rule is None:
            return ""
        return hashlib.sha256(inspect.getsource(self.rule).encode()).hexdigest()[:12]
