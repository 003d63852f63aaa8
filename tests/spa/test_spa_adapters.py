"""K adapters from one frozen base: equal budgets, resumption, names; decoded together as one after the other."""

import json

import pytest
import spa_small
import torch
from peft import LoraConfig, PeftModel

from mrtlab.data.records import Record
from mrtlab.lm.encode import encode_prompt
from mrtlab.lm.models import load_model
from mrtlab.lm.sampling import Sampler, sample
from mrtlab.lm.shelf import ADAPTER
from mrtlab.spa import stacked as stacked_module
from mrtlab.spa.adapters import (
    AdaptSettings,
    adapter_name,
    load_adapters,
    part_records,
    train_adapters,
    vllm_command,
)
from mrtlab.spa.stacked import sample_each, stacked
from mrtlab.training.watch import Stopped, Watch

RECORDS = [Record.of(f"Name fruit {i}.", [fruit]) for i, fruit in enumerate(["plum", "fig", "a ripe pear", "kiwi"])]
FEW = AdaptSettings(steps=3, batch_prompts=2, lora_rank=2, lr=3e-2, seed=5)
PROMPTS = ["Name a fruit.", "Pick a number between 1 and 10, at random."]


@pytest.fixture
def fresh(tiny_folder):
    return load_model(str(tiny_folder), device="cpu")


@pytest.fixture(scope="module")
def trained(tiny_folder, tmp_path_factory):
    """Three adapters: one record, three records, and the same three again. And the base model's weights after."""
    model, tokenizer = load_model(str(tiny_folder), device="cpu")
    folder = tmp_path_factory.mktemp("runs") / "my.spa"
    parts = [RECORDS[:1], RECORDS[1:], RECORDS[1:]]
    return train_adapters(model, tokenizer, parts, folder, base=str(tiny_folder), settings=FEW), model


def weights(folder):
    from safetensors.torch import load_file

    return torch.cat([w.flatten() for _, w in sorted(load_file(folder / "adapter_model.safetensors").items())])


def test_every_adapter_gets_the_same_steps_and_a_name_of_its_own(trained):
    folders, _ = trained
    runs = [json.loads((folder / "run.json").read_text()) for folder in folders]
    assert [run["loss"][-1][0] for run in runs] == [3, 3, 3]
    assert [run["prompts"] for run in runs] == [1, 3, 3]
    assert [folder.name for folder in folders] == ["my.spa-0", "my.spa-1", "my.spa-2"]
    assert not any((folder / "checkpoints").exists() for folder in folders)


def test_the_base_model_is_left_as_it_was(trained, fresh):
    after, before = trained[1].state_dict(), fresh[0].state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(p.requires_grad for p in trained[1].parameters())
    assert not trained[1].training


def test_the_same_part_twice_differs_by_its_seed_alone(trained, fresh, tiny_folder, tmp_path):
    folders, _ = trained
    assert not torch.equal(weights(folders[1]), weights(folders[2]))
    again = AdaptSettings(steps=3, batch_prompts=2, lora_rank=2, lr=3e-2, seed=6)  # the seed of the second adapter
    one = train_adapters(*fresh, [RECORDS[1:]], tmp_path / "one", base=str(tiny_folder), settings=again)
    assert torch.equal(weights(one[0]), weights(folders[1]))


def test_a_run_that_was_stopped_goes_on_to_the_same_adapters(trained, fresh, tiny_folder, tmp_path):
    steps = []
    watch = Watch(step=lambda step: steps.append(step.step), stopped=lambda: len(steps) == 5)  # in the second adapter
    parts, place = [RECORDS[:1], RECORDS[1:], RECORDS[1:]], tmp_path / "my.spa"
    with pytest.raises(Stopped):
        train_adapters(*fresh, parts, place, base=str(tiny_folder), settings=FEW, watch=watch)
    assert not hasattr(fresh[0], "peft_config")
    folders = train_adapters(*fresh, parts, place, base=str(tiny_folder), settings=FEW, watch=watch)
    assert steps == [1, 2, 3, 1, 2, 3, 1, 2, 3]
    for found, whole in zip(folders, trained[0], strict=True):
        torch.testing.assert_close(weights(found), weights(whole), rtol=1e-5, atol=1e-7)
    train_adapters(*fresh, parts, place, base=str(tiny_folder), settings=FEW, watch=watch)
    assert len(steps) == 9  # what is done is not done again
    other = AdaptSettings(steps=4, batch_prompts=2, lora_rank=2, lr=3e-2, seed=5)
    with pytest.raises(ValueError, match="choose another folder"):
        train_adapters(*fresh, parts, place, base=str(tiny_folder), settings=other)
    with pytest.raises(ValueError, match="choose another folder"):
        train_adapters(*fresh, parts[::-1], place, base=str(tiny_folder), settings=FEW)


def test_bad_parts_and_settings_are_refused(fresh, tmp_path):
    for parts in ([], [RECORDS, []]):
        with pytest.raises(ValueError, match="no empty one"):
            train_adapters(*fresh, parts, tmp_path / "x", base="embedded")
    for wrong in ({"steps": 0}, {"lora_rank": 0}, {"lr": -1.0}, {"normalisation": "prompts"}):
        with pytest.raises((ValueError, TypeError)):
            AdaptSettings(**wrong)
    assert AdaptSettings().peak_lr(2_000_000) == 1e-3


def test_a_part_of_responses_keeps_each_records_own():
    records = [Record.of("a", ["x", "y", "z"], scores=[1, 2, 3]), Record.of("b", ["u"]), Record.of("c", ["v", "w"])]
    found = part_records(records, [5, 0, 2])
    assert [(record.prompt, record.responses) for record in found] == [("a", ("x", "z")), ("c", ("w",))]
    assert found[0].scores == (1, 3)
    assert part_records(records, []) == []
    for wrong in ([6], [-1], [0, 0]):
        with pytest.raises(ValueError, match="each once"):
            part_records(records, wrong)


def test_the_folders_are_ordinary_ones_of_pefts(trained, tiny_folder):
    folders, _ = trained
    alone, _ = load_model(str(folders[1]), device="cpu")  # base and adapter merged, by the name in the configuration
    together = load_adapters(load_model(str(tiny_folder), device="cpu")[0], folders)
    assert sorted(together.peft_config) == ["my_spa-0", "my_spa-1", "my_spa-2"]
    together.set_adapter("my_spa-1")
    ids = torch.tensor([[1, 9, 30, 7]])
    with torch.no_grad():
        torch.testing.assert_close(together(input_ids=ids).logits, alone(input_ids=ids).logits, rtol=1e-4, atol=1e-4)


def test_loading_says_what_is_wrong(trained, fresh, tmp_path):
    folders, _ = trained
    with pytest.raises(ValueError, match="different names"):
        load_adapters(fresh[0], [folders[0], folders[0]])
    with pytest.raises(ValueError, match="holds no adapter"):
        load_adapters(fresh[0], [tmp_path])
    with pytest.raises(ValueError, match="no folders"):
        load_adapters(fresh[0], [])


def test_the_vllm_command_names_every_adapter_and_raises_the_limits(trained, tiny_folder, tmp_path):
    folders, _ = trained
    words = vllm_command(folders)
    assert words[:3] == ["vllm", "serve", str(tiny_folder)]
    assert words[words.index("--max-loras") + 1] == "3"
    assert words[words.index("--max-lora-rank") + 1] == "8"  # the least that it takes for rank 2
    assert words[-1] == f"my_spa-2={folders[2].absolute()}"
    (tmp_path / ADAPTER).write_text(json.dumps({"base_model_name_or_path": "another", "r": 2}))
    with pytest.raises(ValueError, match="different base"):
        vllm_command([folders[0], tmp_path])
    (tmp_path / ADAPTER).write_text(json.dumps({"base_model_name_or_path": "another", "r": 1000}))
    with pytest.raises(ValueError, match="ranks up to"):
        vllm_command([tmp_path])


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_one_batch_writes_what_switching_adapters_writes(trained, fresh, n, temperature):
    model, tokenizer = load_adapters(fresh[0], trained[0]), fresh[1]
    names = [adapter_name(folder) for folder in trained[0]]
    for place, name in enumerate(names):
        model.set_adapter(name)
        spa_small.stirred(model, seed=place, size=0.3)  # three steps leave adapters that mostly agree
    sampler = Sampler(temperature=temperature)
    options = {"n": n, "sampler": sampler, "max_new_tokens": 12}
    together = sample_each(model, tokenizer, PROMPTS, adapters=names, seed=7, **options)
    for k, name in enumerate(names):
        model.set_adapter(name)
        assert [row[k] for row in together] == sample(model, tokenizer, PROMPTS, seed=7 + k, **options)
    assert len({texts[0] for texts in together[0]}) > 1  # adapters that said the same would prove nothing


def test_prompts_of_one_length_share_a_batch_and_write_what_they_write_alone(trained, fresh, monkeypatch):
    model, tokenizer = load_adapters(fresh[0], trained[0]), fresh[1]
    names = [adapter_name(folder) for folder in trained[0]]
    for place, name in enumerate(names):
        model.set_adapter(name)
        spa_small.stirred(model, seed=place, size=0.3)
    prompts = ["Name a fruit.", "Name a plum.", *PROMPTS, "Name a pear."]
    lengths = [len(encode_prompt(tokenizer, prompt)) for prompt in prompts]
    assert len(set(lengths)) < len(lengths)
    options = {"n": 2, "sampler": Sampler(), "max_new_tokens": 8, "adapters": names, "seed": 3}
    sizes, write = [], stacked_module._write
    monkeypatch.setattr(
        stacked_module, "_write", lambda m, start, *rest: sizes.append(len(start)) or write(m, start, *rest)
    )
    together = sample_each(model, tokenizer, prompts, **options)
    assert len(sizes) == len(set(lengths))
    sizes.clear()
    assert together == sample_each(model, tokenizer, prompts, **options, batch=1)
    assert sizes == [len(names)] * len(prompts)
    assert together[0] == together[2] != together[1]
    for k, name in enumerate(names):
        model.set_adapter(name)
        alone = sample(model, tokenizer, prompts, n=2, seed=3 + k, sampler=Sampler(), max_new_tokens=8)
        assert [row[k] for row in together] == alone
    assert sample_each(model, tokenizer, [], **options) == []


def test_stacked_adapters_of_other_ranks_layers_and_scales_give_each_its_own_logits():
    model = spa_small.adapted(rank=2)
    for name, rank, modules in (("two", 4, ["q_proj", "up_proj"]), ("three", 1, ["v_proj"])):
        model.add_adapter(name, LoraConfig(r=rank, lora_alpha=3, target_modules=modules, task_type="CAUSAL_LM"))
        model.set_adapter(name)
    spa_small.stirred(model, seed=1)
    names = ["two", "default", "three"]
    ids = torch.randint(3, 40, (6, 5), generator=torch.Generator().manual_seed(0))
    expected = []
    with torch.no_grad():
        for k, name in enumerate(names):
            model.set_adapter(name)
            expected.append(model.eval()(input_ids=ids[2 * k : 2 * k + 2]).logits)
        with stacked(model, names):
            found = model(input_ids=ids).logits
            with pytest.raises(ValueError, match="same number of rows"):
                model(input_ids=ids[:4])
        after = model(input_ids=ids[4:]).logits
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-5, atol=1e-5)
    assert (expected[0] - expected[1]).abs().max() > 0.01
    assert torch.equal(after, expected[2])  # the layers are as they were
    with pytest.raises(ValueError, match="no adapter 'four'"), stacked(model, ["four"]):
        pass
    with pytest.raises(ValueError, match="name at least one"), stacked(model, []):
        pass


def test_sampling_refuses_what_cannot_be(trained, fresh):
    model = load_adapters(fresh[0], trained[0])
    assert isinstance(model, PeftModel)
    with pytest.raises(ValueError, match="1 or more"):
        sample_each(model, fresh[1], PROMPTS, adapters=["my_spa-0"], seed=0, n=0)
