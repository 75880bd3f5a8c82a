"""The goal of a study must be a metric of its prepared data."""

import pytest

from tuner.agent.workers.preparation import PreparedData, check_goal
from tuner.errors import RunFailed
from tuner.study.trial import Direction
from tuner.study_file.data.sources import SklearnData
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.study_file.model import Algorithm, Budget, StudySpec

METRICS = {"val_loss": "minimize", "val_r2": "maximize"}


def _spec(metric: str, direction: Direction) -> StudySpec:
    return StudySpec(
        name="goals",
        objective=TrainerObjective(data=SklearnData(sklearn="diabetes"), model="mlp"),
        metric=metric,
        direction=direction,
        search_space={},
        sampler=Algorithm(name="random"),
        pruner=Algorithm(name="none"),
        budget=Budget(trials=1),
    )


def _data(metrics: dict[str, str] | None) -> PreparedData:
    return PreparedData(
        folder="", fingerprint="", code={}, summary="442 rows", n_rows=442, metrics=metrics
    )


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("val_accuracy", Direction.MAXIMIZE), ("val_r2", Direction.MINIMIZE)],
)
def test_a_goal_that_the_data_do_not_have_is_refused(metric: str, direction: Direction) -> None:
    with pytest.raises(RunFailed, match="choose one of minimize: val_loss, maximize: val_r2"):
        check_goal(_spec(metric, direction), _data(METRICS))


def test_a_goal_of_the_data_and_any_goal_of_a_function_are_accepted() -> None:
    check_goal(_spec("val_loss", Direction.MINIMIZE), _data(METRICS))
    check_goal(_spec("anything", Direction.MAXIMIZE), _data(None))
