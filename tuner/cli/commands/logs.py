"""`tuner logs STUDY N`."""

import argparse
import sys
import time
from collections.abc import Callable

from tuner.cli.database import open_existing
from tuner.cli.screen.reader import Trouble
from tuner.cli.text.words import clean_log
from tuner.errors import DatabaseAway, NotFound
from tuner.results.trial_page import TrialLog, load_trial_log
from tuner.storage.connections.connection import Database
from tuner.storage.reading.trials import LogRow

POLL_SECONDS = 1.0


def execute(options: argparse.Namespace) -> int:
    """Print the output of one attempt; with -f, follow it and later attempts."""
    with open_existing(options.storage) as database:
        log = load_trial_log(database, options.study, options.number)
        attempt = options.attempt or _last(log)
        if options.follow:
            trouble = Trouble()
            follow(lambda: load(database, options, trouble), log, attempt)
            return 0
    if attempt > log.attempt:
        raise NotFound(f"trial {options.number} has no attempt {attempt}; it has had {log.attempt}")
    row = _find(log, attempt)
    if row is None or not row.tail:
        print(f"attempt {attempt} of trial {options.number} left no text", file=sys.stderr)
        return 0
    _write(unseen(row, None))
    return 0


def load(database: Database, options: argparse.Namespace, trouble: Trouble) -> TrialLog | None:
    """Load the log; None while the database is away or refuses, with the reason on stderr."""
    try:
        return load_trial_log(database, options.study, options.number)
    except DatabaseAway as error:
        trouble.show(error)
        return None


def _last(log: TrialLog) -> int:
    """Return the newest attempt with output, otherwise the newest."""
    return max((row.attempt for row in log.logs if row.tail), default=max(1, log.attempt))


def follow(
    look: Callable[[], TrialLog | None],
    log: TrialLog,
    attempt: int,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Print new output until the trial is final."""
    seen: LogRow | None = None
    while True:
        for row in log.logs:
            if row.attempt < attempt:
                continue
            if row.attempt > attempt:
                attempt, seen = row.attempt, None
                print(f"-- attempt {attempt}", file=sys.stderr, flush=True)
            _write(unseen(row, seen))
            seen = row
        if log.is_final:
            print(f"-- the trial is {log.state}", file=sys.stderr)
            return
        sleep(POLL_SECONDS)
        log = look() or log


def unseen(row: LogRow, before: LogRow | None) -> str:
    """Return the output since `before`, as far as it is kept."""
    n_new = _length(row) - (_length(before) if before else 0)
    if n_new <= 0:
        return ""
    new = row.tail[_start(row.tail, n_new, before.tail if before else "") :]
    is_whole = len(new.encode()) >= n_new
    skipped = 0 if is_whole else n_new - _count_bytes(new, _MIN_BYTES)
    head = f"[... {skipped:,} bytes are not kept]\n" if skipped > 0 else ""
    return clean_log(head + new)


# The counts are of raw bytes, the text is decoded: a U+FFFD stands for so many of them.
_REPLACEMENT = "\ufffd"
_MIN_BYTES, _MAX_BYTES = 1, 3


def _start(tail: str, n_new: int, seen: str) -> int:
    """Return the start of the last `n_new` raw bytes; among several places, where `seen` ends."""
    first = _place(tail, n_new, _MIN_BYTES)
    last = _place(tail, n_new, _MAX_BYTES)
    places = (place for place in range(first, last + 1) if seen.endswith(tail[:place]))
    return next((place for place in places if place > 0), first)


def _place(tail: str, n_new: int, n_replaced: int) -> int:
    """Return the start if each U+FFFD stands for so many bytes."""
    n_bytes, place = 0, len(tail)
    while place > 0 and n_bytes < n_new:
        place -= 1
        n_bytes += _count_bytes(tail[place], n_replaced)
    return place


def _count_bytes(text: str, n_replaced: int) -> int:
    return len(text.encode()) - (_MAX_BYTES - n_replaced) * text.count(_REPLACEMENT)


def _length(row: LogRow) -> int:
    return row.n_bytes or len(row.tail.encode())  # attempts without output have no count


def _find(log: TrialLog, attempt: int) -> LogRow | None:
    return next((row for row in log.logs if row.attempt == attempt), None)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
