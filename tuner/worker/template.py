"""`python -m tuner.worker template --kind K`: the process from which a machine's workers fork.

It has loaded the modules that a worker of this kind needs, which takes seconds. It has one thread
and no context of a device, and it runs no operator of torch, whose threads would be missing in a
fork: a process forked from it begins at once, as if it had loaded everything itself.
"""

import argparse
import gc
import os
import selectors
import signal
import socket
import sys
import traceback
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tuner.fork_protocol import Ended, Forked, Refused, Request, answer, receive_request
from tuner.processes import children_of, descendants_of
from tuner.worker import process
from tuner.worker.bad_code import BadCode
from tuner.worker.huge_pages import HugePages
from tuner.worker.import_watch import watch
from tuner.worker.kinds.table import TRAININGS
from tuner.worker.objective import Preload, Training
from tuner.worker.reaper import under_reaper
from tuner.worker.source_files import FileState, file_states
from tuner.worker.streams import take_streams
from tuner.worker.train import train

_LOOK_SECONDS = 0.05  # between looks at children whose end the kernel does not announce
_QUIET_SECONDS = 0.02  # without a request, after which a part of the memory becomes a huge page
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)  # only the agent ends it
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_MAX_NOTE = 600  # characters


def main(arguments: list[str], hidden: Mapping[str, str]) -> int:
    """Fork workers until the agent is gone, and return the exit code; or be one of the workers.

    `hidden`: variables that the user's code must not see.
    """
    parser = argparse.ArgumentParser(prog="python -m tuner.worker template")
    parser.add_argument("--kind", choices=TRAININGS, required=True)
    parser.add_argument("--preload", nargs=2, metavar=("NAME", "FOLDER"), default=None)
    parser.add_argument("--note", default="")
    parser.add_argument("--child", nargs=2, type=int, action="append", default=[])
    options = parser.parse_args(arguments)
    if not _ends_with_parent():
        return 0
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    process.prctl(process.PR_SET_CHILD_SUBREAPER, 1)  # for what is below a reaper that is killed
    started = _Started(
        kind=options.kind, folder=_working_folder(), environment={**os.environ, **hidden}
    )
    os.environ[_BLAS_THREADS] = "1"  # more would be started with the import
    training, failure = _load(options.kind)
    template = _Template(_take_control(), started, dict(options.child))
    if training is not None and training.preload is not None and options.preload is not None:
        template.preload(training.preload, *options.preload)
    template.note = options.note
    template.is_forked_often = training is not None and training.is_forked_often
    if not template.run():
        return 0
    started.restore()
    _work(training, failure)


@dataclass(frozen=True, kw_only=True)
class _Started:
    """How this process was started, to be started again and to be undone in a worker."""

    kind: str
    folder: str | None
    environment: Mapping[str, str]

    def restore(self) -> None:
        """Give a worker its number of threads back, for libraries that it imports itself."""
        if os.environ.get(_BLAS_THREADS) != "1":
            return  # the import of the user's code has changed it
        if _BLAS_THREADS in self.environment:
            os.environ[_BLAS_THREADS] = self.environment[_BLAS_THREADS]
        else:
            del os.environ[_BLAS_THREADS]

    def again(self, control: socket.socket, more: Sequence[str]) -> NoReturn:
        """Become a new template in this process: its children, pipes and requests stay."""
        command = [sys.executable, "-P", "-m", "tuner.worker", "template", "--kind", self.kind]
        if self.folder is not None:
            with suppress(OSError):
                os.chdir(self.folder)
        os.dup2(control.fileno(), 0)
        os.execve(sys.executable, [*command, *more], self.environment)


def _working_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it has been removed


def _take_control() -> socket.socket:
    """Keep standard input, on which requests come; for the user's code it is empty."""
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return control


def _ends_with_parent() -> bool:
    """Let the kernel kill this process with its agent; return whether there still is one."""
    agent = os.getppid()
    process.prctl(process.PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == agent


def _load(kind: str) -> tuple[Training | None, str]:
    """Import the kind's modules; the traceback of an error is for the workers' logs."""
    # Imported modules stay: collecting garbage during the import takes a quarter of the time, and
    # a collection in a worker would copy every page that it shares with the template.
    gc.disable()
    try:
        return TRAININGS[kind](), ""
    except Exception:
        return None, traceback.format_exc()
    finally:
        _keep_what_is_loaded()


def _keep_what_is_loaded() -> None:
    """Let no worker take apart the modules that all of them use."""
    gc.freeze()
    for finalizer in tuple(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False  # torch's take its operators apart, for 30 ms


def _work(training: Training | None, failure: str) -> NoReturn:
    """Be a worker: the standard streams are its own by now."""
    gc.enable()
    streams = take_streams()
    if training is None:
        sys.stderr.write(failure)
        process.leave(1)
    process.leave(train(training, streams))


class _Template:
    def __init__(
        self, control: socket.socket, started: _Started, children: Mapping[int, int]
    ) -> None:
        """Build it; `children`: those of the template that this process was, with their sockets."""
        self.note = ""  # for the user
        self.is_forked_often = False
        self._control = control
        self._started = started
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._children: dict[int, socket.socket] = {}  # by process id
        self._pid_fds: dict[int, int] = {}
        self._has_orphans = False  # of a reaper that was killed
        self._preloaded: tuple[str, str] | None = None
        self._files: Mapping[Path, FileState] = {}
        self._huge_pages: HugePages | None = None  # since the first fork, which is waited for
        for pid, descriptor in children.items():
            os.set_inheritable(descriptor, False)
            self._add(pid, socket.socket(fileno=descriptor))

    def preload(self, load: Preload, name: str, folder: str) -> None:
        """Import the user's code; if that does more than defining names, start again without."""
        failure = ""
        with watch() as found:
            try:
                self._files = load(name, folder)
            except BadCode as error:
                failure = str(error)
        if found or failure:
            self._end_others()
            why = f"because importing it {found[0]}" if found else f"because {failure}"
            self._again(["--note", _line(f"{name.rpartition(':')[0]} is not preloaded, {why}")])
        self._preloaded = (name, folder)
        for number in _IGNORED:  # the user's code may have set handlers
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        process.keep_files()
        _keep_what_is_loaded()

    def _again(self, more: Sequence[str]) -> NoReturn:
        children = []
        for pid, answers in self._children.items():
            os.set_inheritable(answers.fileno(), True)
            children += ["--child", str(pid), str(answers.fileno())]
        self._started.again(self._control, [*more, *children])

    def _end_others(self) -> None:
        """End the processes that the import has started."""
        reapers = set(self._children)
        kept = reapers.union(*(descendants_of(pid) for pid in reapers))
        _kill(*set(descendants_of(os.getpid())) - kept)

    def run(self) -> bool:
        """Fork and reap; return False when the agent is gone, and True in a worker."""
        while True:
            events = self._selector.select(self._patience())
            if not events and self._huge_pages is not None and not self._huge_pages.is_done:
                self._huge_pages.take_next()
            for key, _ in events:
                if key.fileobj is self._control:
                    if self._preloaded and self._files != file_states(self._files):
                        self._again(["--preload", *self._preloaded])
                    request = receive_request(self._control)
                    if request is None:
                        return False
                    if self._fork(request):
                        return True
            self._reap()

    def _patience(self) -> float | None:
        """Return for how long to wait for a request; None: until one comes."""
        if self._huge_pages is not None and not self._huge_pages.is_done:
            return _QUIET_SECONDS
        is_watched = len(self._pid_fds) == len(self._children) and not self._has_orphans
        return None if is_watched else _LOOK_SECONDS

    def _fork(self, request: Request) -> bool:
        """Fork a reaper and, below it, a worker; return True in the worker."""
        template = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            answer(request.answers, Refused(reason=str(error)))
            request.answers.close()
            _close(request.streams)
            return False
        if pid == 0:
            self._begin(request)
            under_reaper(template, request.answers)
            return True
        self._add(pid, request.answers)
        forked = Forked(pid=pid, pid_fd=self._pid_fds.get(pid, -1), note=self.note)
        answer(request.answers, forked)
        self.note = ""
        _close(request.streams)
        if self.is_forked_often and self._huge_pages is None:
            self._huge_pages = HugePages()
        return False

    def _add(self, pid: int, answers: socket.socket) -> None:
        self._children[pid] = answers
        with suppress(OSError):  # kernels before 5.3 and some sandboxes refuse
            pid_fd = os.pidfd_open(pid)
            self._selector.register(pid_fd, selectors.EVENT_READ)
            self._pid_fds[pid] = pid_fd

    def _begin(self, request: Request) -> None:
        """Leave the template's session and files, and take the worker's standard streams."""
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        for number, descriptor in enumerate(request.streams):
            os.dup2(descriptor, number)
        _close(request.streams)
        self._selector.close()
        self._control.close()
        for answers in self._children.values():
            answers.close()
        _close(self._pid_fds.values())

    def _reap(self) -> None:
        """Collect the ended children, and pass their exit codes on."""
        has_ended = False
        with suppress(ChildProcessError):  # none is left
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                has_ended = True
                if pid in self._children:
                    self._forget(pid, os.waitstatus_to_exitcode(status))
        if has_ended or self._has_orphans:
            self._has_orphans = self._end_orphans()

    def _forget(self, pid: int, exit_code: int) -> None:
        answers = self._children.pop(pid)
        answer(answers, Ended(exit_code=exit_code))
        answers.close()
        if pid in self._pid_fds:
            pid_fd = self._pid_fds.pop(pid)
            self._selector.unregister(pid_fd)
            os.close(pid_fd)

    def _end_orphans(self) -> bool:
        """End the processes of a killed reaper, which are now below this one; return if any was."""
        orphans = set(children_of(os.getpid())) - set(self._children)
        for orphan in orphans:
            _kill(orphan, *descendants_of(orphan))
        return bool(orphans)


def _kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _line(text: str) -> str:
    """Return the text as an argument of a command: an error of the user's code may say anything."""
    return text.encode(errors="replace").decode().replace("\0", "")[:_MAX_NOTE]


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
