"""Log lines as JSON: what a notice is about, and how serious it is."""

import json
import logging

import pytest

from tuner.agent import notices
from tuner.cli.screen.log_lines import LogHandler, LogLines, error_line
from tuner.study.lease import Origin
from tuner.study.trial import AttemptKey, TrialState

KEY = AttemptKey(number=4, attempt=2)
JOINED = notices.StudyJoined(
    name="digits",
    is_new=True,
    n_trials=2,
    data="digits",
    workers=("cpu:0",),
    storage="x",
    notices=(),
)
STARTED = notices.TrialStarted(
    key=KEY, origin=Origin.NEW, worker="cpu:0", params={"x": 1.0}, from_step=0
)
FAILED = notices.TrialEnded(
    key=KEY, state=TrialState.FAIL, value=None, reason="boom", n_steps=3, is_best=False
)


def test_a_line_names_study_trial_attempt_and_device() -> None:
    lines = LogLines()
    lines.document(JOINED)
    started, failed = lines.document(STARTED), lines.document(FAILED)
    for line in (started, failed):
        about = [line[name] for name in ("study", "trial", "attempt", "device")]
        assert about == ["digits", 4, 2, "cpu:0"]
    assert (started["level"], failed["level"]) == ("info", "warning")
    assert failed["message"] == "trial 4: failed    boom"
    assert lines.document(FAILED)["device"] is None, "it has ended"


def test_a_worker_and_a_warning_are_about_what_they_name() -> None:
    lines = LogLines()
    died = lines.document(notices.WorkerDied(worker="gpu:0", how="SIGSEGV"))
    assert (died["device"], died["trial"], died["level"]) == ("gpu:0", None, "warning")
    warned = lines.document(notices.TrialWarning(number=7, text="slow"))
    assert (warned["trial"], warned["attempt"]) == (7, None)


def test_each_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    lines = LogLines()
    lines.show(JOINED)
    lines.show(notices.StudyPaused(reason="by anna\nand \x1b[31mbob"))
    record = logging.LogRecord("tuner.x", logging.WARNING, "f", 1, "odd %s", ("thing",), None)
    LogHandler().emit(record)
    error_line("no such study")
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [one["level"] for one in found] == ["info", "info", "warning", "error"]
    assert [one["event"] for one in found][1:] == ["StudyPaused", "tuner.x", "Error"]
    assert "\x1b" not in found[1]["message"]
    assert all(one["at"].endswith("+00:00") and one["pid"] for one in found)
