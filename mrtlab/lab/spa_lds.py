"""Which scores foretell what training on a part of the data does? The linear-datamodelling score, by retraining.

128 pairs of a programming task and a right short program, twelve other tasks as queries. One adapter is trained on all
pairs and differentiated; each method scores every pair for every query. Then adapters are trained on random halves of
the pairs, and for each query the halves are ranked twice: by the sum of their members' scores, and by how low the loss
of the adapter trained on that half is. The score of a method is the rank correlation of the two, mean over queries: 0
is chance. The first eight halves are trained twice, with other seeds. Let r be the rank correlation of the two; then
who knew everything about the halves, and nothing about luck, would reach about √r.

"-blocks": one curvature for each matrix of the adapter, as DataInf's authors have it; without it one for all. The
number behind a Fisher score is its damping.

Controls: "subject" scores a pair 1 if it has the query's own task, else 0; "lexical" is BM25+ on the texts.

Cost: at one thread 2 CPU-seconds for an adapter, 20 for a walk of LiSSA; at book scale, five seeds, about 10
CPU-minutes, estimated from one of each with a seed that no run uses (99).
"""

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.data.records import Record
from mrtlab.data.tasks import Question, family
from mrtlab.lab import subject
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds

RANK = 8
LR = 2e-3
BATCH = 4
PASSES = 2  # over all pairs, and over every half
N_QUERIES = 12
TWICE = 8  # halves that are trained a second time
# λ relative to the mean diagonal of the curvature; 0.1 is DataInf's. There are far more weights than pairs, so the
# directions that pairs span curve hundreds of times more than that mean: they feel no λ but a large one.
DAMPINGS = (0.1, 10.0, 100.0, 1e3, 1e4, 1e5)
SCALE = 3.0  # of LiSSA: the largest curvature of one pair is near 2; the authors' 50 leaves the gradients as they are
DEPTH = 20  # steps of a walk, as far as 330 of the authors' at their scale; one walk in place of their 500
LISSA_DAMPING = 1e-3  # the paper's

Scores = Float[np.ndarray, "n m"]


@dataclass(frozen=True, kw_only=True)
class LdsCell:
    """One piece of work on the pairs of one seed.

    Attributes:
        what: "scores", "lissa", or "train".
        part: which half.
        run: which training of that half.
        n: pairs.
        halves: how many random halves there are.
        depth: of LiSSA.
        seed: of pairs, queries and halves.
        weights: fingerprint of the embedded model.
    """

    what: str
    part: int = 0
    run: int = 0
    n: int
    halves: int
    depth: int
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "train-17-1-seed3"."""
        return f"{self.what}-{self.part}-{self.run}-seed{self.seed}"


def cells(scale: str) -> Sequence[LdsCell]:
    """Seed by seed: scores, LiSSA, then every half, and some again."""
    sizes = {"smoke": (8, 3, 1, 2), "book": (128, 40, DEPTH, 5), "full": (1024, 100, DEPTH, 10)}
    n, n_halves, depth, seeds = sizes[scale]
    same = {"n": n, "halves": n_halves, "depth": depth, "weights": subject.fingerprint()}
    found = []
    for seed in range(seeds):
        found += [LdsCell(what=what, seed=seed, **same) for what in ("scores", "lissa")]
        runs = [(0, i) for i in range(n_halves)] + [(1, i) for i in range(min(TWICE, n_halves))]
        found += [LdsCell(what="train", part=i, run=run, seed=seed, **same) for run, i in runs]
    return found


def run_cell(cell: LdsCell) -> dict[str, Any]:
    """One piece of work.

    Returns:
        of "train": losses, nats per token of every query. Of "scores" and "lissa", for every method: predicted,
        (halves, queries) sums of scores; like_dot and like_fisher, `rank_correlation` of its scores with those of
        grad-dot and of Fisher at the least damping.
    """
    if cell.what == "train":
        members = halves(cell)[cell.part]
        with trained(_data(cell.seed, cell.n)[0], members, seed=cell.run + 1) as (model, tokenizer):
            return {"losses": _losses(model, tokenizer, _data(cell.seed, cell.n)[1])}
    base = _scores(cell.seed, cell.n)
    scored = base if cell.what == "scores" else _lissa(cell)
    return {
        name: {
            "predicted": [scores[members].sum(0).tolist() for members in halves(cell)],
            "like_dot": rank_correlation(scores, base["grad-dot"]),
            "like_fisher": rank_correlation(scores, base[f"fisher-{DAMPINGS[0]:g}"]),
        }
        for name, scores in scored.items()
    }


def summarise(outcomes: Sequence[tuple[LdsCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        methods.METHOD: lds, over seeds; minus_dot, its lead over grad-dot, paired by seed; like_dot, like_fisher, over
        seeds;
        ceiling.twice: rank correlation of two trainings of the same halves, over seeds; spread, luck: standard
        deviation of a query's loss over halves, and over trainings of one half, nats for a token, root mean square over
        queries, over seeds;
        design.
    """
    seeds = sorted({cell.seed for cell, _ in outcomes})
    first = outcomes[0][0]
    queries = len(next(result["losses"] for cell, result in outcomes if cell.what == "train"))
    losses = np.full((2, len(seeds), first.halves, queries), np.nan)
    found: dict[str, list[dict[str, Any]]] = {}
    for cell, result in outcomes:
        if cell.what == "train":
            losses[cell.run, seeds.index(cell.seed), cell.part] = result["losses"]
        else:
            for name, one in result.items():
                found.setdefault(name, []).append(one)
    gains, twice = -losses[0], losses[:, :, : min(TWICE, first.halves)]
    lds = {
        name: np.array([rank_correlation(np.array(one["predicted"]), g) for one, g in zip(ones, gains, strict=True)])
        for name, ones in found.items()
    }
    return {
        "methods": {
            name: {
                "lds": over_seeds(lds[name]),
                "minus_dot": over_seeds(lds[name] - lds["grad-dot"]),
                "like_dot": over_seeds(np.array([one["like_dot"] for one in ones])),
                "like_fisher": over_seeds(np.array([one["like_fisher"] for one in ones])),
            }
            for name, ones in found.items()
        },
        "ceiling": {
            "twice": over_seeds(np.array([rank_correlation(*two) for two in twice.swapaxes(0, 1)])),
            "spread": over_seeds(np.sqrt(gains.var(axis=1, ddof=1).mean(axis=1))),
            "luck": over_seeds(np.sqrt(twice.var(axis=0, ddof=1).mean(axis=(1, 2)))),
        },
        "design": {
            "pairs": first.n,
            "queries": queries,
            "halves": first.halves,
            "twice": twice.shape[2],
            "seeds": len(seeds),
            "rank": RANK,
            "lr": LR,
            "steps": PASSES * first.n // (2 * BATCH),
            "lissa": {"depth": first.depth, "repeats": 1, "damping": LISSA_DAMPING, "scale": SCALE},
        },
    }


def table(results: dict[str, Any]) -> Table:
    """Method by method: what it foretells, its lead over grad-dot, and whom its ranking of pairs is like."""

    def said(one: dict[str, float]) -> str:
        return f"{one['mean']:+.3f} ({one['lo']:+.3f} to {one['hi']:+.3f})"

    names = ("lds", "minus_dot", "like_dot", "like_fisher")
    rows = [(name, *(said(one[number]) for number in names)) for name, one in results["methods"].items()]
    rows.append(("the same halves, trained again", said(results["ceiling"]["twice"]), "–", "–", "–"))
    return Table(
        title=f"Rank correlation of what is foretold with what {results['design']['halves']} retrainings show.",
        columns=("scores", "foretold and true", "less grad-dot", "like grad-dot", "like Fisher"),
        rows=tuple(rows),
    )


def halves(cell: LdsCell) -> list[np.ndarray]:
    """The random halves of a seed: places of pairs, in order."""
    rng = np.random.default_rng([88, cell.seed])
    return [np.sort(rng.permutation(cell.n)[: cell.n // 2]) for _ in range(cell.halves)]


def rank_correlation(a: Scores, b: Scores) -> float:
    """Spearman's rank correlation, column by column; the mean over columns. A column that does not vary counts 0.

    >>> rank_correlation(np.array([[1.0, 5.0], [2.0, 4.0], [9.0, 3.0]]), np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    0.0
    """
    from scipy.stats import spearmanr

    varied = [j for j in range(a.shape[1]) if np.ptp(a[:, j]) > 0 and np.ptp(b[:, j]) > 0]
    return float(sum(spearmanr(a[:, j], b[:, j]).statistic for j in varied) / a.shape[1])


@contextmanager
def trained(pairs: Sequence[tuple[Question, str]], members: Sequence[int] | np.ndarray, *, seed: int) -> Iterator[Any]:
    """The embedded model, with an adapter that saw some of the pairs `PASSES` times, and its tokenizer."""
    from mrtlab.spa.adapters import AdaptSettings, load_adapters, train_adapters

    model, tokenizer = subject.load()
    records = _records([pairs[i] for i in members])
    steps = max(1, PASSES * len(records) // BATCH)
    settings = AdaptSettings(steps=steps, batch_prompts=BATCH, lora_rank=RANK, lr=LR, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        made = train_adapters(model, tokenizer, [records], Path(folder) / "lds", base=subject.name(), settings=settings)
        yield load_adapters(model, made), tokenizer


@lru_cache(maxsize=1)
def _data(seed: int, n: int) -> tuple[list[tuple[Question, str]], list[tuple[Question, str]]]:
    """Pairs, and queries of different tasks in held-out wordings, all answers drawn from the even truth."""
    programs, rng = family("programs"), np.random.default_rng([89, seed])
    held_out = {q.slots[0]: q for q in programs.questions(400, rng=rng, split="held_out") if q.kind == "random"}
    asked = [held_out[name] for name in rng.permutation(sorted(held_out))[:N_QUERIES]]
    told = [q for q in programs.questions(4 * n, rng=rng) if q.kind == "random"][:n]
    pairs, queries = ([(q, programs.sample(q, 1, rng=rng)[0]) for q in some] for some in (told, asked))
    return pairs, queries


@lru_cache(maxsize=1)
def _scores(seed: int, n: int) -> dict[str, Scores]:
    """Every method that needs one gradient pass at most."""
    from mrtlab.spa.gradients import blocks_of, lora_factors
    from mrtlab.spa.influence import cosine, datainf, fisher, grad_dot
    from mrtlab.spa.partition import bm25_plus

    pairs, asked = _data(seed, n)
    with _differentiable(seed, n) as (model, _, gradients, targets):
        blocks = [block.columns for block in blocks_of(lora_factors(model))]
        found = {"grad-dot": grad_dot(gradients, targets), "cosine": cosine(gradients, targets)}
        found |= {"datainf": datainf(gradients, targets), "datainf-blocks": datainf(gradients, targets, blocks=blocks)}
        found |= {f"fisher-{d:g}": fisher(gradients, targets, damping=d) for d in DAMPINGS}
        found |= {f"fisher-blocks-{d:g}": fisher(gradients, targets, damping=d, blocks=blocks) for d in DAMPINGS[::3]}
    found["lexical"] = bm25_plus(*([f"{q.text} {answer}" for q, answer in some] for some in (pairs, asked)))
    found["subject"] = np.array([[float(q.slots[0] == other.slots[0]) for other, _ in asked] for q, _ in pairs])
    return found


def _lissa(cell: LdsCell) -> dict[str, Scores]:
    """Scores by one walk."""
    from mrtlab.spa.influence import grad_dot
    from mrtlab.spa.lissa import LissaSettings, lissa

    settings = LissaSettings(scale=SCALE, depth=cell.depth, damping=LISSA_DAMPING, seed=cell.seed)
    with _differentiable(cell.seed, cell.n) as (model, examples, gradients, targets):
        return {"lissa": grad_dot(gradients, lissa(model, examples, targets, settings=settings))}


@contextmanager
def _differentiable(seed: int, n: int) -> Iterator[Any]:
    """The model trained on all pairs, the pairs as examples, and gradients of pairs and queries."""
    from mrtlab.spa.gradients import examples_of, gradients_of

    pairs, asked = _data(seed, n)
    with trained(pairs, range(n), seed=0) as (model, tokenizer), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the seam of prompt and answer
        examples = examples_of(_records(pairs), tokenizer)
        targets = gradients_of(model, examples_of(_records(asked), tokenizer))
        yield model, examples, gradients_of(model, examples), targets


def _losses(model: Any, tokenizer: Any, asked: Sequence[tuple[Question, str]]) -> list[float]:
    """Nats per token of every query."""
    import torch

    from mrtlab.spa.gradients import Padded, examples_of

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = Padded.of(examples_of(_records(asked), tokenizer), model.device)
        return batch.losses(batch.logits(model)).tolist()


def _records(pairs: Sequence[tuple[Question, str]]) -> list[Record]:
    return [Record.of(question.text, [answer]) for question, answer in pairs]
