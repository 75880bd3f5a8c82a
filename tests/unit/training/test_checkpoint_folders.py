"""Folders as checkpoints: the same files come back, and a prepared file writes nowhere else."""

import hashlib
import json
import os
import stat
from pathlib import Path
from random import Random

import pytest

from tuner.study.checkpoint import FOLDER_MARK
from tuner.training import checkpoint_folder
from tuner.training.checkpoint import load_checkpoint, save_checkpoint
from tuner.training.checkpoint_file import BadCheckpoint
from tuner.training.checkpoint_folder import (
    FolderChanged,
    clear_folder,
    is_folder_file,
    pack_folder,
    unpack_folder,
)
from tuner.training.lane import UnfitState

FILES = {
    "last.ckpt": b"weights" * 1000,
    "checkpoint-2/optimizer.pt": b"\0\1\2",
    "checkpoint-2/deep/empty": b"",
    "epoch={1},loss=[2].ckpt": b"x",
    "ä.txt": "ä".encode(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _written(tmp_path / "state", FILES)


def _written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def _content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_files_come_back_with_their_times_and_are_private(folder, tmp_path):
    os.utime(folder / "last.ckpt", ns=(5, 1_234_567_890_123))
    (folder / "last.ckpt").chmod(0o777)
    file = pack_folder(folder, tmp_path, "3-1-2")
    assert file.path.name == "3-1-2.folder"
    content = file.path.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.n_bytes, file.sha256)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    unpack_folder(file.path, tmp_path / "new", sha256=file.sha256)
    assert _content(tmp_path / "new") == FILES
    assert (tmp_path / "new" / "last.ckpt").stat().st_mtime_ns == 1_234_567_890_123
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new").rglob("*") if p.is_file()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_the_same_folder_gives_the_same_file(folder, tmp_path):
    one, two = (pack_folder(folder, tmp_path, name) for name in ("a", "b"))
    assert one.sha256 == two.sha256


def test_a_folder_is_told_from_a_tree_by_its_content(folder, tmp_path):
    packed = save_checkpoint(tmp_path, "a", folder).path
    tree = save_checkpoint(tmp_path, "b", {"w": 1}).path
    assert is_folder_file(packed)
    assert not is_folder_file(tree)
    with pytest.raises(BadCheckpoint):
        load_checkpoint(packed)
    with pytest.raises(BadCheckpoint, match="not a folder of this version"):
        unpack_folder(tree, tmp_path / "new", sha256=None)


def test_an_empty_folder_is_a_state_too(tmp_path):
    (tmp_path / "state").mkdir()
    file = pack_folder(tmp_path / "state", tmp_path, "a")
    (tmp_path / "new").mkdir()
    unpack_folder(file.path, tmp_path / "new", sha256=file.sha256)
    assert _content(tmp_path / "new") == {}


@pytest.mark.parametrize("what", ["a link", "a link to a folder", "a special file"])
def test_only_regular_files_are_kept(folder, tmp_path, what):
    odd = folder / "checkpoint-2" / "odd"
    match what:
        case "a link":
            odd.symlink_to("/etc/passwd")
        case "a link to a folder":
            odd.symlink_to("/etc")
        case _:
            os.mkfifo(odd)
    with pytest.raises(UnfitState, match=r"checkpoint-2/odd is a (link|special file)"):
        pack_folder(folder, tmp_path, "a")
    assert not list(tmp_path.glob("*.folder"))


def test_no_folder_and_too_many_files_are_said(folder, tmp_path, monkeypatch):
    with pytest.raises(UnfitState, match=r"last\.ckpt is none"):
        pack_folder(folder / "last.ckpt", tmp_path, "a")
    monkeypatch.setattr(checkpoint_folder, "MAX_FILES", 4)
    with pytest.raises(UnfitState, match="at most 4 files"):
        pack_folder(folder, tmp_path, "a")


@pytest.mark.parametrize("change", ["longer", "shorter", "gone", "new", "touched"])
def test_a_folder_that_changes_while_it_is_copied_is_not_saved(
    folder, tmp_path, monkeypatch, change
):
    real = checkpoint_folder._pieces

    def changing(*arguments):
        pieces = real(*arguments)
        yield next(pieces)
        path = folder / "last.ckpt"
        match change:
            case "longer":
                path.write_bytes(path.read_bytes() + b"x")
            case "shorter":
                path.write_bytes(b"")
            case "gone":
                path.unlink()
            case "new":
                (folder / "another").touch()
            case _:
                os.utime(path, ns=(1, 1))
        yield from pieces

    monkeypatch.setattr(checkpoint_folder, "_pieces", changing)
    spool = tmp_path / "spool"
    spool.mkdir()
    with pytest.raises(FolderChanged):
        pack_folder(folder, spool, "a")
    assert list(spool.iterdir()) == []


def test_another_hash_writes_nothing(folder, tmp_path):
    file = pack_folder(folder, tmp_path, "a")
    with pytest.raises(BadCheckpoint, match="sha256 differs"):
        unpack_folder(file.path, tmp_path / "new", sha256="0" * 64)
    assert not (tmp_path / "new").exists()


def _prepared(tmp_path: Path, header: object, content: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / "bad.folder"
    path.write_bytes(FOLDER_MARK + len(text).to_bytes(8, "little") + text + content)
    return path


@pytest.mark.parametrize(
    ("header", "content"),
    [
        ([["../out", 1, 0]], b"x"),
        ([["a/../../out", 1, 0]], b"x"),
        ([["/tmp/out", 1, 0]], b"x"),
        ([["a//b", 1, 0]], b"x"),
        ([["./a", 1, 0]], b"x"),
        ([["", 1, 0]], b"x"),
        ([["a\0b", 1, 0]], b"x"),
        ([["\ud800", 1, 0]], b"x"),
        ([["a" * 2000, 1, 0]], b"x"),
        ([["/".join("a" * 40), 1, 0]], b"x"),
        ([["a", 1, 0], ["a", 1, 0]], b"xy"),
        ([["a", 1, 0], ["a/b", 1, 0]], b"xy"),
        ([["a/b", 1, 0], ["a", 1, 0]], b"xy"),
        ([["a", 2, 0]], b"x"),
        ([["a", 1, 0]], b"xy"),
        ([["a", 10**30, 0]], b"x"),
        ([["a", -1, 0], ["b", 2, 0]], b"x"),
        ([["a", True, 0]], b"x"),
        ([["a", 1, "now"]], b"x"),
        ([["a", 1]], b"x"),
        ([[["a"], 1, 0]], b"x"),
        ({"abc": 1}, b""),
        (7, b""),
        (b"[" * 100_000, b""),
        (b"[[]", b""),
        (b"\xff", b""),
    ],
)
def test_a_prepared_file_is_refused_and_writes_nothing(tmp_path, header, content):
    home = tmp_path / "a" / "b"
    home.mkdir(parents=True)
    path = _prepared(tmp_path, header, content)
    with pytest.raises(BadCheckpoint, match=r"checkpoint 'bad\.folder' cannot be read: ."):
        unpack_folder(path, home / "new", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert {p.name for p in tmp_path.rglob("*")} == {"a", "b", "bad.folder"}


def test_a_header_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "bad.folder"
    path.write_bytes(FOLDER_MARK + (2**63).to_bytes(8, "little"))
    with pytest.raises(BadCheckpoint, match="more bytes than it has"):
        unpack_folder(path, tmp_path / "new", sha256=None)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadCheckpoint, match="not a regular file"):
        unpack_folder(tmp_path / "pipe", tmp_path / "new", sha256=None)


def test_no_damaged_file_does_more_than_raise(folder, tmp_path):
    content = pack_folder(folder, tmp_path, "a").path.read_bytes()
    rng = Random(1)
    path = tmp_path / "damaged.folder"
    before = {p.name for p in tmp_path.iterdir()} | {path.name}
    for _ in range(300):
        damaged = bytearray(content[: rng.choice([len(content), rng.randrange(len(content))])])
        for _ in range(rng.randint(0, 3)):
            damaged[rng.randrange(min(len(damaged), 400))] = rng.randrange(256)
        path.write_bytes(damaged)
        target = tmp_path / "new"
        try:
            unpack_folder(path, target, sha256=None)
        except BadCheckpoint:
            assert not target.exists()
        else:
            clear_folder(target)
            target.rmdir()
        assert {p.name for p in tmp_path.iterdir()} <= before


def test_a_folder_is_cleared_and_what_a_link_points_to_stays(folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(folder)
    clear_folder(link)
    assert link.is_dir()
    assert not link.is_symlink()
    assert _content(folder) == FILES
    clear_folder(folder)
    assert list(folder.iterdir()) == []
