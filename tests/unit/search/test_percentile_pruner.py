"""Median and percentile pruning, alone and beside Optuna's."""

import math

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.search.replay import replay
from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.pruners.percentile import PercentilePruner, percentile_of
from tuner.study.report import RungValue
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict


def build(direction: Direction = Direction.MINIMIZE, **given: float) -> PercentilePruner:
    known = {
        "percentile": 50.0,
        "n_startup_trials": 5,
        "n_warmup_steps": 0,
        "interval_steps": 1,
        "n_min_trials": 1,
    }
    return PercentilePruner(direction=direction, **{**known, **given})  # type: ignore[arg-type]


def complete(values: list[float], step: int = 9) -> Curves:
    """Trials that are COMPLETE with these values at a step and at their end."""
    curves = Curves()
    curves.add(
        [
            RungValue(step=at, number=number, value=value, place=number, is_complete=True)
            for at in (0, step)
            for number, value in enumerate(values)
        ]
    )
    return curves


def history(values: dict[int, float]) -> History:
    return History(number=99, place=99, values=values)


def test_the_reason_names_both_values_and_how_many_trials_were_compared():
    others = complete([0.2, 0.28, 0.28, 0.28, 0.5])
    decision = build().decide(history({8: 0.31, 9: 0.4}), others)
    assert decision.reason == "step 9: best 0.31 is worse than the median 0.28 of 5 trials"
    assert decision.action is Verdict.PRUNE
    quarter = build(percentile=25.0).decide(history({9: 0.31}), others)
    assert quarter.reason == "step 9: best 0.31 is worse than the 25 % percentile 0.28 of 5 trials"


def test_the_best_value_so_far_counts_not_the_latest():
    others = complete([0.2, 0.28, 0.28, 0.28, 0.5])
    decision = build().decide(history({1: 0.28, 9: 4.0}), others)
    assert decision.action is Verdict.CONTINUE
    assert decision.reason == "step 9: best 0.28 is not worse than the median 0.28 of 5 trials"


def test_a_study_that_has_just_begun_is_not_pruned():
    decision = build().decide(history({9: 9.0}), complete([0.1] * 4))
    assert decision.action is Verdict.CONTINUE
    assert decision.reason == "step 9: 4 trials are complete, fewer than at the start-up"
    assert build(n_startup_trials=0).decide(history({9: 9.0}), Curves()).action is Verdict.CONTINUE


def test_values_of_trials_that_were_pruned_do_not_count():
    others = complete([5.0] * 5)
    others.add([RungValue(step=9, number=n, value=0.0, place=n) for n in range(20, 90)])
    assert build().decide(history({9: 4.0}), others).action is Verdict.CONTINUE


def test_too_few_values_at_a_step_are_no_ground():
    others = complete([0.1] * 6, step=3)
    assert build().decide(history({9: 9.0}), others).action is Verdict.CONTINUE
    few = build(n_min_trials=7).decide(history({3: 9.0}), others)
    assert few.action is Verdict.CONTINUE


def test_a_trial_that_reported_nothing_but_nan_is_pruned():
    others = complete([0.1] * 6, step=3)
    assert build().decide(history({3: math.nan}), others).action is Verdict.PRUNE


def test_checks_are_after_the_warm_up_and_at_intervals():
    schedule = build(n_warmup_steps=4, interval_steps=3).schedule(0, 20)
    assert schedule.runs == (range(4, 20, 3),)
    assert build().schedule(0, 1).runs == ()
    others = complete([0.1] * 6, step=4)
    pruner = build(n_warmup_steps=4, interval_steps=3)
    assert pruner.decide(history({3: 9.0}), others).reason == "step 3 is no check"
    # Step 5 is the first report at or after the check of step 4.
    assert pruner.decide(history({3: 9.0, 5: 9.0}), others).action is Verdict.PRUNE
    assert pruner.decide(history({4: 9.0, 5: 9.0}), others).action is Verdict.CONTINUE


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("percentile", [25.0, 50.0, 80.0])
@pytest.mark.parametrize(("warmup", "interval"), [(0, 1), (1, 5), (3, 2)])
def test_decisions_equal_those_of_optuna(direction, percentile, warmup, interval):
    shared = {"n_startup_trials": 4, "n_warmup_steps": warmup, "interval_steps": interval}
    theirs = optuna.pruners.PercentilePruner(percentile, **shared, n_min_trials=2)
    ours = build(direction, percentile=percentile, **shared, n_min_trials=2)
    n_complete, n_pruned = replay(ours, theirs, direction, seed=1)
    assert n_complete >= 4
    assert n_pruned >= 4


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
    st.one_of(st.integers(0, 100), st.floats(0, 100)),
)
def test_percentiles_equal_those_of_numpy(values, percentile):
    assert percentile_of(sorted(values), percentile) == float(np.percentile(values, percentile))
