"""The exit code and the last screen of `tuner run`."""

import pytest

from tests.unit.cli.builders import counts, summary
from tuner.cli.commands.run import exit_code, render_end
from tuner.run_study import RunOutcome
from tuner.study.ending import Ending, EndingKind


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (EndingKind.FINISHED, 0),
        (EndingKind.INTERRUPTED, 130),
        (EndingKind.TERMINATED, 143),
        (EndingKind.HALTED, 6),
        (EndingKind.FAILED, 1),
    ],
)
def test_each_ending_has_its_exit_code(kind, code):
    assert exit_code(RunOutcome(name="digits", ending=Ending(kind=kind), summary=summary())) == code


def test_a_finished_study_without_a_complete_trial_is_code_5():
    nothing = summary(best=None, counts=counts(FAIL=100))
    assert (
        exit_code(
            RunOutcome(name="digits", ending=Ending(kind=EndingKind.FINISHED), summary=nothing)
        )
        == 5
    )
    assert "tuner best" not in render_end(nothing, EndingKind.FINISHED, ["digits.yaml"])


def test_an_end_that_could_not_be_looked_at_is_code_4_and_starts_again():
    assert (
        exit_code(RunOutcome(name="digits", ending=Ending(kind=EndingKind.FINISHED), summary=None))
        == 4
    )


def test_a_stopped_run_says_how_to_go_on():
    stopped = summary(counts=counts(COMPLETE=1, RELEASED=2))
    screen = render_end(stopped, EndingKind.INTERRUPTED, ["my studies/digits.yaml"])
    assert "  tuner run 'my studies/digits.yaml'  continue" in screen
    assert "tuner run" not in render_end(summary(), EndingKind.FINISHED, ["digits.yaml"])


def test_the_next_commands_name_the_study_file_that_own_code_needs():
    own = render_end(summary(needs_study_file=True), EndingKind.FINISHED, ["my own.yaml"])
    assert "  tuner export digits --file 'my own.yaml' -o best.yaml  for tuner train" in own
    assert "  tuner confirm digits --file 'my own.yaml' " in own
    assert "--file" not in render_end(summary(), EndingKind.FINISHED, ["digits.yaml"])
