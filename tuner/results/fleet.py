"""The fleet over time: what each device trained, and how much of its time was used."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.results.board import Board
from tuner.results.progress import is_silent
from tuner.results.trial_table import FAIL, FREE, RUNNING
from tuner.storage.columns_reading import STATES
from tuner.storage.reading import AgentRow

LOST = "LOST"  # an attempt that another one followed
_ENDS = {"released": "FREE", "fail": "FAIL"}


@dataclass(frozen=True, kw_only=True)
class Span:
    """An attempt on a device."""

    number: int
    attempt: int
    state: str  # of its trial; RUNNING: goes on; LOST, FREE: another attempt followed
    began: float  # seconds since 1970
    ended: float
    lane: int = 0  # its place among those that share the device, from 0


@dataclass(frozen=True, kw_only=True)
class DeviceRow:
    """One device of one machine, through all agents that used it."""

    host: str
    device: str
    spans: Sequence[Span]  # by begin
    n_lanes: int  # the most that it trained at the same time
    utilization: float | None  # of the time in which its agents lived; None: not known
    n_training: int
    state: str  # "working", "idle", "lost", "left"


def build_fleet(board: Board) -> list[DeviceRow]:
    """Devices by machine, those of living agents first."""
    agents = board.summary.agents
    spans = _spans(board)
    rows: dict[tuple[str, str], list[Span]] = {}
    for ordinal, agent in enumerate(agents):
        for device in agent.devices:
            rows.setdefault((agent.host, device), [])
        for device, found in spans.get(ordinal, {}).items():
            rows.setdefault((agent.host, device or "?"), []).extend(found)
    fleet = [_row(board, host, device, found) for (host, device), found in rows.items()]
    return sorted(fleet, key=lambda row: (row.state in ("left", "lost"), row.host, _key(row)))


def _key(row: DeviceRow) -> tuple[str, int]:
    kind, _, place = row.device.rpartition(":")
    return kind, int(place) if place.isdecimal() else 0


def _spans(board: Board) -> dict[int, dict[str, list[Span]]]:
    """By agent and device."""
    table, now = board.table, board.clock.now
    told = _told(board.summary.agents)
    found: dict[int, dict[str, list[Span]]] = {}
    kept = np.flatnonzero((table.agents >= 0) & np.isfinite(table.began) & (table.states != FREE))
    columns = (table.numbers, table.attempts, table.states, table.agents, table.devices)
    rows = zip(*(c[kept].tolist() for c in (*columns, table.began, table.ended)), strict=True)
    for number, attempt, state, agent, device, began, ended in rows:
        is_open = state == RUNNING
        name = told.get((agent, number), "") if is_open else table.device_names[device]
        if not name:
            continue
        span = Span(
            number=number,
            attempt=attempt,
            state=STATES[state],
            began=began,
            ended=now if is_open or ended != ended else ended,
        )
        found.setdefault(agent, {}).setdefault(name, []).append(span)
    for early in board.early:
        if early.agent is not None and early.device:
            span = Span(
                number=early.number,
                attempt=early.attempt,
                state=_ENDS.get(early.how, LOST),
                began=early.began,
                ended=early.ended,
            )
            found.setdefault(early.agent, {}).setdefault(early.device, []).append(span)
    return found


def _told(agents: Sequence[AgentRow]) -> dict[tuple[int, int], str]:
    """Where trials in training are: the record names a device at the end of an attempt."""
    return {
        (ordinal, number): activity.device
        for ordinal, agent in enumerate(agents)
        for activity in agent.activity.devices
        for number in activity.trials
    }


def _row(board: Board, host: str, device: str, spans: Sequence[Span]) -> DeviceRow:
    agents = [a for a in board.summary.agents if a.host == host and device in a.devices]
    placed, n_lanes = _in_lanes(sorted(spans, key=lambda s: (s.began, s.number)))
    n_training = sum(span.state == "RUNNING" for span in placed)
    return DeviceRow(
        host=host,
        device=device,
        spans=placed,
        n_lanes=n_lanes,
        utilization=_utilization(agents, spans, board.clock.now),
        n_training=n_training,
        state=_state(board, agents, n_training),
    )


def _state(board: Board, agents: Sequence[AgentRow], n_training: int) -> str:
    living = [a for a in agents if a.left_at is None]
    if any(not is_silent(board.summary, agent) for agent in living):
        return "working" if n_training else "idle"
    return "lost" if living else "left"


def _utilization(agents: Sequence[AgentRow], spans: Sequence[Span], now: float) -> float | None:
    """The part of its agents' time that is covered by attempts."""
    lived = sum(
        max(0.0, (now if a.left_at is None else a.left_at.timestamp()) - a.joined_at.timestamp()
            - (a.silent_seconds if a.left_at is None else 0.0))
        for a in agents
    )  # fmt: skip
    return min(1.0, covered_seconds(spans) / lived) if lived > 0 else None


def covered_seconds(spans: Sequence[Span]) -> float:
    """How long at least one of them went on."""
    return sum(ended - began for began, ended in merge_spans(spans, 0.0))


def merge_spans(spans: Sequence[Span], gap_seconds: float) -> list[tuple[float, float]]:
    """Their union, without gaps shorter than this."""
    merged: list[tuple[float, float]] = []
    for began, ended in sorted((span.began, span.ended) for span in spans):
        if merged and began <= merged[-1][1] + gap_seconds:
            merged[-1] = merged[-1][0], max(merged[-1][1], ended)
        else:
            merged.append((began, ended))
    return merged


def _in_lanes(spans: Sequence[Span]) -> tuple[list[Span], int]:
    """Each in the first lane that is free: no two of a lane overlap."""
    free_at: list[float] = []
    placed = []
    for span in spans:
        # Claims are a little earlier than the end of what they follow: no lane of its own for that.
        lane = next((i for i, end in enumerate(free_at) if end <= span.began + 0.3), len(free_at))
        if lane == len(free_at):
            free_at.append(span.ended)
        free_at[lane] = span.ended
        placed.append(
            Span(
                number=span.number,
                attempt=span.attempt,
                state=span.state,
                began=span.began,
                ended=span.ended,
                lane=lane,
            )
        )
    return placed, len(free_at)


def failed_spans(row: DeviceRow) -> list[Span]:
    """Attempts that failed or were lost."""
    return [span for span in row.spans if span.state in (STATES[FAIL], LOST)]
