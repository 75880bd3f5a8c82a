"""The judgement of curves is the same in every front, whatever the goal is."""

import json

import pytest

from tests.integration.stores import report
from tuner.cli.commands.show import page_json, render_page
from tuner.cli.text.status import render_status
from tuner.dashboard.rendering import render
from tuner.dashboard.study_view import build_view
from tuner.results.board import BoardReader
from tuner.results.diagnosis import Finding
from tuner.results.loss_curves import load_watched
from tuner.results.trial_page import load_trial_page
from tuner.study.lease import Batch

N_STEPS = 12
TEXT = "4 of the 6 best trials overfit: search weight_decay or label_smoothing"


def _train(agent, metric, overfits):
    """A COMPLETE trial whose train_loss falls, and whose val_loss rises later, or stays."""
    trial = agent.claim_one(known=[])
    reports = []
    for step in range(1, N_STEPS + 1):
        low = 1 / min(step, 4) + trial.key.number / 100
        val_loss = low + 0.1 * max(0, step - 4) if overfits else low
        other = {} if metric == "val_loss" else {metric: -val_loss}
        reports.append(report(trial, step, val_loss, train_loss=1 / step, **other))
    agent.store.report(Batch(reports=reports))
    value = 0.25 + trial.key.number / 100
    agent.finish(trial, value=value if metric == "val_loss" else -value, last_step=N_STEPS)


@pytest.fixture(params=["val_loss", "val_f1"])
def study(request, new_study):
    goals = {} if request.param == "val_loss" else {"metric": "val_f1", "direction": "maximize"}
    study = new_study(trials=10, **goals)
    agent = study.agent()
    for n in range(6):
        _train(agent, request.param, overfits=n < 4)
    return study


def test_advice_is_the_same_in_every_front(study):
    database, name = study.database, study.spec.name
    summary, advice = load_watched(database, name)
    assert advice is not None
    assert advice.text == TEXT
    assert f"advice: {TEXT}" in render_status(summary, advice=advice)
    reader = BoardReader(name=name)
    board = reader.read(database)
    assert board.advice == advice
    page = render("parts/headline.html", view=build_view(board), board=board, name=name)
    assert TEXT in page
    # known trials are not read again, and count all the same
    _train(study.agent(), study.spec.metric, overfits=False)
    later = reader.read(database)
    assert later.advice is not None
    assert later.advice == load_watched(database, name)[1]
    assert later.advice.text.startswith("4 of the 7 best trials")


def test_a_trial_shows_its_finding(study):
    found = load_trial_page(study.database, study.spec.name, 0)
    assert found.diagnosis is not None
    assert found.diagnosis.finding is Finding.OVERFITTING
    line = f"  overfitting: {found.diagnosis.reason}"
    assert line in render_page(found, 120).split("\n")
    document = json.loads(json.dumps(page_json(found), default=str))
    assert document["diagnosis"]["finding"] == "overfitting"
    assert load_trial_page(study.database, study.spec.name, 5).diagnosis is None


def test_trials_without_losses_are_not_judged(new_study):
    study = new_study(trials=10)
    agent = study.agent()
    for _ in range(4):
        trial = agent.claim_one(known=[])
        agent.store.report(Batch(reports=[report(trial, s, 1 / s) for s in range(1, 9)]))
        agent.finish(trial, value=0.1, last_step=8)
    assert load_watched(study.database, study.spec.name)[1] is None
    board = BoardReader(name=study.spec.name).read(study.database)
    assert board.advice is None
