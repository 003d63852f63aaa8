"""Chapter 8: K adapters on parts of a data set, and what their answers are worth beside those of one adapter.

One adapter is trained on all the data and differentiated. Then the data are parted by many rules (`spa_arms`), an
adapter is trained on each part for the same number of steps, and every adapter is asked the same held-out questions.
What an adapter says is kept word for word; programs are executed when it is summed up (`spa_adapters_summary`).

Cost: about 2.6 CPU-seconds an adapter and 5 a sitting of eight; at book scale, five seeds, about 100 CPU-minutes.
Design and numbers of steps come from a look at seed 0 with other queries, which showed the arms random, influence,
seeds and dealt at 64 and 128 steps.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrtlab.data.tasks import Question
from mrtlab.lab import subject
from mrtlab.lab.spa_data import DOMAINS, LENGTH, Pair, exam, fair, family_of
from mrtlab.lab.spa_world import BATCH, LR, RANK, World, adapted, records_of, world

MAIN = ("random", "lexical", "influence")
MORE = (
    *("influence-raw", "influence-even", "influence-dot", "influence-datainf", "influence-lissa"),
    *("rows", "gradients", "dealt"),
)
ELSEWHERE = (*MAIN, "gradients", "dealt")  # in the other domains
OVER_K = ("random", "influence")
LONE = ("one", "base", "asked")  # one model: the adapter on all data; none; none, and asked for a fair draw
BASELINE = ("seeds", "random", "lexical", "influence")  # what others are set beside
_RESAMPLED = 10
_GREEDY = (0.0,)
_AT_ONCE = 9  # arms in a cell: one world serves them all


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The arms of a scale.

    Attributes:
        domains: from "programs" on, which has every arm.
        k: adapters of an arm.
        ks: numbers of adapters beside it, for a few arms.
        hot: temperatures of several adapters; the paper goes from 0 to .5.
        one_at: temperatures of one adapter.
        seeds: of everything.
    """

    domains: tuple[str, ...] = DOMAINS
    k: int = 8
    ks: tuple[int, ...] = (2, 4, 12)
    hot: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5)
    one_at: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 1.0)
    seeds: int = 5

    def arms(self, domain: str) -> list[tuple[str, int, tuple[float, ...]]]:
        """(arm, K, temperatures) of a domain."""
        lone = [("one", self.k, self.one_at), ("base", self.k, (1.0,)), ("asked", self.k, (1.0,))]
        if domain != "programs":
            return [*lone, ("seeds", self.k, _GREEDY), *((arm, self.k, _GREEDY) for arm in ELSEWHERE)]
        arms = [(arm, self.k, self.hot if arm in (*MAIN, "dealt") else _GREEDY) for arm in (*MAIN, *MORE)]
        over_k = [(arm, k, _GREEDY) for arm in OVER_K for k in self.ks]
        return [*lone, ("seeds", max(self.k, *self.ks), self.hot), *arms, *over_k]


PLANS = {
    "smoke": Plan(domains=("programs", "choices"), k=2, ks=(3,), hot=(0.0, 0.5), one_at=(0.1, 1.0), seeds=2),
    "book": Plan(),
    "full": Plan(seeds=10),
}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm of one seed: K adapters and the temperatures at which they are asked."""

    domain: str
    arm: str
    k: int
    temperatures: tuple[float, ...]
    seed: int
    short: bool

    @property
    def key(self) -> str:
        """Such as "influence-k8"."""
        return f"{self.arm}-k{self.k}"


@dataclass(frozen=True, kw_only=True)
class AdaptersCell:
    """Some arms of one seed and domain, which share its world."""

    domain: str
    part: int
    arms: tuple[tuple[str, int, tuple[float, ...]], ...]
    seed: int
    short: bool
    weights: str

    @property
    def label(self) -> str:
        """Such as "programs-1-seed3"."""
        return f"{self.domain}-{self.part}-seed{self.seed}"

    def each(self) -> list[Arm]:
        """The arms, one by one."""
        return [
            Arm(domain=self.domain, arm=arm, k=k, temperatures=tuple(ts), seed=self.seed, short=self.short)
            for arm, k, ts in self.arms
        ]


def cells(scale: str) -> Sequence[AdaptersCell]:
    """Seed by seed and domain by domain."""
    plan, found = PLANS[scale], []
    for seed in range(plan.seeds):
        for domain in plan.domains:
            arms = plan.arms(domain)
            for part, start in enumerate(range(0, len(arms), _AT_ONCE)):
                some = tuple(arms[start : start + _AT_ONCE])
                found.append(
                    AdaptersCell(
                        domain=domain,
                        part=part,
                        arms=some,
                        seed=seed,
                        short=scale == "smoke",
                        weights=subject.fingerprint(),
                    )
                )
    return found


def run_cell(cell: AdaptersCell) -> dict[str, Any]:
    """{arm's key: what `run_arm` finds}."""
    return {arm.key: run_arm(arm) for arm in cell.each()}


def run_arm(cell: Arm) -> dict[str, Any]:
    """Train the arm's adapters and ask.

    Returns:
        answers: {temperature: [[K answers] for each question of the exam]};
        part: of every pair, where there are parts; stability: of the arm "influence" at its main K;
        kl: (K, K) nats per token between adapters, where there are some, on one right answer to each question of the
        exam, drawn from the even truth.
    """
    from mrtlab.lab.spa_arms import parted
    from mrtlab.spa.adapters import AdaptSettings, adapter_name, load_adapters, train_adapters
    from mrtlab.spa.diversity import adapter_kl
    from mrtlab.spa.gradients import examples_of

    made = world(cell.domain, cell.seed, cell.short)
    asked = exam(cell.domain, seed=cell.seed, short=cell.short)
    model, tokenizer = subject.load()
    if cell.arm in ("base", "asked"):
        questions = fair(cell.domain, asked, seed=cell.seed) if cell.arm == "asked" else asked
        return {"answers": {str(t): _alone(model, tokenizer, questions, cell, t) for t in cell.temperatures}}
    if cell.arm == "one":
        with adapted(made.adapter) as (model, tokenizer):
            return {"answers": {str(t): _alone(model, tokenizer, asked, cell, t) for t in cell.temperatures}}
    found: dict[str, Any] = {}
    sets = [made.records] * cell.k
    if cell.arm != "seeds":
        parts = parted(cell.arm, made, cell.k, seed=cell.seed)
        found["part"] = parts.part.tolist()
        sets = [[made.records[i] for i in some] for some in parts.members() if len(some)]
    if cell.arm == "influence" and len(cell.temperatures) > 1:
        found["stability"] = _stability(made, cell).tolist()
    settings = AdaptSettings(steps=made.sizes.steps, batch_prompts=BATCH, lora_rank=RANK, lr=LR, seed=1000 * cell.seed)
    with tempfile.TemporaryDirectory() as folder:
        folders = train_adapters(model, tokenizer, sets, Path(folder) / "part", base=subject.name(), settings=settings)
        model = load_adapters(model, folders)
    names = [adapter_name(one) for one in folders]
    texts = examples_of(records_of(_right(cell.domain, asked, cell.seed)), tokenizer)
    found["kl"] = np.round(adapter_kl(model, texts, adapters=names), 6).tolist()
    found["answers"] = {str(t): _together(model, tokenizer, asked, names, cell, t) for t in cell.temperatures}
    return found


def _stability(made: World, cell: Arm) -> Any:
    """Agreement of parts with those that four fifths of the pairs would give."""
    from mrtlab.lab.spa_arms import influence_of_some
    from mrtlab.spa.partition import stability

    def make(kept: np.ndarray) -> Any:
        return influence_of_some(made, cell.k, kept)

    return stability(make, len(made.data), rng=np.random.default_rng([87, cell.seed]), draws=_RESAMPLED)


def _alone(model: Any, tokenizer: Any, asked: Sequence[Question], cell: Arm, t: float) -> list[list[str]]:
    """K draws of one model."""
    from mrtlab.lm.sampling import Sampler, sample

    prompts = [question.text for question in asked]
    return [
        list(some)
        for some in sample(
            model, tokenizer, prompts, n=cell.k, seed=cell.seed, sampler=Sampler(temperature=t), max_new_tokens=LENGTH
        )
    ]


def _together(
    model: Any, tokenizer: Any, asked: Sequence[Question], names: Sequence[str], cell: Arm, t: float
) -> list[list[str]]:
    """One draw of each adapter."""
    from mrtlab.lm.sampling import Sampler
    from mrtlab.spa.stacked import sample_each

    prompts = [question.text for question in asked]
    found = sample_each(
        model, tokenizer, prompts, adapters=names, seed=cell.seed, sampler=Sampler(temperature=t), max_new_tokens=LENGTH
    )
    return [[answer for (answer,) in some] for some in found]


def _right(domain: str, asked: Sequence[Question], seed: int) -> list[Pair]:
    """One right answer to each question, from the even truth: the text on which adapters are compared."""
    rng = np.random.default_rng([85, seed])
    return [Pair(question, family_of(domain).sample(question, 1, rng=rng)[0]) for question in asked]


def judged(cell: Arm, answers: Sequence[Sequence[str]]) -> list[list[bool]]:
    """Which answers are right: programs are executed, stories parsed, choices looked up."""
    asked = exam(cell.domain, seed=cell.seed, short=cell.short)
    valid = family_of(cell.domain).valid
    return [[valid(question, answer) for answer in some] for question, some in zip(asked, answers, strict=True)]
