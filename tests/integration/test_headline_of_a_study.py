"""The tiles of a study's page lead only where there is something."""

from tuner.dashboard.rendering import render
from tuner.dashboard.study_view import build_view
from tuner.results.board import BoardReader
from tuner.study_file.model import Budget


def test_trials_of_other_programs_are_counted_and_lead_nowhere(study):
    study.agent().claim_one()
    study.optuna().ask()
    board = BoardReader(name=study.spec.name).read(study.database)
    html = render("parts/headline.html", view=build_view(board), board=board, name=board.name)
    assert "</b> running elsewhere</span>" in html
    assert "state=elsewhere" not in html
    assert "state=running" in html
    assert html.count("<a ") == html.count("</a>")


def test_a_finished_study_names_the_command_that_confirms_it(new_study):
    study = new_study(budget=Budget(trials=2))
    agent = study.agent()
    for trial in agent.claim(2):
        agent.finish(trial, value=1 + trial.key.number)
    board = BoardReader(name=study.spec.name).read(study.database)
    html = render("parts/headline.html", view=build_view(board), board=board, name=board.name)
    assert "not confirmed yet: tuner confirm searched" in html
