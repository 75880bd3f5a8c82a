"""Prepared files: `load_model` and `load_state` refuse each with one sentence, soon and in little
memory. The files are in `hostile_models.py`, which runs as a process of its own."""

import json
import subprocess
import sys

import pytest
import torch

import tuner
from tests.unit.training.hostile_models import good_model, own_net
from tuner.errors import RunFailed
from tuner.export.final_folder import CARD
from tuner.training.checkpoint import encode_tree, save_checkpoint
from tuner.training.lane import UnfitState


def test_every_prepared_file_is_refused_in_time_and_memory(tmp_path):
    command = [sys.executable, "-m", "tests.unit.training.hostile_models", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["odd"] == found["slow"] == found["large"] == [], found
    assert found["refused"] > 1500


@pytest.mark.parametrize("load", [tuner.load_model, tuner.load_state])
def test_own_code_that_saved_nothing_has_left_no_model(load, tmp_path):
    with pytest.raises(RunFailed, match="there is no file"):
        load(tmp_path)
    (tmp_path / CARD).write_text("the card")
    with pytest.raises(RunFailed, match=r"saved no checkpoint; .* TUNER_CHECKPOINT_DIR"):
        load(tmp_path)


@pytest.mark.parametrize("load", [tuner.load_model, tuner.load_state])
def test_files_of_own_code_are_no_model(load, tmp_path):
    (tmp_path / CARD).write_text("the card")
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(RunFailed, match=r"files that your own code saved, in checkpoint/"):
        load(tmp_path)


def test_the_state_of_a_function_is_read_with_load_state(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(encode_tree({"a": torch.ones(2)}))
    with pytest.raises(RunFailed, match=r"the state of a function.*tuner\.load_state"):
        tuner.load_model(tmp_path)
    assert tuner.load_state(tmp_path)["a"].tolist() == [1, 1]


def test_a_models_callable_is_not_called_for_the_built_in_model(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(good_model())
    assert tuner.load_model(tmp_path, build=own_net).predict([[0, 0, 0, 0]]).shape == (1,)


def test_a_state_that_could_not_be_read_again_is_not_saved(tmp_path):
    with pytest.raises(UnfitState, match="put numbers into arrays"):
        save_checkpoint(tmp_path, "x", {"values": [0] * 1_300_000})
    assert list(tmp_path.iterdir()) == []
