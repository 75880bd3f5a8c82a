"""The database of a command."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tuner.cli.text.words import clean
from tuner.errors import NotFound
from tuner.storage.connections.connection import Database, storage_setting
from tuner.storage.embedded.home import open_home
from tuner.storage.opening import open_database
from tuner.storage.schema.migrations import migrate

NO_STUDY_YET = "no study yet; tuner run STUDY.yaml makes one"


@contextmanager
def open_named(storage: str | None, *, is_told: bool = True) -> Iterator[Database]:
    """Open `--storage`, `TUNER_STORAGE` or the embedded server, with the schema in place.

    `is_told`: print advice about the connection on stderr.
    """
    with open_unmigrated(storage, is_told=is_told) as database:
        migrate(database)
        yield database


@contextmanager
def open_unmigrated(storage: str | None, *, is_told: bool = True) -> Iterator[Database]:
    """Open it like `open_named`, with any schema or none."""
    with open_database(storage_setting(storage)) as database:
        for warning in database.warnings if is_told else ():
            print(clean(f"note: {warning}"), file=sys.stderr)
        yield database


@contextmanager
def open_existing(storage: str | None, *, is_told: bool = True) -> Iterator[Database]:
    """Open it like `open_named`, but raise `NotFound` rather than create an embedded database."""
    if not exists(storage):
        raise NotFound(NO_STUDY_YET)
    with open_named(storage, is_told=is_told) as database:
        yield database


def exists(storage: str | None) -> bool:
    """Return whether a database is named, or this machine has an embedded one."""
    return storage_setting(storage) is not None or (open_home().server / "data").exists()
