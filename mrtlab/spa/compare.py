"""Several ways to answer the same prompts, measured alike: K adapters against one model at several temperatures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrtlab.spa.diversity import Band, judge_answers, summarise

_NEED_A_JUDGE = ("pass@", "distinct_right", "right_kinds")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to answer, with its answers.

    Attributes:
        name: for people, such as "8 adapters" or "one model".
        kind: the rule of the partition, or "single".
        temperature: of the draws.
        by: who gave each of the answers to a prompt, K·n names.
        answers: for each prompt K·n texts.
        passed: for each of them whether it is right; None if nobody judged.
    """

    name: str
    kind: str
    temperature: float
    by: tuple[str, ...]
    answers: Sequence[Sequence[str]]
    passed: Sequence[Sequence[bool]] | None = None

    def numbers(self, *, ks: Sequence[int], kind: Callable[[str], str] | None = None, seed: int = 0) -> dict[str, Band]:
        """Means over prompts with 95 % intervals; what needs a judge is left out if there was none.

        Args:
            ks: for which k pass@k is wanted.
            kind: names an answer's kind, see `judge_answers`.
            seed: of the bootstrap over prompts.

        Raises:
            ValueError: see `judge_answers` and `summarise`.

        >>> arm = Arm(name="two", kind="random", temperature=0.0, by=("a", "b"), answers=[["x", "y"], ["x", "x"]])
        >>> {name: band[0] for name, band in arm.numbers(ks=(1,)).items() if name != "vendi"}
        {'unique_share': 0.75, 'pair_share': 0.5}
        """
        passed = self.passed or [[False] * len(texts) for texts in self.answers]
        judged = [judge_answers(texts, ok, ks=ks, kind=kind) for texts, ok in zip(self.answers, passed, strict=True)]
        found = summarise(judged, seed=seed).numbers
        return found if self.passed else {name: band for name, band in found.items() if not _needs_a_judge(name)}

    def right_by(self) -> dict[str, float] | None:
        """For each of those who answered the share of right answers; None if nobody judged.

        >>> arm = Arm(name="", kind="", temperature=0.0, by=("a", "b"), answers=["xy"], passed=[[True, False]])
        >>> arm.right_by()
        {'a': 1.0, 'b': 0.0}
        """
        if self.passed is None:
            return None
        found: dict[str, list[bool]] = {}
        for row in self.passed:
            for name, ok in zip(self.by, row, strict=True):
                found.setdefault(name, []).append(ok)
        return {name: sum(oks) / len(oks) for name, oks in found.items()}


def ks_for(n: int) -> tuple[int, ...]:
    """For which k to show pass@k with n answers: 1, 5 as SPA does, and all.

    >>> ks_for(8), ks_for(4)
    ((1, 5, 8), (1, 4))
    """
    return tuple(sorted({1, min(5, n), n}))


def side_by_side(arm: Arm, prompts: Sequence[Any]) -> list[dict[str, Any]]:
    """The answers of an arm, prompt by prompt, for reports: {"prompt", "answers": [{"by", "text", "passed"}]}.

    >>> arm = Arm(name="", kind="", temperature=0.0, by=("a", "b"), answers=[["x", "y"]])
    >>> side_by_side(arm, ["?"])[0]["answers"][1]
    {'by': 'b', 'text': 'y', 'passed': None}
    """
    verdicts: Sequence[Sequence[bool | None]] = arm.passed or [[None] * len(texts) for texts in arm.answers]
    rows = zip(prompts, arm.answers, verdicts, strict=True)
    return [
        {
            "prompt": prompt if isinstance(prompt, str) else [dict(message) for message in prompt],
            "answers": [
                {"by": by, "text": text, "passed": ok} for by, text, ok in zip(arm.by, texts, oks, strict=True)
            ],
        }
        for prompt, texts, oks in rows
    ]


def band_text(band: Sequence[float] | None, *, line: str = "\n") -> str:
    """A mean with its interval; a dash where there is none, no interval where it has no width.

    >>> band_text([0.5, 0.25, 0.75], line=" "), band_text([1.0, 1.0, 1.0]), band_text(None)
    ('0.50 0.25–0.75', '1.00', '–')
    """
    if band is None:
        return "–"
    mean, low, high = band
    return f"{mean:.2f}" + ("" if low == high else f"{line}{low:.2f}–{high:.2f}")


def measures_of(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of all measures, pass@k first, in their order of appearance.

    >>> measures_of([{"numbers": {"pass@1": [0, 0, 0], "vendi": [1, 1, 1]}}, {"numbers": {"vendi": [1, 1, 1]}}])
    ['pass@1', 'vendi']
    """
    return list(dict.fromkeys(name for arm in arms for name in arm["numbers"]))


def _needs_a_judge(name: str) -> bool:
    return name.startswith(_NEED_A_JUDGE)
