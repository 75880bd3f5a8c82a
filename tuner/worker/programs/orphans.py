"""Processes that a program leaves behind: they become the worker's, which ends them."""

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep

from tuner.processes import descendants_of
from tuner.worker import process

_LOOK_SECONDS = 0.01
_MAX_SECONDS = 5.0  # a process in an uninterruptible call may not end: the reaper waits for it


def adopt_orphans() -> None:
    """Make this process the parent of all orphans below it."""
    process.prctl(process.PR_SET_CHILD_SUBREAPER, 1)


@contextmanager
def ending_orphans() -> Iterator[None]:
    """End all processes that are started below this one meanwhile, orphans included."""
    adopt_orphans()
    others = descendants_of(os.getpid())
    try:
        yield
    finally:
        end_descendants(spared=others)


def end_descendants(spared: Collection[int] = ()) -> None:
    """End everything below this process except for `spared`, and collect it."""
    until = monotonic() + _MAX_SECONDS
    while True:
        if not spared:
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        below = [pid for pid in descendants_of(os.getpid()) if pid not in spared]
        if not below or monotonic() > until:
            return
        for pid in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        sleep(_LOOK_SECONDS)
