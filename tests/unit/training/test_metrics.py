"""Metrics of the validation split against scikit-learn's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics as theirs

from tests.unit.training.recorder import RecorderLane, classification, regression
from tuner.study.goal import Goal
from tuner.study_file.params.trainer_params import METRICS, Task
from tuner.training.data.dataset import Split
from tuner.training.groups.device_groups import Groups, train
from tuner.training.groups.sizes import FixedSizes
from tuner.training.losses.built_in import loss_of
from tuner.training.losses.metrics import Metrics, reported_names
from tuner.training.mlp.stack import MLP

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES, NUMBERS = METRICS[Task.CLASSIFICATION], METRICS[Task.REGRESSION]


def _split(y_N):
    return Split(x_NF=torch.zeros(len(y_N), 4), y_N=y_N)


def _classes(y_N, n_classes):
    return replace(classification(), n_classes=n_classes, validation=_split(y_N))


def _wanted(p_NC, y_N, n_classes):
    """scikit-learn's values from probabilities."""
    chosen_N, labels = p_NC.argmax(1), list(range(n_classes))
    macro = {"labels": labels, "average": "macro", "zero_division": 0.0}
    present = [c for c in labels if 0 < (y_N == c).sum() < len(y_N)]
    areas = [theirs.roc_auc_score(y_N == c, p_NC[:, c]) for c in present]
    recalls = theirs.recall_score(y_N, chosen_N, labels=np.unique(y_N), average="macro")
    return {
        "val_loss": theirs.log_loss(y_N, p_NC, labels=labels),
        "val_accuracy": theirs.accuracy_score(y_N, chosen_N),
        "val_balanced_accuracy": recalls,
        "val_precision": theirs.precision_score(y_N, chosen_N, **macro),
        "val_recall": theirs.recall_score(y_N, chosen_N, **macro),
        "val_f1": theirs.f1_score(y_N, chosen_N, **macro),
        "val_auroc": np.mean(areas) if areas else 0.5,
    }


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("has_ties", [False, True])
def test_metrics_of_classes_are_scikit_learns(n_classes, has_ties):
    generator = torch.Generator().manual_seed(n_classes)
    y_N = torch.randint(n_classes, (101,), generator=generator)
    output_KCN = torch.randn(4, n_classes, 101, generator=generator) * 2
    if has_ties:
        output_KCN = output_KCN.round()
        output_KCN[0] = 0.0  # all alike
        output_KCN[1, 0] = 9.0  # one class for every row
    # in chunks whose buffer is overwritten, as a stack does it
    buffer = torch.empty(4, n_classes, 17)

    def chunks():
        for outputs, labels in zip(output_KCN.split(17, 2), y_N.split(17), strict=True):
            buffer[:, :, : len(labels)] = outputs
            yield buffer[:, :, : len(labels)], labels

    data = _classes(y_N, n_classes)
    found = Metrics(data, loss_of(data), tuple(CLASSES)).of(chunks())
    p_KNC = output_KCN.double().softmax(1).transpose(1, 2).numpy()
    for values, p_NC in zip(found, p_KNC, strict=True):
        assert values == pytest.approx(_wanted(p_NC, y_N.numpy(), n_classes), abs=1e-6)


def test_a_class_without_rows_has_no_part_in_auroc_and_balanced_accuracy():
    generator = torch.Generator().manual_seed(1)
    y_N = torch.randint(3, (80,), generator=generator) * 2  # classes 1 and 3 have no rows
    output_KCN = torch.randn(2, 6, 80, generator=generator)
    data = _classes(y_N, 6)
    found = Metrics(data, loss_of(data), tuple(CLASSES)).of([(output_KCN, y_N)])
    p_KNC = output_KCN.double().softmax(1).transpose(1, 2).numpy()
    for values, p_NC in zip(found, p_KNC, strict=True):
        assert values == pytest.approx(_wanted(p_NC, y_N.numpy(), 6), abs=1e-6)


def test_auroc_of_one_class_alone_is_a_half():
    y_N = torch.zeros(9, dtype=torch.int64)
    data = _classes(y_N, 2)
    [values] = Metrics(data, loss_of(data), ("auroc",)).of([(torch.randn(1, 2, 9), y_N)])
    assert values["val_auroc"] == 0.5
    assert set(values) == {"val_loss", "val_auroc"}


def test_probabilities_that_float32_takes_for_1_are_ranked():
    y_N = torch.tensor([0, 1, 1, 1])
    output_1CN = torch.tensor([[[0.0, 0, 0, 0], [20.0, 21, 22, 23]]])
    data = _classes(y_N, 2)
    assert len(set(output_1CN.softmax(1)[0, 1].tolist())) < 4
    [values] = Metrics(data, loss_of(data), ("auroc",)).of([(output_1CN, y_N)])
    assert values["val_auroc"] == 1.0


def test_metrics_of_numbers_are_scikit_learns_in_the_targets_own_unit():
    data = regression(dtype=torch.float64)
    y_N, scale = data.validation.y_N, data.target_scale
    output_K1N = y_N + torch.randn(3, 1, len(y_N), dtype=torch.float64)
    chunks = zip(output_K1N.split(17, 2), y_N.split(17), strict=True)
    found = Metrics(data, loss_of(data), tuple(NUMBERS)).of(chunks)
    for values, output_1N in zip(found, output_K1N, strict=True):
        mine, true = output_1N[0].numpy() * scale, y_N.numpy() * scale
        wanted = {
            "val_loss": theirs.mean_squared_error(true / scale, mine / scale),
            "val_mse": theirs.mean_squared_error(true, mine),
            "val_rmse": theirs.root_mean_squared_error(true, mine),
            "val_mae": theirs.mean_absolute_error(true, mine),
            "val_r2": theirs.r2_score(true, mine),
        }
        assert values == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("task", Task)
def test_a_goal_is_reported_without_being_asked_for(task):
    usual = reported_names(None, "val_loss", task)
    assert usual == (("accuracy",) if task is Task.CLASSIFICATION else ("mae", "r2"))
    for name in METRICS[task]:
        found = reported_names(None, f"val_{name}", task)
        assert set(found) == {*usual, name}
        assert len(found) == len(set(found))
        assert reported_names((name,), f"val_{name}", task) == (name,)


@pytest.mark.parametrize("metric", ["val_auroc", "val_f1"])
def test_the_goal_may_be_any_metric_and_has_its_bits_in_any_company(metric):
    data = classification(n_features=64)
    loss = loss_of(data)
    goal = Goal(metric=metric, direction=CLASSES[metric.removeprefix("val_")])

    def run(lanes):
        metrics = Metrics(data, loss, tuple(CLASSES))
        model, sizes = MLP(data.n_features, data.n_outputs, loss), FixedSizes(64)
        groups = Groups(model, data, loss, data_seed=5, goal=goal, sizes=sizes, metrics=metrics)
        return list(train(groups, lanes))

    together = [RecorderLane(n, n_layers=1 + n, width=24, epochs=4) for n in range(3)]
    for departure in run(together):
        best = max(values[metric] for values in departure.lane.reports.values())
        assert departure.best_values[metric] == best
    for n, grouped in enumerate(together):
        alone = RecorderLane(n, n_layers=1 + n, width=24, epochs=4)
        run([alone])
        assert alone.curve == grouped.curve
