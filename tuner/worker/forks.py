"""Processes that the user's code forks: they end as they would in a program of its own."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager


class ForkedEnd(SystemExit):
    """A process that the user's code has forked leaves: it must run nothing of ours."""


@contextmanager
def ending_forks() -> Iterator[None]:
    """Run the user's code; raise `ForkedEnd` where a process that it forked comes out of it."""
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
