"""`failures.stop_after`, how trials fare elsewhere, and what failed trials have in common."""

from dataclasses import replace

import pytest

from tests.integration.conftest import NewStudy
from tests.integration.stores import TELEMETRY, StoreAgent, StoredStudy, raised, report
from tuner.results.summary import load_summary
from tuner.storage.control.commands import Control
from tuner.storage.reading.failures import SharedParam
from tuner.study.agents import Desired
from tuner.study.failure import Failure, FailureClass, Fault
from tuner.study.lease import Batch, ClaimedTrial, Finish, Release
from tuner.study.trial import TrialState
from tuner.study_file.model import Failures


def _fail(agent: StoreAgent, trial: ClaimedTrial, failure: Failure | None = None) -> None:
    found = failure or raised()
    agent.finish(trial, TrialState.FAIL, reason=found.message, failure=found, seconds=1.0)


def _held_for(study: StoredStudy, trial: ClaimedTrial, seconds: int) -> ClaimedTrial:
    study.query(
        f"update tuner.lease set claimed_at = now() - interval '{seconds} s' where number = %s",
        trial.key.number,
    )
    return trial


def _stops_after(n: int | None) -> Failures:
    return Failures(lease_seconds=3.0, stop_after=n)


def _desired(study: StoredStudy) -> tuple[str, str | None]:
    ((desired, reason),) = study.query("select desired, desired_reason from tuner.study")
    return desired, reason


def _in_a_row(study: StoredStudy) -> int:
    ((n,),) = study.query("select n_failed_in_a_row from tuner.study")
    return int(n)


def test_failures_in_a_row_of_several_machines_halt_the_study(new_study: NewStudy) -> None:
    study = new_study(failures=_stops_after(3))
    first, second = study.agent(), study.agent()
    _fail(first, first.claim_one())
    trial = second.claim_one()
    second.store.end([Release(key=trial.key, reason="ValueError: no", failure=raised())])
    assert _desired(study) == ("running", None)
    again = first.claim_one()
    _fail(first, again)
    reason = f"3 failures in a row, the last: trial {again.key.number}: {raised().message}"
    assert _desired(study) == ("halted", reason)
    assert first.store.beat(TELEMETRY).desired is Desired.HALTED
    assert first.claim(2) == []
    assert study.query("select kind, detail from tuner.event where kind = 'halted'") == [
        ("halted", reason)
    ]
    assert load_summary(study.database, study.spec.name).study.desired is Desired.HALTED


def test_a_resume_lets_a_halted_study_go_on_and_counts_anew(new_study: NewStudy) -> None:
    study = new_study(failures=_stops_after(2))
    agent = study.agent()
    for _ in range(2):
        _fail(agent, agent.claim_one())
    assert _desired(study)[0] == "halted"
    Control(study.database, study.study_id, study.spec).resume("anna")
    assert (_desired(study), _in_a_row(study)) == (("running", None), 0)
    _fail(agent, agent.claim_one())
    assert _desired(study)[0] == "running"


def test_a_halted_study_can_be_stopped_for_good(new_study: NewStudy) -> None:
    study = new_study(failures=_stops_after(1))
    agent = study.agent()
    _fail(agent, agent.claim_one())
    trial = study.agent()
    assert _desired(study)[0] == "halted"
    Control(study.database, study.study_id, study.spec).stop("anna")
    assert _desired(study)[0] == "stopping"
    assert trial.claim() == []


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
def test_a_trial_that_ends_well_breaks_the_row(new_study: NewStudy, state: TrialState) -> None:
    study = new_study(failures=_stops_after(2))
    agent = study.agent()
    _fail(agent, agent.claim_one())
    agent.finish(agent.claim_one(), state)
    assert _in_a_row(study) == 0
    _fail(agent, agent.claim_one())
    assert _desired(study)[0] == "running"


def test_a_trial_that_outlives_the_failures_speaks_against_a_halt(new_study: NewStudy) -> None:
    study = new_study(failures=_stops_after(2))
    agent, other = study.agent(), study.agent()
    _held_for(study, other.claim_one(), 60)
    for _ in range(3):
        _fail(agent, _held_for(study, agent.claim_one(), 2))
    assert (_desired(study)[0], _in_a_row(study)) == ("running", 3)
    _fail(agent, _held_for(study, agent.claim_one(), 50))
    assert _desired(study)[0] == "halted", "the failures take as long: it may be next"


@pytest.mark.parametrize("cause", [FailureClass.CRASH, FailureClass.KILLED])
def test_losses_are_not_counted(new_study: NewStudy, cause: FailureClass) -> None:
    study = new_study(failures=_stops_after(1))
    agent = study.agent()
    trial = agent.claim_one()
    lost = replace(raised(), cause=cause)
    agent.store.end([Release(key=trial.key, reason="killed", failure=lost)])
    agent.store.end([Release(key=agent.claim_one().key, reason="released")])
    assert (_desired(study)[0], _in_a_row(study)) == ("running", 0)


@pytest.mark.parametrize("cause", [FailureClass.NON_FINITE, FailureClass.OUT_OF_MEMORY])
def test_what_params_do_counts_until_a_trial_has_ended_well(
    new_study: NewStudy, cause: FailureClass
) -> None:
    study = new_study(failures=_stops_after(3))
    agent = study.agent()
    for _ in range(2):
        _fail(agent, agent.claim_one(), replace(raised(), cause=cause))
    assert _in_a_row(study) == 2
    agent.finish(agent.claim_one())
    for _ in range(4):
        _fail(agent, agent.claim_one(), replace(raised(), cause=cause))
    assert (_desired(study)[0], _in_a_row(study)) == ("running", 0)


@pytest.mark.parametrize("is_open", [True, False])
def test_a_study_with_nothing_left_to_do_ends_and_is_not_halted(
    new_study: NewStudy, is_open: bool
) -> None:
    study = new_study(trials=3, failures=_stops_after(2 if is_open else 3))
    agent = study.agent()
    trials = agent.claim(3)
    for trial in trials[is_open:]:
        _fail(agent, trial)
    assert _desired(study)[0] == ("halted" if is_open else "running")


def test_never_means_never(new_study: NewStudy) -> None:
    study = new_study(failures=_stops_after(None))
    agent = study.agent()
    for _ in range(9):
        _fail(agent, agent.claim_one())
    assert _desired(study)[0] == "running"


def test_an_end_that_is_repeated_counts_once(new_study: NewStudy) -> None:
    study = new_study(failures=_stops_after(9))
    agent = study.agent()
    trial = agent.claim_one()
    _fail(agent, trial)
    _fail(agent, trial)
    assert _in_a_row(study) == 1


def test_a_refused_end_counts_nothing(new_study: NewStudy) -> None:
    study = new_study(failures=_stops_after(1))
    zombie, heir = study.agent(), study.agent()
    trial = zombie.claim_one()
    heir.claim(silent=[heir.sees(zombie)])
    _fail(zombie, trial)
    assert (_desired(study)[0], _in_a_row(study)) == ("running", 0)


def _fault(trial: ClaimedTrial, step: int = 0) -> Fault:
    return Fault(key=trial.key, place="cpu:0", step=step, at=0.0)


def test_who_fares_better_elsewhere_is_seen_by_its_end_or_a_later_step(study: StoredStudy) -> None:
    here, there = study.agent("boot-1"), study.agent("boot-2")
    trials = here.claim(3)
    faults = [_fault(trial, step=4) for trial in trials]
    for trial in trials:
        here.store.end([Release(key=trial.key, reason="boom", failure=raised())])
    assert here.store.fared_better(faults) == frozenset()
    again = there.claim(3)
    there.store.report(
        Batch(reports=[report(again[0], 4, 0.5), report(again[1], 5, 0.5)]),
    )
    assert here.store.fared_better(faults) == {1}, "step 4 is no further"
    there.finish(again[2])
    assert here.store.fared_better(faults) == {1, 2}


def test_a_trial_that_does_well_on_the_same_machine_says_nothing(study: StoredStudy) -> None:
    here, beside = study.agent("boot-1"), study.agent("boot-1")
    trial = here.claim_one()
    here.store.end([Release(key=trial.key, reason="boom", failure=raised())])
    beside.finish(beside.claim_one())
    assert here.store.fared_better([_fault(trial)]) == frozenset()


def test_failures_are_grouped_with_the_params_they_share(new_study: NewStudy) -> None:
    study = new_study(trials=40, failures=_stops_after(None))
    agent = study.agent()
    trials = agent.claim(40)
    failed = [t for t in trials if t.params["batch_size"] == 64 and t.params["n_layers"] > 2]
    assert len(failed) >= 3
    for place, trial in enumerate(trials):
        if trial in failed:
            text = f"ValueError: shape {place} is wrong at step {place}.5"
            _fail(agent, trial, raised(text))
        else:
            agent.finish(trial)
    (row,) = load_summary(study.database, study.spec.name).failures
    first = trials.index(failed[0])
    assert row.reason == f"ValueError: shape {first} is wrong at step {first}.5"
    assert (row.cause, row.n_trials) == ("exception", len(failed))
    assert row.numbers == tuple(trial.key.number for trial in failed)[:8]
    shared = {param.name: param for param in row.shared}
    assert shared["batch_size"] == SharedParam(name="batch_size", low=64, high=64)
    assert row.host is not None


def test_a_single_failure_is_not_explained(new_study: NewStudy) -> None:
    study = new_study()
    agent = study.agent()
    trials = agent.claim(8)
    _fail(agent, trials[0])
    for trial in trials[1:]:
        agent.store.end([Finish(key=trial.key, state=TrialState.COMPLETE, value=0.5)])
    (row,) = load_summary(study.database, study.spec.name).failures
    assert (row.shared, row.host) == ((), None)
