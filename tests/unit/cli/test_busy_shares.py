"""The used share of an agent's devices, of which a trial may use several."""

import pytest

from tests.unit.cli.builders import agent
from tuner.cli.text.fleet import busy_share


@pytest.mark.parametrize(
    ("devices", "busy_seconds", "share"),
    [
        (("cpu:0", "cpu:1"), 60.0, "50 %"),
        (("gpu:0-3", "gpu:4-7"), 240.0, "50 %"),
        (("gpu:0+2",), 120.0, "100 %"),
        (("gpu:0#0", "gpu:0#1"), 60.0, "100 %"),  # two workers on one device
        ((), 0.0, "-"),
    ],
)
def test_busy_devices_are_compared_with_all_of_them(
    devices: tuple[str, ...], busy_seconds: float, share: str
) -> None:
    given = agent(devices=devices, seconds_lived=60.0, device_seconds_busy=busy_seconds)
    assert busy_share(given) == share
