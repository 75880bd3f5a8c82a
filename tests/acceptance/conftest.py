"""The command with a database of its own on the session's server, or with a home of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Tuner, wait_until
from tuner.storage.home import Home


@pytest.fixture
def tuner(tuner_home: Home, database_url: str) -> Iterator[Tuner]:
    """`tuner` with `TUNER_STORAGE` set: quick, since no server has to start."""
    tuner = Tuner(environment={"TUNER_HOME": str(tuner_home.path), "TUNER_STORAGE": database_url})
    yield tuner
    tuner.close()


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    """A `TUNER_HOME` that nobody has used; as root the server's own user must get through it."""
    path = Path(tempfile.mkdtemp(prefix="tuner-fresh-"))
    path.chmod(0o711)
    yield path
    wait_until(lambda: not has_server(path), "the embedded server stops")
    shutil.rmtree(path)


@pytest.fixture
def fresh_tuner(fresh_home: Path) -> Iterator[Tuner]:
    """`tuner` as on a new machine: nothing configured but where its home is."""
    tuner = Tuner(environment={"TUNER_HOME": str(fresh_home)})
    yield tuner
    tuner.close()


def has_server(home: Path) -> bool:
    """Whether the home's embedded server runs or is on its way down."""
    return (home / "postgres" / "data" / "postmaster.pid").exists()
