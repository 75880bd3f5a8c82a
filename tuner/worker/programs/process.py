"""The process of a program: its output, its signals, and its end."""

import os
import selectors
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

from tuner.trial.ends import Mistake

_CHUNK = 1 << 18  # bytes
_DRAIN_SECONDS = 2.0  # for the output of processes that outlive the program
_POLL_SECONDS = 0.05


class Process:
    """A program in a session of its own, with its output and its errors as two streams."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._selector = selectors.DefaultSelector()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ)
        self._ended_at: float | None = None
        self._is_ended = False

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal; None while the program runs."""
        return self._process.poll()

    def read(self, seconds: float) -> Iterator[tuple[int, bytes]]:
        """Yield new output with the number of its stream, after waiting for some."""
        if not self._selector.get_map():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return
        for key, _ in self._selector.select(min(seconds, self._patience())):
            stream = key.fileobj
            assert not isinstance(stream, int)
            chunk = os.read(stream.fileno(), _CHUNK)
            if not chunk:
                self._selector.unregister(stream)
            yield key.fd, chunk

    def _patience(self) -> float:
        return _POLL_SECONDS if self._process.poll() is not None else float("inf")

    @property
    def is_over(self) -> bool:
        """Return whether the program has ended and its output is read.

        Processes that it left behind may keep the streams open: they get two more seconds.
        """
        if self._process.poll() is None:
            return False
        if not self._selector.get_map():
            return True
        if self._ended_at is None:
            self._ended_at = monotonic()
        return monotonic() - self._ended_at >= _DRAIN_SECONDS

    def signal(self, number: int) -> None:
        """Send a signal to the program and to all processes of its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def end(self) -> None:
        """Kill what is left of the group, and wait for the program."""
        if not self._is_ended:
            self._is_ended = True  # from now on, its id may be another process's
            self.signal(signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        """End the program, and close its streams."""
        self.end()
        self._selector.close()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def open_process(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[Process]:
    """Start a program in a folder; raises `Mistake` if it does not exist or cannot be run.

    Processes that leave its session end with the worker, by its reaper.
    """
    program = arguments[0]
    # A path is relative to the folder, and a name is looked up in the program's own PATH.
    found = shutil.which(
        str(folder / program) if "/" in program else program, path=environment.get("PATH")
    )
    if found is None:
        raise Mistake(f"there is no program {program} on this machine, or it is not executable")
    with _plain_interrupts():
        started = subprocess.Popen(
            arguments,
            executable=found,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
    process = Process(started)
    try:
        yield process
    finally:
        process.close()


@contextmanager
def _plain_interrupts() -> Iterator[None]:
    """Start a program with SIGINT as usual: it would inherit that the worker ignores it."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
