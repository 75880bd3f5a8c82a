"""The data of a live screen, cheap enough to be read every second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.results.summary import StudySummary, summarize
from tuner.storage.connections.connection import Database
from tuner.storage.reading.rows import find_row
from tuner.storage.reading.trials import (
    EventRow,
    HeldRow,
    RecordRow,
    read_events,
    read_held,
    read_records,
)

N_EVENTS = 60


@dataclass(frozen=True, kw_only=True)
class LiveStudy:
    """A study in one snapshot."""

    summary: StudySummary
    held: Mapping[int, HeldRow]  # by number
    records: Sequence[RecordRow]
    events: Sequence[EventRow]  # oldest first


def load_live(database: Database, name: str) -> LiveStudy:
    """Read the study; raises `NotFound`, `DatabaseAway`."""
    with database.reading() as connection:
        study = find_row(connection, name)
        return LiveStudy(
            summary=summarize(connection, study),
            held={row.number: row for row in read_held(connection, study.study_id)},
            records=read_records(connection, study.study_id, study.direction),
            events=read_events(connection, study.study_id, N_EVENTS),
        )
