"""Sentences that stand beside verdicts of chapter 8, computed from the artifact: what its rules do not look at.

The rules take Fisher scores for influence. The paper walks with LiSSA, and plain products are the cheapest; a first
seed of the book run showed that the three are far apart, so the ledger says what the others give.
"""

from collections.abc import Mapping
from typing import Any

_OTHERS = {"influence-dot": "plain products", "influence-lissa": "LiSSA"}


def pairs_by_other_scores(results: Mapping[str, Any]) -> str:
    """SPA-01: pairs that differ and pass@1 by other scores."""
    return _by_other_scores(results, "pair_share", "of pairs differ")


def passes_by_other_scores(results: Mapping[str, Any]) -> str:
    """SPA-02: pass@5 and pass@1 by other scores."""
    return _by_other_scores(results, "pass@few", "of five have one right")


def different_by_other_scores(results: Mapping[str, Any]) -> str:
    """SPA-11: different right answers by other scores, less seeds and less random parts."""
    parts = []
    for arm, words in _OTHERS.items():
        less = _greedy(results, arm)["less"]
        gaps = (f"{_change(less[other]['distinct_right'])} less {other}" for other in ("seeds", "random"))
        parts.append(f"by {words} {', '.join(gaps)}")
    return f"The rule takes Fisher scores. Different right answers {'; '.join(parts)}."


def matched_by_other_scores(results: Mapping[str, Any]) -> str:
    """SPA-01b: different right answers by other scores, less one adapter that is as often right."""
    at = results["less_one"]["programs"]
    parts = (f"by {words} {_change(at[arm]['0.0']['matched']['distinct_right'])}" for arm, words in _OTHERS.items())
    return f"The rule takes Fisher scores. The same difference {', '.join(parts)}."


def _by_other_scores(results: Mapping[str, Any], measure: str, words: str) -> str:
    parts = [
        f"by {name} {_greedy(results, arm)[measure]['mean']:.1%} {words} at pass@1 "
        f"{_greedy(results, arm)['pass@1']['mean']:.3f}"
        for arm, name in _OTHERS.items()
    ]
    return f"The rule takes Fisher scores; {', '.join(parts)}."


def _greedy(results: Mapping[str, Any], arm: str) -> Any:
    return results["domains"]["programs"][arm][f"k{results['design']['k']}"]["0.0"]


def _change(value: Mapping[str, float]) -> str:
    return f"{value['mean']:+.2f} ({value['lo']:+.2f} to {value['hi']:+.2f})"
