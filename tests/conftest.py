"""What tests of several rooms share: a model of the embedded one's build, trained for a moment."""

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: how long a case takes says more about the machine's neighbours than about the code. Where a change is
# about to land, the same cases every time: what fails there should be the change. At a desk, new ones at every run.
settings.register_profile("mrtlab", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("mrtlab")


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
