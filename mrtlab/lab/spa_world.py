"""One seed of one domain of chapter 8: its data, the adapter that is differentiated, and all scores."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mrtlab.data.records import Record
from mrtlab.lab import subject
from mrtlab.lab.spa_data import Pair, draw_by, pairs, queries

RANK = 8
LR = 2e-3  # of adapters on parts; a first look at seed 0 took it over half as much
BATCH = 4
STEPS = 48  # of every adapter: 192 examples seen, three times a part of 64; the paper's see theirs 2.6 times
BASE_STEPS = 256  # of the one adapter on all data, which is differentiated: two passes over 512
N = 512
_SHORT = (24, 1, 2, 3)  # pairs, steps, base steps and LiSSA's steps of the small form
LISSA_DEPTH, LISSA_BATCH = 60, 8  # 60 steps over 8 examples each; the paper's 120 x 500 over one
METHODS = ("grad-dot", "cosine", "datainf", "fisher")  # scores from one gradient pass


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    n: int = N
    steps: int = STEPS
    base_steps: int = BASE_STEPS
    lissa_depth: int = LISSA_DEPTH

    @classmethod
    def of(cls, *, short: bool) -> "Sizes":
        """The book's, or a few, to see that everything works."""
        return cls(*_SHORT) if short else cls()


@dataclass(frozen=True, eq=False)
class World:
    """Everything of one domain and seed that its arms share.

    Attributes:
        sizes: how much of everything.
        data: the pairs.
        asked: the twelve queries.
        gradients: (n, p) of the pairs, at the adapter trained on all of them.
        targets: (12, p) of the queries.
        adapter: the files of that adapter, {name: bytes}.
    """

    sizes: Sizes
    data: list[Pair]
    asked: list[Pair]
    gradients: Float[np.ndarray, "n p"]
    targets: Float[np.ndarray, "m p"]
    adapter: dict[str, bytes]

    @property
    def records(self) -> list[Record]:
        """The pairs as records."""
        return records_of(self.data)

    @cached_property
    def scores(self) -> dict[str, Float[np.ndarray, "n m"]]:
        """Helpfulness of every pair for every query, by each method, from the one gradient pass."""
        from mrtlab.spa.influence import cosine, datainf, fisher, grad_dot

        ways = {"grad-dot": grad_dot, "cosine": cosine, "datainf": datainf, "fisher": fisher}
        return {name: ways[name](self.gradients, self.targets) for name in METHODS}

    def kept(self, k: int) -> Int[np.ndarray, "k"]:
        """The k queries whose columns of Fisher scores are widest, as in the paper; the same for every method."""
        from mrtlab.spa.influence import most_varied

        return most_varied(self.scores["fisher"], k)

    def columns(self, method: str, k: int) -> Float[np.ndarray, "n k"]:
        """Scores of the kept queries, not normalised."""
        return self.scores[method][:, self.kept(k)]


def records_of(some: Sequence[Pair]) -> list[Record]:
    """Pairs as records of one response each."""
    return [Record.of(pair.question.text, [pair.answer]) for pair in some]


@lru_cache(maxsize=1)
def world(domain: str, seed: int, short: bool = False) -> World:
    """Draw the data, train on all of it, differentiate once. Cells of one seed come one after another and share it."""
    from mrtlab.spa.adapters import AdaptSettings, train_adapters
    from mrtlab.spa.gradients import examples_of, gradients_of

    sizes = Sizes.of(short=short)
    model, tokenizer = subject.load()

    data = pairs(domain, sizes.n, seed=seed, draw=draw_by(model, tokenizer))
    asked = queries(domain, seed=seed)
    settings = AdaptSettings(steps=sizes.base_steps, batch_prompts=BATCH, lora_rank=RANK, lr=LR, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        [made] = train_adapters(
            model, tokenizer, [records_of(data)], Path(folder) / "all", base=subject.name(), settings=settings
        )
        files = {file.name: file.read_bytes() for file in made.iterdir() if file.is_file()}
    with adapted(files) as (model, tokenizer):
        gradients = gradients_of(model, examples_of(records_of(data), tokenizer))
        targets = gradients_of(model, examples_of(records_of(asked), tokenizer))
    return World(sizes, data, asked, gradients, targets, files)


@contextmanager
def adapted(files: dict[str, bytes]) -> Iterator[tuple[Any, Any]]:
    """The embedded model with an adapter, given by its files, and the tokenizer."""
    from mrtlab.spa.adapters import adapter_name, load_adapters

    model, tokenizer = subject.load()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "all"
        home.mkdir()
        for name, content in files.items():
            (home / name).write_bytes(content)
        model = load_adapters(model, [home])
        model.set_adapter(adapter_name(home))
        yield model, tokenizer


def lissa_columns(made: World, k: int, *, seed: int) -> Float[np.ndarray, "n k"]:
    """Scores of the kept queries as the paper has them: LiSSA with Gauss-Newton products.

    The walk starts with σ four times the largest eigenvalue of the empirical Fisher matrix, and with twice as much
    whenever it runs away; λ is what the other methods take.
    """
    from mrtlab.spa.gradients import examples_of
    from mrtlab.spa.influence import DAMPING, grad_dot, gram
    from mrtlab.spa.lissa import LissaSettings, lissa

    scale = 4 * float(np.linalg.eigvalsh(gram(made.gradients))[-1]) / len(made.data)
    damping = DAMPING * float(np.square(made.gradients, dtype=np.float64).mean())
    with adapted(made.adapter) as (model, tokenizer):
        examples = examples_of(made.records, tokenizer)
        while True:
            settings = LissaSettings(
                damping=damping, scale=scale, depth=made.sizes.lissa_depth, batch=LISSA_BATCH, seed=seed
            )
            try:
                walked = lissa(model, examples, made.targets[made.kept(k)], settings=settings)
            except ValueError:  # it ran away
                scale *= 2
            else:
                return grad_dot(made.gradients, walked)
