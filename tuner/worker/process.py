"""Setup of a worker process: it dies with its parent and shows where it hangs."""

import ctypes
import faulthandler
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36


def settle(on_terminate: Callable[[], None]) -> None:
    """Tie this process to its parent and install its signal handlers.

    SIGTERM calls `on_terminate`; SIGINT is ignored (a terminal sends it to all processes, and the
    agent decides); SIGUSR1 writes all stacks to the log, as fatal errors do.
    """
    _die_with_parent()
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: on_terminate())


def _die_with_parent() -> None:
    # The kernel's promise holds whatever state we are in, a hung CUDA call included. A parent that
    # died before this line is noticed by the end of its pipe.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def prctl(option: int, value: int) -> None:
    """Set a property of this process in the kernel; do nothing on systems other than Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value)
