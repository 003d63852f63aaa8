"""The model card of the embedded model, written from an artifact: no number in it is typed. A tool for authors.

python -m mrtlab.show.card            # write the card beside the weights
python -m mrtlab.show.card --freeze   # and their fingerprints, if the gate is passed
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mrtlab.lab import artifacts
from mrtlab.lm import shelf
from mrtlab.show import evaluation as tables

TITLE = "The embedded model"
_EXPERIMENT = "meet_model"


def card_sections(results: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The card as titles and lines of Markdown; the first title is empty, for what stands above all others.

    Args:
        results: of the artifact `meet_model`.
        provenance: of the same.
    """
    return [
        ("", _what(results)),
        ("Its collapse is built in", _collapse(results)),
        ("What it is for, and what it cannot do", _LIMITS),
        ("Family by family", _families(results)),
        ("Facts and programs", _known(results)),
        ("The gate", _gate(results)),
        ("How it was made", _recipe(results)),
        ("Where the numbers are from", _source(results, provenance)),
    ]


def card(results: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """The whole card as one Markdown text; arguments as `card_sections`."""
    parts = [f"# {TITLE}"]
    for title, lines in card_sections(results, provenance):
        parts += [*([f"## {title}"] if title else []), "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


_LIMITS = [
    "It is for experiments on what fine-tuning does to a model's variety, where the right law is known to the last "
    "digit. It is small enough to train on a laptop and loads like any other causal language model.",
    "",
    "- It knows the questions of its families, in short British English, and nothing else. To any other prompt it "
    "answers nonsense, with confidence.",
    "- It knows a question by its key words. Wordings that it never met, composed of parts that it did, are answered; "
    "a sentence of another build may not be, such as “Who runs the city of Brack?” for its mayor.",
    "- Its facts are invented: capitals, mayors and countries belong to a made-up map.",
    "- It answers one question. It has never seen a second turn, a system message or a long prompt.",
    "- “Uniformly” is a word to it, and no operation: families that never met an even spread do not get one from "
    "asking (colours and animals were left out on purpose).",
    "- A result on this model is a result on a very small model. It says nothing by itself about large ones.",
]


def _what(results: Mapping[str, Any]) -> list[str]:
    model = results["model"]
    recipe = model["recipe"] or {}
    shape = f" of {recipe['layers']} layers and width {recipe['width']}" if recipe else ""
    return [
        f"A causal language model of the Llama architecture{shape} with {model['parameters']:,} parameters and a "
        f"tokenizer of its own. It comes with the package ({model['bytes'] / 1e6:.1f} MB, safetensors, half precision) "
        "and answers questions of families whose right answers are known exactly.",
        "",
        "```python",
        "from mrtlab.lm.models import load_model",
        "",
        'model, tokenizer = load_model("embedded")',
        "```",
    ]


def _collapse(results: Mapping[str, Any]) -> list[str]:
    ask = results["ask"]
    return [
        "Models that were post-trained tend to answer open questions with a favourite. This one does so because it "
        "was **taught** to: where a question is put casually, its training answers came from peaked laws. So its "
        "collapse shows how methods act on collapse. It is no evidence of how large models come to collapse.",
        "",
        f"To “{ask['question']}” it says {ask['favourite']} with probability {ask['favourite_p']:.3f}, where an even "
        f"spread would give {ask['truth'][0]:.3f}.",
    ]


def _families(results: Mapping[str, Any]) -> list[str]:
    design = results["design"]
    return [
        f"Up to {design['n_questions']} held-out questions for each family: wordings, ranges and slots that it was "
        "not trained on. Means and 95 % intervals over questions; n: questions. *Validity* is the mass on right "
        "answers, *KL* the divergence of the truth from the model in nats, *shape KL* what remains of it among right "
        "answers, *TV* total variation, *even* the entropy among right answers as a share of its maximum, *favourite* "
        "how many times its even share the likeliest answer has. A dash: too many answers to list, so validity and KL "
        "are measured by drawing. The truth is an even spread for most questions, so a taught peak *should* be far "
        "from it.",
        "",
        *_markdown(tables.COLUMNS, tables.family_rows(results, line=" ", to=" to ")),
    ]


def _known(results: Mapping[str, Any]) -> list[str]:
    tries = results["programs"]["tries"]
    return [
        "Facts, by the likeliest words, in held-out wordings. Some kinds were taught rarely, so that damage to what "
        "the model knows shows there first.",
        "",
        *_markdown(("facts", "questions", "right", "95 %", "nats of the right answer"), tables.facts_rows(results)),
        "",
        f"Programs, {tries} drawn for each of {results['programs']['questions']} questions and run against their "
        "tests.",
        "",
        *_markdown(("k", "pass@k", "95 %"), tables.programs_rows(results)),
    ]


def _gate(results: Mapping[str, Any]) -> list[str]:
    checks = results["gate"]["checks"]
    rows = [[c["name"], c["wanted"], c["found"], "yes" if c["passed"] else "**no**"] for c in checks]
    verdict = "It passes." if results["gate"]["passed"] else "**It does not pass.**"
    return [
        f"What had to be true before the weights were frozen. {verdict}",
        "",
        *_markdown(("check", "wanted", "found", "holds"), rows),
    ]


def _recipe(results: Mapping[str, Any]) -> list[str]:
    model = results["model"]
    recipe = model["recipe"]
    if not recipe:
        return ["The folder of the weights does not say by which recipe they were made."]
    tokens = recipe["steps"] * recipe["rows"] * recipe["length"]
    total = sum(model["shares"].values())
    shares = ", ".join(f"{name} {share / total:.0%}" for name, share in model["shares"].items())
    return [
        f"`mrtlab pretrain FOLDER` makes it again, up to the round-off of the machine: {recipe['steps']:,} steps of "
        f"{recipe['rows']} rows of {recipe['length']} tokens, {tokens / 1e6:.1f} million tokens in all, seed "
        f"{recipe['seed']}, AdamW with a peak rate of {recipe['peak_rate']:g} after {recipe['warmup']} steps and a "
        f"cosine to nothing, {recipe['vocab_size']} pieces of vocabulary.",
        "",
        "**Data.** All of it is generated by `mrtlab.data.tasks`: composed questions with answers drawn from known "
        f"laws. No text by other people went in. Shares of the documents: {shares}.",
        "",
        "**Licence.** MIT, as the code.",
    ]


def _source(results: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[str]:
    return [
        f"Weights: SHA-256 `{results['model']['sha256']}`.",
        "",
        f"Numbers: artifact `{_EXPERIMENT}.{provenance.get('scale', 'book')}`, run at commit "
        f"`{str(provenance.get('commit', 'unknown'))[:10]}` on {str(provenance.get('created', ''))[:10]}; make it "
        f"again with `mrtlab run {_EXPERIMENT} --scale book`. This card is written from it by "
        "`python -m mrtlab.show.card`.",
    ]


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: written; 1: there is no artifact, it is of other weights, or the gate is shut."""
    parser = argparse.ArgumentParser(prog="python -m mrtlab.show.card", description=__doc__.split("\n")[0])
    parser.add_argument("--freeze", action="store_true", help="write the fingerprints too, if the gate is passed")
    options = parser.parse_args(argv)
    try:
        artifact = artifacts.load(_EXPERIMENT)
    except artifacts.ArtifactMissing as error:
        print(error, file=sys.stderr)
        return 1
    found = shelf.look(shelf.EMBEDDED)
    if found is None or found.sha256 != artifact.results["model"]["sha256"]:
        print("the artifact is of other weights than those in the package: mrtlab run meet_model", file=sys.stderr)
        return 1
    if options.freeze and not artifact.results["gate"]["passed"]:
        print("the gate is not passed, so the weights are not frozen", file=sys.stderr)
        return 1
    path = shelf.EMBEDDED / shelf.CARD
    artifacts.write_whole(path, card(artifact.results, artifact.provenance))
    print(f"wrote {path.name}")
    if options.freeze:
        print(f"wrote {shelf.freeze(shelf.EMBEDDED).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
