"""What the commands share: how help shows examples, and how a mistake is reported."""

import logging
from pathlib import Path
from typing import Any, NoReturn

import typer


def examples(*commands: str) -> str:
    """Examples at the foot of a help page, one per line."""
    return "\n\n".join(["Examples:", *(f"$ {command}" for command in commands)])


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong in one sentence and leave."""
    typer.echo(f"mrtlab: {message}", err=True)
    raise typer.Exit(code)


def shown(text: str) -> str:
    """A text for one cell of a table: line ends as a sign, and no markup of rich's in it."""
    from rich.markup import escape as escaped

    return escaped(text.replace("\n", " ⏎ ")) if text else "(nothing)"


def lm_needed() -> None:
    """Leave with one sentence if what runs language models is not installed."""
    from importlib.util import find_spec

    for package in ("torch", "transformers", "safetensors"):
        if find_spec(package) is None:
            fail(f'this needs {package}; install it with: pip install "mrtlab[lm]"', 1)


def loaded(name: str, device: str) -> tuple[Any, Any]:
    """A model and its tokenizer, said on standard error; or one sentence on why not."""
    lm_needed()
    from transformers.utils import logging as quiet

    from mrtlab.lm.models import load_model

    quiet.disable_progress_bar()
    quiet.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if name != "embedded" and not Path(name).exists():
        typer.echo(f"Looking for {name} here and on the Hugging Face hub ...", err=True)
    try:
        model, tokenizer = load_model(name, device=device)
    except ValueError as error:
        fail(str(error), 1 if "missing from this installation" in str(error) else 2)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    typer.echo(f"{name}: {size:.2f} million parameters on {model.device}, {str(model.dtype)[6:]}", err=True)
    return model, tokenizer
