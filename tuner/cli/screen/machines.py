"""The fleet on the screen: a row per machine, a cell per device, a line where lanes share one."""

from collections.abc import Collection, Sequence

from rich.text import Text

from tuner.cli.text.budget import bar
from tuner.cli.text.control import render_start
from tuner.cli.text.fleet import busy_share
from tuner.cli.text.words import count, one_line, render_value
from tuner.results.device_loads import DeviceLoad, device_loads
from tuner.results.live import LiveStudy
from tuner.results.progress import is_finished, is_silent
from tuner.storage.reading.rows import AgentRow
from tuner.study.activity import LaneActivity

_CELL = 33  # columns at least
_LANE_CELL = 31  # width of one lane among many
_SHORT_CELL = 8
_STYLES = {
    "working": "green",
    "waiting": "cyan",
    "paused": "yellow",
    "drained": "yellow",
    "stopping": "yellow",
    "silent": "red",
}


def machine_rows(live: LiveStudy, width: int, height: int, *, ascii_only: bool) -> list[Text]:
    """Render all machines in full if there is room, otherwise a line each with a count."""
    agents = [agent for agent in live.summary.agents if agent.left_at is None]
    if is_finished(live.summary):
        return []
    if not agents:
        start = render_start(
            live.summary.study.name, needs_study_file=live.summary.needs_study_file
        )
        return [Text(start, style="yellow")]
    rows = [row for agent in agents for row in _machine(live, agent, width, ascii_only)]
    if len(rows) > height:
        names = min(max(len(one_line(agent.host)) for agent in agents), width // 5)
        rows = [_short_machine(live, agent, names, ascii_only) for agent in agents]
    if len(rows) > height:
        shown = max(0, height - 1)
        rows = [*rows[:shown], Text(f"and {count(len(agents) - shown, 'machine')} more", "dim")]
    return rows


def _short_machine(live: LiveStudy, agent: AgentRow, names: int, ascii_only: bool) -> Text:
    """Render one line: `node01 300 ██▏ 301 ▍   ...`, with the number of lanes on shared devices."""
    line = _named(live, agent, ascii_only, names)
    for load in _loads(live, agent):
        if load.n_lanes == 0:
            cell = Text("idle", style="dim")
        else:
            lanes = load.lanes
            name = f"{lanes[0].trial} " if len(lanes) == 1 else f"x{load.n_lanes} "
            shares = [lane.step / lane.n_steps for lane in lanes if lane.n_steps]
            share = sum(shares) / len(shares) if shares else 0.0
            cell = Text(name)
            cell.append(bar(share, max(1, _SHORT_CELL - len(name) - 1), ascii_only=ascii_only))
        line.append_text(_filled(cell, _SHORT_CELL))
    return line


def _named(live: LiveStudy, agent: AgentRow, ascii_only: bool, width: int) -> Text:
    state = _state(live, agent)
    line = Text("* " if ascii_only else "● ", style=_STYLES.get(state, "green"))
    line.append(one_line(agent.host)[:width].ljust(width) + " ", style="bold")
    return line


def _state(live: LiveStudy, agent: AgentRow) -> str:
    said = agent.activity.state or ("working" if agent.trials else "waiting")
    return "silent" if is_silent(live.summary, agent) else said


def _machine(live: LiveStudy, agent: AgentRow, width: int, ascii_only: bool) -> list[Text]:
    state = _state(live, agent)
    head = _named(live, agent, ascii_only, len(one_line(agent.host)))
    head.append(f" pid {agent.pid}  ", style="dim")
    head.append(one_line(state), style=_STYLES.get(state, "green"))
    head.append(f"  busy {busy_share(agent)}, heartbeat {agent.silent_seconds:.0f} s ago", "dim")
    loads = _loads(live, agent)
    names = max((len(one_line(load.device)) for load in loads), default=0)
    digits = max((len(str(lane.trial)) for load in loads for lane in load.lanes), default=0)
    return [
        head,
        *(_shared(load, width, names, digits, ascii_only) for load in loads if load.n_lanes > 1),
        *_grid(
            [load for load in loads if load.n_lanes <= 1],
            agent.activity.blocked,
            width,
            names,
            digits,
            ascii_only,
        ),
    ]


def _loads(live: LiveStudy, agent: AgentRow) -> list[DeviceLoad]:
    summary = live.summary
    return device_loads(agent, summary.study.direction, live.held, summary.n_steps_full)


def _shared(load: DeviceLoad, width: int, names: int, digits: int, ascii_only: bool) -> Text:
    """Render a device with many lanes in one line: number, best, oldest, others that fit."""
    line = Text(f"  {one_line(load.device).ljust(names)} ")
    line.append(f"{load.n_lanes} lanes", style="bold")
    n_fit = max(1, (width - line.cell_len) // (_LANE_CELL + 2))
    for lane in load.lanes[:n_fit]:
        cell = Text()
        if lane is load.best or lane is load.oldest:
            cell.append("best " if lane is load.best else "oldest ", style="dim")
        _lane(cell, lane, _LANE_CELL, digits, ascii_only)
        line.append("  ")
        line.append_text(_filled(cell, _LANE_CELL))
    return line


def _grid(
    loads: Sequence[DeviceLoad],
    blocked: Collection[str],
    width: int,
    names: int,
    digits: int,
    ascii_only: bool,
) -> list[Text]:
    """Render devices with at most one trial next to each other."""
    n_columns = max(1, (width - 2) // (_CELL + 2))
    cell_width = min(48, max(1, (width - 2) // n_columns - 2))
    cells = []
    for load in loads:
        cell = Text(f"{one_line(load.device).ljust(names)} ")
        if load.best is None:
            idle = "drained" if load.device in blocked else "idle"
            cell.append(idle if load.n_lanes == 0 else "1 lane", style="dim")
        else:
            _lane(cell, load.best, cell_width, digits, ascii_only)
        cells.append(_filled(cell, cell_width))
    rows = [cells[at : at + n_columns] for at in range(0, len(cells), n_columns)]
    return [Text("  ").append_text(Text("  ").join(row)) for row in rows]


def _lane(cell: Text, lane: LaneActivity, width: int, digits: int, ascii_only: bool) -> None:
    """Append trial, progress and value, aligned with the lines above."""
    cell.append(str(lane.trial).rjust(digits), style="bold")
    value = "" if lane.value is None else f" {render_value(lane.value)}".ljust(8)
    if lane.n_steps:
        after = f" {str(lane.step).rjust(len(str(lane.n_steps)))}/{lane.n_steps}{value}"
        room = width - cell.cell_len - len(after) - 1
        if room >= 3:
            drawn = bar(lane.step / lane.n_steps, min(room, 16), ascii_only=ascii_only)
            cell.append(" ")
            cell.append(drawn, style="green" if ascii_only else "green on grey23")
    else:
        after = f" at {lane.step}{value}"
    cell.append(after)


def _filled(cell: Text, width: int) -> Text:
    cell.truncate(width, overflow="crop", pad=True)
    return cell
