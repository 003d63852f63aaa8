"""What the commands share: how help shows examples, and how a mistake is reported."""

from typing import NoReturn

import typer


def examples(*commands: str) -> str:
    """Examples at the foot of a help page, one per line."""
    return "\n\n".join(["Examples:", *(f"$ {command}" for command in commands)])


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong in one sentence and leave."""
    typer.echo(f"mrtlab: {message}", err=True)
    raise typer.Exit(code)
