"""A drained machine: its trials continue on another one, from their checkpoints, exactly."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agents import ROOT, Fleet

FUNCTION = """\
import time

def train(trial):
    state = trial.checkpoint.load() or {"step": 0}
    for step in range(state["step"] + 1, trial.params["epochs"] + 1):
        time.sleep(0.03)
        trial.report(step=step, val_loss=trial.params["x"] / step)
        trial.checkpoint.save({"step": step})
"""
STUDY = """\
name: drained
objective: train.py:train
minimize: val_loss
params: {epochs: 150}
search_space: {x: {float: [0, 1]}}
sampler: random
pruner: none
budget: {trials: 4}
checkpoints: {every: 0.2s}
failures: {lease: 3s, grace: 8s}
"""


def _tuner(fleet: Fleet, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tuner.cli", *words],
        env={**os.environ, "TUNER_STORAGE": fleet.url, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_the_trials_of_a_drained_machine_continue_on_another_one(
    fleet: Fleet, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(FUNCTION)
    study = tmp_path / "drained.yaml"
    study.write_text(STUDY)
    both = [
        fleet.start(study, workers=2, is_light=True, patches=[["machine", name]])
        for name in ("one", "two")
    ]
    first, second = both
    on = (
        "select count(*) from tuner.lease l join tuner.agent a on a.agent_id = l.owner"
        " where l.state = 'held' and a.boot = %s"
    )
    fleet.wait_for(
        lambda: [fleet.query(on, name) for name in ("one", "two")] == [[(2,)], [(2,)]],
        "both train two trials",
    )
    fleet.wait_for(
        lambda: fleet.query("select count(distinct number) from tuner.checkpoint") == [(4,)],
        "each trial has a checkpoint",
    )
    ((agent_id,),) = fleet.query("select agent_id::text from tuner.agent where boot = 'one'")
    began = time.monotonic()
    _tuner(fleet, "drain", "drained", agent_id[:8], "--reason", "service")
    fleet.wait_for(lambda: fleet.query(on, "one") == [(0,)], "the first has released its trials")
    print(f"released {time.monotonic() - began:.1f} s after the command began")
    assert "drained by" in first.output
    for agent in (second, first):  # the drained one waits for the end of the study
        assert agent.wait() == 0, agent.output
    assert fleet.states() == {"COMPLETE": 4}
    attempts = fleet.query("select attempt, failures, losses from tuner.lease")
    assert sorted(attempts) == [(1, 0, 0)] * 2 + [(2, 0, 0)] * 2
    steps = "select count(distinct step) from trial_intermediate_values group by trial_id"
    assert fleet.query(steps) == [(150,)] * 4
    resumed = [line for line in second.output.splitlines() if "continues here" in line]
    assert len(resumed) == 2
    assert all("from step" in line or "from epoch" in line for line in resumed), resumed
    fleet.check_nothing_is_left()
