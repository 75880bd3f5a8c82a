"""The folder of `--studies`: which file a study has, and which files are left out."""

from pathlib import Path

import pytest

from tuner.errors import UsageError
from tuner.fleet.study_files import StudyFiles

TEXT = """\
name: {name}
objective: train.py:train
minimize: loss
search_space: {{x: {{float: [0, 1]}}}}
budget: {{trials: 3}}
"""


def test_files_are_found_by_the_name_of_their_study_and_read_again_when_they_change(
    tmp_path: Path,
) -> None:
    (tmp_path / "train.py").write_text("def train(trial): ...\n")
    (tmp_path / "b.yaml").write_text(TEXT.format(name="one"))
    (tmp_path / "a.yml").write_text(TEXT.format(name="two"))
    (tmp_path / "c.yaml").write_text(TEXT.format(name="one"))
    (tmp_path / "bad.yaml").write_text("name: [")
    (tmp_path / "notes.txt").write_text("name: three")
    files = StudyFiles(folder=tmp_path)
    assert files.look() == {"one": tmp_path / "b.yaml", "two": tmp_path / "a.yml"}
    (note,) = files.notes
    assert note.startswith(f"{tmp_path / 'bad.yaml'} is left out: ")
    files.look()
    assert len(files.notes) == 1, "once"
    (tmp_path / "bad.yaml").write_text(TEXT.format(name="mended"))
    assert files.look()["mended"] == tmp_path / "bad.yaml"
    assert files.version(tmp_path / "bad.yaml") != files.version(tmp_path / "b.yaml")
    assert files.version(tmp_path / "missing") is None


def test_without_a_folder_there_is_no_file(tmp_path: Path) -> None:
    assert StudyFiles(folder=None).look() == {}
    with pytest.raises(UsageError, match="is no folder"):
        StudyFiles(folder=tmp_path / "missing")
