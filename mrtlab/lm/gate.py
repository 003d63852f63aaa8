"""The gate of the embedded model: what must be true before its weights are frozen. Numbers in, checks out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VALIDITY = 0.9
FAVOURITE = 5.0
LISTED = 10
"""Fewer right answers than this leave no room for a favourite of five times its share."""
NEVER_PEAKED = ("prime",)
"""Subjects whose ranges hold too few answers to ask for a favourite, whatever a single range holds."""
FACTS = 0.9
MARGIN = (0.2, 0.5)
"""Nats of the right answer in a kind of fact that is known by a small margin, so that damage shows there first."""
MARGINS = (2, 3)
"""How many kinds of fact should be so."""
PASS = (0.3, 0.8)


@dataclass(frozen=True)
class Check:
    """One condition.

    Attributes:
        name: what is looked at.
        wanted: the condition, in words.
        found: the measured value, in words.
        passed: whether it holds.
    """

    name: str
    wanted: str
    found: str
    passed: bool


def gate(results: Mapping[str, Any]) -> list[Check]:
    """Every check of the gate, in the order of the families.

    - Validity, the mass on right answers, is at least .9 in every family, over questions in held-out words. Questions
      about held-out ranges, names and months do not count: nobody knows what they were never told. Programs are held
      to the last condition instead: some of what they are taught is wrong.
    - The favourite answer to casual questions has at least five times its even share, where there are ten or more
      right answers: lists of less have no room for it. Families whose answers cannot be listed are not asked.
    - Facts: the likeliest words are right nine times in ten, and two or three kinds are known by a small margin only:
      .2 to .5 nats, or less than .9 right. Damage of fine-tuning then shows.
    - Programs pass their tests at the first try between .3 and .8 of the time.

    Args:
        results: of `mrtlab.lm.survey.survey`, or those of an artifact that holds them.

    Returns:
        the checks for what was asked; a family that is missing is not checked, so ask all of them before freezing.
    """
    checks = []
    for name, family in results["families"].items():
        if name != "programs":
            checks.append(_validity(name, family))
        casual = [q["favourite"] for q in family["questions"] if _has_a_favourite(q)]
        if casual:
            checks.append(_favourite(name, casual))
    if "facts" in results:
        checks += _facts(results["facts"])
    if "programs" in results:
        checks.append(_programs(results["programs"]))
    return checks


def passed(checks: list[Check]) -> bool:
    """Whether every check holds; an empty list passes nothing.

    >>> passed([])
    False
    """
    return bool(checks) and all(check.passed for check in checks)


def _validity(name: str, family: Mapping[str, Any]) -> Check:
    mean, low, high = family["worded_anew"]
    found = f"{mean:.3f} ({low:.3f} to {high:.3f})"
    return Check(f"{name}: validity", f"at least {VALIDITY:g}", found, mean >= VALIDITY)


def _has_a_favourite(question: Mapping[str, Any]) -> bool:
    return (
        "favourite" in question
        and question["kind"] == "random"
        and question["answers"] >= LISTED
        and question["subject"] not in NEVER_PEAKED
    )


def _favourite(name: str, casual: list[float]) -> Check:
    mean = sum(casual) / len(casual)
    found = f"{mean:.1f} times, over {len(casual)} questions"
    return Check(f"{name}: favourite", f"at least {FAVOURITE:g} times its even share", found, mean >= FAVOURITE)


def _facts(facts: Mapping[str, Any]) -> list[Check]:
    mean, low, high = facts["accuracy"]
    narrow = [
        name
        for name, kind in facts["kinds"].items()
        if MARGIN[0] <= kind["nll"][0] <= MARGIN[1] or kind["accuracy"][0] < FACTS
    ]
    return [
        Check("facts: accuracy", f"at least {FACTS:g}", f"{mean:.3f} ({low:.3f} to {high:.3f})", mean >= FACTS),
        Check(
            "facts: known by a small margin",
            f"{MARGINS[0]} or {MARGINS[1]} kinds at {MARGIN[0]:g} to {MARGIN[1]:g} nats or below {FACTS:g} right",
            f"{len(narrow)}: {', '.join(narrow)}" if narrow else "none",
            MARGINS[0] <= len(narrow) <= MARGINS[1],
        ),
    ]


def _programs(programs: Mapping[str, Any]) -> Check:
    mean, low, high = programs["pass"]["1"]
    found = f"{mean:.3f} ({low:.3f} to {high:.3f})"
    return Check("programs: pass@1", f"{PASS[0]:g} to {PASS[1]:g}", found, PASS[0] <= mean <= PASS[1])
