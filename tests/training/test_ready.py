"""A model made ready to train: formats by card, four bits only where they can be, layers computed twice if asked."""

from types import SimpleNamespace

import pytest
import torch

from mrtlab.lm.cards import CARDS
from mrtlab.lm.models import load_model
from mrtlab.lm.traits import traits_of
from mrtlab.training import ready
from mrtlab.training.method import Method
from mrtlab.training.ready import autocast_of, load_to_train


class OnCuda(torch.nn.Module):
    """Weights that say they are on a GPU, which is all that is asked of them."""

    def parameters(self):
        return iter([SimpleNamespace(device=torch.device("cuda", 0))])


@pytest.mark.parametrize(("native", "flags"), [(True, {"bf16": True}), (False, {"fp16": True})])
def test_products_run_in_the_sixteen_bits_that_a_card_knows(monkeypatch, native, flags):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: native)
    assert autocast_of(OnCuda()) == flags


@pytest.mark.parametrize(
    ("card", "kind", "dtype"),
    [("T4", "lora", "float16"), ("T4", "full", "float32"), ("H100", "lora", "bfloat16"), ("H100", "4bit", "nf4")],
)
def test_a_model_is_loaded_in_the_format_of_card_and_method(monkeypatch, card, kind, dtype):
    asked = {}
    monkeypatch.setattr(ready, "load_model", lambda name, **how: asked.update(how) or ("model", "tokenizer"))
    method = Method(kind=kind, rank=4, attention="flex_attention")
    assert load_to_train("some/model", method=method, card=CARDS[card]) == ("model", "tokenizer")
    assert asked == {"device": "auto", "dtype": dtype, "attention": "flex_attention"}


def test_layers_are_computed_twice_if_asked():
    plain, _ = load_to_train("embedded", method=Method(kind="full"), device="cpu")
    twice, _ = load_to_train("embedded", method=Method(kind="full", checkpointing=True), device="cpu")
    assert not traits_of(plain.train()).checkpointing
    assert traits_of(twice.train()).checkpointing


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU four bits may be had")
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_four_bits_without_a_gpu_are_refused_with_a_remedy(device):
    with pytest.raises(ValueError, match=r"four bits need a CUDA GPU and .* pip install bitsandbytes"):
        load_model("embedded", device=device, dtype="nf4")


def test_four_bits_are_asked_for_as_the_card_computes(monkeypatch):
    asked = {}

    def read(name, **options):
        asked.update(options)
        return torch.nn.Linear(1, 1), "tokenizer"

    monkeypatch.setattr("mrtlab.lm.models.four_bits_here", lambda: True)
    monkeypatch.setattr("mrtlab.lm.models._dtype", lambda dtype, device: torch.float16)
    monkeypatch.setattr("mrtlab.lm.models._read", read)
    monkeypatch.setattr("transformers.BitsAndBytesConfig", lambda **how: how)
    model, _ = load_model("some/model", dtype="nf4")
    assert not model.training
    assert asked["quantization_config"]["bnb_4bit_compute_dtype"] == torch.float16
    assert asked["quantization_config"]["load_in_4bit"]
    assert asked["device_map"] == {"": 0}
