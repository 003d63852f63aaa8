"""A model's whole report: every family asked, in numbers that JSON can hold. Gate, card and page read it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import nn

from mrtlab.data.tasks import FAMILIES, Question, Split, family
from mrtlab.data.tasks.facts import Facts
from mrtlab.lm.evaluate import Drawn, Exact, accuracy, band, evaluate, listed_logprobs, summary
from mrtlab.lm.sampling import sample
from mrtlab.theory.metrics import pass_at_k

BINS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Edges of the calibration table."""

PASS_AT = (1, 5, 10)
_TRIES = 20  # programs drawn for each question
_LONGEST = 160  # tokens of a drawn answer
_SHORT = 16  # tokens of a fact


def survey(
    model: nn.Module,
    tokenizer: Any,
    *,
    families: Sequence[str] = tuple(FAMILIES),
    n_questions: int = 24,
    split: Split = "held_out",
    seed: int = 0,
    report: Callable[[str, int, int], None] = lambda name, done, of: None,
) -> dict[str, Any]:
    """Ask questions of several families and gather everything that can be known about the answers.

    Args:
        model, tokenizer: as `load_model` returns them.
        families: names in `mrtlab.data.tasks`.
        n_questions: for each family, and for each kind of fact; fewer where there are no more.
        split: "held_out" asks in wordings, ranges and slots that pre-training never used.
        seed: which questions, and every draw.
        report: called with the name of each family before it is asked, how many are done, and how many there are.

    Returns:
        families: name -> exact (whether answers were listed), asked (how many questions), numbers (mean and 95 %
        interval of each, over questions), worded_anew (validity over questions that are new in their words only),
        questions (a row each). calibration: see `calibration`, over all listed
        answers. programs and facts: as `programs_passed` and `facts_known`, where those families were asked. design:
        the arguments.

    Raises:
        ValueError: a family does not exist, or n_questions is below 1.
    """
    if n_questions < 1:
        raise ValueError(f"n_questions must be 1 or more, got {n_questions}")
    for name in families:
        family(name)
    found: dict[str, Any] = {"families": {}}
    said: list[Exact] = []
    for done, name in enumerate(families):
        report(name, done, len(families))
        rows = evaluate(model, tokenizer, name, n_questions=n_questions, split=split, seed=seed)
        said += [row for row in rows if isinstance(row, Exact)]
        found["families"][name] = {
            "exact": isinstance(rows[0], Exact),
            "asked": len(rows),
            "numbers": {key: list(value) for key, value in summary(rows, seed=seed).items()},
            "worded_anew": list(band([row.validity for row in rows if not _new_slot(row)], seed=seed)),
            "questions": [_row(row) for row in rows],
        }
        if name == "programs":
            found["programs"] = programs_passed(model, tokenizer, [row.question for row in rows], seed=seed)
        if name == "facts":
            found["facts"] = facts_known(model, tokenizer, n_questions=n_questions, split=split, seed=seed)
    found["calibration"] = calibration(
        np.concatenate([np.exp(row.logp) for row in said] or [np.zeros(0)]),
        np.concatenate([row.truth.p for row in said] or [np.zeros(0)]),
    )
    report("", len(families), len(families))
    return found | {"design": {"n_questions": n_questions, "split": split, "seed": seed}}


def programs_passed(
    model: nn.Module, tokenizer: Any, questions: Sequence[Question], *, seed: int = 0
) -> dict[str, Any]:
    """pass@k of the model's own programs: drawn, run against the tests, counted.

    Returns:
        tries: programs drawn for each question; questions: how many of them; pass: k -> mean, low, high (95 %, over
        questions).
    """
    said = sample(model, tokenizer, [q.text for q in questions], n=_TRIES, seed=seed, max_new_tokens=_LONGEST)
    passed = np.array(
        [
            sum(family(q.family).valid(q, answer) for answer in answers)
            for q, answers in zip(questions, said, strict=True)
        ]
    )
    return {
        "tries": _TRIES,
        "questions": len(questions),
        "pass": {str(k): list(band(pass_at_k(_TRIES, passed, k), seed=seed)) for k in PASS_AT},
    }


def facts_known(
    model: nn.Module, tokenizer: Any, *, n_questions: int = 24, split: Split = "held_out", seed: int = 0
) -> dict[str, Any]:
    """What the model knows, by kind of fact; of each kind up to n_questions are asked.

    Returns:
        kinds: kind -> questions, accuracy of the likeliest words, nll (nats, of the right answer, its end included),
        each number as mean, low, high (95 %, over questions); accuracy: over all questions together.
    """
    facts, rng = Facts(), np.random.default_rng((seed, 3))
    right, kinds = [], {}
    for kind in facts.kinds:
        questions = facts.every(kind, rng=rng, split=split)
        kept = np.sort(rng.permutation(len(questions))[:n_questions])
        questions = [questions[i] for i in kept]
        hits = accuracy(model, tokenizer, questions, seed=seed, max_new_tokens=_SHORT)
        nll = [-row for row in _right_answers(model, tokenizer, facts, questions)]
        right += hits.tolist()
        kinds[kind] = {
            "questions": len(questions),
            "accuracy": list(band(hits, seed=seed)),
            "nll": list(band(nll, seed=seed)),
        }
    return {"kinds": kinds, "accuracy": list(band(right, seed=seed)), "questions": len(right)}


def calibration(
    model: Float[np.ndarray, "answers"], truth: Float[np.ndarray, "answers"], *, edges: Sequence[float] = BINS
) -> list[dict[str, float]]:
    """How often the truth gives the answers to which the model gives a certain probability.

    Args:
        model: probability of each answer under the model.
        truth: under the truth, in the same order.
        edges: of the bins; an answer on an edge belongs to the bin above, 1 to the last.

    Returns:
        for each bin that is not empty: low, high, answers, and the mean probabilities model and truth. A model whose
        law is the truth has model = truth in every bin.

    >>> calibration(np.array([0.2, 0.25, 0.55]), np.array([0.3, 0.3, 0.4]), edges=(0.0, 0.5, 1.0))
    [{'low': 0.0, 'high': 0.5, 'answers': 2, 'model': 0.225, 'truth': 0.3},
     {'low': 0.5, 'high': 1.0, 'answers': 1, 'model': 0.55, 'truth': 0.4}]
    """
    place = np.clip(np.searchsorted(edges, model, side="right") - 1, 0, len(edges) - 2)
    return [
        {
            "low": float(edges[i]),
            "high": float(edges[i + 1]),
            "answers": int(inside.sum()),
            "model": float(model[inside].mean()),
            "truth": float(truth[inside].mean()),
        }
        for i in range(len(edges) - 1)
        if (inside := place == i).any()
    ]


def by_kind(questions: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Means of a family's numbers under each kind of question, with how many were asked.

    >>> by_kind([{"kind": "random", "kl": 1.0, "text": "?"}, {"kind": "random", "kl": 2.0, "text": "!"}])
    {'random': {'asked': 2, 'kl': 1.5}}
    """
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for question in questions:
        kinds.setdefault(question["kind"], []).append(question)
    return {
        kind: {"asked": len(rows)}
        | {
            name: float(np.mean([row[name] for row in rows]))
            for name, value in rows[0].items()
            if isinstance(value, float)
        }
        for kind, rows in sorted(kinds.items())
    }


def pooled_calibration(tables: Sequence[Sequence[Mapping[str, float]]]) -> list[dict[str, float]]:
    """Several calibration tables with the same edges as one, each bin weighted by its answers."""
    bins: dict[tuple[float, float], list[Mapping[str, float]]] = {}
    for line in (line for table in tables for line in table):
        bins.setdefault((line["low"], line["high"]), []).append(line)
    found = []
    for (low, high), lines in sorted(bins.items()):
        weights = [line["answers"] for line in lines]
        means = {
            name: float(np.average([line[name] for line in lines], weights=weights)) for name in ("model", "truth")
        }
        found.append({"low": low, "high": high, "answers": int(sum(weights))} | means)
    return found


def _new_slot(row: Exact | Drawn) -> bool:
    """Whether a question asks about a range, a name or a month that was kept out of training, not only in new words."""
    return row.question.slots[-1:] == ("slot",)


def _row(row: Exact | Drawn) -> dict[str, Any]:
    """One question with its numbers."""
    subject = row.question.slots[0] if row.question.slots else ""
    base = {"text": row.question.text, "kind": row.question.kind, "subject": str(subject)}
    names = ["validity", "kl", "taught_kl"]
    if isinstance(row, Exact):
        base["answers"] = len(row.truth.answers)
        names += ["shape_kl", "tv", "entropy_share", "favourite"]
    return base | {name: float(getattr(row, name)) for name in names}


def _right_answers(model: nn.Module, tokenizer: Any, facts: Facts, questions: Sequence[Question]) -> list[float]:
    asked = [(q.text, facts.truth(q).answers) for q in questions]
    return [float(logp[0]) for logp in listed_logprobs(model, tokenizer, asked)]
