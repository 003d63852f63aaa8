"""What tests of several rooms share: a model of the embedded one's build, trained for a moment."""

import dataclasses
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_recipe():
    """A few steps of a few tokens: what comes out speaks in tongues, but it is a model like any other."""
    from mrtlab.lm.pretrain import RECIPES

    return dataclasses.replace(RECIPES["tiny"], steps=12, rows=2, width=16, inner=32, sample_texts=150, bf16=False)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory, tiny_recipe) -> Path:
    """A folder with that model."""
    from mrtlab.lm.pretrain import pretrain

    return pretrain(tmp_path_factory.mktemp("models") / "tiny", tiny_recipe)


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    """That model and its tokenizer."""
    from mrtlab.lm.models import load_model

    return load_model(str(tiny_folder), device="cpu")
