"""`tuner init`, `tuner check` and `tuner schema`."""

import json
import sys
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from tuner import Trial, smoke
from tuner.cli.command_study import render_command_study
from tuner.cli.commands.init import Beginning, build_files, study_name
from tuner.cli.main import main
from tuner.cli.program_options import find_others, guess_options
from tuner.study_file.load import load_spec, load_study_file


@pytest.mark.parametrize("words", [[], ["--code"], ["--lightning"], ["--hf"]])
def test_what_init_writes_is_valid_here_and_in_an_editor(tmp_path, capsys, words):
    folder = tmp_path / "my study"
    assert main(["init", str(folder), *words]) == 0
    out = capsys.readouterr().out
    assert f"next: tuner check '{folder}/study.yaml'" in out
    spec = load_spec(folder / "study.yaml")
    assert spec.name == "my-study"
    text = (folder / "study.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=study.schema.json\n")
    schema = json.loads((folder / "study.schema.json").read_text())
    document = YAML(typ="safe", pure=True).load(text)
    jsonschema.validate(json.loads(json.dumps(document)), schema)
    assert (folder / "train.py").exists() == bool(words)
    assert main(["check", str(folder / "study.yaml")]) == 0


def test_init_overwrites_nothing(tmp_path, capsys):
    for there in ("study.yaml", "train.py", "study.schema.json"):
        folder = tmp_path / f"with-{there}"
        folder.mkdir()
        (folder / there).symlink_to("nowhere")
        assert main(["init", str(folder), "--code"]) == 2
        assert "overwrites nothing" in capsys.readouterr().err
        assert [file.name for file in folder.iterdir()] == [there]


def test_init_in_a_place_that_cannot_be_written_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file" / "folder")]) == 1
    assert "cannot write into" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "name"),
    [("/a/digits", "digits"), ("/a/größe 1", "gr-e-1"), ("/", "study"), ("/a/..b.", "b")],
)
def test_a_study_is_named_after_its_folder(folder, name):
    assert study_name(Path(folder)) == name


def test_init_takes_one_kind_of_objective(tmp_path, capsys):
    assert main(["init", str(tmp_path), "--code", "--hf"]) == 2
    assert "--code and --hf are two kinds of objectives" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_code_that_init_writes_is_short_trains_and_resumes(tmp_path):
    source = build_files("a", Beginning.CODE)["train.py"]
    assert len(source.splitlines()) <= 35
    names = {}
    exec(compile(source, "train.py", "exec"), names)

    def run(folder, epochs):
        params = {"learning_rate": 0.1, "weight_decay": 1e-6, "epochs": epochs}
        trial = Trial(params=params, dir=tmp_path / folder)
        names["train"](trial)
        return trial.reports

    undisturbed = run("undisturbed", 27)
    assert undisturbed[-1][1]["val_loss"] < undisturbed[0][1]["val_loss"]
    assert run("disturbed", 9) + run("disturbed", 27) == undisturbed


HELP = """\
options:
  -h, --help            show this help message and exit
  --lr LR               learning rate (default: 0.1)
  -e EPOCHS, --epochs EPOCHS
                        (default: 9)
  --seed SEED
"""


@pytest.mark.parametrize(
    ("words", "command", "params", "space"),
    [
        ("run", ["run", "--epochs", "{epochs}", "--seed", "{seed}", "--lr", "{lr}"], 9, ["lr"]),
        (
            "run --epochs 4 --seed=3",
            ["run", "--epochs", "{epochs}", "--seed=3", "--lr", "{lr}"], 4, ["lr"],
        ),
        ("run --epochs=4 --lr 1", ["run", "--epochs={epochs}", "--lr", "1", "--seed", "{seed}"],
         4, ["learning_rate"]),
        ("run -e 4", ["run", "-e", "{epochs}", "--seed", "{seed}", "--lr", "{lr}"], 4, ["lr"]),
        ("run -e $N", ["run", "-e", "$N", "--seed", "{seed}", "--lr", "{lr}"], None, ["lr"]),
    ],
)  # fmt: skip
def test_an_option_that_the_command_sets_is_not_passed_twice(
    tmp_path, words, command, params, space
):
    study = render_command_study("a", words.split(), guess_options(HELP))
    (tmp_path / "study.yaml").write_text(study.text)
    spec = load_spec(tmp_path / "study.yaml")
    assert list(spec.objective.command) == command
    assert spec.params == ({} if params is None else {"epochs": params})
    assert list(spec.search_space) == space


def test_options_whose_help_shows_no_default_are_searched_by_their_names_or_listed():
    text = """\
  -h, --help       show this help message and exit
  --lr LR          learning rate
  --width WIDTH    hidden units
  --momentum       use momentum
  --resume RESUME  checkpoint file
"""
    guesses = guess_options(text)
    assert [guess.name for guess in guesses] == ["lr", "width"]
    others = find_others(text, guesses)
    assert others == ("--resume",)
    shown = render_command_study("a", ["run"], guesses, others).text
    assert "# Options of the program that are left out: --resume\n" in shown


def test_a_program_without_options_gets_a_study_that_names_three_ways(tmp_path, capsys):
    (tmp_path / "main.py").write_text("print('epoch 1 val_loss 0.5')")
    command = f"{sys.executable} main.py"
    assert main(["init", str(tmp_path), "--command", command]) == 0
    assert f"note: the help of {command} gives no option to search" in capsys.readouterr().out
    loaded = load_study_file(tmp_path / "study.yaml")
    assert loaded.spec.objective.env == {"LEARNING_RATE": "{learning_rate}"}
    assert loaded.warnings == ()
    text = (tmp_path / "study.yaml").read_text()
    assert all(f"# - {way}" in text for way in ("variables", "arguments", "a config file"))


def _study(tmp_path, **changes):
    sections = {
        "name": "a",
        "objective": "{data: {sklearn: digits}, model: mlp}",
        "minimize": "val_loss",
        "search_space": "{learning_rate: {float: [1e-5, 1]}, n_layers: {int: [2, 2]}}",
        "budget": "{trials: 7}",
    }
    file = tmp_path / "study.yaml"
    file.write_text("".join(f"{key}: {value}\n" for key, value in (sections | changes).items()))
    return str(file)


def test_check_explains_the_pruner_by_the_kind_of_budget(tmp_path, capsys):
    assert main(["check", _study(tmp_path, budget="{epochs: 50, time: 5m}")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "with this budget, the epochs and the minutes that it saves go to more trials" in text


def test_check_shows_the_spec_first_params_and_warnings(tmp_path, capsys):
    assert main(["check", _study(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("a: valid\n")
    text = " ".join(shown.out.split())
    assert "sampler rung_gp, the default, learns from the first epochs of all trials" in text
    assert "pruner asha, the default, lets the best third" in text
    assert "a budget of trials counts pruned ones as well, so it shortens the search" in text
    assert "rung_gp would begin with params such as\n" in shown.out
    assert len(shown.out.split("such as\n")[1].splitlines()) == 6
    heads = [line for line in shown.err.splitlines() if "study.yaml:" in line]
    assert [head.split("study.yaml:")[1].split(": ")[1] for head in heads] == [
        "search_space.learning_rate",
        "search_space.n_layers",
        "budget",
    ]
    assert "add `log: true`" in heads[0]


def test_check_is_json_for_programs_and_takes_overrides(tmp_path, capsys):
    file = _study(tmp_path, sampler="random")
    assert main(["check", file, "--json", "--set", "seed=3", "--set", "budget.trials=9"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["spec"]["seed"], document["spec"]["budget"]["trials"]) == (3, 9)
    assert len(document["first"]) == 5


def test_check_refuses_with_every_fault_and_imports_nothing(tmp_path, capsys):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')\ndef train(trial): ...\n")
    file = _study(tmp_path, budget="{trails: 5}", seed="-1", objective="evil.py:train")
    assert main(["check", file]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "trails" in shown.err
    assert "seed" in shown.err
    assert main(["check", _study(tmp_path), "--set", "budget.trials"]) == 2
    assert "key.path=value" in capsys.readouterr().err


def test_smoke_is_handed_to_the_recipe_and_told(tmp_path, capsys, monkeypatch):
    calls = []

    def train(path, options):
        calls.append((path, options))
        return smoke.SmokeResult(params={}, step=1, values={"val_loss": 0.5}, seconds=1.25)

    monkeypatch.setattr(smoke, "smoke", train)
    assert main(["check", _study(tmp_path), "--smoke", "--set", "seed=3"]) == 0
    ((path, options),) = calls
    assert (path.name, options.overrides, options.workers) == ("study.yaml", ("seed=3",), None)
    assert "smoke: one trial reached epoch 1 in 1.2 s: val_loss 0.5" in capsys.readouterr().err


def test_schema_prints_json(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "tuner study file"
