"""Two tiers of tests, and a database for those that need one: a fresh copy of a template each."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tuner.storage.connections.connection import Database, open_database_url
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server, open_server
from tuner.storage.schema.migrations import migrate

_names = count()


@pytest.fixture(scope="session")
def tuner_home() -> Iterator[Home]:
    """A home of the test session, where the embedded server's user can reach it."""
    path = Path(tempfile.mkdtemp(prefix="tuner-test-"))
    path.chmod(0o711)
    for folder in ("data", "spool"):
        (path / folder).mkdir(mode=0o700)
    before = os.environ.get("TUNER_HOME")
    os.environ["TUNER_HOME"] = str(path)
    os.environ.pop("TUNER_STORAGE", None)
    yield Home(path=path)
    if before is None:
        del os.environ["TUNER_HOME"]
    else:
        os.environ["TUNER_HOME"] = before
    _wait_for_server_to_stop(path)
    shutil.rmtree(path)


def _wait_for_server_to_stop(home: Path) -> None:
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    end = time.monotonic() + 20
    while pid_file.exists() and time.monotonic() < end:
        time.sleep(0.05)


@pytest.fixture(scope="session")
def server(tuner_home: Home) -> Iterator[Server]:
    """The embedded server, held for the session."""
    server = open_server(tuner_home)
    _administer(server, "alter system set fsync = off")  # no test pulls the plug
    _administer(server, "select pg_reload_conf()")
    yield server
    server.close()


def _administer(server: Server, statement: str) -> None:
    connection = psycopg2.connect(host=str(server.socket_folder), user="tuner", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def copy_database(server: Server, name: str, template: str) -> None:
    """Copy a database, file by file: without fsync that is quicker than through the WAL."""
    _administer(server, f"create database {name} template {template} strategy file_copy")


def url_of(server: Server, database: str) -> str:
    """The URL of a database of the test server."""
    return make_url(server.url).set(database=database).render_as_string()


@pytest.fixture(scope="session")
def template(server: Server) -> str:
    """A migrated database to copy."""
    _administer(server, "create database tuner_template")
    database = open_database_url(make_url(url_of(server, "tuner_template")))
    migrate(database)
    database.close()
    return "tuner_template"


@pytest.fixture
def empty_url(server: Server) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{next(_names)}"
    _administer(server, f"create database {name}")
    yield url_of(server, name)
    _administer(server, f"drop database {name} with (force)")


@pytest.fixture
def database_url(server: Server, template: str) -> Iterator[str]:
    """A migrated database of one's own."""
    name = f"test_{next(_names)}"
    copy_database(server, name, template)
    yield url_of(server, name)
    _administer(server, f"drop database {name} with (force)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A connection to it."""
    database = open_database_url(make_url(database_url))
    yield database
    database.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --long`: the extended suite."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` as well")


def pytest_configure(config: pytest.Config) -> None:
    """What every process that tests start inherits: threads that sleep, and a Ctrl-C that counts.

    On a busy machine torch's threads would spend most of their time in loops that wait for each
    other. A shell without job control starts what it puts into the background with SIGINT ignored.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `--long` the long ones are not there at all."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
