"""Guarantee 3: killed at a random step and taken over elsewhere, a trial ends bit-equal (CPU)."""

import json
import os
import random
import signal
from pathlib import Path

import pytest
from agents import AgentProcess, Fleet, is_running, write_study
from cells import Cells

SEED = int(os.environ.get("RESUME_SEED") or random.SystemRandom().randrange(1_000_000))

CURVES = """
select number, array_agg(intermediate_value order by step), array_agg(step order by step)
from trial_intermediate_values join trials using (trial_id) join studies using (study_id)
where study_name = %s group by 1 order by 1
"""
PARAMS = """
select number, json_object_agg(param_name, param_value order by param_id)
from trial_params join trials using (trial_id) join studies using (study_id)
where study_name = %s group by 1 order by 1
"""


def _kill_at(fleet: Fleet, agent: AgentProcess, step: int, attempt: int = 1) -> None:
    """Once a trial has come so far in this attempt, and something of it is registered."""
    there = "select 1 from trial_intermediate_values where step >= %s"
    fleet.wait_for(lambda: fleet.query(there, step), f"step {step}")
    saved = "select 1 from tuner.lease where checkpoint_id is not null and attempt = %s"
    fleet.wait_for(lambda: fleet.query(saved, attempt), "a registered checkpoint")
    workers = agent.workers()
    agent.send(signal.SIGKILL)
    agent.process.wait()
    fleet.wait_for(lambda: not any(map(is_running, workers)), "the end of its workers", 2)


@pytest.mark.long
def test_a_trainers_trial_killed_at_a_random_step_ends_bit_equal(
    fleet: Fleet, tmp_path: Path
) -> None:
    step = random.Random(SEED).randrange(10, 40)
    print(f"seed {SEED}: killed after step {step}")
    study = write_study(tmp_path, epochs=60, width=256, trials=1, every="0.2s")
    first = fleet.start(study, patches=[["machine", "first"]])
    _kill_at(fleet, first, step)
    second = fleet.start(study, patches=[["machine", "second"]])
    calm = fleet.start(write_study(tmp_path, name="calm", epochs=60, width=256, trials=1))
    assert [second.wait(), calm.wait()] == [0, 0], second.output + calm.output
    assert "was lost by its agent, continues here from epoch" in second.output, first.output
    leases = fleet.query("select attempt, losses, failures from tuner.lease order by study_id")
    assert leases == [(2, 1, 0), (1, 0, 0)]
    ((_, curve, steps),) = fleet.query(CURVES, "faulty")
    assert steps == list(range(1, 61))
    assert [(0, curve, steps)] == fleet.query(CURVES, "calm")
    fleet.check_nothing_is_left()


def test_trials_of_a_killed_group_go_on_in_another_and_end_bit_equal(
    fleet: Fleet, tmp_path: Path
) -> None:
    step = random.Random(SEED).randrange(8, 25)
    print(f"seed {SEED}: killed after step {step}")
    study = write_study(tmp_path, epochs=40, width=64, trials=8, every="0.2s", lanes="8")
    first = fleet.start(study, patches=[["machine", "first"]])
    _kill_at(fleet, first, step)
    # A worker takes its part of half of what is left: four of the eight, at the least.
    ((n_lost,),) = fleet.query("select count(*) from tuner.lease where state = 'held'")
    assert n_lost >= 4
    # a machine with room for three at a time: other company, other places
    other = write_study(tmp_path, epochs=40, width=64, trials=8, every="0.2s", lanes="3")
    second = fleet.start(other, patches=[["machine", "second"]])
    calm = fleet.start(write_study(tmp_path, name="calm", epochs=40, width=64, trials=8, lanes="1"))
    assert [second.wait(), calm.wait()] == [0, 0], second.output + calm.output
    taken_over = "select count(*) from tuner.lease where attempt = 2 and losses = 1"
    assert fleet.query(taken_over) == [(n_lost,)], second.output
    curves = fleet.query(CURVES, "faulty")
    assert [steps for _, _, steps in curves] == [list(range(1, 41))] * 8
    assert curves == fleet.query(CURVES, "calm")
    fleet.check_nothing_is_left()


@pytest.mark.long
def test_a_functions_trial_with_its_own_checkpoint_killed_at_a_random_step_ends_the_same(
    fleet: Fleet, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    cells = Cells(tmp_path, n_x=1, n_y=1, epochs=20, seconds=0.15, every="0.2s")
    steps = sorted(rng.sample(range(3, 18), 3))
    print(f"seed {SEED}: killed after steps {steps}")
    for attempt, step in enumerate(steps, start=1):
        agent = fleet.start(cells.path, is_light=True, patches=[["machine", f"until {step}"]])
        _kill_at(fleet, agent, step, attempt)
    last = fleet.start(cells.path, is_light=True, patches=[["machine", "last"]])
    assert last.wait() == 0, last.output
    cells.check(fleet)
    assert fleet.query("select attempt, losses from tuner.lease") == [(4, 3)]


@pytest.mark.long
@pytest.mark.timeout(500)
def test_trials_of_a_study_with_tpe_and_a_pruner_have_the_curves_of_undisturbed_ones(
    fleet: Fleet, tmp_path: Path
) -> None:
    step = random.Random(SEED).randrange(5, 25)
    print(f"seed {SEED}: killed after step {step}")
    study = write_study(
        tmp_path, epochs=27, width=512, trials=12, sampler="tpe", pruner="asha", every="0.1s"
    )
    first, second = (
        fleet.start(study, workers=1, patches=[["machine", name]]) for name in ("first", "second")
    )
    _kill_at(fleet, first, step)
    assert second.wait(200) == 0, second.output + first.output
    assert fleet.query("select sum(losses) from tuner.lease")[0][0] >= 1
    states = fleet.states()
    assert states.keys() <= {"COMPLETE", "PRUNED"}
    assert sum(states.values()) == 12
    # The same numbers get the same seeds; the same params are enqueued in their order.
    params = [json.dumps(found) for _, found in fleet.query(PARAMS, "faulty")]
    calm = write_study(tmp_path, name="calm", epochs=27, width=512, trials=12)
    calm.write_text(calm.read_text() + "enqueue:\n" + "".join(f"  - {text}\n" for text in params))
    assert fleet.start(calm, workers=1).wait(200) == 0
    undisturbed = {number: curve for number, curve, _ in fleet.query(CURVES, "calm")}
    assert fleet.query(PARAMS, "calm") == fleet.query(PARAMS, "faulty")
    for number, curve, steps in fleet.query(CURVES, "faulty"):
        assert steps == list(range(1, len(steps) + 1)), f"trial {number}"
        assert curve == undisturbed[number][: len(curve)], f"trial {number}"
    fleet.check_nothing_is_left()
