"""Chapter 10's experiments: recipes that are read strictly, arms that cost the same, and runs on a tiny model."""

from dataclasses import replace

import numpy as np
import pytest

from mrtlab.data.records import Record
from mrtlab.data.records_io import write_records
from mrtlab.lab import diffuse_scale, experiments, mrt_scale, recipes, scale_run, spa_data, spa_scale
from mrtlab.lab.mrt_scale import ARMS, MrtScaleCell, Plan
from mrtlab.lab.names import UnknownName
from mrtlab.lab.registry import MissingInput

SMALL = Plan(
    model="embedded", data="callings", prompts=8, k=4, held_out=3, seeds=2, batch_pairs=8, lora_rank=4, lr=1e-3
)


def cell(arm, **changes):
    return MrtScaleCell(arm=arm, seed=0, plan=replace(SMALL, **changes))


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_fits_its_experiment_at_every_scale(name, monkeypatch):
    monkeypatch.delenv("MRTLAB_MODEL", raising=False)
    made = recipes.recipe(name)
    body = experiments.EXPERIMENTS[made.experiment].load()
    for scale in recipes.SCALES:
        cells = body.cells(scale)
        assert len({one.label for one in cells}) == len(cells)
        assert len({one.seed for one in cells}) >= (2 if scale == "smoke" else 5)
        assert all((one.plan.model == "embedded") == (scale != "full") for one in cells)
    assert set(made.arms) == set({"mrt-scale": ARMS, "diffuse-scale": diffuse_scale.ARMS}.get(name, spa_scale.ARMS))


@pytest.mark.parametrize("name", recipes.names())
def test_what_a_recipe_takes_is_what_the_arithmetic_says_and_fits_its_cards(name):
    from transformers import AutoConfig

    from mrtlab.lm.cards import CARDS
    from mrtlab.training.estimate import estimate_cards
    from mrtlab.training.estimate_job import star_job
    from mrtlab.training.method import Method

    config = AutoConfig.for_model(  # of Qwen3-0.6B
        "qwen3", hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
        num_key_value_heads=8, head_dim=128, vocab_size=151936, tie_word_embeddings=True,
    )  # fmt: skip
    made = recipes.recipe(name)
    job, minutes = made.takes["job"], made.takes["minutes_a_run"]
    work = star_job(
        job["prompt"], job["response"], job["k"], vocabulary=config.vocab_size, prompts=job["batch"],
        batch=job["batch"], epochs=job["steps"], parts=job["parts"],
    )  # fmt: skip
    cards = [CARDS[card] for card in made.cards]
    for said in estimate_cards(config, work, method=Method(kind="lora", rank=job["rank"]), cards=cards):
        assert said.memory.peak / 1e9 == pytest.approx(made.takes["memory_gb"], rel=0.1)
        assert said.fits
        if said.card.name in minutes:
            assert [said.run.lo / 60, said.run.hi / 60] == pytest.approx(minutes[said.card.name], rel=0.1)
    plan = mrt_scale.cells("full")[0].plan if name == "mrt-scale" else None
    if plan:
        assert (job["k"], job["parts"], job["steps"]) == (plan.k, plan.accumulate, plan.steps)
        assert job["batch"] == plan.batch_pairs // plan.k


def test_a_recipe_with_a_slip_is_refused_by_name(tmp_path, monkeypatch):
    text = (recipes.folder() / "mrt-scale.yaml").read_text("utf-8")
    monkeypatch.setattr(recipes, "folder", lambda: tmp_path)
    (tmp_path / "mrt-scale.yaml").write_text(text.replace("question:", "ask:"))
    with pytest.raises(ValueError, match=r"mrt-scale\.yaml lacks question"):
        recipes.recipe("mrt-scale")
    (tmp_path / "mrt-scale.yaml").write_text(text + "\nextra: 1\n")
    with pytest.raises(ValueError, match="unknown field 'extra'"):
        recipes.recipe("mrt-scale")
    (tmp_path / "mrt-scale.yaml").write_text(text.replace("lora_rank:", "lora_ranks:"))
    with pytest.raises(ValueError, match=r"mrt-scale\.yaml, smoke: unknown setting 'lora_ranks'"):
        mrt_scale.cells("smoke")
    (tmp_path / "mrt-scale.yaml").write_text(text.replace("held_out: 8, ", ""))
    with pytest.raises(ValueError, match=r"mrt-scale\.yaml, smoke: lacks held_out"):
        mrt_scale.cells("smoke")
    (tmp_path / "mrt-scale.yaml").write_text("- a list\n")
    with pytest.raises(ValueError, match="expected fields"):
        recipes.recipe("mrt-scale")
    with pytest.raises(UnknownName, match="mrt-scale"):
        recipes.recipe("mrt-scales")


def test_numbers_that_do_not_fit_each_other_are_refused():
    with pytest.raises(ValueError, match="batch_pairs must be a multiple of k"):
        replace(SMALL, batch_pairs=6)
    with pytest.raises(ValueError, match="must be a multiple of batch_pairs"):
        replace(SMALL, prompts=9, batch_pairs=8)


def test_all_arms_read_as_many_pairs_in_as_many_steps_and_are_measured_on_the_same():
    seen = {}
    for arm in ARMS:
        one = cell(arm)
        shown, held_out = mrt_scale.data_of(one)
        settings = mrt_scale.settings_for(one)
        read = settings.epochs * sum(len(record) for record in shown)
        steps = settings.epochs * -(-len(shown) // settings.batch_prompts)
        assert (read, steps) == (32, SMALL.steps)
        seen[arm] = {record.prompt for record in shown}, [record.prompt for record in held_out]
        assert not seen[arm][0] & set(seen[arm][1])
    assert seen["one"] == seen["many"]
    assert seen["matched"][1] == seen["many"][1]
    assert seen["many"][0] < seen["matched"][0]
    assert len(seen["matched"][0]) == 32
    first, _ = mrt_scale.data_of(cell("one"))
    whole, _ = mrt_scale.data_of(cell("many"))
    assert [record.responses[0] for record in first] == [record.responses[0] for record in whole]


def test_a_file_of_ones_own_serves_and_one_that_is_too_short_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "mine.jsonl"
    write_records(path, [Record.of(f"Prompt {i}", [f"{i} {j}" for j in range(5)]) for i in range(40)])
    shown, held_out = mrt_scale.data_of(cell("matched", data=str(path)))
    assert (len(shown), len(held_out)) == (32, 3)
    assert all(len(record) == 4 for record in held_out)
    again, _ = mrt_scale.data_of(cell("matched", data=str(path)))
    assert again == shown
    with pytest.raises(MissingInput, match=r"has 40 prompts with 4 responses; .* need 83"):
        mrt_scale.data_of(cell("many", data=str(path), prompts=20))
    with pytest.raises(MissingInput, match="there is no file"):
        mrt_scale.data_of(cell("many", data=str(tmp_path / "none.jsonl")))
    monkeypatch.setenv("MRTLAB_DATA", str(path))
    assert mrt_scale.cells("smoke")[0].plan.data == str(path)


def test_a_model_of_ones_own_needs_a_gpu_or_patience(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.delenv("MRTLAB_DEVICE", raising=False)
    with pytest.raises(MissingInput, match=r"some/model needs a GPU, .* --scale book"):
        scale_run.started("some/model")
    monkeypatch.setenv("MRTLAB_MODEL", "folder")
    assert scale_run.model_name("Qwen/Qwen3-0.6B") == "folder"


def test_a_folder_is_found_again_after_a_kill_and_gone_at_the_end(tmp_path, monkeypatch):
    def killed():
        with scale_run.kept_folder("x", "one-seed0", "ab" * 32) as path:
            path.mkdir()
            (path / "checkpoint").touch()
            raise KeyboardInterrupt

    monkeypatch.setenv("MRTLAB_CACHE", str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        killed()
    with scale_run.kept_folder("x", "one-seed0", "ab" * 32) as again:
        assert (again / "checkpoint").is_file()
    assert not again.exists()


def test_several_responses_are_measured_beside_one(tiny_lab):
    results = experiments.run("mrt_scale", "smoke").results
    assert set(results["arms"]) == set(ARMS)
    many = results["arms"]["many"]
    assert many["loss"]["mean"] - results["arms"]["one"]["loss"]["mean"] == pytest.approx(
        many["less_one"]["mean"], abs=1e-4
    )
    assert results["arms"]["many"]["tokens"]["mean"] < results["arms"]["one"]["tokens"]["mean"]
    assert results["base"]["mean"] > 0
    assert mrt_scale.table(experiments.run("mrt_scale", "smoke").results).rows[0][0] == "before training"


def test_evenness_is_measured_group_by_group(tiny_lab):
    results = experiments.run("diffuse_scale", "smoke").results
    for arm in diffuse_scale.ARMS:
        groups = results["arms"][arm]["groups"]
        assert set(groups) == {"trained", "wordings_new", "families"}
        assert groups["trained"]["after"]["kl"]["mean"] < groups["trained"]["before"]["kl"]["mean"]
        assert 0 <= results["arms"][arm]["facts"]["after"]["mean"] <= 1
    assert len(diffuse_scale.table(results).rows) == 4


def test_anchors_and_measured_facts_are_different_ones():
    [plain, anchored] = [diffuse_scale.asked(one)[0] for one in diffuse_scale.cells("smoke")[:2]]
    assert not plain.anchors
    held = {str(anchor.prompt) for anchor in anchored.anchors}
    assert held
    assert not held & {str(target.prompt) for target in anchored.targets}
    assert {target.use for target in anchored.targets} == {"train", "measure"}


def test_adapters_are_trained_on_parts_and_asked(tiny_lab):
    tiny_lab.setattr("mrtlab.data.tasks.programs.Programs.valid", lambda self, question, answer: len(answer) % 3 > 0)
    for home in (spa_data, spa_scale):
        tiny_lab.setattr(home, "LENGTH", 6)
    results = experiments.run("spa_scale", "smoke").results
    assert set(results["arms"]) == set(spa_scale.ARMS)
    assert results["largest"]["random"]["mean"] == pytest.approx(1)
    assert all(0 <= one["pass@1"]["mean"] <= 1 for one in results["arms"].values())
    assert np.isfinite(results["arms"]["dealt"]["less_seeds"]["pair_share"]["mean"])
    assert set(results["example"]["answers"]) == set(spa_scale.ARMS)
    assert len(spa_scale.table(results).rows) == len(spa_scale.ARMS)
