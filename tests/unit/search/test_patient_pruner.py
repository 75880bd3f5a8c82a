"""Pruning of trials that stopped improving, alone and beside Optuna's."""

import math
import warnings

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning

from tests.unit.search.replay import replay
from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.protocols import Pruner
from tuner.search.pruners.asha import AshaPruner
from tuner.search.pruners.patient import PatientPruner
from tuner.search.pruners.percentile import PercentilePruner
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict


def build(
    patience: int,
    min_delta: float = 0.0,
    direction: Direction = Direction.MINIMIZE,
    wrapped: Pruner | None = None,
) -> PatientPruner:
    return PatientPruner(
        direction=direction, patience=patience, min_delta=min_delta, wrapped=wrapped
    )


def history(*values: float) -> History:
    return History(number=0, place=0, values=dict(enumerate(values, start=1)))


@pytest.mark.parametrize(
    ("values", "action"),
    [
        ((1.0, 2.0), Verdict.CONTINUE),  # too few
        ((1.0, 2.0, 2.0), Verdict.PRUNE),
        ((1.0, 2.0, 1.0), Verdict.CONTINUE),  # a tie keeps up
        ((1.0, 0.5, 2.0), Verdict.CONTINUE),
        ((1.0, 0.5, 2.0, 2.0), Verdict.PRUNE),
        ((math.nan, 2.0, 2.0), Verdict.CONTINUE),
        ((1.0, math.nan, math.nan), Verdict.CONTINUE),
        ((math.nan, 1.0, math.nan, 2.0), Verdict.PRUNE),
    ],
)
def test_patience_ends_when_the_latest_reports_bring_nothing(values, action):
    assert build(1).decide(history(*values), Curves()).action is action
    mirrored = build(1, direction=Direction.MAXIMIZE)
    assert mirrored.decide(history(*(-v for v in values)), Curves()).action is action


def test_the_reason_says_what_was_not_reached():
    reason = build(1).decide(history(0.31, 0.5, 0.4), Curves()).reason
    assert reason == "step 3: best 0.31, not reached in the last 2 reports (best 0.4)"


def test_a_little_worse_is_forgiven():
    assert build(0, min_delta=0.2).decide(history(1.0, 1.1), Curves()).action is Verdict.CONTINUE
    assert build(0, min_delta=0.2).decide(history(1.0, 1.3), Curves()).action is Verdict.PRUNE


def test_alone_it_is_asked_from_the_first_step_at_which_patience_can_end():
    assert build(3).schedule(0, 20).runs == (range(5, 20),)


def test_around_another_pruner_it_has_its_steps_and_needs():
    halving = AshaPruner(direction=Direction.MINIMIZE, min_resource=1, reduction_factor=3)
    pruner = build(0, wrapped=halving)
    assert pruner.schedule(0, 20) == halving.schedule(0, 20)
    assert (pruner.compares_running, pruner.compares_complete) == (True, False)
    assert pruner.decide(history(1.0, 2.0), Curves()).reason == "step 2 is no rung"


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(("patience", "min_delta"), [(0, 0.0), (2, 0.0), (2, 0.5)])
@pytest.mark.parametrize("wraps", [False, True])
def test_decisions_equal_those_of_optuna(direction, patience, min_delta, wraps):
    settings = {"n_startup_trials": 3, "n_warmup_steps": 0, "interval_steps": 1, "n_min_trials": 1}
    inner = optuna.pruners.MedianPruner(**settings) if wraps else None
    median = PercentilePruner(direction=direction, percentile=50.0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        theirs = optuna.pruners.PatientPruner(inner, patience=patience, min_delta=min_delta)
    ours = build(patience, min_delta, direction, median if wraps else None)
    _, n_pruned = replay(ours, theirs, direction, seed=2)
    assert n_pruned >= 3
