"""Guarantee 2: each grid cell ends once; and a stop ends every trial, also a dead agent's."""

import itertools
import signal
from pathlib import Path

import pytest
from agents import Fleet

TRAIN = """\
import time

def train(trial):
    first = (trial.checkpoint.load() or {"step": 0})["step"] + 1
    for step in range(first, trial.params["epochs"] + 1):
        time.sleep(0.5)
        trial.report(step=step, val_loss=trial.params["width"] / step)
        trial.checkpoint.save({"step": step})
"""

STUDY = """\
name: cells
objective: train.py:train
minimize: val_loss
params: {epochs: 8}          # 4 s: a trial outlasts the lease
search_space:
  width: {int: [16, 64], step: 16}
  activation: {choice: [relu, tanh, gelu]}
sampler: grid
pruner: none
checkpoints: {every: 0.5s}
failures: {lease: 3s, grace: 8s}
"""


def _write(folder: Path, study: str = STUDY) -> Path:
    (folder / "train.py").write_text(TRAIN)
    path = folder / "cells.yaml"
    path.write_text(study)
    return path


@pytest.mark.long
def test_three_agents_one_of_them_killed_do_each_cell_once(fleet: Fleet, tmp_path: Path) -> None:
    study = _write(tmp_path)
    agents = [fleet.start(study, workers=2, is_light=True) for _ in range(3)]
    holds = (
        "select a.pid from tuner.lease l join tuner.agent a on a.agent_id = l.owner"
        " join trial_intermediate_values v using (trial_id)"
        " where l.state = 'held' group by a.pid having max(v.step) >= 2"
    )
    pids = {agent.process.pid: agent for agent in agents}

    def training() -> list[int]:
        return [pid for (pid,) in fleet.query(holds) if pid in pids]

    fleet.wait_for(lambda: len(training()) == 3, "three agents in the middle of trials")
    victim = pids[training()[0]]
    victim.send(signal.SIGKILL)
    victim.process.wait()
    survivors = [agent for agent in agents if agent is not victim]
    assert [agent.wait() for agent in survivors] == [0, 0], survivors[0].output
    assert fleet.states() == {"COMPLETE": 12}
    numbers = [number for (number,) in fleet.query("select number from trials order by 1")]
    assert numbers == list(range(12))
    cells = fleet.query(
        "select (select param_value from trial_params p"
        "        where p.trial_id = t.trial_id and param_name = 'width'),"
        "       (select param_value from trial_params p"
        "        where p.trial_id = t.trial_id and param_name = 'activation') from trials t"
    )
    assert sorted(cells) == sorted(itertools.product((16.0, 32.0, 48.0, 64.0), (0.0, 1.0, 2.0)))
    assert sorted(d for (d,) in fleet.query("select draw from tuner.lease")) == list(range(12))
    steps = fleet.query("select trial_id, count(*) from trial_intermediate_values group by 1")
    assert {n for _, n in steps} == {8}
    (taken,) = fleet.query("select count(*) from tuner.event where kind = 'taken_over'")
    assert taken[0] >= 1, "else nothing was in its way"
    assert fleet.query("select count(*) from tuner.lease where losses > 0") == [taken]
    repeated = fleet.query(
        "select 1 from tuner.event where kind = 'complete' group by number having count(*) > 1"
    )
    assert repeated == []


@pytest.mark.long
def test_a_stop_ends_the_trials_of_a_killed_agent_with_their_last_value(
    fleet: Fleet, tmp_path: Path
) -> None:
    study = _write(tmp_path, STUDY.replace("epochs: 8}          #", "epochs: 800}  #"))
    victim, other = (fleet.start(study, is_light=True) for _ in range(2))
    reports = (
        "select max(v.step) from tuner.lease l join tuner.agent a on a.agent_id = l.owner"
        " left join trial_intermediate_values v using (trial_id) where a.pid = %s"
    )

    def steps_of(agent: object) -> int:
        ((step,),) = fleet.query(reports, agent.process.pid) or [(None,)]  # type: ignore[attr-defined]
        return step or 0

    fleet.wait_for(lambda: min(steps_of(victim), steps_of(other)) >= 2, "both report")
    ((lost,),) = fleet.query(
        "select number from tuner.lease l join tuner.agent a on a.agent_id = l.owner"
        " where a.pid = %s",
        victim.process.pid,
    )
    # A machine of its own: else its death would be seen at once, and the takeover win the race.
    fleet.execute("update tuner.agent set boot = 'elsewhere' where pid = %s", victim.process.pid)
    victim.send(signal.SIGKILL)
    victim.process.wait()
    fleet.execute("update tuner.study set desired = 'stopping', desired_reason = 'by anna'")
    assert other.wait() == 5, "no trial is COMPLETE"
    assert "by anna" in other.output
    assert fleet.states() == {"PRUNED": 2}
    ends = fleet.query(
        "select t.number, value_json, value ="
        " (select intermediate_value from trial_intermediate_values v"
        "  where v.trial_id = t.trial_id order by step desc limit 1)"
        " from trials t join trial_user_attributes a using (trial_id)"
        " join trial_values using (trial_id) where key = 'reason' order by 1"
    )
    assert ends == [(0, '"stopped: by anna"', True), (1, '"stopped: by anna"', True)]
    ((state, owner, attempt),) = fleet.query(
        "select state, owner, attempt from tuner.lease where number = %s", lost
    )
    assert (state, owner, attempt) == ("done", None, 1)
