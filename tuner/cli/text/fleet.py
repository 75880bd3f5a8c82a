"""The agents at work: a row each, and below it the trials of its devices."""

from collections.abc import Sequence

from tuner.cli.text.budget import steps_of
from tuner.cli.text.words import one_line, render_table, render_value
from tuner.results.device_loads import DeviceLoad, device_loads
from tuner.results.progress import is_finished, is_silent
from tuner.results.status import find_status
from tuner.results.summary import StudySummary
from tuner.storage.reading.rows import AgentRow
from tuner.study.activity import LaneActivity
from tuner.study.command_line import undrain_command
from tuner.study.durations import render_seconds
from tuner.study.fleet import Drain
from tuner.study.places import count_units

_MAX_LANES = 4  # of one device
_MAX_NUMBERS = 8  # trials of one agent


def render_fleet(summary: StudySummary, width: int | None = None) -> str:
    """Render the agents that have not left; empty without any."""
    agents = [agent for agent in summary.agents if agent.left_at is None]
    if is_finished(summary):
        return ""
    drains = [render_drain(summary.study.name, drain) for drain in summary.drains]
    drained = "\n".join(["drained", *(f"  {line}" for line in drains)]) if drains else ""
    if not agents:
        return drained
    rows = [_agent(summary, agent) for agent in agents]
    header = ["  agent", "pid", "workers", "busy", "trials", "heartbeat"]
    table = render_table(header, rows, width)
    devices = [
        row
        for agent in agents
        for load in device_loads(agent, summary.study.direction)
        for row in _device(summary, agent, load)
    ]
    alerts = [
        f"  {one_line(alert.host)}: {one_line(alert.text)}" for alert in find_status(summary).alerts
    ]
    parts = [table]
    if devices:
        header = ["  device", "", "trial", "progress", summary.study.metric, "for"]
        parts.append(render_table(header, devices))  # a device's rows belong together
    if drained:
        parts.append(drained)
    if alerts:
        parts.append("\n".join(["alerts", *alerts]))
    return "\n\n".join(parts)


def render_drain(name: str, drain: Drain) -> str:
    """Render `node1 gpu:0  by anna@laptop since 2026-12-01 09:30 UTC; tuner undrain ...`."""
    reason = f" ({one_line(drain.reason)})" if drain.reason else ""
    who = f"by {one_line(drain.by)}, role {one_line(drain.role)}"
    lift = undrain_command(name, drain.host, drain.device, is_for_all=drain.is_for_all_studies)
    since = f"{drain.at:%Y-%m-%d %H:%M} UTC"
    return f"{one_line(drain.what)}  {who}, since {since}{reason}; {lift}"


def _agent(summary: StudySummary, agent: AgentRow) -> list[str]:
    lost = ", lost" if is_silent(summary, agent) else ""
    state = f", {one_line(agent.activity.state)}" if agent.activity.state else ""
    return [
        f"  {one_line(agent.host)}",
        str(agent.pid),
        str(len(agent.devices)),
        busy_share(agent),
        _trials(agent.trials),
        f"{agent.silent_seconds:.0f} s ago{lost or state}",
    ]


def _device(summary: StudySummary, agent: AgentRow, load: DeviceLoad) -> list[list[str]]:
    """Render a row; for a shared device, one more with the number of lanes and some of them."""
    place = [f"  {one_line(agent.host)}", one_line(load.device)]
    if load.n_lanes <= 1:
        return [[*place, *_lane(summary, load, lane)] for lane in load.lanes]
    rows = [[*place, f"{load.n_lanes} lanes", "", "", ""]]
    return rows + [["", "", *_lane(summary, load, lane)] for lane in load.lanes[:_MAX_LANES]]


def _lane(summary: StudySummary, load: DeviceLoad, lane: LaneActivity) -> list[str]:
    note = ""
    if load.n_lanes > 1 and lane is load.best:
        note = " (best)"
    elif load.n_lanes > 1 and lane is load.oldest:
        note = " (oldest)"
    return [
        f"trial {lane.trial}{note}",
        steps_of(lane.step, lane.n_steps, summary.step_noun),
        "" if lane.value is None else render_value(lane.value),
        render_seconds(lane.seconds),
    ]


def _trials(numbers: Sequence[int]) -> str:
    """Render the trials that it holds; many are only counted."""
    if len(numbers) > _MAX_NUMBERS:
        return f"{len(numbers)} from {min(numbers)} to {max(numbers)}"
    return ", ".join(map(str, numbers)) or "-"


def busy_share(agent: AgentRow) -> str:
    """Return the used share of its devices' time."""
    whole = agent.seconds_lived * count_units(agent.devices)
    return f"{min(100.0, 100 * agent.device_seconds_busy / whole):.0f} %" if whole > 0 else "-"
