"""Data sets of the hub with several responses to a prompt, as records. Downloaded by their users, never shipped.

- `openbmb/UltraFeedback`: 64,000 instructions with four completions and their scores.
- `berkeley-nest/Nectar`: 180,000 conversations with seven ranked answers.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mrtlab.data.records import Record

_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": "assistant"}


class NoData(RuntimeError):  # noqa: N818 - reads as a sentence where it is caught
    """A data set is not on this machine and cannot be had; the message says what to do."""


def ultrafeedback(row: Mapping[str, Any]) -> Record | None:
    """A row of UltraFeedback, None if it has no usable completion. Scores are GPT-4's overall ones.

    >>> record = ultrafeedback({"instruction": "Hi", "completions": [{"response": "Hello.", "overall_score": 7.5}]})
    >>> record.prompt, record.responses, record.scores
    ('Hi', ('Hello.',), (7.5,))
    """
    return _record(row["instruction"], [(c["response"], float(c["overall_score"])) for c in row["completions"]])


def nectar(row: Mapping[str, Any]) -> Record | None:
    """A row of Nectar, None if it has no usable answer. A score is 8 minus the rank, so the best of seven has 7.

    >>> row = {"prompt": "\\n\\nHuman: Hi\\n\\nAssistant: ", "answers": [{"answer": "Hello.", "rank": 1.0}]}
    >>> record = nectar(row)
    >>> record.prompt, record.scores
    ('Hi', (7.0,))
    """
    parts = _TURN.split(row["prompt"])[1:]
    turns = [{"role": _ROLES[who], "content": text.strip()} for who, text in zip(parts[::2], parts[1::2], strict=True)]
    turns = [turn for turn in turns if turn["content"]]
    if not turns or turns[-1]["role"] != "user":
        return None
    prompt = turns[0]["content"] if len(turns) == 1 else turns
    return _record(prompt, [(a["answer"], 8.0 - float(a["rank"])) for a in row["answers"]])


PUBLISHED: dict[str, Callable[[Mapping[str, Any]], Record | None]] = {
    "openbmb/UltraFeedback": ultrafeedback,
    "berkeley-nest/Nectar": nectar,
}


def published(name: str, n: int, *, least: int = 2) -> list[Record]:
    """The first n records of a published data set that have enough different responses, streamed.

    Args:
        name: one of `PUBLISHED`.
        n: how many.
        least: different responses that a prompt must have.

    Raises:
        ValueError: the name is unknown, or the data set has not so many.
        NoData: the library `datasets` is missing, or the data set cannot be reached.
    """
    if name not in PUBLISHED:
        raise ValueError(f"unknown data set {name!r}: known are {', '.join(PUBLISHED)}; or give a file of records")
    found = list(_first(_converted(_rows(name), PUBLISHED[name]), n, least))
    if len(found) < n:
        raise ValueError(f"{name} has {len(found):,} prompts with {least} different responses, {n:,} were asked for")
    return found


def _rows(name: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a data set as they come over the network, or from the cache of `datasets`."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise NoData('data sets of the hub need the library datasets: pip install "mrtlab[lm]"') from None
    try:
        yield from load_dataset(name, split="train", streaming=True)
    except (OSError, ValueError) as error:
        raise NoData(
            f"cannot read {name} from the Hugging Face hub ({str(error).strip().splitlines()[0]}). Check the network; "
            "without one give a file of records in its place"
        ) from error


def _converted(rows: Iterable[Mapping[str, Any]], convert: Callable) -> Iterator[Record]:
    return (record for row in rows if (record := convert(row)) is not None)


def _first(records: Iterable[Record], n: int, least: int) -> Iterator[Record]:
    taken, seen = 0, set()
    for record in records:
        if taken == n:
            return
        if len(record) >= least and str(record.prompt) not in seen:
            seen.add(str(record.prompt))
            taken += 1
            yield record


def _record(prompt: Any, answers: Iterable[tuple[str, float]]) -> Record | None:
    """A record of the different answers that say something."""
    kept = {text.strip(): score for text, score in reversed(list(answers)) if text and text.strip()}
    if not kept or not prompt or (isinstance(prompt, str) and not prompt.strip()):
        return None
    return Record.of(prompt, list(kept)[::-1], scores=list(kept.values())[::-1])
