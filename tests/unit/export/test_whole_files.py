"""Files that are whole: the old content or the new one, at whatever moment something breaks."""

import os
import stat

import pytest

from tuner.errors import RunFailed, UsageError
from tuner.export import files
from tuner.export.files import write_whole
from tuner.export.final_folder import is_done, open_final_folder


def test_a_file_is_written_and_replaced_with_the_mode_that_the_umask_leaves(tmp_path):
    path = tmp_path / "best.yaml"
    before = os.umask(0o027)
    try:
        write_whole(path, "one")
        write_whole(path, "two")
    finally:
        os.umask(before)
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["best.yaml"]


@pytest.mark.parametrize("broken", ["write_synced", "rename", "sync_folder"])
def test_what_breaks_leaves_the_old_content_or_the_new_one_and_says_so(
    tmp_path, monkeypatch, broken
):
    path = tmp_path / "best.yaml"
    path.write_text("old")

    def no_room(*_):
        raise OSError(28, "No space left on device")

    where = files.os if broken == "rename" else files
    monkeypatch.setattr(where, broken, no_room)
    with pytest.raises(RunFailed, match=r"No space left on device.*the former file is unchanged"):
        write_whole(path, "new")
    monkeypatch.undo()
    assert path.read_text() == ("new" if broken == "sync_folder" else "old")
    assert os.listdir(tmp_path) == ["best.yaml"]


def test_the_system_calls_come_in_the_order_that_survives_a_crash(tmp_path, monkeypatch):
    calls = []
    real = {name: getattr(os, name) for name in ("fsync", "rename")}
    for name, call in real.items():
        monkeypatch.setattr(os, name, lambda *a, n=name, c=call: (calls.append(n), c(*a))[1])
    write_whole(tmp_path / "x", b"content")
    assert calls == ["fsync", "rename", "fsync"]


def test_a_missing_folder_and_one_without_right_are_one_sentence(tmp_path):
    with pytest.raises(RunFailed, match="there is no folder"):
        write_whole(tmp_path / "no" / "best.yaml", "x")


def test_two_trainings_do_not_share_a_folder_and_what_a_dead_one_left_is_swept(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir(mode=0o700)
    (folder / ".config.yaml.0123abcd").write_text("half")
    (folder / ".checkpoint-3.x_y12").write_text("half")
    with open_final_folder(folder, "name: x\n"):
        assert os.listdir(folder) == ["config.yaml"]
        with (
            pytest.raises(RunFailed, match="another tuner train works in"),
            open_final_folder(folder, "name: x\n"),
        ):
            pass
    with open_final_folder(folder, "name: x\nprovenance:\n  exported_at: later\n"):
        assert not is_done(folder)
    with pytest.raises(UsageError, match="'name: x' there, 'name: y' here"):
        open_final_folder(folder, "name: y\n").__enter__()
