"""Names of params with dots, as Hydra's users write them: `model.lr`."""

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.trial_tables import filter_numbers, table_of
from tests.unit.cli.builders import trial
from tests.unit.export.configs import make_config
from tuner.errors import StudyFileError, UsageError
from tuner.export.config_text import render_env, render_yaml
from tuner.results.conditions import parse_condition
from tuner.results.filters import Filter
from tuner.study_file.best import load_best_config
from tuner.study_file.kinds.function import FunctionObjective
from tuner.study_file.load import load_spec
from tuner.study_file.params.space import FloatRange, When

STUDY = """\
name: dotted
objective: train.py:train
minimize: loss
params: {epochs: 3, data.root: here}
search_space:
  model: {choice: [small, large]}
  model.lr: {float: [1.0e-3, 1], log: true}
  model.opt.momentum: {float: [0, 1], when: {model: small}}
budget: {trials: 5}
enqueue: [{model: small, model.lr: 0.1}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("def train(trial): ...\n")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def test_a_function_takes_names_with_dots(file: Path) -> None:
    spec = load_spec(file)
    assert list(spec.search_space) == ["model", "model.lr", "model.opt.momentum"]
    when = When(parameter="model", values=("small",))
    assert spec.search_space["model.opt.momentum"].when == when
    assert spec.params == {"epochs": 3, "data.root": "here"}
    assert spec.enqueue == ({"model": "small", "model.lr": 0.1},)


@pytest.mark.parametrize("name", ["a..b", "a.", ".a", "a.-b", "1.a", "a." + "b" * 63])
def test_a_dot_stands_between_parts(file: Path, name: str) -> None:
    file.write_text(STUDY.replace("data.root", f'"{name}"'))
    with pytest.raises(StudyFileError, match="and dots between such parts"):
        load_spec(file)


@pytest.mark.parametrize("model", ["mlp", "net.py:net"])
@pytest.mark.parametrize("section", ["params", "search_space"])
def test_the_trainer_and_models_refuse_them(tmp_path: Path, model: str, section: str) -> None:
    (tmp_path / "net.py").write_text("def net(n_outputs): ...\n")
    params = {"params": "{model.lr: 1}", "search_space": "{learning_rate: {float: [0.1, 1]}}"}
    if section == "search_space":
        params = {"params": "{}", "search_space": "{model.lr: {float: [0.1, 1]}}"}
    text = f"name: x\nobjective: {{data: {{sklearn: digits}}, model: {model}}}\n"
    text += "minimize: val_loss\nbudget: {trials: 1}\n"
    path = tmp_path / "study.yaml"
    path.write_text(text + "".join(f"{key}: {value}\n" for key, value in params.items()))
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    said = [fault.message for fault in caught.value.faults]
    assert said == [
        "only a function of your own takes names with a dot; the trainer's parameters and the "
        "arguments of a model have none"
    ]


@pytest.mark.parametrize(
    ("override", "name", "given"),
    [
        ("search_space.model.lr={float: [0.1, 0.5]}", "model.lr", FloatRange(low=0.1, high=0.5)),
        (
            "search_space.model.lr.float=[0.1, 0.5]",
            "model.lr",
            FloatRange(low=0.1, high=0.5, log=True),
        ),
        ("search_space.new.lr={float: [0.1, 0.5]}", "new.lr", FloatRange(low=0.1, high=0.5)),
        ("search_space.new.lr.float=[0.1, 0.5]", "new.lr", FloatRange(low=0.1, high=0.5)),
        ("search_space.new.log={float: [0.1, 0.5]}", "new.log", FloatRange(low=0.1, high=0.5)),
    ],
)
def test_set_means_the_longest_name_of_the_space(
    file: Path, override: str, name: str, given: FloatRange
) -> None:
    assert load_spec(file, [override]).search_space[name] == given


def test_set_means_the_longest_fixed_name_or_makes_one(file: Path) -> None:
    spec = load_spec(file, ["params.data.root=there", "params.data.new=3"])
    assert spec.params == {"epochs": 3, "data.root": "there", "data.new": 3}
    shorter = load_spec(file, ["search_space.model.choice=[small, huge]"])
    assert shorter.search_space["model"].choices == ("small", "huge")  # type: ignore[union-attr]
    when = load_spec(file, ["search_space.model.opt.momentum.when.model=large"])
    momentum = when.search_space["model.opt.momentum"]
    assert momentum.when == When(parameter="model", values=("large",))
    more = load_spec(file, ["params.epochs.x=1", "search_space.model.depth={int: [1, 3]}"])
    assert (more.params["epochs"], more.params["epochs.x"]) == (3, 1)
    assert list(more.search_space)[-1] == "model.depth"
    with pytest.raises(UsageError, match=r"--set name.x: 'x' cannot be set"):
        load_spec(file, ["name.x=1"])


def test_a_config_keeps_them_and_set_finds_them(file: Path) -> None:
    params = {"model.lr": 0.5, "model": "small", "name.x": 1, "params.y": 2}
    objective = FunctionObjective(function="train.py:train")
    config = make_config(objective=objective, params=params)
    path = file.parent / "best.yaml"
    path.write_text(render_yaml(config, head="a head"))
    assert load_best_config(path).params == params
    given = ["model.lr=0.25", "params.model=large", "name.x=3", "params.y=4", "model.new=5"]
    assert load_best_config(path, [*given, "seed=7"]).params == {
        "model.lr": 0.25,
        "model": "large",
        "name.x": 3,
        "params.y": 4,
        "model.new": 5,
    }


def test_a_shell_gets_names_that_it_can_have(tmp_path: Path) -> None:
    text = render_env(make_config(params={"model.lr": 0.5, "model_lr": 0.25}))
    (tmp_path / "best.env").write_text(text)
    script = f". {shlex.quote(str(tmp_path / 'best.env'))}; echo $PARAM_model__lr $PARAM_model_lr"
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stdout == "0.5 0.25\n"


def test_two_params_that_a_shell_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(UsageError, match=r"two params are PARAM_a__b .* --format json"):
        render_env(make_config(params={"a.b": 1, "a__b": 2}))


def test_a_condition_means_the_longest_name() -> None:
    trials = [trial(n, params={"model.lr": n, "lr": 9, "params.lr": -n}) for n in range(4)]
    for condition, numbers in (
        ("model.lr<2", [0, 1]),
        ("params.model.lr>=2", [2, 3]),
        ("params.lr<=-3", [3]),
        ("params.params.lr=-1", [1]),
        ("lr=9", [0, 1, 2, 3]),
    ):
        wanted = Filter(conditions=[parse_condition(condition)])
        assert filter_numbers(table_of(trials), wanted) == numbers, condition
    assert filter_numbers(table_of(trials), Filter(sort="params.lr")) == [3, 2, 1, 0]
