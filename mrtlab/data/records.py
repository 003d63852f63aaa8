"""A record: one prompt, its responses, and what is known about each of them.

Everything that trains or selects starts from records. They come from a file (`records_io`), from a public data set
(`loaders`), or from a family with a known truth, and they leave as they came: as JSON Lines.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from operator import index
from typing import Any, SupportsIndex

import numpy as np

TARGET_TOLERANCE = 1e-5  # targets written in single precision should still be accepted
PER_RESPONSE = ("scores", "weights", "targets")  # the fields with one number for each response
_ANSWERS = "assistant"


class RecordError(ValueError):
    """Something is no record. The message names the field and the remedy; a reader puts file and line in front."""


@dataclass(frozen=True)
class Message(Mapping[str, str]):
    """One message of a chat. It is a mapping too, as chat templates expect: `dict(message)`.

    Attributes:
        role: who speaks, such as "system", "user" or "assistant".
        content: the text.

    >>> dict(Message("user", "Name a fruit."))
    {'role': 'user', 'content': 'Name a fruit.'}
    """

    role: str
    content: str

    def __getitem__(self, key: str) -> str:
        if key not in ("role", "content"):
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(("role", "content"))

    def __len__(self) -> int:
        return 2


Prompt = str | tuple[Message, ...]


@dataclass(frozen=True)
class Record:
    """One prompt with its responses. `Record.of` makes one from lists and dicts, and says what is wrong with them.

    Attributes:
        prompt: a text, or the messages of a chat up to where the response begins.
        responses: n texts, n ≥ 1, none blank. The same text may come twice: how often it comes is information.
        scores: n numbers, higher is better, such as rewards.
        weights: n numbers by which the responses' log-probabilities count in training; below 0 pushes away.
        targets: n probabilities that the prompt's responses should have. They sum to at most 1, within 1e-5; what is
            missing belongs to responses that are not listed.
        pairs: (winner, loser) comparisons, as places in `responses` that count up from 0.
        id: the prompt's name in its source.

    Raises:
        RecordError: a value breaks one of these rules.
    """

    prompt: Prompt
    responses: tuple[str, ...]
    scores: tuple[float, ...] | None = None
    weights: tuple[float, ...] | None = None
    targets: tuple[float, ...] | None = None
    pairs: tuple[tuple[int, int], ...] | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        _check_prompt(self.prompt)
        if not self.responses:
            raise RecordError("responses is empty. Give at least one response, or leave the prompt out.")
        for i, response in enumerate(self.responses):
            _check_text(response, f"responses[{i}]")
        for field in PER_RESPONSE:
            self._check_numbers(field)
        for winner, loser in self.pairs or ():
            if winner == loser or min(winner, loser) < 0 or max(winner, loser) >= len(self.responses):
                raise RecordError(
                    f"pairs holds [{winner}, {loser}], expected two different places in responses, "
                    f"0 to {len(self.responses) - 1}. Places count up from 0, the winner comes first."
                )

    def __len__(self) -> int:
        """The number of responses."""
        return len(self.responses)

    def _check_numbers(self, field: str) -> None:
        """One finite number for each response; targets are probabilities."""
        values = getattr(self, field)
        if values is None:
            return
        if len(values) != len(self.responses):
            raise RecordError(
                f"{field} has {len(values)} numbers for {len(self.responses)} responses. Give one for each response."
            )
        for i, value in enumerate(values):
            if not math.isfinite(value):
                raise RecordError(_not_a_number(f"{field}[{i}]", value))
        if field == "targets" and (min(values) < 0 or sum(values) > 1 + TARGET_TOLERANCE):
            raise RecordError(
                f"targets must be probabilities, 0 or more with a sum of at most 1; the least is {min(values):g} and "
                f"the sum is {sum(values):g}. Divide them by their sum, or call them weights."
            )

    @classmethod
    def of(
        cls,
        prompt: Any,
        responses: Any,
        *,
        scores: Any = None,
        weights: Any = None,
        targets: Any = None,
        pairs: Any = None,
        id: Any = None,
    ) -> "Record":
        """A record from what JSON holds, or from arrays. See the class for the fields; None leaves one out.

        Raises:
            RecordError: a field has the wrong type or value; one or two sentences with field and remedy.

        >>> record = Record.of("Name a fruit.", ["kiwi", "plum"], scores=[1, 2.5], pairs=[[1, 0]])
        >>> record.scores, record.pairs
        ((1.0, 2.5), ((1, 0),))
        """
        responses, scores, weights, targets, pairs = map(_plain, (responses, scores, weights, targets, pairs))
        if not _is_list(responses) or not all(isinstance(text, str) for text in responses):
            raise RecordError(f"responses must be a list of texts, got {_not_a_text(responses)}.")
        return cls(
            prompt=_prompt(prompt),
            responses=tuple(responses),
            scores=_numbers(scores, "scores"),
            weights=_numbers(weights, "weights"),
            targets=_numbers(targets, "targets"),
            pairs=_pairs(pairs),
            id=_name(id),
        )

    def keep(self, places: Iterable[SupportsIndex]) -> "Record":
        """The record with only some of its responses, in the order given; all other fields follow.

        Targets are not rescaled. A pair is kept if both of its responses are.

        Args:
            places: which responses, counting from 0, each once.

        Raises:
            RecordError: no place is given.
            IndexError: there is no response at a place, or a place comes twice.

        >>> kept = Record.of("?", ["a", "b", "c"], scores=[1, 2, 3], pairs=[[2, 0], [1, 0]]).keep([2, 0])
        >>> kept.responses, kept.scores, kept.pairs
        (('c', 'a'), (3.0, 1.0), ((0, 1),))
        """
        kept = [index(place) for place in places]
        new = {place: i for i, place in enumerate(kept)}
        if len(new) < len(kept) or any(not 0 <= place < len(self) for place in kept):
            raise IndexError(f"places must lie between 0 and {len(self) - 1}, each once; got {short(kept)}")
        chosen = {f: tuple(v[i] for i in kept) for f in PER_RESPONSE if (v := getattr(self, f)) is not None}
        if self.pairs is not None:
            chosen["pairs"] = tuple((new[a], new[b]) for a, b in self.pairs if a in new and b in new)
        return replace(self, responses=tuple(self.responses[i] for i in kept), **chosen)


def pairs_by_score(record: Record, *, margin: float = 0.0) -> Record:
    """The record with a pair (winner, loser) wherever one score exceeds another by more than the margin.

    Args:
        record: with scores.
        margin: scores that differ by no more than this make no pair.

    Raises:
        RecordError: the record has no scores.

    >>> pairs_by_score(Record.of("?", ["a", "b", "c"], scores=[1, 3, 3])).pairs
    ((1, 0), (2, 0))
    """
    if record.scores is None:
        raise RecordError("the record has no scores, so no response can win. Add scores, or give the pairs themselves.")
    scores = [*enumerate(record.scores)]
    return replace(record, pairs=tuple((i, j) for i, high in scores for j, low in scores if high - low > margin))


def prompt_text(prompt: Prompt) -> str:
    """A prompt as one text, for counting, comparing and showing; models get their own chat template instead.

    >>> prompt_text((Message("system", "Be brief."), Message("user", "Hi")))
    'system: Be brief.\\nuser: Hi'
    """
    return prompt if isinstance(prompt, str) else "\n".join(f"{m.role}: {m.content}" for m in prompt)


def pooled(parts: Sequence[Record]) -> Record:
    """One record with the responses of several, which share a prompt: the first one's prompt, all responses in order.

    Args:
        parts: at least one. Scores, weights and targets must be there for all of them or for none. Pairs are
            collected. The first id is kept.

    Raises:
        RecordError: some parts have a field and others do not, or targets together sum to more than 1.

    >>> pooled([Record.of("?", ["a"], scores=[1]), Record.of("?", ["b"], scores=[2])]).scores
    (1.0, 2.0)
    """
    if len(parts) == 1:
        return parts[0]
    together: dict[str, Any] = {}
    for field in PER_RESPONSE:
        values = [getattr(part, field) for part in parts]
        if any(v is None for v in values) and any(v is not None for v in values):
            raise RecordError(
                f"only some of its responses have {field}. Give them for all responses to a prompt or for none."
            )
        together[field] = None if values[0] is None else tuple(x for v in values for x in v)
    start, pairs = 0, []
    for part in parts:
        pairs += [(start + winner, start + loser) for winner, loser in part.pairs or ()]
        start += len(part)
    return Record(
        prompt=parts[0].prompt,
        responses=tuple(text for part in parts for text in part.responses),
        pairs=tuple(pairs) if any(part.pairs is not None for part in parts) else None,
        id=next((part.id for part in parts if part.id is not None), None),
        **together,
    )


def prompt_key(record: Record) -> Hashable:
    """What makes two prompts the same, where nothing else is said: all of it."""
    return record.prompt


def group_by_prompt(records: Iterable[Record], *, key: Callable[[Record], Hashable] = prompt_key) -> list[Record]:
    """Pool the records that have the same prompt; prompts and responses keep the order of their first appearance.

    Args:
        records: any number.
        key: what makes two prompts the same, if it is not the whole prompt.

    Raises:
        RecordError: see `pooled`; the message names the prompt.

    >>> rows = [Record.of("p", ["a"]), Record.of("q", ["b"]), Record.of("p", ["c"])]
    >>> [(record.prompt, record.responses) for record in group_by_prompt(rows)]
    [('p', ('a', 'c')), ('q', ('b',))]
    """
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    done = []
    for parts in groups.values():
        try:
            done.append(pooled(parts))
        except RecordError as error:
            raise RecordError(f"prompt {short(prompt_text(parts[0].prompt))}: {error}") from None
    return done


def short(given: Any) -> str:
    """A value as it was written, cut to a readable length.

    >>> short(None), short("x" * 100)
    ('null', "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ...")
    """
    text = "null" if given is None else repr(given[:50] if isinstance(given, str | bytes | list | tuple) else given)
    return text if len(text) <= 40 else text[:36] + " ..."


def _plain(given: Any) -> Any:
    """Arrays as lists."""
    return given.tolist() if isinstance(given, np.ndarray) else given


def _is_list(given: Any) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)


def _not_a_text(given: Any) -> str:
    """What is wrong with a list of texts, and what to do."""
    if not _is_list(given):
        return short(given)
    place = next(i for i, x in enumerate(given) if not isinstance(x, str))
    return f"{short(given[place])} in the list, as responses[{place}]; write it as a text, or leave it out"


def _prompt(given: Any) -> Prompt:
    """A text, or messages."""
    if isinstance(given, str):
        return given
    if not _is_list(given):
        raise RecordError(
            f'prompt must be a text, or a list of messages like {{"role": "user", "content": ...}}; got {short(given)}.'
        )
    return tuple(_message(message, f"prompt[{i}]") for i, message in enumerate(given))


def _message(given: Any, where: str) -> Message:
    """One message; fields that hold null count as absent."""
    if isinstance(given, Message):
        return given
    fields = {k: v for k, v in given.items() if v is not None} if isinstance(given, Mapping) else {}
    if set(fields) != {"role", "content"} or not all(isinstance(value, str) for value in fields.values()):
        raise RecordError(
            f'{where} must be a message of two texts, {{"role": "user", "content": ...}}; got {short(given)}. '
            "Tools, pictures and other fields are not supported: leave them out."
        )
    return Message(**fields)


def _numbers(given: Any, field: str) -> tuple[float, ...] | None:
    """Numbers as floats; null means that there are none."""
    if given is None:
        return None
    if not _is_list(given):
        raise RecordError(f"{field} must be a list of numbers, one for each response, got {short(given)}.")
    return tuple(_number(value, f"{field}[{i}]") for i, value in enumerate(given))


def _number(given: Any, field: str) -> float:
    """One number. Truth values are Python integers, but not what anyone means by a score."""
    if isinstance(given, bool) or not isinstance(given, Real):
        raise RecordError(_not_a_number(field, given))
    try:
        return float(given)
    except OverflowError:
        raise RecordError(_not_a_number(field, given)) from None


def _not_a_number(field: str, given: Any) -> str:
    return f"{field} is {short(given)}, expected a finite number. Write a number, or leave the response out."


def _pairs(given: Any) -> tuple[tuple[int, int], ...] | None:
    """Pairs of places; null means that there are none."""
    if given is None:
        return None
    if not _is_list(given):
        raise RecordError(f"pairs must be a list of [winner, loser], got {short(given)}.")
    for pair in given:
        if not _is_list(pair) or len(pair) != 2 or not all(map(_is_place, pair)):
            raise RecordError(f"pairs must hold [winner, loser], two places in responses; got {short(pair)}.")
    return tuple((int(winner), int(loser)) for winner, loser in given)


def _is_place(given: Any) -> bool:
    return isinstance(given, Integral) and not isinstance(given, bool)


def _name(given: Any) -> str | None:
    """An id; numbers are names too."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Integral) and not isinstance(given, bool):
        return str(given)
    raise RecordError(f"id must be a text or a whole number, got {short(given)}.")


def _check_prompt(prompt: Prompt) -> None:
    """A prompt says something, and leaves the answer to the response."""
    if isinstance(prompt, str):
        _check_text(prompt, "prompt")
        return
    if not prompt:
        raise RecordError("prompt has no messages. Give at least one from the user.")
    for i, message in enumerate(prompt):
        _check_text(message.role, f"prompt[{i}].role")
        if message.content or message.role != "system":  # an empty system message switches off the template's own
            _check_text(message.content, f"prompt[{i}].content")
    if prompt[-1].role == _ANSWERS:
        raise RecordError("the prompt's last message is the assistant's. Move its text to the responses.")


def _check_text(text: str, field: str) -> None:
    """Not blank, and whole: half a surrogate pair has no UTF-8 form, and no tokenizer takes it."""
    if not text.strip():
        raise RecordError(f"{field} is blank. Give it a text, or leave it out.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RecordError(
                f"{field} holds half of a surrogate pair at character {error.start}. "
                "Write the whole character, or leave it out."
            ) from None
