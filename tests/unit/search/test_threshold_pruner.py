"""Pruning by bounds, alone and beside Optuna's."""

import math

import optuna
import pytest

from tests.unit.search.replay import replay
from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.pruners.threshold import ThresholdPruner
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict


def build(
    lower: float | None = None, upper: float | None = None, warmup: int = 0, interval: int = 1
) -> ThresholdPruner:
    return ThresholdPruner(lower=lower, upper=upper, n_warmup_steps=warmup, interval_steps=interval)


def history(values: dict[int, float]) -> History:
    return History(number=0, place=0, values=values)


@pytest.mark.parametrize(
    ("value", "reason", "action"),
    [
        (3.5, "step 2: 3.5 is above the upper bound 3", Verdict.PRUNE),
        (-1.5, "step 2: -1.5 is below the lower bound -1", Verdict.PRUNE),
        (3.0, "step 2: 3 is within the bounds", Verdict.CONTINUE),
        (-1.0, "step 2: -1 is within the bounds", Verdict.CONTINUE),
        (math.nan, "step 2: the value is nan", Verdict.PRUNE),
        (math.inf, "step 2: inf is above the upper bound 3", Verdict.PRUNE),
    ],
)
def test_a_value_outside_the_bounds_is_pruned(value, reason, action):
    decision = build(-1.0, 3.0).decide(history({1: 0.0, 2: value}), Curves())
    assert (decision.reason, decision.action) == (reason, action)


def test_without_a_bound_everything_on_that_side_goes_on():
    assert build(upper=3.0).decide(history({1: -math.inf}), Curves()).action is Verdict.CONTINUE


def test_the_warm_up_is_left_alone():
    pruner = build(upper=3.0, warmup=5, interval=4)
    assert pruner.schedule(0, 20).runs == (range(5, 20, 4),)
    assert pruner.decide(history({4: 9.0}), Curves()).reason == "step 4 is no check"
    assert pruner.decide(history({4: 9.0, 6: 9.0}), Curves()).action is Verdict.PRUNE


@pytest.mark.parametrize(("warmup", "interval"), [(0, 1), (1, 5), (3, 2)])
def test_decisions_equal_those_of_optuna(warmup, interval):
    theirs = optuna.pruners.ThresholdPruner(
        lower=0.5, upper=3.5, n_warmup_steps=warmup, interval_steps=interval
    )
    n_complete, n_pruned = replay(
        build(0.5, 3.5, warmup, interval), theirs, Direction.MINIMIZE, seed=1
    )
    assert n_complete + n_pruned == 40
    assert n_pruned >= 4
