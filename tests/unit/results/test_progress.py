"""A study's state in one word, and when it ends."""

import pytest

from tests.unit.cli.builders import agent, counts, study, summary, used
from tuner.cli.text.summary import render_times
from tuner.results.limits import find_limits
from tuner.results.progress import (
    StudyState,
    estimate_seconds_left,
    find_reason,
    find_state,
    is_finished,
)
from tuner.results.status import find_status
from tuner.study.activity import Activity
from tuner.study.agents import Desired
from tuner.study.limits import Limits


@pytest.mark.parametrize(
    ("desired", "reason", "open_trials", "state"),
    [
        ("stopping", "stopped by me@box", 1, StudyState.STOPPING),
        ("stopping", "stopped by me@box", 0, StudyState.STOPPED),
        ("stopping", "the time limit is reached", 0, StudyState.FINISHED),
        ("paused", "paused by me@box", 1, StudyState.PAUSED),
        ("running", None, 1, StudyState.RUNNING),
    ],
)
def test_the_state_follows_what_is_wanted_and_what_is_open(desired, reason, open_trials, state):
    row = study(desired=Desired(desired), reason=reason)
    standing = counts(COMPLETE=3, RUNNING=open_trials) if open_trials else counts(COMPLETE=3)
    found = summary(study=row, counts=standing, agents=(agent(),))
    assert find_state(found) is state
    assert find_reason(found) == (reason or "")


def test_what_another_program_left_running_keeps_no_study_open():
    finished = summary(counts=counts(COMPLETE=100, ELSEWHERE=1), used=used(trials=100))
    assert find_state(finished) is StudyState.FINISHED
    assert "running elsewhere" in render_times(finished)


def test_without_an_agent_a_study_is_idle():
    assert find_state(summary(counts=counts(COMPLETE=3))) is StudyState.IDLE


def test_any_limit_ends_a_study_and_is_its_reason():
    grid = summary(study=study(limits=Limits(), n_draws=4), counts=counts(COMPLETE=4))
    assert is_finished(grid)
    assert find_reason(grid) == "every cell of the grid reached"
    steps = summary(study=study(limits=Limits(steps=1000)), counts=counts(COMPLETE=4))
    assert find_reason(steps) == "the limit of epochs reached"
    target = summary(study=study(limits=Limits(target=0.3)), counts=counts(COMPLETE=4))
    assert is_finished(target)
    assert not is_finished(summary(study=study(limits=Limits(target=0.2)), counts=counts(FAIL=4)))


def test_a_reason_has_the_noun_of_the_objective_and_one_name_for_device_time():
    spent = study(limits=Limits(steps=1000, device_seconds=100.0))
    ended = summary(study=spent, counts=counts(COMPLETE=4), step_noun="step")
    assert find_reason(ended) == "the limit of steps and the limit of device time reached"


def test_limits_show_their_use_and_what_is_left():
    row = study(limits=Limits(trials=4, steps=2000, target=0.3), n_draws=8, next_draw=2)
    found = {limit.key: limit for limit in find_limits(summary(study=row, used=used(trials=5)))}
    trials, draws, steps, target = (found[key] for key in ("trials", "draws", "steps", "target"))
    assert (trials.part, trials.left, trials.is_reached) == (1.0, 0.0, True)
    assert (draws.name, draws.used, draws.limit, draws.part) == ("grid cells", 2, 8, 0.25)
    assert (steps.name, steps.left, steps.is_reached) == ("epochs", 1000, False)
    assert (target.used, target.part, target.left, target.is_reached) == (0.25, None, None, True)


def test_an_agent_is_lost_while_trials_are_open_and_then_reports_no_alert():
    activity = Activity(alerts=("disk full",))
    silent = agent(host="gone", silent_seconds=31.0, activity=activity)
    here = agent(activity=activity)
    working = find_status(summary(counts=counts(RUNNING=1), agents=(silent, here)))
    assert [lost.host for lost in working.lost] == ["gone"]
    assert [(alert.host, alert.text) for alert in working.alerts] == [("box", "disk full")]
    assert find_status(summary(agents=(silent,))).lost == []


def test_the_time_left_is_that_of_the_first_limit():
    working = {"counts": counts(COMPLETE=50, RUNNING=1), "agents": (agent(),)}
    assert estimate_seconds_left(summary(used=used(trials=51), **working)) == 60.0
    both = study(limits=Limits(trials=100, seconds=70.0))
    assert estimate_seconds_left(summary(study=both, used=used(trials=51), **working)) == 10.0
    assert estimate_seconds_left(summary()) is None
    nothing = summary(counts=counts(RUNNING=1), agents=(agent(),), used=used(trials=1))
    assert estimate_seconds_left(nothing) is None
