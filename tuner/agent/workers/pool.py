"""The worker processes of this machine: start, send, listen, end."""

import os
import queue
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from tuner.agent.devices import Device
from tuner.agent.events import Event, WorkerPrinted
from tuner.agent.workers.left_behind import RecordedWorker, WorkerRecord
from tuner.agent.workers.listener import EXIT_SECONDS, Listener
from tuner.agent.workers.process import (
    Place,
    Worker,
    build_places,
    end_worker,
    start_worker,
    wait_for_end,
)
from tuner.messages import (
    Setup,
    ToWorker,
    encode,
)
from tuner.processes import started_at
from tuner.study_file.kinds.objective import Objective

SHOW_SECONDS = 3.0  # between two reads of a worker's output: each rewrites the stored tail


class WorkerPool:
    """All worker processes of a machine by place; `listener` turns messages into events.

    `start`, `send`, `replace` and `kill` are for the main thread: a worker's parent-death signal is
    tied to the thread that started it.
    """

    def __init__(self, places: Sequence[Place], *, kind: str, has_spare: bool = False) -> None:
        """Build the pool for a kind of objective, "trainer" or "function".

        A spare is an additional worker, loaded and without a place, that replaces the next one that
        ends.
        """
        self.inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.workers: dict[int, Worker] = {}
        self._kind = kind
        self._spare: Worker | None = None
        self._setup: Setup | None = None
        self._agent_id: UUID | None = None
        self._listener = Listener(self.inbox)
        for place in places:
            self._adopt(self._start(place))
        if has_spare:
            self._spare = self._start(places[0])
        self._listener.start()

    def set_up(self, setup: Setup, agent_id: UUID | None = None) -> None:
        """Send the setup to every worker, and later to each replacement.

        From now on they are recorded in the spool under the agent's id, if one is given.
        """
        self._setup, self._agent_id = setup, agent_id
        self._listener.setup = setup
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
            pass  # the listener will report its end

    def clear_log(self, pid: int) -> None:
        """Forget its output so far: it belongs to the previous attempt."""
        self._listener.clear_log(self.workers[pid])

    @property
    def are_devices_shared(self) -> bool:
        names = [worker.place.device.name for worker in self.workers.values()]
        return len(set(names)) < len(names)

    def new_output(self, now: float) -> list[WorkerPrinted]:
        """Return the logs that have grown since the last call, each at limited intervals."""
        grown = []
        for worker in self.workers.values():
            if worker.log.n_bytes > worker.n_shown and now - worker.shown_at >= SHOW_SECONDS:
                worker.shown_at = now
                tail, n_bytes = self._listener.printed(worker)
                worker.n_shown = n_bytes
                grown.append(WorkerPrinted(worker=worker.pid, tail=tail, n_bytes=n_bytes))
        return grown

    def dump_stacks(self, pid: int) -> None:
        """Make a worker write the stacks of its threads into its log."""
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGUSR1)

    def kill(self, pid: int) -> None:
        """End a worker and everything it has started."""
        end_worker(pid)

    def replace(self, pid: int) -> Worker:
        """Replace a worker that is gone."""
        gone = self.workers.pop(pid)
        gone.ended.wait(EXIT_SECONDS)
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
        """End all workers; their checkpoints are saved by now."""
        self._listener.stop()  # ends from now on are no events
        everyone = self._everyone()
        for worker in everyone:
            self.kill(worker.pid)
        for worker in everyone:
            wait_for_end(worker)
        self._listener.close()
        for worker in everyone:
            self._close_pipes(worker)

    def _everyone(self) -> list[Worker]:
        return [*self.workers.values(), *([self._spare] if self._spare else [])]

    def _next_worker(self, place: Place) -> Worker:
        """Return the spare if it is alive, and start a new one."""
        spare = self._spare
        if spare is None:
            return self._adopt(self._start(place))
        self._spare = self._start(place)
        if spare.process.poll() is not None:
            spare.ended.wait(EXIT_SECONDS)  # the listener still has its pipes
            self._close_pipes(spare)
            return self._adopt(self._start(place))
        spare.place = place
        return self._adopt(spare)

    def _adopt(self, worker: Worker) -> Worker:
        self.workers[worker.pid] = worker
        return worker

    def _start(self, place: Place) -> Worker:
        worker = start_worker(place, self._kind)
        self._listener.add(worker)
        return worker

    def record(self) -> None:
        """Record a worker before it gets a trial: another agent may have to end it."""
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


@contextmanager
def open_workers(
    devices: Sequence[Device], processes: int, objective: Objective
) -> Iterator[WorkerPool]:
    """Start the workers at once: their imports take as long as the database's start.

    A function gets a fresh process for every trial; a spare is loaded meanwhile.
    """
    places = build_places(devices, processes)
    pool = WorkerPool(places, kind=objective.kind, has_spare=objective.is_single_use)
    try:
        yield pool
    finally:
        pool.close()
