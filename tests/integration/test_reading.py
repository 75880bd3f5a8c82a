"""Reading a study: one trial's page, and what a live screen shows."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.integration.stores import TELEMETRY, StoredStudy, connect, raised, report
from tuner.errors import NotFound
from tuner.results.live import load_live
from tuner.results.progress import is_finished
from tuner.results.summary import load_summaries, load_summary, load_whole
from tuner.results.trial_page import load_trial_log, load_trial_page
from tuner.storage.connections.connection import Database
from tuner.storage.control.commands import Control
from tuner.study.lease import Batch, ClaimedTrial, Release
from tuner.study.suggestion import Basis, SuggestedBy, Suggestion
from tuner.study.trial import TrialState
from tuner.study_file.model import Algorithm

NewStudy = Callable[..., StoredStudy]
NAME = "searched"


def test_a_trials_page_tells_each_attempt_and_its_failure(study: StoredStudy) -> None:
    agent, other = study.agent(), study.agent()
    trial = agent.claim_one()
    agent.store.report(Batch(reports=[report(trial, step, 1 / step) for step in (1, 2)]))
    agent.store.end([Release(key=trial.key, reason="ValueError: boom", failure=raised("boom"))])
    again = other.claim_one()
    page = load_trial_page(study.database, NAME, 0)
    assert [story.how for story in page.attempts] == ["fail", "running"]
    assert page.attempts[0].detail == "ValueError: boom"
    assert page.trial.reason is None, "stale while it runs again"
    assert dict(page.curve) == {1: 1.0, 2: 0.5}

    other.finish(again, TrialState.FAIL, failure=raised(), reason="ValueError: no such layer")
    Control(study.database, study.study_id, study.spec).retry([0])
    page = load_trial_page(study.database, NAME, 0)
    assert [story.how for story in page.attempts] == ["fail", "fail"]
    assert (page.trial.failure, page.trial.reason) == ("exception", "ValueError: no such layer")
    assert [log.message for log in page.logs] == ["boom", "ValueError: no such layer"]
    assert dict(page.retried_by) == {1: "WAITING"}
    waiting = load_trial_page(study.database, NAME, 1)
    assert (waiting.trial.retry_of, waiting.trial.params) == (0, page.trial.params)
    assert (list(waiting.attempts), dict(waiting.curve)) == ([], {})
    log = load_trial_log(study.database, NAME, 0)
    assert (log.is_final, log.logs[-1].tail) == (True, "epoch 1\nepoch 2")
    for load in (load_trial_page, load_trial_log):
        with pytest.raises(NotFound, match="has no trial 7"):
            load(study.database, NAME, 7)


def test_a_live_screen_gets_records_events_and_the_latest_steps(study: StoredStudy) -> None:
    agent = study.agent()
    for value in (0.5, 0.7, 0.25, 0.25, 0.125):
        agent.finish(agent.claim_one(), value=value)
    held = agent.claim_one()
    agent.store.report(Batch(reports=[report(held, step, 0.1) for step in (1, 2, 3)]))
    live = load_live(study.database, NAME)
    assert [(r.nth, r.number, r.value) for r in live.records] == [
        (1, 0, 0.5),
        (3, 2, 0.25),
        (5, 4, 0.125),
    ]
    assert [(h.step, h.value) for h in live.held.values()] == [(3, 0.1)]
    assert [event.kind for event in live.events] == ["complete"] * 5
    assert [event.value for event in live.events] == [0.5, 0.7, 0.25, 0.25, 0.125]
    assert (live.summary.n("COMPLETE"), live.summary.n("RUNNING")) == (5, 1)
    assert (live.summary.used.trials, live.summary.used.best) == (6, 0.125)


def test_a_failed_attempt_is_not_told_as_a_release(study: StoredStudy) -> None:
    agent = study.agent()
    failed, released = agent.claim(2)
    agent.store.end([Release(key=failed.key, reason="boom", failure=raised("boom"))])
    agent.store.end([Release(key=released.key, reason="released")])
    events = load_live(study.database, NAME).events
    assert [event.kind for event in events] == ["attempt_failed", "released"]
    (story,) = load_trial_page(study.database, NAME, failed.key.number).attempts
    assert (story.how, story.detail) == ("fail", "boom")


def test_steps_are_the_last_ones_and_count_once(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    agent.store.report(Batch(reports=[report(trial, step, 0.5) for step in (5, 10)]))
    assert load_summary(study.database, NAME).used.steps == 10
    agent.finish(trial, last_step=10)
    summary = load_summary(study.database, NAME)
    assert (summary.used.steps, summary.counts["COMPLETE"].n_steps) == (10, 10)
    _, (row,) = load_whole(study.database, NAME)
    assert row.n_steps == 10


def test_device_seconds_are_the_time_of_leases_whatever_an_objective_reports(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    ended, held, released = agent.claim(3)
    agent.store.report(
        Batch(reports=[report(t, 1, 0.5, seconds=1e6) for t in (ended, held, released)])
    )
    agent.finish(ended, reports=[report(ended, 2, 0.5, seconds=1e6)], last_step=2)
    agent.store.end([Release(key=released.key, reason="released")])
    study.query("update tuner.lease set seconds = 2 + number")
    study.query("update tuner.lease set claimed_at = now() - interval '60 s'")
    devices = [{"device": "cpu:0", "trials": [held.key.number, ended.key.number], "seconds": 30.0}]
    agent.store.beat(replace(TELEMETRY, screen=json.dumps({"devices": devices})))
    seconds = {c.state: c.seconds for c in load_summary(study.database, NAME).counts.values()}
    assert seconds["COMPLETE"] == 2 + ended.key.number
    assert seconds["RELEASED"] == 2 + released.key.number
    assert seconds["RUNNING"] == 2 + held.key.number + 15.0, "half of what the two have used"
    live = load_live(study.database, NAME).summary
    assert live.counts["COMPLETE"].seconds == seconds["COMPLETE"]


def test_an_attempt_knows_with_how_many_others_it_shared_its_device(study: StoredStudy) -> None:
    agent, other = study.agent(), study.agent()
    whole, half, alone, elsewhere = *agent.claim(3), other.claim_one()
    for trial, device in ((whole, "cpu:0"), (half, "cpu:0"), (alone, "cpu:1")):
        agent.finish(trial, device=device)
    other.finish(elsewhere, device="cpu:0")
    minutes = [(whole, (0, 10)), (half, (5, 10)), (alone, (0, 10)), (elsewhere, (0, 10))]
    for trial, (began, ended) in minutes:
        for kind, minute in (("claimed", began), ("complete", ended)):
            study.query(
                "update tuner.event set at = timestamptz '2026-01-01' + interval '1 minute' * %s"
                " where number = %s and kind = %s",
                minute,
                trial.key.number,
                kind,
            )
    assert _beside(study, whole) == 0.5, "the other was there for half of its time"
    assert _beside(study, half) == 1.0
    assert _beside(study, alone) == _beside(study, elsewhere) == 0.0


def test_trials_that_go_on_are_where_their_agent_said(study: StoredStudy) -> None:
    agent = study.agent()
    trials = agent.claim(3)
    numbers = [trial.key.number for trial in trials]
    devices = [{"device": "cpu:0", "trials": numbers, "seconds": 1.0}, {"device": 7, "trials": 7}]
    agent.store.beat(replace(TELEMETRY, screen=json.dumps({"devices": devices})))
    assert _beside(study, trials[0]) == pytest.approx(2.0, abs=0.2)
    agent.store.beat(replace(TELEMETRY, screen=json.dumps({"devices": "of another version"})))
    assert _beside(study, trials[0]) == 0.0


def _beside(study: StoredStudy, trial: ClaimedTrial) -> float:
    (story,) = load_trial_page(study.database, NAME, trial.key.number).attempts
    return story.n_beside


def test_run_and_status_agree_on_the_end_of_a_study_that_others_write_to(
    new_study: NewStudy,
) -> None:
    study = new_study(2)
    stranger = study.optuna()
    stranger.ask()  # and never heard of again
    agent = study.agent()
    first, second = agent.claim(2)
    agent.finish(first)
    stranger.tell(second.key.number, 0.5)
    open_ = load_summary(study.database, NAME)
    assert {state: row.n_trials for state, row in open_.counts.items()} == {
        "ELSEWHERE": 1,
        "COMPLETE": 2,
    }
    assert (open_.n_open, agent.ask().n_open, is_finished(open_)) == (1, 1, False)
    agent.finish(second)
    ended = load_summary(study.database, NAME)
    assert (ended.n_open, agent.ask().n_open, is_finished(ended)) == (0, 0, True)


def test_what_an_optuna_client_enqueued_is_shown(study: StoredStudy) -> None:
    study.optuna().enqueue_trial({"n_layers": 3})
    _, (row,) = load_whole(study.database, NAME)
    assert (row.state, dict(row.params), row.attempt) == ("WAITING", {"n_layers": 3}, 0)


def test_a_connection_that_an_outage_has_broken_is_not_handed_out_again(database: Database) -> None:
    with database.reading():
        pass  # it waits in the pool now
    connection = connect(database)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    connection.close()
    assert load_summaries(database) == []


def test_a_trials_page_says_what_its_params_come_from(new_study: NewStudy) -> None:
    study = new_study(4, sampler=Algorithm(name="mixed"))
    origins = {SuggestedBy.MODEL: "suggested by the model of mixed"}
    origins[SuggestedBy.RANDOM] = "suggested by mixed at random"
    basis = Basis(seed=0, place=0, highest=-1, open_numbers=())
    for by, text in origins.items():
        made = Suggestion(params=study.complete(0, {}), basis=basis, by=by)
        number = study.agent().claim_one(suggest=lambda _, made=made: [made]).key.number
        assert load_trial_page(study.database, NAME, number).params_from == text
    Control(study.database, study.study_id, study.spec).enqueue([{}])
    waiting = load_trial_page(study.database, NAME, 2)
    assert waiting.params_from == "enqueued by a user"
    number = study.agent().claim_one().key.number
    assert load_trial_page(study.database, NAME, number).params_from == "enqueued by a user"
