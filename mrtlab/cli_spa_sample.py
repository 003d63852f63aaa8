"""The command `mrtlab spa sample`: the answers of all adapters side by side, decoded in one batch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrtlab.cli_common import examples, fail, lm_needed
from mrtlab.cli_lm import DeviceOption, prompts_of
from mrtlab.cli_spa_common import BaseOption, JsonOption, adapter_folders, counting, loaded_with, print_table, told

if TYPE_CHECKING:
    from mrtlab.data.records import Prompt

EXAMPLES = examples(
    'mrtlab spa sample "Write f(x) that returns twice x." --adapters adapters',
    "mrtlab spa sample --file prompts.txt --adapters adapters --n 4 --temperature 0.5 --json",
)


def sample(
    adapters: Annotated[Path, typer.Option(help="The folder that `mrtlab spa adapt` made.", show_default=False)],
    prompt: Annotated[str | None, typer.Argument(help="What to ask.", show_default=False)] = None,
    file: Annotated[
        Path | None,
        typer.Option(help='Ask every line of a text file, or every "prompt" of a .jsonl file.', show_default=False),
    ] = None,
    model: BaseOption = None,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Answers of each adapter.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="Divides the logits; 0 takes the likeliest.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the draws; adapter k takes this plus k.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longer answers are cut here.")] = 128,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Ask all adapters the same and see their answers side by side.

    At temperature 0, the default, every adapter says what it finds likeliest: what differs is what they have learned.
    """
    if (prompt is None) == (file is None):
        fail("give a prompt, or --file with prompts" + ("; not both" if prompt else ""), 2)
    if n > 1 and temperature == 0:
        fail(f"--n {n} at temperature 0 would print the same {n} times: give a --temperature above 0", 2)
    prompts = [prompt] if file is None else prompts_of(file)
    folders = adapter_folders(adapters)
    lm_needed("peft")
    network, tokenizer, names = loaded_with(folders, model, device)
    from mrtlab.lm.sampling import Sampler
    from mrtlab.spa.stacked import sample_each

    found = []
    with told(str(file or adapters), memory="lower --n or --max-new-tokens"), counting() as report:
        for done, asked in enumerate(prompts):
            report("prompts", done, len(prompts))
            found += sample_each(
                network, tokenizer, [asked], adapters=names, seed=seed, n=n,
                sampler=Sampler(temperature=temperature), max_new_tokens=max_new_tokens,
            )  # fmt: skip
    if as_json:
        content = [_content(asked, names, answers) for asked, answers in zip(prompts, found, strict=True)]
        typer.echo(json.dumps(content if file else content[0], indent=2, ensure_ascii=False))
        return
    for asked, answers in zip(prompts, found, strict=True):
        _print(asked, names, answers)


def _content(asked: "Prompt", names: list[str], answers: list[list[str]]) -> dict[str, Any]:
    plain = asked if isinstance(asked, str) else [dict(message) for message in asked]
    said = [{"adapter": name, "answers": texts} for name, texts in zip(names, answers, strict=True)]
    return {"prompt": plain, "different": len({text for texts in answers for text in texts}), "adapters": said}


def _print(asked: "Prompt", names: list[str], answers: list[list[str]]) -> None:
    from mrtlab.data.records import prompt_text

    rows = [[name, text] for name, texts in zip(names, answers, strict=True) for text in texts]
    print_table(prompt_text(asked), ("adapter", "answer"), rows, wide=("adapter", "answer"))
    typer.echo(f"{len({text for _, text in rows})} different among {len(rows)}")
