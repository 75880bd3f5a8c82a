"""The actions that a study and a trial allow now; the commands themselves decide."""

from enum import StrEnum

from tuner.results.progress import StudyState, find_state
from tuner.results.summary import StudySummary
from tuner.study.agents import Desired
from tuner.study.limits import bars_all_trials, reached_limits
from tuner.study.trial import TrialState


class Action(StrEnum):
    """An action on a study or a trial, by the name of its command."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    EXTEND = "extend"
    ENQUEUE = "enqueue"
    RETRY = "retry"
    STOP_TRIAL = "stop-trial"


def study_actions(summary: StudySummary) -> tuple[Action, ...]:
    """Return the actions on a study that would be accepted and have an effect."""
    state = find_state(summary)
    study = summary.study
    reached = reached_limits(study.limits, summary.used, study.direction)
    allowed = {
        Action.PAUSE: state in (StudyState.RUNNING, StudyState.IDLE),
        Action.RESUME: study.desired is not Desired.RUNNING and not bars_all_trials(reached),
        Action.STOP: state not in (StudyState.FINISHED, StudyState.STOPPED),
        Action.EXTEND: True,
        Action.ENQUEUE: True,
        Action.RETRY: summary.n(TrialState.FAIL) > 0,
    }
    return tuple(action for action, is_allowed in allowed.items() if is_allowed)


def trial_actions(state: TrialState) -> tuple[Action, ...]:
    """Return the actions on a trial in this state."""
    if state is TrialState.FAIL:
        return (Action.RETRY,)
    return (Action.STOP_TRIAL,) if state.is_at_work else ()
