"""Best configs for tests."""

from typing import Any

from tuner.study.trial import Direction
from tuner.study_file.best import BestConfig
from tuner.study_file.data.sources import SklearnData
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.study_file.params.trainer_params import resolve


def make_config(**changes: Any) -> BestConfig:
    """A valid one of the built-in trainer; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "name": "digits",
        "objective": TrainerObjective(data=SklearnData(sklearn="digits"), model="mlp"),
        "metric": "val_loss",
        "direction": Direction.MINIMIZE,
        "params": resolve({"epochs": 3, "learning_rate": 0.004, "width": 16, "dropout": 0.1}),
        "seed": 5,
        "data_seed": 6,
        "best_epoch": 2,
        "provenance": {"study": "digits", "trial": 4, "value": 0.25, "trials": {"tried": 9}},
    }
    return BestConfig(**{**fields, **changes})
