"""The two schemas: Optuna's, created by Optuna's own code, and tuner's, by numbered migrations."""

import warnings
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING

import psycopg2.errors
from optuna.storages import RDBStorage
from psycopg2.sql import SQL, Identifier
from sqlalchemy.pool import StaticPool

from tuner.errors import DatabaseDenied, DatabaseError
from tuner.storage.connections.connection import Database, database_errors, raw_closing, render_url
from tuner.storage.connections.sessions import run
from tuner.storage.schema.blockers import run_patiently

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Optuna 5.0 writes this revision; each one listed here has been tested.
OPTUNA_REVISIONS = frozenset({"v3.2.0.a"})


def migrate(database: Database, version: int | None = None) -> None:
    """Bring both schemas up to date; safe when many agents start at the same moment.

    `version`: the last migration to apply, for a backup of that version. Raises `DatabaseError` for
    a schema that is newer than this program or unknown to it, `DatabaseAway` if another session
    blocks a change.
    """
    ours = load_migrations()[:version]
    raw = database.open_raw()
    with database_errors(), raw_closing(raw), raw.cursor() as cursor:
        if _is_current(cursor, len(ours)):
            return
        try:
            with database_errors():
                _refuse_unknown(cursor, len(ours))
                advance = partial(_advance, url=render_url(database.engine.url), ours=ours)
                while run_patiently(cursor, advance):
                    pass
        except DatabaseDenied as error:
            raise _cannot_migrate(cursor, len(ours)) from error


def read_schema(database: Database) -> tuple[str | None, int]:
    """Read the versions on a connection of its own."""
    raw = database.open_raw()
    with database_errors(), raw_closing(raw), raw.cursor() as cursor:
        return read_versions(cursor)


def read_versions(cursor: "Cursor") -> tuple[str | None, int]:
    """Return Optuna's revision (None: no schema) and tuner's version (0: none) in this database."""
    return _optuna_revision(cursor), _our_version(cursor)


def load_migrations() -> list[str]:
    """Return the texts in order; the n-th (from 1) brings the schema to version n."""
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
    """Return the first value of a query on a table that may not exist."""
    cursor.execute("select to_regclass(%s) is not null", (table,))
    if cursor.fetchone() != (True,):
        return None
    cursor.execute(query)
    row = cursor.fetchone()
    return None if row is None else row[0]


def _cannot_migrate(cursor: "Cursor", known: int) -> DatabaseDenied:
    """Return the error for a role that does not own the tables."""
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


def _refuse_unknown(cursor: "Cursor", known: int) -> None:
    revision, version = read_versions(cursor)
    if revision is not None and revision not in OPTUNA_REVISIONS:
        raise DatabaseError(
            f"this database holds Optuna's schema {revision}; this tuner works with "
            f"{', '.join(sorted(OPTUNA_REVISIONS))}: upgrade tuner, or run `optuna storage upgrade`"
        )
    if version > known:
        raise DatabaseError(
            f"this database was made by a newer tuner (schema {version}, this one knows "
            f"{known}); upgrade tuner on this machine"
        )


def _advance(cursor: "Cursor", seconds: float, *, url: str, ours: list[str]) -> bool:
    """Take one step in a transaction of its own; False if there is none left.

    The transaction itself holds the lock, so that no lock outlives it, even behind a pooler.
    """
    cursor.execute("show lock_timeout")
    ((timeout,),) = cursor.fetchall()
    cursor.execute(f"set local lock_timeout = '{1000 * seconds:.0f}ms'")
    cursor.execute("select to_regclass('tuner.migration') is not null")
    if cursor.fetchone() != (True,) and not _make_versions(cursor):
        return True  # the next transaction sees the other session's tables
    run(cursor, "locks", "lock_versions", {})
    cursor.execute(f"set local lock_timeout = '{timeout}'")
    _refuse_unknown(cursor, len(ours))
    revision, version = read_versions(cursor)
    if revision is None:
        _make_optuna(cursor, url)
    elif version < len(ours):
        cursor.execute(ours[version])
        cursor.execute("insert into tuner.migration values (%s)", (version + 1,))
    else:
        return False
    return True


def _make_versions(cursor: "Cursor") -> bool:
    """Create the table on which migrations lock each other out; False if another session did.

    A second session waits at the catalogue's unique indexes until the first has committed.
    """
    cursor.execute("savepoint made")
    try:
        cursor.execute(
            "create schema if not exists tuner;"
            "create table if not exists tuner.migration"
            " (version int primary key, applied_at timestamptz not null default now())"
        )
    except _EXISTS:
        cursor.execute("rollback to savepoint made")
        return False
    return True


_EXISTS = (
    psycopg2.errors.UniqueViolation,  # in the catalogue
    psycopg2.errors.DuplicateSchema,
    psycopg2.errors.DuplicateTable,
)


def _make_optuna(cursor: "Cursor", url: str) -> None:
    """Create the tables by Optuna's own code, on this connection and in its transaction.

    With a connection in autocommit mode, the driver leaves the commit to the code that began the
    transaction.
    """
    assert cursor.connection.autocommit
    # The embedded server's role is named as our schema is, which so comes first in its search path.
    cursor.execute("select array_remove(current_schemas(false), 'tuner')::text[]")
    ((schemas,),) = cursor.fetchall()
    if schemas:
        path = SQL(", ").join(map(Identifier, schemas))
        cursor.execute(SQL("set local search_path = {}").format(path))
    ours = {"creator": lambda: cursor.connection, "poolclass": StaticPool}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own experimental parts
        RDBStorage(url, engine_kwargs=ours).remove_session()
    _refuse_unknown(cursor, 0)
