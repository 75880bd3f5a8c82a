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


# Deletes the rows of every table, Optuna's and ours, that belongs to a study. `truncate` would make
# new files for a hundred tables and indexes, which takes longer. The vacuum gives the room back: new
# rows then stand in the order of their insertion again, on which no query of ours relies, but tests.
EMPTYING = """
with recursive owned (id) as (
    select 'studies'::regclass::oid
    union
    select conrelid from pg_constraint join owned on confrelid = owned.id where contype = 'f'
)
select format('delete from %s', id::regclass) from owned
union all
select format('select setval(%L, 1, false)', s.oid::regclass)
from owned join pg_depend d on d.refobjid = owned.id and d.deptype in ('a', 'i')
join pg_class s on s.oid = d.objid and s.relkind = 'S'
"""


@pytest.fixture(scope="session")
def emptying(shared_database: Database) -> list[str]:
    """The transactions that empty the shared database."""
    connection = connect(shared_database)
    with connection, connection.cursor() as cursor:
        cursor.execute(EMPTYING)
        statements = [statement for (statement,) in cursor.fetchall()]
    connection.close()
    tables = [words.removeprefix("delete from ") for words in statements if "delete" in words]
    vacuum = f"vacuum (index_cleanup off) {', '.join(tables)}"
    # Without triggers, and so without foreign keys, the order does not matter.
    return ["; ".join(["set local session_replication_role = replica", *statements]), vacuum]


@pytest.fixture
def new_study(shared_database: Database, emptying: list[str]) -> Iterator[NewStudy]:
    """Makes studies of the given budget, and with other fields of the spec if need be."""
    connection = connect(shared_database)
    connection.autocommit = True  # a vacuum is its own transaction
    for transaction in emptying:
        with connection.cursor() as cursor:
            cursor.execute(transaction)
    connection.close()
    studies: list[StoredStudy] = []

    def make(trials: int = 10, **changes: Any) -> StoredStudy:
        studies.append(StoredStudy(shared_database, make_spec(trials=trials, **changes)))
        return studies[-1]

    yield make
    for study in studies:
        study.close()
    close_stock()


@pytest.fixture
def study(new_study: NewStudy) -> StoredStudy:
    """A study of ten trials."""
    return new_study()
