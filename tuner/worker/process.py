"""Begin and end of a worker process: it dies with its parent, shows where it hangs, leaves fast."""

import atexit
import ctypes
import faulthandler
import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36


def settle(on_terminate: Callable[[], None]) -> None:
    """Tie this process to its parent and install its signal handlers.

    SIGTERM calls `on_terminate`; SIGINT is ignored (a terminal sends it to all processes, and the
    agent decides); SIGUSR1 writes all stacks to the log, as fatal errors do.
    """
    _die_with_parent()
    show_stacks()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: on_terminate())


def show_stacks() -> None:
    """Write all stacks to the log at SIGUSR1 and at fatal errors."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)


def leave(code: int) -> NoReturn:
    """End this process as the interpreter does, but leave the modules of the template alone.

    To take them apart would take 0.2 s for torch, and copy the pages that are shared with the
    template. Threads are awaited, exit functions run, and open files are flushed.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for each in gc.get_objects():  # only those since the start: the template's are frozen
        if isinstance(each, io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
            with suppress(OSError, ValueError):  # a full disk; closed
                each.flush()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _die_with_parent() -> None:
    # The kernel's promise holds whatever state we are in, a hung CUDA call included. A parent that
    # died before this line is noticed by the end of its pipe.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def prctl(option: int, value: int) -> None:
    """Set a property of this process in the kernel; do nothing on systems other than Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value)
