"""Targets that leave the base model some of its own ways: p*_λ = (1 − λ)·p* + λ·(base, restricted to valid answers).

A hand-written list is rarely all of the right answers, and a target that gives the others nothing teaches the model
never to say them. Mixing keeps a share λ for what the base model would say, as far as it is right.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mrtlab.data.targets import Target
from mrtlab.lm.listed import shape_of
from mrtlab.lm.sampling import sample
from mrtlab.training.aimed import aim


def mix(
    model: Any,
    tokenizer: Any,
    targets: Sequence[Target],
    *,
    share: float,
    draws: int,
    seed: int,
    max_new_tokens: int = 48,
) -> list[Target]:
    """Every target mixed with the base model's own law on valid answers.

    Valid are the listed answers, and, where a target has a pattern `valid`, those of the base model's draws that
    match it. On this finite set S the base's exact probabilities are scaled to sum to 1:

        p*_λ(y) = (1 − λ)·p*(y) + λ·p_base(y) / p_base(S).

    Valid answers that were not drawn get nothing; more draws leave fewer of them.

    Args:
        model, tokenizer: the base, as `load_model` returns them, or with a fresh adapter on it.
        targets: what is wanted.
        share: λ, from 0 to below 1; 0 gives the targets back.
        draws: answers drawn for a target that has a pattern.
        seed: of the draws.
        max_new_tokens: of a drawn answer; one that is longer is no answer.

    Returns:
        targets with the listed answers first, then the new ones, most probable first.

    Raises:
        ValueError: λ out of range.

    Source: one of the two remedies of our notes on Zhang et al. (section 8, item 18); not part of the paper.
    """
    if not 0 <= share < 1:
        raise ValueError(f"mix must be 0 or more and below 1, got {share:g}")
    if share == 0:
        return list(targets)
    wider = [_wider(model, tokenizer, target, draws, seed, max_new_tokens) for target in targets]
    return [
        _mixed(target, answers, shape_of(law.trained), share)
        for target, answers, law in zip(
            targets,
            wider,
            aim(model, tokenizer, [_even(t, a) for t, a in zip(targets, wider, strict=True)]),
            strict=True,
        )
    ]


def _wider(model: Any, tokenizer: Any, target: Target, draws: int, seed: int, longest: int) -> list[str]:
    """The listed answers and the valid ones among draws."""
    if target.valid is None or not draws:
        return list(target.answers)
    listed = {text for spellings in target.spellings for text in spellings}
    said = sample(model, tokenizer, [target.prompt], n=draws, seed=seed, max_new_tokens=longest)[0]
    fits = re.compile(target.valid).fullmatch
    new = {text for text in map(str.strip, said) if text and text not in listed and fits(text)}
    return [*target.answers, *sorted(new)]


def _even(target: Target, answers: Sequence[str]) -> Target:
    """The set of answers as a target, to be scored."""
    return Target.of(target.prompt, list(answers), end=target.end)


def _mixed(target: Target, answers: Sequence[str], base: np.ndarray, share: float) -> Target:
    m = len(target.answers)
    order = [*range(m), *(m + np.argsort(-base[m:], kind="stable"))]
    p = share * base
    p[:m] += (1 - share) * target.law
    none: list[tuple[str, ...]] = [()] * (len(answers) - m)
    variants = (*target.variants, *none) if target.variants else ()
    return replace(
        target, answers=tuple(answers[i] for i in order), p=tuple(float(p[i]) for i in order), variants=variants
    )
