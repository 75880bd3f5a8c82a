"""What live screens of other machines get to see of this one."""

import json
import math
from typing import Any

import pytest

from tests.unit.agent.machines import Bench, claimed_trial
from tuner.agent import events
from tuner.agent.screen import ALERT_SECONDS, render_screen
from tuner.messages import Ready
from tuner.study.agents import Desired
from tuner.study.verdict import Outcome


def _screen(bench: Bench) -> Any:
    return json.loads(render_screen(bench.machine, bench.now))


def test_each_device_shows_its_trial_how_far_it_is_and_for_how_long() -> None:
    bench = Bench(n_workers=2)
    trial = bench.training(7)
    bench.tick(12.34)
    bench.report(trial, 3, 0.25)
    assert _screen(bench)["lanes"] == [
        {
            "device": "cpu:0",
            "trial": 7,
            "attempt": 1,
            "step": 3,
            "n_steps": 27,
            "value": 0.25,
            "seconds": 12.3,
        }
    ]


def test_a_device_of_many_lanes_tells_all_their_numbers_but_only_the_best_and_the_oldest() -> None:
    bench = Bench()
    bench.ready()
    trials = [claimed_trial(number) for number in range(20)]
    for trial in trials:
        bench.now += 1
        bench.say(Ready(n_free=1, n_taken=trial.key.number))
        bench.claimed(trial)
        bench.report(trial, 1, (trial.key.number - 9.4) ** 2)
    shown = _screen(bench)
    assert [device["trials"] for device in shown["devices"]] == [list(range(20))]
    assert [lane["trial"] for lane in shown["lanes"]] == [9, 10, 8, 0]


def test_a_trial_that_has_not_reported_has_no_value() -> None:
    bench = Bench()
    bench.training(7)
    (lane,) = _screen(bench)["lanes"]
    assert (lane["step"], lane["value"]) == (0, None)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_it_is_json_whatever_was_reported(value: float) -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 1, 0.5)
    (lane,) = bench.machine.lanes.values()
    lane.reports[-1] = type(lane.reports[-1])(key=lane.key, step=1, values={"val_loss": value})

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = render_screen(bench.machine, bench.now)
    assert json.loads(text, parse_constant=refuse)["lanes"][0]["value"] is None


def test_an_ended_trial_is_gone_from_the_screen() -> None:
    bench = Bench()
    trial = bench.training()
    bench.leave(trial, Outcome.COMPLETE, value=0.5)
    assert _screen(bench) == {
        "state": "waiting",
        "devices": [],
        "lanes": [],
        "alerts": [],
        "gauges": {},
        "blocked": {},
    }


def test_the_state_is_what_the_machine_does() -> None:
    bench = Bench()
    assert _screen(bench)["state"] == "waiting"
    bench.training()
    assert _screen(bench)["state"] == "working"
    bench.pulse(Desired.PAUSED)
    assert _screen(bench)["state"] == "paused"
    bench.pulse(Desired.STOPPING)
    assert _screen(bench)["state"] == "stopping"


def test_a_machine_that_got_a_signal_is_stopping() -> None:
    bench = Bench()
    bench.training()
    bench.do(events.StopAsked(signal="SIGTERM"))
    assert _screen(bench)["state"] == "stopping"


def test_alerts_are_shown_for_ten_minutes() -> None:
    bench = Bench()
    bench.training()
    bench.gone(-11)
    (alert,) = _screen(bench)["alerts"]
    assert alert == "worker cpu:0: the worker process crashed (SIGSEGV)"
    bench.tick(ALERT_SECONDS + 1)
    assert _screen(bench)["alerts"] == []


def test_an_outage_is_an_alert_and_its_length_too() -> None:
    bench = Bench()
    bench.do(events.StoreAway(message="gone"))
    bench.now += 5
    bench.do(events.StoreBack())
    assert _screen(bench)["alerts"] == ["the database is away", "the database was away for 5 s"]
