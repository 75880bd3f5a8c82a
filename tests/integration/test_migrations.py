"""The schemas: Optuna's by Optuna's code, ours by migrations; safe for many at once."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from sqlalchemy.engine import make_url

from tests.integration.stores import connect, make_spec
from tuner.errors import DatabaseError, StudyMismatch
from tuner.storage.connections.connection import Database, open_database_url
from tuner.storage.schema.migrations import load_migrations, migrate
from tuner.storage.work.join import join_study

SCHEMA = {
    "columns": "select table_schema, table_name, column_name, ordinal_position, column_default,"
    " is_nullable, data_type, udt_name, is_identity from information_schema.columns",
    "constraints": "select conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
    " from pg_constraint",
    "indexes": "select schemaname, tablename, indexname, indexdef from pg_indexes",
    "options": "select relname, reloptions::text from pg_class where relkind = 'r'",
    "storage": "select attrelid::regclass::text, attname, attstorage::text from pg_attribute"
    " join pg_class c on c.oid = attrelid where c.relkind = 'r' and attnum > 0",
}
OURS = {
    "columns": " where table_schema in ('tuner', 'public')",
    "constraints": " where connamespace in ('tuner'::regnamespace, 'public'::regnamespace)",
    "indexes": " where schemaname in ('tuner', 'public')",
    "options": " and relnamespace in ('tuner'::regnamespace, 'public'::regnamespace)",
    "storage": " and relnamespace in ('tuner'::regnamespace, 'public'::regnamespace)",
}


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    database = open_database_url(make_url(empty_url))
    yield database
    database.close()


VERSIONS = [(version,) for version in range(1, len(load_migrations()) + 1)]


def _query(database: Database, statement: str) -> list[tuple[object, ...]]:
    connection = connect(database)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def _schema(database: Database) -> dict[str, list[tuple[object, ...]]]:
    return {
        name: sorted(_query(database, statement + OURS[name]), key=str)
        for name, statement in SCHEMA.items()
    }


def _make_optuna_study(database: Database, name: str) -> None:
    storage = optuna.storages.RDBStorage(database.engine.url.render_as_string(hide_password=False))
    study = optuna.create_study(study_name=name, storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    storage.remove_session()
    storage.engine.dispose()


def test_a_fresh_schema_equals_one_migrated_step_by_step(
    empty: Database, database: Database
) -> None:
    _make_optuna_study(empty, "older")
    for text in ["create schema tuner", *load_migrations()]:
        _query(empty, text)
    fresh = _schema(database)
    fresh = {
        name: [
            row for row in rows if "migration" not in map(str, row) and "tuner.migration" not in row
        ]
        for name, rows in fresh.items()
    }
    stepwise = _schema(empty)
    assert [row for row in fresh["indexes"] if row[2] != "migration_pkey"] == stepwise["indexes"]
    for name in ("columns", "constraints", "options", "storage"):
        assert fresh[name] == stepwise[name]
    assert len(stepwise["columns"]) > 100


def test_a_worker_of_before_may_drop_weights_that_are_no_longer_among_the_best(
    empty: Database,
) -> None:
    _make_optuna_study(empty, "older")
    _query(empty, "drop role if exists worker_of_before; create role worker_of_before")
    for number, text in enumerate(["create schema tuner", *load_migrations()]):
        if number == 4:
            _query(empty, "grant delete on tuner.checkpoint to worker_of_before")
        _query(empty, text)
    may = "select has_table_privilege('worker_of_before', 'tuner.weights', 'delete')"
    assert _query(empty, may) == [(True,)]
    _query(empty, "drop owned by worker_of_before; drop role worker_of_before")


def test_a_second_migration_changes_nothing(database: Database) -> None:
    before = (_schema(database), _query(database, "select * from tuner.migration"))
    migrate(database)
    assert (_schema(database), _query(database, "select * from tuner.migration")) == before


def test_eight_threads_at_once_on_an_empty_database(empty: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: migrate(empty), range(8)))
    assert _query(empty, "select version from tuner.migration") == VERSIONS


def test_four_processes_at_once_on_an_empty_database(empty: Database, empty_url: str) -> None:
    code = (
        "import sys; from sqlalchemy.engine import make_url\n"
        "from tuner.storage.connections.connection import open_database_url\n"
        "from tuner.storage.schema.migrations import migrate\n"
        "migrate(open_database_url(make_url(sys.argv[1])))"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, empty_url], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    errors = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0] * 4, errors
    assert _query(empty, "select version from tuner.migration") == VERSIONS


def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    _query(database, "insert into tuner.migration values (99)")
    before = _schema(database)
    with pytest.raises(DatabaseError, match=r"newer tuner \(schema 99, this one knows \d+\)"):
        migrate(database)
    assert _schema(database) == before


def test_an_unknown_optuna_revision_is_refused(database: Database) -> None:
    _query(database, "update alembic_version set version_num = 'v9.9.9.z'")
    with pytest.raises(DatabaseError, match=r"Optuna's schema v9\.9\.9\.z; this tuner works with"):
        migrate(database)


def test_an_unknown_optuna_revision_gets_no_schema_of_ours(empty: Database) -> None:
    _make_optuna_study(empty, "theirs")
    _query(empty, "update alembic_version set version_num = 'v9.9.9.z'")
    with pytest.raises(DatabaseError):
        migrate(empty)
    assert _query(empty, "select 1 from pg_namespace where nspname = 'tuner'") == []


def test_a_database_that_optuna_made_keeps_its_studies(empty: Database) -> None:
    _make_optuna_study(empty, "theirs")
    before = _query(empty, "select * from trials order by 1")
    migrate(empty)
    assert _query(empty, "select * from trials order by 1") == before
    assert join_study(empty, make_spec(), "fingerprint").is_new
    _make_optuna_study(empty, "later")
    assert _query(empty, "select study_name from studies order by 1") == [
        ("later",),
        ("searched",),
        ("theirs",),
    ]


def test_a_plain_optuna_study_of_the_same_name_is_refused(database: Database) -> None:
    _make_optuna_study(database, "searched")
    with pytest.raises(StudyMismatch, match="made by another Optuna program"):
        join_study(database, make_spec(), "fingerprint")
    assert _query(database, "select 1 from tuner.study") == []


def test_a_migration_that_fails_leaves_the_version_before(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuner.storage.schema import migrations

    texts = [*load_migrations(), "create table tuner.second (x int); select 1 / 0;"]
    load: Callable[[], list[str]] = lambda: texts  # noqa: E731
    monkeypatch.setattr(migrations, "load_migrations", load)
    with pytest.raises(DatabaseError, match="division by zero"):
        migrate(empty)
    assert _query(empty, "select version from tuner.migration") == VERSIONS
    assert _query(empty, "select to_regclass('tuner.second')") == [(None,)]
    texts[-1] = "create table tuner.second (x int);"
    migrate(empty)
    versions = [*VERSIONS, (len(VERSIONS) + 1,)]
    assert _query(empty, "select version from tuner.migration order by 1") == versions
