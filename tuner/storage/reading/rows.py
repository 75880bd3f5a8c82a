"""Rows of a study for display; all queries of one command see the same snapshot."""

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from tuner.errors import NotFound
from tuner.space import decode_param
from tuner.storage.queries import load_queries
from tuner.storage.work.drained import build_drain
from tuner.study.activity import Activity, parse_activity
from tuner.study.agents import Desired
from tuner.study.code import Code
from tuner.study.fleet import Drain
from tuner.study.limits import Limits, Used
from tuner.study.outlook import N_LATEST
from tuner.study.trial import Direction, Params, TrialState

_MAX_NUMBERS = 1000  # in a statement: before version 14, Postgres compares each with every row


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A study that tuner created."""

    study_id: int
    name: str
    direction: Direction
    metric: str
    created_at: datetime
    spec: dict[str, Any]
    limits: Limits
    n_draws: int | None  # a grid's cells
    next_draw: int  # the cells that were given out
    n_claimed: int  # trials that count against the limit
    desired: Desired
    reason: str | None  # why it is not running
    code: Code | None  # of the objective, at the study's start
    fingerprint: str = ""  # of the data
    priority: int = 0  # among the studies of a fleet

    @property
    def n_trials(self) -> int | None:
        """Return the limit of trials; None if only other limits hold."""
        bounds = [n for n in (self.limits.trials, self.n_draws) if n is not None]
        return min(bounds, default=None)


@dataclass(frozen=True, kw_only=True)
class CountRow:
    """Totals of the trials in one state."""

    state: TrialState
    n_trials: int
    n_steps: int
    seconds: float  # on a device, or its share of one; of attempts that have ended


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    number: int
    state: TrialState  # never ELSEWHERE
    value: float | None
    params: Params
    n_steps: int
    started_at: datetime | None
    ended_at: datetime | None
    attempt: int  # 0: not a trial of ours
    reason: str | None
    failure: str | None
    host: str | None  # of the last agent that held it
    device: str | None
    retry_of: int | None
    user_attrs: Mapping[str, Any]
    device_seconds: float = 0.0  # its share of its devices; of attempts that have ended


@dataclass(frozen=True, kw_only=True)
class AgentRow:
    host: str
    pid: int
    devices: tuple[str, ...]
    joined_at: datetime
    left_at: datetime | None
    silent_seconds: float  # by the database's clock
    seconds_lived: float
    device_seconds_busy: float
    trials: tuple[int, ...]  # those it holds
    activity: Activity
    seen_at: datetime | None = None  # its last heartbeat


def read_rows(connection: Connection, query: str, **params: object) -> Sequence[Any]:
    """Return the rows of a query of `read.sql`."""
    return connection.execute(text(load_queries("read")[query]), params).all()


def read_studies(connection: Connection, name: str | None = None) -> list[StudyRow]:
    """Return all studies, or the one of this name; newest first."""
    return [
        StudyRow(
            study_id=row[0],
            name=row[1],
            direction=Direction[row[2]],
            metric=row[3],
            created_at=row[4],
            spec=row[5],
            limits=Limits(
                trials=row[6],
                steps=row[7],
                seconds=row[8],
                device_seconds=row[9],
                target=row[10],
            ),
            n_draws=row[11],
            next_draw=row[15],
            n_claimed=row[12],
            desired=Desired(row[13]),
            reason=row[14],
            code=row[16],
            fingerprint=row[17],
            priority=row[18],
        )
        for row in read_rows(connection, "studies", name=name)
    ]


def read_names(connection: Connection) -> list[str]:
    return [name for (name,) in read_rows(connection, "names")]


def find_row(connection: Connection, name: str) -> StudyRow:
    """Return the study of this name; raises `NotFound` with the closest names."""
    rows = read_studies(connection, name)
    if rows:
        return rows[0]
    close = difflib.get_close_matches(name, read_names(connection), n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise NotFound(f"no study {name!r}{hint}; tuner status lists them")


def read_counts(connection: Connection, study_id: int) -> list[CountRow]:
    """Return trials, steps and the seconds of ended attempts by state."""
    return [
        CountRow(
            state=TrialState(state),
            n_trials=n,
            n_steps=int(n_steps),
            seconds=float(seconds),
        )
        for state, n, n_steps, seconds in read_rows(connection, "counts", study_id=study_id)
    ]


def read_n_open(connection: Connection, study_id: int) -> int:
    """Return how many trials agents still have to end."""
    ((n_open,),) = read_rows(connection, "open", study_id=study_id)
    return int(n_open)


def read_used(connection: Connection, study: StudyRow) -> Used:
    """Return the used part of each limit."""
    query = load_queries("control")["used"]  # the query by which commands judge
    params = {
        "study_id": study.study_id,
        "minimize": study.direction is Direction.MINIMIZE,
    }
    ((_, _, steps, seconds, device_seconds, best),) = connection.exec_driver_sql(
        query, params
    ).all()
    return Used(
        trials=study.n_claimed,
        steps=int(steps),
        seconds=seconds,
        device_seconds=device_seconds,
        best=best,
    )


def read_last_values(connection: Connection, study_id: int) -> tuple[list[float], int]:
    """Return the latest values, in the order of the trials' ends, and the number of all."""
    query = load_queries("control")["last_values"]  # the query by which agents judge
    rows = connection.exec_driver_sql(query, {"study_id": study_id, "n": N_LATEST}).all()
    ((values, n_complete),) = rows
    return list(values), n_complete


def read_span(connection: Connection, study_id: int) -> tuple[float, float] | None:
    """Return the first start and the last end of a trial, in Unix seconds; None without both."""
    ((first, last),) = read_rows(connection, "span", study_id=study_id)
    return None if first is None or last is None else (first, last)


def read_best_number(connection: Connection, study_id: int, direction: Direction) -> int | None:
    return next(iter(read_best_numbers(connection, study_id, direction, 1)), None)


def read_best_numbers(
    connection: Connection, study_id: int, direction: Direction, n_trials: int
) -> list[int]:
    """Return the COMPLETE trials with the best values, the best one first."""
    minimize = direction is Direction.MINIMIZE
    rows = read_rows(connection, "best", study_id=study_id, minimize=minimize, n_trials=n_trials)
    return [number for (number,) in rows]


def read_trials(
    connection: Connection, study_id: int, numbers: Collection[int] | None = None
) -> list[TrialRow]:
    """Return all trials by number, or those of some numbers."""
    few = None if numbers is None or len(numbers) > _MAX_NUMBERS else list(numbers)
    rows = read_rows(connection, "trials", study_id=study_id, numbers=few)
    wanted = None if numbers is None else set(numbers)
    return [_trial(row) for row in rows if wanted is None or row[0] in wanted]


def _trial(row: Any) -> TrialRow:
    number, state, value, names, values, distributions, n_steps = row[:7]
    started, ended, attempt, reason, failure, host, device, retry_of, given, *attrs = row[7:]
    keys, texts, device_seconds = attrs
    return TrialRow(
        number=number,
        state=TrialState(state),
        value=value,
        params={
            name: decode_param(distribution, internal)
            for name, internal, distribution in zip(
                names or (), values or (), distributions or (), strict=True
            )
        }
        or parse_given(given),
        n_steps=n_steps,
        started_at=_aware(started),
        ended_at=_aware(ended),
        attempt=attempt,
        reason=reason,
        failure=failure,
        host=host,
        device=device,
        retry_of=retry_of,
        user_attrs={
            key: json.loads(text) for key, text in zip(keys or (), texts or (), strict=True)
        },
        device_seconds=device_seconds,
    )


def parse_given(text: str | None) -> Params:
    """Parse the params that a waiting trial was enqueued with, by any program."""
    given = json.loads(text) if text else {}
    return given if isinstance(given, dict) else {}


def _aware(naive: datetime | None) -> datetime | None:
    """Add the time zone: Optuna's columns hold naive UTC."""
    return None if naive is None else naive.replace(tzinfo=UTC)


def read_drains(connection: Connection, study_id: int) -> list[Drain]:
    """Return the drains that hold for the study, the oldest first."""
    query = load_queries("fleet")["held"]  # the query by which commands judge
    rows = connection.exec_driver_sql(query, {"study_id": study_id}).all()
    return [build_drain(row[1:]) for row in rows]


def read_agents(connection: Connection, study_id: int) -> list[AgentRow]:
    """Return the study's agents in the order in which they joined."""
    return [build_agent(row) for row in read_rows(connection, "agents", study_id=study_id)]


def build_agent(row: Sequence[Any]) -> AgentRow:
    """Build an agent from a row of the query `agents`."""
    return AgentRow(
        host=row[0],
        pid=row[1],
        devices=tuple(row[2]),
        joined_at=row[3],
        left_at=row[4],
        silent_seconds=row[5],
        seconds_lived=row[6],
        device_seconds_busy=row[7],
        trials=tuple(row[8] or ()),
        activity=parse_activity(row[9]),
        seen_at=row[10],
    )
