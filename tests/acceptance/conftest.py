"""The command with a database of its own on the session's server, or with a home of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.acceptance.command import Tuner, wait_until, write_study
from tests.conftest import copy_database
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server

_numbers = count()


@pytest.fixture
def tuner(tuner_home: Home, database_url: str) -> Iterator[Tuner]:
    """`tuner` with `TUNER_STORAGE` set: quick, since no server has to start."""
    tuner = Tuner(environment={"TUNER_HOME": str(tuner_home.path), "TUNER_STORAGE": database_url})
    yield tuner
    tuner.close()


@pytest.fixture(scope="session")
def finished_template(
    server: Server, template: str, tuner_home: Home, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A database to copy, with a finished study "plain" of two trials."""
    name = "finished_template"
    copy_database(server, name, template)
    tuner = _on_database(server, tuner_home, name)
    tuner("run", write_study(tmp_path_factory.mktemp("finished")), "--workers", 1)
    return name


@pytest.fixture(scope="module")
def finished(server: Server, finished_template: str, tuner_home: Home) -> Iterator[Tuner]:
    """`tuner` with the finished study, for the tests of a module that only look."""
    yield from _copy(server, finished_template, tuner_home)


@pytest.fixture
def own_finished(server: Server, finished_template: str, tuner_home: Home) -> Iterator[Tuner]:
    """`tuner` with the finished study, for one test that changes it."""
    yield from _copy(server, finished_template, tuner_home)


def _copy(server: Server, template: str, home: Home) -> Iterator[Tuner]:
    name = f"finished_{next(_numbers)}"
    copy_database(server, name, template)
    tuner = _on_database(server, home, name)
    yield tuner
    tuner.close()
    _administer(server, f"drop database {name} with (force)")


def _on_database(server: Server, home: Home, name: str) -> Tuner:
    url = make_url(server.url).set(database=name).render_as_string()
    return Tuner(environment={"TUNER_HOME": str(home.path), "TUNER_STORAGE": url})


def _administer(server: Server, statement: str) -> None:
    connection = psycopg2.connect(host=str(server.socket_folder), user="tuner", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


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
