"""One worker process: its place, and the ends of its pipes."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tuner.agent.devices import Device
from tuner.agent.workers.log import WorkerLog
from tuner.agent.workers.template import EXIT_SECONDS, ForkedProcess, Template
from tuner.messages import END_WORKER
from tuner.processes import children_of


@dataclass(frozen=True, kw_only=True)
class Place:
    name: str  # "gpu:0", or "gpu:0#1" for the second process on a device
    device: Device


@dataclass(kw_only=True)
class Worker:
    """One worker process and the ends of its pipes."""

    place: Place
    process: ForkedProcess  # its reaper (`tuner.worker.reaper`)
    write_fd: int
    read_fd: int
    log_fd: int
    pending: bytearray = field(default_factory=bytearray)  # a message's beginning
    log: WorkerLog = field(default_factory=WorkerLog)
    n_shown: int = 0  # bytes of the attempt's log that the agent has received
    shown_at: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)  # its pipe has ended
    asked_at: float = field(default_factory=time.monotonic)
    is_awaited: bool = False  # the listener reports the answer of its template
    has_answer: bool = False  # of its template, which the listener has seen
    is_set_up: bool = False
    _training_pid: int | None = None  # once it is known

    @property
    def pid(self) -> int:
        """Return the process id of its reaper, the process that the agent watches."""
        return self.process.pid

    @property
    def training_pid(self) -> int:
        """Return the training process below the reaper: the one that uses the device's memory."""
        if self._training_pid is None:
            self._training_pid = min(children_of(self.pid), default=None)
        return self.pid if self._training_pid is None else self._training_pid

    def end(self) -> None:
        """Ask the reaper to end the worker and everything below it, stopped ones included."""
        for number in END_SIGNALS:
            self.process.send_signal(number)

    def wait_for_end(self) -> int:
        """Return the exit code of a worker that is about to end; kill it if it does not end."""
        code = self.process.wait(EXIT_SECONDS)
        if code is None:
            self.end()
            code = self.process.wait(EXIT_SECONDS)
        while code is None:
            self.process.send_signal(signal.SIGKILL)
            code = self.process.wait(EXIT_SECONDS)
        return code

    def close(self) -> None:
        """Close all descriptors; call it after the end."""
        for descriptor in (self.write_fd, self.read_fd, self.log_fd):
            os.close(descriptor)
        self.process.close()


END_SIGNALS = (END_WORKER, signal.SIGCONT)


def start_worker(place: Place, template: Template) -> Worker:
    """Ask the template for a worker, which will wait for its setup."""
    their_read, write_fd = os.pipe()
    read_fd, their_write = os.pipe()
    log_fd, their_log = os.pipe()
    process = template.fork((their_read, their_write, their_log))
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
    )


def build_places(devices: Sequence[Device], processes: int) -> list[Place]:
    return [
        Place(name=device.name if processes == 1 else f"{device.name}#{index}", device=device)
        for device in devices
        for index in range(processes)
    ]
