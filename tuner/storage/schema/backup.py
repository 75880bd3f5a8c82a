"""A backup of all studies in one file: one snapshot, no other program, no password.

The file is a zip archive: a binary COPY of each table, and `manifest.json`. It can be restored to
any supported server, whatever its version of Postgres.
"""

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psycopg2
import psycopg2.errors
from psycopg2.sql import SQL, Composable, Identifier, Literal

from tuner.errors import DatabaseError, RunFailed, UsageError
from tuner.storage.connections.connection import Database, database_errors, raw_closing
from tuner.storage.connections.sessions import run
from tuner.storage.objects.store import ObjectStore
from tuner.storage.queries import load_queries
from tuner.storage.schema.backed_objects import copy_objects, restore_objects
from tuner.storage.schema.migrations import (
    OPTUNA_REVISIONS,
    load_migrations,
    migrate,
    read_versions,
)
from tuner.storage.schema.optuna_tables import OPTUNA_TABLES
from tuner.storage.schema.roles import VERSIONS

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

FORMAT = "tuner-backup-1"
MANIFEST = "manifest.json"
_OBJECTS_SINCE = 5  # the version of the schema in which rows can name objects
_MAX_MANIFEST_BYTES = 1 << 20
# Errors of `zipfile` for damaged, encrypted and unknown content; of `json` for a deep one.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError)
# Errors of Postgres for invalid or inconsistent rows; canceled: reading them failed.
_UNFIT = (psycopg2.DataError, psycopg2.IntegrityError, psycopg2.errors.QueryCanceled)


@dataclass(frozen=True, kw_only=True)
class TableCopy:
    """One table of a backup."""

    name: str  # also its entry's in the archive: "tuner.lease", "optuna.trials"
    columns: tuple[str, ...]
    n_rows: int


@dataclass(frozen=True, kw_only=True)
class Backup:
    """The content of a backup file."""

    made_at: str  # ISO 8601, UTC, by this machine's clock
    optuna_revision: str
    schema_version: int
    tables: tuple[TableCopy, ...]  # in the order in which they are restored

    def n_rows(self, name: str) -> int:
        """Return the rows of a table, such as "optuna.trials"."""
        return sum(table.n_rows for table in self.tables if table.name == name)


@dataclass(frozen=True, kw_only=True)
class _Table:
    schema: str
    name: str
    columns: tuple[str, ...]
    counted: tuple[str, ...]  # columns whose values a sequence gives out

    @property
    def identifier(self) -> Identifier:
        return Identifier(self.schema, self.name)

    @property
    def entry(self) -> str:
        """Return the entry's name, independent of the schema of Optuna's tables."""
        return f"{'tuner' if self.schema == 'tuner' else 'optuna'}.{self.name}"

    def statement(self, query: str, columns: Sequence[str], **more: Composable) -> Composable:
        listed = SQL(", ").join(map(Identifier, columns))
        return SQL(load_queries("backup")[query]).format(
            table=self.identifier, columns=listed, **more
        )


def write_backup(
    database: Database, path: Path, stores: Mapping[str, ObjectStore] | None = None
) -> tuple[Backup, int]:
    """Back up all studies as of one moment; agents continue meanwhile.

    Return the content, and the number of checkpoints that were copied from `stores`.
    The file appears complete or not at all, readable by its owner alone. Raises `UsageError` if it
    exists already, `RunFailed` if it cannot be written.
    """
    if path.exists():
        raise UsageError(f"{path} exists already; name another file with -o")
    raw = database.open_raw()
    try:
        with (
            database_errors(),
            raw_closing(raw),
            raw.cursor() as cursor,
            _new_file(path) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            return _copy_all(cursor, archive, stores or {})
    except FileExistsError as error:
        raise UsageError(f"{path} exists already; name another file with -o") from error
    except OSError as error:
        raise RunFailed(f"cannot write {path} ({error.strerror}); nothing is left of it") from error


def read_backup(path: Path) -> Backup:
    """Read the manifest; raises `UsageError` for a file that is not a backup by tuner."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(MANIFEST) as entry:
            found = json.loads(entry.read(_MAX_MANIFEST_BYTES))
        if found.pop("format") != FORMAT:
            raise ValueError
        tables = [{**t, "columns": tuple(t["columns"])} for t in found.pop("tables")]
        backup = Backup(tables=tuple(TableCopy(**table) for table in tables), **found)
        if not _is_typed(backup):
            raise ValueError
        return backup
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}); check the path") from error
    except (*_UNREADABLE, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is not a backup made by `tuner db backup`") from error


def _is_typed(backup: Backup) -> bool:
    """Return whether the types are right: JSON may hold anything anywhere."""
    texts = [backup.made_at, backup.optuna_revision]
    numbers = [backup.schema_version - 1]
    for table in backup.tables:
        texts += [table.name, *table.columns]
        numbers.append(table.n_rows)
    return all(type(text) is str for text in texts) and all(
        type(number) is int and number >= 0 for number in numbers
    )


def restore_backup(database: Database, path: Path) -> Backup:
    """Fill an empty database; all or nothing, except for the schema.

    Raises `UsageError` for a database that holds studies, `DatabaseError` for a file that does not
    fit this version of tuner or is damaged.
    """
    backup = read_backup(path)
    known = len(load_migrations())
    if backup.schema_version > known or backup.optuna_revision not in OPTUNA_REVISIONS:
        raise DatabaseError(
            f"{path} was made with schemas tuner {backup.schema_version} and Optuna "
            f"{backup.optuna_revision}; this tuner knows tuner {known} and Optuna "
            f"{', '.join(sorted(OPTUNA_REVISIONS))}: upgrade tuner"
        )
    raw = database.open_raw()
    with database_errors(), raw_closing(raw), raw.cursor() as cursor:
        _refuse_studies(cursor, backup)
        migrate(database, backup.schema_version)
        cursor.execute("begin")
        run(cursor, "backup", "take_time", {})
        run(cursor, "backup", "lock_studies", {})
        _refuse_studies(cursor, backup)  # one may have been created meanwhile
        try:
            with zipfile.ZipFile(path) as archive:
                tables = {table.entry: table for table in _tables(cursor)}
                for copy in backup.tables:
                    _fill(cursor, archive, copy, tables)
                if backup.schema_version >= _OBJECTS_SINCE:
                    restore_objects(cursor, archive)
        except (*_UNREADABLE, *_UNFIT, OSError, KeyError) as error:
            what = " ".join(str(error).split())
            raise DatabaseError(f"{path} is damaged ({what}); nothing was restored") from error
        cursor.execute("commit")
    migrate(database)
    return backup


def _copy_all(
    cursor: "Cursor", archive: zipfile.ZipFile, stores: Mapping[str, ObjectStore]
) -> tuple[Backup, int]:
    run(cursor, "backup", "begin_snapshot", {})
    run(cursor, "backup", "take_time", {})
    revision, version = read_versions(cursor)
    assert revision is not None, "it was opened, and so migrated"
    copies = []
    for table in _tables(cursor):
        statement = table.statement("copy_out", table.columns)
        with archive.open(table.entry, "w", force_zip64=True) as entry:
            cursor.copy_expert(statement, entry)
        copies.append(TableCopy(name=table.entry, columns=table.columns, n_rows=cursor.rowcount))
    n_objects = copy_objects(cursor, archive, stores)
    cursor.execute("commit")
    backup = Backup(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        optuna_revision=revision,
        schema_version=version,
        tables=tuple(copies),
    )
    archive.writestr(MANIFEST, json.dumps({"format": FORMAT, **asdict(backup)}, indent=1))
    return backup, n_objects


def _tables(cursor: "Cursor") -> list[_Table]:
    """Return the tables of both schemas, each after the ones that it refers to."""
    names = {"optuna_tables": list(OPTUNA_TABLES), "versions": [v.split(".")[-1] for v in VERSIONS]}
    tables = {
        (schema, name): _Table(
            schema=schema, name=name, columns=tuple(columns), counted=tuple(counted or ())
        )
        for schema, name, columns, counted in run(cursor, "backup", "tables", names)
    }
    order: TopologicalSorter[tuple[str, str]] = TopologicalSorter({key: () for key in tables})
    for schema, name, to_schema, to_name in run(cursor, "backup", "references", {}):
        if {(schema, name), (to_schema, to_name)} <= tables.keys():
            order.add((schema, name), (to_schema, to_name))
    return [tables[key] for key in order.static_order()]


def _refuse_studies(cursor: "Cursor", backup: Backup) -> None:
    revision, version = read_versions(cursor)
    if revision is None and not version:
        return
    cursor.execute("select count(*) from studies")
    ((n_studies,),) = cursor.fetchall()
    if n_studies:
        noun = "study" if n_studies == 1 else "studies"
        raise UsageError(
            f"the database holds {n_studies} {noun} already; a backup is restored into an empty "
            "database only: name another one with --storage, or another TUNER_HOME"
        )
    if version > backup.schema_version:
        raise UsageError(
            f"the database has schema {version} and no study, the backup schema "
            f"{backup.schema_version}; restore into a new database"
        )


def _fill(
    cursor: "Cursor", archive: zipfile.ZipFile, copy: TableCopy, known: Mapping[str, _Table]
) -> None:
    """Fill one table, if it and its columns are known: the file may contain any names."""
    table = known.get(copy.name)
    if table is None or set(copy.columns) != set(table.columns):
        raise KeyError(f"unknown table or columns: {copy.name}")
    with archive.open(copy.name) as entry:
        cursor.copy_expert(table.statement("copy_in", copy.columns), entry)
    if cursor.rowcount != copy.n_rows:
        raise EOFError(f"{copy.name} has {cursor.rowcount} rows instead of {copy.n_rows}")
    for column in table.counted:
        texts = {
            "name": Literal(table.identifier.as_string(cursor)),
            "column_name": Literal(column),
            "column": Identifier(column),
        }
        cursor.execute(table.statement("count_on", (), **texts))


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a private file that gets its name when it is complete, if the name is still free."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
