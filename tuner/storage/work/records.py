"""Trials as samplers see them, from the rows of the feed."""

from tuner.space import Distributions, decode_param, fitting_params
from tuner.storage.connections.connection import Database
from tuner.storage.connections.sessions import Row, Session
from tuner.study.trial import TrialRecord, TrialState


def trial_record(row: Row, distributions: Distributions) -> TrialRecord:
    """Build the record from a row of the query `trials` in `feed.sql`."""
    number, state, names, values, stored, value, step, step_value, diverged = row
    params = {
        name: decode_param(distribution, internal)
        for name, internal, distribution in zip(
            names or (), values or (), stored or (), strict=True
        )
    }
    return TrialRecord(
        number=number,
        state=TrialState(state),
        params=fitting_params(params, distributions),
        value=value,
        last_step=step,
        last_value=step_value,
        diverged=diverged,
    )


def read_records(
    database: Database, study_id: int, distributions: Distributions
) -> list[TrialRecord]:
    """Return all trials of a study, by number."""
    session = Session(database)
    try:
        rows = session.rows("feed", "trials", {"study_id": study_id, "highest": -1, "open": []})
    finally:
        session.close()
    return [trial_record(row, distributions) for row in rows]
