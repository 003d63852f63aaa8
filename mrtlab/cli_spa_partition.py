"""The command `mrtlab spa partition`: which adapter shall learn from which example."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrtlab.cli_common import command_line, counted, examples, fail, lm_needed, records_of
from mrtlab.cli_spa_common import JsonOption, check_folder_place, pairs_of, print_table, told, whole_folder
from mrtlab.cli_train import sha256_of

if TYPE_CHECKING:
    import numpy as np

    from mrtlab.data.records import Record
    from mrtlab.spa.rules import Made

    Files = dict[str, list[Record]]

EXAMPLES = examples(
    "mrtlab spa partition scores --k 8 --rule influence --out parts",
    "mrtlab spa partition data.jsonl --k 8 --rule seeds --out control",
)
NOTE = "parts.json"
ALL = "all.jsonl"
_ON_DATA = ("lexical", "text-clusters", "dealt", "random", "consecutive", "seeds")
_CUT = 44
_LOPSIDED = 4.0  # the largest part over the smallest, from which on it is worth a remark


@dataclass(frozen=True)
class _Source:
    """What is parted: records, queries where there are any, and the folder of scores or None."""

    path: Path
    records: "list[Record]"
    queries: "list[Record]"
    scored: Any

    def about(self) -> dict[str, Any]:
        file = self.path / "scores.json" if self.scored else self.path
        return {"file": str(self.path), "sha256": sha256_of(file)}


def partition(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder that `mrtlab spa attribute` made; or a .jsonl file, for rules that need no scores: "
            f"{', '.join(_ON_DATA)}.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder of parts to make.", show_default=False)],
    k: Annotated[int, typer.Option("--k", min=1, help="Parts, and so adapters.")] = 8,
    rule: Annotated[
        str,
        typer.Option(
            help="To the query that an example helps most: influence; influence-even, all parts as large; "
            "influence-raw, scores as they are. By shared words: lexical. By likeness: clusters (of scores), "
            "gradient-clusters, text-clusters. Like prompts together, their answers apart: dealt. Blind: random, "
            "consecutive. seeds: all of the data K times, the control."
        ),
    ] = "influence",
    score: Annotated[
        str,
        typer.Option(
            help="Which scores influence and clusters read: grad-dot, whose adapters differed most in chapter 8; "
            "cosine, datainf or fisher."
        ),
    ] = "grad-dot",
    queries: Annotated[
        Path | None,
        typer.Option(help="lexical on a .jsonl file: the questions with their answers.", show_default=False),
    ] = None,
    draws: Annotated[
        int, typer.Option(min=0, help="How often a fifth is left out, to see how firm the parts are; 0 does not look.")
    ] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of chance and of clusterings.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write over parts that are there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Split the examples into K parts, one for each adapter, and say how large, how even and how firm they are.

    In the folder: part-0.jsonl and so on, files of examples like the data, and parts.json with the part of every
    example. Look at the parts before you train on them; they are yours to edit.
    """
    from mrtlab.lab.names import UnknownName

    lm_needed()
    from mrtlab.spa.rules import RULES, SEEDS
    from mrtlab.spa.scored import METHODS

    for kind, name, known in (("rule", rule, RULES), ("score", score, METHODS)):
        if name not in known:
            fail(str(UnknownName(kind, name, known)), 2)
    _check_out(out, force)
    with told(str(source), memory="take another rule"):
        found = _source(source, rule, queries)
        n = sum(map(len, found.records))
        said = {"rule": rule, "score": score if _reads_scores(rule) else None, "k": k, "seed": seed}
        said |= {"source": found.about(), "command": command_line(), "examples": n}
        made, files = _control(found, k) if rule == SEEDS else _parted(found, rule, score, k, seed, draws)
        content = said | made
        _write(out, content, files)
    if as_json:
        typer.echo(json.dumps({"folder": str(out)} | content, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(out, content)


def _reads_scores(rule: str) -> bool:
    return rule.startswith("influence") or rule == "clusters"


def _check_out(out: Path, force: bool) -> None:
    """Leave if the folder may not be made, or would be written over unasked."""
    check_folder_place(out)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / NOTE).is_file():
        fail(f"{out} is not empty and holds no parts: give the name of another folder", 2)
    if not force:
        fail(f"{out} holds parts already: give another name, or add --force to write over them", 2)
    others = sorted(path.name for path in out.iterdir() if path.name not in (NOTE, ALL) and not _is_part(path))
    if others:
        fail(f"{out} holds more than parts, such as {others[0]}: move it away, or give another name", 2)


def _is_part(path: Path) -> bool:
    return path.is_file() and path.name.startswith("part-") and path.suffix == ".jsonl"


def _source(path: Path, rule: str, queries: Path | None) -> _Source:
    """What the path holds, and whether the rule can work on it."""
    from mrtlab.spa.scored import load_scores

    if path.is_dir():
        if queries is not None:
            fail(f"--queries is for a .jsonl file; {path} has its own: leave it out", 2)
        scored = load_scores(path)
        return _Source(path, scored.records, scored.queries, scored)
    if not path.exists():
        fail(f"there is no {path}: give a folder of scores, or a .jsonl file", 2)
    if rule not in _ON_DATA:
        fail(
            f"--rule {rule} needs scores, and {path} is no folder of them: make one with `mrtlab spa attribute`, or "
            f"take one of {', '.join(_ON_DATA)}",
            2,
        )
    if rule == "lexical" and queries is None:
        fail("--rule lexical compares with queries: give a file of them with --queries, or a folder of scores", 2)
    if rule != "lexical" and queries is not None:
        fail(f"--rule {rule} looks at no queries: leave out --queries", 2)
    records = records_of(path, "prompt", "response", "score")
    return _Source(path, records, records_of(queries, "prompt", "response", "score") if queries else [], None)


def _rows(found: _Source, rule: str, score: str) -> "np.ndarray | None":
    """What the rule looks at, a row for each example."""
    from mrtlab.spa.clusters import embed_texts, whitened
    from mrtlab.spa.partition import bm25_plus
    from mrtlab.spa.rules import DEALT, dealing_rows, texts_of

    if rule == DEALT:
        return dealing_rows(found.records)
    if _reads_scores(rule):
        return found.scored.scores[score]
    if rule == "lexical":
        return bm25_plus(texts_of(found.records), texts_of(found.queries))
    if rule == "gradient-clusters":
        return whitened(found.scored.gradients().rows)
    return embed_texts(texts_of(found.records)) if rule == "text-clusters" else None


def _parted(found: _Source, rule: str, score: str, k: int, seed: int, draws: int) -> "tuple[dict[str, Any], Files]":
    """The parts by a rule, what there is to say about them, and the records of each file."""
    from mrtlab.spa.adapters import part_records
    from mrtlab.spa.rules import alike_queries, firmness, make_parts

    n = sum(map(len, found.records))
    if k > n:
        fail(f"{found.path} holds {counted(n, 'example')}, fewer than --k {k}: lower it", 2)
    _check_queries(found, rule, k)
    rows = _rows(found, rule, score)
    made = make_parts(rule, rows, n=n, k=k, seed=seed)
    sizes = made.partition.sizes.tolist()
    if not all(sizes):
        empty = ", ".join(str(part) for part, size in enumerate(sizes) if not size)
        fail(f"rule {rule} leaves parts empty: {empty} of {k}. Take influence-even or random, or a smaller --k", 2)
    parts = [part_records(found.records, members) for members in made.partition.members()]
    content = {
        "sentence": made.sentence,
        "balance": made.partition.balance,
        "firmness": firmness(made, rule, rows, k=k, seed=seed, draws=draws) if draws else None,
        "parts": [
            {"file": f"part-{part}.jsonl", "examples": sizes[part], "prompts": len(parts[part]), "query": query}
            for part, query in enumerate(_query_texts(found, made))
        ],
        "alike": [] if rows is None else [list(pair) for pair in alike_queries(rows, made.queries)],
        "part_of_example": made.partition.part.tolist(),
    }
    return content, {f"part-{part}.jsonl": records for part, records in enumerate(parts)}


def _check_queries(found: _Source, rule: str, k: int) -> None:
    from mrtlab.spa.rules import BY_QUERY

    m = sum(map(len, found.queries))
    if rule in BY_QUERY and k > m:
        more = "repeat `mrtlab spa attribute` with more" if found.scored else "give more"
        fail(f"--k {k} needs as many queries, and there {'is 1' if m == 1 else f'are {m}'}: lower it, or {more}", 2)


def _query_texts(found: _Source, made: "Made") -> list[dict[str, str] | None]:
    """The query of each part, None where a part has none."""
    asked = pairs_of(found.queries)
    if not made.queries:
        return [None] * made.partition.k
    return [{"prompt": asked[place][0], "response": asked[place][1]} for place in made.queries]


def _control(found: _Source, k: int) -> "tuple[dict[str, Any], Files]":
    """All of the data K times: one file, named K times."""
    from mrtlab.spa.rules import SEEDS, sentence_of

    n = sum(map(len, found.records))
    part = {"file": ALL, "examples": n, "prompts": len(found.records), "query": None}
    content = {"sentence": sentence_of(SEEDS), "balance": 1.0, "firmness": None, "parts": [part] * k}
    return content | {"alike": [], "part_of_example": None}, {ALL: found.records}


def _write(out: Path, content: dict[str, Any], files: "Files") -> None:
    """The files and then the note, all or nothing."""
    from mrtlab.data.records_io import write_jsonl, write_records

    with whole_folder(out) as new:
        for name, records in files.items():
            write_records(new / name, records)
        write_jsonl(new / NOTE, [content])


def _print(out: Path, content: dict[str, Any]) -> None:
    from mrtlab.show.evaluation import cut

    parts = content["parts"]
    typer.echo(f"{counted(content['examples'], 'example')} in {counted(len(parts), 'part')}. {content['sentence']}")
    asks = any(part["query"] for part in parts)
    columns = ("part", "examples", "prompts", *(("query", "its answer") if asks else ()))
    rows = []
    for number, part in enumerate(parts):
        query = part["query"] or {"prompt": "", "response": ""}
        cells = [cut(query["prompt"], _CUT), cut(query["response"], _CUT)] if asks else []
        rows.append([str(number), f"{part['examples']:,}", f"{part['prompts']:,}", *cells])
    print_table("sizes", columns, rows, wide=("query", "its answer"))
    typer.echo(f"Balance: the largest part has {content['balance']:.1f} times the examples of the smallest.")
    if content["balance"] >= _LOPSIDED:
        typer.echo("         Adapters of small parts see the same examples often; --rule influence-even evens out.")
    if content["alike"]:
        pairs = ", ".join(f"{one} and {other}" for one, other in content["alike"])
        typer.echo(f"Alike:   parts {pairs} have queries that help the same examples; other queries would part better.")
    if firm := content["firmness"]:
        queries = f", of the queries {firm['queries']:.0%}" if "queries" in firm else ""
        typer.echo(
            f"Firmness: with a fifth of the examples left out {firm['examples']:.0%} stay in the same part{queries}; "
            f"by chance it would be {firm['chance']:.0%}."
        )
    typer.echo(f"Saved: {out}")
    typer.echo(f"Next:  mrtlab spa adapt {shlex.quote(str(out))} --steps 400 --out adapters")
