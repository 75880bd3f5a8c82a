"""The two schemas: Optuna's, made by Optuna's own code, and ours, by numbered migrations."""

import warnings
from importlib import resources
from typing import TYPE_CHECKING

from optuna.storages import RDBStorage

from tuner.errors import DatabaseDenied, DatabaseError
from tuner.storage.connection import Database, database_errors, raw_closing, render_url

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Optuna 5.0 writes this revision; each one listed here has been tested.
OPTUNA_REVISIONS = frozenset({"v3.2.0.a"})
_LOCK = 0x7475_6E65_72  # "tuner"


def migrate(database: Database, version: int | None = None) -> None:
    """Bring both schemas up to date; safe when many agents start at the same moment.

    `version`: ours to stop at, for a backup of that version.
    Raises `DatabaseError` for a schema that is newer than this program or unknown to it.
    """
    ours = load_migrations()[:version]
    raw = database.open_raw()
    with database_errors(), raw_closing(raw), raw.cursor() as cursor:
        if _is_current(cursor, len(ours)):
            return
        # Eight first starts at once queue here; the first one may take seconds.
        cursor.execute("set lock_timeout = '120s'; set statement_timeout = '120s'")
        cursor.execute("select pg_advisory_lock(%s)", (_LOCK,))
        try:
            with database_errors():
                _migrate_optuna(database, cursor)
                _migrate_ours(cursor, ours)
        except DatabaseDenied as error:
            raise _cannot_migrate(cursor, len(ours)) from error


def read_schema(database: Database) -> tuple[str | None, int]:
    """As `read_versions`, on a connection of its own."""
    raw = database.open_raw()
    with database_errors(), raw_closing(raw), raw.cursor() as cursor:
        return read_versions(cursor)


def read_versions(cursor: "Cursor") -> tuple[str | None, int]:
    """Optuna's revision (None: no schema) and our version (0: none) in this database."""
    return _optuna_revision(cursor), _our_version(cursor)


def load_migrations() -> list[str]:
    """The texts in order; the n-th (from 1) brings the schema to version n."""
    folder = resources.files("tuner.storage") / "sql" / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    assert [int(f.name[:4]) for f in files] == list(range(1, len(files) + 1))
    return [f.read_text(encoding="utf-8") for f in files]


def _is_current(cursor: "Cursor", version: int) -> bool:
    return _optuna_revision(cursor) in OPTUNA_REVISIONS and _our_version(cursor) == version


def _optuna_revision(cursor: "Cursor") -> str | None:
    return _optional(cursor, "alembic_version", "select version_num from alembic_version")


def _our_version(cursor: "Cursor") -> int:
    found = _optional(cursor, "tuner.migration", "select max(version) from tuner.migration")
    return int(found or 0)


def _optional(cursor: "Cursor", table: str, query: str) -> str | None:
    """The first value of a query on a table that may not exist."""
    cursor.execute("select to_regclass(%s) is not null", (table,))
    if cursor.fetchone() != (True,):
        return None
    cursor.execute(query)
    row = cursor.fetchone()
    return None if row is None else row[0]


def _cannot_migrate(cursor: "Cursor", known: int) -> DatabaseDenied:
    """Only the owner of the tables makes and changes them."""
    role = cursor.connection.info.user
    cursor.execute("rollback")
    version = _our_version(cursor)
    if not version:
        return DatabaseDenied(
            f"this database holds no studies yet, and the role {role!r} may not make tables in it; "
            f"its owner runs `tuner db upgrade` once, then `tuner db grant worker {role}`"
        )
    return DatabaseDenied(
        f"the schema of this database is version {version}, this tuner needs {known}, and the "
        f"role {role!r} may not change it; its owner runs `tuner db upgrade` first"
    )


def _migrate_optuna(database: Database, cursor: "Cursor") -> None:
    if _optuna_revision(cursor) is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its own experimental parts
            # Our connections: with our settings, and its URL needs no password.
            ours = {"creator": database.open_dbapi}
            RDBStorage(render_url(database.engine.url), engine_kwargs=ours).engine.dispose()
    revision = _optuna_revision(cursor)
    if revision not in OPTUNA_REVISIONS:
        raise DatabaseError(
            f"this database holds Optuna's schema {revision}; this tuner works with "
            f"{', '.join(sorted(OPTUNA_REVISIONS))}: upgrade tuner, or run `optuna storage upgrade`"
        )


def _migrate_ours(cursor: "Cursor", migrations: list[str]) -> None:
    version = _our_version(cursor)
    if version > len(migrations):
        raise DatabaseError(
            f"this database was made by a newer tuner (schema {version}, this one knows "
            f"{len(migrations)}); upgrade tuner on this machine"
        )
    if not version:  # `create schema if not exists` needs the right to make one even if it exists
        cursor.execute(
            "create schema if not exists tuner;"
            "create table if not exists tuner.migration"
            " (version int primary key, applied_at timestamptz not null default now())"
        )
    for number, text in enumerate(migrations[version:], start=version + 1):
        # One simple query: Postgres runs the whole text as one transaction.
        cursor.execute(f"begin; {text}; insert into tuner.migration values ({number}); commit")  # noqa: S608 - our own files
