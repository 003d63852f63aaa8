"""The work of a training run: which trees every step holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.data.records import Record
from mrtlab.lm.tree import TokenTree
from mrtlab.training.fine_tune import Settings, fitting, split
from mrtlab.training.groups import GroupBatches, Groups


@dataclass(frozen=True, eq=False)
class Job:
    """The work of a run.

    Attributes:
        steps: the trees of every step of one epoch.
        epochs: how often they come.
        parts: into how many forward and backward passes a step is cut.
    """

    steps: Sequence[Sequence[TokenTree]]
    epochs: int = 1
    parts: int = 1

    def passes(self) -> list[Sequence[TokenTree]]:
        """The trees of every forward pass of an epoch."""
        cuts = [(step, min(self.parts, len(step))) for step in self.steps]
        return [step[len(step) * i // n : len(step) * (i + 1) // n] for step, n in cuts for i in range(n)]


def job_of(config: Any, tokenizer: Any, records: Sequence[Record], settings: Settings) -> Job:
    """The steps of a run: its first epoch's draws, in batches as the trainer makes them.

    Raises:
        ValueError: no response fits.
    """
    limit = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    longest = min((n for n in (settings.max_length, limit) if n is not None), default=None)
    usable, _ = fitting(records, tokenizer, longest)
    if not usable:
        raise ValueError(f"no response fits into {longest} tokens with its prompt: shorten them, or raise max_length")
    train, _ = split(usable, share=settings.eval_share, seed=settings.seed)
    groups = Groups(
        train, tokenizer, choice=settings.choice, redraw=settings.redraw, seed=settings.seed, max_length=longest
    )
    batches = GroupBatches(groups, step=settings.batch_prompts, seed=settings.seed)
    return Job([[groups[i].tree for i in step] for step in batches.steps()], settings.epochs, settings.accumulate)


def star_job(
    prompt: int, response: int, k: int, *, vocabulary: int, prompts: int, batch: int, epochs: int = 1, parts: int = 1
) -> Job:
    """A job of equal trees whose answers share nothing: prompts of P tokens with K answers of R tokens.

    >>> job = star_job(5, 3, 2, vocabulary=100, prompts=4, batch=2)
    >>> len(job.steps), job.steps[0][0].n_fed  # the answers' last tokens are not fed
    (2, 9)
    """
    rng = np.random.default_rng(0)
    firsts = rng.permutation(vocabulary)[:k] if k <= vocabulary else rng.integers(vocabulary, size=k)
    rest = rng.integers(vocabulary, size=(k, response - 1))
    answers = list(np.concatenate([firsts[:, None], rest], axis=1))
    tree = TokenTree.build(rng.integers(vocabulary, size=prompt), answers)
    full, last = divmod(prompts, batch)
    return Job([[tree] * batch] * full + ([[tree] * last] if last else []), epochs, parts)
