"""`objective: train.py:train`: what can be said about it without running it."""

from pathlib import Path

import pytest

from tuner.errors import StudyFileError
from tuner.study_file.kinds.function import FunctionObjective
from tuner.study_file.load import load_spec, load_study_file

STUDY = """\
name: own
objective: {objective}
minimize: val_loss
search_space:
  lr: {{float: [1e-3, 1], log: true}}
budget: {{trials: 5}}
"""
BODY = "    raise SystemExit('nobody may run this')\n"


def write(folder: Path, source: str, objective: str = "train.py:train") -> Path:
    (folder / "train.py").write_text(source)
    path = folder / "study.yaml"
    path.write_text(STUDY.format(objective=objective))
    return path


def fault_of(path: Path) -> str:
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    (fault,) = caught.value.faults
    assert (fault.line, fault.column, fault.path) == (2, 12, "objective")
    return fault.message


@pytest.mark.parametrize(
    "source",
    [
        "def train(trial):\n",
        "def train(trial, n=3):\n",
        "def train(*args):\n",
        "def train(trial, *, verbose=False):\n",
    ],
)
def test_a_function_of_one_argument_is_found_and_not_run(source, tmp_path):
    spec = load_spec(write(tmp_path, source + BODY + "\nraise SystemExit('nor this')\n"))
    assert spec.objective == FunctionObjective(function="train.py:train")
    assert spec.n_steps is None


def test_a_function_that_is_defined_in_another_way_is_left_to_the_run(tmp_path):
    assert load_spec(write(tmp_path, "from elsewhere import train\n"))
    assert load_spec(write(tmp_path, "train = make(3)\n"))
    assert load_spec(write(tmp_path, "if True:\n    def train(trial): ...\n"))


def test_a_module_is_left_to_the_run(tmp_path):
    assert load_spec(write(tmp_path, "", "my.package.vision:train")).objective == FunctionObjective(
        function="my.package.vision:train"
    )


def test_a_missing_file_says_what_is_there(tmp_path):
    path = write(tmp_path, "", "trian.py:train")
    assert fault_of(path) == f"there is no file {tmp_path}/trian.py; found train.py"


def test_a_missing_function_says_what_is_there(tmp_path):
    assert "has no function 'train'; did you mean trian?" in fault_of(
        write(tmp_path, "def trian(trial):\n" + BODY)
    )
    assert "functions there: fit, evaluate" in fault_of(
        write(tmp_path, f"def fit(t):\n{BODY}def evaluate(t):\n{BODY}")
    )


def test_a_syntax_error_is_located_in_the_users_file(tmp_path):
    path = write(tmp_path, "import os\n\ndef train(trial:\n    pass\n")
    assert fault_of(path).startswith("train.py:3: '(' was never closed")


@pytest.mark.parametrize("signature", ["()", "(trial, data)", "(trial, *, data)"])
def test_a_wrong_number_of_arguments_is_located(signature, tmp_path):
    path = write(tmp_path, f"\ndef train{signature}:\n{BODY}")
    assert fault_of(path) == "train.py:2: train must take one argument: def train(trial)"


def test_a_coroutine_is_no_objective(tmp_path):
    path = write(tmp_path, f"async def train(trial):\n{BODY}")
    assert "is async" in fault_of(path)


def test_the_length_of_a_trial_comes_from_fixed_epochs(tmp_path):
    path = write(tmp_path, "def train(trial):\n" + BODY)
    path.write_text(path.read_text() + "params: {epochs: 12, note: text}\n")
    spec = load_spec(path)
    assert (spec.n_steps, spec.params["note"]) == (12, "text")


def test_any_metric_may_be_the_goal_that_python_can_name(tmp_path):
    path = write(tmp_path, "def train(trial):\n" + BODY)
    path.write_text(path.read_text().replace("minimize: val_loss", "maximize: my_score"))
    assert load_spec(path).metric == "my_score"
    path.write_text(path.read_text().replace("my_score", "val-loss"))
    with pytest.raises(StudyFileError, match="'val-loss' is no name in Python"):
        load_spec(path)


def test_settings_from_the_command_line_come_over_those_of_the_file(tmp_path):
    path = write(tmp_path, "def train(trial):\n" + BODY)
    spec = load_spec(path, ["budget.trials=7", "search_space.n={int: [1, 3]}", "seed=4"])
    assert (spec.budget.trials, spec.seed) == (7, 4)
    assert list(spec.search_space) == ["lr", "n"]


def test_a_wrong_setting_is_located_on_the_command_line(tmp_path):
    path = write(tmp_path, "def train(trial):\n" + BODY)
    with pytest.raises(StudyFileError) as caught:
        load_spec(path, ["budget.trials=-5"])
    assert str(caught.value) == (
        "--set: budget.trials: must be a whole number from 1 to 10000000, not -5"
    )


@pytest.mark.parametrize(
    "source", ["x = " + "-" * 200_000 + "1\n", "x = " + "+".join(["a"] * 20_000) + "\n"]
)
def test_a_file_that_no_parser_can_read_is_a_fault(source, tmp_path):
    path = write(tmp_path, source + "def train(trial): ...\n")
    assert fault_of(path) == "train.py is nested too deeply to be read; simplify it"


def test_a_name_longer_than_a_path_is_a_fault(tmp_path):
    path = write(tmp_path, "", "a" * 300 + ".py:train")
    assert fault_of(path).startswith("there is no file")


def test_a_huge_file_is_not_read(tmp_path):
    path = write(tmp_path, "#" * 2_000_001)
    assert "is larger than" in fault_of(path)


@pytest.mark.parametrize("objective", ["train.py:train", "train:train", "lab/train.py:train"])
@pytest.mark.parametrize("side", ["link", "target"])
def test_a_linked_study_file_finds_code_on_both_sides(objective, side, tmp_path):
    for name in ("link", "target"):
        (tmp_path / name / "lab").mkdir(parents=True)
    study = write(tmp_path / "target", "", objective)
    (tmp_path / "target" / "train.py").unlink()
    link = tmp_path / "link" / "mine.yaml"
    link.symlink_to(study)
    module = objective.rpartition(":")[0]
    file = module if module.endswith(".py") else module.replace(".", "/") + ".py"
    (tmp_path / side / file).write_text("def train(trial):\n" + BODY)
    assert load_study_file(link).folder == tmp_path / side
    other = tmp_path / ("target" if side == "link" else "link")
    (other / file).write_text("def train(trial):\n" + BODY)
    assert load_study_file(link).folder == tmp_path / "link", "what stands beside the link counts"


def test_a_module_that_is_nowhere_near_leaves_the_links_folder(tmp_path):
    study = write(tmp_path, "", "installed.package:train")
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "mine.yaml"
    link.symlink_to(study)
    assert load_study_file(link).folder == tmp_path / "links"


def test_only_a_function_is_preloaded(tmp_path):
    path = write(tmp_path, "def train(trial):\n" + BODY)
    path.write_text(path.read_text() + "workers: {preload: true}\n")
    assert load_spec(path).workers.preload
    command = "{command: [sh, train.sh, '{lr}'], report: {jsonl: out.jsonl}}"
    path.write_text(path.read_text().replace("train.py:train", command))
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    assert [fault.message for fault in caught.value.faults if fault.path == "workers.preload"] == [
        "is for a function, whose file each trial imports, and not for a program; remove it"
    ], caught.value.faults
