"""The small process above a worker: no process that the worker started outlives it.

Training code starts processes: data loaders, compilers, other programs. Some leave the session of
the worker, or outlive the process that started them. The kernel makes this process the parent of
every orphan below it (PR_SET_CHILD_SUBREAPER), so it can end all of them when the worker has ended,
when the template is gone, which ends with the agent, or when the agent asks for it.
"""

import os
import resource
import signal
import socket
import sys
from contextlib import suppress

from tuner.fork_protocol import Ended, answer
from tuner.messages import END_WORKER
from tuner.processes import descendants_of
from tuner.worker import process

_FORWARDED = (signal.SIGTERM, signal.SIGUSR1)  # save and leave; write all stacks to the log
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)
_LOOK_SECONDS = 0.05  # between looks for processes that were started while others were ended


def under_reaper(template: int, answers: socket.socket) -> None:
    """Fork: the child returns and continues as the worker, the parent supervises it and exits.

    The parent exits with the worker's status, which it sends to `answers` first. `template` is the
    process id of its own parent, with which it ends, and the worker too. Call it while the process
    has one thread.
    """
    if sys.platform != "linux":
        return
    handled = {*_FORWARDED, END_WORKER, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    process.prctl(process.PR_SET_CHILD_SUBREAPER, 1)
    process.prctl(process.PR_SET_PDEATHSIG, END_WORKER)
    if os.getppid() != template:
        os._exit(0)  # it ended before the kernel could report it
    worker = os.fork()
    if worker == 0:
        os.setsid()  # a signal to the worker's group does not end its reaper
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        answers.close()
        return
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    _close_files(except_for=answers.fileno())
    status = _Reaper(worker).run(handled)
    # Now, not by the template: this process takes some milliseconds to end.
    answer(answers, Ended(exit_code=os.waitstatus_to_exitcode(status)))
    _exit_like(status)


class _Reaper:
    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._status: int | None = None

    def run(self, handled: set[signal.Signals]) -> int:
        """Wait for the end of the worker and everything below it; return its wait status."""
        while self._status is None:
            number = signal.sigwait(handled)
            if number in _FORWARDED:
                with suppress(ProcessLookupError):
                    os.kill(self._worker, number)
            elif number == END_WORKER:
                break
            self._reap()
        me = os.getpid()
        while self._reap():
            for pid in descendants_of(me):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            signal.sigtimedwait({signal.SIGCHLD}, _LOOK_SECONDS)
        assert self._status is not None
        return self._status

    def _reap(self) -> bool:
        """Collect ended children; return whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._worker:
                self._status = status


def _close_files(except_for: int) -> None:
    """Close the worker's files, so that its end closes its pipes."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    # Not all numbers up to the limit: that may be a billion, and take minutes.
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own descriptor is closed by now
            if int(name) > 2 and int(name) != except_for:
                os.close(int(name))


def _exit_like(status: int) -> None:
    """End as the worker did: with its exit code, or by its signal."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the worker's own is the one of use
        with suppress(OSError, ValueError):  # SIGKILL has no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)
