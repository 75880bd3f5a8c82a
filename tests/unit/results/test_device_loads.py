"""What the devices of an agent train, from what it told and what has come since."""

from tests.unit.cli.builders import agent
from tuner.results.device_loads import UNTOLD, device_loads
from tuner.storage.reading.trials import HeldRow
from tuner.study.activity import Activity, DeviceActivity, LaneActivity
from tuner.study.trial import Direction


def lane(number, value=None, seconds=1.0, step=1):
    return LaneActivity(
        device="cpu:0", trial=number, attempt=1, step=step, n_steps=9, value=value, seconds=seconds
    )


def at_work(lanes, told, **changes):
    device = DeviceActivity(device="cpu:0", trials=tuple(told), seconds=8.0)
    activity = Activity(state="working", devices=(device,), lanes=tuple(lanes))
    return agent(**{"trials": tuple(told), "activity": activity, **changes})


def held(number, step, value, attempt=1):
    return HeldRow(number=number, attempt=attempt, step=step, value=value)


def loads(given, *rows, direction=Direction.MINIMIZE):
    return device_loads(given, direction, {row.number: row for row in rows}, 9)


def test_the_best_comes_first_then_the_oldest():
    told = [lane(1, 0.5), lane(2, 0.3, seconds=9.0), lane(3, 0.1), lane(4)]
    first, idle = loads(at_work(told, [1, 2, 3, 4]))
    assert (first.device, first.n_lanes) == ("cpu:0", 4)
    assert [each.trial for each in first.lanes] == [3, 2, 1, 4]
    assert (idle.device, idle.n_lanes, idle.lanes) == ("cpu:1", 0, [])


def test_the_best_is_the_largest_where_the_study_maximizes():
    first, _ = loads(at_work([lane(1, 0.5), lane(2, 0.3)], [1, 2]), direction=Direction.MAXIMIZE)
    assert first.best.trial == 1


def test_one_lane_is_best_and_oldest_and_stands_there_once():
    first, _ = loads(at_work([lane(1, 0.5)], [1]))
    assert [each.trial for each in first.lanes] == [1]


def test_trials_that_ended_since_the_beat_are_gone():
    first, _ = loads(at_work([lane(1, 0.5), lane(2, 0.4)], [1, 2], trials=(2,)))
    assert (first.n_lanes, first.best.trial) == (1, 2)


def test_lanes_of_which_only_the_number_was_told_come_from_the_record():
    first, _ = loads(at_work([lane(1, 0.5)], [1, 2, 3]), held(2, 4, 0.25), held(3, 0, None))
    assert first.n_lanes == 3
    assert (first.best.trial, first.best.step, first.best.n_steps) == (2, 4, 9)


def test_trials_claimed_since_the_beat_fill_idle_devices_first():
    given = at_work([lane(1, 0.5)], [1], trials=(1, 2, 3))
    first, second, unknown = loads(given, held(2, 0, None), held(3, 0, None))
    assert [load.n_lanes for load in (first, second, unknown)] == [1, 1, 1]
    assert (second.best.trial, unknown.device) == (2, UNTOLD)


def test_the_only_device_gets_all_that_was_claimed_since():
    given = at_work([lane(1, 0.5)], [1], trials=(1, 2, 3), devices=("cpu:0",))
    (first,) = loads(given, held(2, 0, None), held(3, 0, None))
    assert first.n_lanes == 3
