"""`budget: {stop: plateau}`: a study ends when the rest of its budget is unlikely to help."""

from collections.abc import Callable

import pytest

from tests.integration.stores import TELEMETRY, StoredStudy
from tuner.results.progress import StudyState
from tuner.results.status import find_status
from tuner.results.summary import load_summary
from tuner.storage.control.commands import Control
from tuner.study.agents import Desired
from tuner.study.control import Amount, Extension
from tuner.study_file.model import Budget

NewStudy = Callable[..., StoredStudy]
N_COMPLETE = 24


@pytest.fixture(params=["limit", "plateau"])
def study(request: pytest.FixtureRequest, new_study: NewStudy) -> StoredStudy:
    """Most of a budget is used, and the best value is far ahead of the others."""
    study = new_study(budget=Budget(trials=30, stop=request.param))
    agent = study.agent()
    for trial in agent.claim(N_COMPLETE):
        number = trial.key.number
        agent.finish(trial, value=0.1 if number == 3 else 1 + (number % 7) / 100)
    return study


def test_an_agent_stops_the_study_only_if_the_file_asks_for_it(study: StoredStudy) -> None:
    before = find_status(load_summary(study.database, "searched"))
    assert before.outlook is not None
    assert before.outlook.is_unlikely
    pulse = study.agent().store.beat(TELEMETRY)
    after = find_status(load_summary(study.database, "searched"))
    if study.spec.budget.stop == "limit":
        assert (pulse.desired, after.state) == (Desired.RUNNING, StudyState.RUNNING)
        return
    assert pulse.desired is Desired.STOPPING
    assert pulse.reason is not None
    assert pulse.reason.startswith("plateau: more trials are unlikely to help: ")
    assert (after.state, after.reason) == (StudyState.FINISHED, pulse.reason)
    assert after.outlook is None, "it has ended"


def test_a_study_that_may_still_improve_goes_on(new_study: NewStudy) -> None:
    study = new_study(budget=Budget(trials=60, stop="plateau"))
    agent = study.agent()
    for trial in agent.claim(N_COMPLETE):
        agent.finish(trial, value=1 / (1 + trial.key.number))
    assert study.agent().store.beat(TELEMETRY).desired is Desired.RUNNING


def test_an_extended_study_goes_on_if_more_trials_may_help(new_study: NewStudy) -> None:
    study = new_study(budget=Budget(trials=25, stop="plateau"))
    agent = study.agent()
    for trial in agent.claim(N_COMPLETE):
        agent.finish(trial, value=1 + (trial.key.number * 5 % 24) / 24)
    assert study.agent().store.beat(TELEMETRY).desired is Desired.STOPPING
    control = Control(study.database, study.study_id, study.spec)
    assert control.extend(Extension(trials=Amount(value=500))).is_released
    assert study.agent().store.beat(TELEMETRY).desired is Desired.RUNNING


def test_the_last_trials_of_a_study_are_trained_to_their_end(new_study: NewStudy) -> None:
    study = new_study(budget=Budget(trials=30, stop="plateau"))
    agent = study.agent()
    for trial in agent.claim(30)[:N_COMPLETE]:
        agent.finish(trial, value=0.1 if trial.key.number == 3 else 1 + trial.key.number % 7 / 100)
    assert study.agent().store.beat(TELEMETRY).desired is Desired.RUNNING
