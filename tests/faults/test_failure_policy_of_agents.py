"""Guarantees 12 and 15: no poison loop, no bad machine, no unnoticed change of the code."""

import time
from pathlib import Path

import pytest
from agents import Fleet, is_running, open_fleet
from servers import open_external

TRAIN = """\
import os
import time

def train(trial):
    for step in range(1, 6):
        time.sleep({seconds})
        if os.environ.get("BAD_MACHINE") and step == 2:
            {fault}
        trial.report(step=step, val_loss=trial.params["x"] / step)
"""
RAISES = 'raise RuntimeError("CUDA error: uncorrectable ECC error")'

STUDY = """\
name: policy
objective: train.py:train
minimize: val_loss
search_space: {{x: {{float: [0, 1]}}}}
sampler: random
pruner: none
budget: {{trials: {trials}}}
checkpoints: {{every: 0.2s}}
failures: {{lease: 3s, grace: 8s{more}}}
{code}
"""


def _write(
    folder: Path,
    *,
    trials: int = 20,
    seconds: float = 0.1,
    fault: str = RAISES,
    more: str = "",
    code: str = "",
) -> Path:
    (folder / "train.py").write_text(TRAIN.format(seconds=seconds, fault=fault))
    path = folder / "policy.yaml"
    path.write_text(STUDY.format(trials=trials, more=f", {more}" if more else "", code=code))
    return path


BAD = {"BAD_MACHINE": "1"}


@pytest.mark.parametrize("fault", [RAISES, pytest.param("os.abort()", marks=pytest.mark.long)])
def test_a_machine_on_which_good_trials_fail_stops_and_the_others_do_all_of_them(
    fleet: Fleet, tmp_path: Path, fault: str
) -> None:
    study = _write(tmp_path, trials=28, seconds=0.4, fault=fault)
    good = fleet.start(study, workers=2, patches=[["machine", "good"]], is_light=True)
    fleet.wait_for(lambda: fleet.n_reports() >= 2, "the good machine at work")
    bad = fleet.start(
        study, workers=1, patches=[["machine", "bad"]], is_light=True, environment=BAD
    )
    assert bad.wait() == 7, bad.output
    assert "no more trials here" in bad.output
    assert "trials that fail on this machine do well on others" in bad.output
    assert good.wait() == 0, good.output
    assert fleet.states() == {"COMPLETE": 28}
    ((n_failures,),) = fleet.query("select sum(failures + losses) from tuner.lease")
    assert 3 <= n_failures <= 6, "it burnt no more of the tries than needed to see it"


def test_broken_code_halts_the_study_and_it_goes_on_where_it_was(
    fleet: Fleet, tmp_path: Path
) -> None:
    study = _write(tmp_path, trials=12, more="stop_after: 5")
    agents = [fleet.start(study, workers=2, is_light=True, environment=BAD) for _ in range(2)]
    assert [agent.wait() for agent in agents] == [6, 6], agents[0].output
    assert "failures in a row, the last: trial" in agents[0].output
    claimed = fleet.query("select n_claimed from tuner.study")[0][0]
    assert claimed < 9, "nothing of the budget is burnt"
    assert fleet.query("select count(*) from tuner.lease where state = 'held'") == [(0,)]
    again = fleet.start(study, is_light=True)
    assert again.wait() == 6, "it is still halted"
    fleet.execute(
        "update tuner.study set desired = 'running', desired_reason = null, n_failed_in_a_row = 0"
    )
    healed = fleet.start(study, workers=2, is_light=True)
    assert healed.wait() == 0, healed.output
    assert sum(fleet.states().values()) == 12
    assert "RUNNING" not in fleet.states()


def test_a_trial_that_breaks_its_worker_again_and_again_ends_and_costs_no_other(
    fleet: Fleet, tmp_path: Path
) -> None:
    study = _write(tmp_path, trials=4, fault='os.abort() if trial.params["x"] > 0.7 else 0')
    agent = fleet.start(study, workers=2, is_light=True, environment=BAD)
    assert agent.wait() == 0, agent.output
    ended = fleet.query(
        "select t.state::text, l.attempt, l.losses, p.param_value > 0.7 from trials t"
        " join tuner.lease l using (trial_id) join trial_params p using (trial_id)"
    )
    assert {(row[0], row[1], row[2]) for row in ended if row[3]} == {("FAIL", 5, 5)}
    assert {(row[0], row[1], row[2]) for row in ended if not row[3]} == {("COMPLETE", 1, 0)}


def test_other_code_joins_with_a_note_and_the_record_says_which_trials_it_trained(
    fleet: Fleet, tmp_path: Path
) -> None:
    study = _write(tmp_path, trials=2)
    assert fleet.start(study, is_light=True).wait() == 0
    fleet.execute("update tuner.study set limit_trials = 4")
    (tmp_path / "train.py").write_text(TRAIN.format(seconds=0.05, fault=RAISES))
    later = fleet.start(study, is_light=True)
    assert later.wait() == 0
    assert "note: code of train.py: stored " in later.output
    codes = fleet.query(
        "select l.number, a.code::text = s.code::text from tuner.lease l"
        " join tuner.agent a on a.agent_id = l.owner join tuner.study s on s.study_id = l.study_id"
        " order by 1"
    )
    assert codes == [(0, True), (1, True), (2, False), (3, False)]


def test_other_code_is_refused_where_the_study_says_so(fleet: Fleet, tmp_path: Path) -> None:
    study = _write(tmp_path, trials=2, code="code: refuse")
    assert fleet.start(study, is_light=True).wait() == 0
    fleet.execute("update tuner.study set limit_trials = 4")
    same = tmp_path / "elsewhere"
    same.mkdir()
    moved = _write(same, trials=2, code="code: refuse")
    assert fleet.start(moved, is_light=True).wait() == 0, "the same code in another folder"
    (same / "helper.py").write_text("n = 1\n")
    (same / "train.py").write_text("import helper\n" + (same / "train.py").read_text())
    refused = fleet.start(moved, is_light=True)
    assert refused.wait() == 2
    assert "code of helper.py: stored nothing, given " in refused.output
    assert "code of train.py: stored " in refused.output
    (same / "policy.yaml").write_text(moved.read_text().replace("refuse", "warn"))
    assert fleet.start(moved, is_light=True).wait() == 2, "the study says it, whoever comes"


def test_without_a_database_for_longer_than_max_offline_the_workers_rest_until_it_is_back(
    tuner_home: object, tmp_path: Path
) -> None:
    study = _write(tmp_path, trials=2, seconds=2.0, more="max_offline: 3s")
    with open_external() as external, open_fleet(external.url, tmp_path) as fleet:
        agent = fleet.start(study, workers=2, is_light=True)
        fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
        workers = agent.workers()
        assert workers
        external.stop()
        fleet.wait_for(lambda: "workers save, end" in agent.output, "the rest")
        fleet.wait_for(lambda: not any(map(is_running, workers)), "the workers' end")
        assert agent.process.poll() is None
        time.sleep(1)
        external.start()
        assert agent.wait() == 0, agent.output
        assert "the database is back" in agent.output
        assert fleet.states() == {"COMPLETE": 2}
        rows = fleet.query("select attempt, failures, losses from tuner.lease")
        assert rows == [(2, 0, 0)] * 2
        steps = fleet.query("select trial_id, count(*) from trial_intermediate_values group by 1")
        assert [n for _, n in steps] == [5, 5]
