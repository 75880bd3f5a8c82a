"""Trials that train together come out as if each had trained alone, to the last bit."""

import optuna
import pytest

from tests.acceptance.command import wait_until, write_study

# Many kinds of lanes, of which some share a group; every trial runs to its end.
SPACE = {
    "params": "{epochs: 4, width: 24}",
    "search_space": (
        "{learning_rate: {float: [1e-4, 1e-1], log: true}, batch_size: {choice: [32, 64]}, "
        "n_layers: {int: [0, 3]}, dropout: {float: [0, 0.5]}, l1: {float: [0, 0.001]}, "
        "optimizer: {choice: [sgd, adam, adamw]}, activation: {choice: [relu, tanh]}}"
    ),
    "budget": "{trials: 16}",
}


def _curves(tuner, name):
    study = optuna.load_study(study_name=name, storage=tuner.environment["TUNER_STORAGE"])
    return {
        trial.number: (trial.params, trial.value, trial.intermediate_values)
        for trial in study.trials
    }


@pytest.mark.parametrize("data", ["digits", pytest.param("diabetes", marks=pytest.mark.long)])
def test_fused_equals_solo_bit_for_bit(tuner, tmp_path, data):
    objective = f"{{data: {{sklearn: {data}}}, model: mlp}}"
    changes = {**SPACE, "objective": objective}
    alone = write_study(tmp_path, **changes, name="alone", workers="{lanes: 1}")
    tuner("run", alone, "--workers", 1)
    fused = write_study(tmp_path, **changes, name="fused", workers="{lanes: 16}")
    tuner("run", fused, "--workers", 1)
    assert _curves(tuner, "fused") == _curves(tuner, "alone")


@pytest.mark.long
def test_as_many_lanes_as_two_workers_find_good_change_no_bit(tuner, tmp_path):
    alone = write_study(tmp_path, **SPACE, name="alone", workers="{lanes: 1}")
    tuner("run", alone, "--workers", 2)
    measured = write_study(tmp_path, **SPACE, name="measured")
    tuner("run", measured, "--workers", 2)
    assert _curves(tuner, "measured") == _curves(tuner, "alone")


@pytest.mark.long
def test_a_running_study_shows_how_many_trials_share_a_device(tuner, tmp_path):
    changes = {**SPACE, "params": "{epochs: 4000, width: 24}"}
    run = tuner.start(
        "run", write_study(tmp_path, **changes, name="seen", workers="{lanes: 8}"), "--workers", 1
    )

    def has_eight() -> bool:
        status = tuner.look("status", "seen", "--json", code=None)
        return status.code == 0 and status.json["counts"]["RUNNING"] == 8

    wait_until(has_eight, "eight trials train")
    wait_until(lambda: "8 lanes" in tuner.look("status", "seen").out, "the device shows them")
    tuner("stop", "seen")
    assert run.wait(60) == 5  # none was COMPLETE
