"""The worker processes of this machine: started, spoken to, listened to, ended."""

import math
import os
import queue
import selectors
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from tuner.agent.devices import Device
from tuner.agent.events import Event, HelperFailed, WorkerGone, WorkerPrinted, WorkerSaid
from tuner.agent.workers.left_behind import RecordedWorker, WorkerRecord
from tuner.agent.workers.process import (
    Place,
    Worker,
    build_places,
    end_worker,
    start_worker,
    wait_for_end,
)
from tuner.errors import RunFailed
from tuner.messages import (
    BadMessage,
    FromWorker,
    Kept,
    Left,
    Reported,
    Saved,
    Setup,
    ToWorker,
    decode,
    encode,
)
from tuner.processes import started_at
from tuner.study_file.kinds.objective import Objective

READ_BYTES = 1 << 16
SHOW_SECONDS = 3.0  # between two looks at what a worker prints: each rewrites the stored tail
EXIT_SECONDS = 10.0  # for the listener thread to notice an end
# Printed output and messages beyond this are a runaway worker's.
MAX_LINE_BYTES = 4 << 20


class WorkerPool:
    """All workers of a machine. Its listener thread turns what they say into events.

    `start`, `send`, `replace` and `kill` are for the main thread: the parent-death signal that a
    worker asks for is tied to the thread that started it.
    """

    def __init__(self, places: Sequence[Place], *, kind: str, has_spare: bool = False) -> None:
        """`kind`: of objective, "trainer" or "function". A spare is one more worker, loaded and
        without a place, that takes the place of the next one that ends.
        """
        self.inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.workers: dict[int, Worker] = {}
        self._kind = kind
        self._spare: Worker | None = None
        self._setup: Setup | None = None
        self._agent_id: UUID | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._arrivals: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of the logs
        self._is_closing = False
        self._listener = threading.Thread(target=self._listen, name="listener", daemon=True)
        for place in places:
            self._adopt(self._start(place))
        if has_spare:
            self._spare = self._start(places[0])
        self._listener.start()

    def set_up(self, setup: Setup, agent_id: UUID | None = None) -> None:
        """Tell every worker, and each that will replace one, what it is for.

        From now on they are recorded in the spool as those of an agent, if one is named.
        """
        self._setup, self._agent_id = setup, agent_id
        self.record()
        for worker in self.workers.values():
            self._send_setup(worker)

    def send(self, pid: int, message: ToWorker) -> None:
        """Send a message; one to a worker that is gone, or reads no more, is dropped."""
        worker = self.workers.get(pid)
        if worker is None:
            return
        try:
            os.write(worker.write_fd, encode(message))
        except BlockingIOError:
            self.kill(pid)  # it has not read for 64 KiB of messages
        except BrokenPipeError:
            pass  # the listener will tell of its end

    def clear_log(self, pid: int) -> None:
        """What it printed so far belongs to the attempt before."""
        with self._lock:
            worker = self.workers[pid]
            worker.log.clear()
            worker.n_shown = 0

    @property
    def are_devices_shared(self) -> bool:
        """Whether several workers run on one device."""
        names = [worker.place.device.name for worker in self.workers.values()]
        return len(set(names)) < len(names)

    def new_output(self, now: float) -> list[WorkerPrinted]:
        """The logs that have grown since one last looked, not too often of one worker."""
        grown = []
        for worker in self.workers.values():
            if worker.log.n_bytes > worker.n_shown and now - worker.shown_at >= SHOW_SECONDS:
                worker.shown_at = now
                tail, n_bytes = self._printed(worker)
                worker.n_shown = n_bytes
                grown.append(WorkerPrinted(worker=worker.pid, tail=tail, n_bytes=n_bytes))
        return grown

    def dump_stacks(self, pid: int) -> None:
        """Let a worker write where its threads stand into its log."""
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGUSR1)

    def kill(self, pid: int) -> None:
        """End a worker and everything it has started."""
        end_worker(pid)

    def replace(self, pid: int) -> Worker:
        """A new worker in the place of one that is gone."""
        gone = self.workers.pop(pid)
        gone.buried.wait(EXIT_SECONDS)
        self._close_pipes(gone)
        worker = self._next_worker(gone.place)
        self.record()
        if self._setup is not None:
            self._send_setup(worker)
        return worker

    def rest(self) -> None:
        """End all workers, the spare too, until `wake`; their devices are free meanwhile."""
        for worker in self._everyone():
            self.kill(worker.pid)

    def wake(self) -> list[Worker]:
        """Start a worker in every place again."""
        return [self.replace(pid) for pid in list(self.workers)]

    def close(self) -> None:
        """End all workers; what they were to save is saved by now."""
        self._is_closing = True
        everyone = self._everyone()
        for worker in everyone:
            self.kill(worker.pid)
        for worker in everyone:
            wait_for_end(worker)
        self._wake()
        self._listener.join(EXIT_SECONDS)
        for worker in everyone:
            self._close_pipes(worker)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _everyone(self) -> list[Worker]:
        return [*self.workers.values(), *([self._spare] if self._spare else [])]

    def _next_worker(self, place: Place) -> Worker:
        """The spare if there is one alive, and a new one in its stead."""
        spare = self._spare
        if spare is None:
            return self._adopt(self._start(place))
        self._spare = self._start(place)
        if spare.process.poll() is not None:
            spare.buried.wait(EXIT_SECONDS)  # the listener still has its pipes
            self._close_pipes(spare)
            return self._adopt(self._start(place))
        spare.place = place
        return self._adopt(spare)

    def _adopt(self, worker: Worker) -> Worker:
        self.workers[worker.pid] = worker
        return worker

    def _start(self, place: Place) -> Worker:
        worker = start_worker(place, self._kind)
        self._arrivals.put(worker)
        self._wake()
        return worker

    def record(self) -> None:
        """Before a trial is sent to a new worker: another agent may have to end it."""
        if self._setup is None or self._agent_id is None:
            return
        recorded = [
            RecordedWorker(pid=worker.pid, started_at=started, marker=worker.marker)
            for worker in self._everyone()
            if (started := started_at(worker.pid)) is not None
        ]
        WorkerRecord(agent_id=str(self._agent_id), workers=recorded).write(Path(self._setup.spool))

    def _send_setup(self, worker: Worker) -> None:
        assert self._setup is not None
        device = worker.place.device
        setup = replace(
            self._setup,
            device=device.torch_device,
            n_threads=device.n_threads,
            environment=device.environment,
        )
        self.send(worker.pid, setup)

    def _close_pipes(self, worker: Worker) -> None:
        for descriptor in (worker.write_fd, worker.read_fd, worker.log_fd):
            os.close(descriptor)

    def _wake(self) -> None:
        os.write(self._wake_write, b"x")

    def _listen(self) -> None:
        """The listener thread; without it the agent would be deaf, so it tells of its own end."""
        try:
            self._listen_until_closed()
        except Exception as error:
            failed = RunFailed(f"the listener thread failed: {type(error).__name__}: {error}")
            failed.__cause__ = error
            self.inbox.put(HelperFailed(error=failed))

    def _listen_until_closed(self) -> None:
        while not self._is_closing:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake_read, READ_BYTES)
                    self._welcome()
                else:
                    worker, what = key.data
                    if worker.buried.is_set():
                        continue  # just now: its descriptors may be another worker's already
                    self._attend(worker, what)

    def _attend(self, worker: Worker, what: str) -> None:
        match what:
            case "log":
                self._drain_log(worker)
            case "pipe":
                if self._hear(worker) == b"":
                    self._bury(worker)
            case _:
                # It has exited; a process that it has left behind may hold its pipe open.
                while self._hear(worker):
                    pass
                self._bury(worker)

    def _welcome(self) -> None:
        while not self._arrivals.empty():
            worker = self._arrivals.get()
            self._selector.register(worker.read_fd, selectors.EVENT_READ, (worker, "pipe"))
            self._selector.register(worker.log_fd, selectors.EVENT_READ, (worker, "log"))
            # Kernels before 5.3 and some sandboxes refuse: then the end of the pipe has to do.
            with suppress(OSError):
                worker.exit_fd = os.pidfd_open(worker.pid)
                self._selector.register(worker.exit_fd, selectors.EVENT_READ, (worker, "exit"))

    def _drain_log(self, worker: Worker) -> None:
        """Take what was printed, so that printing never blocks; keep the end of it."""
        while True:
            try:
                text = os.read(worker.log_fd, READ_BYTES)
            except BlockingIOError:
                return
            if not text:
                with suppress(KeyError):
                    self._selector.unregister(worker.log_fd)
                return
            with self._lock:
                worker.log.feed(text)

    def _printed(self, worker: Worker, *, is_end: bool = False) -> tuple[str, int]:
        """The end of what the attempt printed, and how many bytes that was in all."""
        with self._lock:
            if is_end:
                worker.log.finish()
            return worker.log.text(), worker.log.n_bytes

    def _hear(self, worker: Worker) -> bytes | None:
        """Take in what has come; empty at the end of the pipe, None when there is nothing now."""
        try:
            content = os.read(worker.read_fd, READ_BYTES)
        except BlockingIOError:
            return None
        if not content:
            return content
        worker.pending += content
        *lines, rest = bytes(worker.pending).split(b"\n")
        worker.pending = bytearray(rest)
        for line in lines:
            self._deliver(worker, line)
        if len(rest) > MAX_LINE_BYTES:
            self.kill(worker.pid)
        return content

    def _deliver(self, worker: Worker, line: bytes) -> None:
        try:
            message = decode(line)
        except BadMessage:
            return  # user code that writes on our descriptor harms only its own messages
        if not isinstance(message, FromWorker):
            return
        if isinstance(message, Saved | Kept) and not self._is_spooled(message):
            return
        tail, n_bytes = "", 0
        if isinstance(message, Left) or self._is_failing(message):
            self._drain_log(worker)
            tail, n_bytes = self._printed(worker, is_end=True)
        self.inbox.put(WorkerSaid(worker=worker.pid, message=message, tail=tail, n_bytes=n_bytes))

    def _is_spooled(self, saved: Saved | Kept) -> bool:
        """Whether a file is one that we may read and remove; user code may name any."""
        folder, name = os.path.split(saved.path)
        is_of_trial = name.startswith(f"{saved.number}-{saved.attempt}-") and "\0" not in name
        return self._setup is not None and folder == self._setup.spool and is_of_trial

    def _is_failing(self, message: FromWorker) -> bool:
        """Whether it will end its trial, so that the log is wanted with it."""
        if self._setup is None or not isinstance(message, Reported):
            return False
        return not math.isfinite(message.values.get(self._setup.metric, math.nan))

    def _bury(self, worker: Worker) -> None:
        """Its pipe has ended: it is about to exit, or made to."""
        self._selector.unregister(worker.read_fd)
        if worker.exit_fd >= 0:
            self._selector.unregister(worker.exit_fd)
            os.close(worker.exit_fd)
        exit_code = wait_for_end(worker)
        self._drain_log(worker)
        tail, n_bytes = self._printed(worker, is_end=True)
        with suppress(KeyError):
            self._selector.unregister(worker.log_fd)
        worker.buried.set()
        if not self._is_closing:
            gone = WorkerGone(worker=worker.pid, exit_code=exit_code, tail=tail, n_bytes=n_bytes)
            self.inbox.put(gone)


@contextmanager
def open_workers(
    devices: Sequence[Device], processes: int, objective: Objective
) -> Iterator[WorkerPool]:
    """Start the workers at once: their imports take as long as the database's start.

    A function gets a fresh process for every trial: a spare is loaded meanwhile.
    """
    places = build_places(devices, processes)
    pool = WorkerPool(places, kind=objective.kind, has_spare=objective.is_single_use)
    try:
        yield pool
    finally:
        pool.close()
