"""What agents say of themselves, read with care."""

import pytest

from tuner.study.activity import Activity, parse_activity

LANE = {"device": "cpu:0", "trial": 12, "attempt": 1, "step": 7, "n_steps": 27, "value": 0.2}


def test_lanes_and_alerts_are_read():
    said = {"state": "working", "lanes": [LANE | {"seconds": 12.3}], "alerts": ["away for 8 s"]}
    activity = parse_activity(said)
    (lane,) = activity.lanes
    assert (lane.device, lane.trial, lane.step, lane.n_steps) == ("cpu:0", 12, 7, 27)
    assert (activity.state, list(activity.alerts)) == ("working", ["away for 8 s"])
    (bare,) = parse_activity({"lanes": [LANE | {"n_steps": None, "value": None}]}).lanes
    assert (bare.n_steps, bare.value) == (None, None)


@pytest.mark.parametrize("stored", [{}, None, [], "x", {"lanes": 3, "alerts": None}])
def test_an_agent_that_said_nothing_does_nothing(stored):
    assert parse_activity(stored) == Activity()


@pytest.mark.parametrize("lane", [None, {}, {"device": "x"}, LANE | {"step": "many"}])
def test_a_lane_that_cannot_be_read_is_left_out(lane):
    assert parse_activity({"lanes": [lane, LANE]}).lanes == parse_activity({"lanes": [LANE]}).lanes


def test_devices_are_read_with_the_numbers_of_all_that_they_train():
    said = {"lanes": [LANE], "devices": [{"device": "cpu:0", "trials": [12, 13], "seconds": 4.5}]}
    (device,) = parse_activity(said).devices
    assert (device.device, device.trials, device.seconds) == ("cpu:0", (12, 13), 4.5)


def test_an_agent_that_tells_of_lanes_alone_has_them_on_their_devices():
    (device,) = parse_activity({"lanes": [LANE | {"seconds": 12.3}]}).devices
    assert (device.device, device.trials, device.seconds) == ("cpu:0", (12,), 12.3)


@pytest.mark.parametrize("device", [None, {}, {"device": "x"}, {"device": "x", "trials": "many"}])
def test_a_device_that_cannot_be_read_is_left_out(device):
    assert parse_activity({"devices": [device]}).devices == ()
