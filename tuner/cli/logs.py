"""`tuner logs STUDY N`."""

import argparse
import sys
import time
from collections.abc import Callable

from tuner.cli.database import open_existing
from tuner.cli.text import clean_log
from tuner.errors import DatabaseAway, NotFound
from tuner.results.trial_page import TrialLog, load_trial_log
from tuner.storage.connection import Database
from tuner.storage.trial_reading import LogRow

POLL_SECONDS = 1.0


def execute(options: argparse.Namespace) -> int:
    """What one attempt printed; with -f, the attempts from there on as they go."""
    with open_existing(options.storage) as database:
        log = load_trial_log(database, options.study, options.number)
        attempt = options.attempt or _last(log)
        if options.follow:
            follow(lambda: load(database, options), log, attempt)
            return 0
    if attempt > log.attempt:
        raise NotFound(f"trial {options.number} has no attempt {attempt}; it has had {log.attempt}")
    row = _find(log, attempt)
    if row is None or not row.tail:
        print(f"attempt {attempt} of trial {options.number} left no text", file=sys.stderr)
        return 0
    _write(unseen(row, 0))
    return 0


def load(database: Database, options: argparse.Namespace) -> TrialLog | None:
    """None while the database is away."""
    try:
        return load_trial_log(database, options.study, options.number)
    except DatabaseAway:
        return None


def _last(log: TrialLog) -> int:
    """The newest attempt that printed something, else the newest."""
    return max((row.attempt for row in log.logs if row.tail), default=max(1, log.attempt))


def follow(
    look: Callable[[], TrialLog | None],
    log: TrialLog,
    attempt: int,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Print what is new until the trial is final."""
    seen = 0
    while True:
        for row in log.logs:
            if row.attempt < attempt:
                continue
            if row.attempt > attempt:
                attempt, seen = row.attempt, 0
                print(f"-- attempt {attempt}", file=sys.stderr, flush=True)
            _write(unseen(row, seen))
            seen = max(seen, _length(row))
        if log.is_final:
            print(f"-- the trial is {log.state}", file=sys.stderr)
            return
        sleep(POLL_SECONDS)
        log = look() or log


def unseen(row: LogRow, seen: int) -> str:
    """What was printed after the first `seen` bytes, as far as it was kept."""
    tail = row.tail.encode()
    n_new = _length(row) - seen
    if n_new <= 0:
        return ""
    skipped = n_new - len(tail)
    head = f"[... {skipped:,} bytes are not kept]\n" if skipped > 0 else ""
    return clean_log(head + tail[max(0, len(tail) - n_new) :].decode(errors="replace"))


def _length(row: LogRow) -> int:
    return max(row.n_bytes, len(row.tail.encode()))


def _find(log: TrialLog, attempt: int) -> LogRow | None:
    return next((row for row in log.logs if row.attempt == attempt), None)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
