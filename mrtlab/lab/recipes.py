"""Recipes: what the experiments at full scale train, on what, and what to expect. One YAML file each, in `recipes/`."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from mrtlab.lab.artifacts import repository
from mrtlab.lab.names import UnknownName

SCALES = ("smoke", "book", "full")
_FIELDS = ("experiment", "chapter", "question", "arms", "expect", "cards", "takes")


@dataclass(frozen=True)
class Recipe:
    """One experiment at three scales.

    Attributes:
        experiment: its name in the registry.
        chapter: whose code it runs.
        question: what it asks, in one sentence.
        arms: {name: what it is, in words}.
        expect: what should come out, and who says so.
        cards: GPUs that the full scale fits on.
        takes: memory and time of a run at full scale, and the job that they are predicted for.
        scales: {scale: settings}.
    """

    experiment: str
    chapter: int
    question: str
    arms: Mapping[str, str]
    expect: str
    cards: tuple[str, ...]
    takes: Mapping[str, Any]
    scales: Mapping[str, Mapping[str, Any]]


def folder() -> Path:
    """Where the recipes are: in the checkout, or in the installed package."""
    root = repository()
    return root / "recipes" if root else Path(str(files("mrtlab.lab") / "recipes_shipped"))


def names() -> list[str]:
    """The recipes' names.

    >>> names()
    ['diffuse-scale', 'mrt-scale', 'spa-scale']
    """
    return sorted(path.stem for path in folder().glob("*.yaml"))


def recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        UnknownName: there is none; the message suggests the nearest names.
        ValueError: a field is missing, or one is not known; with the file's name.

    >>> recipe("mrt-scale").scales["full"]["model"]
    'Qwen/Qwen3-0.6B'
    """
    path = folder() / f"{name}.yaml"
    if not path.is_file():
        raise UnknownName("recipe", name, names())
    return read(path)


def read(path: Path) -> Recipe:
    """A recipe from its file.

    Raises:
        ValueError: as `recipe`.
    """
    import yaml  # comes with transformers

    content = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: expected fields with values, see the other recipes")
    wanted = (*_FIELDS, *SCALES)
    if missing := [field for field in wanted if field not in content]:
        raise ValueError(f"{path.name} lacks {', '.join(missing)}")
    if unknown := [field for field in content if field not in wanted]:
        raise ValueError(f"{path.name} has the unknown field {unknown[0]!r}; known are {', '.join(wanted)}")
    about = {field: content[field] for field in _FIELDS} | {"cards": tuple(content["cards"])}
    return Recipe(**about | {"expect": content["expect"].strip()}, scales={scale: content[scale] for scale in SCALES})


def settings_of(name: str, scale: str, kind: type) -> Any:
    """A recipe's settings at a scale, as the dataclass that an experiment reads them with.

    Raises:
        UnknownName: no such recipe.
        ValueError: a setting that the experiment does not know, or one that it needs and does not find.
    """
    some = recipe(name).scales[scale]
    known = {field.name: field.default is MISSING for field in fields(kind)}
    if unknown := [setting for setting in some if setting not in known]:
        raise ValueError(f"{name}.yaml, {scale}: unknown setting {unknown[0]!r}; known are {', '.join(known)}")
    if missing := [setting for setting, needed in known.items() if needed and setting not in some]:
        raise ValueError(f"{name}.yaml, {scale}: lacks {', '.join(missing)}")
    return kind(**some)
