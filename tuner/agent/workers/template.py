"""The template of this machine's workers, as the agent sees it, and the processes that it forks."""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, sleep

from tuner.errors import RunFailed
from tuner.fork_protocol import Ended, Forked, Refused, ask, open_channel, receive_answer
from tuner.processes import exists
from tuner.study.secrets import clean_environment

# -P: the working directory's modules must not stand in for the standard library's.
TEMPLATE = (sys.executable, "-P", "-m", "tuner.worker", "template", "--kind")
# In the environment of a template, and of every process that is forked from it.
MARKER = "TUNER_WORKER"
EXIT_SECONDS = 10.0  # from the end of a worker's pipe to its exit
START_SECONDS = 300.0  # for the imports, on a busy machine with a cold network file system
_LOOK_SECONDS = 0.02
_MAX_OUTPUT = 4096  # bytes of a template's last words


class TemplateGone(Exception):
    """The template ended before it forked a process."""


class ForkedProcess:
    """A process that a template forks; it may not exist yet."""

    def __init__(self, template: "Template", answers: socket.socket) -> None:
        self.template = template
        self._answers = answers
        self._starting, self._lock = threading.Lock(), threading.Lock()
        self._forked: Forked | None = None
        self._exit_code: int | None = None

    @property
    def exit_fd(self) -> int:
        """Return a descriptor that becomes readable with the end of a process that has started."""
        return self._answers.fileno()

    @property
    def has_answer(self) -> bool:
        """Return whether the template has answered, so that nothing waits for the start."""
        return self._forked is not None or _is_readable(self._answers.fileno(), 0.0)

    @property
    def pid(self) -> int:
        """Return its process id; wait for its start. Raises `TemplateGone`, `RunFailed`."""
        return self._start().pid

    @property
    def note(self) -> str:
        """Return a note of the template about itself, once the process has started."""
        return self._start().note

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs; negative: the signal that ended it."""
        return self.wait(0.0)

    def wait(self, seconds: float) -> int | None:
        """Wait for the end; return as `poll` does."""
        forked, until = self._start(), monotonic() + seconds
        with self._lock:
            if self._exit_code is None:
                self._answers.settimeout(seconds)
                with suppress(TimeoutError, BlockingIOError):
                    ended = receive_answer(self._answers)
                    if isinstance(ended, Ended):
                        self._exit_code = ended.exit_code
                    elif _is_gone(forked, max(0.0, until - monotonic())):
                        # Its exit code is lost with the template, which ends it by a signal.
                        self._exit_code = -signal.SIGKILL
            return self._exit_code

    def send_signal(self, number: int) -> None:
        """Send a signal; one to a process that has ended is dropped."""
        forked = self._start()
        with suppress(ProcessLookupError, PermissionError):
            if forked.pid_fd >= 0:
                signal.pidfd_send_signal(forked.pid_fd, number)
            elif self._exit_code is None:
                os.kill(forked.pid, number)

    def close(self) -> None:
        """Close the descriptors; call it after the end."""
        self._answers.close()
        if self._forked is not None and self._forked.pid_fd >= 0:
            os.close(self._forked.pid_fd)

    def _start(self) -> Forked:
        with self._starting:
            while self._forked is None:
                self._answers.settimeout(START_SECONDS)
                try:
                    answer = receive_answer(self._answers)
                except TimeoutError:
                    raise not_started() from None
                match answer:
                    case Forked():
                        self._forked = answer
                    case Ended(exit_code=exit_code):
                        # A short trial's reaper may answer before the template, which forked it.
                        self._exit_code = exit_code
                    case Refused(reason=reason):
                        raise RunFailed(f"this machine starts no more processes: {reason}")
                    case None:
                        raise TemplateGone
            return self._forked


def _is_gone(forked: Forked, seconds: float) -> bool:
    """Wait for the end of a process whose exit code is not known; return whether it has ended."""
    if forked.pid_fd >= 0:
        return _is_readable(forked.pid_fd, seconds)
    until = monotonic() + seconds
    while exists(forked.pid) and monotonic() < until:
        sleep(_LOOK_SECONDS)
    return not exists(forked.pid)


def _is_readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()  # which takes any number of a descriptor
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def not_started() -> RunFailed:
    """Return the error of a template that has not answered for too long."""
    return RunFailed(f"no worker has started within {START_SECONDS:.0f} s")


class Template:
    """A running template; it ends with this process, and its workers with it."""

    def __init__(
        self,
        kind: str,
        n_threads: int,
        marker: str = "",
        preloaded: tuple[str, str] | None = None,
    ) -> None:
        """Start it for a kind of objective, and for workers with so many threads.

        `preloaded`: the name of a function and the folder to which it is relative, to be imported.
        `marker` is in the environment of it and of its workers, so that they are known again. Call
        it from the main thread: its parent-death signal is tied to the thread that started it.
        """
        self._how: str | None = None  # it has ended
        self._control, theirs = open_channel()
        with tempfile.TemporaryFile() as output, theirs:
            self._output = os.dup(output.fileno())
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [*TEMPLATE, kind, *(("--preload", *preloaded) if preloaded else ())],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=output,
                env={**worker_environment(dict(os.environ), n_threads), MARKER: marker},
                start_new_session=True,  # Ctrl-C is the agent's to judge
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, streams: Sequence[int]) -> ForkedProcess:
        """Ask for a process with these standard streams; do not wait for it."""
        ours, theirs = open_channel()
        with theirs, suppress(OSError):  # it is gone: the answer will say so
            ask(self._control, streams, theirs)
        return ForkedProcess(self, ours)

    def how_it_ended(self) -> str:
        """Wait for its end, and describe it; end it if it forks no more."""
        if self._how is None:
            self._how = self._describe_end()
        return self._how

    def _describe_end(self) -> str:
        try:
            code = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        size = os.fstat(self._output).st_size
        content = os.pread(self._output, _MAX_OUTPUT, max(0, size - _MAX_OUTPUT))
        lines = content.decode(errors="replace").strip().splitlines()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"the process that starts them ended {how}" + (f": {lines[-1]}" if lines else "")

    def close(self) -> None:
        """End it; workers that still run end with it."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        os.close(self._output)


def worker_environment(environment: dict[str, str], n_threads: int) -> dict[str, str]:
    """Return a worker's environment: no credential, and its share of threads."""
    return {
        # Waiting threads do not spin: next to another worker, spinning made an epoch ten times
        # longer.
        "OMP_WAIT_POLICY": "PASSIVE",
        **clean_environment(environment),
        "OMP_NUM_THREADS": str(n_threads),
        "MKL_NUM_THREADS": str(n_threads),
    }
