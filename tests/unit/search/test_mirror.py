"""The study in memory."""

import math
import random
from dataclasses import replace

import pytest
from optuna.trial import TrialState as OptunaState

from tuner.search.mirror import Mirror
from tuner.space import to_distributions
from tuner.study.report import RungValue
from tuner.study.trial import Direction, TrialRecord, TrialState
from tuner.study_file.params.space import Choice, FloatRange, When

DISTRIBUTIONS = to_distributions({"a": FloatRange(low=0, high=1)})


def record(number: int, state: TrialState, **fields: object) -> TrialRecord:
    given = {"params": {"a": 0.5}, "value": None, "last_step": None, "last_value": None, **fields}
    return TrialRecord(number=number, state=state, **given)  # type: ignore[arg-type]


def mirror(*records: TrialRecord) -> Mirror:
    made = Mirror(DISTRIBUTIONS, Direction.MINIMIZE)
    made.update(records)
    return made


def shown(of: Mirror) -> list[tuple[int, OptunaState]]:
    return [(trial.number, trial.state) for trial in of.shown()]


def test_an_empty_mirror_has_seen_nothing():
    assert (mirror().highest, mirror().open_numbers, shown(mirror())) == (-1, frozenset(), [])


def test_trials_are_shown_by_number_however_they_arrive():
    records = [record(n, TrialState.COMPLETE, value=float(n)) for n in range(50)]
    random.Random(0).shuffle(records)
    made = mirror(*records)
    assert [trial.number for trial in made.shown()] == list(range(50))
    assert made.highest == 49


def test_a_running_trial_becomes_final_and_then_never_changes():
    made = mirror(record(0, TrialState.RUNNING), record(1, TrialState.RUNNING))
    assert made.open_numbers == {0, 1}
    made.update([record(0, TrialState.COMPLETE, value=1.0)])
    made.update([record(0, TrialState.RUNNING)])
    assert made.open_numbers == {1}
    assert shown(made) == [(0, OptunaState.COMPLETE), (1, OptunaState.RUNNING)]
    assert made.shown()[0].value == 1.0


def test_a_diverged_trial_is_shown_as_pruned_without_a_value():
    made = mirror(record(0, TrialState.FAIL, diverged=True, last_step=3, last_value=0.1))
    assert shown(made) == [(0, OptunaState.PRUNED)]
    assert made.shown()[0].intermediate_values == {}


def test_a_pruned_trial_is_shown_with_its_last_value():
    made = mirror(record(0, TrialState.PRUNED, last_step=3, last_value=0.1))
    assert made.shown()[0].intermediate_values == {3: 0.1}


@pytest.mark.parametrize(
    "hidden",
    [
        record(0, TrialState.FAIL),
        record(0, TrialState.WAITING),
        record(0, TrialState.RUNNING, params={}),
        record(0, TrialState.COMPLETE, value=1.0, params={"b": 1}),
        record(0, TrialState.COMPLETE, value=math.nan),
    ],
)
def test_what_a_model_cannot_use_is_not_shown(hidden):
    made = mirror(hidden)
    assert shown(made) == []
    assert made.highest == 0


def test_all_shown_trials_carry_the_studys_own_distributions():
    made = mirror(record(0, TrialState.RUNNING), record(1, TrialState.COMPLETE, value=1.0))
    assert all(trial.distributions == DISTRIBUTIONS for trial in made.shown())


def test_an_earlier_view_can_be_had_again():
    made = mirror(
        record(0, TrialState.COMPLETE, value=1.0),
        record(1, TrialState.RUNNING),
        record(2, TrialState.WAITING),
        record(4, TrialState.RUNNING, params={}),
    )
    basis = made.basis(0)
    assert (basis.highest, basis.open_numbers) == (4, (1, 2, 4))
    assert basis.hidden == (2, 3, 4)  # 3 was not heard of
    before = shown(made)
    made.update(
        [record(n, TrialState.COMPLETE, value=float(n)) for n in (1, 2, 3, 4, 5)]
        + [record(6, TrialState.RUNNING)]
    )
    assert len(shown(made)) == 7
    earlier = made.as_of(basis)
    assert shown(earlier) == before
    assert earlier.highest == 4
    assert earlier.hidden_numbers == {2, 3, 4}
    assert earlier.open_numbers == {1}  # of what it has heard of
    assert len(shown(made)) == 7


def test_of_a_conditional_space_trials_are_shown_that_have_all_params_that_apply():
    space = to_distributions(
        {
            "optimizer": Choice(choices=("sgd", "adam")),
            "momentum": FloatRange(
                low=0, high=1, when=When(parameter="optimizer", values=("sgd",))
            ),
        }
    )
    made = Mirror(space, Direction.MINIMIZE)
    made.update(
        record(number, TrialState.RUNNING, params=params)
        for number, params in enumerate(
            [
                {"optimizer": "adam", "momentum": 0.5},  # which does not apply
                {"optimizer": "sgd"},
                {"optimizer": "sgd", "momentum": 0.5},
                {},
            ]
        )
    )
    assert [trial.number for trial in made.shown()] == [0, 2]
    assert [trial.params.keys() for trial in made.shown()] == [
        trial.distributions.keys() for trial in made.shown()
    ]
    assert [list(trial.distributions) for trial in made.shown()] == [
        ["optimizer"],
        ["optimizer", "momentum"],
    ]
    assert made.hidden_numbers == {1, 3}


def rung(number: int, step: int, value: float) -> RungValue:
    return RungValue(step=step, number=number, value=value, place=number)


def test_an_earlier_view_has_the_rungs_that_were_known_then():
    made = mirror(
        record(0, TrialState.COMPLETE, value=1.0),
        record(1, TrialState.RUNNING),
        record(2, TrialState.RUNNING),
    )
    made.update_rungs([rung(0, 1, 5.0), rung(0, 3, 4.0), rung(1, 1, 6.0), rung(1, 1, 9.0)])
    basis = made.basis(0, with_rungs=True)
    assert basis.open_rungs == (1, 0)
    made.update_rungs([rung(1, 3, 2.0), rung(2, 1, 7.0), rung(3, 1, 7.0)])
    made.update([record(1, TrialState.COMPLETE, value=2.0), record(3, TrialState.RUNNING)])
    earlier = made.as_of(basis)
    assert [dict(earlier.rungs_of(number)) for number in range(4)] == [
        {1: 5.0, 3: 4.0},
        {1: 6.0},
        {},
        {},
    ]
    assert earlier.basis(0, with_rungs=True) == basis


def test_values_that_have_no_rank_are_left_out():
    made = mirror(record(0, TrialState.RUNNING))
    made.update_rungs([rung(0, 1, math.nan), replace(rung(0, 3, 1.0), is_complete=True)])
    assert dict(made.rungs_of(0)) == {}


def test_steps_at_which_the_pruner_alone_compares_are_left_out():
    made = mirror(record(0, TrialState.RUNNING), record(1, TrialState.COMPLETE, value=1.0))
    made.update_rungs([rung(n, step, 1 / step) for n in range(2) for step in (1, 2, 4, 8)])
    assert [dict(made.rungs_of(number)) for number in range(2)] == [{1: 1.0}, {1: 1.0}]
    basis = made.basis(0, with_rungs=True)
    assert basis.open_rungs == (1,)
    assert dict(made.as_of(basis).rungs_of(0)) == {1: 1.0}
