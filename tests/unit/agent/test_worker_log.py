"""The log of a worker: whole lines, and one of each progress bar."""

import pytest

from tuner.agent.workers.log import LOG_BYTES, WorkerLog

BAR = b"".join(b"\r%3d%%|###" % percent for percent in range(101))


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        (b"epoch 1\nepoch 2\n", "epoch 1\nepoch 2\n"),
        (b"no end", "no end"),
        (b"windows\r\nlines\r\r\n", "windows\nlines\n"),
        (b"before\n" + BAR + b"\nafter\n", "before\n100%|###\nafter\n"),
        (BAR, "100%|###"),
        (BAR + b"\r          \rnext\n", "next\n"),
        (b"step 1\rstep 2\rstep 3\r", "step 3"),
        (b"step 1\rstep 2\r\n", "step 2\n"),
        (b"\n\n", "\n\n"),
        (b"\r\r", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_a_progress_bar_is_one_line(printed: bytes, kept: str, size: int) -> None:
    log = WorkerLog()
    for start in range(0, len(printed), size):
        log.feed(printed[start : start + size])
    log.finish()
    assert (log.text(), log.n_bytes) == (kept, len(kept))


def test_an_open_line_is_shown_once_it_cannot_change() -> None:
    log = WorkerLog()
    log.feed(b"loading\n 10%\r 20%")
    assert (log.text(), log.n_bytes) == ("loading\n", 8)
    log.feed(b"\r 30%\n")
    assert log.text() == "loading\n 30%\n"
    log.clear()
    assert (log.text(), log.n_bytes) == ("", 0)


def test_the_end_is_kept_and_all_is_counted() -> None:
    log = WorkerLog()
    for _ in range(3):
        log.feed(b"x" * LOG_BYTES + b"\n")
    assert len(log.text()) == LOG_BYTES
    assert log.n_bytes == 3 * (LOG_BYTES + 1)
    endless = WorkerLog()
    for _ in range(300):
        endless.feed(b"y" * 1000)
    assert 300_000 - LOG_BYTES <= endless.n_bytes <= 300_000, (
        "a line without an end is not held back"
    )
