"""What a set of records holds: how many responses, how different, how long, and what to mind before training on it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mrtlab.data.dedup import normalise
from mrtlab.data.records import TARGET_TOLERANCE, Record, prompt_text
from mrtlab.theory.metrics import distinct_n, self_bleu, unique_share

_REPEATS_WORTH_A_NOTE = 0.05  # share of responses that repeat another
_LONG = 20  # times the median length


@dataclass(frozen=True)
class Diversity:
    """How different the responses to one prompt are.

    Attributes:
        responses: how many there are.
        unique: share of different responses; letter case and white space do not count.
        distinct_1: share of different words among all their words.
        distinct_2: the same of pairs of neighbouring words; None if no response has two words.
        self_bleu: mean BLEU-4 of each response against the others, 1 if all say the same; None for one response.
        words: mean length of a response in words, split at white space.
    """

    responses: int
    unique: float
    distinct_1: float
    distinct_2: float | None
    self_bleu: float | None
    words: float


@dataclass(frozen=True)
class Spread:
    """How some numbers are spread: the least, the median, the 95th percentile and the greatest."""

    least: float
    median: float
    p95: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Of at least one number.

        >>> Spread.of([3, 1, 2])
        Spread(least=1.0, median=2.0, p95=2.9, most=3.0)
        """
        least, median, p95, most = np.quantile([*values], [0, 0.5, 0.95, 1])
        return cls(float(least), float(median), float(p95), float(most))


@dataclass(frozen=True)
class Description:
    """A set of records in numbers. Diversity is a mean over the prompts with two responses or more.

    Attributes:
        prompts: how many records.
        responses: how many responses in all.
        per_prompt: responses per prompt.
        single: prompts with one response.
        chats: prompts that are messages.
        repeated_prompts: prompts that came before; letter case and white space do not count.
        repeats: share of responses that repeat an earlier one to their prompt, counted likewise.
        distinct_1, distinct_2, self_bleu: see `Diversity`; None if no prompt has two responses (of two words).
        prompt_characters: length of the prompts.
        response_characters: length of the responses.
        response_words: length of the responses in words, split at white space.
        scored, weighted, with_targets, with_pairs: prompts that have these fields.
        tied: prompts with scores that are all equal, among those with two responses or more.
        short_targets: prompts whose targets sum to less than 1.
        score: the scores; None if there are none.
    """

    prompts: int
    responses: int
    per_prompt: Spread
    single: int
    chats: int
    repeated_prompts: int
    repeats: float
    distinct_1: float | None
    distinct_2: float | None
    self_bleu: float | None
    prompt_characters: Spread
    response_characters: Spread
    response_words: Spread
    scored: int
    weighted: int
    with_targets: int
    with_pairs: int
    tied: int
    short_targets: int
    score: Spread | None

    def rows(self) -> list[tuple[str, str]]:
        """Label and value of each line of a table for people; what is not there is left out."""
        counts = [("prompts", self.prompts), ("of them chats", self.chats), ("responses", self.responses)]
        lengths = [
            ("responses per prompt", self.per_prompt),
            ("prompt length, characters", self.prompt_characters),
            ("response length, characters", self.response_characters),
            ("response length, words", self.response_words),
            ("scores", self.score),
        ]
        shares = [
            ("responses that repeat another", self.repeats),
            ("different words (distinct-1)", self.distinct_1),
            ("different word pairs (distinct-2)", self.distinct_2),
            ("self-BLEU (1: all say the same)", self.self_bleu),
        ]
        fields = [
            ("prompts with scores", self.scored),
            ("prompts with weights", self.weighted),
            ("prompts with targets", self.with_targets),
            ("prompts with pairs", self.with_pairs),
        ]
        table = [(label, f"{count:,}") for label, count in counts if count]
        table += [(label, _in_words(spread)) for label, spread in lengths if spread is not None]
        table += [(label, f"{share:.2f}") for label, share in shares if share is not None]
        return table + [(label, f"{count:,}") for label, count in fields if count]

    def notes(self) -> list[str]:
        """What to mind, most important first, in one or two sentences each; empty if all is well."""
        n = self.prompts
        notes = []
        if self.single == n:
            notes.append(
                "Every prompt has one response, so there is nothing to choose from. Sample more responses per prompt; "
                "if the file has them, check that their prompts are written exactly alike."
            )
        elif self.single:
            notes.append(f"Prompts with one response: {self.single:,} of {n:,}. They train as they always did.")
        if self.repeated_prompts:
            notes.append(
                f"Prompts that repeat an earlier one, up to letter case and white space: {self.repeated_prompts:,} of "
                f"{n:,}. Pool them, or responses to one prompt will be spread over several batches."
            )
        if self.repeats > _REPEATS_WORTH_A_NOTE:
            notes.append(
                f"Responses that repeat another to their prompt: {self.repeats:.0%}. If you sampled them, that is how "
                "often they should come; if not, remove the repeats."
            )
        if 0 < self.scored < n:
            notes.append(f"Prompts without scores: {n - self.scored:,} of {n:,}. Choosing by score needs them for all.")
        if self.tied:
            notes.append(f"Prompts with all scores equal: {self.tied:,}. Choosing by score is a draw of lots there.")
        if self.short_targets:
            notes.append(
                f"Prompts with targets that sum to less than 1: {self.short_targets:,}. Training towards targets needs "
                "all answers listed; check that this is meant."
            )
        if self.response_characters.most > _LONG * max(self.response_characters.median, 1):
            notes.append(
                f"The longest response has {self.response_characters.most:,.0f} characters, the median "
                f"{self.response_characters.median:,.0f}. The longest decides how much memory training takes."
            )
        return notes


def diversity(record: Record) -> Diversity:
    """How different the responses of a record are.

    >>> found = diversity(Record.of("?", ["a plum", "A  plum", "a kiwi"]))
    >>> round(found.unique, 3), found.distinct_1  # a, plum, A, kiwi: four different of six words
    (0.667, 0.6666666666666666)
    """
    texts = record.responses
    return Diversity(
        responses=len(texts),
        unique=unique_share([normalise(text) for text in texts]),
        distinct_1=distinct_n(texts, 1),
        distinct_2=_or_none(distinct_n(texts, 2)),
        self_bleu=float(self_bleu(texts).mean()) if len(texts) > 1 else None,
        words=float(np.mean([len(text.split()) for text in texts])),
    )


def describe(records: Iterable[Record]) -> Description:
    """A set of records in numbers. Records may come one by one; a few numbers of each are kept in memory.

    Args:
        records: at least one.

    Raises:
        ValueError: there is no record.

    >>> found = describe([Record.of("p", ["a plum", "a kiwi"], scores=[1, 2]), Record.of("q", ["yes"])])
    >>> found.responses, found.single, found.scored
    (3, 1, 1)
    >>> found.notes()[0]
    'Prompts with one response: 1 of 2. They train as they always did.'
    """
    gathered = _Gathered()
    for record in records:
        gathered.add(record)
    return gathered.description()


class _Gathered:
    """What `describe` remembers of the records it has seen."""

    def __init__(self) -> None:
        self.found: list[Diversity] = []
        self.prompt_keys: set[int] = set()
        self.prompt_characters: list[int] = []
        self.response_characters: list[int] = []
        self.response_words: list[int] = []
        self.scores: list[float] = []
        self.counts = dict.fromkeys(
            ("chats", "repeated_prompts", "scored", "weighted", "with_targets", "with_pairs", "tied", "short_targets"),
            0,
        )

    def add(self, record: Record) -> None:
        """Take note of one more record."""
        text = prompt_text(record.prompt)
        key = hash(normalise(text))
        scores, targets = record.scores, record.targets
        for name, so in {
            "chats": not isinstance(record.prompt, str),
            "repeated_prompts": key in self.prompt_keys,
            "scored": scores is not None,
            "weighted": record.weights is not None,
            "with_targets": targets is not None,
            "with_pairs": record.pairs is not None,
            "tied": scores is not None and len(scores) > 1 and len(set(scores)) == 1,
            "short_targets": targets is not None and sum(targets) < 1 - TARGET_TOLERANCE,
        }.items():
            self.counts[name] += so
        self.found.append(diversity(record))
        self.prompt_keys.add(key)
        self.prompt_characters.append(len(text))
        self.response_characters += map(len, record.responses)
        self.response_words += (len(response.split()) for response in record.responses)
        self.scores += scores or ()

    def description(self) -> Description:
        """All of it in numbers."""
        if not self.found:
            raise ValueError("describe needs at least one record")
        several = [found for found in self.found if found.responses > 1]
        n_responses = len(self.response_characters)
        different = sum(found.unique * found.responses for found in self.found)
        return Description(
            prompts=len(self.found),
            responses=n_responses,
            per_prompt=Spread.of(found.responses for found in self.found),
            single=len(self.found) - len(several),
            repeats=max(0.0, 1 - different / n_responses),
            distinct_1=_mean([found.distinct_1 for found in several]),
            distinct_2=_mean([found.distinct_2 for found in several]),
            self_bleu=_mean([found.self_bleu for found in several]),
            prompt_characters=Spread.of(self.prompt_characters),
            response_characters=Spread.of(self.response_characters),
            response_words=Spread.of(self.response_words),
            score=Spread.of(self.scores) if self.scores else None,
            **self.counts,
        )


def _mean(values: list[float | None]) -> float | None:
    """Mean of the values that are there."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _in_words(spread: Spread) -> str:
    """A spread on one line; one number if that is all there is."""
    if spread.least == spread.most:
        return _plain(spread.most)
    return f"{_plain(spread.least)} to {_plain(spread.most)}, median {_plain(spread.median)}"


def _plain(number: float) -> str:
    """A number without needless digits.

    >>> _plain(12600.0), _plain(0.123456), _plain(4.5)
    ('12,600', '0.123', '4.5')
    """
    return f"{number:,.0f}" if abs(number) >= 100 or number.is_integer() else f"{number:.3g}"
