"""A study read bit by bit is what it is when it is read anew, and what other readers say of it."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from tests.integration.stores import TELEMETRY, raised, report
from tuner.errors import NotFound, UsageError
from tuner.results.board import Board, BoardReader, training_name
from tuner.results.device_timeline import build_fleet
from tuner.results.figures.catalog import NAMES, FigureMaker
from tuner.results.overview import load_overview
from tuner.results.summary import load_summary
from tuner.results.trial_page import load_trial_page
from tuner.storage.control.commands import Control
from tuner.storage.control.trial_stop import note_event, stop_trial
from tuner.storage.reading.columns import STATES
from tuner.storage.reading.rows import read_trials
from tuner.study.failure import Failure, FailureClass
from tuner.study.lease import Batch, Finish, Release
from tuner.study.trial import TrialState


def _end(agent, trial, chance: random.Random) -> None:
    steps = chance.randint(1, 9)
    reports = [
        report(trial, s, 1 / s + trial.key.number, train_loss=0.5 / s) for s in range(1, steps + 1)
    ]
    _report(agent, *reports)
    kind = chance.choice(["COMPLETE", "PRUNED", "FAIL", "open"])
    if kind == "FAIL":
        failure = Failure(cause=FailureClass.EXCEPTION, message=f"ValueError: {trial.key.number}")
        agent.store.end([Finish(key=trial.key, state=TrialState.FAIL, value=None, failure=failure,
                                reason=failure.message, device="cpu:0")])  # fmt: skip
    elif kind != "open":
        agent.finish(trial, TrialState(kind), 1 / steps + trial.key.number, device="cpu:0")


def _report(agent, *reports):
    return agent.store.report(Batch(reports=reports))


def _same(a: Board, b: Board) -> None:
    for name in ("numbers", "states", "values", "n_steps", "began", "ended", "seconds", "agents",
                 "attempts"):  # fmt: skip
        assert np.array_equal(getattr(a.table, name), getattr(b.table, name), equal_nan=True), name
    names = [[board.table.device_names[d] for d in board.table.devices] for board in (a, b)]
    assert names[0] == names[1]
    assert a.table.failures == b.table.failures
    for name in a.table.params:
        mine, theirs = a.table.params[name].values, b.table.params[name].values
        assert np.array_equal(mine, theirs, equal_nan=True), name
    assert a.best == b.best
    assert a.curves.keys() == b.curves.keys()
    for number, curve in a.curves.items():
        assert curve.steps.tolist() == b.curves[number].steps.tolist()
        assert curve.values.tolist() == b.curves[number].values.tolist()
    assert a.summary.counts == b.summary.counts


def test_reading_what_has_changed_leads_to_what_reading_anew_does(new_study):
    study = new_study(trials=60)
    agents = [study.agent(), study.agent()]
    reader, chance = BoardReader(name=study.spec.name), random.Random(3)
    maker = FigureMaker()
    for _ in range(8):
        agent = chance.choice(agents)
        for trial in agent.claim(chance.randint(1, 6)):
            _end(agent, trial, chance)
        if chance.random() < 0.5:
            study.optuna().enqueue_trial({"learning_rate": 0.01})
        board = reader.read(study.database)
        _same(board, BoardReader(name=study.spec.name).read(study.database))
        assert tuple(maker.make(board)) == NAMES
        for figure in maker.make(board).values():
            assert figure.as_json()["title"]
    assert reader.read(study.database) is board  # nothing has changed


def test_curves_of_trials_in_training_are_whole_once_these_have_ended(new_study):
    study = new_study()
    agent, reader = study.agent(), BoardReader(name=study.spec.name)
    first, second = agent.claim(2)
    for step in (1, 2, 3):
        _report(agent, report(first, step, 1 / step, train_loss=0.5 / step),
                report(second, step, 2 / step))  # fmt: skip
        board = reader.read(study.database)
        assert board.curves[first.key.number].steps.tolist() == [*range(1, step + 1)]
    _report(agent, report(first, 4, 0.1, train_loss=0.05), report(second, 4, 0.2))
    agent.finish(first, TrialState.COMPLETE, 0.1)
    agent.finish(second, TrialState.PRUNED, 0.2)
    board = reader.read(study.database)
    for trial in (first, second):
        assert board.curves[trial.key.number].steps.tolist() == [1, 2, 3, 4]
    assert board.training[first.key.number].steps.tolist() == [1, 2, 3, 4]
    _same(board, BoardReader(name=study.spec.name).read(study.database))


def test_curves_of_trials_that_report_rarely_are_not_thinned_away(new_study):
    study = new_study()
    agent = study.agent()
    rare, often = agent.claim(2)
    _report(agent, *[report(rare, step, 1 / step) for step in range(100, 10_001, 100)])
    _report(agent, *[report(often, step, 1 / step) for step in range(1, 1001)])
    for trial in (rare, often):
        agent.finish(trial, TrialState.COMPLETE, 0.5)
    curves = BoardReader(name=study.spec.name).read(study.database).curves
    steps = [curves[trial.key.number].steps.tolist() for trial in (rare, often)]
    assert 50 < len(steps[0]) <= 100
    assert (steps[0][0], steps[0][-1]) == (100, 10_000)
    assert steps[1] == [1, *range(128, 1000, 128), 1000]


def test_of_equal_values_the_lower_number_is_the_best_on_every_page(new_study):
    study = new_study()
    agent = study.agent()
    trials = agent.claim(4)
    for place, value in ((2, 0.5), (3, 0.5), (1, 0.5), (0, 0.9)):
        agent.finish(trials[place], TrialState.COMPLETE, value)
    (glance,) = load_overview(study.database)
    board = BoardReader(name=study.spec.name).read(study.database)
    assert [record.number for record in glance.records] == [2, 1]
    assert board.summary.best.number == load_summary(study.database, study.spec.name).best.number
    assert board.summary.best.number == 1


def test_columns_say_what_rows_say(new_study):
    study = new_study(trials=30)
    agent, chance = study.agent(), random.Random(5)
    for trial in agent.claim(20):
        _end(agent, trial, chance)
    study.optuna().enqueue_trial({"learning_rate": 0.01})
    board = BoardReader(name=study.spec.name).read(study.database)
    with study.database.reading() as connection:
        rows = read_trials(connection, study.study_id)
    table = board.table
    assert len(table) == len(rows) == 21
    for place, row in enumerate(rows):
        assert (table.numbers[place], STATES[table.states[place]]) == (row.number, row.state)
        assert (table.n_steps[place], table.attempts[place]) == (row.n_steps, row.attempt)
        assert (table.params_of(place) or table.given[row.number]) == row.params
        value = float(table.values[place])
        assert (None if np.isnan(value) else value) == row.value
    whole = load_summary(study.database, study.spec.name)
    for state, count in whole.counts.items():
        assert board.summary.counts[state].n_trials == count.n_trials
        assert board.summary.counts[state].n_steps == count.n_steps
    assert board.summary.n_open == whole.n_open
    mine_best, best = board.summary.best, whole.best
    assert (mine_best.number, mine_best.value) == (best.number, best.value)
    assert replace(board.summary.used, best=None) == replace(whole.used, best=None)
    (glance,) = load_overview(study.database)
    assert glance.summary.n_open == whole.n_open
    assert glance.records[-1].number == whole.best.number
    assert {s: c.n_trials for s, c in glance.summary.counts.items()} == {
        s: c.n_trials for s, c in whole.counts.items()
    }


def test_a_study_that_was_deleted_and_made_anew_is_read_anew(new_study):
    study = new_study()
    study.agent().claim(3)
    reader = BoardReader(name=study.spec.name)
    assert len(reader.read(study.database).table) == 3
    Control(study.database, study.study_id, study.spec).delete(force=True)
    with pytest.raises(NotFound):
        reader.read(study.database)
    again = new_study()
    again.agent().claim(1)
    assert len(reader.read(study.database).table) == 1


def test_a_stopped_trial_keeps_its_last_report_and_its_agent_meets_the_fence(study):
    agent = study.agent()
    first, second = agent.claim(2)
    _report(agent, report(first, 1, 0.9), report(first, 2, 0.7), report(second, 1, 0.8))
    stop_trial(study.database, study.study_id, first.key.number, "stopped by a test")
    stopped = study.optuna().get_trials()[first.key.number]
    assert (stopped.state.name, stopped.value) == ("PRUNED", 0.7)
    assert study.lease(first.key.number, "state, owner, reason, n_steps") == (
        "done", None, "stopped by a test", 2)  # fmt: skip
    lost = _report(agent, report(first, 3, 0.1), report(second, 2, 0.6))
    assert first.key in lost
    assert second.key not in lost
    assert study.values(first.key.number) == {1: 0.9, 2: 0.7}
    assert agent.finish(first) == {first.key}
    assert not agent.finish(second)
    with pytest.raises(UsageError, match="has ended already"):
        stop_trial(study.database, study.study_id, second.key.number, "again")
    with pytest.raises(NotFound):
        stop_trial(study.database, study.study_id, 99, "nothing")


def test_of_a_stopped_trial_it_is_known_where_it_ran(study):
    agent = study.agent()
    trial = agent.claim_one()
    devices = [{"device": "cpu:7", "trials": [trial.key.number]}]
    agent.store.beat(replace(TELEMETRY, screen=json.dumps({"devices": devices})))
    stop_trial(study.database, study.study_id, trial.key.number, "stopped by a test")
    page = load_trial_page(study.database, study.spec.name, trial.key.number)
    (story,) = page.attempts
    assert (story.device, story.how, story.detail) == ("cpu:7", "pruned", "stopped by a test")
    assert story.host is not None
    assert page.trial.device == "cpu:7"


def test_a_trial_without_a_report_is_stopped_without_a_value(study):
    trial = study.agent().claim_one()
    stop_trial(study.database, study.study_id, trial.key.number, "stopped by a test")
    assert study.optuna().get_trials()[trial.key.number].value is None


def test_a_note_is_part_of_the_history(study):
    note_event(study.database, study.study_id, "dashboard", "pause (from 10.0.0.1)")
    board = BoardReader(name=study.spec.name).read(study.database)
    assert [(e.kind, e.detail) for e in board.events][-1:] == [
        ("dashboard", "pause (from 10.0.0.1)")
    ]


def test_failures_that_were_tried_again_are_seen_on_their_devices(study):
    agent = study.agent()
    trial = agent.claim_one()
    failure = raised()
    agent.store.end([Release(key=trial.key, reason=failure.message, failure=failure,
                             device="cpu:0")])  # fmt: skip
    again = agent.claim_one()
    assert again.key.attempt == 2
    agent.finish(again, device="cpu:0")
    board = BoardReader(name=study.spec.name).read(study.database)
    (row,) = build_fleet(board)
    assert [(s.attempt, s.state) for s in row.spans] == [(1, "FAIL"), (2, "COMPLETE")]
    assert (row.n_attempts, row.n_failed) == (2, 1)


@pytest.mark.parametrize(
    ("metric", "names", "found"),
    [
        ("val_loss", ["train_loss", "accuracy"], "train_loss"),
        ("val_accuracy", ["train_loss", "Train_Accuracy"], "Train_Accuracy"),
        ("loss", ["training_loss"], "training_loss"),
        ("val_loss", ["loss"], None),
    ],
)
def test_the_training_metric_is_found_by_its_name(metric, names, found):
    assert training_name(metric, names) == found
