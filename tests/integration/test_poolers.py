"""Behind a real PgBouncer: which way it pools is found out, and nothing relies on a session."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.integration.stores import make_spec
from tests.pooler import (
    Pooler,
    needs_pgbouncer,
    open_owned_database,
    open_pooler,
    query_directly,
)
from tests.postgres import SystemPostgres, open_system_postgres
from tuner.errors import DatabaseAway, DatabaseError, DatabaseRefused
from tuner.storage.connections import pooling, reconnects
from tuner.storage.connections.connection import Database, open_database_url, parse_url
from tuner.storage.connections.pooling import TIMEOUTS
from tuner.storage.connections.read_only import read_only
from tuner.storage.connections.sessions import Session
from tuner.storage.schema.backup import restore_backup, write_backup
from tuner.storage.schema.diagnosis import diagnose
from tuner.storage.schema.migrations import load_migrations, migrate
from tuner.storage.schema.roles import RoleKind, grant
from tuner.storage.work.join import join_study

pytestmark = needs_pgbouncer


@pytest.fixture(scope="module")
def postgres() -> Iterator[SystemPostgres]:
    with open_system_postgres() as running:
        yield running


@pytest.fixture
def empty(postgres: SystemPostgres) -> Iterator[str]:
    with open_owned_database(postgres, "pooled") as name:
        yield name


@pytest.fixture
def limited(postgres: SystemPostgres, empty: str) -> str:
    """An empty database in which the owner's sessions have time-outs of their own."""
    for name, value in TIMEOUTS.items():
        postgres.sql(f"alter role owner in database {empty} set {name} = '{value}'")
    return empty


def _open(pooler: Pooler, database: str, role: str = "owner") -> Database:
    return open_database_url(parse_url(pooler.url(role, database)))


def _settings_of_others(pooler: Pooler, database: str) -> list[tuple[str, ...]]:
    """What other clients of the pooler find set in its sessions, of which they hold all at once."""
    raws = [psycopg2.connect(pooler.url("owner", database)) for _ in range(6)]
    found = []
    for raw in raws:
        with raw.cursor() as cursor:
            cursor.execute(
                "select current_setting('lock_timeout'), current_setting('statement_timeout'),"
                " current_setting('default_transaction_read_only')"
            )
            found += cursor.fetchall()
    for raw in raws:
        raw.close()
    return found


UNTOUCHED = [("0", "0", "off")] * 6


def test_session_pooling_works_as_installed(postgres: SystemPostgres, empty: str) -> None:
    with open_pooler(postgres, "session") as pooler, closing(_open(pooler, empty)) as database:
        migrate(database)
        assert join_study(database, make_spec(), "f").is_new
        with database.reading() as connection:
            for name, value in TIMEOUTS.items():
                assert connection.exec_driver_sql(f"show {name}").scalar() == value
        found = diagnose(database)
        assert (found.is_pooled, found.has_limits) == (True, False)
        database.close()
        assert _settings_of_others(pooler, empty) == UNTOUCHED


@pytest.mark.parametrize(
    "more", ["", "server_round_robin = 1", "ignore_startup_parameters=options"]
)
def test_transaction_pooling_without_limits_says_what_to_run(
    postgres: SystemPostgres, empty: str, more: str
) -> None:
    with open_pooler(postgres, "transaction", more=more) as pooler:
        assert _settings_of_others(pooler, empty) == UNTOUCHED  # six sessions, all of them idle
        for _ in range(3):
            with pytest.raises(DatabaseError, match="pools transactions") as error:
                _open(pooler, empty)
        assert _settings_of_others(pooler, empty) == UNTOUCHED
        (statements,) = re.findall("`(.*)`", str(error.value))
        with psycopg2.connect(pooler.url("owner", empty)) as raw, raw.cursor() as cursor:
            cursor.execute(statements)
        raw.close()
        pooler.reconnect()
        with closing(_open(pooler, empty)) as database:
            migrate(database)
            found = diagnose(database)
            assert (found.is_pooled, found.has_limits) == (True, True)


def test_transaction_pooling_is_found_although_others_use_the_pool(
    postgres: SystemPostgres, empty: str
) -> None:
    with open_pooler(postgres, "transaction") as pooler, ThreadPoolExecutor(4) as pool:
        is_over: list[bool] = []

        def use() -> None:
            with closing(psycopg2.connect(pooler.url("owner", empty))) as raw:
                raw.autocommit = True
                while not is_over:
                    with raw.cursor() as cursor:
                        cursor.execute("select pg_sleep(0.003)")

        for _ in range(4):
            pool.submit(use)
        try:
            for _ in range(10):
                with pytest.raises(DatabaseError, match="pools transactions"):
                    _open(pooler, empty)
        finally:
            is_over.append(True)


def test_statement_pooling_is_refused_in_one_sentence(
    postgres: SystemPostgres, limited: str
) -> None:
    with (
        open_pooler(postgres, "statement") as pooler,
        pytest.raises(
            DatabaseError, match=r"pools statements, .* set its pool_mode to transaction"
        ),
    ):
        _open(pooler, limited)


def test_a_pool_of_one_session_is_told_and_does_not_hang(
    postgres: SystemPostgres, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, "_PROBE_SECONDS", 1.0)
    with (
        open_pooler(postgres, "session", more="default_pool_size = 1") as pooler,
        pytest.raises(DatabaseAway, match="raise its default_pool_size"),
    ):
        _open(pooler, empty)


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_eight_first_starts_at_once_make_one_schema_and_one_study(
    postgres: SystemPostgres, limited: str, mode: str
) -> None:
    def start(_: int) -> bool:
        with closing(_open(pooler, limited)) as database:
            migrate(database)
            return join_study(database, make_spec(), "f").is_new

    with open_pooler(postgres, mode) as pooler, ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(start, range(8))) == [False] * 7 + [True]
        versions = query_directly(postgres, limited, "select version from tuner.migration")
        assert versions == [(version + 1,) for version in range(len(load_migrations()))]
        locks = "select count(*) from pg_locks where locktype = 'advisory'"
        assert query_directly(postgres, limited, locks) == [(0,)]


def test_what_only_looks_cannot_write_and_leaves_no_trace(
    postgres: SystemPostgres, limited: str
) -> None:
    write = "insert into studies (study_name) values ('x')"
    note = {"study_id": 1, "kind": "x", "detail": "y"}
    with open_pooler(postgres, "transaction") as pooler, closing(_open(pooler, limited)) as plain:
        migrate(plain)
        with closing(read_only(plain)) as looked:
            for _ in range(3):
                with (
                    pytest.raises(Exception, match="read-only"),
                    looked.engine.begin() as connection,
                ):
                    connection.exec_driver_sql(write)
                with (
                    closing(Session(looked)) as session,
                    pytest.raises(DatabaseError, match="read-only"),
                ):
                    session.rows("control", "note", note)
                with looked.reading() as connection:
                    assert connection.exec_driver_sql("select count(*) from studies").scalar() == 0
                assert {found[2] for found in _settings_of_others(pooler, limited)} == {"off"}
        with plain.engine.begin() as connection:
            connection.exec_driver_sql(write)


def test_a_backup_goes_through_a_pooler_and_leaves_no_setting_there(
    postgres: SystemPostgres, limited: str, tmp_path: Path
) -> None:
    with (
        open_pooler(postgres, "transaction") as pooler,
        closing(_open(pooler, limited)) as database,
    ):
        migrate(database)
        join_study(database, make_spec(), "f")
        write_backup(database, tmp_path / "backup.zip")
        query_directly(postgres, limited, "truncate studies cascade")
        restore_backup(database, tmp_path / "backup.zip")
        assert query_directly(postgres, limited, "select count(*) from studies") == [(1,)]
        assert {found[:2] for found in _settings_of_others(pooler, limited)} == {("8s", "30s")}


def test_moments_do_not_depend_on_the_time_zone_of_a_session(
    postgres: SystemPostgres, limited: str
) -> None:
    postgres.sql(f"alter role owner in database {limited} set timezone = 'Asia/Tokyo'")
    with (
        open_pooler(postgres, "transaction") as pooler,
        closing(_open(pooler, limited)) as database,
        database.reading() as connection,
    ):
        moment = connection.exec_driver_sql("select timestamptz '2026-01-02 03:04:05Z'").scalar()
        assert moment is not None
        assert moment.isoformat() == "2026-01-02T03:04:05+00:00"


def test_a_grant_gives_time_outs_and_says_so_where_it_may_not(
    postgres: SystemPostgres, empty: str
) -> None:
    kept = (
        "select count(*) from pg_db_role_setting s join pg_roles r on r.oid = s.setrole,"
        " unnest(setconfig) where rolname = 'worker'"
    )
    url = f"postgresql://postgres@/{empty}?host={postgres.folder}&port={postgres.port}"
    with closing(open_database_url(parse_url(url))) as database:
        migrate(database)
        granted = grant(database, RoleKind.WORKER, "worker")
        assert granted.notes == ()
        assert granted.script.count('alter role "worker" in database "pooled" set ') == 3
        assert query_directly(postgres, empty, kept) == [(3,)]
        assert grant(database, None, "worker").script.count(" reset ") == 3
        assert query_directly(postgres, empty, kept) == [(0,)]


def test_an_owner_who_may_not_set_time_outs_of_others_is_told_what_to_run(
    postgres: SystemPostgres, limited: str
) -> None:
    with open_pooler(postgres, "transaction") as pooler:
        with closing(_open(pooler, limited)) as database:
            migrate(database)
            granted = grant(database, RoleKind.WORKER, "worker")
        (note,) = granted.notes
        (statements,) = re.findall("`(.*)`", note)
        with pytest.raises(DatabaseError, match="'worker' has no time-outs"):
            _open(pooler, limited, "worker")
        with psycopg2.connect(pooler.url("worker", limited)) as raw, raw.cursor() as cursor:
            cursor.execute(statements)
        raw.close()
        pooler.reconnect()
        with closing(_open(pooler, limited, "worker")) as database:
            migrate(database)
            assert join_study(database, make_spec(), "f").is_new
        with closing(_open(pooler, limited)) as database:
            assert grant(database, RoleKind.WORKER, "worker").notes == ()


def test_a_pooler_that_is_set_up_otherwise_in_the_meantime_is_an_outage(
    postgres: SystemPostgres, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnects, "PAUSE_SECONDS", 0.0)
    with open_pooler(postgres, "session") as pooler, closing(_open(pooler, empty)) as database:
        ini = pooler.folder / "ini"
        for before, after in (("session", "transaction"), ("transaction", "session")):
            ini.write_text(ini.read_text().replace(f"pool_mode = {before}", f"pool_mode = {after}"))
            pooler.stop()
            with pytest.raises(DatabaseAway):
                database.open_raw()
            pooler.start()
            if after == "transaction":
                with pytest.raises(DatabaseRefused, match="pools transactions"):
                    database.open_raw()
        database.open_raw().close()
