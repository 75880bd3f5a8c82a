"""The database of a reading command."""

from collections.abc import Iterator
from contextlib import contextmanager

from tuner.storage.connection import Database, storage_setting
from tuner.storage.migrations import migrate
from tuner.storage.opening import open_database


@contextmanager
def open_named(storage: str | None) -> Iterator[Database]:
    """`--storage`, `TUNER_STORAGE` or the embedded server, with the schema in place."""
    with open_database(storage_setting(storage)) as database:
        migrate(database)
        yield database
