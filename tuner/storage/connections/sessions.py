"""A connection that reopens after a failure: one per thread that uses the database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg2.extras import register_uuid

from tuner.errors import DatabaseAway
from tuner.storage.connections.connection import Database, database_errors
from tuner.storage.queries import load_queries

if TYPE_CHECKING:
    from psycopg2.extensions import connection as RawConnection
    from psycopg2.extensions import cursor as Cursor

register_uuid()  # type: ignore[no-untyped-call]  # the stubs leave it out

Row = tuple[Any, ...]
Statement = tuple[str, str, Mapping[str, object]]  # file, query, params


class Session:
    """Runs named queries on a connection of its own; opens a new one after a failure.

    One session serves one thread. Errors: `DatabaseAway` when the same call may succeed later.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._raw: RawConnection | None = None

    def rows(self, file: str, query: str, params: Mapping[str, object]) -> list[Row]:
        """Run one statement, committed by itself in one round trip."""
        with self._connected() as raw, raw.cursor() as cursor:
            return run(cursor, file, query, params)

    @contextmanager
    def transaction(
        self, file: str, query: str, params: Mapping[str, object]
    ) -> Iterator[tuple["Cursor", list[Row]]]:
        """Yield a cursor in a transaction, and the rows of its first statement, which opens it.

        Commits at the end, rolls back on any exception.
        """
        with self._connected() as raw, raw.cursor() as cursor:
            try:
                # One round trip: psycopg2 and the server take several statements at once.
                cursor.execute(f"begin; {load_queries(file)[query]}", params)
                yield cursor, cursor.fetchall()
            except BaseException:
                if not raw.closed:
                    cursor.execute("rollback")
                raise
            cursor.execute("commit")

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    @contextmanager
    def _connected(self) -> Iterator["RawConnection"]:
        if self._raw is None:
            self._raw = self._database.open_raw()
        try:
            with database_errors():
                yield self._raw
                # ends the snapshot of a read-only connection; others commit by themselves
                self._raw.commit()
        except DatabaseAway:
            self.close()
            raise
        except BaseException:
            if self._raw is not None and not self._raw.closed:
                self._raw.rollback()
            raise


def run_all(cursor: "Cursor", *statements: Statement) -> None:
    """Run statements whose rows are not needed, in one round trip."""
    texts = [
        cursor.mogrify(load_queries(file)[query], params) for file, query, params in statements
    ]
    if texts:
        cursor.execute(b";\n".join(texts))


def run(cursor: "Cursor", file: str, query: str, params: Mapping[str, object]) -> list[Row]:
    """Return the rows of a named query; empty for a query without rows."""
    cursor.execute(load_queries(file)[query], params)
    return cursor.fetchall() if cursor.description else []
