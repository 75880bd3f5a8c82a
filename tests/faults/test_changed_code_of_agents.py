"""Guarantee 15 while a study runs: no trial runs other code unnoticed."""

import sys
from pathlib import Path

import pytest
from agents import AgentProcess, Fleet

FUNCTION = """\
import time

def train(trial):
    for step in range(1, 6):
        time.sleep(0.05)
        trial.report(step=step, val_loss=trial.params["x"] / step)
"""
PROGRAM = """\
import sys, time

for step in range(1, 6):
    time.sleep(0.05)
    print("step", step, "val_loss", float(sys.argv[1]) / step, flush=True)
"""
OBJECTIVES = {
    "function": "objective: train.py:train",
    "command": f"""\
objective:
  command: [{sys.executable}, train.py, "{{x}}"]
  report: {{pattern: 'step (?P<step>\\d+) val_loss (?P<val_loss>\\S+)'}}""",
}
STUDY = """\
name: changing
{objective}
minimize: val_loss
search_space: {{x: {{float: [0, 1]}}}}
sampler: random
pruner: none
budget: {{trials: 12}}
failures: {{lease: 3s, grace: 8s}}
{more}
"""
NOTICE = "train.py changed after this agent started"


def _start(fleet: Fleet, folder: Path, kind: str, more: str = "") -> tuple[Path, AgentProcess]:
    """An agent at work, whose file has just changed."""
    source = FUNCTION if kind == "function" else PROGRAM
    (folder / "train.py").write_text(source)
    study = folder / "changing.yaml"
    study.write_text(STUDY.format(objective=OBJECTIVES[kind], more=more))
    agent = fleet.start(study, is_light=True)
    fleet.wait_for(lambda: fleet.states().get("COMPLETE", 0) >= 2, "two trials")
    (folder / "train.py").write_text(f"{source}\n# another line\n")
    return study, agent


@pytest.mark.parametrize("kind", ["function", pytest.param("command", marks=pytest.mark.long)])
def test_a_file_that_changes_is_told_once_and_recorded_for_each_trial(
    fleet: Fleet, tmp_path: Path, kind: str
) -> None:
    _, agent = _start(fleet, tmp_path, kind)
    assert agent.wait() == 0, agent.output
    assert agent.output.count(NOTICE) == 1, agent.output
    assert fleet.states() == {"COMPLETE": 12}
    ran = [
        number for (number,) in fleet.query("select number from tuner.event where kind = 'code'")
    ]
    assert 1 <= len(set(ran)) == len(ran) <= 10
    assert max(ran) == 11


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("function", "workers: {preload: true}"),
        pytest.param("function", "", marks=pytest.mark.long),
        pytest.param("command", "", marks=pytest.mark.long),
    ],
    ids=["preloaded", "function", "command"],
)
def test_a_study_that_allows_no_change_ends_the_agent_and_keeps_the_trial(
    fleet: Fleet, tmp_path: Path, kind: str, more: str
) -> None:
    study, agent = _start(fleet, tmp_path, kind, f"code: refuse\n{more}")
    assert agent.wait() == 2, agent.output
    assert f"{NOTICE}, and the study says `code: refuse`" in agent.output
    assert "Traceback" not in agent.output
    (counts,) = fleet.query("select sum(failures), sum(losses) from tuner.lease")
    assert counts == (0, 0), "the trial was released"
    assert "FAIL" not in fleet.states()
    refused = fleet.start(study, is_light=True)
    assert refused.wait() == 2
    assert "code of train.py: stored " in refused.output
    source = FUNCTION if kind == "function" else PROGRAM
    (tmp_path / "train.py").write_text(source)
    assert fleet.start(study, is_light=True).wait() == 0
    assert fleet.states() == {"COMPLETE": 12}
    ran = fleet.query("select count(*) from tuner.event where kind = 'code'")
    assert ran == [(1,)], "only the attempt that was released"
