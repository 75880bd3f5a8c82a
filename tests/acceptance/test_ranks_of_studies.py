"""Trials with two processes on shares of the CPU, from the search to the final training."""

import os
import signal

import pytest

from tests.acceptance.command import wait_until
from tests.acceptance.examples import copy_example

CODE = """\
import os
import time
from pathlib import Path

def train(trial):
    folder = Path(__file__).parent
    (folder / f"attempt-{os.environ['RANK']}-{os.getpid()}").touch()
    while trial.number == 0 and not (folder / "killed").exists():
        time.sleep(0.01)
    trial.report(step=1, val_loss=trial.params["x"])
"""


def test_the_flags_and_the_file_are_refused_in_one_sentence(tuner, tmp_path):
    file = copy_example("distributed", tmp_path)
    refused = tuner("check", file, "--set", "workers.gpus_per_trial=3", code=2)
    assert "workers.processes_per_trial: " in refused.err


@pytest.mark.long
def test_the_example_is_searched_and_its_final_training_has_the_same_ranks(tuner, tmp_path):
    file = copy_example("distributed", tmp_path, trials=2)
    finished = tuner("run", file, "--workers", 3)
    assert "distributed: finished, 2 of 2 trials" in finished.out
    assert "1 worker: cpu:0-1" in finished.err
    assert "note: cpu:2 is left over, because each trial uses 2 shares" in finished.err
    best = file.with_name("best.yaml")
    tuner.look("export", "distributed", "--file", file, "-o", best)
    assert "\nprocesses_per_trial: 2" in best.read_text()
    trained = tuner("train", best, "-o", tmp_path / "final", "--json").json
    value = tuner.look("best", "distributed", "--json").json["value"]
    assert trained["value"] == pytest.approx(value)


@pytest.mark.long
def test_a_killed_rank_is_named_and_its_trial_is_tried_again(tuner, tmp_path):
    file = copy_example("distributed", tmp_path, trials=1)
    text = file.read_text()
    space = text[text.index("search_space:") : text.index("pruner:")]
    file.write_text(text.replace(space, "search_space: {x: {float: [0, 1]}}\n"))
    file.with_name("train.py").write_text(CODE)
    agent = tuner.start("run", file, "--workers", 2)
    wait_until(lambda: list(file.parent.glob("attempt-1-*")), "the second rank")
    (begun,) = file.parent.glob("attempt-1-*")
    os.kill(int(begun.name.split("-")[2]), signal.SIGKILL)
    wait_until(lambda: len(list(file.parent.glob("attempt-1-*"))) == 2, "the next attempt")
    file.with_name("killed").touch()
    out = tuner.finish(agent).err
    said = "it will be tried again: rank 1: the program was ended by SIGKILL"
    assert said in out
    (trial,) = tuner.look("trials", "distributed", "--json").json
    assert (trial["state"], trial["attempt"]) == ("COMPLETE", 2)
