"""Guarantees 3, 4 and 8: lost trials go on elsewhere, and who lost one cannot write to it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agents import Fleet, write_study
from cells import Cells

CURVE = """
select step, intermediate_value from trial_intermediate_values
join trials using (trial_id) join studies using (study_id)
where study_name = %s order by step
"""


def _undisturbed_curve(fleet: Fleet, tmp_path: Path, epochs: int) -> list[tuple[int, float]]:
    study = write_study(tmp_path, name="calm", epochs=epochs, width=256, trials=1)
    assert fleet.start(study).wait() == 0
    return fleet.query(CURVE, "calm")


@pytest.mark.long
def test_a_stopped_agent_that_comes_back_is_refused_and_goes_on_working(
    fleet: Fleet, tmp_path: Path
) -> None:
    study = write_study(tmp_path, epochs=120, width=256, trials=1, every="30s")
    zombie = fleet.start(study)
    fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
    zombie.send(signal.SIGSTOP)
    stopped_at = time.monotonic()
    heir = fleet.start(study)
    fleet.wait_for(lambda: fleet.query("select 1 from tuner.lease where attempt = 2"), "a takeover")
    assert time.monotonic() - stopped_at > 3, "taken over before the lease had run out"
    zombie.send(signal.SIGCONT)
    fleet.wait_for(lambda: "lost, another agent holds it now" in zombie.output, "the refusal")
    assert heir.wait() == 0, heir.output
    assert zombie.wait() == 0, zombie.output
    assert fleet.states() == {"COMPLETE": 1}
    assert fleet.query("select attempt, state from tuner.lease") == [(2, "done")]
    kinds = [kind for (kind,) in fleet.query("select kind from tuner.event order by event_id")]
    assert kinds.count("complete") == 1
    assert "complete" not in zombie.output.split("waiting for")[0].split("lost, another")[0]
    curve = fleet.query(CURVE, "faulty")
    assert curve == _undisturbed_curve(fleet, tmp_path, 120)


@pytest.mark.long
def test_a_beating_agent_keeps_its_trial_although_others_wait(fleet: Fleet, tmp_path: Path) -> None:
    study = Cells(tmp_path, n_x=1, n_y=1, epochs=20, seconds=0.25, lease="1s").path
    busy = fleet.start(study, is_light=True, patches=[["machine", "busy"]])
    fleet.wait_for(lambda: fleet.n_reports() >= 1, "a report")
    idle = fleet.start(study, is_light=True)
    assert [busy.wait(), idle.wait()] == [0, 0]
    assert fleet.query("select attempt from tuner.lease") == [(1,)]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGUSR1, 143),
        (signal.SIGHUP, 143),
        # The other ways to end an agent: `test_clean_stops.py`, and the command's own tests.
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long),
    ],
)
def test_a_signal_releases_the_trial_with_its_checkpoint(
    fleet: Fleet, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    study = Cells(tmp_path, n_x=1, n_y=1, epochs=400, seconds=0.1, every="30s").path
    agent = fleet.start(study, is_light=True)
    fleet.wait_for(lambda: fleet.n_reports() >= 3, "three reports")
    asked_at = time.monotonic()
    agent.send(number)
    assert agent.wait() == code, agent.output
    assert time.monotonic() - asked_at < 8
    ((state, attempt, step, failures, losses),) = fleet.query(
        "select state, l.attempt, step, failures, losses"
        " from tuner.lease l left join tuner.checkpoint c using (checkpoint_id)"
    )
    assert (state, attempt, failures, losses) == ("free", 1, 0, 0)
    assert step >= 3
    assert fleet.states() == {"RUNNING": 1}
    heir = fleet.start(study, is_light=True)
    fleet.wait_for(lambda: f"continues here from epoch {step}" in heir.output, "the trial going on")


@pytest.mark.long
def test_a_killed_worker_is_replaced_and_its_trial_tried_again_as_a_loss(
    fleet: Fleet, tmp_path: Path
) -> None:
    study = write_study(tmp_path, epochs=100, width=256, trials=1)
    agent = fleet.start(study)
    fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
    (worker,) = agent.workers()
    os.kill(worker, signal.SIGKILL)
    assert agent.wait() == 0, agent.output
    assert "killed from outside (SIGKILL)" in agent.output
    assert fleet.states() == {"COMPLETE": 1}
    assert fleet.query("select attempt, losses, failures from tuner.lease") == [(2, 1, 0)]
    assert fleet.query("select message from tuner.log where attempt = 1")


@pytest.mark.long
def test_an_agent_with_a_shorter_lease_in_its_file_judges_by_the_studys(
    fleet: Fleet, tmp_path: Path
) -> None:
    study = Cells(tmp_path, n_x=1, n_y=1, epochs=24, seconds=0.25, lease="20s").path
    patient = fleet.start(study, is_light=True, patches=[["machine", "patient"]])
    fleet.wait_for(lambda: fleet.n_reports() >= 1, "a report")
    study.write_text(study.read_text().replace("lease: 20s", "lease: 1s"))
    hasty = fleet.start(study, is_light=True)
    assert [patient.wait(), hasty.wait()] == [0, 0], patient.output + hasty.output
    assert "the stored lease stays" in hasty.output
    assert fleet.query("select attempt, losses from tuner.lease") == [(1, 0)]


@pytest.mark.long
def test_a_reader_that_stops_reading_does_not_keep_the_agent_from_stopping(
    fleet: Fleet, tmp_path: Path
) -> None:
    study = write_study(tmp_path, epochs=1, width=8, trials=100_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "tuner.cli", "run", str(study), "--workers", "1", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TUNER_STORAGE": fleet.url},
    )
    try:
        # A pipe holds 64 KiB, and a trial's lines have a few hundred bytes.
        fleet.wait_for(lambda: fleet.states().get("COMPLETE", 0) > 400, "400 trials")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    finally:
        process.kill()
        process.communicate()
    assert fleet.query("select count(*) from tuner.lease where state = 'held'") == [(0,)]
