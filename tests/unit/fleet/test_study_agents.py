"""What the agent of one study is told, and what its log says of its trials."""

import json
import subprocess
import sys

import pytest

from tuner.agent.events import DevicesLent
from tuner.agent.steering import parse_lent, render_lent
from tuner.fleet.allocation import NO_UNITS
from tuner.fleet.study_agent import StudyAgent


def _agent() -> StudyAgent:
    """Its process repeats what it is told."""
    code = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return StudyAgent(study="s", process=process)


def _log(event: str, trial: int, device: str | None = None, attempt: int = 1) -> str:
    return json.dumps({"event": event, "trial": trial, "attempt": attempt, "device": device})


def test_its_log_tells_which_devices_are_busy() -> None:
    agent = _agent()
    agent.note(_log("TrialStarted", 0, "gpu:0#1"))
    agent.note(_log("TrialStarted", 1, "gpu:2-3"))
    assert (agent.n_trials, agent.busy) == (2, {"gpu:0", "gpu:2", "gpu:3"})
    for event in ("TrialEnded", "AttemptReleased", "AttemptLost", "TrialWarning"):
        agent.note(_log(event, 1, "gpu:2-3"))
    assert (agent.n_trials, agent.busy) == (1, {"gpu:0"})
    agent.note(_log("TrialEnded", 0, attempt=2))
    assert agent.n_trials == 1, "another attempt"
    for odd in ("", "{", "[]", "null", "Traceback", '{"event": "TrialEnded"}'):
        agent.note(odd)
    assert agent.n_trials == 1
    agent.process.kill()
    agent.process.wait()
    agent.process.stdout.close()  # type: ignore[union-attr]
    agent.close()


def test_it_is_told_its_devices_when_they_change() -> None:
    agent = _agent()
    for units in (NO_UNITS, frozenset(["cpu:0"]), frozenset(["cpu:0"]), NO_UNITS):
        agent.lend(units, now=5.0)
    assert agent.idle_since == 5.0
    agent.process.stdin.close()  # type: ignore[union-attr]
    told = [parse_lent(line) for line in agent.process.stdout]  # type: ignore[union-attr]
    assert [lent.units for lent in told if lent] == [NO_UNITS, {"cpu:0"}, NO_UNITS]
    agent.process.wait()
    agent.lend(frozenset(["cpu:1"]), now=6.0)  # it has ended: that is noticed elsewhere
    agent.process.stdout.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("line", ["", "x", "[]", "null", '{"devices": 5}', '{"other": []}'])
def test_other_lines_are_ignored(line: str) -> None:
    assert parse_lent(line) is None


def test_a_line_is_read_as_it_was_written() -> None:
    units = frozenset(["gpu:0", "gpu:1/mig:2"])
    assert parse_lent(render_lent(units)) == DevicesLent(units=units)
