"""Meet the model: the embedded model is asked for a random number a thousand times, and every family is measured.

Each seed's draws stand beside the exact law, which needs no draws. The families' numbers are those of the model card,
and the gate is put to them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mrtlab.data.tasks import FAMILIES, Question, family
from mrtlab.data.tasks.corpus import SHARES
from mrtlab.lab import subject
from mrtlab.lab.registry import Table
from mrtlab.lm import shelf
from mrtlab.lm.gate import gate, passed
from mrtlab.lm.survey import by_kind, pooled_calibration

QUESTION = Question("numbers", "Pick a random number from 1 to 10.", "random", ("number", 1, 10, "nothing"))
_SEEDS = 5
_DRAWS = {"smoke": 50}  # at other scales
_MANY_DRAWS = 1000
_QUESTIONS = {"smoke": 1, "book": 48, "full": 96}
_LONGEST = 16  # tokens of a number


@dataclass(frozen=True, kw_only=True)
class AskCell:
    """The same question n times."""

    draws: int
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "ask-seed0"."""
        return f"ask-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class FamilyCell:
    """Held-out questions of one family."""

    family: str
    n_questions: int
    weights: str
    seed: int = 0

    @property
    def label(self) -> str:
        """Such as "family-fruits"."""
        return f"family-{self.family}"


def cells(scale: str) -> Sequence[AskCell | FamilyCell]:
    """Five seeds of draws and every family. A cell knows the weights by their fingerprint, so new ones are asked anew.

    Raises:
        MissingInput: the model is not on this machine.
    """
    weights = subject.fingerprint()
    draws = _DRAWS.get(scale, _MANY_DRAWS)
    asks = [AskCell(draws=draws, seed=seed, weights=weights) for seed in range(_SEEDS)]
    return [*asks, *(FamilyCell(family=f, n_questions=_QUESTIONS[scale], weights=weights) for f in FAMILIES)]


def run_cell(cell: AskCell | FamilyCell) -> dict[str, Any]:
    """Draw and count, or survey one family."""
    model, tokenizer = subject.load()
    if isinstance(cell, FamilyCell):
        from mrtlab.lm.survey import survey

        return survey(model, tokenizer, families=[cell.family], n_questions=cell.n_questions, seed=cell.seed)
    from mrtlab.lm.evaluate import listed_logprobs
    from mrtlab.lm.sampling import sample

    answers = family(QUESTION.family).truth(QUESTION).answers
    said = sample(model, tokenizer, [QUESTION.text], n=cell.draws, seed=cell.seed, max_new_tokens=_LONGEST)[0]
    counts = [said.count(answer) for answer in answers]
    exact = np.exp(listed_logprobs(model, tokenizer, [(QUESTION.text, answers)])[0])
    return {
        "counts": counts,
        "other": cell.draws - sum(counts),
        "exact": exact.tolist(),
        "model": _model(),
    }


def _model() -> dict[str, Any]:
    """Size, fingerprint, and the recipe if there is one."""
    about, found = subject.subject(), shelf.look(subject.folder())
    more = {"bytes": found.bytes, "recipe": found.recipe} if found else {"bytes": None, "recipe": None}
    return {"parameters": about.parameters, "sha256": about.sha256} | more


def summarise(outcomes: Sequence[tuple[AskCell | FamilyCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        model: size, fingerprint, recipe. ask: the question, its answers, their truth, taught and exact law, each
        seed's counts, and tv_of_draws, the distance of each seed's frequencies from the exact law. families,
        programs, facts, calibration: as `mrtlab.lm.survey`, the questions summed up by kind. gate: the checks.
    """
    asked = [(cell, result) for cell, result in outcomes if isinstance(cell, AskCell)]
    surveys = [(cell, result) for cell, result in outcomes if isinstance(cell, FamilyCell)]
    merged: dict[str, Any] = {"families": {}}
    for _, result in surveys:
        merged["families"] |= result["families"]
        merged |= {key: result[key] for key in ("programs", "facts") if key in result}
    checks = gate(merged)
    for one in merged["families"].values():
        one["kinds"] = by_kind(one.pop("questions"))
    return merged | {
        "model": asked[0][1]["model"] | {"shares": {name: float(share) for name, share in SHARES.items()}},
        "ask": _ask(asked),
        "calibration": pooled_calibration([result["calibration"] for _, result in surveys]),
        "gate": {"passed": passed(checks), "checks": [asdict(check) for check in checks]},
        "design": surveys[0][1]["design"],
    }


def _ask(asked: Sequence[tuple[AskCell, dict[str, Any]]]) -> dict[str, Any]:
    found = family(QUESTION.family)
    truth, taught = found.truth(QUESTION), found.taught(QUESTION)
    exact = np.array(asked[0][1]["exact"])
    wrong = max(0.0, 1 - exact.sum())
    draws = asked[0][0].draws
    distance = [
        0.5 * float(np.abs(np.array(r["counts"]) / draws - exact).sum() + abs(r["other"] / draws - wrong))
        for _, r in asked
    ]
    by_answer = dict(zip(taught.answers, taught.p.tolist(), strict=True))
    top = int(exact.argmax())
    return {
        "question": QUESTION.text,
        "answers": list(truth.answers),
        "truth": truth.p.tolist(),
        "taught": [by_answer[answer] for answer in truth.answers],
        "exact": exact.tolist(),
        "favourite": truth.answers[top],
        "favourite_p": float(exact[top]),
        "wrong": wrong,
        "draws": draws,
        "counts": {f"seed{cell.seed}": result["counts"] for cell, result in asked},
        "other": {f"seed{cell.seed}": result["other"] for cell, result in asked},
        "tv_of_draws": distance,
        "tv_from_truth": float(0.5 * (np.abs(exact - truth.p).sum() + wrong)),
    }


def table(results: dict[str, Any]) -> Table:
    """Family by family; the gate in the title."""
    rows = []
    for name, one in results["families"].items():
        numbers = one["numbers"]
        cells = [f"{numbers[key][0]:.2f}" if key in numbers else "" for key in ("validity", "kl", "entropy_share")]
        rows.append(
            (name, str(one["asked"]), *cells, f"{numbers['favourite'][0]:.1f}" if "favourite" in numbers else "")
        )
    ask, judged = results["ask"], results["gate"]
    failed = [check["name"] for check in judged["checks"] if not check["passed"]]
    verdict = "passed" if judged["passed"] else f"not passed ({', '.join(failed)})"
    return Table(
        title=f"“{ask['question']}” Favourite: {ask['favourite']}, {ask['favourite_p']:.1%}.\nGate: {verdict}.",
        columns=("family", "asked", "validity", "KL", "even", "favourite"),
        rows=tuple(rows),
    )
