"""The fleet on the screen: a row per machine, a cell per device."""

from dataclasses import replace

from rich.text import Text

from tuner.cli.budget_text import bar
from tuner.cli.fleet_text import busy_share, held_lanes
from tuner.cli.text import count, one_line, render_value
from tuner.results.live import LiveStudy
from tuner.results.progress import is_finished, is_silent
from tuner.storage.reading import AgentRow
from tuner.study.activity import LaneActivity

_CELL = 33  # columns at least
_SHORT_CELL = 8
_STYLES = {
    "working": "green",
    "waiting": "cyan",
    "paused": "yellow",
    "stopping": "yellow",
    "silent": "red",
}


def machine_rows(live: LiveStudy, width: int, height: int, *, ascii_only: bool) -> list[Text]:
    """All machines in full where there is room, else a line each; those left over are counted."""
    agents = [agent for agent in live.summary.agents if agent.left_at is None]
    if is_finished(live.summary):
        return []
    if not agents:
        return [Text("no agent is at work; tuner run STUDY.yaml on any machine", style="yellow")]
    rows = [row for agent in agents for row in _machine(live, agent, width, ascii_only)]
    if len(rows) > height:
        names = min(max(len(one_line(agent.host)) for agent in agents), width // 5)
        rows = [_short_machine(live, agent, names, ascii_only) for agent in agents]
    if len(rows) > height:
        shown = max(0, height - 1)
        rows = [*rows[:shown], Text(f"and {count(len(agents) - shown, 'machine')} more", "dim")]
    return rows


def _short_machine(live: LiveStudy, agent: AgentRow, names: int, ascii_only: bool) -> Text:
    """One line: `node01 300 ██▏ 301 ▍   ...`."""
    line = _named(live, agent, ascii_only, names)
    for lane in _lanes(live, agent):
        if isinstance(lane, str):
            cell = Text("idle", style="dim")
        else:
            cell = Text(f"{lane.trial} ")
            share = lane.step / lane.n_steps if lane.n_steps else 0.0
            cell.append(bar(share, max(1, _SHORT_CELL - cell.cell_len - 1), ascii_only=ascii_only))
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
    head.append(f"  busy {busy_share(agent)}, last beat {agent.silent_seconds:.0f} s ago", "dim")
    n_columns = max(1, (width - 2) // (_CELL + 2))
    cell_width = min(48, max(1, (width - 2) // n_columns - 2))
    lanes = _lanes(live, agent)
    names = max((len(_name(lane)) for lane in lanes), default=0)
    digits = max(
        (len(str(lane.trial)) for lane in lanes if isinstance(lane, LaneActivity)), default=0
    )
    cells = [_cell(lane, cell_width, names, digits, ascii_only) for lane in lanes]
    rows = [cells[at : at + n_columns] for at in range(0, len(cells), n_columns)]
    return [head, *(Text("  ").append_text(Text("  ").join(row)) for row in rows)]


def _lanes(live: LiveStudy, agent: AgentRow) -> list[LaneActivity | str]:
    """What each device trains; the name of one that is idle."""
    lanes: list[LaneActivity | str] = []
    training = held_lanes(agent)
    told = {lane.trial for lane in training}
    for device in agent.devices:
        here = [lane for lane in training if lane.device == device]
        lanes += [_fresh(live, lane) for lane in here] or [device]
    # Held, but not said yet: claimed since the last beat.
    for number in agent.trials:
        if number not in told and number in live.held:
            held = live.held[number]
            lane = LaneActivity(
                device="?",
                trial=number,
                attempt=held.attempt,
                step=held.step,
                n_steps=live.summary.n_steps_full,
                value=held.value,
                seconds=0.0,
            )
            idle = next((at for at, given in enumerate(lanes) if isinstance(given, str)), None)
            if idle is None:
                lanes.append(lane)
            else:
                lanes[idle] = replace(lane, device=str(lanes[idle]))
    return lanes


def _fresh(live: LiveStudy, lane: LaneActivity) -> LaneActivity:
    """With the report that has come since."""
    held = live.held.get(lane.trial)
    if held is None or held.attempt != lane.attempt or held.step <= lane.step:
        return lane
    return replace(lane, step=held.step, value=held.value)


def _name(lane: LaneActivity | str) -> str:
    return one_line(lane if isinstance(lane, str) else lane.device)


def _cell(lane: LaneActivity | str, width: int, names: int, digits: int, ascii_only: bool) -> Text:
    """Device, trial, how far, value: each under the one above."""
    cell = Text(f"{_name(lane).ljust(names)} ")
    if isinstance(lane, str):
        cell.append("idle", style="dim")
        return _filled(cell, width)
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
    return _filled(cell, width)


def _filled(cell: Text, width: int) -> Text:
    cell.truncate(width, overflow="crop", pad=True)
    return cell
