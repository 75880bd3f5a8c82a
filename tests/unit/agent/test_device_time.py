"""Trials that share a device share its time."""

import json

import pytest

from tests.unit.agent.machines import WORKER, Bench, claimed_trial
from tuner.agent.device_time import busy_units, used_seconds
from tuner.agent.screen import render_screen
from tuner.messages import Ready, Reported
from tuner.study.activity import parse_activity
from tuner.study.lease import ClaimedTrial
from tuner.study.verdict import Outcome


def together(bench: Bench, n_lanes: int) -> list[ClaimedTrial]:
    """Trials that begin at the same time on the first worker."""
    bench.say(Ready(n_free=n_lanes, n_taken=0))
    trials = [claimed_trial(number) for number in range(n_lanes)]
    bench.claimed(*trials)
    return trials


def report(bench: Bench, trial: ClaimedTrial, seconds: float) -> None:
    values = {"val_loss": 0.5, "seconds": seconds}
    key = trial.key
    bench.say(Reported(number=key.number, attempt=key.attempt, step=1, values=values))


def used(bench: Bench) -> list[float]:
    return list(used_seconds(bench.machine, bench.now).values())


def test_what_nobody_measures_is_divided_evenly() -> None:
    bench = Bench(n_workers=2)
    together(bench, 4)
    bench.tick(10.0)
    assert used(bench) == [2.5] * 4


def test_what_the_trainer_measured_counts_and_the_time_since_is_divided() -> None:
    bench = Bench(seconds_metric="seconds")
    small, large = together(bench, 2)
    bench.now += 10.0
    report(bench, small, 1.0)
    report(bench, large, 8.5)
    bench.now += 1.0
    assert used(bench) == pytest.approx([1.5, 9.0])


def test_a_functions_metric_of_that_name_is_its_own_affair() -> None:
    bench = Bench()
    (trial,) = together(bench, 1)
    bench.now += 10.0
    report(bench, trial, 1e6)
    assert used(bench) == [10.0]


def test_processes_on_one_device_share_it() -> None:
    bench = Bench(n_workers=2)
    for index, worker in enumerate(bench.machine.workers.values()):
        worker.name = f"gpu:0#{index}"
    bench.training(0)
    bench.ready(WORKER + 1)
    bench.claimed(claimed_trial(1))
    bench.tick(8.0)
    assert used(bench) == [4.0, 4.0]


def test_the_end_of_an_attempt_tells_its_share() -> None:
    bench = Bench()
    first, _ = together(bench, 2)
    bench.now += 10.0
    (end,) = bench.ends(bench.leave(first, Outcome.COMPLETE, value=0.5))
    assert end.seconds == pytest.approx(5.0, abs=0.01)


def test_a_trial_on_two_gpus_uses_two_device_seconds_a_second() -> None:
    bench = Bench(n_workers=2)
    for worker, name in zip(bench.machine.workers.values(), ("gpu:0-1", "gpu:2+4"), strict=True):
        worker.name = name
    assert busy_units(bench.machine) == 0
    trial = bench.training(0)
    assert busy_units(bench.machine) == 2
    bench.ready(WORKER + 1)
    bench.claimed(claimed_trial(1))
    assert busy_units(bench.machine) == 4
    bench.now += 10.0
    assert used(bench) == [20.0, 20.0]
    shown = parse_activity(json.loads(render_screen(bench.machine, bench.now)))
    assert [(device.device, device.seconds) for device in shown.devices] == [
        ("gpu:0-1", 20.0),
        ("gpu:2+4", 20.0),
    ]
    (end,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=0.5))
    assert end.seconds == pytest.approx(20.0, abs=0.02)
    assert busy_units(bench.machine) == 2


def test_workers_that_share_a_device_are_one_busy_device() -> None:
    bench = Bench(n_workers=2)
    for index, worker in enumerate(bench.machine.workers.values()):
        worker.name = f"gpu:0#{index}"
    bench.training(0)
    bench.ready(WORKER + 1)
    bench.claimed(claimed_trial(1))
    assert busy_units(bench.machine) == 1
