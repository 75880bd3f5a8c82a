"""Asynchronous successive halving, alone and beside Optuna's."""

import math
import random

import optuna
import pytest

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.pruners.asha import AshaPruner
from tuner.study.report import RungValue
from tuner.study.schedule import ENDLESS
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict


def asha(
    direction: Direction = Direction.MINIMIZE, min_resource: int = 1, eta: int = 3
) -> AshaPruner:
    return AshaPruner(direction=direction, min_resource=min_resource, reduction_factor=eta)


def curves_at(step: int, values: list[float]) -> Curves:
    curves = Curves()
    curves.add([RungValue(step=step, number=n, value=v, place=n) for n, v in enumerate(values)])
    return curves


def history(step: int, value: float, number: int = 99) -> History:
    return History(number=number, place=number, values={step: value})


def steps(pruner: AshaPruner, place: int, n_steps: int | None) -> tuple[int, ...]:
    return tuple(step for run in pruner.schedule(place, n_steps).runs for step in run)


def test_rungs_grow_by_the_factor_and_end_before_the_last_step():
    assert steps(asha(), 0, 27) == (1, 3, 9)
    assert steps(asha(), 0, 28) == (1, 3, 9, 27)
    assert steps(asha(min_resource=2, eta=4), 5, 100) == (2, 8, 32)
    assert steps(asha(), 0, 1) == ()


def test_where_the_length_is_unknown_rungs_go_on_without_an_end():
    rungs = steps(asha(), 0, None)
    assert rungs[:4] == (1, 3, 9, 27)
    assert rungs[-1] * 3 >= ENDLESS > rungs[-1]


def test_a_report_after_a_rung_is_judged_at_the_highest_rung_that_it_reached():
    others = curves_at(9, [n / 100 for n in range(19)])
    late = History(number=99, place=99, values={2: 0.0, 12: 0.125})
    assert asha().decide(late, others).reason == "rung 9: rank 14 of 20, keeps 6"
    later = History(number=99, place=99, values={12: 0.0, 13: 5.0})
    assert asha().decide(later, others).reason == "step 13 is no rung"


def test_the_reason_names_rung_rank_and_how_many_go_on():
    others = curves_at(9, [n / 100 for n in range(19)])
    decision = asha().decide(history(9, 0.125), others)
    assert decision.reason == "rung 9: rank 14 of 20, keeps 6"
    assert decision.action is Verdict.PRUNE


@pytest.mark.parametrize(
    ("values", "value", "action"),
    [
        ([], 5.0, Verdict.CONTINUE),  # the first at a rung
        ([1.0], 5.0, Verdict.PRUNE),  # one of fewer than eta: only the best goes on
        ([9.0], 5.0, Verdict.CONTINUE),
        ([1.0, 2.0, 3.0, 4.0, 6.0], 1.5, Verdict.CONTINUE),  # second of 6, keeps 2
        ([1.0, 2.0, 3.0, 4.0, 6.0], 2.0, Verdict.CONTINUE),  # a tie for the second place
        ([1.0, 2.0, 3.0, 4.0, 6.0], 2.5, Verdict.PRUNE),
    ],
)
def test_the_best_third_goes_on_ties_included(values, value, action):
    assert asha().decide(history(3, value), curves_at(3, values)).action is action
    mirrored = curves_at(3, [-v for v in values])
    assert asha(Direction.MAXIMIZE).decide(history(3, -value), mirrored).action is action


@pytest.mark.parametrize("direction", Direction)
def test_a_trial_does_not_compete_with_itself(direction):
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    others = curves_at(3, values)
    for number, value in enumerate(values):
        without = curves_at(3, values)
        expected = asha(direction).decide(history(3, value, number), without)
        # In a second attempt it reports something else; its first value does not count then.
        again = asha(direction).decide(history(3, value + 1e-9, number), others)
        assert again == expected
        assert "of 6" in expected.reason


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("step", [1, 2])
def test_a_value_that_is_not_finite_is_pruned_at_any_step(value, step):
    decision = asha().decide(history(step, value), Curves())
    assert decision.action is Verdict.PRUNE
    assert str(value) in decision.reason


def test_between_rungs_and_before_the_first_report_a_trial_goes_on():
    others = curves_at(2, [0.0] * 9)
    between = History(number=99, place=99, values={1: 0.0, 2: 5.0})
    assert asha().decide(between, others).reason == "step 2 is no rung"
    nothing = History(number=0, place=0, values={})
    assert asha().decide(nothing, others).action is Verdict.CONTINUE


def test_the_latest_step_decides():
    others = curves_at(3, [1.0] * 9)
    trial = History(number=99, place=99, values={3: 5.0, 1: 0.0, 2: 0.0})
    assert asha().decide(trial, others).action is Verdict.PRUNE


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(("min_resource", "eta"), [(1, 3), (2, 2), (1, 4)])
@pytest.mark.parametrize("seed", [0, 1])
def test_decisions_equal_those_of_optuna_on_shared_histories(direction, min_resource, eta, seed):
    """Trials report step by step in random turns, values with many ties; every step is reported.

    Left out are the explained differences: the last step, infinities, asking twice.
    """
    n_trials, n_steps, rng = 40, 20, random.Random(seed)
    optunas = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=min_resource, reduction_factor=eta
    )
    study = optuna.create_study(direction=direction.value)
    ours, curves = asha(direction, min_resource, eta), Curves()
    rungs = steps(ours, 0, n_steps)
    trials = {n: study.ask() for n in range(n_trials)}
    values: dict[int, dict[int, float]] = {n: {} for n in trials}
    n_pruned = n_compared = 0
    while trials:
        number = rng.choice(list(trials))
        step = len(values[number]) + 1
        if step == n_steps:  # the last step: nothing is left to prune
            del trials[number]
            continue
        value = math.nan if rng.random() < 0.01 and step == 1 else float(rng.randint(0, 12))
        values[number][step] = value
        trials[number].report(value, step)
        frozen = study._storage.get_trial(trials[number]._trial_id)
        theirs = optunas.prune(study, frozen)
        if step in rungs:
            curves.add([RungValue(step=step, number=number, value=value, place=number)])
        mine = ours.decide(History(number=number, place=number, values=values[number]), curves)
        if not (math.isnan(value) and step < min_resource):  # Optuna waits for the first rung
            assert (mine.action is Verdict.PRUNE) == theirs, mine.reason
        n_compared += step in rungs
        if mine.action is Verdict.PRUNE:
            n_pruned += 1
            del trials[number]
    assert n_pruned > n_trials / 4
    assert n_compared > n_trials


def test_asked_twice_optuna_changes_its_mind_and_we_do_not():
    study = optuna.create_study()
    for value in (0.0, 1.0):
        trial = study.ask()
        trial.report(value, 1)
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        first = pruner.prune(study, study._storage.get_trial(trial._trial_id))
    second = pruner.prune(study, study._storage.get_trial(trial._trial_id))
    assert (first, second) == (True, False)
    others = curves_at(1, [0.0, 1.0])
    assert {asha().decide(history(1, 1.0, 1), others).action for _ in range(3)} == {Verdict.PRUNE}
