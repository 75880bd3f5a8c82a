"""One worker process: its place, its environment, and the ends of its pipes."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tuner.agent.devices import Device
from tuner.agent.workers.log import WorkerLog
from tuner.messages import END_WORKER
from tuner.processes import children_of
from tuner.study.secrets import clean_environment

# -P: the working directory's modules must not stand in for the standard library's.
WORKER = (sys.executable, "-P", "-m", "tuner.worker", "train", "--kind")
# In the environment of the process above a worker, so that it is known again.
MARKER = "TUNER_WORKER"
EXIT_SECONDS = 10.0  # from the end of a worker's pipe to its exit


@dataclass(frozen=True, kw_only=True)
class Place:
    name: str  # "gpu:0", or "gpu:0#1" for the second process on a device
    device: Device


@dataclass(kw_only=True)
class Worker:
    """One child process and the ends of its pipes."""

    place: Place
    process: "subprocess.Popen[bytes]"
    write_fd: int
    read_fd: int
    log_fd: int
    pending: bytearray = field(default_factory=bytearray)  # a message's beginning
    log: WorkerLog = field(default_factory=WorkerLog)
    marker: str = ""  # the value of `MARKER` in its environment
    exit_fd: int = -1  # readable once the process has exited; -1 where the kernel has no such
    n_shown: int = 0  # bytes of the attempt's log that the agent has received
    shown_at: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)  # its pipe has ended
    _training_pid: int | None = None  # once it is known

    @property
    def pid(self) -> int:
        """Return the process id of its reaper (`tuner.worker.reaper`), which the agent started."""
        return self.process.pid

    @property
    def training_pid(self) -> int:
        """Return the training process below the reaper: the one that uses the device's memory."""
        if self._training_pid is None:
            self._training_pid = min(children_of(self.pid), default=None)
        return self.pid if self._training_pid is None else self._training_pid


def worker_environment(environment: dict[str, str], device: Device) -> dict[str, str]:
    """Return a worker's environment: no credential, exactly its device, its share of threads."""
    n_threads = str(device.n_threads)
    return {
        # Waiting threads do not spin: next to another worker, spinning made an epoch ten times
        # longer.
        "OMP_WAIT_POLICY": "PASSIVE",
        **clean_environment(environment),
        "OMP_NUM_THREADS": n_threads,
        "MKL_NUM_THREADS": n_threads,
        **device.environment,
    }


def start_worker(place: Place, kind: str) -> Worker:
    """Spawn a worker for this kind of objective; it waits for its setup.

    Call it from the main thread: a worker's parent-death signal is tied to the thread that started
    it.
    """
    their_read, write_fd = os.pipe()
    read_fd, their_write = os.pipe()
    log_fd, their_log = os.pipe()
    marker = uuid.uuid4().hex
    process = subprocess.Popen(
        [*WORKER, kind],
        stdin=their_read,
        stdout=their_write,
        stderr=their_log,
        env={**worker_environment(dict(os.environ), place.device), MARKER: marker},
        start_new_session=True,  # Ctrl-C is the agent's to judge
    )
    for descriptor in (their_read, their_write, their_log):
        os.close(descriptor)
    for descriptor in (write_fd, read_fd, log_fd):
        os.set_blocking(descriptor, False)
    return Worker(
        place=place,
        process=process,
        write_fd=write_fd,
        read_fd=read_fd,
        log_fd=log_fd,
        marker=marker,
    )


def end_worker(pid: int) -> None:
    """Ask a worker's reaper to end the worker and everything below it, stopped ones included."""
    for number in (END_WORKER, signal.SIGCONT):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def wait_for_end(worker: Worker) -> int:
    """Return the exit code of a worker that is about to end; kill it if it does not end."""
    with suppress(subprocess.TimeoutExpired):
        return worker.process.wait(EXIT_SECONDS)
    end_worker(worker.pid)
    with suppress(subprocess.TimeoutExpired):
        return worker.process.wait(EXIT_SECONDS)
    worker.process.kill()
    return worker.process.wait()


def build_places(devices: Sequence[Device], processes: int) -> list[Place]:
    return [
        Place(name=device.name if processes == 1 else f"{device.name}#{index}", device=device)
        for device in devices
        for index in range(processes)
    ]
