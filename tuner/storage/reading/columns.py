"""Reads of many trials at once, as columns: for screens that follow studies of 100,000 trials."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from tuner.storage.queries import load_queries
from tuner.storage.reading.rows import parse_given
from tuner.storage.reading.trials import EventRow
from tuner.study.trial import TRIAL_STATES, Params

# A column holds a state as its place here, as the query does.
STATES = TRIAL_STATES
# Facts about a trial outside its columns, as `tuner trials --where` names them.
TEXT_FIELDS = ("host", "device", "reason", "failure", "retry_of")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TrialColumns:
    """Some trials by number, ascending; all columns have the same length."""

    numbers: Ints
    states: Ints  # places in `STATES`
    values: Floats  # nan: none
    n_steps: Ints
    began: Floats  # of the last attempt, in seconds since 1970; nan: not yet
    started: Floats  # of the first attempt, likewise
    ended: Floats
    seconds: Floats  # on a device
    agents: Ints  # ordinals; -1: none
    devices: Sequence[str]
    attempts: Ints
    failures: Mapping[int, tuple[str | None, str]]  # number -> failure class, reason
    given: Mapping[int, Params]  # params with which WAITING trials were enqueued


@dataclass(frozen=True, kw_only=True)
class ParamColumn:
    """One parameter of some trials."""

    name: str
    distribution: str  # Optuna's JSON
    numbers: Ints
    values: Floats  # as Optuna stores them


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Reported values of a trial by step."""

    steps: Ints
    values: Floats


@dataclass(frozen=True, kw_only=True)
class EarlyAttempt:
    """An attempt that another one followed."""

    number: int
    attempt: int
    agent: int | None  # its ordinal
    device: str | None
    began: float
    ended: float
    how: str  # "released", "claimed": its agent was lost


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The time of a snapshot."""

    lived_seconds: float
    last_event: int
    now: float  # seconds since 1970, the database's


def read_column_rows(connection: Connection, query: str, **params: object) -> Sequence[Any]:
    """Return the rows of a query of `columns.sql`."""
    return connection.execute(text(load_queries("columns")[query]), params).all()


def read_trial_columns(
    connection: Connection, study_id: int, highest: int, open_numbers: Sequence[int]
) -> TrialColumns | None:
    """Return trials above `highest`, and the open ones again; None if there are none."""
    (row,) = read_column_rows(
        connection, "trials", study_id=study_id, highest=highest, open=list(open_numbers)
    )
    if row[0] is None:
        return None
    failed = zip(row[10] or (), row[11] or (), row[12] or (), strict=True)
    return TrialColumns(
        numbers=_ints(row[0]),
        states=_ints(row[1]),
        values=_floats(row[2]),
        n_steps=_ints(row[3]),
        began=_floats(row[4]),
        started=_floats(row[15]),
        ended=_floats(row[5]),
        seconds=_floats(row[6]),
        agents=_ints(row[7]),
        devices=row[8].split(","),
        attempts=_ints(row[9]),
        failures={number: (failure, reason) for number, failure, reason in failed},
        given={n: parse_given(text) for n, text in zip(row[13] or (), row[14] or (), strict=True)},
    )


def read_param_columns(
    connection: Connection, study_id: int, highest: int, open_numbers: Sequence[int]
) -> list[ParamColumn]:
    """Return the params of the same trials, in the order of the search space."""
    rows = read_column_rows(
        connection, "params", study_id=study_id, highest=highest, open=list(open_numbers)
    )
    return [
        ParamColumn(
            name=name, distribution=distribution, numbers=_ints(numbers), values=_floats(values)
        )
        for name, distribution, numbers, values in rows
    ]


def read_curves(
    connection: Connection, study_id: int, numbers: Sequence[int], stride: int
) -> dict[int, Curve]:
    """Return the curves of these trials, thinned to every `stride`-th step."""
    if not numbers:
        return {}
    rows = read_column_rows(
        connection, "curves", study_id=study_id, numbers=list(numbers), stride=stride
    )
    return {
        number: Curve(steps=_ints(steps), values=_floats(values)) for number, steps, values in rows
    }


def read_metric_names(connection: Connection, study_id: int, numbers: Sequence[int]) -> list[str]:
    """Return the names of the metrics that these trials reported, apart from the objective."""
    rows = read_column_rows(connection, "metric_names", study_id=study_id, numbers=list(numbers))
    return sorted(name for (name,) in rows)


def read_metric_curves(
    connection: Connection, study_id: int, numbers: Sequence[int], name: str
) -> dict[int, Curve]:
    """Return one metric of these trials."""
    rows = read_column_rows(
        connection, "metrics", study_id=study_id, numbers=list(numbers), name=name
    )
    return {
        number: Curve(steps=np.array(steps, np.int64), values=np.array(values, np.float64))
        for number, _, steps, values in rows
    }


def read_early_attempts(connection: Connection, study_id: int) -> list[EarlyAttempt]:
    """Return attempts that others followed; the last 2,000."""
    names = ("number", "attempt", "agent", "device", "began", "ended", "how")
    rows = read_column_rows(connection, "early_attempts", study_id=study_id)
    return [EarlyAttempt(**dict(zip(names, row, strict=True))) for row in rows]


def read_clock(connection: Connection, study_id: int) -> Clock:
    ((seconds, event, now),) = read_column_rows(connection, "clock", study_id=study_id)
    return Clock(lived_seconds=seconds, last_event=event, now=now)


def read_notable(
    connection: Connection, study_id: int, kinds: Sequence[str], n_events: int
) -> list[EventRow]:
    """Return the newest events of these kinds, oldest first."""
    rows = read_column_rows(
        connection, "notable", study_id=study_id, kinds=list(kinds), n_events=n_events
    )
    names = ("event_id", "at", "number", "attempt", "host", "device", "kind", "detail", "value")
    return [EventRow(**dict(zip(names, row, strict=True))) for row in reversed(rows)]


def read_text_field(connection: Connection, study_id: int, field: str) -> dict[int, object]:
    """Return one of `TEXT_FIELDS`, of the trials that have it."""
    rows = read_column_rows(connection, "text_field", study_id=study_id, field=field)
    return {number: int(found) if field == "retry_of" else found for number, found in rows}


def read_attribute(connection: Connection, study_id: int, key: str) -> dict[int, object]:
    """Return a user attribute of the trials that have it."""
    rows = read_column_rows(connection, "attribute", study_id=study_id, key=key)
    return {number: parse_json(found) for number, found in rows}


def read_attribute_names(connection: Connection, study_id: int) -> list[str]:
    """Return the names of user attributes of all trials."""
    rows = read_column_rows(connection, "attribute_names", study_id=study_id)
    return [name for (name,) in rows]


def parse_json(text: str) -> object:
    """Parse JSON that another program may have written."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass(frozen=True, kw_only=True)
class CheckpointRow:
    """A registered checkpoint."""

    step: int
    attempt: int
    n_bytes: int
    saved_at: datetime


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    name: str
    step: int
    value: float


def read_checkpoints(connection: Connection, study_id: int, number: int) -> list[CheckpointRow]:
    rows = read_column_rows(connection, "checkpoints", study_id=study_id, number=number)
    return [CheckpointRow(step=r[0], attempt=r[1], n_bytes=r[2], saved_at=r[3]) for r in rows]


def read_last_metrics(connection: Connection, study_id: int, number: int) -> list[MetricRow]:
    rows = read_column_rows(connection, "last_metrics", study_id=study_id, number=number)
    return [MetricRow(name=name, step=step, value=value) for name, step, value in rows]


def _floats(joined: str) -> Floats:
    return np.fromstring(joined, dtype=np.float64, sep=",")


def _ints(joined: str) -> Ints:
    return np.fromstring(joined, dtype=np.int64, sep=",")
