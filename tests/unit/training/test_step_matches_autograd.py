"""The hand-written step against autograd and torch.optim, in float64."""

import copy

import pytest
import torch

from tests.unit.training.recorder import RecorderLane, classification, regression, run
from tests.unit.training.reference import reference_loss, train_reference
from tuner.training.settings import settings_of

CASES = {
    "adam": {"optimizer": "adam"},
    "adam with L2": {"optimizer": "adam", "weight_decay": 0.03},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "sgd without momentum": {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.1},
    "sgd with momentum and L2": {"optimizer": "sgd", "weight_decay": 0.01, "learning_rate": 0.02},
    "l1": {"optimizer": "sgd", "l1": 0.003, "learning_rate": 0.05},
    "adam with l1 and L2": {"l1": 0.003, "weight_decay": 0.01},
    "tanh": {"activation": "tanh"},
    "gelu": {"activation": "gelu"},
    "linear": {"n_layers": 0},
    "deep": {"n_layers": 4, "width": 9},
    "batch larger than the data": {"batch_size": 1000},
}


@pytest.mark.parametrize("make_data", [classification, regression])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_lane_trains_like_an_ordinary_module(case, make_data):
    data = make_data(dtype=torch.float64)
    # 150 rows in batches of 16: the last batch of each epoch holds 6
    params = {"epochs": 3, "width": 12, "batch_size": 16, **case}
    lane = RecorderLane(3, **params)
    other = RecorderLane(4, **{**params, "learning_rate": 0.004})
    states = {}
    lane.save = lambda step, state: states.update({step: copy.deepcopy(state())})
    departures = run([other, lane], data)

    settings = settings_of(lane.params)
    model, losses = train_reference(data, settings, lane.seed, 5)
    ours = [lane.reports[step]["train_loss"] for step in (1, 2, 3)]
    assert ours == pytest.approx(losses, abs=1e-10, rel=1e-10)
    with torch.no_grad():
        output = model(data.validation.x_NF)
        val_loss = reference_loss(data, output, data.validation.y_N).item()
    assert lane.reports[3]["val_loss"] == pytest.approx(val_loss, abs=1e-10, rel=1e-10)
    assert len(departures) == 2

    # and every parameter, after the second epoch
    model, _ = train_reference(data, settings_of({**lane.params, "epochs": 2}), lane.seed, 5)
    for name, ours_FH in states[2]["weights"].items():
        layer, kind = name.rsplit(".", 1)
        index = len(model) - 1 if layer == "output" else 2 * int(layer.split(".")[1])
        theirs = getattr(model[index], kind)
        theirs_FH = theirs.T if kind == "weight" else theirs[None]
        theirs_FH = theirs_FH.T if layer == "output" else theirs_FH
        assert torch.allclose(ours_FH, theirs_FH, atol=1e-10, rtol=1e-10), name


def test_regression_reports_error_in_the_targets_own_unit():
    data = regression(dtype=torch.float64)
    lane = RecorderLane(epochs=1, width=4)
    run([lane], data)
    model, _ = train_reference(data, settings_of(lane.params), lane.seed, 5)
    residual = (model(data.validation.x_NF)[:, 0] - data.validation.y_N).detach()
    spread = data.validation.y_N - data.validation.y_N.mean()
    values = lane.reports[1]
    assert values["val_mae"] == pytest.approx(residual.abs().mean().item() * 5.0)
    assert values["val_r2"] == pytest.approx(
        1 - (residual.square().sum() / spread.square().sum()).item()
    )


def test_classification_reports_the_share_of_right_answers():
    data = classification(dtype=torch.float64)
    lane = RecorderLane(epochs=1, width=4)
    run([lane], data)
    model, _ = train_reference(data, settings_of(lane.params), lane.seed, 5)
    right = model(data.validation.x_NF).argmax(1) == data.validation.y_N
    assert lane.reports[1]["val_accuracy"] == right.double().mean().item()
