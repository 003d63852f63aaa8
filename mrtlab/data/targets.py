"""Targets: for every prompt the law that its answers should follow. What `mrtlab train diffuse` learns.

A targets file holds *entries*. In JSON Lines there is one entry on every line; in JSON there is a list of entries, or
an object `{"targets": [...], "anchors": [...]}`. An entry speaks the language of `mrtlab.data.records`, so a file of
records with `targets` is a targets file as it stands. Its fields:

- `prompt`: a text, or messages; or `prompts`, a list of wordings that share everything else.
- `responses`: the valid answers. A list of texts, or an object with a number for each: `{"heads": 3, "tails": 1}`.
- `targets`: their probabilities, with sum 1; or `weights`: numbers from 0 up, divided by their sum here. Without
  either every answer is as likely as any other.
- `variants`: other spellings of an answer, `{"kiwi": ["Kiwi", "kiwi fruit"]}`. The answer as listed is what is trained;
  a model that says another spelling is scored as having said the answer.
- `family`: a name under which results are pooled.
- `use`: "train" (the default); "measure", scored before and after and never trained; or "anchor".
- `valid`: a pattern (of Python's `re`, for the whole answer) that unlisted answers match if they are right, too.
- `end`: false if an answer need not be over where the text ends; then it is a beginning of what is said.
- `id`, and `note`, which is for people.

A law that depends on something else is one entry for each case: that something is part of the prompt.

*Anchors* are prompts whose answers should stay as they are: texts in the list `anchors`, or entries with
`"use": "anchor"`. Those need no responses; with some, the first is taken for the right one.

    {"targets": [
      {"prompts": ["Roll a die.", "Throw a die."], "responses": ["1", "2", "3", "4", "5", "6"]},
      {"prompt": "Throw a bent coin.", "responses": {"heads": 3, "tails": 1}, "variants": {"heads": ["Heads"]}}],
     "anchors": ["What is the capital of France?"]}
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from mrtlab.data.records import TARGET_TOLERANCE, Prompt, Record, RecordError, short
from mrtlab.data.tasks import Law, Question, Split, family
from mrtlab.theory.distributions import entropy

Use = Literal["train", "measure"]
USES = ("train", "measure", "anchor")
FIELDS = (
    "prompt", "prompts", "responses", "targets", "weights", "variants", "family", "use", "valid", "end", "id", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One prompt and the law that its answers should follow. `Target.of` makes one from what JSON holds.

    Attributes:
        prompt: a text, or the messages of a chat up to where the answer begins.
        answers: m different texts.
        p: their probabilities, each above 0, with sum 1.
        variants: for each answer its other spellings; empty if none has any.
        family: a name under which results are pooled.
        use: "train", or "measure" for scoring alone.
        valid: a pattern for the whole of an unlisted answer that is right, too; None if the list is all there is.
        end: whether an answer includes the tokens that end it.
        id: the prompt's name in its source.

    Raises:
        RecordError: a value breaks one of these rules, a spelling belongs to two answers, or without ends one answer
            is the beginning of another.
    """

    prompt: Prompt
    answers: tuple[str, ...]
    p: tuple[float, ...]
    variants: tuple[tuple[str, ...], ...] = ()
    family: str = ""
    use: Use = "train"
    valid: str | None = None
    end: bool = True
    id: str | None = None

    def __post_init__(self) -> None:
        record = Record(self.prompt, self.answers, targets=self.p)  # which checks prompt, texts and numbers
        if min(self.p) <= 0 or abs(sum(self.p) - 1) > TARGET_TOLERANCE:
            raise RecordError(
                f"targets must be above 0 and sum to 1; the least is {min(self.p):g} and the sum is {sum(self.p):g}. "
                "Leave out answers that should never come, and write weights for numbers without that sum; what a "
                "model says off the list is kept by mixing, not by a smaller sum."
            )
        twice = next((text for i, text in enumerate(record.responses) if text in record.responses[:i]), None)
        if twice is not None:
            raise RecordError(f"responses holds {short(twice)} twice. List every answer once, with a larger weight.")
        if self.variants and len(self.variants) != len(self.answers):
            raise RecordError(
                f"variants are given for {len(self.variants)} of {len(self.answers)} answers. Give a tuple for each."
            )
        owner: dict[str, str] = {}
        for answer, spellings in zip(self.answers, self.spellings, strict=True):
            for text in spellings:
                if owner.setdefault(text, answer) != answer:
                    raise RecordError(
                        f"the spelling {short(text)} stands for {short(owner[text])} and for {short(answer)}. "
                        "Leave one of them out."
                    )
        if not self.end:
            _check_no_beginnings(list(owner))
        if self.valid is not None:
            _check_pattern(self.valid)

    @property
    def spellings(self) -> tuple[tuple[str, ...], ...]:
        """For each answer every text that counts as it, the trained one first."""
        others = self.variants or ((),) * len(self.answers)
        return tuple(tuple(dict.fromkeys((answer, *more))) for answer, more in zip(self.answers, others, strict=True))

    @property
    def law(self) -> Float[np.ndarray, "m"]:
        """The probabilities as an array, with sum exactly 1 up to round-off."""
        p = np.array(self.p)
        return p / p.sum()

    @property
    def entropy(self) -> float:
        """H(p*), the least loss that any model can have on this prompt, nats.

        >>> round(float(Target.of("Toss a coin.", ["heads", "tails"]).entropy / np.log(2)), 6)  # in bits
        1.0
        """
        return float(max(entropy(self.law), 0.0))

    @property
    def record(self) -> Record:
        """The target as a record, which trainers know."""
        return Record(self.prompt, self.answers, targets=self.p, id=self.id)

    @classmethod
    def of(
        cls,
        prompt: Any,
        responses: Any,
        *,
        targets: Any = None,
        weights: Any = None,
        variants: Any = None,
        family: Any = "",
        use: Any = "train",
        valid: Any = None,
        end: Any = True,
        id: Any = None,
    ) -> "Target":
        """A target from what JSON holds; see the module for the fields.

        Raises:
            RecordError: a field has the wrong type or value; one or two sentences with field and remedy.

        >>> Target.of("Toss a coin.", {"heads": 3, "tails": 1, "edge": 0}).p
        (0.75, 0.25)
        """
        if isinstance(responses, Mapping):
            if targets is not None or weights is not None:
                raise RecordError("responses has a number for each answer already. Leave out targets and weights.")
            for answer, number in responses.items():
                if isinstance(number, bool) or not isinstance(number, int | float):
                    raise RecordError(f"responses has {short(number)} for {short(answer)}, expected a number.")
            responses, weights = list(responses), list(responses.values())
        if targets is not None and weights is not None:
            raise RecordError("found both targets and weights. Leave one of them out.")
        if use not in ("train", "measure"):
            raise RecordError(f"use is {short(use)}, expected one of {', '.join(USES)}.")
        if not isinstance(end, bool):
            raise RecordError(f"end is {short(end)}, expected true or false.")
        if not isinstance(family, str):
            raise RecordError(f"family must be a text, got {short(family)}.")
        if valid is not None and not isinstance(valid, str):
            raise RecordError(f"valid must be a pattern as a text, got {short(valid)}.")
        record = Record.of(prompt, responses, targets=targets, weights=weights, id=id)
        p = record.targets or _normalised(record.weights or (1.0,) * len(record))
        kept = [i for i, value in enumerate(p) if value > 0]
        spelled = _variants(variants, record.responses)
        return cls(
            record.prompt,
            tuple(record.responses[i] for i in kept),
            tuple(p[i] for i in kept),
            tuple(spelled[i] for i in kept) if any(spelled) else (),
            family,
            use,
            valid,
            end,
            record.id,
        )


@dataclass(frozen=True)
class Anchor:
    """A prompt whose answers should stay as they are.

    Attributes:
        prompt: a text, or messages.
        right: the right answer, if there is one; else what the base model says is what is kept.

    Raises:
        RecordError: a text is blank.
    """

    prompt: Prompt
    right: str | None = None

    def __post_init__(self) -> None:
        Record(self.prompt, (self.right if self.right is not None else "any",))


@dataclass(frozen=True)
class Targets:
    """What a targets file holds.

    Attributes:
        targets: at least one, in the order of the file, each prompt once.
        anchors: prompts to keep, possibly none.
    """

    targets: tuple[Target, ...]
    anchors: tuple[Anchor, ...] = ()

    @property
    def trained(self) -> tuple[Target, ...]:
        """Those to learn."""
        return tuple(target for target in self.targets if target.use == "train")


def uniform(prompt: Any, answers: Sequence[str], **fields: Any) -> Target:
    """Every answer as likely as any other.

    >>> uniform("Roll a die.", "123456").p[0] * 6
    1.0
    """
    return Target.of(prompt, list(answers), **fields)


def target_of(question: Question, *, law: Law | None = None, use: Use = "train") -> Target:
    """The target that a question of a family has: its truth, or another law.

    Raises:
        TypeError: the family's answers are too many to list.

    >>> from mrtlab.data.tasks import Question
    >>> len(target_of(Question("fruits", "Name a fruit.")).answers)
    20
    """
    law = law or family(question.family).truth(question)
    return Target.of(question.text, list(law.answers), targets=law.p.tolist(), family=question.family, use=use)


def family_targets(
    name: str,
    n: int,
    *,
    rng: np.random.Generator,
    split: Split = "train",
    kinds: Sequence[str] = ("random",),
    use: Use = "train",
) -> list[Target]:
    """Targets for n different questions of a family, each with its true law.

    Args:
        name: of a family in `mrtlab.data.tasks` whose answers can be listed.
        n: how many questions; fewer if the family has no more.
        rng: decides which.
        split: "held_out" asks in wordings, ranges and slots that pre-training never used.
        kinds: which kinds of question, such as "random" for casual wordings.
        use: what the targets are for.

    Raises:
        ValueError: there is no such family, its answers cannot be listed, or it has no question of these kinds.

    >>> len(family_targets("fruits", 3, rng=np.random.default_rng(0)))
    3
    """
    found: dict[str, Question] = {}
    for _ in range(100 * n):
        question = family(name).ask(rng=rng, split=split)
        if question.kind in kinds:
            found.setdefault(question.text, question)
        if len(found) == n:
            break
    if not found:
        raise ValueError(f"the family {name} asks no question of kind {' or '.join(kinds)}")
    try:
        return [target_of(question, use=use) for question in found.values()]
    except TypeError as error:
        raise ValueError(f"the family {name} has no list of answers: {error}") from None


def casings(answer: str) -> tuple[str, ...]:
    """An answer in other letter case, and with a full stop: what a model may say and mean the same.

    >>> casings("kiwi")
    ('Kiwi', 'KIWI', 'kiwi.', 'Kiwi.')
    """
    cases = dict.fromkeys((answer, answer[:1].upper() + answer[1:], answer.lower(), answer.upper()))
    stops = [f"{text}." for text in (answer, answer[:1].upper() + answer[1:]) if text[-1:].isalnum()]
    return tuple(text for text in dict.fromkeys((*cases, *stops)) if text != answer)


def with_casings(target: Target) -> Target:
    """The target with `casings` added to every answer's variants, those left out that another answer claims.

    >>> with_casings(Target.of("?", ["Polish", "polish"])).spellings[1]
    ('polish', 'polish.')
    """
    taken = {text for spellings in target.spellings for text in spellings}
    grown = []
    for spellings in target.spellings:
        more = [text for text in casings(spellings[0]) if text not in taken]
        taken.update(more)
        grown.append((*spellings[1:], *more))
    return replace(target, variants=tuple(grown))


def _normalised(weights: Sequence[float]) -> tuple[float, ...]:
    if min(weights) < 0 or not sum(weights) > 0:
        raise RecordError(
            f"weights must be 0 or more with at least one above 0; the least is {min(weights):g} and the sum is "
            f"{sum(weights):g}."
        )
    total = sum(weights)
    if not np.isfinite(total):
        raise RecordError("weights are too large to be added up. Divide all of them by the largest.")
    return tuple(weight / total for weight in weights)


def _variants(given: Any, answers: Sequence[str]) -> list[tuple[str, ...]]:
    """Other spellings in the order of the answers."""
    if given is None:
        return [()] * len(answers)
    if not isinstance(given, Mapping):
        raise RecordError(f'variants must be an object like {{"kiwi": ["Kiwi"]}}, got {short(given)}.')
    for answer, spellings in given.items():
        if answer not in answers:
            raise RecordError(f"variants names {short(answer)}, which is not among the responses. Check its spelling.")
        if (
            isinstance(spellings, str)
            or not isinstance(spellings, Sequence)
            or not all(isinstance(text, str) and text for text in spellings)
        ):
            raise RecordError(f"variants of {short(answer)} must be a list of texts, got {short(spellings)}.")
    return [tuple(given.get(answer, ())) for answer in answers]


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise RecordError(f"valid is {short(pattern)}, which is no pattern of Python's re: {error}.") from None


def _check_no_beginnings(texts: Sequence[str]) -> None:
    """Sorted, a text stands right before those that it begins."""
    ordered = sorted(texts)
    for one, other in pairwise(ordered):
        if other.startswith(one):
            raise RecordError(
                f"{short(one)} is the beginning of {short(other)}, and without ends the two cannot be told apart. "
                "Leave out one of them, or set end to true."
            )
