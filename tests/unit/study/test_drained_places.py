"""Which places of a machine a drain covers."""

from datetime import UTC, datetime

import pytest

from tuner.study.fleet import Drain, drained_places
from tuner.study.places import overlaps


@pytest.mark.parametrize(
    ("one", "other", "is_shared"),
    [
        ("gpu:0", "gpu:0", True),
        ("gpu:0", "gpu:1", False),
        ("gpu:1", "gpu:0-3", True),
        ("gpu:4", "gpu:0-3", False),
        ("gpu:2", "gpu:0+2", True),
        ("gpu:1", "gpu:0+2", False),
        ("gpu:0", "gpu:0/mig:1", True),
        ("gpu:0/mig:1", "gpu:0", True),
        ("gpu:0/mig:1", "gpu:0/mig:2", False),
        ("gpu:1", "gpu:10", False),
        ("gpu:0-3", "gpu:2-5", True),
        ("cpu:0", "gpu:0", False),
        ("gpu:0-999999", "gpu:7", False),  # a name that no agent gives: bounded
    ],
)
def test_places_that_share_a_device(one: str, other: str, is_shared: bool) -> None:
    assert overlaps(one, other) is overlaps(other, one) is is_shared


def test_a_drain_covers_all_workers_of_its_device() -> None:
    at = datetime(2026, 12, 1, tzinfo=UTC)
    places = ("gpu:0#0", "gpu:0#1", "gpu:1#0")
    part = Drain(host="box", device="gpu:0", by="a@b", role="r", at=at)
    whole = Drain(host="box", device=None, by="c@d", role="r", at=at, reason="why")
    assert drained_places([part], places) == dict.fromkeys(places[:2], "drained by a@b")
    assert drained_places([part, whole], places)["gpu:1#0"] == "drained by c@d: why"
    assert drained_places([], places) == {}
