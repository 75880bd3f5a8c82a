"""Status of a study: the facts that every front shows, derived from its summary once."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.results.actions import Action, study_actions
from tuner.results.limits import LimitUse, find_limits
from tuner.results.progress import (
    StudyState,
    estimate_seconds_left,
    find_reason,
    find_state,
    is_active,
    is_finished,
    is_silent,
)
from tuner.results.summary import StudySummary
from tuner.storage.reading.rows import AgentRow
from tuner.study.outlook import Outlook


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A problem that a living agent reports."""

    host: str
    text: str


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """The derived facts of a summary."""

    state: StudyState
    reason: str  # why it is paused, stopping or ended; empty while it continues
    is_finished: bool
    is_active: bool
    limits: Sequence[LimitUse]
    seconds_left: float | None
    outlook: Outlook | None  # None for an ended study, too
    actions: Sequence[Action]
    lost: Sequence[AgentRow]  # silent for the lease time, while trials are open
    alerts: Sequence[Alert]


def find_status(summary: StudySummary) -> StudyStatus:
    """Derive the status of a study from its summary."""
    here = [agent for agent in summary.agents if agent.left_at is None]
    has_ended = is_finished(summary)
    return StudyStatus(
        state=find_state(summary),
        reason=find_reason(summary),
        is_finished=has_ended,
        is_active=is_active(summary),
        limits=find_limits(summary),
        seconds_left=estimate_seconds_left(summary),
        outlook=None if has_ended else summary.outlook,
        actions=study_actions(summary),
        lost=[] if has_ended else [agent for agent in here if is_silent(summary, agent)],
        alerts=[
            Alert(host=agent.host, text=text)
            for agent in here
            if not is_silent(summary, agent)
            for text in agent.activity.alerts
        ],
    )
