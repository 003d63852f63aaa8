"""Public data sets with several responses per prompt, as records. Their schemas are written down here, not their data.

Each loader takes rows: one split of a data set, as the `datasets` library gives it, or the lines of a local file.

    rows = datasets.load_dataset(PUBLIC["nectar"].hub, split=PUBLIC["nectar"].split)
    records = PUBLIC["nectar"].records(rows)

    records = PUBLIC["nectar"].records(local_rows(Path("nectar.jsonl")))

Every response gets a score, higher is better, and `records.pairs_by_score` turns scores into pairs. One rule holds
for all: a response that is blank or has no score is left out, and so is a prompt that has none left, is blank itself,
or ends with the assistant's words. Large sets hold a few of each. A row of another schema is an error, and so is a set
of rows that gives no record at all.
"""

import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrtlab.data.records import Message, Prompt, Record, RecordError, group_by_prompt, short
from mrtlab.data.records_io import read_jsonl

Rows = Iterable[Any]  # mappings, which is checked with a message

HELPSTEER_SCORES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
ULTRAFEEDBACK_SCORES = ("overall_score", "fine-grained_score")


def _gives_some(loader: Callable[..., Iterator[Record]]) -> Callable[..., Iterator[Record]]:
    """A loader that complains if it found nothing: a misnamed score would else pass for an empty data set."""

    @functools.wraps(loader)
    def checked(*args: Any, **options: Any) -> Iterator[Record]:
        empty = True
        for record in loader(*args, **options):
            empty = False
            yield record
        if empty:
            raise RecordError(f"{loader.__name__}: no row gave a response with a score. Is this the data set?")

    return checked


@dataclass(frozen=True)
class PublicSet:
    """A public data set.

    Attributes:
        hub: its name on the Hugging Face hub.
        split: the split to train on.
        records: from rows to records.
        about: responses per prompt and what scored them, in a few words.
    """

    hub: str
    split: str
    records: Callable[[Rows], Iterator[Record]]
    about: str


@_gives_some
def ultrafeedback(rows: Rows, *, score: str = "overall_score") -> Iterator[Record]:
    """UltraFeedback: four responses of different models per prompt, scored by GPT-4.

    Schema: instruction, completions: [{response, overall_score, fine-grained_score, …}, …]. The model that wrote a
    response was also given a system prompt of its own; it is not part of the record.

    Args:
        rows: rows of openbmb/UltraFeedback.
        score: "overall_score", 1 to 10, or "fine-grained_score", the mean of four ratings from 1 to 5.

    Raises:
        RecordError: the name of the score is unknown, or a row has another schema.

    Source: Cui et al., *UltraFeedback*, 2023; the format on the data set's page.

    >>> row = {"instruction": "Hi", "completions": [{"response": "Hello", "overall_score": 8.5}]}
    >>> next(ultrafeedback([row])).scores
    (8.5,)
    """
    _check_score(score, ULTRAFEEDBACK_SCORES)
    for where, row in _named("UltraFeedback", rows):
        answers = [(_get(c, "response", str, where), c.get(score)) for c in _get_all(row, "completions", where)]
        yield from _record(_get(row, "instruction", str, where), answers, where)


@_gives_some
def nectar(rows: Rows) -> Iterator[Record]:
    """Nectar: seven responses per prompt, ranked by GPT-4. The score is minus the rank, so the best has −1.

    Schema: prompt, with turns that begin "\\n\\nHuman: " and "\\n\\nAssistant: ", answers: [{answer, rank, …}, …].
    Prompts become messages.

    Args:
        rows: rows of berkeley-nest/Nectar.

    Raises:
        RecordError: a row has another schema.

    Source: Zhu et al., *Starling-7B*, 2023; the schema on the data set's page.

    >>> row = {"prompt": "\\n\\nHuman: Hi\\n\\nAssistant: ", "answers": [{"answer": "Hello", "rank": 1.0}]}
    >>> record = next(nectar([row]))
    >>> record.prompt, record.scores
    ((Message(role='user', content='Hi'),), (-1.0,))
    """
    for where, row in _named("Nectar", rows):
        ranked = [(_get(a, "answer", str, where), a.get("rank")) for a in _get_all(row, "answers", where)]
        answers = [(text, None if rank is None else -_real(rank, where)) for text, rank in ranked]
        yield from _record(_turns_of_nectar(_get(row, "prompt", str, where)), answers, where)


@_gives_some
def helpsteer2(rows: Rows, *, score: str = "helpfulness") -> Iterator[Record]:
    """HelpSteer2: two responses per prompt, in two rows, rated by people from 0 to 4. Reads all rows before the first.

    Schema: prompt, response, helpfulness, correctness, coherence, complexity, verbosity. A prompt with several turns
    has them apart by lines "<extra_id_1>Assistant" and "<extra_id_1>User"; it becomes messages.

    Args:
        rows: rows of nvidia/HelpSteer2.
        score: which of the five ratings is the score.

    Raises:
        RecordError: the name of the score is unknown, or a row has another schema.

    Source: Wang et al., *HelpSteer2*, 2024; the format on the data set's page.

    >>> rows = [{"prompt": "c#", "response": "A language", "helpfulness": 3}]
    >>> rows += [{"prompt": "c#", "response": "A note", "helpfulness": 1}]
    >>> [(record.responses, record.scores) for record in helpsteer2(rows)]
    [(('A language', 'A note'), (3.0, 1.0))]
    """
    _check_score(score, HELPSTEER_SCORES)
    singles: list[Record] = []
    for where, row in _named("HelpSteer2", rows):
        prompt = _turns_of_helpsteer(_get(row, "prompt", str, where))
        singles += _record(prompt, [(_get(row, "response", str, where), row.get(score))], where)
    yield from group_by_prompt(singles)


@_gives_some
def gold_generations(rows: Rows, *, first: int | None = None) -> Iterator[Record]:
    """Generations of a 1.4B model to AlpacaFarm prompts, each with the score of a "gold" reward model.

    Schema: instruction, input, answers: [text, …], gold_scores: [number, …]. There are 12 600 answers to each of 1 000
    prompts, drawn independently, so the first few are as good a sample as any.

    Args:
        rows: rows of tlc4418/gold_labelled_gens, split "validation".
        first: how many answers of each prompt to read, from the front; all if None.

    Raises:
        RecordError: a row has another schema, or not one score for each answer.

    Source: Coste et al., *Reward model ensembles help mitigate overoptimization*, 2024 (their best-of-n data).

    >>> row = {"instruction": "Add.", "input": "1 and 2", "answers": ["3", "4"], "gold_scores": [0.9, -1.5]}
    >>> next(gold_generations([row])).prompt
    'Add.\\n\\n1 and 2'
    """
    for where, row in _named("gold generations", rows):
        texts, scores = _get(row, "answers", list, where), _get(row, "gold_scores", list, where)
        if len(texts) != len(scores):
            raise RecordError(f"{where}: {len(texts)} answers but {len(scores)} gold_scores, expected one for each.")
        wrong = next((text for text in texts if not isinstance(text, str)), "")
        if wrong != "":
            raise RecordError(f"{where}: 'answers' must hold texts, got {short(wrong)}.")
        instruction, extra = _get(row, "instruction", str, where), (row.get("input") or "").strip()
        prompt = f"{instruction}\n\n{extra}" if extra else instruction
        yield from _record(prompt, [*zip(texts[:first], scores[:first], strict=True)], where)


PUBLIC = {
    "ultrafeedback": PublicSet("openbmb/UltraFeedback", "train", ultrafeedback, "4 responses, scored by GPT-4"),
    "nectar": PublicSet("berkeley-nest/Nectar", "train", nectar, "7 responses, ranked by GPT-4"),
    "helpsteer2": PublicSet("nvidia/HelpSteer2", "train", helpsteer2, "2 responses, rated by people"),
    "gold": PublicSet(
        "tlc4418/gold_labelled_gens", "validation", gold_generations, "12 600 responses, scored by a reward model"
    ),
}


def local_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a local copy of a data set, JSON Lines, plain or compressed with gzip.

    Raises:
        RecordError: the file cannot be read as JSON Lines.
    """
    return (row for _, row in read_jsonl(path))


def _record(prompt: Prompt, answers: list[tuple[str, Any]], where: str) -> Iterator[Record]:
    """One record of the responses that are not blank and have a score; none if that is no record."""
    scored = [(text, _real(score, where)) for text, score in answers if score is not None and text.strip()]
    usable = [(text, score) for text, score in scored if math.isfinite(score)]
    try:
        record = Record(prompt, tuple(text for text, _ in usable), scores=tuple(score for _, score in usable))
    except RecordError:
        return
    yield record


def _turns_of_nectar(text: str) -> Prompt:
    """Messages of turns "Human:" and "Assistant:", the last of which waits for the answer; a text without turns as is.

    >>> turns = _turns_of_nectar("\\n\\nHuman: a\\n\\nAssistant: b\\n\\nHuman: c\\n\\nAssistant: ")
    >>> [(message.role, message.content) for message in turns]
    [('user', 'a'), ('assistant', 'b'), ('user', 'c')]
    """
    first, *parts = re.split(r"\n\n(Human|Assistant):", "\n\n" + text.lstrip("\n"))
    if not parts or first.strip():
        return text
    turns = zip(parts[::2], parts[1::2], strict=True)
    return tuple(
        Message("user" if who == "Human" else "assistant", said.strip()) for who, said in turns if said.strip()
    )


def _turns_of_helpsteer(text: str) -> Prompt:
    """A text, or messages if there are marks of turns in it."""
    first, *parts = re.split(r"\n*<extra_id_1>(User|Assistant)\n", text)
    if not parts:
        return text
    turns = [("User", first), *zip(parts[::2], parts[1::2], strict=True)]
    return tuple(Message(who.lower(), said.strip()) for who, said in turns if said.strip())


def _named(name: str, rows: Rows) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows with their place, counted from 0 as data sets do; `datasets` gives split names where a split is missing."""
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise RecordError(f"{name}, row {number}: {short(row)} is no row. Pass one split, as in data['train'].")
        yield f"{name}, row {number}", row


def _get(row: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    """A field of the schema, of the right type."""
    if not isinstance(row.get(name), kind):
        found = f"got {short(row[name])}" if name in row else f"the fields are: {', '.join(map(str, row)) or 'none'}"
        kinds = {str: "a text", list: "a list"}
        raise RecordError(f"{where}: expected a field {name!r} with {kinds[kind]}; {found}. Is this the data set?")
    return row[name]


def _get_all(row: Mapping[str, Any], name: str, where: str) -> list[Mapping[str, Any]]:
    """A field of the schema that holds a list of objects."""
    entries = _get(row, name, list, where)
    wrong = next((entry for entry in entries if not isinstance(entry, Mapping)), None)
    if wrong is not None:
        raise RecordError(f"{where}: {name!r} must hold objects, got {short(wrong)}. Is this the data set?")
    return entries


def _real(given: Any, where: str) -> float:
    """A score; these sets write some numbers as text."""
    try:
        return float(given)
    except (TypeError, ValueError, OverflowError):
        raise RecordError(f"{where}: a score is {short(given)}, expected a number.") from None


def _check_score(score: str, known: tuple[str, ...]) -> None:
    """The name of a rating that the data set has."""
    if score not in known:
        raise RecordError(f"no score is called {score!r} here. Choose one of: {', '.join(known)}.")
