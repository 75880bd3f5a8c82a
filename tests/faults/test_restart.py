"""Guarantee 3 on one machine: an agent that starts again first continues what a killed one left."""

import os
import signal
from pathlib import Path

import pytest
from agents import Fleet, is_running, write_study
from cells import Cells

CLAIMS = "select number, attempt from tuner.event where kind = 'claimed' order by event_id"

# Its first attempt leaves a process behind that no signal to the group of the worker reaches, and
# waits; the next one notes whether that process still runs.
STARTS_A_PROCESS = """\
import pathlib, subprocess, sys, time

HERE = pathlib.Path(__file__).parent
ORPHAN = "import os, sys, time; os.fork() and os._exit(0); os.setsid(); " \\
    "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"


def train(trial):
    file = HERE / "orphan"
    if file.exists():
        is_running = pathlib.Path(f"/proc/{file.read_text()}").exists()
        (HERE / "seen").write_text(str(is_running))
    else:
        subprocess.Popen([sys.executable, "-c", ORPHAN, str(file)])
        while not file.exists() or not file.read_text():
            time.sleep(0.05)
        trial.report(step=1, val_loss=1.0)
        time.sleep(600)
    trial.report(step=2, val_loss=1.0)
"""


@pytest.mark.parametrize("kind", ["function", pytest.param("trainer", marks=pytest.mark.long)])
def test_lost_trials_of_this_machine_continue_before_new_ones(
    fleet: Fleet, tmp_path: Path, kind: str
) -> None:
    is_light = kind == "function"
    if is_light:
        study = Cells(tmp_path, epochs=40, seconds=0.1, lease="60s").path
    else:
        study = write_study(tmp_path, epochs=300, width=64, trials=8, lease="60s", lanes="1")
    killed = fleet.start(study, workers=2, is_light=is_light)
    fleet.wait_for(lambda: fleet.n_reports() >= 4, "reports")
    fleet.wait_for(lambda: fleet.query("select 1 from tuner.checkpoint"), "a checkpoint")
    # It stays a zombie: its process id is still there.
    killed.send(signal.SIGKILL)
    n_before = len(fleet.query(CLAIMS))
    held = {number for (number,) in fleet.query("select number from tuner.lease")}
    assert len(held) == 2
    again = fleet.start(study, workers=2, is_light=is_light)
    fleet.wait_for(lambda: len(fleet.query(CLAIMS)) >= n_before + 2, "the next claims")
    assert set(fleet.query(CLAIMS)[n_before : n_before + 2]) == {(number, 2) for number in held}
    again.send(signal.SIGTERM)
    assert again.wait() == 143, again.output


@pytest.mark.parametrize("is_reaper_stopped", [False, True], ids=["", "reaper stopped"])
def test_no_descendant_of_a_lost_worker_is_left_when_its_trial_continues(
    fleet: Fleet, tmp_path: Path, is_reaper_stopped: bool
) -> None:
    study = Cells(tmp_path, n_x=1, n_y=1, epochs=2, lease="60s").path
    (tmp_path / "train.py").write_text(STARTS_A_PROCESS)
    agent = fleet.start(study, is_light=True)
    fleet.wait_for(lambda: fleet.n_reports() == 1, "a report")
    orphan = int((tmp_path / "orphan").read_text())
    assert is_running(orphan)
    if is_reaper_stopped:
        for reaper in agent.reapers():
            os.kill(reaper, signal.SIGSTOP)
    agent.send(signal.SIGKILL)
    again = fleet.start(study, is_light=True)
    assert again.wait() == 0, again.output
    assert (tmp_path / "seen").read_text() == "False"
    assert not is_running(orphan)
    fleet.check_nothing_is_left()


def test_a_process_with_another_marker_is_left_alone(fleet: Fleet, tmp_path: Path) -> None:
    """Only the marker of a template says that a process is one of its workers."""
    study = Cells(tmp_path, n_x=1, n_y=1, epochs=400, seconds=0.1).path
    agent = fleet.start(study, is_light=True)
    fleet.wait_for(lambda: fleet.n_reports() >= 1, "a report")
    reapers = agent.reapers()
    (record,) = Path(os.environ["TUNER_HOME"]).glob("spool/*/workers.json")
    record.write_text(record.read_text().replace('"marker": "', '"marker": "not '))
    for reaper in reapers:
        os.kill(reaper, signal.SIGSTOP)
    agent.send(signal.SIGKILL)
    again = fleet.start(study, is_light=True)
    fleet.wait_for(lambda: len(fleet.query(CLAIMS)) == 2, "the takeover")
    assert all(map(is_running, reapers))
    for reaper in reapers:
        os.kill(reaper, signal.SIGCONT)
    again.send(signal.SIGTERM)
    assert again.wait() == 143, again.output
    fleet.check_nothing_is_left()
