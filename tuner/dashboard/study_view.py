"""The texts of a study's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tuner.dashboard import words
from tuner.results.board import Board
from tuner.results.device_timeline import DeviceRow, build_fleet
from tuner.results.limits import LimitUse
from tuner.results.progress import StudyState
from tuner.results.status import StudyStatus, find_status
from tuner.storage.reading.failures import FailureRow, SharedParam
from tuner.storage.reading.rows import TrialRow
from tuner.storage.reading.trials import EventRow

_LIVE = (StudyState.RUNNING, StudyState.STOPPING, StudyState.PAUSED)


@dataclass(frozen=True, kw_only=True)
class LimitBar:
    """One limit of the budget as a page draws it."""

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
    board: Board
    status: StudyStatus
    best: TrialRow | None
    best_yaml: str
    limits: Sequence[LimitBar]
    n_since: int | None  # trials that ended since the best one did
    seconds_since: float | None
    failures: Sequence[Failing]
    devices: Sequence[DeviceRow]
    alerts: Sequence[str]
    events: Sequence[EventRow]


def build_view(board: Board) -> StudyView:
    summary = board.summary
    best = summary.best
    status = find_status(summary)
    n_since, seconds_since = _since(board, status.state)
    return StudyView(
        board=board,
        status=status,
        best=best,
        best_yaml="" if best is None else words.as_yaml(dict(best.params)),
        limits=[draw_limit(limit) for limit in status.limits],
        n_since=n_since,
        seconds_since=seconds_since,
        failures=[
            Failing(row=row, shared=[shared_text(p) for p in row.shared])
            for row in summary.failures
        ],
        devices=build_fleet(board),
        alerts=[f"{alert.host}: {alert.text}" for alert in status.alerts][-3:],
        events=list(reversed(board.events)),
    )


def shared_text(param: SharedParam) -> str:
    """Return `learning_rate 0.5 … 0.9`."""
    low, high = words.number(param.low), words.number(param.high)
    name = words.clean(param.name)
    return f"{name} = {low}" if low == high else f"{name} {low} … {high}"


def _since(board: Board, state: StudyState) -> tuple[int | None, float | None]:
    best = board.summary.best
    place = None if best is None else board.table.find(best.number)
    if place is None:
        return None, None
    ended = float(board.table.ended[place])
    if not np.isfinite(ended):
        return None, None
    later = board.table.ended > ended
    is_live = state in _LIVE
    last = float(np.nanmax(board.table.ended))
    return int(later.sum()), max(0.0, (board.clock.now if is_live else last) - ended)


def draw_limit(limit: LimitUse) -> LimitBar:
    """Return one limit in words, with the part of its bar."""
    match limit.key:
        case "seconds" | "device_seconds":
            texts = [words.duration(limit.used), words.duration(limit.limit)]
        case "target":
            texts = [words.number(limit.used), words.number(limit.limit)]
        case _:
            texts = [f"{limit.used:,.0f}", f"{limit.limit:,.0f}"]
    part = float(limit.is_reached) if limit.part is None else limit.part
    return LimitBar(name=limit.name, used=texts[0], limit=texts[1], part=part)


def since(at: datetime | None) -> float | None:
    """Return seconds by this machine's clock, for words like "3 min ago" alone."""
    return None if at is None else max(0.0, (datetime.now(UTC) - at).total_seconds())
