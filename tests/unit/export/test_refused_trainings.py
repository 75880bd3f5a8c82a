"""What a final training is refused for: the same words by the look before torch and by the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.export.configs import make_config
from tuner.errors import RunFailed, TunerError, UsageError
from tuner.export import final_folder
from tuner.export.final_checks import check_training
from tuner.export.final_folder import CARD, look_at_final_folder, open_final_folder
from tuner.export.train_options import Rows, TrainOptions, training_text
from tuner.study_file.best import Weights
from tuner.study_file.kinds.function import FunctionObjective

TEXT = "name: x\n"


def _full(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "thesis.tex").write_text("mine")


def _other(folder: Path) -> None:
    with open_final_folder(folder, "name: y\n"):
        pass


def _shared(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _link(folder: Path) -> None:
    folder.with_name("real").mkdir(mode=0o700)
    folder.symlink_to(folder.with_name("real"))


def _below_a_file(folder: Path) -> None:
    folder.parent.write_text("mine")


def _file(folder: Path) -> None:
    folder.write_text("mine")


def _dangling(folder: Path) -> None:
    folder.symlink_to(folder.with_name("nowhere"))


IN_THE_WAY = [_full, _other, _shared, _link, _below_a_file, _file, _dangling]


def _tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(p), p.lstat().st_mtime_ns) for p in folder.rglob("*"))


@pytest.mark.parametrize("make", IN_THE_WAY)
def test_the_look_refuses_in_the_words_of_the_work_and_changes_nothing(tmp_path, make):
    folder = tmp_path / "above" / "out"
    if make is not _below_a_file:
        folder.parent.mkdir()
    make(folder)
    before = _tree(tmp_path)
    with pytest.raises(TunerError) as looked:
        look_at_final_folder(folder, TEXT)
    assert _tree(tmp_path) == before
    with pytest.raises(TunerError) as worked:
        open_final_folder(folder, TEXT).__enter__()
    assert (type(looked.value), str(looked.value)) == (type(worked.value), str(worked.value))


def test_the_look_passes_what_can_be_worked_on_and_makes_nothing(tmp_path):
    folder = tmp_path / "new" / "out"
    look_at_final_folder(folder, TEXT)
    assert list(tmp_path.iterdir()) == []
    with (
        open_final_folder(folder, TEXT),
        pytest.raises(RunFailed, match="another tuner train works in"),
    ):
        look_at_final_folder(folder, TEXT)
    (folder / ".checkpoint-3.x_y12").write_text("half")
    look_at_final_folder(folder, TEXT)
    (folder / "config.yaml").unlink()
    look_at_final_folder(folder, TEXT)
    assert (folder / ".checkpoint-3.x_y12").exists()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_without_the_right_to_write_is_told_unless_it_is_done(
    tmp_path, monkeypatch, is_there
):
    folder = tmp_path / "out"
    if is_there:
        folder.mkdir(mode=0o700)
    # Root may write everywhere: what the system would answer is said for it.
    asked = []
    monkeypatch.setattr(
        final_folder.os, "access", lambda path, mode: asked.append((path, mode)) or False
    )
    with pytest.raises(RunFailed, match=r"cannot use the folder .* is not writable"):
        look_at_final_folder(folder, TEXT)
    read = os.R_OK if is_there else 0  # nobody lists the folder in which it will be made
    assert asked == [(folder if is_there else tmp_path, read | os.W_OK | os.X_OK)]
    if is_there:
        (folder / "config.yaml").write_text(TEXT)
        (folder / CARD).write_text("done")
        look_at_final_folder(folder, TEXT)


def test_rows_device_and_weights_are_looked_at(tmp_path):
    (tmp_path / "a.py").write_text("def f(trial): ...\n")

    def look(config=None, **options) -> None:
        wanted = TrainOptions(output=tmp_path / "out", **options)
        check_training(config or make_config(), tmp_path, wanted)

    look()
    for given, words in (
        ({"device": "tpu"}, "write cpu, cuda"),
        ({"from_weights": True}, "names no weights"),
        ({"config": make_config(best_epoch=None), "rows": Rows.BOTH}, "set best_epoch=N"),
        (
            {"config": make_config(objective=FunctionObjective(function="a.py:f")),
             "rows": Rows.BOTH}, "data of its own",
        ),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            look(**given)
    weights = Weights(file="mine.weights", sha256="0" * 64)
    with pytest.raises(RunFailed, match=r"mine\.weights cannot be read"):
        look(make_config(weights=weights))
    (tmp_path / "mine.weights").write_bytes(b"other")
    with pytest.raises(RunFailed, match="another sha256"):
        look(make_config(weights=weights))
    look(make_config(weights=weights, objective=FunctionObjective(function="a.py:f")))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.py", "mine.weights"]
    wanted = TrainOptions(output=tmp_path / "out")
    with open_final_folder(tmp_path / "out", training_text(make_config(seed=9), wanted)):
        pass
    with pytest.raises(UsageError, match="another config"):
        look()


def test_of_a_training_that_is_done_nobody_asks_for_the_weights_any_more(tmp_path):
    config = make_config(weights=Weights(file="gone.weights", sha256="0" * 64))
    wanted = TrainOptions(output=tmp_path / "out")
    with open_final_folder(tmp_path / "out", training_text(config, wanted)) as folder:
        (folder / CARD).write_text("done")
    check_training(config, tmp_path, wanted)


def test_the_look_needs_no_torch():
    script = "import sys, tuner.cli.commands.train; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
