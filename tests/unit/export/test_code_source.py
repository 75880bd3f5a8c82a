"""Which code runs is said by a file on this machine: by no database row and by no sent config."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from tests.unit.export.configs import make_config
from tuner.errors import UsageError
from tuner.export.code_source import check_code, check_command, folder_of_code
from tuner.study_file.best import BestConfig
from tuner.study_file.data.sources import PythonData, SklearnData
from tuner.study_file.identity import parse_spec
from tuner.study_file.kinds.command.objective import CommandObjective
from tuner.study_file.kinds.function import FunctionObjective
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.study_file.load import load_spec
from tuner.study_file.model import StudySpec

# What each text of a stored spec and of a config may choose. A key of a later version that holds
# text fails the test below until it stands here; "code" and "place" then join the other tests.
CODE, PLAIN = "code", "plain"
COMMAND = "command"  # part of a command
PLACE = "place"  # a file or folder of this machine
LOCAL = "local"  # never stored, and never read from a row: `Key.is_local`


def _data_texts(root: str) -> dict[str, str]:
    """The texts of data, split and preparation."""
    plain = ("sklearn", "target", "drop", "weight", "types", "delimiter", "encoding", "decimal")
    places = ("csv", "parquet", "npz", "images", "idx")
    data = {
        **dict.fromkeys((*plain, "colour"), PLAIN),
        **dict.fromkeys(places, PLACE),
        "python": CODE,
    }
    rules = {
        "split.test": PLACE,  # {csv: test.csv}
        "split.by": PLAIN,  # the name of a rule, and of a column
        "augment": PLAIN,  # one of two names
        "prepare.missing": PLAIN,
        "prepare.numbers": PLAIN,
        "prepare.categories": PLAIN,
    }
    return {f"{root}.objective.data.{name}": kind for name, kind in data.items()} | {
        f"{root}.objective.{name}": kind for name, kind in rules.items()
    }


def _command_texts(root: str) -> dict[str, str]:
    """The texts of a command."""
    report = dict.fromkeys(("jsonl", "csv", "tensorboard"), PLACE)
    texts = {
        "command": COMMAND,
        "env": COMMAND,
        "config": PLACE,
        "args_style": PLAIN,
        "report.pattern": PLAIN,  # of RE2, whose time is linear
        "report.step": PLAIN,
        **{f"report.{name}": kind for name, kind in report.items()},
    }
    return {f"{root}.objective.{name}": kind for name, kind in texts.items()}


TEXTS = {
    "StudySpec.name": PLAIN,
    "StudySpec.metric": PLAIN,
    "StudySpec.params": PLAIN,
    "StudySpec.search_space.choices": PLAIN,
    "StudySpec.search_space": PLAIN,  # names of parameters
    "StudySpec.search_space.when.parameter": PLAIN,
    "StudySpec.search_space.when.values": PLAIN,
    "StudySpec.budget.stop": PLAIN,
    "StudySpec.search_space.near.values": PLAIN,
    "StudySpec.enqueue": PLAIN,
    "StudySpec.sampler.name": PLAIN,  # one of ours, by a table
    "StudySpec.sampler.settings": PLAIN,
    "StudySpec.pruner.name": PLAIN,
    "StudySpec.pruner.settings": PLAIN,
    "StudySpec.checkpoints.store": LOCAL,
    "StudySpec.objective.function": CODE,
    **_command_texts("StudySpec"),
    "StudySpec.objective.model": CODE,
    "StudySpec.objective.loss": CODE,
    "StudySpec.objective.metrics": PLAIN,
    **_data_texts("StudySpec"),
    "StudySpec.confirms.study": PLAIN,
    "StudySpec.confirms.study_created_at": PLAIN,
    "StudySpec.confirms.params": PLAIN,
    "BestConfig.name": PLAIN,
    "BestConfig.metric": PLAIN,
    "BestConfig.params": PLAIN,
    "BestConfig.objective.function": CODE,
    **_command_texts("BestConfig"),
    "BestConfig.objective.model": CODE,
    "BestConfig.objective.loss": CODE,
    "BestConfig.objective.metrics": PLAIN,
    **_data_texts("BestConfig"),
    "BestConfig.weights.file": PLAIN,  # a name without a folder, beside the config
    "BestConfig.weights.sha256": PLAIN,
    "BestConfig.provenance": PLAIN,  # only shown
}


def _texts(kind: Any, path: str, seen: tuple[Any, ...] = ()) -> Iterator[str]:
    """The paths below a type at which text may stand."""
    if kind is str or kind is Any:
        yield path
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind not in seen:
            for name, field in kind.model_fields.items():
                yield from _texts(field.annotation, f"{path}.{name}", (*seen, kind))
    elif get_origin(kind) is not Literal:
        for part in get_args(kind):
            yield from _texts(part, path, seen)


def test_every_text_that_may_choose_code_is_known() -> None:
    found = {*_texts(StudySpec, "StudySpec"), *_texts(BestConfig, "BestConfig")}
    assert found == TEXTS.keys()


def test_local_texts_of_a_row_are_not_read() -> None:
    local = {path.partition(".")[2] for path, what in TEXTS.items() if what == LOCAL}
    assert local == {"checkpoints.store"}
    row = load_spec(Path(__file__).parents[3] / "studies" / "digits.yaml").model_dump(mode="json")
    row["checkpoints"] |= {"store": "s3://attacker/x", "folders": "trusted"}
    checkpoints = parse_spec(row).checkpoints
    assert (checkpoints.store, checkpoints.folders) == ("postgres", "refused")


HOSTILE: dict[str, Any] = {
    "objective.function": FunctionObjective(function="subprocess:getoutput"),
    "objective.data.python": TrainerObjective(
        data=PythonData(python="subprocess:getoutput"), model="mlp"
    ),
    "objective.model": TrainerObjective(
        data=SklearnData(sklearn="digits"), model="subprocess:getoutput"
    ),
    "objective.loss": TrainerObjective(
        data=SklearnData(sklearn="digits"), model="mlp", loss="os.path:join"
    ),
}


def test_there_is_a_hostile_example_of_each() -> None:
    named = {path.partition(".")[2] for path, what in TEXTS.items() if what == CODE}
    assert named == HOSTILE.keys()


@pytest.mark.parametrize("key", HOSTILE)
def test_a_stored_spec_runs_no_code_without_a_study_file(key: str) -> None:
    spec = StudySpec.model_construct(name="s", objective=HOSTILE[key])
    with pytest.raises(UsageError, match=r"a database may not choose the code .*\(tuner x\)"):
        folder_of_code(spec, None, "tuner x")


def test_a_stored_spec_runs_no_command_without_a_study_file(tmp_path: Any) -> None:
    command = CommandObjective(command=("rm", "-rf", "{trial_dir}/.."), env={"A": "1"})
    spec = StudySpec.model_construct(name="s", objective=command)
    with pytest.raises(UsageError, match=r"a database may not choose the command that runs here"):
        folder_of_code(spec, None, "tuner x")


def test_a_config_runs_no_command_unless_it_is_allowed() -> None:
    config = make_config(objective=CommandObjective(command=("rm", "-rf", "a b")))
    with pytest.raises(UsageError, match=r"of its own: rm -rf 'a b'; .* add --allow-command"):
        check_command(config, is_allowed=False)
    check_command(config, is_allowed=True)


@pytest.mark.parametrize("key", HOSTILE)
def test_a_config_runs_no_code_from_elsewhere(key: str, tmp_path: Any) -> None:
    config = make_config(objective=HOSTILE[key])
    for name in ("subprocess.py", "os.py"):  # imports would not find these
        (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match="no file below its folder"):
        check_code(config, tmp_path, ())
    check_code(config, tmp_path, {"subprocess", "os.path"})


@pytest.mark.parametrize(
    ("name", "is_below"),
    [
        ("train.py:f", True),
        ("pkg/train.py:f", True),
        ("pkg.train:f", True),
        ("pkg:f", True),
        ("spaces.deep.mod:f", True),  # folders without __init__.py
        ("../outside.py:f", False),
        ("/etc/outside.py:f", False),
        ("linked.py:f", False),
        ("linkedpkg.mod:f", False),
        ("missing.py:f", False),
        ("missing:f", False),
        ("pkg.missing:f", False),
        ("numpy.linalg:norm", False),
        ("pytest:main", False),
        ("sys:exit", False),
        ("tuner.cli.main:main", False),
    ],
)
def test_a_file_lies_below_the_folder_of_the_config(
    tmp_path: Any, name: str, is_below: bool
) -> None:
    folder, outside = tmp_path / "configs", tmp_path / "outside"
    for path in ("train.py", "pkg/__init__.py", "pkg/train.py", "spaces/deep/mod.py"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("raise SystemExit('imported')\n")
    outside.mkdir()
    (tmp_path / "outside.py").write_text("")
    (outside / "mod.py").write_text("")
    (folder / "linked.py").symlink_to(tmp_path / "outside.py")
    (folder / "linkedpkg").symlink_to(outside)
    config = make_config(objective=FunctionObjective(function=name))
    before = set(sys.modules)
    if is_below:
        check_code(config, folder, ())
    else:
        with pytest.raises(UsageError, match=f"the config names {name}"):
            check_code(config, folder, ())
        check_code(config, folder, {name.rpartition(":")[0]})
    assert set(sys.modules) == before, "nothing is imported"


def test_a_linked_folder_of_configs_is_the_folder_that_it_leads_to(tmp_path: Any) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "train.py").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    config = make_config(objective=FunctionObjective(function="train.py:f"))
    check_code(config, tmp_path / "link", ())
