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
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
_Files = io.IOBase.__bases__[0]  # the compiled base of all files
_LOG = 2  # standard error, whatever the user's code has put in the place of `sys.stderr`
_kept_files: list[weakref.ref[io.IOBase]] = []


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
    faulthandler.enable(_LOG)
    faulthandler.register(signal.SIGUSR1, _LOG)


def keep_files() -> None:
    """Flush the files that the user's code has opened; `leave` does so again in each fork.

    Call it before they are frozen: then no look for objects finds them.
    """
    files = _open_files()
    _flush(files)
    _kept_files.extend(map(weakref.ref, files))


def leave(code: int) -> NoReturn:
    """End this process as the interpreter does, but leave the modules of the template alone.

    To take them apart would take 0.2 s for torch, and copy the pages that are shared with the
    template. Threads are awaited, exit functions run, and open files are flushed.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    kept = (reference() for reference in _kept_files)
    files = [*_open_files(), *(file for file in kept if file is not None)]
    _flush(files)
    for file in files:
        if type(file).__module__ != "_io":  # such as a GzipFile, whose end is part of its content
            with suppress(Exception):
                file.close()
    _flush(files)
    os._exit(code)


def _open_files() -> list[io.IOBase]:
    """Return the open files since the template was loaded: what that has opened is frozen."""
    # By their types: `isinstance` would ask objects for a class that they may invent.
    return [each for each in gc.get_objects() if issubclass(type(each), _Files)]


def _flush(files: Iterable[io.IOBase]) -> None:
    """Flush files, text before the bytes below it."""
    texts = [file for file in files if isinstance(file, io.TextIOWrapper)]
    for file in (*texts, *files, sys.stdout, sys.stderr):
        with suppress(Exception):  # a full disk; closed; no file at all
            file.flush()


def _die_with_parent() -> None:
    # The kernel's promise holds whatever state we are in, a hung CUDA call included. A parent that
    # died before this line is noticed by the end of its pipe.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def prctl(option: int, value: int) -> None:
    """Set a property of this process in the kernel; do nothing on systems other than Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value)
