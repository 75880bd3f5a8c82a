"""The actions that a study allows: none that would be refused, or that would do nothing."""

import pytest

from tests.unit.cli.builders import agent, counts, study, summary, used
from tuner.results.actions import Action, study_actions, trial_actions
from tuner.study.agents import Desired
from tuner.study.limits import Limits
from tuner.study.trial import TRIAL_STATES, TrialState

ALWAYS = {"extend", "enqueue"}
BY_A_PERSON, BY_A_LIMIT = "stopped by me@box", "the budget's time of 1m is used up"


@pytest.mark.parametrize(
    ("desired", "reason", "n_open", "offered"),
    [
        ("running", None, 1, {"pause", "stop"}),
        ("running", None, 0, {"pause", "stop"}),  # idle: agents that come later wait
        ("paused", "paused by me@box", 1, {"resume", "stop"}),
        ("stopping", BY_A_PERSON, 1, {"resume", "stop"}),
        ("stopping", BY_A_PERSON, 0, {"resume"}),
        ("halted", "5 failures in a row", 0, {"resume", "stop"}),
    ],
)
def test_a_study_that_can_go_on_offers_what_leads_there(desired, reason, n_open, offered):
    standing = counts(COMPLETE=3, RUNNING=n_open) if n_open else counts(COMPLETE=3)
    row = study(desired=Desired(desired), reason=reason)
    found = summary(study=row, counts=standing, agents=(agent(),))
    assert set(study_actions(found)) == offered | ALWAYS


def test_a_finished_study_offers_none_of_the_three():
    whole = summary(counts=counts(COMPLETE=100), used=used(trials=100))
    assert set(study_actions(whole)) == ALWAYS
    late = study(
        desired=Desired.STOPPING, reason=BY_A_LIMIT, limits=Limits(trials=100, seconds=60.0)
    )
    done = summary(study=late, counts=counts(COMPLETE=3), used=used(seconds=61.0))
    assert set(study_actions(done)) == ALWAYS


def test_a_halted_study_whose_last_trials_can_be_tried_again_is_resumed():
    row = study(desired=Desired.HALTED, reason="5 failures in a row")
    full = summary(study=row, counts=counts(FAIL=100), used=used(trials=100))
    assert set(study_actions(full)) == {"resume", "stop", "retry"} | ALWAYS


def test_a_trial_is_retried_after_a_failure_and_stopped_while_it_is_open():
    found = {state: trial_actions(state) for state in TRIAL_STATES}
    assert {state: actions for state, actions in found.items() if actions} == {
        TrialState.FAIL: (Action.RETRY,),
        TrialState.RUNNING: (Action.STOP_TRIAL,),
        TrialState.RELEASED: (Action.STOP_TRIAL,),
    }
