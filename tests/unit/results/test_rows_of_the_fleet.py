"""Rows of the fleet whose trials use several devices."""

from dataclasses import replace

from tuner.results.device_timeline import DeviceRow, by_machine
from tuner.results.figures.devices import mean_utilization

ROW = DeviceRow(
    host="box",
    device="cpu:0",
    state="working",
    utilization=1.0,
    n_training=1,
    n_attempts=1,
    n_failed=0,
    runs=(),
    spans=(),
    failed=(),
    n_lanes=1,
)


def test_places_are_sorted_by_their_first_device() -> None:
    names = ["gpu:0-1", "gpu:2+4", "gpu:10-11", "gpu:10/mig:2", "gpu:10/mig:11"]
    rows = [replace(ROW, device=name) for name in names]
    assert [row.device for row in sorted(reversed(rows), key=by_machine)] == names


def test_living_machines_come_first() -> None:
    rows = [replace(ROW, host="a", state="left"), replace(ROW, host="b")]
    assert [row.host for row in sorted(rows, key=by_machine)] == ["b", "a"]


def test_a_machine_is_as_busy_as_its_gpus() -> None:
    rows = [
        replace(ROW, device="gpu:0-2", utilization=1.0),
        replace(ROW, device="gpu:3", utilization=0.0),
        replace(ROW, device="gpu:4", utilization=None),
    ]
    assert mean_utilization(rows) == 0.75
    assert mean_utilization(rows[2:]) is None
