"""What `tuner run` shows while it works."""

import json

import pytest

from tuner.agent import notices
from tuner.cli.screen.views import JsonView, PlainView, render_notice
from tuner.study.lease import Origin
from tuner.study.trial import AttemptKey, TrialState

KEY = AttemptKey(number=7, attempt=1)


def _joined(**changes):
    values = {
        "name": "digits",
        "is_new": True,
        "n_trials": 100,
        "data": "digits: 1797 rows",
        "workers": ("cpu:0", "cpu:1"),
        "storage": "postgresql://u@h/n",
        "notices": (),
    }
    return notices.StudyJoined(**(values | changes))


def _started(**changes):
    values = {
        "key": KEY,
        "origin": Origin.NEW,
        "worker": "cpu:0",
        "params": {"learning_rate": 0.1},
        "from_step": 0,
    }
    return notices.TrialStarted(**(values | changes))


def _ended(**changes):
    values = {
        "key": KEY,
        "state": TrialState.COMPLETE,
        "value": 0.25,
        "reason": None,
        "n_steps": 27,
        "is_best": False,
    }
    return notices.TrialEnded(**(values | changes))


def test_steps_have_the_noun_of_the_objective(capsys):
    view = PlainView()
    view.show(_joined(step_noun="step"))
    view.show(_ended())
    view.show(_started(key=AttemptKey(number=7, attempt=2), origin=Origin.RELEASED, from_step=9))
    shown = capsys.readouterr().err
    assert "27 steps" in shown
    assert "continues here from step 9" in shown
    assert "epoch" not in shown


def test_the_first_lines_say_what_is_joined_and_where():
    assert render_notice(_joined()).split("\n") == [
        "new study digits (100 trials) in postgresql://u@h/n",
        "data digits: 1797 rows",
        "2 workers: cpu:0, cpu:1",
    ]
    of_a_function = render_notice(_joined(data="function train.py:train")).split("\n")
    assert of_a_function[1] == "function train.py:train"
    joined = render_notice(_joined(is_new=False, notices=("failures.retries: 1 (stored: 2)",)))
    assert joined.startswith("joining study digits")
    assert joined.endswith("note: failures.retries: 1 (stored: 2)")


def test_a_new_trial_is_no_news_but_one_that_goes_on_is():
    assert render_notice(_started()) is None
    second = AttemptKey(number=7, attempt=2)
    assert render_notice(_started(key=second, origin=Origin.RELEASED, from_step=9)) == (
        "trial 7: was released, continues here from epoch 9 (attempt 2)"
    )
    again = _started(key=second, origin=Origin.RELEASED, follows_failure=True)
    assert render_notice(again) == (
        "trial 7: failed, is tried again here without a checkpoint (attempt 2)"
    )
    assert render_notice(_started(key=second, origin=Origin.TAKEN_OVER)) == (
        "trial 7: was lost by its agent, continues here without a checkpoint (attempt 2)"
    )


def test_an_end_tells_value_length_and_reason():
    assert render_notice(_ended(is_best=True)) == (
        "trial 7: complete  0.25  27 epochs   best so far"
    )
    pruned = _ended(state=TrialState.PRUNED, n_steps=1, reason="rung 1: rank 2 of 2, keeps 1")
    assert render_notice(pruned) == (
        "trial 7: pruned    0.25  1 epoch  rung 1: rank 2 of 2, keeps 1"
    )
    failed = _ended(state=TrialState.FAIL, value=None, reason="val_loss is nan at step 1")
    assert render_notice(failed) == "trial 7: failed    val_loss is nan at step 1"


@pytest.mark.parametrize(
    ("notice", "line"),
    [
        (notices.AttemptReleased(key=KEY, reason="released"), "trial 7: released"),
        (
            notices.AttemptReleased(
                key=KEY, reason="ValueError: x", has_failed=True, max_attempts=3
            ),
            "trial 7: attempt 1 of 3 failed, it will be tried again: ValueError: x",
        ),
        (
            notices.AttemptLost(key=KEY),
            "trial 7: lost, another agent holds it now; this machine dropped its work on it",
        ),
        (
            notices.WorkerDied(worker="cpu:0", how="the worker process crashed (SIGSEGV)"),
            "worker cpu:0: the worker process crashed (SIGSEGV); starting another",
        ),
        (
            notices.DatabaseLost(message="refused"),
            "the database is away, training continues (refused)",
        ),
        (
            notices.DatabaseRefuses(message="FATAL: password"),
            "the database refuses this agent, training continues and it is asked again every 30 s "
            "(FATAL: password)",
        ),
        (notices.DatabaseBack(away_seconds=61.0), "the database is back after 1 min 1 s"),
        (
            notices.WaitingForOthers(n_open=1),
            "all trials are given out; waiting for 1 trial elsewhere",
        ),
        (
            notices.Stopping(signal="SIGINT", grace_seconds=25.0, n_trials=2),
            "SIGINT: releasing 2 trials, at most 25 s; a second signal stops at once",
        ),
        (
            notices.Tally(
                n_complete=1,
                n_pruned=2,
                n_failed=3,
                n_open=4,
                n_trials=100,
                best_value=0.5,
                best_number=0,
                in_training=(notices.InTraining(number=7, step=3, value=0.25),),
                n_steps=27,
            ),
            "-- 6 of 100: 1 complete, 2 pruned, 3 failed, 4 open, best 0.5 (trial 0); "
            "here trial 7 at epoch 3 of 27 (0.25)",
        ),
    ],
)
def test_every_other_notice_is_one_line(notice, line):
    assert render_notice(notice) == line


def test_the_plain_view_writes_to_stderr_without_control_characters(capsys):
    PlainView().show(_ended(state=TrialState.FAIL, value=None, reason="boom\x1b[2J"))
    PlainView().show(_started())
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "trial 7: failed    boom\ufffd[2J\n"


def test_the_json_view_writes_one_object_a_line(capsys):
    for notice in (_joined(), _started(), _ended()):
        JsonView().show(notice)
    shown = capsys.readouterr()
    events = [json.loads(line) for line in shown.out.splitlines()]
    assert [event["event"] for event in events] == ["StudyJoined", "TrialStarted", "TrialEnded"]
    assert events[1]["origin"] == "new"
    assert events[2]["key"] == {"number": 7, "attempt": 1}
    assert shown.err == ""


@pytest.mark.parametrize(
    ("environment", "is_painted"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": ""}, False),
    ],
)
def test_colours_follow_the_environment(capsys, monkeypatch, environment, is_painted):
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    PlainView().show(_ended())
    assert ("\x1b[32mcomplete\x1b[0m" in capsys.readouterr().err) == is_painted
