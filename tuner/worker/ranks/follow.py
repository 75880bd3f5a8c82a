"""A trial of a function in several processes, as its worker follows them."""

import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Protocol

from tuner.cgroups import Cgroups
from tuner.messages import (
    BadMessage,
    Continue,
    FromWorker,
    Left,
    Ready,
    Setup,
    Start,
    Stop,
    decode,
    encode,
)
from tuner.study.verdict import Outcome
from tuner.training.lane import Lane
from tuner.worker.exits import Exit
from tuner.worker.programs.output import Lines, Log
from tuner.worker.programs.process import Process, open_process
from tuner.worker.ranks.failures import outcome_of_ranks, print_tail, read_failed, read_raised
from tuner.worker.ranks.place import PLACE, SOCKET, START, in_ranks

_WAIT_SECONDS = 0.05  # for an answer of the agent, between two looks at the ranks
_READ_SECONDS = 0.2
LEAVE_SECONDS = 30.0  # for the other ranks, after the first one has left
_CHUNK = 65536
# Errors of torch.distributed about another rank.
_LOST = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|DistNetwork", re.I)


class Followed(Protocol):
    """A lane whose trial another process trains."""

    @property
    def start(self) -> Start:
        """Return the message with which it begins."""

    @property
    def is_released(self) -> bool:
        """Return whether it was asked to save and leave."""

    def relay(self, forward: Callable[[Continue | Stop], None]) -> None:
        """Pass answers on to that process from now on."""

    def pass_on(self, message: FromWorker) -> None:
        """Take a message of that process, in any thread."""

    def wait(self, seconds: float) -> None:
        """Wait for an answer."""


def train_in_ranks(setup: Setup, followed: Followed, lane: Lane, module: str) -> Exit:
    """Train a trial with `setup.n_ranks` processes; return how its lane left.

    `module`: the program of each rank, which finds its messages in the folder of `PLACE`.
    """
    with TemporaryDirectory(prefix="tuner-ranks-") as name:
        folder = Path(name)
        (folder / START).write_bytes(encode(setup) + encode(followed.start))
        command = in_ranks([sys.executable, "-P", "-m", module], setup.n_ranks, folder)
        # torchrun ends all ranks at a signal; here the agent decides, and sends a message.
        variables = {
            PLACE: name,
            "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGQUIT",
            "OMP_NUM_THREADS": str(setup.n_threads),
        }
        n_oom_before = Cgroups().n_oom_kills()
        with (
            _open_relay(folder / SOCKET, followed) as relay,
            open_process(command, {**os.environ, **variables}, Path(setup.folder)) as process,
        ):
            log = _follow(process, relay, followed)
        if relay.left is not None:
            return _exit_of(lane, relay.left)
        if followed.is_released:
            return Exit(lane=lane, how=Outcome.RELEASED)
        has_oom_kill = Cgroups().n_oom_kills() > n_oom_before
        return _failed(lane, folder, setup.n_ranks, process.exit_code, log, has_oom_kill)


def _follow(process: Process, relay: "_Relay", lane: Followed) -> Log:
    """Pass messages and output on until all ranks have ended."""
    log = Log()
    reader = threading.Thread(target=_read, args=(process, log), name="output")
    reader.start()
    left_at: float | None = None
    while reader.is_alive():
        lane.wait(_WAIT_SECONDS)
        if relay.left is not None:
            left_at = left_at or monotonic()
            if monotonic() - left_at > LEAVE_SECONDS:
                process.end()
    reader.join()
    return log


def _read(process: Process, log: Log) -> None:
    lines: dict[int, Lines] = {}
    while not process.is_over:
        for stream, chunk in process.read(_READ_SECONDS):
            log.add(chunk)
            for line in lines.setdefault(stream, Lines()).feed(chunk):
                log.note(line)
        log.flush_due()
    for rest in lines.values():
        for line in rest.finish():
            log.note(line)
    log.flush()


class _Relay:
    """Passes messages between the first rank and the agent."""

    def __init__(self, listener: socket.socket, lane: Followed) -> None:
        self.left: Left | None = None  # the first rank's last message
        self._listener, self._lane = listener, lane
        self._lock = threading.Lock()
        self._rank: socket.socket | None = None
        self._waiting: list[Continue | Stop] = []  # for the first rank to connect
        self._thread = threading.Thread(target=self._work, name="ranks", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._lane.relay(self.forward)

    def forward(self, message: Continue | Stop) -> None:
        """Send an answer of the agent to the first rank."""
        with self._lock:
            if self._rank is None:
                self._waiting.append(message)
                return
            with suppress(OSError):
                self._rank.sendall(encode(message))

    def close(self) -> None:
        for each in (self._listener, self._rank):
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)  # a waiting `accept` or `recv` returns
        self._thread.join()
        self._listener.close()
        if self._rank is not None:
            self._rank.close()

    def _work(self) -> None:
        with suppress(OSError):  # closed, or the rank was killed
            self._pass_on()

    def _pass_on(self) -> None:
        rank, _ = self._listener.accept()
        with self._lock:
            self._rank = rank
            for message in self._waiting:
                rank.sendall(encode(message))
        pending = b""
        while content := rank.recv(_CHUNK):
            *lines, pending = (pending + content).split(b"\n")
            for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            message = decode(line)
        except BadMessage:
            return
        if isinstance(message, Left):
            self.left = message
        elif isinstance(message, FromWorker) and not isinstance(message, Ready):
            self._lane.pass_on(message)


@contextmanager
def _open_relay(path: Path, lane: Followed) -> Iterator[_Relay]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    relay = _Relay(listener, lane)
    relay.start()
    with closing(relay):
        yield relay


def _exit_of(lane: Lane, left: Left, message: str = "") -> Exit:
    return Exit(
        lane=lane,
        how=left.how,
        value=left.value,
        message=message or left.message,
        traceback=left.traceback,
        facts=left.facts,
    )


def _failed(
    lane: Lane,
    folder: Path,
    n_ranks: int,
    exit_code: int | None,
    log: Log,
    has_oom_kill: bool,
) -> Exit:
    """Return the failure of the rank at fault: one that was killed, or the first that raised."""
    failed, raised = read_failed(folder), read_raised(folder, n_ranks)
    if raised and (failed is None or failed.exit_code >= 0):
        # A rank that ends makes the others fail: they lose the connection to it.
        own = [each for each in raised if not _LOST.search(each.left.message)]
        first = (own or raised)[0]
        print_tail(folder, first.rank)
        is_same = len(raised) == n_ranks and len({each.left.message for each in raised}) == 1
        message = first.left.message if is_same else f"rank {first.rank}: {first.left.message}"
        return _exit_of(lane, first.left, message)
    how, message = outcome_of_ranks(exit_code or 1, log.tail, folder, has_oom_kill=has_oom_kill)
    return Exit(lane=lane, how=how, message=message)
