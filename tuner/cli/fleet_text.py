"""The agents at work: a row each, and below it what its devices train."""

from tuner.cli.budget_text import steps_of
from tuner.cli.text import one_line, render_seconds, render_table, render_value
from tuner.results.progress import is_finished, is_silent
from tuner.results.summary import StudySummary
from tuner.storage.reading import AgentRow
from tuner.study.activity import LaneActivity


def render_fleet(summary: StudySummary) -> str:
    """The agents that have not left; empty without any."""
    agents = [agent for agent in summary.agents if agent.left_at is None]
    if not agents or is_finished(summary):
        return ""
    rows = [_agent(summary, agent) for agent in agents]
    table = render_table(["  agent", "pid", "workers", "busy", "trials", "last beat"], rows)
    lanes = [
        [
            f"  {one_line(agent.host)}",
            one_line(lane.device),
            f"trial {lane.trial}",
            steps_of(lane.step, lane.n_steps, summary.step_noun),
            "" if lane.value is None else render_value(lane.value),
            render_seconds(lane.seconds),
        ]
        for agent in agents
        for lane in held_lanes(agent)
    ]
    alerts = [
        f"  {one_line(agent.host)}: {one_line(alert)}"
        for agent in agents
        for alert in agent.activity.alerts
    ]
    parts = [table]
    if lanes:
        header = ["  device", "", "trial", "progress", summary.study.metric, "for"]
        parts.append(render_table(header, lanes))
    if alerts:
        parts.append("\n".join(["alerts", *alerts]))
    return "\n\n".join(parts)


def _agent(summary: StudySummary, agent: AgentRow) -> list[str]:
    lost = ", lost" if is_silent(summary, agent) else ""
    state = f", {one_line(agent.activity.state)}" if agent.activity.state else ""
    return [
        f"  {one_line(agent.host)}",
        str(agent.pid),
        str(len(agent.devices)),
        busy_share(agent),
        ", ".join(map(str, agent.trials)) or "-",
        f"{agent.silent_seconds:.0f} s ago{lost or state}",
    ]


def held_lanes(agent: AgentRow) -> list[LaneActivity]:
    """What it trains, without trials that ended after it had spoken."""
    return [lane for lane in agent.activity.lanes if lane.trial in agent.trials]


def busy_share(agent: AgentRow) -> str:
    """How much of its devices' time it has used."""
    whole = agent.seconds_lived * len(agent.devices)
    return f"{min(100.0, 100 * agent.device_seconds_busy / whole):.0f} %" if whole > 0 else "-"
