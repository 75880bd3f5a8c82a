"""Trials as samplers see them, from the rows of the feed."""

from tuner.space import Distributions, decode_param, fitting_params
from tuner.storage.connections.connection import Database
from tuner.storage.connections.sessions import Row, Session
from tuner.study.report import RungValue
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


def rung_values(row: Row) -> list[RungValue]:
    """Build the values from the row of the query `rungs` in `feed.sql`."""
    _snapshot, *columns = row
    return [
        RungValue(step=step, number=number, value=value, place=place, is_complete=is_complete)
        for step, number, value, place, is_complete in zip(*(c or () for c in columns), strict=True)
    ]


def read_records(
    database: Database, study_id: int, distributions: Distributions
) -> tuple[list[TrialRecord], list[RungValue]]:
    """Return all trials of a study, by number, and all values at rungs."""
    own = {"study_id": study_id}
    session = Session(database)
    try:
        rows = session.rows("feed", "trials", {**own, "highest": -1, "open": []})
        (rungs,) = session.rows("feed", "rungs", {**own, "snapshot": None})
    finally:
        session.close()
    return [trial_record(row, distributions) for row in rows], rung_values(rungs)
