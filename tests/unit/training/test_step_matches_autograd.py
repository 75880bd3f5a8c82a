"""The hand-written step against autograd and torch.optim, in float64."""

import copy

import pytest
import torch

from tests.unit.training.recorder import RecorderLane, classification, regression, run
from tests.unit.training.reference import reference_loss, train_reference
from tuner.training.settings import settings_of

pytestmark = pytest.mark.usefixtures("one_thread")  # several would wait for each other

CASES = {
    "adam": {"optimizer": "adam"},
    "adam with L2": {"optimizer": "adam", "weight_decay": 0.03},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "sgd without momentum": {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.1},
    "sgd with momentum and L2": {"optimizer": "sgd", "weight_decay": 0.01, "learning_rate": 0.02},
    "l1": {"optimizer": "sgd", "l1": 0.003, "learning_rate": 0.05},
    "adam with l1 and L2": {"l1": 0.003, "weight_decay": 0.01},
    "nesterov": {"optimizer": "sgd", "nesterov": True, "learning_rate": 0.02},
    "betas": {"optimizer": "adam", "beta1": 0.7, "beta2": 0.95},
    "betas of adamw": {"optimizer": "adamw", "beta1": 0.0, "beta2": 0.9, "weight_decay": 0.1},
    "rmsprop": {"optimizer": "rmsprop"},
    "rmsprop with L2": {"optimizer": "rmsprop", "weight_decay": 0.03},
    "cosine": {"schedule": "cosine"},
    "step": {"schedule": "step", "step_every": 2, "step_factor": 0.5},
    "one cycle": {"schedule": "one_cycle", "learning_rate": 0.02},
    "one cycle of rmsprop": {"schedule": "one_cycle", "optimizer": "rmsprop"},
    "plateau": {"schedule": "plateau", "plateau_patience": 0, "learning_rate": 0.2},
    "warm-up over parts of epochs": {"warmup": 1.45, "learning_rate": 0.01},
    "warm-up within an epoch": {"warmup": 0.05, "optimizer": "sgd", "learning_rate": 0.02},
    "clipped": {"clip_norm": 0.3, "optimizer": "sgd", "learning_rate": 0.1},
    "clipped with l1": {"clip_norm": 0.05, "l1": 0.01, "optimizer": "rmsprop"},
    "hardly ever clipped": {"clip_norm": 100.0, "optimizer": "sgd", "learning_rate": 0.05},
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
    model, _ = train_reference(data, settings, lane.seed, 5, n_epochs=2)
    for name, ours_FH in states[2]["weights"].items():
        layer, kind = name.rsplit(".", 1)
        index = len(model) - 1 if layer == "output" else 2 * int(layer.split(".")[1])
        theirs = getattr(model[index], kind)
        theirs_FH = theirs.T if kind == "weight" else theirs[None]
        theirs_FH = theirs_FH.T if layer == "output" else theirs_FH
        assert torch.allclose(ours_FH, theirs_FH, atol=1e-10, rtol=1e-10), name


def test_label_smoothing_is_in_the_training_loss_and_not_in_val_loss():
    data = classification(dtype=torch.float64)
    given = {"epochs": 3, "width": 12, "batch_size": 16}
    lane = RecorderLane(3, label_smoothing=0.3, **given)
    run([RecorderLane(4, **given), lane], data)
    model, losses = train_reference(data, settings_of(lane.params), lane.seed, 5)
    assert [v["train_loss"] for v in lane.reports.values()] == pytest.approx(losses, abs=1e-10)
    with torch.no_grad():
        plain = reference_loss(data, model(data.validation.x_NF), data.validation.y_N).item()
    assert lane.reports[3]["val_loss"] == pytest.approx(plain, abs=1e-10)


def test_a_plateau_lowers_the_learning_rate_more_than_once():
    data = regression(dtype=torch.float64)
    params = {"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.2, "width": 12}
    lane = RecorderLane(3, optimizer="sgd", learning_rate=0.5, epochs=12, **params)
    states = {}
    lane.save = lambda step, state: states.update({step: state()["plateau"]})
    run([lane], data)
    assert states[11]["factor"] <= 0.2**2
    _, losses = train_reference(data, settings_of(lane.params), lane.seed, 5)
    assert [v["train_loss"] for v in lane.reports.values()] == pytest.approx(losses, abs=1e-10)


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
