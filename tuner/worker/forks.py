"""Processes that the user's code forks: they end as they would in an ordinary program."""

import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_ENDING = {signal.SIGTERM}


class ForkedEnd(SystemExit):
    """A process forked by the user's code has returned: it must run none of tuner's code."""


@cache
def release_forks() -> None:
    """Let a SIGTERM end forked processes, although this process takes it for a request.

    `multiprocessing` ends its processes that way, and then waits for them.
    """
    # A signal that comes before the forked process has its own handler must wait for that.
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING),
        after_in_child=_end_by_signal,
    )


def _end_by_signal() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


@contextmanager
def ending_forks() -> Iterator[None]:
    """Run the user's code; raise `ForkedEnd` if a process that it forked returns from it."""
    own = os.getpid()
    try:
        yield
    except BaseException as error:
        if os.getpid() == own:
            raise
        if isinstance(error, SystemExit):
            raise ForkedEnd(error.code) from None
        traceback.print_exception(error)
        raise ForkedEnd(1) from None
    if os.getpid() != own:
        raise ForkedEnd(0)
