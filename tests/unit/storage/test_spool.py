"""The spool: a folder per process, swept by the next one."""

import stat
from pathlib import Path

import pytest

from tuner.storage.home import Home, open_spool


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "spool").mkdir(mode=0o700)
    return Home(path=tmp_path)


def test_a_spool_is_private_and_removed_with_its_files_at_the_end(home: Home) -> None:
    with open_spool(home) as spool:
        (spool / "checkpoint").write_bytes(b"x")
        assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert list(home.spool.iterdir()) == []


def test_what_a_dead_process_left_behind_is_swept(home: Home) -> None:
    leftover = home.spool / "leftover"
    leftover.mkdir()
    (leftover / "checkpoint").write_bytes(b"x")
    with open_spool(home) as spool:
        assert list(home.spool.iterdir()) == [spool]


def test_the_spool_of_a_living_process_is_left_alone(home: Home) -> None:
    with open_spool(home) as first:
        (first / "checkpoint").write_bytes(b"x")
        with open_spool(home):
            assert (first / "checkpoint").exists()
