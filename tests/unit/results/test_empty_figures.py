"""Figures that cannot be drawn say why."""

from types import SimpleNamespace

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, distribution_to_json

from tuner.results.figures.analysis import analysis_figure
from tuner.results.figures.matters import importance_figure
from tuner.results.figures.trial import trial_figure
from tuner.results.importances import find_importances
from tuner.results.trial_table import empty_table, merge
from tuner.storage.reading.columns import ParamColumn, TrialColumns
from tuner.study.trial import Direction, TrialState


def _board(values):
    n = len(values)
    numbers, nothing = np.arange(n), np.zeros(n)
    columns = TrialColumns(
        numbers=numbers, states=np.zeros(n, np.int64), values=np.array(values, np.float64),
        n_steps=numbers, began=nothing, started=nothing, ended=nothing, seconds=nothing,
        agents=np.zeros(n, np.int64), devices=[""] * n, attempts=np.ones(n, np.int64), failures={},
        given={},
    )  # fmt: skip
    params = [
        ParamColumn(name=name, distribution=distribution_to_json(FloatDistribution(0, 1)),
                    numbers=numbers, values=np.linspace(0, 1, n))
        for name in ("a", "b")
    ]  # fmt: skip
    study = SimpleNamespace(direction=Direction.MINIMIZE, metric="loss")
    return SimpleNamespace(table=merge(empty_table(), columns, params), study=study)


@pytest.mark.parametrize(
    ("values", "said"),
    [([1.0] * 9, "needs 10 complete trials, has 9"), ([1.0] * 12, "all values are equal")],
)
def test_why_no_param_matters(values, said):
    board = _board(values)
    found = find_importances(board.table, Direction.MINIMIZE)
    assert found is None
    assert importance_figure(board, found).empty == said


def test_values_too_far_apart_for_optuna_are_a_sentence():
    figure = analysis_figure(_board([1e308, -1e308, 0.0]), "parallel", ["a", "b"])
    assert "too far apart" in figure.empty


@pytest.mark.parametrize(
    ("state", "said"),
    [("RUNNING", "reported nothing yet"), ("FAIL", "reported nothing"),
     ("PRUNED", "reported nothing")],
)  # fmt: skip
def test_a_trial_that_has_ended_will_report_no_more(state, said):
    page = SimpleNamespace(curve={}, trial=SimpleNamespace(number=0, state=TrialState(state)))
    assert trial_figure(None, page, None).empty.endswith(said)
