"""All studies at a glance: a few statements, however many studies and trials."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tuner.results.best import By, Choice, choose_best
from tuner.results.confirmation import Confirmation, find_confirmations
from tuner.results.progress import StudyState, find_state
from tuner.results.summary import StudySummary, build_summary
from tuner.storage.connections.connection import Database, Snapshot
from tuner.storage.reading.columns import read_column_rows
from tuner.storage.reading.rows import AgentRow, CountRow, StudyRow, build_agent, read_studies
from tuner.storage.reading.trials import RecordRow
from tuner.study.limits import Used
from tuner.study.trial import TrialState
from tuner.study_file.identity import parse_spec


@dataclass(frozen=True, kw_only=True)
class StudyGlance:
    summary: StudySummary
    state: StudyState
    records: Sequence[RecordRow]  # the best value so far
    best_number: int | None  # see `choose_best`; None without a COMPLETE trial
    best_value: float | None  # that the search reported for it
    last_at: float | None  # seconds since 1970, of the newest claim or end


@dataclass(kw_only=True)
class _Counted:
    """The counted trials of a study."""

    counts: list[CountRow] = field(default_factory=list)
    n_open: int = 0
    first: float | None = None  # seconds since 1970: the first start
    last: float | None = None  # and the last end of a trial
    last_at: float | None = None


def load_overview(database: Database) -> list[StudyGlance]:
    """Return all studies, newest first; raises `DatabaseError`."""
    with database.reading() as connection:
        studies = read_studies(connection)
        counted = _count(connection)
        records = _records(connection)
        agents = _agents(connection)
        used = {row[0]: row[1:] for row in read_column_rows(connection, "overview_used")}
        confirmations = find_confirmations(connection, studies)
    return [
        _glance(
            study,
            counted[study.study_id],
            records[study.study_id],
            agents[study.study_id],
            used[study.study_id],
            confirmations.get(study.study_id),
        )
        for study in studies
    ]


def _glance(
    study: StudyRow,
    counted: _Counted,
    records: Sequence[RecordRow],
    agents: Sequence[AgentRow],
    used: tuple[int, float],  # steps and seconds
    confirmation: Confirmation | None,
) -> StudyGlance:
    choice = choose_best(study, records[-1].number if records else None, confirmation)
    has_span = counted.first is not None and counted.last is not None
    summary = build_summary(
        study,
        parse_spec(study.spec),
        used=Used(
            trials=study.n_claimed,
            steps=int(used[0]),
            seconds=used[1],
            device_seconds=sum(agent.device_seconds_busy for agent in agents),
            best=records[-1].value if records else None,
        ),
        n_open=counted.n_open,
        counts=counted.counts,
        span=(counted.first or 0.0, counted.last or 0.0) if has_span else None,
        choice=choice,
        best=None,  # only its number and value are read
        confirmation=confirmation,
        failures=(),  # not read
        agents=agents,
        drains=(),  # not read
        last_values=((), 0),  # not read
    )
    return StudyGlance(
        summary=summary,
        state=find_state(summary),
        records=records,
        best_number=None if choice is None else choice.number,
        best_value=None if choice is None else _value(choice, records, confirmation),
        last_at=counted.last_at,
    )


def _value(
    choice: Choice, records: Sequence[RecordRow], confirmation: Confirmation | None
) -> float | None:
    """Return the search's value for the best trial."""
    if choice.by is By.VALUE or confirmation is None:
        return records[-1].value
    return next(c.search_value for c in confirmation.candidates if c.trial == choice.number)


def _count(connection: Snapshot) -> dict[int, _Counted]:
    found: dict[int, _Counted] = defaultdict(_Counted)
    for row in read_column_rows(connection, "overview_counts"):
        study, state, n, steps, seconds, n_open, first, last, last_at = row
        mine = found[study]
        mine.counts.append(
            CountRow(
                state=TrialState(state), n_trials=n, n_steps=int(steps), seconds=float(seconds)
            )
        )
        mine.n_open += n_open
        mine.first = min((at for at in (mine.first, first) if at is not None), default=None)
        mine.last = max((at for at in (mine.last, last) if at is not None), default=None)
        mine.last_at = max((at for at in (mine.last_at, last_at) if at is not None), default=None)
    return found


def _records(connection: Snapshot) -> dict[int, list[RecordRow]]:
    records: dict[int, list[RecordRow]] = defaultdict(list)
    for study, number, value, nth in read_column_rows(connection, "overview_records"):
        records[study].append(RecordRow(nth=nth, number=number, value=value))
    return records


def _agents(connection: Snapshot) -> dict[int, list[AgentRow]]:
    agents: dict[int, list[AgentRow]] = defaultdict(list)
    for row in read_column_rows(connection, "overview_agents"):
        agents[row[0]].append(build_agent(row[1:]))
    return agents
