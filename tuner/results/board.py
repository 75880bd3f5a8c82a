"""A whole study for a screen: read once, then updated with changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tuner.results.best import Choice, choose_best
from tuner.results.confirmation import Confirmation, find_confirmation
from tuner.results.diagnosis import N_JUDGED, Advice, Diagnosis
from tuner.results.loss_curves import advise_study, read_diagnoses
from tuner.results.summary import StudySummary, build_summary, read_chosen
from tuner.results.trial_list import read_table
from tuner.results.trial_table import (
    COMPLETE,
    PRUNED,
    RUNNING,
    TrialTable,
    empty_table,
)
from tuner.storage.connections.connection import Database, Snapshot
from tuner.storage.reading.columns import (
    Clock,
    Curve,
    EarlyAttempt,
    read_clock,
    read_curves,
    read_early_attempts,
    read_metric_curves,
    read_metric_names,
    read_notable,
)
from tuner.storage.reading.failures import FailureRow, read_failures
from tuner.storage.reading.rows import (
    AgentRow,
    CountRow,
    StudyRow,
    find_row,
    read_agents,
    read_drains,
    read_last_values,
    read_n_open,
    read_span,
)
from tuner.storage.reading.trials import EventRow
from tuner.study.limits import Used
from tuner.study.trial import COUNTED_STATES, Direction, TrialState
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import StudySpec

N_BEST = N_JUDGED  # curves of the best trials
N_RUNNING = 30  # and of those in training
N_SAMPLE = 600  # trials whose curves make the band
N_POINTS = 120  # of a curve
N_OVERFIT = 4
N_EVENTS = 12
# Kinds of events to show: actions of users, reached limits, lost trials. Failures are shown
# elsewhere.
NOTABLE = ("stop", "pause", "resume", "extend", "retry", "enqueue", "drain", "undrain", "halted",
           "limit_reached", "taken_over", "dashboard", "ended_elsewhere")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Board:
    """A study in one snapshot."""

    summary: StudySummary
    spec: StudySpec
    table: TrialTable
    clock: Clock
    events: Sequence[EventRow]  # oldest first
    early: Sequence[EarlyAttempt]
    curves: Mapping[int, Curve]  # by number: the best, running ones, and a sample
    sample: Sequence[int]  # the numbers of the sample
    n_sampled: int  # number of trials that the sample represents
    best: Sequence[int]  # numbers: the best trial, and the others by their values
    training_metric: str | None  # name of the training loss
    training: Mapping[int, Curve]
    advice: Advice | None  # from the best trials
    version: int = 0

    @property
    def study(self) -> StudyRow:
        return self.summary.study

    @property
    def name(self) -> str:
        return self.summary.study.name

    @property
    def confirmation(self) -> Confirmation | None:
        """The confirmation of the study's best trials, or None."""
        return self.summary.confirmation

    @property
    def minimize(self) -> bool:
        return self.summary.study.direction is Direction.MINIMIZE


@dataclass(kw_only=True)
class BoardReader:
    """Follows one study; final trials are read once."""

    name: str
    _board: Board | None = None
    _table: TrialTable = field(default_factory=empty_table)
    _study_id: int = -1
    _stride: int = 1
    _curves: dict[int, Curve] = field(default_factory=dict)  # of final trials
    _training: dict[int, Curve] = field(default_factory=dict)
    _training_metric: str | None = None
    _judged: set[int] = field(default_factory=set)  # final trials whose curves were read
    _diagnoses: dict[int, Diagnosis | None] = field(default_factory=dict)
    _failures: tuple[FailureRow, ...] = ()
    _n_failed: int = 0
    _n_attempts: int = 0
    _early: Sequence[EarlyAttempt] = ()

    def read(self, database: Database) -> Board:
        """Return the study as it is now; the same object as before when nothing has changed.

        Raises `NotFound`, `DatabaseError`.
        """
        with database.reading() as connection:
            row = find_row(connection, self.name)
            if row.study_id != self._study_id:  # another study has this name now
                self.__init__(name=self.name)  # type: ignore[misc]
                self._study_id = row.study_id
            before = self._board
            clock = read_clock(connection, row.study_id)
            agents = tuple(read_agents(connection, row.study_id))
            n_open = read_n_open(connection, row.study_id)
            table = read_table(connection, self._study_id, self._table)
            confirmation = find_confirmation(connection, row)
            is_same = (
                before is not None
                and before.clock.last_event == clock.last_event
                and before.summary.n_open == n_open
                and before.study == row
                and before.confirmation == confirmation
                and _shown(before.summary.agents) == _shown(agents)
                and _is_same(table, self._table)
            )
            if is_same:
                return before  # type: ignore[return-value]
            self._table = table
            spec = parse_spec(row.spec)
            self._read_failures(connection)
            by_value = table.numbers[table.best_first(row.direction, N_BEST)].tolist()
            choice = choose_best(row, by_value[0] if by_value else None, confirmation)
            best = [] if choice is None else [choice.number]
            best += [number for number in by_value if number not in best]
            sample, running = self._read_curves(connection, table, best)
            self._read_training(connection, best, row.metric)
            advice = self._read_advice(connection, row, spec, by_value)
            self._board = Board(
                summary=self._summarize(
                    connection, row, spec, agents, n_open, clock, confirmation, choice
                ),
                spec=spec,
                table=table,
                clock=clock,
                events=read_notable(connection, row.study_id, NOTABLE, N_EVENTS),
                early=self._early,
                curves={**self._curves, **running},
                sample=sample,
                n_sampled=int(np.isin(table.states, (COMPLETE, PRUNED)).sum()),
                best=best,
                training_metric=self._training_metric,
                training={n: self._training[n] for n in best[:N_OVERFIT] if n in self._training},
                advice=advice,
                version=1 if before is None else before.version + 1,
            )
            return self._board

    def _read_failures(self, connection: Snapshot) -> None:
        n_failed = len(self._table.failures)
        if n_failed != self._n_failed:
            self._failures = tuple(read_failures(connection, self._study_id))
            self._n_failed = n_failed
        n_attempts = int(self._table.attempts.sum())
        if n_attempts != self._n_attempts and (self._table.attempts > 1).any():
            self._early = read_early_attempts(connection, self._study_id)
        self._n_attempts = n_attempts

    def _read_curves(
        self, connection: Snapshot, table: TrialTable, best: Sequence[int]
    ) -> tuple[list[int], dict[int, Curve]]:
        """Return the sample, and the curves of trials in training; those of final ones are kept."""
        most = int(table.n_steps.max()) if len(table) else 0
        stride = 1 << max(0, (most // N_POINTS).bit_length())
        stride = 1 if most <= 2 * N_POINTS else stride
        if stride != self._stride:
            self._stride, self._curves = stride, {}
        sample = _sample(table)
        running = table.numbers[table.states == RUNNING].tolist()[-N_RUNNING:]
        final = {*best, *sample}
        wanted = [*(final - self._curves.keys()), *running]
        known = {**self._curves, **read_curves(connection, self._study_id, wanted, stride)}
        self._curves = {number: curve for number, curve in known.items() if number in final}
        # Not kept: they grow until their trials end.
        return sample, {number: known[number] for number in running if number in known}

    def _read_training(self, connection: Snapshot, best: Sequence[int], metric: str) -> None:
        numbers = [n for n in best[:N_OVERFIT] if n not in self._training]
        if not numbers:
            return
        if self._training_metric is None:
            names = read_metric_names(connection, self._study_id, numbers)
            self._training_metric = training_name(metric, names)
        if self._training_metric is not None:
            self._training |= read_metric_curves(
                connection, self._study_id, numbers, self._training_metric
            )

    def _read_advice(
        self, connection: Snapshot, row: StudyRow, spec: StudySpec, by_value: Sequence[int]
    ) -> Advice | None:
        """Return the advice from the best trials; those that are known are not read again."""
        new = [number for number in by_value if number not in self._judged]
        self._judged.update(new)
        self._diagnoses |= read_diagnoses(connection, row, new, spec.step_noun)
        known = self._diagnoses
        return advise_study(spec, [known[number] for number in by_value if number in known])

    def _summarize(
        self,
        connection: Snapshot,
        row: StudyRow,
        spec: StudySpec,
        agents: tuple[AgentRow, ...],
        n_open: int,
        clock: Clock,
        confirmation: Confirmation | None,
        choice: Choice | None,
    ) -> StudySummary:
        table = self._table
        by_value = table.best_first(row.direction, 1)
        return build_summary(
            row,
            spec,
            used=Used(
                trials=row.n_claimed,
                steps=int(table.n_steps[table.attempts > 0].sum()),
                seconds=clock.lived_seconds,
                device_seconds=sum(agent.device_seconds_busy for agent in agents),
                best=float(table.values[by_value[0]]) if by_value else None,
            ),
            n_open=n_open,
            counts=_count(table),
            span=read_span(connection, row.study_id),
            choice=choice,
            best=read_chosen(connection, row, choice),
            confirmation=confirmation,
            failures=self._failures,
            agents=agents,
            drains=read_drains(connection, row.study_id),
            last_values=read_last_values(connection, row.study_id),
        )


def training_name(metric: str, names: Sequence[str]) -> str | None:
    """Return the name of the objective's metric on training rows; None without one."""
    stem = metric.removeprefix("val_").removeprefix("valid_").removeprefix("validation_")
    stem = stem.removeprefix("test_")
    known = {name.lower(): name for name in names}
    wanted = (f"train_{stem}", f"training_{stem}", f"train/{stem}")
    return next((known[name.lower()] for name in wanted if name.lower() in known), None)


def _sample(table: TrialTable) -> list[int]:
    """Sample evenly among trials that ended well; mostly the same ones while the study grows."""
    numbers = table.numbers[np.isin(table.states, (COMPLETE, PRUNED))]
    if len(numbers) <= N_SAMPLE:
        all_of_them: list[int] = numbers.tolist()
        return all_of_them
    stride = 1 << (len(numbers) // N_SAMPLE).bit_length() - 1
    chosen = numbers[numbers % stride == 0]
    thinned: list[int] = chosen[:: max(1, len(chosen) // N_SAMPLE)][:N_SAMPLE].tolist()
    return thinned


def _count(table: TrialTable) -> list[CountRow]:
    is_elsewhere = (table.states == RUNNING) & (table.attempts == 0)
    counts = []
    for code, state in enumerate(COUNTED_STATES):
        is_it = is_elsewhere if state is TrialState.ELSEWHERE else table.states == code
        mine = is_it & (is_elsewhere == (state is TrialState.ELSEWHERE))
        if mine.any():
            counts.append(
                CountRow(
                    state=state,
                    n_trials=int(mine.sum()),
                    n_steps=int(table.n_steps[mine].sum()),
                    seconds=float(table.seconds[mine].sum()),
                )
            )
    return counts


def _shown(agents: Sequence[AgentRow]) -> list[tuple[object, ...]]:
    """Return the facts about agents that change a page, without the time since their heartbeats."""
    return [
        (a.host, a.pid, a.left_at, a.trials, a.activity.state, a.activity.alerts,
         tuple(a.activity.blocked),
         0 if a.left_at else int(a.silent_seconds // 10), _rounded(a)) for a in agents
    ]  # fmt: skip


def _is_same(a: TrialTable, b: TrialTable) -> bool:
    if len(a) != len(b):
        return False
    return all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        for name in ("states", "n_steps", "values", "attempts")
    )


def _rounded(agent: AgentRow) -> list[tuple[object, ...]]:
    """Return its devices' gauges, rounded: a page is not rendered again for a watt."""
    return [
        (place, round(20 * g.used_bytes / max(1, g.total_bytes)), round(10 * (g.load or 0)),
         round((g.watts or 0) / 25)) for place, g in sorted(agent.activity.gauges.items())
    ]  # fmt: skip
