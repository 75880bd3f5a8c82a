"""Commands to a study: stop, pause, resume, extend, retry, enqueue, delete."""

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import optuna
import pytest

from tests.integration.invariants import Aside
from tests.integration.stores import (
    PARAMS,
    TELEMETRY,
    StoreAgent,
    StoredStudy,
    connect,
    raised,
    report,
)
from tuner.errors import DatabaseAway, NotFound, UsageError
from tuner.storage.control import retries
from tuner.storage.control.commands import Control
from tuner.storage.control.trial_stop import stop_trial
from tuner.study.agents import Desired
from tuner.study.control import Amount, Extension
from tuner.study.lease import Batch, Release
from tuner.study.trial import TrialState

NewStudy = Callable[..., StoredStudy]
WHO = "me@box"


def control(study: StoredStudy) -> Control:
    return Control(study.database, study.study_id, study.spec)


def desired(study: StoredStudy) -> tuple[Any, ...]:
    (row,) = study.query("select desired, desired_reason from tuner.study")
    return row


def kinds(study: StoredStudy) -> list[str]:
    rows = study.query("select kind from tuner.event where number is null order by event_id")
    return [kind for (kind,) in rows]


def fail(agent: StoreAgent) -> int:
    trial = agent.claim_one()
    agent.finish(trial, TrialState.FAIL, failure=raised(), reason="boom")
    return trial.key.number


def test_stop_ends_what_nobody_holds_as_optuna_would_and_leaves_the_rest(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    free, held = agent.claim(2)
    agent.store.report(Batch(reports=[report(free, step, 1 / step) for step in (1, 2)]))
    agent.store.end([Release(key=free.key, reason="released")])

    steered = control(study).stop(WHO, "enough")
    assert (steered.before, steered.reason) == (Desired.RUNNING, "stopped by me@box: enough")
    assert steered.ended == (free.key.number,)
    assert dict(steered.held) == {agent.identity.host: (held.key.number,)}
    assert desired(study) == ("stopping", "stopped by me@box: enough")
    assert study.states() == ["PRUNED", "RUNNING"]
    ended = study.optuna().get_trials()[0]
    assert (ended.value, ended.datetime_complete is not None) == (0.5, True)
    assert ended.user_attrs["reason"] == "stopped by me@box: enough"
    assert study.lease(0, "state, n_steps, owner") == ("done", 2, None)

    again = control(study).stop("you@box")
    assert (again.before, again.reason) == (Desired.STOPPING, "stopped by me@box: enough")
    assert kinds(study) == ["stop"]


def test_stop_ends_the_trials_of_agents_that_are_gone_and_their_late_writes_are_refused(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    study.query("update tuner.agent set seen_at = now() - interval '1 hour'")
    assert control(study).stop(WHO).ended == (0,)
    assert agent.finish(trial) == {trial.key}  # its own end was not stored, and it is told so
    assert study.lease(0, "state, owner") == ("done", None)
    assert study.states() == ["PRUNED"]
    assert agent.store.report(Batch(reports=[report(trial, 1, 0.1)])) == {trial.key}


def test_a_trial_that_reported_no_number_ends_without_a_value(study: StoredStudy) -> None:
    agent = study.agent()
    silent, diverged = agent.claim(2)
    agent.store.report(Batch(reports=[report(diverged, 1, float("nan"))]))
    agent.store.end([Release(key=t.key, reason="released") for t in (silent, diverged)])
    assert control(study).stop(WHO).ended == (0, 1)
    assert [trial.value for trial in study.optuna().get_trials()] == [None, None]


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_end_of_a_study_and_of_one_trial_tell_the_same_of_it(
    study: StoredStudy, is_whole: bool
) -> None:
    agent = study.agent()
    trials = agent.claim(2)
    devices = [{"device": "cpu:7", "trials": [t.key.number for t in trials]}]
    agent.store.beat(replace(TELEMETRY, screen=json.dumps({"devices": devices})))
    agent.store.report(Batch(reports=[report(trials[0], 1, 0.5), report(trials[0], 2, math.inf)]))
    if is_whole:
        study.query("update tuner.agent set seen_at = now() - interval '1 hour'")
        assert control(study).stop(WHO).ended == (0, 1)
    else:
        for trial in trials:
            stop_trial(study.database, study.study_id, trial.key.number, f"stopped by {WHO}")
    assert study.states() == ["PRUNED", "PRUNED"]
    assert [t.value for t in study.optuna().get_trials()] == [math.inf, None]  # as Optuna has it
    for number, n_steps in ((0, 2), (1, 0)):
        assert study.lease(number, "state, owner, n_steps, device, reason") == (
            "done", None, n_steps, "cpu:7", f"stopped by {WHO}")  # fmt: skip
    events = "select agent_id, device, detail from tuner.event where kind = 'pruned'"
    told = (agent.identity.agent_id, "cpu:7", f"stopped by {WHO}")
    assert [(UUID(str(a)), d, why) for a, d, why in study.query(events)] == [told, told]


def test_a_trial_that_is_just_being_written_to_is_stopped_as_soon_as_that_is_done(
    study: StoredStudy,
) -> None:
    trial = study.agent().claim_one()
    with study.held_open("select 1 from tuner.lease where number = 0 for update") as other:
        stop = Aside(lambda: stop_trial(study.database, study.study_id, trial.key.number, "enough"))
        assert stop.still_waits()
        other.commit()
    stop.result()
    assert study.states() == ["PRUNED"]


def test_a_study_that_has_ended_by_itself_is_not_stopped_as_well(new_study: NewStudy) -> None:
    study = new_study(1)
    agent = study.agent()
    agent.finish(agent.claim_one())
    assert control(study).stop(WHO).is_over
    assert desired(study) == ("running", None)


def test_pause_and_resume_may_be_said_twice(study: StoredStudy) -> None:
    assert control(study).pause(WHO).before is Desired.RUNNING
    assert control(study).pause("you").reason == "paused by me@box"
    assert desired(study) == ("paused", "paused by me@box")
    assert control(study).resume(WHO).before is Desired.PAUSED
    assert control(study).resume(WHO).before is Desired.RUNNING
    assert desired(study) == ("running", None)
    assert kinds(study) == ["pause", "resume"]


def test_a_paused_study_that_has_reached_its_target_is_not_resumed(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    control(study).extend(Extension(target=Amount(value=0.5)))
    control(study).pause(WHO)
    agent.finish(trial, value=0.4)
    with pytest.raises(UsageError, match=r"is used up \(target\); tuner extend searched"):
        control(study).resume(WHO)
    assert desired(study)[0] == "paused"
    control(study).extend(Extension(target=Amount(value=0.3)))
    control(study).resume(WHO)
    assert desired(study)[0] == "running"


def test_a_stopping_study_cannot_be_paused_but_resumed(study: StoredStudy) -> None:
    control(study).stop(WHO)
    with pytest.raises(UsageError, match="tuner resume searched"):
        control(study).pause(WHO)
    control(study).resume(WHO)
    assert desired(study)[0] == "running"


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_study_that_has_ended_is_not_paused_and_extending_it_is_named(
    new_study: NewStudy, is_paused: bool
) -> None:
    study = new_study(1)
    agent = study.agent()
    trial = agent.claim_one()
    assert control(study).pause(WHO).before is Desired.RUNNING  # one is still in training
    if not is_paused:
        control(study).resume(WHO)
    agent.finish(trial)
    before = desired(study), kinds(study)
    with pytest.raises(
        UsageError, match=r"has ended \(.*trials\).*; tuner extend searched continues"
    ):
        control(study).pause(WHO)
    assert (desired(study), kinds(study)) == before
    control(study).extend(Extension(trials=Amount(value=1, is_more=True)))
    assert control(study).pause(WHO).reason is not None


def test_what_a_limit_stops_is_extended_and_what_a_person_stopped_is_resumed(
    study: StoredStudy,
) -> None:
    study.agent().claim_one()
    reason = "the budget's time of 1m is used up"
    study.query("update tuner.study set desired = 'stopping', desired_reason = %s", reason)
    with pytest.raises(UsageError, match=rf"{reason}\); tuner extend searched"):
        control(study).pause(WHO)
    study.query("update tuner.study set desired = 'halted', desired_reason = '3 in a row'")
    with pytest.raises(UsageError, match=r"halted \(3 in a row\); tuner resume searched"):
        control(study).pause(WHO)
    assert control(study).resume(WHO).before is Desired.HALTED


def test_what_is_halted_with_its_budget_used_up_is_extended_before_it_is_resumed(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    control(study).extend(Extension(target=Amount(value=0.9)))
    study.query("update tuner.study set desired = 'halted', desired_reason = '3 in a row'")
    agent.finish(trial, value=0.5)
    for refused in (control(study).pause, control(study).resume):
        with pytest.raises(UsageError, match="tuner extend searched"):
            refused(WHO)
    control(study).extend(Extension(target=Amount(value=0.1)))
    assert control(study).resume(WHO).before is Desired.HALTED


def test_limits_are_set_and_raised_and_the_history_knows(study: StoredStudy) -> None:
    extended = control(study).extend(
        Extension(trials=Amount(value=5, is_more=True), seconds=Amount(value=60))
    )
    assert (extended.before.trials, extended.after.trials) == (10, 15)
    assert extended.after.seconds == 60
    assert study.query("select limit_trials, limit_seconds from tuner.study") == [(15, 60.0)]
    assert kinds(study) == ["extend"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"trials": Amount(value=1)}, "used already"),
        ({"steps": Amount(value=2)}, "used already"),
        ({"seconds": Amount(value=5, is_more=True)}, "no such limit"),
        ({"target": Amount(value=0.6)}, "lower value"),
        ({"trials": Amount(value=1e12)}, "at most"),
    ],
)
def test_a_limit_below_what_is_used_is_refused(
    study: StoredStudy, wanted: dict[str, Amount], words: str
) -> None:
    agent = study.agent()
    for trial in agent.claim(2):
        agent.finish(trial, reports=[report(trial, step, 0.5) for step in (1, 2)], last_step=2)
    with pytest.raises(UsageError, match=words):
        control(study).extend(Extension(**wanted))
    assert study.query("select limit_trials from tuner.study") == [(10,)]


def test_extending_lets_a_study_go_on_that_its_limit_had_ended(study: StoredStudy) -> None:
    stop = "update tuner.study set limit_seconds = 5, desired = 'stopping', desired_reason = %s"
    study.query(stop, "the time limit (5 s) is reached")
    study.query(
        "insert into tuner.clock (study_id, seconds) values (%s, 6)"
        " on conflict (study_id) do update set seconds = 6",
        study.study_id,
    )
    with pytest.raises(UsageError, match="tuner extend searched"):
        control(study).resume(WHO)
    assert control(study).extend(Extension(seconds=Amount(value=10, is_more=True))).is_released
    assert desired(study) == ("running", None)

    study.query(stop, "stopped by me@box")
    still = control(study).extend(Extension(seconds=Amount(value=99)))
    assert (still.is_released, still.desired) == (False, Desired.STOPPING)


def test_a_retry_is_a_new_trial_with_the_same_params_beyond_the_budget(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    number = fail(agent)
    retried = control(study).retry([number])
    assert (retried.numbers, retried.retry_of, retried.limit_trials) == ((1,), (0,), 11)
    failed, waiting = study.optuna().get_trials()
    assert waiting.state is optuna.trial.TrialState.WAITING
    assert waiting.system_attrs["fixed_params"] == failed.params == dict(retried.params[0])
    assert waiting.user_attrs == {"retry_of": 0}
    assert study.query("select draw, retry_of from tuner.enqueued") == [(0, 0)]
    with pytest.raises(UsageError, match="being retried already, as trial 1"):
        control(study).retry([number])
    with pytest.raises(UsageError, match="no FAIL trial"):
        control(study).retry(None)
    assert agent.claim_one().params == failed.params
    with pytest.raises(UsageError, match="being retried already"):
        control(study).retry([number])
    assert kinds(study) == ["retry"]


def test_all_failed_trials_are_retried_at_once_each_once(study: StoredStudy) -> None:
    agent = study.agent()
    failed = [fail(agent) for _ in range(3)]
    agent.finish(agent.claim_one())
    retried = control(study).retry(None)
    assert list(retried.retry_of) == failed
    assert retried.numbers == (4, 5, 6)


def test_all_failed_trials_of_a_large_study_are_retried_in_seconds(
    new_study: NewStudy,
) -> None:
    study = new_study(None)
    study.query(
        "insert into trials (number, study_id, state, datetime_start)"
        " select n, %s, 'FAIL', now() from generate_series(0, 11999) n",
        study.study_id,
    )
    study.query(
        "insert into trial_params (trial_id, param_name, param_value, distribution_json)"
        " select t.trial_id, 'n_layers', 2, %s from trials t",
        json.dumps(
            {
                "name": "IntDistribution",
                "attributes": {"log": False, "step": 1, "low": 1, "high": 4},
            }
        ),
    )
    study.query("analyze")
    began = time.monotonic()
    assert len(control(study).retry(None).numbers) == 12_000
    assert time.monotonic() - began < 20  # a scan of all trials for each of them took 30 s
    with pytest.raises(UsageError, match="no FAIL trial"):
        control(study).retry(None)


def test_two_commands_at_once_retry_a_trial_once(
    study: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = fail(study.agent())
    find = retries.find_retries

    def find_and_be_late(*given: Any) -> Any:
        found = find(*given)
        monkeypatch.setattr("tuner.storage.control.commands.find_retries", find)
        control(study).retry([number])
        return found

    for numbers, words in (([number], "retried already, as trial 1"), (None, "no FAIL trial")):
        monkeypatch.setattr("tuner.storage.control.commands.find_retries", find_and_be_late)
        with pytest.raises(UsageError, match=words):
            control(study).retry(numbers)
        if numbers:
            study.query("delete from trials where number = 1")
    assert study.query("select count(*) from tuner.enqueued") == [(1,)]


def test_only_failed_trials_of_the_study_are_retried(study: StoredStudy) -> None:
    agent = study.agent()
    agent.finish(agent.claim_one())
    with pytest.raises(UsageError, match="trial 0 is COMPLETE; only FAIL"):
        control(study).retry([0])
    with pytest.raises(NotFound, match="has no trial 7"):
        control(study).retry([0, 7])
    assert len(study.states()) == 1


def test_an_enqueued_trial_is_what_optuna_writes(study: StoredStudy) -> None:
    study.optuna().enqueue_trial({"n_layers": 3, "activation": None})
    control(study).enqueue([{"n_layers": 3, "activation": None}])
    theirs, ours = study.optuna().get_trials()
    assert (ours.number, ours.state) == (1, theirs.state)
    assert ours.system_attrs == theirs.system_attrs
    assert (ours.user_attrs, ours.datetime_start, ours.params) == ({}, None, {})
    columns = "state, datetime_start, datetime_complete"
    one, other = study.query(f"select {columns} from trials order by number")
    assert one == other
    assert [t.params["n_layers"] for t in study.agent().claim(2)] == [3, 3]


def test_enqueue_and_optuna_never_give_a_number_twice(study: StoredStudy) -> None:
    stock = study.optuna()
    theirs = threading.Thread(target=lambda: [stock.enqueue_trial(dict(PARAMS)) for _ in range(8)])
    theirs.start()
    for _ in range(8):
        control(study).enqueue([PARAMS])
    theirs.join()
    rows = study.query("select number from trials order by number")
    assert [number for (number,) in rows] == list(range(16))


def test_an_enqueued_trial_without_room_in_the_budget_is_counted(new_study: NewStudy) -> None:
    study = new_study(1)
    study.agent().claim_one()
    enqueued = control(study).enqueue([{}, {}])
    assert (enqueued.n_left, enqueued.n_waiting, enqueued.numbers) == (0, 2, (1, 2))


def test_delete_takes_every_row_and_no_other_study(new_study: NewStudy) -> None:
    kept, study = new_study(name="kept"), new_study(name="gone")
    kept.agent().claim_one()
    agent = study.agent()
    fail(agent)
    trial = agent.claim_one()
    agent.store.report(Batch(reports=[report(trial, 1, 0.5, loss=1.0)]))
    study.optuna().set_user_attr("a", 1)
    study.optuna().enqueue_trial(dict(PARAMS))
    control(study).enqueue([PARAMS])
    with pytest.raises(UsageError, match=r"still works on study 'gone'.*--force"):
        control(study).delete()
    control(study).delete(force=True)
    tables = study.query(
        "select table_schema, table_name from information_schema.columns"
        " where column_name = 'study_id' and table_schema in ('public', 'tuner')"
    )
    assert len(tables) > 10
    for schema, table in tables:
        rows = study.query(
            f"select count(*) from {schema}.{table} where study_id = %s", study.study_id
        )
        assert rows == [(0,)], table
    assert kept.states() == ["RUNNING"]
    with pytest.raises(NotFound):
        control(study).pause(WHO)


def test_a_command_whose_commit_got_no_answer_says_that_it_may_have_been_done(
    study: StoredStudy,
) -> None:
    study.query(
        "create function cut() returns trigger language plpgsql as"
        " 'begin perform pg_terminate_backend(pg_backend_pid()); return null; end'"
    )
    study.query(  # runs within the commit
        "create constraint trigger cut after update on tuner.study deferrable initially deferred"
        " for each row execute function cut()"
    )
    try:
        with pytest.raises(DatabaseAway, match="may have been done; tuner status searched shows"):
            control(study).pause(WHO)
        with pytest.raises(UsageError, match="no FAIL trial"):
            control(study).retry(None)
    finally:
        study.query("drop function cut() cascade")
    assert control(study).pause(WHO).before is Desired.RUNNING


def test_a_deletion_that_a_deadlock_ended_is_begun_once_more(study: StoredStudy) -> None:
    study.agent().claim_one()
    other = connect(study.database)
    with other.cursor() as cursor:
        cursor.execute("set deadlock_timeout = '1min'; select 1 from tuner.lease for update")
        deletion = threading.Thread(target=control(study).delete, kwargs={"force": True})
        deletion.start()
        waits = "select count(*) from pg_locks where not granted"
        while study.query(waits) == [(0,)]:
            time.sleep(0.01)
        cursor.execute("select 1 from studies for update")  # it ends the deletion's first try
        assert cursor.fetchall() == [(1,)]
    other.rollback()
    other.close()
    deletion.join(20)
    assert study.query("select count(*) from studies") == [(0,)]


def test_a_study_whose_agents_left_or_fell_silent_is_deleted(study: StoredStudy) -> None:
    study.agent()
    study.query("update tuner.agent set seen_at = now() - interval '1 hour'")
    control(study).delete()
    assert study.query("select count(*) from studies") == [(0,)]
