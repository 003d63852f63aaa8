"""What holds for every family of questions, whatever it asks."""

from collections import Counter

import numpy as np
from scipy.stats import chi2

from mrtlab.data.tasks import Family, Law, Question, Split

CONFIDENCE = 1 - 1e-6  # of each chi-square test: a false alarm once in a million


def check_laws(family: Family, question: Question) -> None:
    """Both laws are laws over the same answers, and the checker, the sampler and logp agree with them."""
    truth, taught = family.truth(question), family.taught(question)
    assert np.isclose(truth.p.sum(), 1, rtol=0, atol=1e-9)
    assert np.isclose(taught.p.sum(), 1, rtol=0, atol=1e-9)
    assert set(taught.answers) == set(truth.answers)
    for answer, logp in zip(truth.answers, truth.logp, strict=True):
        assert family.valid(question, answer)
        assert family.logp(question, answer) == logp
        check_text(answer)
    rng = np.random.default_rng(0)
    for answer in family.sample(question, 20, rng=rng) + family.sample_taught(question, 20, rng=rng):
        assert family.valid(question, answer)
        assert np.isfinite(family.logp(question, answer))
    for wrong in ("", "no such answer", f" {truth.answers[0]}", f"{truth.answers[0]} ", f"{truth.answers[0]}."):
        assert not family.valid(question, wrong)
        assert family.logp(question, wrong) == -np.inf


def check_text(text: str, *, lines: int = 1) -> None:
    """No space at either end, no hole left open, no more lines than promised."""
    assert text
    assert text == text.strip()
    assert "  " not in text
    assert not set("{}") & set(text)
    assert text.count("\n") == lines - 1


def check_split(family: Family, *, n: int, new: set[str]) -> None:
    """Held-out questions are never training questions, and say what is new in them."""
    sides: dict[Split, list[Question]] = {}
    for split in ("train", "held_out"):
        sides[split] = family.questions(n, rng=np.random.default_rng(1), split=split)
        for question in sides[split]:
            check_text(question.text)
            assert question.family == family.name
            assert question.text[0].isupper() or question.text[0].isdigit()
            assert len(question.text.split()) <= 24
    assert {question.slots[-1] for question in sides["train"]} == {"nothing"}
    assert {question.slots[-1] for question in sides["held_out"]} == new
    assert len(sides["train"]) == n
    assert not {question.text for question in sides["train"]} & {question.text for question in sides["held_out"]}


def check_frequencies(answers: list[str], law: Law) -> None:
    """Pearson's chi-square over the answers, those expected fewer than five times pooled."""
    assert set(answers) <= set(law.answers)
    counts, expected = Counter(answers), len(answers) * law.p
    rare = expected < 5
    seen = np.array([counts[answer] for answer in law.answers], dtype=float)
    cells = [(s, e) for s, e in zip(seen[~rare], expected[~rare], strict=True)]
    if rare.any():
        cells.append((seen[rare].sum(), expected[rare].sum()))
    statistic = sum((s - e) ** 2 / e for s, e in cells)
    assert statistic < chi2.ppf(CONFIDENCE, df=max(1, len(cells) - 1))
