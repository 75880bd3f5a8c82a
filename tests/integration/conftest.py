"""Fixtures of the integration tests: a study on an empty database, and agents without workers."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.acceptance.command import LIGHT
from tests.conftest import url_of
from tests.integration.stores import StoredStudy, close_stock, connect, make_spec
from tuner.storage.connections.connection import Database, open_database_url
from tuner.storage.embedded.server import Server

NewStudy = Callable[..., StoredStudy]


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the test starts find a stand-in for torch, which takes seconds to import."""
    monkeypatch.setenv("PYTHONPATH", LIGHT["PYTHONPATH"])


@pytest.fixture(scope="session")
def shared_database(server: Server, template: str) -> Iterator[Database]:
    """One migrated database for all tests that make studies and change no schema."""
    maintenance = psycopg2.connect(host=str(server.socket_folder), user="tuner", dbname="postgres")
    maintenance.autocommit = True
    with maintenance.cursor() as cursor:
        cursor.execute(f"create database shared template {template}")
    maintenance.close()
    database = open_database_url(make_url(url_of(server, "shared")))
    yield database
    database.close()


@pytest.fixture
def new_study(shared_database: Database) -> Iterator[NewStudy]:
    """Makes studies of the given budget, and with other fields of the spec if need be."""
    _empty(shared_database)
    studies: list[StoredStudy] = []

    def make(trials: int = 10, **changes: Any) -> StoredStudy:
        studies.append(StoredStudy(shared_database, make_spec(trials=trials, **changes)))
        return studies[-1]

    yield make
    for study in studies:
        study.close()
    close_stock()


def _empty(database: Database) -> None:
    """Every table, Optuna's and ours, belongs to a study."""
    connection = connect(database)
    with connection, connection.cursor() as cursor:
        cursor.execute("truncate studies restart identity cascade")
    connection.close()


@pytest.fixture
def study(new_study: NewStudy) -> StoredStudy:
    """A study of ten trials."""
    return new_study()
