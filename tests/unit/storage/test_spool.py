"""The spool: a folder per process, swept by the next one."""

import errno
import fcntl
import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from tuner.errors import CannotWork, RunFailed
from tuner.storage.embedded.home import Home, check_device, open_home, open_spool


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "spool").mkdir(mode=0o700)
    return Home(path=tmp_path)


def test_a_spool_is_private_and_removed_with_its_files_at_the_end(home: Home) -> None:
    with open_spool(home) as spool:
        (spool.path / "checkpoint").write_bytes(b"x")
        assert stat.S_IMODE(spool.path.stat().st_mode) == 0o700
    assert list(home.spool.iterdir()) == []


def test_what_a_dead_process_left_behind_is_swept(home: Home) -> None:
    leftover = home.spool / "leftover"
    leftover.mkdir()
    (leftover / "checkpoint").write_bytes(b"x")
    with open_spool(home) as spool:
        assert list(home.spool.iterdir()) == [spool.path]


def test_the_spool_of_a_living_process_is_left_alone(home: Home) -> None:
    with open_spool(home) as first:
        (first.path / "checkpoint").write_bytes(b"x")
        with open_spool(home):
            assert (first.path / "checkpoint").exists()


def test_a_spool_is_not_made_again_while_another_process_sweeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_HOME", str(tmp_path / "home"))
    home = open_home()
    with open_spool(home) as spool, ThreadPoolExecutor() as pool:
        shutil.rmtree(spool.path)
        sweeping = os.open(home.spool, os.O_RDONLY)
        fcntl.flock(sweeping, fcntl.LOCK_EX)
        restored = pool.submit(spool.restore)
        assert not wait([restored], timeout=0.3).done
        assert not spool.is_there()
        os.close(sweeping)
        restored.result(10)
        assert spool.is_there()


def test_a_spool_that_was_removed_is_made_again_and_still_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_HOME", str(tmp_path / "home"))
    home = open_home()
    with open_spool(home) as spool:
        assert spool.is_there()
        shutil.rmtree(home.path)
        assert not spool.is_there()
        spool.restore()
        assert spool.is_there()
        with open_spool(home):  # removes folders without a lock
            assert spool.is_there()
    assert not spool.path.exists()


def test_no_folder_is_made_on_another_device(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    check_device(tmp_path / "a" / "b", device)
    with pytest.raises(CannotWork, match="is gone together with the disk that it was on"):
        check_device(tmp_path / "a" / "b", device + 1)


@pytest.mark.parametrize("has_locks", ["refused", "given out twice"])
def test_a_home_without_working_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: str
) -> None:
    """As some network file systems are; none can be mounted here."""

    def flock(descriptor: int, how: int) -> None:
        if has_locks == "refused":
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setenv("TUNER_HOME", str(tmp_path / "home"))
    with pytest.raises(RunFailed, match=r"locks do not work in .*; set TUNER_HOME to a folder"):
        open_home()


def test_a_home_with_locks_is_taken_by_many_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_HOME", str(tmp_path / "home"))
    with ThreadPoolExecutor(8) as pool:
        homes = [each.result() for each in [pool.submit(open_home) for _ in range(40)]]
    assert {home.path for home in homes} == {tmp_path / "home"}
