"""A folder of scores: how much each example helps each query, by every method, from one gradient pass.

In the folder: data.jsonl and queries.jsonl, the gradients of both, scores.npz with a table for each method, and
scores.json, which says what all this came from and is written last.
"""

import hashlib
import itertools
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from mrtlab.data.records import Record, RecordError
from mrtlab.data.records_io import load_records, read_jsonl, write_jsonl, write_records
from mrtlab.spa.attribution import Gradients, collect, open_gradients
from mrtlab.spa.gradients import blocks_of, examples_of, lora_factors
from mrtlab.spa.influence import DAMPING, cosine, datainf, fisher, grad_dot
from mrtlab.spa.partition import agreement, arg_max, standardised

METHODS = ("fisher", "grad-dot", "cosine", "datainf")
NOTE, DATA, QUERIES, TABLES = "scores.json", "data.jsonl", "queries.jsonl", "scores.npz"
GRADIENTS, QUERY_GRADIENTS = "gradients", "query_gradients"
_ROOM = 500_000_000  # bytes up to which every weight's gradient is kept as it is
_FEATURES = 4096

Scores = Float[np.ndarray, "n m"]


@dataclass(frozen=True, eq=False)
class Scored:
    """What a folder of scores holds.

    Attributes:
        folder: where it is.
        records: n examples in all, every response of every record one, in their order.
        queries: m questions with their answers, in the order of the columns.
        scores: for each of `METHODS` an (n, m) table; larger helps more.
        about: what it came from, as scores.json has it.
    """

    folder: Path
    records: list[Record]
    queries: list[Record]
    scores: Mapping[str, Scores]
    about: Mapping[str, Any]

    def gradients(self) -> Gradients:
        """The examples' gradients, read from the disk when touched.

        Raises:
            ValueError: they are no longer there.
        """
        return open_gradients(self.folder / GRADIENTS)


def room_for(model: Any, n: int) -> int | None:
    """How many numbers should stand for each of n gradients: None, all of them, while they fit into half a gigabyte.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> room_for(model, 100), room_for(model, 10**8)
    (None, 4096)
    """
    factors = lora_factors(model)
    return None if 4 * n * blocks_of(factors)[-1].stop <= _ROOM else max(_FEATURES, 8 * len(factors))


def all_scores(gradients: Gradients, queries: Gradients, *, damping: float = DAMPING) -> dict[str, Scores]:
    """The tables of `METHODS`: products, their cosines, DataInf matrix by matrix, and the damped empirical Fisher.

    Args:
        gradients: of the examples.
        queries: of the queries, of the same model and projection.
        damping: of DataInf and Fisher, relative to the mean square of the gradients.

    Raises:
        ValueError: see `mrtlab.spa.influence`; or all gradients are zero.

    Source: SPA sheet, section 9, step 3; claim SPA-09.
    """
    g, v = gradients.rows, np.asarray(queries.rows)
    found = {
        "fisher": fisher(g, v, damping=damping),
        "grad-dot": grad_dot(g, v),
        "cosine": cosine(g, v),
        "datainf": datainf(g, v, damping=damping, blocks=gradients.columns),
    }
    if not any(np.any(table) for table in found.values()):
        raise ValueError("every score is zero: the adapter has learned nothing, train it for more epochs")
    return found


def spreads(scores: Mapping[str, Scores]) -> dict[str, list[float]]:
    """For each method the standard deviation of every query's column, in units of their mean.

    SPA keeps the queries whose columns vary most (section 5.1).

    >>> spreads({"cosine": np.array([[0.0, 0.0], [2.0, 6.0]])})
    {'cosine': [0.5, 1.5]}
    """
    found = {}
    for name, table in scores.items():
        sd = table.std(axis=0)
        found[name] = (sd / sd.mean() if sd.mean() > 0 else sd).tolist()
    return found


def likeness(scores: Mapping[str, Scores]) -> list[dict[str, Any]]:
    """How alike two methods are, for each pair of them.

    Returns:
        "methods", two names; "rank", Spearman's correlation over the examples, mean over queries (None where a column
        has no spread); "parts", the share of examples that the arg max of standardised columns puts into the same part.

    Source: claim SPA-09.

    >>> one = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.5]])
    >>> likeness({"fisher": one, "grad-dot": 3 * one})
    [{'methods': ['fisher', 'grad-dot'], 'rank': 1.0, 'parts': 1.0}]
    """
    found = []
    for (name, one), (other_name, other) in itertools.combinations(scores.items(), 2):
        ranks = [_rank_correlation(one[:, j], other[:, j]) for j in range(one.shape[1])]
        known = [rank for rank in ranks if rank is not None]
        parts = agreement(arg_max(standardised(one)), arg_max(standardised(other)))
        rank = round(float(np.mean(known)), 9) if known else None
        found.append({"methods": [name, other_name], "rank": rank, "parts": parts})
    return found


def attribute(
    model: Any,
    tokenizer: Any,
    records: Sequence[Record],
    queries: Sequence[Record],
    folder: Path,
    *,
    about: Mapping[str, Any],
    features: int | None = None,
    seed: int = 0,
    damping: float = DAMPING,
    report: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Scored:
    """Score every example against every query and keep all of it in a folder; go on where a run was stopped.

    Args:
        model: with one active LoRA adapter that was trained on the records.
        tokenizer: of the model.
        records: what is to be parted; each response is an example.
        queries: each response is a query.
        folder: is made if it is not there.
        about: what scores.json shall say, too.
        features: numbers that stand for a gradient, about; None leaves it to `room_for`.
        seed: of the projection.
        damping: see `all_scores`.
        report: called with "examples" or "queries", how many are done and how many there are.

    Raises:
        ValueError: no record, or as `collect` and `all_scores`.
        RecordError, OSError: the folder cannot be written to.

    Source: SPA, sections 4.2 and 5.1, with one gradient pass for all queries (sheet, section 9).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the seam between prompt and answer
        sets = {"examples": examples_of(records, tokenizer), "queries": examples_of(queries, tokenizer)}
    width = features or room_for(model, len(sets["examples"]))
    folder.mkdir(parents=True, exist_ok=True)
    write_records(folder / DATA, records)
    write_records(folder / QUERIES, queries)
    rows = {
        what: collect(
            model,
            sets[what],
            folder / name,
            features=width,
            seed=seed,
            report=lambda done, of, what=what: report(what, done, of),
        )
        for what, name in (("examples", GRADIENTS), ("queries", QUERY_GRADIENTS))
    }
    scores = all_scores(rows["examples"], rows["queries"], damping=damping)
    _write_tables(folder / TABLES, scores)
    files = {name: _sha256(folder / name) for name in (DATA, QUERIES, TABLES)}
    n, m = scores["fisher"].shape
    made = {"damping": damping, "gradients": rows["examples"].about, "n": n, "m": m, "files": files}
    write_jsonl(folder / NOTE, [dict(about) | made])
    return Scored(folder, list(records), list(queries), scores, dict(about) | made)


def read_note(folder: Path) -> dict[str, Any] | None:
    """What scores.json of a folder says, None if there is none. A finished one has "files".

    Raises:
        RecordError: the file is damaged.
    """
    path = folder / NOTE
    return next((row for _, row in read_jsonl(path)), None) if path.is_file() else None


def load_scores(folder: Path) -> Scored:
    """What `attribute` left in a folder.

    Raises:
        ValueError: it is no such folder, it was not finished, or a file in it was changed since.

    >>> load_scores(Path("nowhere"))
    Traceback (most recent call last):
    ValueError: nowhere holds no scores: make them with `mrtlab spa attribute`
    """
    about = read_note(folder)
    if about is None:
        raise ValueError(f"{folder} holds no scores: make them with `mrtlab spa attribute`")
    if "files" not in about:
        raise ValueError(f"{folder} holds scores that are not finished: repeat the command that began them")
    for name, digest in about["files"].items():
        if not (folder / name).is_file() or _sha256(folder / name) != digest:
            raise ValueError(f"{folder / name} is missing, or not what it was: repeat the command that made it")
    try:
        with np.load(folder / TABLES, allow_pickle=False) as tables:
            scores = {name: tables[name] for name in METHODS}
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{folder / TABLES} is damaged ({error}): repeat the command that made it") from None
    return Scored(folder, load_records(folder / DATA), load_records(folder / QUERIES), scores, about)


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    a, b = rankdata(one), rankdata(other)
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else None


def _write_tables(path: Path, scores: Mapping[str, Scores]) -> None:
    """All of it or nothing."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise RecordError(f"{path}: cannot be written ({error.strerror}). Check the folder.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **scores)
        os.chmod(temporary, 0o644)  # mkstemp makes private files; this one is like any other
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
