"""Responses that repeat each other, and what is lost when they go.

Repetition is information. If responses were sampled, how often each came *is* the distribution that training on all
of them would learn; dropping repeats trains on a flatter one. Drop them when they are accidents of collection, or
pass `weigh=True` to keep how often each came as its weight.

Three rules say when two responses are the same: "exact" (every character), "normalised" (letter case, white space
and the ways to write one character in Unicode do not count) and "near" (at most a share of the characters differs).
"""

import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from rapidfuzz import fuzz, process

from mrtlab.data.records import Record, group_by_prompt, prompt_key

Rule = Literal["exact", "normalised", "near"]


def normalise(text: str) -> str:
    """A text without what people do not see as a difference: letter case, white space, Unicode's ways to write it.

    >>> normalise("  Apple\\n PIE ")
    'apple pie'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def repeats(texts: Sequence[str], *, rule: Rule = "normalised", threshold: float = 0.9) -> list[int]:
    """For each text the place of the earlier text that it repeats, or its own place if it is new.

    With "near", a text repeats the most similar of the texts kept so far, if their similarity reaches the threshold.
    Similarity is 1 − (characters to insert or delete) / (characters of both), after normalising. Cost grows with the
    number of texts times the number kept.

    Args:
        texts: any number.
        rule: "exact", "normalised" or "near".
        threshold: similarity from which "near" counts texts as the same, above 0 and at most 1.

    Raises:
        ValueError: the rule is unknown or the threshold out of range.

    >>> repeats(["Plum", "kiwi", " plum"])
    [0, 1, 0]
    >>> repeats(["a red plum", "a red plume", "kiwi"], rule="near")  # 1 − 1/21 = 0.95
    [0, 0, 2]
    """
    if rule not in get_args(Rule):
        raise ValueError(f"rule must be one of {', '.join(get_args(Rule))}; got {rule!r}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie above 0 and be at most 1, got {threshold}")
    keys = texts if rule == "exact" else [normalise(text) for text in texts]
    first: dict[str, int] = {}
    places = [first.setdefault(key, i) for i, key in enumerate(keys)]
    if rule == "near":
        _join_near(first, threshold)
        places = [first[key] for key in keys]
    return places


def _join_near(first: dict[str, int], threshold: float) -> None:
    """Point each text that is near one kept before it to that one. Kept ones stay apart, so a second run joins none."""
    kept: list[str] = []
    for key in first:
        found = process.extractOne(key, kept, scorer=fuzz.ratio, score_cutoff=100 * threshold)
        if found is None:
            kept.append(key)
        else:
            first[key] = first[found[0]]


def unique_responses(
    record: Record, *, rule: Rule = "normalised", threshold: float = 0.9, weigh: bool = False
) -> Record:
    """A record without responses that repeat earlier ones. The first of each is kept, with its score.

    Weights and targets of those dropped are added to the one kept, so their sums stay. Pairs are passed on to it; a
    pair of two repeats goes.

    Near repeats need care where answers are short or differ in one number: "It is 12." and "It is 13." are 0.89 alike.

    Args:
        record: any.
        rule: see `repeats`.
        threshold: see `repeats`.
        weigh: give a record without weights the count of each response as its weight.

    Raises:
        ValueError: the rule is unknown or the threshold out of range.

    >>> record = unique_responses(Record.of("?", ["plum", "kiwi", "Plum"]), weigh=True)
    >>> record.responses, record.weights
    (('plum', 'kiwi'), (2.0, 1.0))
    """
    keeper = repeats(record.responses, rule=rule, threshold=threshold)
    kept = sorted(set(keeper))
    if record.weights is None and weigh:
        record = replace(record, weights=(1.0,) * len(record))
    if len(kept) == len(record):
        return record
    sums = {field: _summed(getattr(record, field), keeper) for field in ("weights", "targets")}
    pairs = record.pairs
    if pairs is not None:
        pairs = tuple((keeper[a], keeper[b]) for a, b in pairs if keeper[a] != keeper[b])
    return replace(record, pairs=pairs, **sums).keep(kept)


def _summed(values: tuple[float, ...] | None, keeper: Sequence[int]) -> tuple[float, ...] | None:
    """Each value added to that of its keeper; the others become 0."""
    if values is None:
        return None
    total = [0.0] * len(values)
    for place, value in zip(keeper, values, strict=True):
        total[place] += value
    return tuple(total)


def deduplicate(
    records: Iterable[Record], *, rule: Rule = "normalised", threshold: float = 0.9, weigh: bool = False
) -> list[Record]:
    """Pool the records of one prompt, then drop responses that repeat each other. Order of first appearance.

    Prompts are the same if they are equal, or equal after normalising where the rule is not "exact". Near prompts are
    never pooled: "7 + 5?" and "7 + 6?" ask different things. Doing it again changes nothing.

    Args:
        records: any number.
        rule: see `repeats`.
        threshold: see `repeats`.
        weigh: see `unique_responses`.

    Raises:
        RecordError: some records of a prompt have scores, weights or targets and others do not, or targets together
            sum to more than 1.
        ValueError: the rule is unknown or the threshold out of range.

    >>> records = [Record.of("Name a fruit.", ["plum", "plum"]), Record.of("name a  fruit.", ["kiwi"])]
    >>> [record.responses for record in deduplicate(records)]
    [('plum', 'kiwi')]
    """
    pooled = group_by_prompt(records, key=prompt_key if rule == "exact" else _normalised_prompt)
    return [unique_responses(record, rule=rule, threshold=threshold, weigh=weigh) for record in pooled]


def _normalised_prompt(record: Record) -> Hashable:
    """What makes two prompts the same. A text and a chat of one message are apart: templates treat them differently."""
    if isinstance(record.prompt, str):
        return normalise(record.prompt)
    return tuple((message.role, normalise(message.content)) for message in record.prompt)
