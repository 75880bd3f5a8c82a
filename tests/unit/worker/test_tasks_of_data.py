"""A loss, a metric and a param that do not fit the task, which only the data show."""

import pytest

from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.worker.bad_code import BadCode
from tuner.worker.kinds.trainer.preparing import prepare_trainer


def _prepare(folder, target, params=None, **objective):
    rows = "".join(f"{n % 7},{target(n)}\n" for n in range(60))
    (folder / "rows.csv").write_text(f"x,y\n{rows}")
    stored = {"data": {"csv": "rows.csv", "target": "y"}, "model": "mlp", **objective}
    request = TrainerObjective.model_validate(stored).preparation(params or {}, {}, folder)
    return prepare_trainer({**request, "data_folder": str(folder / "data")})


def _class(n):
    return "abc"[n % 3]


def _number(n):
    return n * 1.37


@pytest.mark.parametrize(
    ("target", "params", "objective", "message"),
    [
        (
            _class,
            {},
            {"loss": {"name": "huber"}},
            "huber does not fit classification; write cross_entropy, or remove it",
        ),
        (
            _number,
            {},
            {"loss": {"name": "cross_entropy", "class_weight": "balanced"}},
            "cross_entropy does not fit regression; write mse or mae or huber, or remove it",
        ),
        (
            _number,
            {},
            {"metrics": ["r2", "f1"]},
            "f1 is no metric of regression; its metrics: mse, rmse, mae, r2",
        ),
        (
            _number,
            {"label_smoothing": 0.1},
            {},
            "label_smoothing has an effect only with the loss cross_entropy; remove it",
        ),
    ],
)
def test_they_are_refused_before_the_study_begins(target, params, objective, message, tmp_path):
    with pytest.raises(BadCode) as caught:
        _prepare(tmp_path, target, params, **objective)
    assert str(caught.value) == message


def test_fitting_ones_are_taken(tmp_path):
    loss = {"name": "cross_entropy", "class_weight": "balanced"}
    found = _prepare(tmp_path, _class, {"label_smoothing": 0.1}, loss=loss, metrics=["f1"])
    assert "val_f1" in found.metrics
