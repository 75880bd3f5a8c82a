"""Two agents on one GPU: the second waits, says for whom, and trains when the first has gone."""

import signal
from pathlib import Path

import pytest
from agents import Fleet

FUNCTION = """\
import time

def train(trial):
    for step in range(1, trial.params["epochs"] + 1):
        time.sleep(0.02)
        trial.report(step=step, val_loss=trial.params["x"] / step)
"""
STUDY = """\
name: {name}
objective: train.py:train
minimize: val_loss
params: {{epochs: {epochs}}}
search_space: {{x: {{float: [0, 1]}}}}
sampler: random
pruner: none
budget: {{trials: 2}}
failures: {{lease: 3s, grace: 8s}}
"""
GPU = [["fake_gpu", "GPU-0123"]]


def _study(folder: Path, name: str, epochs: int) -> Path:
    (folder / "train.py").write_text(FUNCTION)
    path = folder / f"{name}.yaml"
    path.write_text(STUDY.format(name=name, epochs=epochs))
    return path


def test_the_second_agent_waits_for_the_gpu_of_the_first(fleet: Fleet, tmp_path: Path) -> None:
    # Two containers: they share the GPU, and no folder in which a lock could be.
    first = fleet.start(
        _study(tmp_path, "long", 10_000),
        patches=[*GPU, ["machine", "one"]],
        is_light=True,
        environment={"TUNER_HOME": str(tmp_path / "one")},
    )
    fleet.wait_for(lambda: fleet.n_reports() > 2, "the first trains")
    second = fleet.start(
        _study(tmp_path, "short", 3),
        patches=[*GPU, ["machine", "two"]],
        is_light=True,
        environment={"TUNER_HOME": str(tmp_path / "two")},
    )
    why = "gpu:0: no trials for now (in use by an agent of study 'long'"
    fleet.wait_for(lambda: why in second.output, "the second says why it waits")
    assert fleet.query("select host is not null, agent_id is not null from tuner.device join"
                       " tuner.agent using (agent_id)") == [(True, True)]  # fmt: skip
    assert "trial" not in second.output.split(why)[1]
    first.send(signal.SIGTERM)
    assert first.wait() == 143
    assert second.wait() == 0, second.output
    assert "gpu:0: trials again" in second.output
    assert fleet.query("select agent_id from tuner.device") == [(None,)], "nobody uses it now"
    fleet.check_nothing_is_left()


@pytest.mark.long
def test_a_killed_agents_gpu_is_free_for_the_next_one_at_once(fleet: Fleet, tmp_path: Path) -> None:
    study = _study(tmp_path, "killed", 20)
    first = fleet.start(study, patches=GPU, is_light=True)
    fleet.wait_for(lambda: fleet.n_reports() > 2, "the first trains")
    first.send(signal.SIGKILL)
    first.wait()
    second = fleet.start(study, patches=GPU, is_light=True)
    assert second.wait() == 0, second.output
    assert "no trials for now" not in second.output
    fleet.check_nothing_is_left()


# The larger GPU is in no hurry: the smaller one runs out of memory first, however late it starts.
SMALL = """\
import os
import time
from pathlib import Path

FAILED = Path(__file__).with_name("failed")

def train(trial):
    if os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-small":
        FAILED.touch()
        raise MemoryError("CUDA out of memory")
    for step in range(1, trial.params["epochs"] + 1):
        trial.report(step=step, val_loss=trial.params["x"] / step)
        while not FAILED.exists():
            time.sleep(0.02)
"""


def test_trials_that_run_out_of_memory_are_trained_by_the_larger_gpu(
    fleet: Fleet, tmp_path: Path
) -> None:
    study = _study(tmp_path, "memory", 5)
    study.write_text(study.read_text().replace("trials: 2", "trials: 3"))
    (tmp_path / "train.py").write_text(SMALL)
    large = fleet.start(
        study, patches=[["fake_gpu", "GPU-large", 80], ["machine", "large"]], is_light=True
    )
    fleet.wait_for(lambda: fleet.n_reports() > 0, "the large one trains")
    small = fleet.start(
        study, patches=[["fake_gpu", "GPU-small", 16], ["machine", "small"]], is_light=True
    )
    for agent in (large, small):
        assert agent.wait() == 0, agent.output
    assert fleet.states() == {"COMPLETE": 3}
    offered = fleet.query("select attempt, failures from tuner.lease where short_of_bytes = 16")
    assert offered, small.output
    assert set(offered) == {(2, 0)}, "once, and at nobody's expense"
    assert "offered to a device with more than" in small.output
    fleet.check_nothing_is_left()
