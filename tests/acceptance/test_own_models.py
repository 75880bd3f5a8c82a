"""A model and a loss of the user's own in the built-in trainer, from the command line."""

import pytest

STUDY = """\
name: own-net
objective:
  data: {{sklearn: digits}}
  model: net.py:{model}
  loss: net.py:smooth
minimize: val_loss
params: {{epochs: 3, {params}}}
search_space:
  learning_rate: {{float: [0.003, 0.03], log: true}}
sampler: random
pruner: none
budget: {{trials: 3}}
failures: {{retries: 0}}
"""

NET = """\
import torch
from torch import nn
from torch.nn.functional import cross_entropy

def smooth(outputs, y):
    return cross_entropy(outputs, y, label_smoothing=0.1)

def cnn(n_outputs, n_channels):
    print("this is not an answer")
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, n_channels, 3, padding=1),
        nn.BatchNorm2d(n_channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(16 * n_channels, n_outputs),
    )

class Recurrent(nn.Module):
    def __init__(self, n_outputs, n_channels):
        super().__init__()
        self.layer = nn.GRU(8, n_channels, batch_first=True)
        self.last = nn.Linear(n_channels, n_outputs)

    def forward(self, x):
        return self.last(self.layer(x.view(-1, 8, 8))[0][:, -1])

class Broken(Recurrent):
    def forward(self, x):
        return self.last(x)
"""


def _write(folder, model="cnn", params="n_channels: 4"):
    (folder / "net.py").write_text(NET)
    path = folder / "own-net.yaml"
    path.write_text(STUDY.format(model=model, params=params))
    return path


@pytest.mark.parametrize("model", ["cnn", pytest.param("Recurrent", marks=pytest.mark.long)])
def test_a_model_and_a_loss_in_a_file_are_searched(model, tuner, tmp_path):
    file = _write(tmp_path, model)
    tuner.look("check", file)
    finished = tuner("run", file, "--workers", 1)
    assert "own-net: finished, 3 of 3 trials" in finished.out
    trials = tuner.look("trials", "own-net", "--json").json
    assert [trial["state"] for trial in trials] == ["COMPLETE"] * 3
    assert len({trial["value"] for trial in trials}) == 3
    # of 10 classes: chance is 2.3, and smoothed labels cannot come below 0.5
    assert all(0.5 < trial["value"] < 2.25 for trial in trials)


def test_half_precision_is_searched_by_the_built_in_model(tuner, tmp_path):
    file = tmp_path / "half.yaml"
    file.write_text(
        "name: half\nobjective: {data: {sklearn: digits}, model: mlp}\nminimize: val_loss\n"
        "params: {epochs: 2}\nsearch_space: {precision: {choice: [float32, bfloat16]}}\n"
        "sampler: grid\npruner: none\n"
    )
    tuner("run", file, "--workers", 1)
    trials = tuner.look("trials", "half", "--json").json
    single, half = sorted(trials, key=lambda trial: trial["params"]["precision"], reverse=True)
    assert single["value"] != half["value"]
    assert half["value"] == pytest.approx(single["value"], rel=0.2)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ("n_chanels: 4", "net.py:cnn takes no parameter n_chanels; did you mean n_channels?"),
        pytest.param(
            "weight_decay: 0.1",
            "net.py:cnn needs n_channels; add it to params or to search_space",
            marks=pytest.mark.long,
        ),
    ],
)
def test_params_that_do_not_fit_the_model_are_said_before_there_is_a_study(
    params, sentence, tuner, tmp_path
):
    file = _write(tmp_path, params=params)
    tuner.look("check", file)  # which runs no code of the user's
    refused = tuner("run", file, "--workers", 1, code=1)
    assert sentence in refused.err
    assert tuner.look("status", "--json").json == []


def test_a_broken_model_fails_with_its_own_error(tuner, tmp_path):
    file = _write(tmp_path, "Broken")
    tuner("run", file, "--workers", 1, "--set", "budget.trials=1", code=5)
    (trial,) = tuner.look("trials", "own-net", "--json").json
    assert trial["state"] == "FAIL"
    assert "mat1 and mat2 shapes cannot be multiplied" in trial["reason"]


@pytest.mark.long
def test_the_files_of_model_and_loss_are_the_objectives_code(tuner, tmp_path):
    file = _write(tmp_path)
    file.write_text(file.read_text() + "code: refuse\n")
    tuner("run", file, "--workers", 1)
    (tmp_path / "net.py").write_text(NET.replace("Dropout(0.1)", "Dropout(0.2)"))
    tuner.look("extend", "own-net", "--trials", 4)
    refused = tuner("run", file, "--workers", 1, code=2)
    assert "net.py" in refused.err
