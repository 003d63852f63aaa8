"""Who draws the answers of a synthetic set, and who judges them: a model, or a family whose truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.data.records import Prompt, prompt_text, short
from mrtlab.data.sandbox import RefusedError, parse_program
from mrtlab.data.tasks import Family, Question, family
from mrtlab.data.tasks.programs import Programs
from mrtlab.lm.sampling import Sampler, end_tokens, said, sample_ids
from mrtlab.spa.attribution import adapter_fingerprint, model_fingerprint
from mrtlab.spa.gradients import lora_factors
from mrtlab.spa.sift import Drawn, SynthesisSettings
from mrtlab.spa.synthesize import Source


def draw_from_model(model: Any, tokenizer: Any, *, name: str) -> Source:
    """Answers of a model, at the settings' temperature and top_p. One without its end is marked as not finished.

    Args:
        model, tokenizer: as `load_model` returns them, with or without an adapter.
        name: of the model, for the record. What tells it from another is a fingerprint of its weights.

    >>> from mrtlab.lm.models import load_model
    >>> source = draw_from_model(*load_model(device="cpu"), name="embedded")
    >>> few = SynthesisSettings(n=2, max_new_tokens=1)
    >>> [one.finished for one in source.draw("Write a story about a boat.", 0, few)]
    [False, False]
    """
    factors = lora_factors(model) if hasattr(model, "peft_config") else []
    about = {
        "model": name,
        "weights": model_fingerprint(model, factors),
        "adapter": adapter_fingerprint(factors) if factors else None,
    }

    def draw(prompt: Prompt, place: int, settings: SynthesisSettings) -> list[Drawn]:
        stops = set(end_tokens(model, tokenizer))
        [answers] = sample_ids(
            model,
            tokenizer,
            [prompt],
            n=settings.n,
            seed=_seed(settings.seed, place),
            sampler=Sampler(temperature=settings.temperature, top_p=settings.top_p),
            max_new_tokens=settings.max_new_tokens,
        )
        return [Drawn(said(tokenizer, ids, stops), finished=ids[-1] in stops) for ids in answers]

    return Source(about, draw)


def draw_from_teacher(questions: Sequence[Question]) -> Source:
    """Answers of the families' own truth, every right answer as likely as it should be.

    Args:
        questions: that the prompts are the texts of, such as `family("programs").questions(100, rng=rng)`, whose
            wordings are those of the train split.

    Raises:
        ValueError: two questions have one text. When drawing: a prompt is the text of none.

    >>> from mrtlab.data.tasks import family
    >>> [question] = family("choices").questions(1, rng=np.random.default_rng(0))
    >>> drawn = draw_from_teacher([question]).draw(question.text, 0, SynthesisSettings(n=50))
    >>> len(drawn), len({one.answer for one in drawn}) == len(family("choices").truth(question).answers)
    (50, True)
    """
    known = _by_text(questions)

    def draw(prompt: Prompt, place: int, settings: SynthesisSettings) -> list[Drawn]:
        question = _known(known, prompt)
        rng = np.random.default_rng(_seed(settings.seed, place))
        return [Drawn(answer) for answer in family(question.family).sample(question, settings.n, rng=rng)]

    return Source({"teacher": sorted({question.family for question in questions})}, draw)


@dataclass(frozen=True)
class Ruling:
    """A judge's word: whether an answer is right, and in a few words why not."""

    ok: bool
    detail: str = ""


class FamilyJudge:
    """Judges answers to the families' questions: programs are run, stories parsed, others looked up in the truth.

    Args:
        questions: that the prompts are the texts of.

    Attributes:
        about: the families' names, for the record.

    Raises:
        ValueError: two questions have one text. When judging: a prompt is the text of none.

    >>> question = Question("programs", "Write f(x) that returns twice x.", "random", ("double", "nothing"))
    >>> judge = FamilyJudge([question])
    >>> judge(question.text, "def f(x): return x + x").ok, judge(question.text, "def f(x): return x ** 2").detail
    (True, 'Pow is not allowed')
    >>> judge(question.text, "def f(x): return x * x").detail
    'f(-12) is 144, expected -24'
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        self._known = _by_text(questions)
        self.about = sorted({question.family for question in questions})

    def __call__(self, prompt: Prompt, answer: str) -> Ruling:
        """Judge one answer."""
        question = _known(self._known, prompt)
        found = family(question.family)
        return Ruling(True) if found.valid(question, answer) else Ruling(False, _why_not(found, question, answer))


def _why_not(found: Family, question: Question, answer: str) -> str:
    """What is wrong with a wrong answer."""
    if not isinstance(found, Programs):
        return f"not a right answer of the family {found.name}"
    try:
        program = parse_program(answer)
        for inputs, wanted in found.tests(question):
            got = program.run(*inputs)
            if type(got) is not type(wanted) or got != wanted:
                return f"f({', '.join(map(str, inputs))}) is {got}, expected {wanted}"
    except RefusedError as error:
        return str(error)
    raise AssertionError("a program that passes its tests is right")


def _by_text(questions: Sequence[Question]) -> dict[str, Question]:
    known = {question.text: question for question in questions}
    if len(known) < len(questions):
        raise ValueError(f"{len(questions)} questions have {len(known)} different texts: give each text once")
    return known


def _known(known: dict[str, Question], prompt: Prompt) -> Question:
    if prompt not in known:
        raise ValueError(f"{short(prompt_text(prompt))} is the text of none of the {len(known)} questions")
    return known[prompt]


def _seed(seed: int, place: int) -> int:
    """A seed for the prompt at a place: neighbours of one seed are strangers to those of the next."""
    return int(np.random.SeedSequence((seed % 2**63, place)).generate_state(1, np.uint64)[0] >> 1)
