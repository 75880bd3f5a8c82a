"""The study that a command names, ready for changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tuner.cli.database import open_existing
from tuner.storage.connections.connection import Database
from tuner.storage.control.commands import Control
from tuner.storage.reading.rows import StudyRow, find_row
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import StudySpec


@dataclass(frozen=True, kw_only=True)
class NamedStudy:
    """A study, its spec, and its control."""

    row: StudyRow
    spec: StudySpec
    control: Control
    database: Database


@contextmanager
def open_study(storage: str | None, name: str) -> Iterator[NamedStudy]:
    """Open the study; raises `NotFound` with the closest name."""
    with open_existing(storage) as database:
        with database.reading() as connection:
            row = find_row(connection, name)
        spec = parse_spec(row.spec)
        control = Control(database, row.study_id, spec)
        yield NamedStudy(row=row, spec=spec, control=control, database=database)
