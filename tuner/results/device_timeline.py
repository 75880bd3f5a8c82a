"""The fleet over time: the trials of each device, and its utilization."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.results.board import Board
from tuner.results.progress import is_silent
from tuner.results.trial_table import FAIL, RELEASED, RUNNING
from tuner.storage.reading.columns import STATES, Floats, Ints
from tuner.storage.reading.rows import AgentRow
from tuner.study.activity import Gauge
from tuner.study.trial import TrialState

MAX_SPANS = 1200  # shown one by one
LOST = "LOST"  # the end of an attempt that another one followed after its agent was lost
_LOST = len(STATES)
_STATES = (*STATES, LOST)
_ENDS = {"released": RELEASED, "fail": FAIL}
_SLACK_SECONDS = 0.3  # claims are a little earlier than the end of the attempt before


@dataclass(frozen=True, kw_only=True)
class Span:
    """An attempt on a device."""

    number: int
    attempt: int
    state: str  # of its trial; `LOST` and RELEASED: another attempt followed
    began: float  # seconds since 1970
    ended: float
    lane: int  # its place among those that share the device, from 0

    @property
    def has_failed(self) -> bool:
        """Return whether it failed or was lost."""
        return self.state in (TrialState.FAIL, LOST)


@dataclass(frozen=True, kw_only=True)
class DeviceRow:
    """One device of one machine, through all agents that used it."""

    host: str
    device: str
    state: str  # "working", "idle", "drained", "lost", "left"
    utilization: float | None  # of the time in which its agents lived; None: not known
    n_training: int
    n_attempts: int
    n_failed: int
    runs: Sequence[tuple[float, float]]  # when it was busy
    spans: Sequence[Span]  # by begin; empty where the fleet has too many
    failed: Sequence[Span]  # the last of those that failed or were lost
    n_lanes: int  # the most that it trained at the same time; 1 without `spans`
    gauge: Gauge | None = None  # of its living agent, from its last heartbeat


@dataclass(frozen=True, kw_only=True)
class _Spans:
    """Attempts as columns, by row of the fleet and begin."""

    rows: Ints
    numbers: Ints
    attempts: Ints
    states: Ints
    began: Floats
    ended: Floats

    def of(self, row: int) -> "slice":
        return slice(*np.searchsorted(self.rows, [row, row + 1]).tolist())


def build_fleet(board: Board) -> list[DeviceRow]:
    """Return devices by machine, those of living agents first."""
    agents = board.summary.agents
    places: dict[tuple[str, str], int] = {}
    for agent in agents:
        for device in agent.devices:
            places.setdefault((agent.host, device), len(places))
    spans = _sorted(_collect(board, places))
    fleet = [_row(board, spans, place, *key) for key, place in places.items()]
    return sorted(fleet, key=by_machine)


def by_machine(row: DeviceRow) -> tuple[bool, str, str, int]:
    """Return the sort key of a row: machines that live, by name; their places by first device."""
    kind, _, place = row.device.rpartition(":")
    first = re.match(r"[0-9]{1,6}", place)
    is_gone = row.state in ("left", "lost")
    return is_gone, row.host, kind, int(first[0]) if first else 0


def _collect(board: Board, places: Mapping[tuple[str, str], int]) -> _Spans:
    table, now = board.table, board.clock.now
    is_told = (table.agents >= 0) & np.isfinite(table.began) & (table.states != RELEASED)
    kept = np.flatnonzero(is_told)
    states = table.states[kept]
    rows = _rows_of(board, places)[table.agents[kept], table.devices[kept]]
    told = _told(board, places)
    for at in np.flatnonzero(states == RUNNING).tolist():
        rows[at] = told.get(int(table.numbers[kept[at]]), -1)
    ended = np.where((states == RUNNING) | ~np.isfinite(table.ended[kept]), now, table.ended[kept])
    early = [
        (row, e.number, e.attempt, _ENDS.get(e.how, _LOST), e.began, e.ended)
        for e in board.early
        if e.agent is not None
        and e.agent < len(board.summary.agents)
        and (row := places.get((board.summary.agents[e.agent].host, e.device or ""), -1)) >= 0
    ]
    more = np.array(early, np.float64).reshape(-1, 6)
    columns = (rows, table.numbers[kept], table.attempts[kept], states)
    ints = [np.concatenate([c, more[:, i].astype(np.int64)]) for i, c in enumerate(columns)]
    return _Spans(
        rows=ints[0],
        numbers=ints[1],
        attempts=ints[2],
        states=ints[3],
        began=np.concatenate([table.began[kept], more[:, 4]]),
        ended=np.concatenate([ended, more[:, 5]]),
    )


def _rows_of(board: Board, places: Mapping[tuple[str, str], int]) -> Ints:
    """Return agent x device name -> row; -1: no row."""
    agents, names = board.summary.agents, board.table.device_names
    n_agents = max(len(agents), int(board.table.agents.max(initial=-1)) + 1)
    found = np.full((n_agents, len(names)), -1, np.int64)
    for ordinal, agent in enumerate(agents):
        for code, name in enumerate(names):
            if name:
                found[ordinal, code] = places.get((agent.host, name), -1)
    return found


def _told(board: Board, places: Mapping[tuple[str, str], int]) -> dict[int, int]:
    """Return the devices of trials in training: the record names one only at an attempt's end."""
    return {
        number: places.get((agent.host, activity.device), -1)
        for agent in board.summary.agents
        for activity in agent.activity.devices
        for number in activity.trials
    }


def _sorted(spans: _Spans) -> _Spans:
    order = np.lexsort((spans.numbers, spans.began, spans.rows))
    order = order[spans.rows[order] >= 0]
    return _Spans(
        rows=spans.rows[order],
        numbers=spans.numbers[order],
        attempts=spans.attempts[order],
        states=spans.states[order],
        began=spans.began[order],
        ended=spans.ended[order],
    )


def _row(board: Board, spans: _Spans, place: int, host: str, device: str) -> DeviceRow:
    agents = [a for a in board.summary.agents if a.host == host and device in a.devices]
    mine = spans.of(place)
    states = spans.states[mine]
    n_training = int((states == RUNNING).sum())
    failed = np.flatnonzero(np.isin(states, (FAIL, _LOST)))
    runs = find_runs(spans.began[mine], spans.ended[mine])
    is_few = len(spans.rows) <= MAX_SPANS
    told, n_lanes = _told_spans(spans, mine) if is_few else ((), 1)
    return DeviceRow(
        host=host,
        device=device,
        state=_state(board, agents, device, n_training),
        utilization=_utilization(agents, runs, board.clock.now),
        n_training=n_training,
        n_attempts=len(states),
        n_failed=len(failed),
        runs=runs,
        spans=told,
        failed=[s for s in told if s.has_failed]
        if is_few
        else [_span(spans, mine.start + int(at), 0) for at in failed[-_MAX_FAILED:]],
        n_lanes=n_lanes,
        gauge=_gauge(board, agents, device),
    )


def _gauge(board: Board, agents: Sequence[AgentRow], device: str) -> Gauge | None:
    living = [a for a in agents if a.left_at is None and not is_silent(board.summary, a)]
    return next((a.activity.gauges[device] for a in living if device in a.activity.gauges), None)


_MAX_FAILED = 100


def _state(board: Board, agents: Sequence[AgentRow], device: str, n_training: int) -> str:
    living = [a for a in agents if a.left_at is None]
    heard = [agent for agent in living if not is_silent(board.summary, agent)]
    if n_training and heard:
        return "working"
    if any(device in agent.activity.blocked for agent in heard):
        return "drained"
    if heard:
        return "idle"
    return "lost" if living else "left"


def _utilization(
    agents: Sequence[AgentRow], runs: Sequence[tuple[float, float]], now: float
) -> float | None:
    """Return the part of its agents' time that is covered by attempts."""
    lived = sum(_lived_seconds(agent, now) for agent in agents)
    return min(1.0, sum(e - b for b, e in runs) / lived) if lived > 0 else None


def _lived_seconds(agent: AgentRow, now: float) -> float:
    """Return the time until it left, or until its last heartbeat."""
    end = now - agent.silent_seconds if agent.left_at is None else agent.left_at.timestamp()
    return max(0.0, end - agent.joined_at.timestamp())


def find_runs(began: Floats, ended: Floats, gap_seconds: float = 0.0) -> list[tuple[float, float]]:
    """Return the union of spans, sorted by begin, without gaps shorter than this."""
    if not len(began):
        return []
    reached = np.maximum.accumulate(ended)
    starts = np.flatnonzero(np.concatenate([[True], began[1:] > reached[:-1] + gap_seconds]))
    ends = reached[np.append(starts[1:], len(began)) - 1]
    return list(zip(began[starts].tolist(), ends.tolist(), strict=True))


def _told_spans(spans: _Spans, mine: slice) -> tuple[list[Span], int]:
    """Put each span into the first free lane, so that no spans of a lane overlap."""
    free_at: list[float] = []
    told = []
    for at in range(mine.start, mine.stop):
        began, ended = float(spans.began[at]), float(spans.ended[at])
        free = (i for i, end in enumerate(free_at) if end <= began + _SLACK_SECONDS)
        lane = next(free, len(free_at))
        if lane == len(free_at):
            free_at.append(ended)
        free_at[lane] = ended
        told.append(_span(spans, at, lane))
    return told, max(1, len(free_at))


def _span(spans: _Spans, at: int, lane: int) -> Span:
    return Span(
        number=int(spans.numbers[at]),
        attempt=int(spans.attempts[at]),
        state=_STATES[int(spans.states[at])],
        began=float(spans.began[at]),
        ended=float(spans.ended[at]),
        lane=lane,
    )
