"""What a trial printed, and following it."""

import pytest

from tests.unit.cli.builders import NOON
from tuner.cli.commands import logs
from tuner.results.trial_page import TrialLog
from tuner.storage.reading.trials import LogRow
from tuner.study.trial import TrialState


def row(tail, n_bytes=0, attempt=1):
    return LogRow(attempt=attempt, message="", traceback="", tail=tail, n_bytes=n_bytes, at=NOON)


@pytest.mark.parametrize(
    ("tail", "n_bytes", "before", "new"),
    [
        ("abc", 0, None, "abc"),
        ("abc", 3, None, "abc"),
        ("abcdef", 6, row("abc", 3), "def"),
        ("abc", 3, row("abc", 3), ""),
        ("xyz", 100, row("wx", 98), "yz"),
        ("xyz", 100, row("abc", 90), "[... 7 bytes are not kept]\nxyz"),
        ("größe", 7, None, "größe"),
        ("a\x1b[2Jb", 0, None, "a\ufffd[2Jb"),
        ("50%\r100%\r\n\tx", 0, None, "50%\n100%\n        x"),
    ],
)
def test_only_what_is_new_is_printed_and_cleaned(tail, n_bytes, before, new):
    assert logs.unseen(row(tail, n_bytes), before) == new


@pytest.mark.parametrize(
    "parts",
    [
        [b"gr\xf6\xdfe\n", b"k\xfcrzer\n", b"\xff\xfe\n"],  # Latin-1
        [b"\xe2\x82\n", b"one\n\xe2\x82\n", b"two \xff\n"],  # cut characters
        ["größe \ufffd\n".encode(), "ende \ufffd\n".encode()],
    ],
)
@pytest.mark.parametrize("n_kept", [14, 100])
def test_bytes_that_are_no_text_are_followed_without_gaps_and_repetitions(parts, n_kept):
    shown, printed, before = "", b"", None
    for part in parts:
        printed += part
        now = row(printed[-n_kept:].decode(errors="replace"), len(printed))
        shown += logs.unseen(now, before)
        before = now
    assert shown == printed.decode(errors="replace")


def test_following_goes_on_through_outages_and_attempts_until_the_end(capsys):
    looks = [
        TrialLog(state=TrialState.RUNNING, attempt=1, logs=[row("a\nb\n", 4)]),
        None,
        TrialLog(state=TrialState.RUNNING, attempt=2, logs=[row("a\nb\n", 4), row("c\n", 2, 2)]),
        TrialLog(
            state=TrialState.COMPLETE, attempt=2, logs=[row("a\nb\n", 4), row("c\nd\n", 4, 2)]
        ),
    ]
    first = TrialLog(state=TrialState.RUNNING, attempt=1, logs=[row("a\n", 2)])
    logs.follow(lambda: looks.pop(0), first, 1, sleep=lambda _: None)
    shown = capsys.readouterr()
    assert shown.out == "a\nb\nc\nd\n"
    assert shown.err == "-- attempt 2\n-- the trial is COMPLETE\n"
