"""What the menu of a study offers: nothing that would be refused, or that would do nothing."""

import pytest

from tests.unit.cli.builders import agent, counts, study, summary, used
from tuner.dashboard.study_view import find_offered
from tuner.study.agents import Desired
from tuner.study.limits import Limits

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
    assert find_offered(summary(study=row, counts=standing, agents=(agent(),))) == offered


def test_a_finished_study_offers_none_of_the_three():
    assert find_offered(summary(counts=counts(COMPLETE=100), used=used(trials=100))) == set()
    late = study(
        desired=Desired.STOPPING, reason=BY_A_LIMIT, limits=Limits(trials=100, seconds=60.0)
    )
    done = summary(study=late, counts=counts(COMPLETE=3), used=used(seconds=61.0))
    assert find_offered(done) == set()


def test_a_halted_study_whose_last_trials_can_be_tried_again_is_resumed():
    row = study(desired=Desired.HALTED, reason="5 failures in a row")
    full = summary(study=row, counts=counts(FAIL=100), used=used(trials=100))
    assert find_offered(full) == {"resume", "stop"}
