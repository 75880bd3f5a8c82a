"""All studies at a glance: a handful of statements, however many studies and trials."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.results.best import By, Choice, choose_best
from tuner.results.confirmation import Confirmation, find_confirmations
from tuner.results.progress import StudyState, find_state
from tuner.results.summary import StudySummary
from tuner.storage.connections.connection import Database, Snapshot
from tuner.storage.reading.columns import read_column_rows
from tuner.storage.reading.rows import AgentRow, CountRow, StudyRow, read_studies
from tuner.storage.reading.trials import RecordRow
from tuner.study.activity import Activity
from tuner.study.limits import Used
from tuner.study.trial import TrialState
from tuner.study_file.identity import parse_spec


@dataclass(frozen=True, kw_only=True)
class StudyGlance:
    summary: StudySummary
    state: StudyState
    records: Sequence[RecordRow]  # the best value so far
    best: tuple[int, float | None] | None  # the best trial's number and value, see `choose_best`
    last_at: float | None  # seconds since 1970, of the newest claim or end


def load_overview(database: Database) -> list[StudyGlance]:
    """Newest first. Raises `DatabaseError`."""
    with database.reading() as connection:
        studies = read_studies(connection)
        counts, last = _counts(connection)
        records = _records(connection)
        agents = _agents(connection)
        clocks = dict(map(tuple, read_column_rows(connection, "overview_clocks")))
        confirmations = find_confirmations(connection, studies)
    return [
        _glance(
            study,
            counts[study.study_id],
            records[study.study_id],
            agents[study.study_id],
            clocks.get(study.study_id, 0.0),
            last.get(study.study_id),
            confirmations.get(study.study_id),
        )
        for study in studies
    ]


def _glance(
    study: StudyRow,
    counts: Mapping[TrialState, CountRow],
    records: Sequence[RecordRow],
    agents: Sequence[AgentRow],
    seconds: float,
    last_at: float | None,
    confirmation: Confirmation | None,
) -> StudyGlance:
    spec = parse_spec(study.spec)
    choice = choose_best(study, records[-1].number if records else None, confirmation)
    summary = StudySummary(
        study=study,
        used=Used(
            trials=study.n_claimed,
            steps=sum(count.n_steps for count in counts.values()),
            seconds=seconds,
            device_seconds=sum(agent.device_seconds_busy for agent in agents),
            best=records[-1].value if records else None,
        ),
        counts=dict(counts),
        n_steps_full=spec.n_steps,
        n_steps_saved=0,
        span_seconds=None,
        best=None,  # only its number and value are read
        best_by=None if choice is None else choice.by,
        confirmation=confirmation,
        fixed_params=spec.params,
        step_noun=spec.step_noun,
        has_own_code=spec.has_own_code,
        lease_seconds=spec.failures.lease_seconds,
        failures=(),
        agents=tuple(agents),
    )
    return StudyGlance(
        summary=summary,
        state=find_state(summary),
        records=records,
        best=None if choice is None else (choice.number, _value(choice, records, confirmation)),
        last_at=last_at,
    )


def _value(
    choice: Choice, records: Sequence[RecordRow], confirmation: Confirmation | None
) -> float | None:
    """What the search reported for the best trial."""
    if choice.by is By.VALUE or confirmation is None:
        return records[-1].value
    return next(c.search_value for c in confirmation.candidates if c.trial == choice.number)


def _counts(connection: Snapshot) -> tuple[dict[int, dict[TrialState, CountRow]], dict[int, float]]:
    counts: dict[int, dict[TrialState, CountRow]] = defaultdict(dict)
    last: dict[int, float] = {}
    for study, state, n, steps, seconds, n_leased, at in read_column_rows(
        connection, "overview_counts"
    ):
        counts[study][TrialState(state)] = CountRow(
            state=TrialState(state),
            n_trials=n,
            n_steps=int(steps),
            seconds=float(seconds),
            n_leased=n_leased,
        )
        if at is not None:
            last[study] = max(at, last.get(study, at))
    return counts, last


def _records(connection: Snapshot) -> dict[int, list[RecordRow]]:
    records: dict[int, list[RecordRow]] = defaultdict(list)
    for study, number, value, nth in read_column_rows(connection, "overview_records"):
        records[study].append(RecordRow(nth=nth, number=number, value=value))
    return records


def _agents(connection: Snapshot) -> dict[int, list[AgentRow]]:
    agents: dict[int, list[AgentRow]] = defaultdict(list)
    for row in read_column_rows(connection, "overview_agents"):
        agents[row[0]].append(_agent(row[1:]))
    return agents


def _agent(row: Sequence[Any]) -> AgentRow:
    names = ("host", "pid", "devices", "joined_at", "left_at", "silent_seconds", "seconds_lived",
             "device_seconds_busy")  # fmt: skip
    given = dict(zip(names, row, strict=True))
    return AgentRow(**{**given, "devices": tuple(row[2])}, trials=(), activity=Activity())
