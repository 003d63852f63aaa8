"""Models by name: what loads, and the one sentence where nothing does."""

import logging
import re
import shutil

import pytest
import torch

from mrtlab.lm import shelf
from mrtlab.lm.models import find_device, load_model


@pytest.fixture
def no_network(monkeypatch):
    """As on a machine without network, but without the half minute in which the hub's library tries again."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_folder_loads_and_what_was_chosen_is_said(tiny_folder, caplog):
    caplog.set_level(logging.INFO, logger="mrtlab")
    model, tokenizer = load_model(str(tiny_folder), device="cpu")
    assert model.dtype == torch.float32
    assert not model.training
    assert tokenizer.chat_template
    assert re.search(r"0\.0\d million parameters on cpu in float32", caplog.text)


def test_the_embedded_model_is_a_folder_like_any_other(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "EMBEDDED", tmp_path / "nothing")
    with pytest.raises(ValueError, match="embedded model is missing") as error:
        load_model()
    assert "mrtlab pretrain" in one_sentence(error)
    monkeypatch.setattr(shelf, "EMBEDDED", tiny_folder)
    assert (
        load_model(device="cpu")[0].config.vocab_size == load_model(str(tiny_folder), device="cpu")[0].config.vocab_size
    )


@pytest.mark.parametrize(("dtype", "wanted"), [("float64", torch.float64), ("bfloat16", torch.bfloat16)])
def test_the_dtype_is_what_was_asked_for(tiny_folder, dtype, wanted):
    assert load_model(str(tiny_folder), device="cpu", dtype=dtype)[0].dtype == wanted


def test_unknown_dtypes_and_devices_are_refused(tiny_folder):
    with pytest.raises(ValueError, match="choose from auto, float32") as error:
        load_model(str(tiny_folder), dtype="float8")
    one_sentence(error)
    with pytest.raises(ValueError, match="unknown device 'abacus'") as error:
        load_model(str(tiny_folder), device="abacus")
    one_sentence(error)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="finds no GPU here: use device='cpu'"):
        find_device("cuda")


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c"])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(ValueError, match=f"there is no folder {name}") as error:
        load_model(name)
    assert "hub name" in one_sentence(error)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ValueError, match=r"without a config\.json"):
        load_model(str(tmp_path))


def test_a_folder_with_half_a_model(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "half")
    (tmp_path / "half" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="cannot load") as error:
        load_model(str(tmp_path / "half"))
    one_sentence(error)


def test_damaged_weights(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "damaged")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot load") as error:
        load_model(str(folder))
    one_sentence(error)


def test_a_hub_name_without_network(no_network):
    with pytest.raises(ValueError, match="cannot load 'nobody/no-such-model' from the Hugging Face hub") as error:
        load_model("nobody/no-such-model")
    assert "use 'embedded'" in one_sentence(error)


def test_the_shelf_counts_and_fingerprints(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    seen = shelf.look(folder)
    model, _ = load_model(str(folder), device="cpu")
    assert seen.parameters == sum(p.numel() for p in model.parameters())
    assert (seen.check, seen.card) == ("not frozen", None)
    assert seen.recipe["width"] == model.config.hidden_size
    shelf.freeze(folder)
    assert shelf.look(folder).check == "frozen"
    with (folder / "config.json").open("a") as file:
        file.write("\n")
    assert shelf.look(folder).check == "changed"
    assert shelf.look(tmp_path) is None
