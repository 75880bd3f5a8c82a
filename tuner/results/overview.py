"""All studies at a glance: a handful of statements, however many studies and trials."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.results.progress import StudyState, find_state
from tuner.results.summary import StudySummary, step_noun
from tuner.storage.columns_reading import read_column_rows
from tuner.storage.connection import Database, Snapshot
from tuner.storage.reading import AgentRow, CountRow, StudyRow, read_studies
from tuner.storage.trial_reading import RecordRow
from tuner.study.activity import Activity
from tuner.study.limits import Used
from tuner.study_file.identity import parse_spec


@dataclass(frozen=True, kw_only=True)
class StudyGlance:
    """One study."""

    summary: StudySummary
    state: StudyState
    records: Sequence[RecordRow]  # the best value so far
    last_at: float | None  # seconds since 1970, of the newest claim or end


def load_overview(database: Database) -> list[StudyGlance]:
    """Newest first. Raises `DatabaseError`."""
    with database.reading() as connection:
        studies = read_studies(connection)
        counts, last = _counts(connection)
        records = _records(connection)
        agents = _agents(connection)
        clocks = dict(map(tuple, read_column_rows(connection, "overview_clocks")))
    return [
        _glance(
            study,
            counts[study.study_id],
            records[study.study_id],
            agents[study.study_id],
            clocks.get(study.study_id, 0.0),
            last.get(study.study_id),
        )
        for study in studies
    ]


def _glance(
    study: StudyRow,
    counts: Mapping[str, CountRow],
    records: Sequence[RecordRow],
    agents: Sequence[AgentRow],
    seconds: float,
    last_at: float | None,
) -> StudyGlance:
    spec = parse_spec(study.spec)
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
        best=None,
        fixed_params=spec.params,
        step_noun=step_noun(spec),
        lease_seconds=spec.failures.lease_seconds,
        failures=(),
        agents=tuple(agents),
    )
    return StudyGlance(summary=summary, state=find_state(summary), records=records, last_at=last_at)


def _counts(connection: Snapshot) -> tuple[dict[int, dict[str, CountRow]], dict[int, float]]:
    counts: dict[int, dict[str, CountRow]] = defaultdict(dict)
    last: dict[int, float] = {}
    for study, state, n, steps, seconds, n_leased, at in read_column_rows(
        connection, "overview_counts"
    ):
        counts[study][state] = CountRow(
            state=state,
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
