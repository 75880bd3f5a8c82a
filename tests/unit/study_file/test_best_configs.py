"""`best.yaml`: every mistake has its place and says what to do; `--set` changes values."""

from pathlib import Path

import pytest

from tests.unit.export.configs import make_config
from tuner.errors import StudyFileError
from tuner.export.config_text import render_yaml
from tuner.study_file.best import load_best_config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "best.yaml"
    path.write_text(render_yaml(make_config(), head="tuner: a test"))
    return path


def _edited(file: Path, old: str, new: str) -> Path:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return file


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 5", "sead: 5", "sead: unknown key; did you mean seed?"),
        ("seed: 5", "seed: -1", "seed: must be a whole number from 0 to 4294967295, not -1"),
        ("width: 16", "width: 0", "params.width: must be a whole number from 1"),
        ("width: 16", "widht: 16", "params.widht: unknown trainer parameter"),
        ("minimize: val_loss", "minimize: val_los", "minimize: unknown metric 'val_los'"),
        ("minimize: val_loss", "", "the goal is missing; add `minimize: val_loss`"),
        ("sklearn: digits", "sklearn: digitz", "objective.data.sklearn: unknown data set"),
        ("tuner-best-1", "tuner-best-9", "format: this version of tuner reads tuner-best-1"),
        ("best_epoch: 2", "best_epoch: 0", "best_epoch: must be a whole number"),
        ("best_epoch: 2", "epochs: 9", "epochs: write it under params"),
        ("best_epoch: 2", "processes_per_trial: 2", "is for a function or a command"),
        ("best_epoch: 2", "processes_per_trial: 65", "processes_per_trial: must be a whole number"),
        ("best_epoch: 2", "search_space: {}", "search_space: this is a study file"),
        ("best_epoch: 2", "weights: {file: ../x, sha256: aa}", "a file next to this one"),
        ("best_epoch: 2", "weights: {file: x, sha256: aa}", "must be 64 hexadecimal digits"),
        ("best_epoch: 2", "weights: {file: x}", "weights: needs `file:` and `sha256:`"),
        ("format:", "  format:", "best.yaml:"),
    ],
)
def test_a_mistake_is_located(file, old, new, message):
    with pytest.raises(StudyFileError) as caught:
        load_best_config(_edited(file, old, new))
    assert message in str(caught.value)
    assert "best.yaml:" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "just text", "a: &b 1", "x: !!python/object:y {}"])
def test_what_is_no_config_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(StudyFileError):
        load_best_config(file)


def test_set_changes_params_by_their_short_or_full_name(file):
    config = load_best_config(file, ["epochs=100", "params.width=32", "seed=9", "best_epoch=50"])
    assert (config.params["epochs"], config.params["width"]) == (100, 32)
    assert (config.seed, config.best_epoch, config.n_steps) == (9, 50, 100)


def test_a_wrong_value_of_set_is_a_fault(file):
    with pytest.raises(StudyFileError, match=r"--set: params.epochs: must be a whole number"):
        load_best_config(file, ["epochs=many"])


def test_a_config_without_its_objective_has_one_fault(tmp_path):
    path = tmp_path / "best.yaml"
    path.write_text("format: tuner-best-1\nname: a\nminimize: loss\nparams: {lr: 0.1}\nseed: 1\n")
    with pytest.raises(StudyFileError) as refused:
        load_best_config(path)
    assert [fault.message for fault in refused.value.faults] == [
        "`objective:` is missing; tuner export writes a complete file"
    ]
