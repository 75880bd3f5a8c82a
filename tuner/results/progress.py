"""Progress of a study: its state, the reason of its end, and the estimated time left."""

from enum import StrEnum

from tuner.results.summary import StudySummary
from tuner.storage.reading.rows import AgentRow
from tuner.study.agents import Desired
from tuner.study.control import STOPPED_BY
from tuner.study.limits import reached_limits
from tuner.study.trial import TrialState


class StudyState(StrEnum):
    """State of a study, for display."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"  # agents are ending their trials
    STOPPED = "stopped"  # by a user; `tuner resume` continues it
    HALTED = "halted"  # by too many failures; `tuner resume` continues it
    FINISHED = "finished"  # a limit is reached and every trial final
    IDLE = "idle"  # no agent works on it


def find_state(summary: StudySummary) -> StudyState:
    study = summary.study
    if study.desired is Desired.STOPPING:
        if summary.n_open:
            return StudyState.STOPPING
        return StudyState.STOPPED if _is_by_person(summary) else StudyState.FINISHED
    if study.desired is Desired.HALTED:
        return StudyState.HALTED
    if is_finished(summary):
        return StudyState.FINISHED
    if study.desired is Desired.PAUSED:
        return StudyState.PAUSED
    return StudyState.RUNNING if is_active(summary) else StudyState.IDLE


def _is_by_person(summary: StudySummary) -> bool:
    return (summary.study.reason or STOPPED_BY).startswith(STOPPED_BY)


def is_finished(summary: StudySummary) -> bool:
    """Return whether a limit is reached and every trial final."""
    if summary.n_open:
        return False
    if summary.study.desired is Desired.STOPPING:
        return True
    return bool(_used_up(summary))


def _used_up(summary: StudySummary) -> tuple[str, ...]:
    """Return the limits that end new trials."""
    reached = reached_limits(summary.study.limits, summary.used, summary.study.direction)
    n_draws = summary.study.n_draws
    is_out_of_cells = n_draws is not None and summary.study.next_draw >= n_draws
    is_grid_done = is_out_of_cells and not summary.n(TrialState.WAITING)
    return (*reached, "grid") if is_grid_done else reached


_ENDS = {
    "trials": "the limit of trials",
    "grid": "every cell of the grid",
    "steps": "the limit of {steps}",
    "seconds": "the time limit",
    "device_seconds": "the limit of device time",
    "target": "the target",
}


def find_reason(summary: StudySummary) -> str:
    """Return why it is paused, stopping or ended; empty while it continues."""
    if summary.study.desired is not Desired.RUNNING:
        return summary.study.reason or ""
    used_up = _used_up(summary)
    if not used_up or not is_finished(summary) or used_up == ("trials",):
        return ""
    ends = [_ENDS[name].format(steps=summary.steps_noun) for name in used_up]
    return f"{' and '.join(ends)} reached"


def is_active(summary: StudySummary) -> bool:
    """Return whether an agent that has not left sent a heartbeat lately."""
    return any(a.left_at is None and not is_silent(summary, a) for a in summary.agents)


def is_silent(summary: StudySummary, agent: AgentRow) -> bool:
    """Judge by the database's clock, for display; agents judge by their own."""
    return bool(agent.silent_seconds >= summary.lease_seconds)


def estimate_seconds_left(summary: StudySummary) -> float | None:
    """Estimate the time to the first limit at the pace so far; None without a basis."""
    if find_state(summary) is not StudyState.RUNNING:
        return None
    lived = max(summary.used.seconds, *(agent.seconds_lived for agent in summary.agents), 0.0)
    limits, used, n_trials = summary.study.limits, summary.used, summary.study.n_trials
    estimates = [
        _at_pace(lived, summary.n_final, n_trials),
        _at_pace(lived, used.steps, limits.steps),
        _at_pace(lived, used.device_seconds, limits.device_seconds),
    ]
    if limits.seconds is not None:
        estimates.append(max(0.0, limits.seconds - used.seconds))
    return min((e for e in estimates if e is not None), default=None)


def _at_pace(lived: float, used: float, limit: float | None) -> float | None:
    if limit is None or used <= 0 or lived <= 0:
        return None
    return max(0.0, limit - used) * lived / used
