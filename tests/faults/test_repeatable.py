"""Guarantee 19: the same file and seed give the same params and curves, on one machine or four."""

from pathlib import Path

import pytest
from agents import open_fleet

TRAIN = """\
import random

def train(trial):
    x = trial.params["x"]
    for step in range(1, 6):
        trial.report(step=step, val_loss=x * random.random())  # seeded by the trial's seed
"""

STUDY = """\
name: repeated
objective: train.py:train
minimize: val_loss
search_space:
  x: {{float: [0.001, 1], log: true{step}}}
  y: {{int: [1, 6]}}
  z: {{choice: [a, b, c]}}
sampler: {sampler}
pruner: none
{budget}seed: 11
"""
STUDIES = {
    "random": STUDY.format(sampler="random", step="", budget="budget: {trials: 8}\n"),
    "grid": STUDY.format(sampler="grid", step="", budget="").replace(
        "x: {float: [0.001, 1], log: true}", "x: {choice: [0.1, 0.2]}"
    ),
}

DRAWS = """
select l.draw, l.seed,
       (select array_agg((param_name, param_value)::text order by param_name)
        from trial_params p where p.trial_id = l.trial_id)
from tuner.lease l order by 1
"""
CURVES = """
select l.number, l.seed, v.step, v.intermediate_value
from tuner.lease l join trial_intermediate_values v using (trial_id) order by 1, 3
"""


@pytest.mark.parametrize("sampler", ["random", pytest.param("grid", marks=pytest.mark.long)])
def test_one_machine_and_four_draw_the_same_params_and_report_the_same_curves(
    database_url: str, empty_url: str, tmp_path: Path, sampler: str
) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    study = tmp_path / "study.yaml"
    study.write_text(STUDIES[sampler])
    draws, curves = [], []
    for url, n_agents in ((database_url, 1), (empty_url, 4)):
        with open_fleet(url, tmp_path) as fleet:
            agents = [fleet.start(study, is_light=True, workers=1) for _ in range(n_agents)]
            assert [agent.wait() for agent in agents] == [0] * n_agents, agents[0].output
            # The draw is the number here: nothing was enqueued. The params belong to the draw.
            draws.append(fleet.query(DRAWS))
            curves.append(fleet.query(CURVES))
            fleet.check_nothing_is_left()
    assert len(draws[0]) == {"random": 8, "grid": 36}[sampler]
    assert draws[0] == draws[1]
    assert len(curves[0]) == 5 * len(draws[0])
    assert curves[0] == curves[1]
