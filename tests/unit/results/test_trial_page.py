"""A trial's attempts, told from its events."""

from datetime import timedelta

from tests.unit.cli.builders import NOON
from tuner.results.trial_page import tell_attempts
from tuner.storage.reading.trials import EventRow


def event(n, attempt, kind, **more):
    values = {"number": 7, "host": "box", "device": None, "detail": None, "value": None} | more
    return EventRow(
        event_id=n, at=NOON + timedelta(seconds=n), attempt=attempt, kind=kind, **values
    )


def test_each_attempt_has_a_place_and_an_end():
    events = [
        event(1, 1, "claimed", device="gpu:0"),
        event(2, 1, "released", detail="released"),
        event(3, 2, "claimed", host="other"),
        event(9, 3, "taken_over"),
        event(10, 3, "fail", detail="boom"),
    ]
    first, second, third = tell_attempts(events, 3, "gpu:1")
    assert (first.host, first.device, first.how, first.detail) == (
        "box", "gpu:0", "released", "released",
    )  # fmt: skip
    assert (second.host, second.how, second.ended_at) == ("other", "lost", NOON + timedelta(0, 9))
    assert (third.device, third.how, third.detail) == ("gpu:1", "fail", "boom")


def test_a_failed_attempt_is_not_called_released():
    events = [event(1, 1, "claimed"), event(2, 1, "attempt_failed", detail="boom")]
    (story,) = tell_attempts(events, 1, None)
    assert (story.how, story.detail) == ("fail", "boom")


def test_an_attempt_without_an_end_is_running():
    (story,) = tell_attempts([event(1, 1, "claimed")], 1, None)
    assert (story.how, story.ended_at) == ("running", None)


def test_a_trial_that_never_began_has_no_attempt():
    assert tell_attempts([], 0, None) == []
