"""A loss of the user's own, behind the protocol of ours."""

import logging

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from tests.unit.training.module_models import Lanes, Plain, Reading, model_of
from tests.unit.training.recorder import classification, regression
from tuner.training.fatal_errors import ModelMistake
from tuner.training.losses.built_in import loss_of
from tuner.training.losses.metrics import Metrics
from tuner.training.losses.own import OwnLoss


def _entropy(outputs, y):
    return cross_entropy(outputs, y)


def _squares(outputs, y):
    return mse_loss(outputs[:, 0], y)


def _branching(outputs, y):
    loss = cross_entropy(outputs, y)
    return loss if loss.item() < 100 else loss.sqrt()


def _own(function, data):
    return OwnLoss(function, data.train.y_N.dtype, name=f"net.py:{function.__name__}")


CASES = [(classification, _entropy), (regression, _squares), (classification, _branching)]


@pytest.mark.parametrize(("make_data", "function"), CASES)
@pytest.mark.parametrize("build", [Plain, Reading])
@torch.inference_mode()
def test_it_trains_as_our_own_of_the_same_formula(make_data, function, build):
    data = make_data(n_features=64, dtype=torch.float64)
    seeds = [1, 2, 3] if build is Plain else [1]
    own = _own(function, data)
    found = Lanes(model_of(build, data, own), data, seeds, loss=own)
    wanted = Lanes(model_of(build, data), data, seeds)
    assert torch.allclose(found.train(8), wanted.train(8), atol=1e-10)
    assert torch.allclose(found.rows.parameters_KD, wanted.rows.parameters_KD, atol=1e-10)


@pytest.mark.parametrize(("make_data", "function"), CASES)
@torch.inference_mode()
def test_val_loss_is_its_mean_over_all_chunks(make_data, function):
    data = make_data()
    metrics = Metrics(data, _own(function, data))
    y_N = data.validation.y_N
    output_KCN = torch.randn(3, data.n_outputs, len(y_N))
    found = metrics.of(zip(output_KCN.split(17, 2), y_N.split(17), strict=True))
    ours = Metrics(data, loss_of(data)).of([(output_KCN, y_N)])
    for values, wanted in zip(found, ours, strict=True):
        assert values == pytest.approx(wanted, rel=1e-5)
        assert list(values) == list(wanted)


def test_it_takes_no_weights_of_rows():
    data = classification()
    with pytest.raises(ModelMistake, match=r"net.py:_entropy takes no weights"):
        _own(_entropy, data).targets(data.train.y_N, torch.ones(data.train.n_rows))


@torch.no_grad()
def test_one_that_vmap_refuses_is_called_lane_by_lane_and_says_so_once(caplog):
    data = classification(n_features=64)
    own = _own(_branching, data)
    with caplog.at_level(logging.WARNING):
        lanes = Lanes(model_of(Plain, data, own), data, [1, 2], loss=own)
        lanes.train(3)
    (record,) = caplog.records
    assert record.getMessage() == (
        "net.py:_branching is called for each trial alone: it reads a tensor's value (.item(), "
        "float(), int(), tolist())"
    )


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            lambda outputs, y: (outputs[:, 0] - y).abs(),
            ModelMistake,
            r"net.py:<lambda> returned the shape \(8,\); return the mean loss of the batch as a "
            r"tensor without dimensions, such as losses.mean\(\)",
        ),
        (lambda outputs, y: 3.5, ModelMistake, r"net.py:<lambda> returned 3.5; return the mean"),
        (lambda outputs, y: outputs @ y, RuntimeError, "size mismatch|expected m1 and m2"),
        (lambda outputs: outputs, TypeError, "takes 1 positional argument but 2 were given"),
    ],
)
def test_what_is_broken_comes_out_as_the_users_error(function, error, message):
    data = classification()
    own = _own(function, data)
    with pytest.raises(error, match=message):
        own.plain_sums(torch.randn(2, 3, 8), data.train.y_N[:8])


@torch.no_grad()
def test_classes_stay_whole_on_their_way():
    data = classification()
    seen = []

    def look(outputs, y):
        seen.append(y.dtype)
        return outputs.sum()

    own = _own(look, data)
    target_KCB = own.targets(data.train.y_N[:8]).to(torch.float32).T[None]
    kept, out = torch.empty(2, 3, 8), torch.empty(2, 3, 8)
    own.gradient(torch.randn(2, 3, 8), target_KCB, kept=kept, out=out)
    assert seen[0] == torch.int64
    assert torch.equal(out, torch.ones(2, 3, 8))
