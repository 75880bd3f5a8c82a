"""Objectives that are written for Optuna: what they ask for, how they report, how they stop."""

import math
from typing import Any

import numpy as np
import optuna
import pytest
import torch

import tuner
from tests.unit.test_trial import FakeLane
from tuner.study.verdict import Verdict
from tuner.trial import Mistake, Trial, TrialReleased, check_return

SPACE = {
    "lr": {"float": [1e-5, 1e-1], "log": True},
    "n": {"int": [1, 8]},
    "opt": {"choice": ["sgd", "adam"]},
    "momentum": {"float": [0.0, 0.9], "when": {"opt": ["sgd"]}},
    "size": {"choice": ["(3, 3)", "(5, 5)"]},
}
PARAMS = {"lr": 0.01, "n": 4, "opt": "adam", "size": "(5, 5)", "epochs": 9, "decay": 0.5}


def _trial(*verdicts: Verdict, **about: Any) -> tuple[Trial, FakeLane]:
    lane = FakeLane(*verdicts)
    given = {"params": PARAMS, "metric": "val_loss", "lane": lane, "space": SPACE}
    return Trial(**{**given, **about}), lane


def test_names_of_the_search_space_and_fixed_ones_are_answered() -> None:
    trial, _ = _trial()
    assert trial.suggest_float("lr", 1e-5, 1e-1, log=True) == 0.01
    assert trial.suggest_loguniform("lr", 1e-5, 1e-1) == 0.01
    assert trial.suggest_int("n", 1, 8) == 4
    assert trial.suggest_categorical("opt", ["adam", "sgd"]) == "adam"
    assert trial.suggest_float("decay", 0, 1) == trial.suggest_uniform("decay", 0, 1) == 0.5
    assert trial.suggest_int("epochs", 1, 100, step=2) == 9
    kinds = (trial.suggest_float("n", 1, 8), trial.suggest_int("n", 1, 8))
    assert [type(kind) for kind in kinds] == [float, int]
    assert trial.relative_params == PARAMS


def test_a_choice_of_objects_is_the_objects_that_the_code_has() -> None:
    trial, _ = _trial()
    assert trial.suggest_categorical("size", [(3, 3), (5, 5)]) == (5, 5)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_study_files_range_counts_and_another_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trial, _ = _trial()
    for _ in range(3):
        assert trial.suggest_float("lr", 0.5, 0.9) == 0.01
        trial.suggest_float("momentum" if "momentum" in trial.params else "decay", 0, 2)
    assert _warnings(caplog) == [
        "lr: the code asks for {float: [0.5, 0.9]}, the study file has "
        "{float: [1.0e-05, 0.1], log: true}; the study file's range counts"
    ]


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (("float", "rate", 1e-5, 1e-1, None, True), "rate: {float: [1.0e-05, 0.1], log: true}"),
        (("float", "rate", 0, 1, 0.25), "rate: {float: [0.0, 1.0], step: 0.25}"),
        (("int", "depth", 1, np.int64(9), 2), "depth: {int: [1, 9], step: 2}"),
        (("uniform", "rate", 0, 1), "rate: {float: [0.0, 1.0]}"),
        (("discrete_uniform", "rate", 0, 1, 0.5), "rate: {float: [0.0, 1.0], step: 0.5}"),
        (("categorical", "act", ["no", 1, None, True]), 'act: {choice: ["no", 1, null, true]}'),
        (("categorical", "act", [(1, 2), (3,)]), 'act: {choice: ["(1, 2)", "(3,)"]}'),
    ],
)
def test_an_unknown_name_shows_the_line_to_write(call: tuple[Any, ...], line: str) -> None:
    trial, _ = _trial()
    kind, *arguments = call
    with pytest.raises(Mistake) as caught:
        getattr(trial, f"suggest_{kind}")(*arguments)
    said = f"the study file has no param {call[1]}; add the line `{line}` to its search_space"
    assert str(caught.value) == said


def test_other_names_and_values_that_do_not_fit_are_one_sentence() -> None:
    trial, _ = _trial()
    with pytest.raises(Mistake, match="did you mean momentum"):
        trial.suggest_float("momentun", 0, 1)
    with pytest.raises(Mistake, match=r"does not apply to this trial.*`when: \{opt: \[sgd\]\}`"):
        trial.suggest_float("momentum", 0, 0.9)
    with pytest.raises(Mistake, match="no study file can have a param of the name 'weight decay'"):
        trial.suggest_float("weight decay", 0, 1)
    with pytest.raises(Mistake, match="opt is 'adam', and suggest_float returns a number"):
        trial.suggest_float("opt", 0, 1)
    with pytest.raises(Mistake, match=r"lr is 0.01, and suggest_int.*`lr: \{int: \[1, 3\]\}`"):
        trial.suggest_int("lr", 1, 3)
    with pytest.raises(Mistake, match="is empty"):
        trial.suggest_float("lr", 2, 1)


def test_without_params_they_are_drawn_from_the_seed_by_their_names() -> None:
    def drawn(seed: int, names: str) -> dict[str, object]:
        trial = tuner.Trial(seed=seed)
        for name in names:
            assert 1e-5 <= trial.suggest_float(name, 1e-5, 1e-1, log=True) <= 1e-1
            assert trial.suggest_int(f"{name}_int", 1, 9, step=4) in (1, 5, 9)
            assert 1 <= trial.suggest_int(f"{name}_log", 1, 100, log=True) <= 100
            assert trial.suggest_float(f"{name}_step", 0, 1, step=0.3) in (0, 0.3, 0.6, 0.3 * 3)
            assert trial.suggest_categorical(f"{name}_any", [(1, 2), "x"]) in ((1, 2), "x")
            again = trial.suggest_float(name, 1e-5, 1e-1, log=True)
            assert again == trial.params[name]
        return dict(trial.params)

    first, swapped = drawn(3, "ab"), drawn(3, "ba")
    assert first == swapped
    assert drawn(4, "ab") != first
    assert first["a"] != first["b"]
    with pytest.raises(Mistake, match="the params hold no b"):
        tuner.Trial(params={"a": 1}).suggest_float("b", 0, 1)


def test_an_ordinary_objective_runs_in_its_own_main() -> None:
    def objective(trial: Any) -> float:
        lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        for step in range(5):
            trial.report(lr / (step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(lr)

    trial = tuner.Trial()
    assert objective(trial) == trial.params["lr"]
    assert [step for step, _ in trial.reports] == [1, 2, 3, 4, 5]


def test_two_numbers_are_a_value_and_a_step_from_0() -> None:
    trial, lane = _trial()
    trial.report(0.5, 0)
    trial.report(np.float32(0.25), np.int64(1))
    trial.report(0.125, step=2)
    trial.report(value=torch.tensor(1.0, requires_grad=False), step=3)  # type: ignore[arg-type]
    assert lane.reported == [
        (1, {"val_loss": 0.5}),
        (2, {"val_loss": 0.25}),
        (3, {"val_loss": 0.125}),
        (4, {"val_loss": 1.0}),
    ]
    assert check_return(torch.tensor(2.0), trial, "val_loss") == 2.0


def test_the_other_forms_stay_tuners_own() -> None:
    trial, lane = _trial()
    trial.report(3, val_loss=0.5)
    trial.report(step=4, val_loss=0.25)
    trial.report(val_loss=1)
    assert [step for step, _ in lane.reported] == [3, 4, 5]


def test_a_step_that_does_not_grow_is_ignored_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trial, lane = _trial()
    for step in (0, 1, 1, 0, 2, 2):
        trial.report(step / 10, step)
    assert [step for step, _ in lane.reported] == [1, 2, 3]
    (warning,) = _warnings(caplog)
    assert "step 1 after step 1 is ignored" in warning


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((0.5, -1), "they count from 0"),
        ((0.5, 1.5), "no whole number"),
        ((0.5, None), "no whole number"),
        (("high", 1), "value is a str, not a number"),
        ((1, 2, 3), "a metric needs its name"),
    ],
)
def test_what_is_neither_form_is_one_sentence(numbers: tuple[Any, ...], sentence: str) -> None:
    trial, lane = _trial()
    with pytest.raises(Mistake, match=sentence):
        trial.report(*numbers)
    assert lane.reported == []


def test_an_objective_keeps_to_one_form() -> None:
    trial, _ = _trial()
    trial.report(0.5, 0)
    with pytest.raises(Mistake, match="keep to one of them"):
        trial.report(step=2, val_loss=0.5)
    with pytest.raises(Mistake, match="needs its name"):
        trial.report(0.5, step=2, accuracy=1.0)


def test_a_verdict_is_given_by_should_prune_and_never_raised() -> None:
    trial, _ = _trial(
        Verdict.CONTINUE, Verdict.CONTINUE, Verdict.PRUNE, Verdict.PRUNE, Verdict.PRUNE
    )
    trial.report(0.5, 0)
    assert not trial.should_prune()
    trial.report(0.5, 1)
    trial.checkpoint.save({"step": 1})
    assert trial.should_prune()
    assert trial.end is None


def test_a_release_is_no_verdict_about_the_trial() -> None:
    trial, _ = _trial(Verdict.RELEASE)
    with pytest.raises(TrialReleased):
        trial.report(0.5, 0)
    trial, _ = _trial(Verdict.CONTINUE, Verdict.RELEASE)
    trial.report(0.5, 0)
    with pytest.raises(TrialReleased):
        trial.should_prune()


def test_a_trial_with_checkpoints_is_released_at_its_save() -> None:
    trial, lane = _trial(*[Verdict.RELEASE] * 4)
    trial.checkpoint.load()
    trial.report(0.5, 0)
    assert not trial.should_prune()
    with pytest.raises(TrialReleased):
        trial.checkpoint.save({"step": 0})
    assert lane.saved == [(1, {"step": 0})]


def test_a_value_that_is_not_finite_ends_the_trial_in_this_form_too() -> None:
    trial, _ = _trial()
    with pytest.raises(tuner.TrialEnd):
        trial.report(math.nan, 0)


def test_what_else_an_objective_may_look_at() -> None:
    trial, _ = _trial(number=3)
    trial.set_user_attr("seen", True)
    assert (trial.number, trial.user_attrs, trial.params["n"]) == (3, {"seen": True}, 4)
    assert trial.datetime_start is not None
    for name in ("study", "storage", "distributions", "set_system_attr", "set_constraint"):
        assert not hasattr(trial, name)
        with pytest.raises(Mistake, match=f"Optuna's trial.{name} is not there in tuner: "):
            getattr(trial, name)
    with pytest.raises(AttributeError, match="'Trial' object has no attribute 'nonsense'"):
        trial.nonsense  # noqa: B018


def test_a_metric_called_value_is_reported_in_tuners_form_as_before():
    trial = tuner.Trial(params={"lr": 0.1}, metric="value")
    trial.report(step=3, value=0.5)
    assert trial.reports == [(3, {"value": 0.5})]
    asked = tuner.Trial(params={"lr": 0.1}, metric="value")
    asked.suggest_float("lr", 0.0, 1.0)
    asked.report(value=0.5, step=3)
    assert asked.reports == [(4, {"value": 0.5})]
