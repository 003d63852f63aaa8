"""Gradients in a file: provenance, resumption after a kill, refusals."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spa_small

from mrtlab.spa import attribution
from mrtlab.spa.attribution import collect, open_gradients, project_for
from mrtlab.spa.gradients import gradients_of


def test_the_file_holds_every_examples_gradient_in_order(tmp_path):
    model, examples = spa_small.adapted(), spa_small.examples(11)
    told = []
    found = collect(model, examples, tmp_path / "g", max_tokens=20, report=lambda *at: told.append(at))
    assert isinstance(found.rows, np.memmap)
    assert found.rows.dtype == np.float32
    assert (found.rows == gradients_of(model, examples, max_tokens=20)).all()
    assert told[-1] == (11, 11)
    assert found.blocks[-1].stop == found.rows.shape[1]
    assert [columns.start for columns in found.columns[1:]] == [columns.stop for columns in found.columns[:-1]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.json", "g.npy"]


def test_queries_go_through_the_same_projection(tmp_path):
    model, examples = spa_small.adapted(), spa_small.examples(5)
    found = collect(model, examples, tmp_path / "g", features=200, seed=3)
    queries = gradients_of(model, examples, projection=project_for(model, features=200, seed=3))
    assert found.rows.shape[1] <= 200
    np.testing.assert_allclose(found.rows, queries, atol=1e-6)
    other = gradients_of(model, examples, projection=project_for(model, features=200, seed=4))
    assert not np.allclose(found.rows, other)


def test_a_run_that_was_killed_goes_on_where_it_was_and_ends_at_the_same_rows(tmp_path):
    model, examples = spa_small.adapted(), spa_small.examples(12)
    whole = collect(model, examples, tmp_path / "whole", max_tokens=20)
    script = (
        "import os, signal, sys; from pathlib import Path; import torch; torch.set_num_threads(1); import spa_small\n"
        "from mrtlab.spa import attribution\n"
        "attribution._SECONDS = 0.0\n"
        "def stop(done, of):\n"
        "    if done >= 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "model, examples = spa_small.adapted(), spa_small.examples(12)\n"
        "attribution.collect(model, examples, Path(sys.argv[1]), max_tokens=20, report=stop)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "cut")],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(ValueError, match="collect again, it goes on there"):
        open_gradients(tmp_path / "cut")
    told = []
    again = collect(model, examples, tmp_path / "cut", max_tokens=20, report=lambda done, of: told.append(done))
    assert told[0] > 6  # what was there
    assert told[-1] == 12  # was not made again
    np.testing.assert_allclose(again.rows, whole.rows, atol=1e-6)  # another number of threads rounds otherwise
    assert again.about == whole.about


def test_a_finished_file_is_read_and_not_made_again(tmp_path, monkeypatch):
    model, examples = spa_small.adapted(), spa_small.examples(3)
    first = np.array(collect(model, examples, tmp_path / "g").rows)
    monkeypatch.setattr(attribution, "in_batches", None)
    assert (collect(model, examples, tmp_path / "g").rows == first).all()


def test_gradients_of_something_else_are_not_gone_on_with(tmp_path):
    model, examples = spa_small.adapted(), spa_small.examples(4)
    collect(model, examples, tmp_path / "g")
    with pytest.raises(ValueError, match="another data"):
        collect(model, examples[:3], tmp_path / "g")
    with pytest.raises(ValueError, match="another features, seed"):
        collect(model, examples, tmp_path / "g", features=200)
    with pytest.raises(ValueError, match="another adapter"):
        collect(spa_small.stirred(model, seed=5), examples, tmp_path / "g")
    layer = model.get_base_model().model.layers[0].input_layernorm
    layer.weight.data[0] += 1
    with pytest.raises(ValueError, match="another model, adapter"):
        collect(model, examples, tmp_path / "g")


def test_missing_and_damaged_files_are_said_to_be(tmp_path, monkeypatch):
    model, examples = spa_small.adapted(), spa_small.examples(2)
    with pytest.raises(ValueError, match="collect the gradients first"):
        open_gradients(tmp_path / "g")
    collect(model, examples, tmp_path / "g")
    (tmp_path / "g.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match="damaged"):
        open_gradients(tmp_path / "g")
    (tmp_path / "g.json").write_text(json.dumps([1]))
    with pytest.raises(ValueError, match="damaged"):
        open_gradients(tmp_path / "g")
    with pytest.raises(ValueError, match="no examples"):
        collect(model, [], tmp_path / "h")
    monkeypatch.setattr(attribution.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 10}))
    with pytest.raises(OSError, match="fewer features"):
        collect(model, examples, tmp_path / "h")
    assert not list(tmp_path.glob("h*"))
