"""One trial in full: its params, its reports, and the course of each attempt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tuner.errors import NotFound
from tuner.results.diagnosis import Diagnosis, Finding
from tuner.results.loss_curves import read_diagnoses
from tuner.storage.connections.connection import Database, Snapshot
from tuner.storage.reading.rows import StudyRow, TrialRow, find_row, read_trials
from tuner.storage.reading.trials import (
    DecisionRow,
    EventRow,
    LogRow,
    read_beside,
    read_curve,
    read_decisions,
    read_logs,
    read_retries_of,
    read_standing,
    read_suggested_by,
    read_trial_events,
)
from tuner.study.code import Code, changed_files
from tuner.study.command_line import study_command
from tuner.study.failure import FailureClass
from tuner.study.suggestion import SuggestedBy
from tuner.study.trial import Params, TrialState
from tuner.study_file.identity import parse_spec

_STARTS = {"claimed", "taken_over", "adopted"}
_LOST = "its agent was lost"


@dataclass(frozen=True, kw_only=True)
class AttemptStory:
    """One execution of a trial."""

    attempt: int
    host: str | None
    device: str | None
    started_at: datetime | None
    ended_at: datetime | None  # None: it continues
    how: str  # "complete", "released", "fail", "lost", "running"
    detail: str
    n_beside: float = 0.0  # others that shared its device, on average over its time
    other_code: tuple[str, ...] = ()  # files that were not those with which the study began


@dataclass(frozen=True, kw_only=True)
class TrialPage:
    """Everything about one trial, in one snapshot."""

    study: StudyRow
    trial: TrialRow
    fixed_params: Params
    n_steps_full: int | None
    step_noun: str
    curve: Mapping[int, float]
    attempts: Sequence[AttemptStory]
    decisions: Sequence[DecisionRow]
    logs: Sequence[LogRow]
    retried_by: Mapping[int, TrialState]  # by number
    sampler: str
    suggested_by: SuggestedBy | None  # None: the record does not say it
    diagnosis: Diagnosis | None  # of its curves so far

    @property
    def params_from(self) -> str:
        """Return the origin of the params in words; empty for a retry, which repeats them."""
        if self.trial.retry_of is not None:
            return ""
        match self.suggested_by:
            case SuggestedBy.USER:
                return "enqueued by a user"
            case SuggestedBy.OTHER:
                return "suggested by another program"
            case SuggestedBy.RANDOM:
                return f"suggested by {self.sampler} at random"
            case SuggestedBy.BELIEF:
                return f"suggested by {self.sampler} around a belief (`near`)"
            case SuggestedBy.MODEL:
                return f"suggested by the model of {self.sampler}"
            case None:
                return f"suggested by {self.sampler}"

    @property
    def steps_noun(self) -> str:
        """Return the plural of the step's noun, for headings."""
        return f"{self.step_noun}s"


@dataclass(frozen=True, kw_only=True)
class TrialLog:
    """The output of a trial so far, and whether more may come."""

    state: TrialState
    attempt: int
    logs: Sequence[LogRow]

    @property
    def is_final(self) -> bool:
        """Return whether no attempt will print again."""
        return self.state.is_final


def load_trial_page(database: Database, name: str, number: int) -> TrialPage:
    """Load a trial; raises `NotFound` for the study or the trial."""
    with database.reading() as connection:
        study = find_row(connection, name)
        rows = read_trials(connection, study.study_id, [number])
        if not rows:
            raise _no_trial(name, number)
        spec = parse_spec(study.spec)
        device = rows[0].device
        return TrialPage(
            study=study,
            trial=rows[0],
            fixed_params=spec.params,
            n_steps_full=spec.n_steps,
            step_noun=spec.step_noun,
            curve=read_curve(connection, study.study_id, number),
            attempts=tell_attempts(
                read_trial_events(connection, study.study_id, number),
                rows[0].attempt,
                device,
                study.code,
                read_beside(connection, study.study_id, number),
            ),
            decisions=read_decisions(connection, study.study_id, number),
            logs=read_logs(connection, study.study_id, number),
            retried_by=read_retries_of(connection, study.study_id, number),
            sampler="confirm" if spec.confirms else spec.sampler.name,
            suggested_by=read_suggested_by(connection, study.study_id, number),
            diagnosis=_diagnosis(connection, study, rows[0], spec.step_noun),
        )


def load_trial_log(database: Database, name: str, number: int) -> TrialLog:
    """Load its output; raises `NotFound`."""
    with database.reading() as connection:
        study = find_row(connection, name)
        standing = read_standing(connection, study.study_id, number)
        if standing is None:
            raise _no_trial(name, number)
        return TrialLog(
            state=standing[0],
            attempt=standing[1],
            logs=read_logs(connection, study.study_id, number),
        )


def _diagnosis(
    connection: Snapshot, study: StudyRow, trial: TrialRow, noun: str
) -> Diagnosis | None:
    if trial.failure == FailureClass.NON_FINITE:
        reason = "it reached values that are not finite"
        return Diagnosis(finding=Finding.DIVERGENCE, reason=reason)
    return read_diagnoses(connection, study, [trial.number], noun).get(trial.number)


def _no_trial(name: str, number: int) -> NotFound:
    return NotFound(
        f"study {name!r} has no trial {number}; {study_command('trials', name)} lists them"
    )


def tell_attempts(
    events: Sequence[EventRow],
    n_attempts: int,
    last_device: str | None,
    code: Code | None = None,
    beside: Mapping[int, float] | None = None,
) -> list[AttemptStory]:
    """Return each attempt from its first to its last event; one that another took over was lost."""
    stories = []
    for attempt in range(1, n_attempts + 1):
        mine = [event for event in events if event.attempt == attempt]
        start = next((event for event in mine if event.kind in _STARTS), None)
        end = next((event for event in reversed(mine) if event.kind not in _STARTS), None)
        following = [event for event in events if event.attempt == attempt + 1]
        if end is None and following:
            how, ended_at, detail = "lost", following[0].at, _LOST
        elif end is None:
            how, ended_at, detail = "running", None, ""
        else:
            how = "fail" if end.kind == "attempt_failed" else end.kind
            ended_at, detail = end.at, end.detail or ""
        devices = [event.device for event in mine if event.device]
        is_last = attempt == n_attempts
        stories.append(
            AttemptStory(
                attempt=attempt,
                host=next((event.host for event in mine if event.host), None),
                device=devices[-1] if devices else last_device if is_last else None,
                started_at=start.at if start else None,
                ended_at=ended_at,
                how=how,
                detail=detail,
                n_beside=(beside or {}).get(attempt, 0.0),
                other_code=_other_code(code, mine),
            )
        )
    return stories


def _other_code(stored: Code | None, events: Sequence[EventRow]) -> tuple[str, ...]:
    given = next((event.code for event in events if event.code is not None), None)
    return () if stored is None or given is None else changed_files(stored, given)
