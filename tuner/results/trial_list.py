"""Lists of trials: those that a filter chooses, in its order."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.results.filters import Filter, filter_places
from tuner.results.trial_fields import StoredFields
from tuner.results.trial_table import TrialTable, empty_table, merge
from tuner.storage.connections.connection import Database, Snapshot
from tuner.storage.reading.columns import Ints, read_param_columns, read_trial_columns
from tuner.storage.reading.rows import StudyRow, TrialRow, find_row, read_trials
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import StudySpec


@dataclass(frozen=True, kw_only=True)
class TrialList:
    study: StudyRow
    spec: StudySpec
    trials: Sequence[TrialRow]


def load_trials(database: Database, name: str, wanted: Filter) -> TrialList:
    """Read the trials that a filter chooses; raises `NotFound`, and as `filter_places`."""
    with database.reading() as connection:
        study = find_row(connection, name)
        spec = parse_spec(study.spec)
        table = read_table(connection, study.study_id, empty_table())
        fields = StoredFields(connection=connection, study_id=study.study_id, spec=spec)
        places = filter_places(table, wanted, fields)
        trials = read_places(connection, study.study_id, table, places)
        return TrialList(study=study, spec=spec, trials=trials)


def read_table(connection: Snapshot, study_id: int, table: TrialTable) -> TrialTable:
    """Return a table with the trials that are new or were open."""
    ids = (study_id, table.highest, table.open_numbers)
    news = read_trial_columns(connection, *ids)
    return merge(table, news, read_param_columns(connection, *ids) if news else ())


def read_places(
    connection: Snapshot, study_id: int, table: TrialTable, places: Ints
) -> list[TrialRow]:
    """Read the trials at some places of a table in this order, without those deleted since."""
    numbers: list[int] = table.numbers[places].tolist()
    found = {row.number: row for row in read_trials(connection, study_id, numbers)}
    return [found[number] for number in numbers if number in found]
