"""What a trial printed, and following it."""

import pytest

from tests.unit.cli.builders import NOON
from tuner.cli import logs
from tuner.results.trial_page import TrialLog
from tuner.storage.trial_reading import LogRow


def row(tail, n_bytes=0, attempt=1):
    return LogRow(attempt=attempt, message="", traceback="", tail=tail, n_bytes=n_bytes, at=NOON)


@pytest.mark.parametrize(
    ("tail", "n_bytes", "seen", "new"),
    [
        ("abc", 0, 0, "abc"),
        ("abc", 3, 0, "abc"),
        ("abcdef", 6, 3, "def"),
        ("abc", 3, 3, ""),
        ("xyz", 100, 98, "yz"),
        ("xyz", 100, 90, "[... 7 bytes are not kept]\nxyz"),
        ("größe", 7, 0, "größe"),
        ("a\x1b[2Jb", 0, 0, "a\ufffd[2Jb"),
        ("50%\r100%\r\n\tx", 0, 0, "50%\n100%\n        x"),
    ],
)
def test_only_what_is_new_is_printed_and_cleaned(tail, n_bytes, seen, new):
    assert logs.unseen(row(tail, n_bytes), seen) == new


def test_following_goes_on_through_outages_and_attempts_until_the_end(capsys):
    looks = [
        TrialLog(state="RUNNING", attempt=1, logs=[row("a\nb\n", 4)]),
        None,
        TrialLog(state="RUNNING", attempt=2, logs=[row("a\nb\n", 4), row("c\n", 2, 2)]),
        TrialLog(state="COMPLETE", attempt=2, logs=[row("a\nb\n", 4), row("c\nd\n", 4, 2)]),
    ]
    first = TrialLog(state="RUNNING", attempt=1, logs=[row("a\n", 2)])
    logs.follow(lambda: looks.pop(0), first, 1, sleep=lambda _: None)
    shown = capsys.readouterr()
    assert shown.out == "a\nb\nc\nd\n"
    assert shown.err == "-- attempt 2\n-- the trial is COMPLETE\n"
