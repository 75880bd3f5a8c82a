"""Who can block whom: no role that only reads, or only connects, blocks an agent or an upgrade."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from sqlalchemy.engine import make_url

from tests.conftest import _administer
from tests.integration.stores import StoredStudy, connect, make_spec
from tuner.errors import DatabaseAway
from tuner.storage.connections.connection import Database, database_errors, open_database_url
from tuner.storage.embedded.server import Server
from tuner.storage.queries import load_queries
from tuner.storage.schema import blockers, migrations
from tuner.storage.schema.migrations import load_migrations, migrate
from tuner.storage.work.join import join_study

READER = "only_reads"


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    database = open_database_url(make_url(empty_url))
    yield database
    database.close()


@pytest.fixture
def reader(server: Server, database: Database) -> Iterator[Any]:
    """A session of a role with SELECT on everything, in an open transaction."""
    _administer(server, f"create role {READER}")
    raw = connect(database)
    with raw.cursor() as cursor:
        cursor.execute(
            f"grant usage on schema public, tuner to {READER};"
            f"grant select on all tables in schema public, tuner to {READER}"
        )
        raw.commit()
        cursor.execute(f"set role {READER}; set application_name = 'notebook'")
        raw.commit()
    yield raw
    raw.rollback()
    with raw, raw.cursor() as cursor:
        cursor.execute(f"reset role; drop owned by {READER}")
    raw.close()
    _administer(server, f"drop role {READER}")


@pytest.fixture
def needs_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next version of tuner changes a table that every agent uses."""
    texts = [*load_migrations(), "alter table tuner.lease add column later int"]
    load: Callable[[], list[str]] = lambda: texts  # noqa: E731
    monkeypatch.setattr(migrations, "load_migrations", load)


def test_a_first_start_takes_no_advisory_lock_of_any_session(empty: Database) -> None:
    blocker = connect(empty)
    with blocker, blocker.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", (0x7475_6E65_72,))  # what older versions took
        cursor.execute("select pg_advisory_lock(hashtextextended('tuner study searched', 0))")
    with ThreadPoolExecutor(1) as pool:
        joined = pool.submit(lambda: (migrate(empty), join_study(empty, make_spec(), "f"))[1])
        assert joined.result(timeout=6).is_new
    blocker.close()


def test_a_reader_cannot_take_the_locks_of_writers(reader: Any) -> None:
    for statement in (
        load_queries("locks")["lock_versions"],
        "lock table studies in share mode",
        "select 1 from studies for update",
        "select 1 from studies for key share",
        "select 1 from tuner.migration for share",
        "insert into studies (study_name) values ('searched')",
    ):
        with reader.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)
        reader.rollback()


def test_an_upgrade_names_the_reader_that_blocks_it_and_agents_do_not_wait(
    database: Database, reader: Any, needs_upgrade: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blockers, "MAX_WAIT_SECONDS", 2.5)
    study = StoredStudy(database, make_spec(trials=1000))
    agent = study.agent()
    pauses, is_over = [], threading.Event()

    def work() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            agent.finish(agent.claim_one())
            pauses.append(time.monotonic() - began)

    with reader.cursor() as cursor:
        cursor.execute("select count(*) from tuner.lease")
    thread = threading.Thread(target=work)
    thread.start()
    try:
        with pytest.raises(DatabaseAway) as error:
            migrate(database)
    finally:
        is_over.set()
        thread.join()
    text = str(error.value)
    assert f"pid {reader.info.backend_pid} " in text
    assert "role 'tuner'" in text  # the one that has logged in
    assert "application 'notebook'" in text
    assert "idle in transaction" in text
    assert "select count(*) from tuner.lease" in text
    # Waiting for the upgrade would be one pause of 2.5 s. A busy machine is slow as well.
    assert len(pauses) > 3
    assert max(pauses) < 2.0
    reader.rollback()
    migrate(database)
    assert study.query("select max(version) from tuner.migration") == [
        (len(load_migrations()) + 1,)
    ]
    study.close()


def test_an_upgrade_that_is_blocked_for_a_moment_goes_through(
    database: Database, reader: Any, needs_upgrade: None
) -> None:
    with reader.cursor() as cursor:
        cursor.execute("select count(*) from tuner.lease")
    with ThreadPoolExecutor(1) as pool:
        upgraded = pool.submit(migrate, database)
        time.sleep(1.0)
        assert not upgraded.done()
        reader.rollback()
        upgraded.result(timeout=8)


def test_a_second_upgrade_waits_for_the_first(
    database: Database, needs_upgrade: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = connect(database)
    with first.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute(load_queries("locks")["lock_versions"])
        second = pool.submit(migrate, database)
        time.sleep(0.5)
        assert not second.done()
        first.rollback()
        second.result(timeout=8)
    monkeypatch.setattr(blockers, "MAX_WAIT_SECONDS", 2.0)
    with first.cursor() as cursor:
        cursor.execute(load_queries("locks")["lock_versions"])
    texts = [*migrations.load_migrations(), "create table tuner.third (n int)"]
    monkeypatch.setattr(migrations, "load_migrations", lambda: texts)
    with pytest.raises(DatabaseAway, match=f"pid {first.info.backend_pid} "):
        migrate(database)
    first.close()


def test_a_study_that_another_session_makes_is_joined(database: Database) -> None:
    """The second creator waits for the first one's commit, then finds the study."""
    first = connect(database)
    with first.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("insert into studies (study_name) values ('searched')")
        second = pool.submit(join_study, database, make_spec(), "f")
        time.sleep(0.3)
        assert not second.done()
        first.rollback()
        assert second.result(timeout=6).is_new
    first.close()


def test_a_start_that_waits_for_a_lock_says_so(database: Database) -> None:
    blocker = connect(database)
    with blocker.cursor() as cursor:
        cursor.execute("lock table studies in access exclusive mode")
    raw = database.open_raw()
    with raw.cursor() as cursor, pytest.raises(DatabaseAway) as error, database_errors():
        cursor.execute("set lock_timeout = '50ms'; select 1 from studies")
    assert str(error.value).startswith("another session of the database held a lock for too long")
    with raw.cursor() as cursor, pytest.raises(DatabaseAway) as error, database_errors():
        cursor.execute("set statement_timeout = '50ms'; select pg_sleep(1)")
    assert str(error.value).startswith("the database took too long for a statement; try again")
    raw.close()
    blocker.close()
