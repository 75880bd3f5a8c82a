"""The table of the trainer's parameters."""

import pytest

from tuner.study.trial import Direction
from tuner.study_file.params.trainer_params import (
    DATA_SETS,
    DEFAULT_METRICS,
    METRICS,
    OBJECTIVES,
    TRAINER_PARAMS,
    Task,
    resolve,
)


@pytest.mark.parametrize("param", TRAINER_PARAMS.values(), ids=lambda param: param.name)
def test_every_default_lies_in_its_domain(param):
    if param.kind == "choice":
        assert param.default in param.choices
    elif param.kind == "flag":
        assert isinstance(param.default, bool)
    else:
        assert param.default in param.domain
        assert type(param.default).__name__ == param.kind


def test_given_params_win_over_defaults():
    resolved = resolve({"width": 8})
    assert resolved["width"] == 8
    assert resolved["optimizer"] == "adam"
    assert list(resolved) == list(TRAINER_PARAMS)


def test_params_of_a_users_own_are_kept():
    resolved = resolve({"kernel": 3, "width": 8})
    assert resolved["kernel"] == 3
    assert set(resolved) == {*TRAINER_PARAMS, "kernel"}


def test_every_task_has_what_can_be_optimized():
    assert set(DATA_SETS.values()) == set(Task)
    for task in Task:
        goals = [f"val_{name}" for name in METRICS[task]]
        assert list(OBJECTIVES[task]) == ["val_loss", *goals]
        assert set(DEFAULT_METRICS[task]) < set(METRICS[task])
    assert OBJECTIVES[Task.REGRESSION]["val_r2"] is Direction.MAXIMIZE
    assert OBJECTIVES[Task.REGRESSION]["val_rmse"] is Direction.MINIMIZE
