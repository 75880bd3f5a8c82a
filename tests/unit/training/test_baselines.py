"""Simple models on the rows of a network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.unit.training.recorder import classification, regression
from tuner.training.data.dataset import Dataset
from tuner.training.final import baselines
from tuner.training.final.baselines import fit_baselines
from tuner.training.final.evaluation import validate_outputs
from tuner.training.losses.built_in import loss_of
from tuner.training.losses.metrics import Metrics


def _values(data: Dataset, seed: int = 0) -> dict[str, dict[str, float]]:
    metrics = Metrics(data, loss_of(data))
    return {
        found.name: dict(validate_outputs(found.outputs(data.validation), data, metrics))
        for found in fit_baselines(data, seed)
    }


def test_the_values_are_those_of_the_library() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    data = classification()
    found = _values(data)
    x_NF, y_N = data.train.x_NF.numpy(), data.train.y_N.numpy()
    expected = LogisticRegression().fit(x_NF, y_N).predict_proba(data.validation.x_NF.numpy())
    assert list(found) == [
        "most frequent class",
        "logistic regression",
        "histogram gradient boosting",
    ]
    loss = log_loss(data.validation.y_N.numpy(), expected)
    assert found["logistic regression"]["val_loss"] == pytest.approx(loss, rel=1e-4)
    frequency = (data.validation.y_N == data.train.y_N.bincount().argmax()).double().mean()
    assert found["most frequent class"]["val_accuracy"] == pytest.approx(float(frequency))


def test_a_linear_target_is_best_explained_by_ridge_regression() -> None:
    found = _values(regression())
    r2 = [found[name]["val_r2"] for name in ("mean", "histogram gradient boosting")]
    assert found["ridge regression"]["val_r2"] > max(r2)


def test_rows_count_by_their_weights() -> None:
    data = classification()
    weight_N = (data.train.y_N == 2).float() * 100 + 1
    (found, *_) = fit_baselines(replace(data, train=replace(data.train, weight_N=weight_N)), 0)
    assert set(found.outputs(data.validation).argmax(1).tolist()) == {2}


def test_a_class_without_training_rows_has_a_finite_loss() -> None:
    data = classification()
    keep = data.train.y_N != 1
    train = replace(data.train, x_NF=data.train.x_NF[keep], y_N=data.train.y_N[keep])
    found = _values(replace(data, train=train))
    assert all(np.isfinite(values["val_loss"]) for values in found.values())


def test_a_single_class_has_the_first_model_alone() -> None:
    data = classification()
    train = replace(data.train, y_N=torch.zeros_like(data.train.y_N))
    assert list(_values(replace(data, train=train))) == ["most frequent class"]


def test_many_rows_are_a_random_part_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_MAX_CELLS", 1000)
    data = classification()
    assert [found.n_rows for found in fit_baselines(data, 0)] == [50, 50, 50]
    assert _values(data) == _values(data) != _values(data, seed=1)
