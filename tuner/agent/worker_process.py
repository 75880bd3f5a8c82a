"""One worker process: where it runs, what it may see, the ends of its pipes."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from tuner.agent.devices import Device
from tuner.agent.worker_log import WorkerLog
from tuner.study.secrets import clean_environment

# -P: the working directory's modules must not stand in for the standard library's.
WORKER = (sys.executable, "-P", "-m", "tuner.worker", "train", "--kind")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a worker runs."""

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
    exit_fd: int = -1  # readable once the process has exited; -1 where the kernel has no such
    n_shown: int = 0  # bytes of the attempt's log that were told to the agent
    shown_at: float = 0.0
    buried: threading.Event = field(default_factory=threading.Event)  # its pipe has ended

    @property
    def pid(self) -> int:
        return self.process.pid


def worker_environment(environment: dict[str, str], device: Device) -> dict[str, str]:
    """A worker's environment: no credential, exactly its device, its share of the threads."""
    n_threads = str(device.n_threads)
    return {
        # Threads that wait do not spin: beside another worker, they made an epoch ten times longer.
        "OMP_WAIT_POLICY": "PASSIVE",
        **clean_environment(environment),
        "OMP_NUM_THREADS": n_threads,
        "MKL_NUM_THREADS": n_threads,
        **device.environment,
    }


def start_worker(place: Place, kind: str) -> Worker:
    """Spawn a worker for this kind of objective; it waits for its setup.

    From the main thread: the parent-death signal that a worker asks for is tied to the thread
    that started it.
    """
    their_read, write_fd = os.pipe()
    read_fd, their_write = os.pipe()
    log_fd, their_log = os.pipe()
    process = subprocess.Popen(
        [*WORKER, kind],
        stdin=their_read,
        stdout=their_write,
        stderr=their_log,
        env=worker_environment(dict(os.environ), place.device),
        start_new_session=True,  # Ctrl-C is the agent's to judge
    )
    for descriptor in (their_read, their_write, their_log):
        os.close(descriptor)
    for descriptor in (write_fd, read_fd, log_fd):
        os.set_blocking(descriptor, False)
    return Worker(place=place, process=process, write_fd=write_fd, read_fd=read_fd, log_fd=log_fd)


def build_places(devices: Sequence[Device], processes: int) -> list[Place]:
    """`processes` workers on each device."""
    return [
        Place(name=device.name if processes == 1 else f"{device.name}#{index}", device=device)
        for device in devices
        for index in range(processes)
    ]
