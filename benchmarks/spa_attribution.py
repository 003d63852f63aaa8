"""All queries' influence from one gradient pass, against LiSSA and DataInf as its authors' scripts have it: time,
memory, and whose ranking is near the exact one. `python -m benchmarks.spa_attribution`.

The embedded model and a programming task, so nothing is downloaded. What the scores are worth is asked by
`mrtlab run spa_lds`, whose artifact is quoted if it is there. `--quick` is a smoke run.
"""

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from jaxtyping import Float
from scipy import linalg

from benchmarks import _lm
from benchmarks._timing import command_line, write_section
from mrtlab.data.records import Record
from mrtlab.data.tasks import family
from mrtlab.lab import artifacts, spa_lds
from mrtlab.lab.spa_lds import N_QUERIES, rank_correlation, trained
from mrtlab.spa.attribution import collect, project_for
from mrtlab.spa.gradients import Example, Padded, blocks_of, examples_of, gradients_of, lora_factors
from mrtlab.spa.influence import DAMPING, cosine, datainf, fisher, grad_dot, gram
from mrtlab.spa.lissa import LissaSettings, gauss_newton, lissa

N = 500
FEATURES = (1024, 4096, 16384)
PRIMAL_FEATURES = 512  # fewer than examples, so that the p × p side is the smaller one
DAMPINGS = (1e-3, 0.1, 10.0, 100.0, 1e3, 1e4, 1e5)
SPA_STEPS = 120 * 500  # what the paper walks for each query of its code data
PACE = 3  # steps of LiSSA that are timed
SAME = 1e-4  # of the largest score: ours and the reference's are one method

PREDICTION = """**Before the run.** One batched pass over 1,000 examples and four rankings from it should cost as much
as the pass and a few products; the n × n matrix of Fisher's dual form, 10¹¹ multiplications in double precision,
should cost about as much again. The reference DataInf does a pass for each example, which costs 2 times ours at these
lengths, and 12 × 1,000 × 70 small products twice: 5 times in all. LiSSA costs a Gauss–Newton product for each query
and step: 0.7 s for twelve queries in an early look, so 700 s for as many steps as there are examples, 40 times our
pass, and 12 hours for the paper's 120 × 500. Rankings: an early look at 256 examples gave 0.14 between grad-dot and
exact Fisher; LiSSA at the authors' scale and DataInf over the whole adapter are grad-dot by another name, 0.99 and
more. Projections to 4,096 numbers should keep grad-dot's ranking to 0.95 and, since undamped directions are many, lose
much of Fisher's."""

READING = """**How to read it.** The embedded model ({model:.3g} million weights), an adapter of rank {rank} on all
linear layers ({p:,} numbers in a gradient), trained twice over {n:,} pairs of a programming task and a short program,
{tokens} tokens in the mean; {m} queries. Times are CPU times at 1 thread of one run each, in one process, one after
the other; *per 1,000 examples* is what was measured, times 1000/n, which is too little for the dual form (n²).
*Memory* is the largest resident memory above what was there before; a file that is mapped counts as it is touched.
*Exact*: Fisher's dual form over whole gradients, damping {damping:g} of the mean diagonal, the default. *Rank
correlation*: Spearman's over examples, mean over queries. *Reference DataInf*: written from its formula the way its
authors' scripts go about it, a pass for each example, a dictionary of matrices for each, loops over queries and
examples; single precision. *LiSSA*: one example a step, damping {lam:g}, λ in absolute terms; scale and steps as said.
Its time is that of {pace} steps times their number; its ranking is from a walk."""


@dataclass(frozen=True, eq=False)
class World:
    """What all sides share: the model with its adapter, examples, queries, and both's whole gradients."""

    model: Any
    examples: list[Example]
    asked: list[Example]
    g: Float[np.ndarray, "n p"]
    v: Float[np.ndarray, "m p"]

    @property
    def blocks(self) -> list[slice]:
        """The columns of every matrix."""
        return [block.columns for block in blocks_of(lora_factors(self.model))]


@contextmanager
def world(n: int, m: int) -> Iterator[World]:
    """Draw pairs and queries, train on all pairs, differentiate."""
    programs, rng = family("programs"), np.random.default_rng([90, 0])
    told = [(q, programs.sample(q, 1, rng=rng)[0]) for q in programs.questions(n, rng=rng)]
    held_out = programs.questions(m, rng=rng, split="held_out")
    with trained(told, range(n), seed=0) as (model, tokenizer), _lm.quiet():
        examples = examples_of([Record.of(q.text, [answer]) for q, answer in told], tokenizer)
        asked = examples_of([Record.of(q.text, programs.sample(q, 1, rng=rng)) for q in held_out], tokenizer)
        yield World(model, examples, asked, gradients_of(model, examples), gradients_of(model, asked))


@dataclass(frozen=True)
class Cost:
    """What a piece of work cost: CPU seconds, and the largest memory above what was there before, MB."""

    cpu: float
    mb: float | None


def costs(run: Callable[[], Any]) -> tuple[Any, Cost]:
    """Run, and measure. Where the system cannot forget its largest memory, that is None."""
    reset = Path("/proc/self/clear_refs")
    try:
        reset.write_text("5")  # Linux: the largest resident memory starts anew
        known = True
    except OSError:
        known = False
    before, begun = psutil.Process().memory_info().rss / 2**20, time.process_time()
    found = run()
    cpu = time.process_time() - begun
    from mrtlab.lab.provenance import peak_memory_mb

    return found, Cost(cpu, peak_memory_mb() - before if known else None)


# DataInf as the authors' scripts do it ------------------------------------------------------------------------------


def gradient_dicts(model: Any, some: Sequence[Example]) -> list[dict[str, torch.Tensor]]:
    """A pass for each example, a matrix for each name."""
    factors, found = lora_factors(model), []
    for factor in factors:
        factor.module.weight.requires_grad_(True)
    for example in some:
        batch = Padded.of([example], torch.device("cpu"))
        loss = batch.losses(batch.logits(model))[0]
        each = torch.autograd.grad(loss, [factor.module.weight for factor in factors])
        found.append({factor.name: g for factor, g in zip(factors, each, strict=True)})
    return found


def reference_datainf(
    told: Sequence[dict[str, torch.Tensor]], asked: Sequence[dict[str, torch.Tensor]]
) -> Float[np.ndarray, "n m"]:
    """Σ_matrices ⟨g_i, (1/nλ) Σ_j (v − ⟨g_j, v⟩/(λ + |g_j|²)·g_j)⟩ with λ = 0.1·mean(g²), pair by pair."""
    n, scores = len(told), np.zeros((len(told), len(asked)))
    lam = {name: DAMPING * sum(float((g[name] ** 2).mean()) for g in told) / n for name in told[0]}
    for m, v in enumerate(asked):
        bent = {name: torch.zeros_like(part) for name, part in v.items()}
        for g, name in itertools.product(told, bent):
            share = (g[name] * v[name]).sum() / (lam[name] + (g[name] ** 2).sum())
            bent[name] += (v[name] - share * g[name]) / (n * lam[name])
        for i, g in enumerate(told):
            scores[i, m] = sum(float((g[name] * bent[name]).sum()) for name in bent)
    return scores


# What it costs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Timed:
    """A line of the table of costs."""

    work: str
    cost: Cost
    grows: bool = True  # with the number of examples

    def cells(self, *, per: float, whole: float) -> list[str]:
        """The line as text."""
        seconds = self.cost.cpu * (per if self.grows else 1)
        mb = "–" if self.cost.mb is None else f"{max(self.cost.mb, 0):,.0f} MB"
        return [self.work, said_seconds(seconds), f"{seconds / whole:.3g}×", mb]


def said_seconds(seconds: float) -> str:
    """Seconds, or hours where there are many."""
    return f"{seconds:.3g} s" if seconds < 3600 else f"{seconds / 3600:.3g} h"


def timed(here: World, *, features: int) -> tuple[list[Timed], dict[str, np.ndarray]]:
    """Every side's cost, and the scores that came out.

    Raises:
        RuntimeError: ours and the reference DataInf, or both forms of Fisher, are not the same.
    """
    model, found, lines = here.model, {}, []

    def line(work: str, run: Callable[[], Any], name: str | None = None) -> Any:
        result, cost = costs(run)
        lines.append(Timed(work, cost))
        if name:
            found[name] = result
        return result

    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        line("the pass, every weight's gradient to a file", lambda: collect(model, here.examples, at / "whole"))
        line(
            f"the pass, {features:,} features to a file",
            lambda: collect(model, here.examples, at / "some", features=features),
        )
    g, v, blocks = here.g, here.v, here.blocks
    line("grad-dot, all queries", lambda: grad_dot(g, v), "grad-dot")
    line("cosine, all queries", lambda: cosine(g, v), "cosine")
    line("DataInf, all queries", lambda: datainf(g, v), "datainf")
    line("DataInf matrix by matrix, all queries", lambda: datainf(g, v, blocks=blocks), "datainf-blocks")
    line("Fisher, dual, all queries", lambda: fisher(g, v), "fisher")
    small, queries = projected_pair(here, PRIMAL_FEATURES)
    primal = line(f"Fisher, primal, {PRIMAL_FEATURES:,} features, all queries", lambda: fisher(small, queries))
    told = line("the reference's passes, one for each example", lambda: gradient_dicts(model, here.examples))
    asked = gradient_dicts(model, here.asked)
    line("the reference's DataInf, all queries", lambda: reference_datainf(told, asked), "reference")
    check(found["reference"], found["datainf-blocks"], "ours and the reference's DataInf", scale=SAME)
    check(primal, by_dual(gram(small), grad_dot(small, queries), lam_of(small)), "Fisher's two forms", scale=1e-6)
    _, pace = costs(lambda: [gauss_newton(model, here.examples[i : i + 1], v) for i in range(PACE)])
    for many, why in ((len(here.examples), "as many as examples"), (SPA_STEPS, "the paper's 120 × 500")):
        cost = Cost(pace.cpu / PACE * many, pace.mb)
        lines.append(Timed(f"LiSSA, {many:,} steps ({why}), all queries", cost, grows=many != SPA_STEPS))
    return lines, found


def check(a: np.ndarray, b: np.ndarray, what: str, *, scale: float) -> None:
    """Refuse what should be the same and is not."""
    apart = float(np.abs(a - b).max() / np.abs(b).max())
    if apart > scale:
        raise RuntimeError(f"{what} differ by {apart:.1e} of the largest score")


def projected_pair(here: World, features: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Examples' and queries' gradients in fewer numbers, by the very map that `collect` uses."""
    projection = project_for(here.model, features=features, seed=seed)
    parts = ([], [])
    for place, columns in enumerate(here.blocks):
        for kept, rows in zip(parts, (here.g, here.v), strict=True):
            kept.append(projection(place, torch.from_numpy(rows[:, columns])).numpy())
    return np.concatenate(parts[0], axis=1), np.concatenate(parts[1], axis=1)


# Whose ranking is near ----------------------------------------------------------------------------------------------


def lam_of(g: np.ndarray, damping: float = DAMPING) -> float:
    """λ for a damping relative to the mean diagonal."""
    return damping * float(np.mean(np.square(g, dtype=np.float64)))


def by_dual(k: np.ndarray, c: np.ndarray, lam: float) -> np.ndarray:
    """n·(K + nλI)⁻¹·C."""
    return len(k) * linalg.solve(k + len(k) * lam * np.eye(len(k)), c, assume_a="pos")


def walks(here: World, *, tiny: bool) -> dict[str, np.ndarray]:
    """LiSSA at the authors' scale, and at a small one, where it gets further."""
    found = {}
    for scale, depth in ((50.0, 2 if tiny else 2 * spa_lds.DEPTH), (spa_lds.SCALE, 2 if tiny else spa_lds.DEPTH)):
        settings = LissaSettings(scale=scale, depth=depth, damping=spa_lds.LISSA_DAMPING)
        bent = lissa(here.model, here.examples, here.v, settings=settings)
        found[f"LiSSA, scale {scale:g}, {depth} steps"] = grad_dot(here.g, bent)
    return found


def rankings(here: World, scores: dict[str, np.ndarray]) -> list[list[str]]:
    """Every ranking's correlation with exact Fisher's and with grad-dot's."""
    return [
        [name, f"{rank_correlation(some, scores['fisher']):.3f}", f"{rank_correlation(some, scores['grad-dot']):.3f}"]
        for name, some in scores.items()
    ]


def sweep(here: World, scores: dict[str, np.ndarray], *, features: Sequence[int]) -> list[list[str]]:
    """Damping by damping: what the ranking is like, and what projections leave of it."""
    k, c = gram(here.g), grad_dot(here.g, here.v)
    ready = [(gram(g), grad_dot(g, v)) for g, v in (projected_pair(here, f) for f in features)]
    rows = []
    for damping in DAMPINGS:
        lam = lam_of(here.g, damping)
        exact = by_dual(k, c, lam)
        kept = [rank_correlation(by_dual(*one, lam), exact) for one in ready]
        like = (rank_correlation(exact, scores["fisher"]), rank_correlation(exact, scores["grad-dot"]))
        rows.append([f"{damping:g}", f"{lam:.2g}", *(f"{r:.3f}" for r in (*like, *kept))])
    dots = [rank_correlation(c_f, scores["grad-dot"]) for _, c_f in ready]
    return [*rows, ["grad-dot", "∞", "–", "1.000", *(f"{r:.3f}" for r in dots)]]


def foretold() -> str:
    """What the scores are worth, from the artifact of `mrtlab run spa_lds`."""
    try:
        found = artifacts.load("spa_lds", "book")
    except artifacts.ArtifactMissing as missing:
        return f"**What the scores are worth.** Not measured yet: {missing}"
    shown = spa_lds.table(found.results)
    design = found.results["design"]
    said = (
        f"**What the scores are worth.** {shown.title} {design['pairs']} pairs, {design['queries']} queries, random "
        f"halves; 95 % intervals over {design['seeds']} seeds; artifact `spa_lds.book`. Who knew everything but luck "
        f"would reach about {max(found.results['ceiling']['twice']['mean'], 0) ** 0.5:.2f}, the root of the last line."
    )
    return f"{said}\n\n{_table(shown.columns, shown.rows)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print and write the section."""
    chosen = command_line().parse_args(argv)
    torch.set_num_threads(1)
    tiny, load = chosen.tiny, [os.getloadavg()[0]]
    n, m, features = (16, 2, (80, 160)) if tiny else (N, N_QUERIES, FEATURES)
    with world(n, m) as here:
        lines, scores = timed(here, features=features[1 if not tiny else 0])
        for one in lines:
            print(" | ".join(one.cells(per=1000 / n, whole=lines[0].cost.cpu * 1000 / n)), file=sys.stderr)
        scores |= walks(here, tiny=tiny)
        ranks, swept = rankings(here, scores), sweep(here, scores, features=features)
        tokens = np.mean([len(example) for example in here.examples])
        size = sum(p.numel() for name, p in here.model.named_parameters() if "lora_" not in name) / 1e6
        p = here.g.shape[1]
    load.append(os.getloadavg()[0])
    per = 1000 / n
    reading = READING.format(
        model=size, rank=spa_lds.RANK, p=p, n=n, m=m, tokens=f"{tokens:.0f}", damping=DAMPING,
        lam=spa_lds.LISSA_DAMPING, pace=PACE,
    )  # fmt: skip
    body = [
        "## SPA's influence: every query from one pass",
        PREDICTION,
        _table(
            ["work", "CPU time per 1,000 examples", "÷ the pass", "memory"],
            [one.cells(per=per, whole=lines[0].cost.cpu * per) for one in lines],
        ),
        _table(["scores", "rank correlation with exact Fisher", "with grad-dot"], ranks),
        _table(
            [
                "damping",
                "λ",
                "exact Fisher: like the default's",
                "like grad-dot",
                *(f"{f:,} features" for f in features),
            ],
            swept,
        ),
        reading,
        SWEPT,
        foretold(),
        bounds(lines, load),
    ]
    write_section(
        "spa_attribution",
        "\n\n".join(body),
        out=chosen.out,
        packages=("torch", "transformers", "peft"),
        cores="1 thread",
    )


SWEPT = """**Damping.** The third table compares exact Fisher at each damping with that at the default and with
grad-dot; the last columns say how well Fisher over projected gradients, at the same λ, ranks as Fisher over whole ones
does, and in the last line the same for grad-dot. Damping is relative to the mean over all weights, of which there are
far more than examples: until λ reaches what the examples' own directions curve, hundreds of times that mean, it
changes little. A projection to k numbers has a mean diagonal p/k times as large, so the same relative damping is a
larger λ there."""


def bounds(lines: Sequence[Timed], load: Sequence[float]) -> str:
    """What keeps the parts from being quicker."""
    cpu = {one.work.split(",")[0]: one.cost.cpu for one in lines}
    return (
        "**What bounds it.** The pass is a forward and a backward pass of the model over every example, see `spa_cpu`, "
        "and a file of 4·n·p bytes. Fisher's dual form is n²·p multiplications in double precision: "
        f"{cpu['Fisher'] / cpu['the pass']:.2g} times the pass here, and more the more examples there are; from some "
        "ten thousand on, project. DataInf and grad-dot read the gradients once or twice. LiSSA has to walk σ/λ steps "
        "for a direction that does not curve to feel λ, 50,000 at the authors' settings. Others used the machine: the "
        f"load was {load[0]:.1f} before and {load[1]:.1f} after, on {os.cpu_count()} cores."
    )


if __name__ == "__main__":
    main()
