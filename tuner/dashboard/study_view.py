"""What the page of a study shows beside its figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tuner.dashboard import words
from tuner.results.board import Board
from tuner.results.device_timeline import DeviceRow, build_fleet
from tuner.results.progress import (
    StudyState,
    estimate_seconds_left,
    find_reason,
    find_state,
    is_silent,
)
from tuner.results.summary import StudySummary
from tuner.storage.reading.failures import FailureRow, SharedParam
from tuner.storage.reading.rows import AgentRow, TrialRow
from tuner.storage.reading.trials import EventRow
from tuner.study.agents import Desired
from tuner.study.limits import lets_nobody_work, reached_limits
from tuner.study.trial import COUNTED_STATES, TrialState

_LIVE = (StudyState.RUNNING, StudyState.STOPPING, StudyState.PAUSED)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit of the budget and what is used of it."""

    name: str
    used: str
    limit: str
    part: float  # at most 1


@dataclass(frozen=True, kw_only=True)
class Failing:
    """Failures with one reason."""

    row: FailureRow
    shared: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """The words of a study's page."""

    board: Board
    state: str
    offered: frozenset[str]  # of pause, resume and stop, what would not be refused or do nothing
    reason: str
    best: TrialRow | None
    best_yaml: str
    limits: Sequence[Limit]
    seconds_left: float | None
    counts: Sequence[tuple[TrialState, int, float]]  # state, trials, part
    n_trials: int
    n_since: int | None  # trials that ended since the best one did
    seconds_since: float | None
    failures: Sequence[Failing]
    n_failed: int
    devices: Sequence[DeviceRow]
    lost: Sequence[AgentRow]
    alerts: Sequence[str]
    events: Sequence[EventRow]
    gpu_hours: float


def build_view(board: Board) -> StudyView:
    summary = board.summary
    best = summary.best
    n_since, seconds_since = _since(board)
    total = max(1, len(board.table))
    counts = [(s, summary.n(s), summary.n(s) / total) for s in COUNTED_STATES if summary.n(s)]
    living = [a for a in summary.agents if a.left_at is None]
    state = find_state(summary)
    lost = [a for a in living if is_silent(summary, a)]
    return StudyView(
        board=board,
        state=state_word(state),
        offered=find_offered(summary),
        reason=find_reason(summary),
        best=best,
        best_yaml="" if best is None else words.as_yaml(dict(best.params)),
        limits=_limits(board),
        seconds_left=estimate_seconds_left(summary),
        counts=counts,
        n_trials=len(board.table),
        n_since=n_since,
        seconds_since=seconds_since,
        failures=[
            Failing(row=row, shared=[shared_text(p) for p in row.shared])
            for row in summary.failures
        ],
        n_failed=summary.n(TrialState.FAIL),
        devices=build_fleet(board),
        lost=lost if state in _LIVE or summary.n(TrialState.RUNNING) else (),
        alerts=[f"{a.host}: {text}" for a in living for text in a.activity.alerts][-3:],
        events=list(reversed(board.events)),
        gpu_hours=summary.used.device_seconds,
    )


def find_offered(summary: StudySummary) -> frozenset[str]:
    """The ways to steer a study that lead anywhere now; `Control` has the last word."""
    state = find_state(summary)
    study = summary.study
    reached = reached_limits(study.limits, summary.used, study.direction)
    offered = {
        "pause": state in (StudyState.RUNNING, StudyState.IDLE),
        "resume": study.desired is not Desired.RUNNING and not lets_nobody_work(reached),
        "stop": state not in (StudyState.FINISHED, StudyState.STOPPED),
    }
    return frozenset(name for name, is_so in offered.items() if is_so)


def state_word(state: StudyState) -> str:
    """Work is left, and whoever did it has fallen silent or gone: that is stalled."""
    return "stalled" if state is StudyState.IDLE else state.value


def shared_text(param: SharedParam) -> str:
    """`learning_rate 0.5 … 0.9`."""
    low, high = words.number(param.low), words.number(param.high)
    name = words.clean(param.name)
    return f"{name} = {low}" if low == high else f"{name} {low} … {high}"


def _since(board: Board) -> tuple[int | None, float | None]:
    best = board.summary.best
    place = None if best is None else board.table.find(best.number)
    if place is None:
        return None, None
    ended = float(board.table.ended[place])
    if not np.isfinite(ended):
        return None, None
    later = board.table.ended > ended
    is_live = find_state(board.summary) in _LIVE
    last = float(np.nanmax(board.table.ended))
    return int(later.sum()), max(0.0, (board.clock.now if is_live else last) - ended)


def _limits(board: Board) -> list[Limit]:
    limits, used = board.study.limits, board.summary.used
    n_trials = board.study.n_trials
    noun = f"{board.summary.step_noun}s"
    found = []
    if n_trials is not None:
        found.append(_limit("trials", board.summary.n_final, n_trials, lambda v: f"{v:,.0f}"))
    if limits.steps is not None:
        found.append(_limit(noun, used.steps, limits.steps, lambda v: f"{v:,.0f}"))
    if limits.seconds is not None:
        found.append(_limit("time", used.seconds, limits.seconds, words.duration))
    if limits.device_seconds is not None:
        amounts = (used.device_seconds, limits.device_seconds)
        found.append(_limit("GPU hours", *amounts, words.hours))
    if limits.target is not None:
        best = used.best
        is_there = best is not None and (
            best <= limits.target if board.minimize else best >= limits.target
        )
        found.append(
            Limit(
                name="target",
                used=words.number(best),
                limit=words.number(limits.target),
                part=1.0 if is_there else 0.0,
            )
        )
    return found


def _limit(name: str, used: float, limit: float, render: Callable[[float], str]) -> Limit:
    part = 1.0 if limit <= 0 else min(1.0, used / limit)
    return Limit(name=name, used=render(used), limit=render(limit), part=part)


def since(at: datetime | None) -> float | None:
    """Seconds, by this machine's clock: for words like "3 min ago" alone."""
    return None if at is None else max(0.0, (datetime.now(UTC) - at).total_seconds())
