"""A machine has three connections, however many devices it has; a bound that the pages state."""

from pathlib import Path

from agents import Fleet

MAX_CONNECTIONS = 4  # as tuner/storage/README.md says: three to work, one more at start and end
FUNCTION = """\
import time

def train(trial):
    for step in range(1, 6):
        time.sleep(0.05)
        trial.report(step=step, val_loss=trial.params["x"] / step)
        trial.checkpoint.save({"step": step})
"""
STUDY = """\
name: connected
objective: train.py:train
minimize: val_loss
search_space: {x: {float: [0, 1]}}
sampler: tpe
pruner: asha
params: {epochs: 5}
budget: {trials: 24}
checkpoints: {every: 0.1s}
failures: {lease: 3s}
"""


def test_a_machine_with_six_workers_has_three_connections(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(FUNCTION)
    study = tmp_path / "connected.yaml"
    study.write_text(STUDY)
    agent = fleet.start(study, workers=6, is_light=True)
    counts, at_work = [], []
    while agent.process.poll() is None:
        ((n_open,),) = fleet.query(
            "select count(*) from pg_stat_activity"
            " where application_name = 'tuner' and datname = current_database()"
        )
        counts.append(n_open)
        if fleet.query("select 1 from tuner.lease where state = 'held' limit 1"):
            at_work.append(n_open)
    assert agent.wait() == 0, agent.output
    assert max(counts) <= MAX_CONNECTIONS, max(counts)
    assert sorted(at_work)[len(at_work) // 2] == 3, "while it trains"
    fleet.check_nothing_is_left()
