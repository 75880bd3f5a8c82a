"""The arguments, the environment and the files of a command for one trial."""

import json
import sys

import pytest
from ruamel.yaml import YAML

from tuner.study_file.kinds.command.config_file import BadConfig
from tuner.study_file.kinds.command.objective import CommandObjective
from tuner.study_file.kinds.command.report import Report
from tuner.worker.kinds.command.invocation import TrialPlace, build_invocation

PARAMS = {"lr": 1e-05, "layers": 3, "act": "leaky relu", "bias": True, "seed_of": None}


@pytest.fixture
def place(tmp_path):
    trial_dir = tmp_path / "trial"
    trial_dir.mkdir()
    return TrialPlace(
        number=7,
        seed=2**31 + 5,
        step=4,
        device="cpu",
        folder=tmp_path,
        trial_dir=trial_dir,
        checkpoint_dir=trial_dir / "checkpoint",
    )


def build(place, *command, params=PARAMS, inherited=None, **more):
    objective = CommandObjective(command=command, **more)
    return build_invocation(objective, params, place, inherited or {})


def test_values_are_written_as_yaml_and_json_write_them(place):
    built = build(place, "run", "--lr={lr}", "{act}", "{bias}", "{seed_of}", "{{lr}}", "x{layers}y")
    assert built.arguments == ("run", "--lr=1e-05", "leaky relu", "true", "null", "{lr}", "x3y")


@pytest.mark.parametrize(
    ("style", "arguments"),
    [
        ("space", ["--lr", "0.1", "--opt.name", "sgd"]),
        ("equals", ["--lr=0.1", "--opt.name=sgd"]),
        ("hydra", ["lr=0.1", "opt.name=sgd"]),
    ],
)
def test_all_params_are_arguments_in_three_styles(place, style, arguments):
    params = {"lr": 0.1, "opt.name": "sgd"}
    built = build(place, "run", "{args}", "end", params=params, args_style=style)
    assert built.arguments == ("run", *arguments, "end")


def test_a_param_without_a_value_leaves_its_option_out(place):
    words = ("run", "--momentum", "{momentum}", "--lr", "{lr}", "--nesterov={momentum}")
    assert build(place, *words, params={"lr": 0.1}).arguments == ("run", "--lr", "0.1")


def test_a_trial_is_named_by_placeholders_and_variables(place):
    built = build(place, "{python}", "{seed}", "{trial}", "{trial_dir}", "{checkpoint_dir}")
    assert built.arguments == (
        sys.executable,
        "5",
        "7",
        str(place.trial_dir),
        str(place.checkpoint_dir),
    )
    assert built.environment["TUNER_SEED"] == "5"
    assert built.environment["TUNER_STEP"] == "4"
    assert built.environment["TUNER_TRIAL"] == "7"
    assert built.environment["TUNER_CHECKPOINT_DIR"] == str(place.checkpoint_dir)


def test_the_own_variables_may_set_how_python_writes(place):
    env = {"LR": "{lr}", "GONE": "{momentum}", "PYTHONUNBUFFERED": ""}
    built = build(place, "run", env=env, params={"lr": 0.5})
    assert {name: built.environment[name] for name in env} == {
        "LR": "0.5",
        "GONE": "",
        "PYTHONUNBUFFERED": "",
    }
    assert build(place, "run").environment["PYTHONUNBUFFERED"] == "1"
    inherited = {"PYTHONUNBUFFERED": "x"}
    assert "PYTHONUNBUFFERED" not in build(place, "run", inherited=inherited).environment


def test_params_come_in_files(place):
    built = build(place, "run", "{params_json}", "{params_yaml}")
    _, as_json, as_yaml = built.arguments
    with open(as_json) as file:
        assert json.load(file) == PARAMS
    with open(as_yaml) as file:
        assert YAML(typ="safe").load(file) == PARAMS


@pytest.mark.parametrize("name", ["base.yaml", "base.json"])
def test_params_are_written_over_the_keys_of_a_config(place, name):
    content = {"optimizer": {"lr": 0.1, "name": "sgd"}, "layers": [1, 2], "note": "kept"}
    (place.folder / name).write_text(json.dumps(content))
    params = {"optimizer.lr": 0.5, "layers": 4, "unused": 1}
    built = build(place, "run", "{config}", params=params, config=name)
    with open(built.arguments[1]) as file:
        written = YAML(typ="safe").load(file)
    assert written == {"optimizer": {"lr": 0.5, "name": "sgd"}, "layers": 4, "note": "kept"}
    assert json.loads((place.folder / name).read_text()) == content


@pytest.mark.parametrize("text", ["[1, 2]", "a: !!python/object/apply:os.system [ls]", "a: [", ""])
def test_a_config_that_is_no_mapping_is_refused_in_one_sentence(place, text):
    (place.folder / "base.yaml").write_text(text)
    with pytest.raises(BadConfig, match=r"^base.yaml ") as refused:
        build(place, "run", "{config}", config="base.yaml")
    assert "\n" not in str(refused.value)


def test_the_place_of_the_reports_has_its_placeholders_filled(place):
    report = Report(csv="{trial_dir}/logs-{layers}/*.csv")
    built = build(place, "run", report=report)
    assert built.location == f"{place.trial_dir}/logs-3/*.csv"


def test_the_place_of_the_reports_is_relative_to_the_study_file(place):
    built = build(
        place, "run", "{name}", report=Report(csv="logs/{name}.csv"), params={"name": "a[1]"}
    )
    assert built.location == f"{place.folder}/logs/a[[]1].csv"
    built = build(place, "run", report=Report(tensorboard="logs"))
    assert built.location == f"{place.folder}/logs"


def test_a_value_in_front_is_no_option(place):
    words = ("run", "--w", "{w}", "{gone}")
    assert build(place, *words, params={"w": -0.3}).arguments == ("run", "--w", "-0.3")
