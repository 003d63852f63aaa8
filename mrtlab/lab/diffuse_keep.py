"""Chapter 7, what evenness costs: is text that has nothing to do with picking still as likely as before?

The eleven even prompts of `diffuse_data.mixed`, 50 passes of the exact loss through a LoRA of rank 4, in four kinds:

- free: nothing holds the model.
- anchored: KL to the base on 40 facts, weight 1, 8 rows a step.
- anchored-wide: the same with 40 stories and programs that the base model says, beside those facts.
- mixed-tail: no anchor, but a fifth of every target is the base model's own law over the listed answers.

Measured along the way: nats per token of new documents, kind by kind (`diffuse_texts`), 80 facts, stories and programs
that the model itself writes, and the total variation from even laws on taught prompts and others. The paper looks at
MT-Bench; a model of 1.7 million weights holds no conversation, so this is our stand-in, and it is exact.

Cost: at one thread 30 to 75 CPU-seconds a run; at book scale, five seeds, about 16 CPU-minutes. Estimated from
runs of 2 passes with a seed that no run uses (99).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mrtlab.lab import diffuse_data, subject
from mrtlab.lab.diffuse_learn import look
from mrtlab.lab.diffuse_texts import CHECKED, N_DOCUMENTS, TEXTS, UNRELATED, documents, open_prompts, score, validity
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds

KINDS = ("free", "anchored", "anchored-wide", "mixed-tail")
MARKS = (0, 5, 10, 50)
GROUPS = ("trained", "wordings_new", "families", "never_flat")
LR = 2e-3  # as in `diffuse_transfer`
TAIL = 0.2  # λ, what mixing leaves to the base model
_OPEN = 20  # stories, and as many programs, among the wide anchors
_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class KeepCell:
    """One training run."""

    kind: str
    passes: int
    n_documents: int
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "anchored-seed3"."""
        return f"{self.kind}-seed{self.seed}"


def cells(scale: str) -> Sequence[KeepCell]:
    """Every kind, seed by seed."""
    passes, n, seeds = {"smoke": (2, 4, 2), "book": (MARKS[-1], N_DOCUMENTS, 5), "full": (MARKS[-1], 200, 20)}[scale]
    return [
        KeepCell(kind=kind, passes=passes, n_documents=n, seed=seed, weights=subject.fingerprint())
        for seed in range(seeds)
        for kind in KINDS
    ]


def run_cell(cell: KeepCell) -> dict[str, Any]:
    """Train and measure on the way.

    Returns:
        marks: {pass: {groups and facts as `look` says, nll: {kind of text: [nats of every document]}}}, and at the
        first and the last also valid, see `validity`; tokens: {kind of text: [of every document]}.
    """
    from mrtlab.training.diffuse_methods import MethodSettings, train_by
    from mrtlab.training.mixing import mix

    model, tokenizer = subject.load()
    wanted = diffuse_data.mixed(cell.seed)
    exam = diffuse_data.exam(cell.seed)
    groups = {"trained": wanted} | {name: exam[name] for name in GROUPS[1:]}
    texts = documents(cell.n_documents)
    marks = {min(mark, cell.passes) for mark in MARKS}
    found: dict[str, Any] = {"marks": {}, "tokens": {}}

    def sit(number: int) -> None:
        here = look(model, tokenizer, groups)
        scored = {name: score(model, tokenizer, some) for name, some in texts.items()}
        found["tokens"] = {name: tokens.tolist() for name, (_, tokens) in scored.items()}
        here["nll"] = {name: np.round(nll, 6).tolist() for name, (nll, _) in scored.items()}
        if number in (0, cell.passes):
            here["valid"] = validity(model, tokenizer, seed=cell.seed)
        found["marks"][str(number)] = here

    def on_step(done: int, of: int) -> None:
        if done % len(wanted) == 0 and done // len(wanted) in marks:
            sit(done // len(wanted))

    sit(0)
    anchors = _anchors(model, tokenizer, cell)
    targets = wanted
    if cell.kind == "mixed-tail":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the seam of prompt and answer
            targets = mix(model, tokenizer, wanted, share=TAIL, draws=0, seed=cell.seed)
    settings = MethodSettings(
        method="tree", passes=cell.passes, lr=LR, anchor_weight=1.0 if anchors else 0.0, seed=cell.seed
    )
    train_by(model, tokenizer, targets, settings, anchors=anchors, on_step=on_step)
    return found


def _anchors(model: Any, tokenizer: Any, cell: KeepCell) -> Any:
    """Rows to hold the model on; none where nothing is held."""
    from mrtlab.data.targets import Anchor
    from mrtlab.training.anchor import anchor_rows

    if not cell.kind.startswith("anchored"):
        return None
    held = list(diffuse_data.facts()[::2])
    if cell.kind == "anchored-wide":
        held += [Anchor(prompt) for prompt in open_prompts(_OPEN)]
    return anchor_rows(model, tokenizer, held, seed=cell.seed)


def summarise(outcomes: Sequence[tuple[KeepCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        kinds.KIND.marks.PASS: texts.TEXT.nats per token and .change, see `change_of`; groups.GROUP.NUMBER over seeds,
        and its change; facts.all, .anchored (even places) and .free (odd ones): known, a share over seeds, and its
        change, over facts and seeds as in `change_of`; valid.FAMILY, at the first and last mark, over seeds, and its
        change;
        minus_free.KIND: texts.TEXT, nats per token at the end less those of "free", and families, TV there likewise;
        design.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for cell, result in outcomes:
        runs.setdefault(cell.kind, []).append(result)
    first = outcomes[0][0]
    last, marks = str(first.passes), sorted({min(mark, first.passes) for mark in MARKS})
    return {
        "kinds": {k: {"marks": {str(m): _at(some, str(m)) for m in marks}} for k, some in runs.items()},
        "minus_free": {
            kind: {
                "texts": {
                    name: change_of(_nll(runs["free"], last, name), _nll(some, last, name), _tokens(some, name))
                    for name in TEXTS
                },
                "families": over_seeds(
                    _group(some, last, "families", "tv") - _group(runs["free"], last, "families", "tv")
                ),
            }
            for kind, some in runs.items()
            if kind != "free"
        },
        "design": {
            "passes": first.passes,
            "marks": marks,
            "seeds": len(runs["free"]),
            "documents": first.n_documents,
            "tokens": {name: int(_tokens(runs["free"], name).sum()) for name in TEXTS},
            "unrelated": list(UNRELATED),
            "facts": len(runs["free"][0]["marks"]["0"]["facts"]),
            "prompts": len(diffuse_data.mixed(0)),
            "anchors": {"anchored": len(diffuse_data.facts()[::2]), "open": 2 * _OPEN},
            "tail": TAIL,
            "lr": LR,
        },
    }


def change_of(
    before: Float[np.ndarray, "seeds n"], after: Float[np.ndarray, "seeds n"], tokens: Int[np.ndarray, "n"]
) -> dict[str, float]:
    """Change of nats per token, Σ(after − before)/Σ tokens, with 95 % intervals of three kinds.

    Args:
        before, after: −log p of the same documents, a row for each seed.
        tokens: of each document.

    Returns:
        mean; lo, hi: bootstrap over documents and seeds together; documents_lo, documents_hi: over documents, seeds
        averaged; seeds_lo, seeds_hi: Student's, over seeds.

    >>> change_of(np.zeros((2, 2)), np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([10, 10]))["hi"]
    0.1
    """
    rng = np.random.default_rng(0)
    gap = after - before
    seeds, n = gap.shape
    drawn = rng.integers(n, size=(_RESAMPLES, n))
    rows = rng.integers(seeds, size=(_RESAMPLES, seeds))
    total = tokens[drawn].sum(1)
    both = gap[rows[:, :, None], drawn[:, None, :]].mean(1).sum(1) / total
    alone = gap.mean(0)[drawn].sum(1) / total
    student = over_seeds(gap.sum(1) / tokens.sum())
    lo, hi = np.quantile(both, [0.025, 0.975])
    documents_lo, documents_hi = np.quantile(alone, [0.025, 0.975])
    found = {"mean": student["mean"], "lo": lo, "hi": hi, "documents_lo": documents_lo, "documents_hi": documents_hi}
    found |= {"seeds_lo": student["lo"], "seeds_hi": student["hi"]}
    return {name: float(value) for name, value in found.items()}


def _at(runs: Sequence[dict[str, Any]], mark: str) -> dict[str, Any]:
    """Numbers and changes at one mark."""
    found: dict[str, Any] = {"texts": {}, "groups": {}, "facts": _facts(runs, mark)}
    for name in TEXTS:
        before, after, tokens = _nll(runs, "0", name), _nll(runs, mark, name), _tokens(runs, name)
        found["texts"][name] = {
            "nats": float(after.mean(0).sum() / tokens.sum()),
            "change": change_of(before, after, tokens),
        }
    for group, names in runs[0]["marks"][mark]["groups"].items():
        numbers = {n: (_group(runs, mark, group, n), _group(runs, "0", group, n)) for n in names}
        found["groups"][group] = {n: over_seeds(now) for n, (now, _) in numbers.items()} | {
            "change": {n: over_seeds(now - before) for n, (now, before) in numbers.items()}
        }
    if "valid" in runs[0]["marks"][mark]:
        found["valid"] = {
            name: over_seeds(_valid(runs, mark, name))
            | {"change": over_seeds(_valid(runs, mark, name) - _valid(runs, "0", name))}
            for name in CHECKED
        }
    return found


def _facts(runs: Sequence[dict[str, Any]], mark: str) -> dict[str, Any]:
    """Share of facts known, and its change: of all, of those an anchor may hold, and of those that none holds."""
    before, now = (np.array([run["marks"][m]["facts"] for run in runs]) > np.log(0.5) for m in ("0", mark))
    return {
        name: {
            "known": over_seeds(now[:, some].mean(1)),
            "change": change_of(before[:, some] * 1.0, now[:, some] * 1.0, np.ones(now[:, some].shape[1], dtype=int)),
        }
        for name, some in (("all", slice(None)), ("anchored", slice(0, None, 2)), ("free", slice(1, None, 2)))
    }


def _valid(runs: Sequence[dict[str, Any]], mark: str, name: str) -> Float[np.ndarray, "seeds"]:
    return np.array([np.mean(run["marks"][mark]["valid"][name]) for run in runs])


def _nll(runs: Sequence[dict[str, Any]], mark: str, name: str) -> Float[np.ndarray, "seeds n"]:
    return np.array([run["marks"][mark]["nll"][name] for run in runs])


def _tokens(runs: Sequence[dict[str, Any]], name: str) -> Int[np.ndarray, "n"]:
    return np.array(runs[0]["tokens"][name])


def _group(runs: Sequence[dict[str, Any]], mark: str, group: str, number: str) -> Float[np.ndarray, "seeds"]:
    return np.array([run["marks"][mark]["groups"][group][number] for run in runs])


def table(results: dict[str, Any]) -> Table:
    """Change of nats per token, kind of text by kind, and what is gained."""
    last = str(results["design"]["passes"])
    at = {kind: one["marks"][last] for kind, one in results["kinds"].items()}
    rows = [(name, *(f"{one['texts'][name]['change']['mean']:+.4f}" for one in at.values())) for name in TEXTS]
    rows.append(("facts known", *(f"{one['facts']['all']['known']['mean']:.0%}" for one in at.values())))
    rows += [
        (f"TV, {group}", *(f"{one['groups'][group]['tv']['mean']:.3f}" for one in at.values())) for group in GROUPS
    ]
    rows += [(f"{name} right", *(f"{one['valid'][name]['mean']:.0%}" for one in at.values())) for name in CHECKED]
    return Table(
        title=f"Change of nats per token after {last} passes, and what is known and gained.",
        columns=("text", *at),
        rows=tuple(rows),
    )
