"""Reads of one trial in full, of trials in training, and of the study's history."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from tuner.storage.reading.rows import read_rows
from tuner.study.code import Code
from tuner.study.suggestion import SuggestedBy
from tuner.study.trial import Direction, TrialState
from tuner.study.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class EventRow:
    """An event of the study."""

    event_id: int
    at: datetime
    number: int | None
    attempt: int | None
    host: str | None  # of the agent that caused it
    device: str | None
    kind: str  # "claimed", "pruned", "stop"
    detail: str | None
    value: float | None  # of a trial that ended
    code: Code | None = None  # that its agent trains with


@dataclass(frozen=True, kw_only=True)
class DecisionRow:
    """A pruner's decision."""

    attempt: int
    step: int
    action: str  # the stored text of a `Verdict`
    reason: str

    @property
    def word(self) -> str:
        """The decision as people read it: "continue" or "prune"."""
        return Verdict(self.action).word


@dataclass(frozen=True, kw_only=True)
class LogRow:
    """The log of an attempt."""

    attempt: int
    message: str  # of its failure
    traceback: str
    tail: str  # the last of it
    n_bytes: int  # printed in all
    at: datetime


@dataclass(frozen=True, kw_only=True)
class HeldRow:
    """A trial in training, and its latest report."""

    number: int
    attempt: int
    step: int  # 0: none yet
    value: float | None


@dataclass(frozen=True, kw_only=True)
class RecordRow:
    """A trial that was the best when it completed."""

    nth: int  # how many had completed with it, from 1
    number: int
    value: float


def read_events(connection: Connection, study_id: int, n_events: int) -> list[EventRow]:
    """Return the study's last events, oldest first."""
    rows = read_rows(connection, "events", study_id=study_id, n_events=n_events)
    return [_event(row) for row in reversed(rows)]


def read_trial_events(connection: Connection, study_id: int, number: int) -> list[EventRow]:
    """Return the events of a trial, in order."""
    rows = read_rows(connection, "trial_events", study_id=study_id, number=number)
    return [_event(row) for row in rows]


def _event(row: Any) -> EventRow:
    return EventRow(
        event_id=row[0],
        at=row[1],
        number=row[2],
        attempt=row[3],
        host=row[4],
        device=row[5],
        kind=row[6],
        detail=row[7],
        value=row[8],
        code=row[9] if len(row) > 9 else None,
    )


def read_beside(connection: Connection, study_id: int, number: int) -> dict[int, float]:
    """Return the average number of other trials on the device by attempt; no entry if alone."""
    rows = read_rows(connection, "beside", study_id=study_id, number=number)
    return {attempt: n_others for attempt, n_others in rows}


def read_curve(connection: Connection, study_id: int, number: int) -> dict[int, float]:
    """Return finite intermediate values by step."""
    rows = read_rows(connection, "curve", study_id=study_id, number=number)
    return {step: value for step, value in rows}


def read_decisions(connection: Connection, study_id: int, number: int) -> list[DecisionRow]:
    """Return the pruner's decisions on a trial."""
    return [
        DecisionRow(attempt=attempt, step=step, action=action, reason=reason)
        for attempt, step, action, reason in read_rows(
            connection, "decisions", study_id=study_id, number=number
        )
    ]


def read_logs(connection: Connection, study_id: int, number: int) -> list[LogRow]:
    """Return the logs of its attempts; attempts without output are left out."""
    return [
        LogRow(
            attempt=row[0], message=row[1], traceback=row[2], tail=row[3], n_bytes=row[4], at=row[5]
        )
        for row in read_rows(connection, "logs", study_id=study_id, number=number)
    ]


def read_retries_of(connection: Connection, study_id: int, number: int) -> dict[int, TrialState]:
    """Return the trials that retry this one, with their states."""
    rows = read_rows(connection, "retries_of", study_id=study_id, number=number)
    return {retry: TrialState(state) for retry, state in rows}


def read_suggested_by(connection: Connection, study_id: int, number: int) -> SuggestedBy | None:
    """Return the origin of the trial's params; None if the record does not say it."""
    rows = read_rows(connection, "suggested_by", study_id=study_id, number=number)
    return SuggestedBy(rows[0][0]) if rows and rows[0][0] else None


def read_standing(
    connection: Connection, study_id: int, number: int
) -> tuple[TrialState, int] | None:
    """Return state and attempt; None without such a trial."""
    rows = read_rows(connection, "trial_standing", study_id=study_id, number=number)
    return (TrialState(rows[0][0]), rows[0][1]) if rows else None


def read_held(connection: Connection, study_id: int) -> list[HeldRow]:
    """Return the trials that agents hold."""
    return [
        HeldRow(number=number, attempt=attempt, step=step or 0, value=value)
        for number, attempt, step, value in read_rows(connection, "in_training", study_id=study_id)
    ]


def read_records(connection: Connection, study_id: int, direction: Direction) -> list[RecordRow]:
    """Return the best value so far, trial by trial."""
    minimize = direction is Direction.MINIMIZE
    rows = read_rows(connection, "records", study_id=study_id, minimize=minimize)
    return [RecordRow(nth=nth, number=number, value=value) for nth, number, value in rows]
