"""Results of chapter 8's experiments over made-up answers, put together by their own `summarise`."""

from functools import cache
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest

from mrtlab.data.tasks import Question
from mrtlab.lab import spa_adapters, spa_adapters_summary, spa_decode, spa_share
from mrtlab.lab.spa_adapters import Plan
from mrtlab.lab.spa_data import family_of

K, PAIRS = 8, 48
DIFFERENT = {"seeds": 1, "random": 3, "lexical": 2, "influence": 2, "rows": 1, "gradients": 3, "texts": 2, "dealt": 5}
WRONG = {"dealt": 2, "rows": 2, "base": 4, "asked": 2}  # of eight


@cache
def exam(domain: str, *, seed: int, short: bool) -> list[Question]:
    """Three questions, of programs the first one on a specification that is shown; the true exam takes seconds."""
    rng = np.random.default_rng([2, seed])
    found: list[Question] = []
    while len(found) < 3:
        question = family_of(domain).ask(rng=rng)
        if found or domain.startswith("programs") is (question.slots[0] == "double"):
            found.append(question)
    return found


def answers(cell: Any, temperature: float, different: dict[str, int], wrong: dict[str, int]) -> list[list[str]]:
    """To each question this many different right answers in turn; the last ones of eight are wrong."""
    found = []
    hotter = round(3 * temperature)
    for place, question in enumerate(exam(cell.domain, seed=cell.seed, short=True)):
        law = family_of(cell.domain).truth(question)
        n = max(1, different.get(cell.arm.split("-")[0], 1) + hotter - (place + cell.seed) % 2)
        bad = wrong.get(cell.arm.split("-")[0], 0) + hotter
        right = list(islice(cycle(law.answers[:n]), cell.k))
        found.append([*right[: max(1, cell.k - bad)], *["no answer"] * bad][: cell.k])
    return found


def adapters_results(
    monkeypatch: pytest.MonkeyPatch, *, different: dict[str, int] = DIFFERENT, wrong: dict[str, int] = WRONG
) -> dict[str, Any]:
    """`spa_adapters` with all arms of the book on a few questions."""
    monkeypatch.setattr(spa_adapters.subject, "fingerprint", lambda: "none")
    monkeypatch.setattr(spa_adapters, "exam", exam)
    monkeypatch.setattr(spa_adapters_summary, "exam", exam)
    monkeypatch.setitem(spa_adapters.PLANS, "smoke", Plan(seeds=2))

    def result(cell: Any) -> dict[str, Any]:
        found: dict[str, Any] = {
            "answers": {str(t): answers(cell, t, different, wrong) for t in cell.temperatures},
        }
        if cell.arm in spa_adapters.LONE:
            return found
        many = different.get(cell.arm.split("-")[0], 1)
        found["kl"] = np.where(np.eye(cell.k, dtype=bool), 0.0, 0.01 * many * (1 + 0.1 * cell.seed)).tolist()
        if cell.arm != "seeds":
            rng = np.random.default_rng([1, cell.seed, "random" in cell.arm])
            base = np.arange(PAIRS) % cell.k
            found["part"] = (rng.permutation(base) if cell.arm in ("random", "dealt") else base).tolist()
        if cell.arm == "rows":
            found["part"] = np.where(np.arange(PAIRS) < PAIRS - cell.k + 1, 0, np.arange(PAIRS) % cell.k).tolist()
        if cell.arm == "influence":
            found["stability"] = [0.8, 0.9]
        return found

    return spa_adapters_summary.summarise(
        [(cell, {arm.key: result(arm) for arm in cell.each()}) for cell in spa_adapters.cells("smoke")]
    )


def share_results(monkeypatch: pytest.MonkeyPatch, *, half: float = 0.15) -> dict[str, Any]:
    """`spa_share` in which this share of the data gives half of what all of them give."""
    monkeypatch.setattr(spa_share.subject, "fingerprint", lambda: "none")

    def right(cell: Any) -> list[bool]:
        gain = cell.share / (cell.share + half) * (1 + half)
        return (np.arange(100) < 50 + round(45 * gain) + cell.seed % 2).tolist()

    return spa_share.summarise([(cell, {"right": right(cell)}) for cell in spa_share.cells("book")])


def decode_results(monkeypatch: pytest.MonkeyPatch, *, ratios: tuple[float, float] = (4.0, 2.0)) -> dict[str, Any]:
    """`spa_decode` with these times over that of one batch: one after another, as peft mixes them."""
    monkeypatch.setattr(spa_decode.subject, "fingerprint", lambda: "none")

    def seconds(cell: Any) -> dict[str, float]:
        slow = 1 + 0.02 * cell.seed
        return {"stacked": 1.0, "switching": ratios[0] * slow, "mixed": ratios[1] * slow}

    return spa_decode.summarise([(cell, {"seconds": seconds(cell), "same": 1.0}) for cell in spa_decode.cells("book")])
