"""The worker processes of this machine: start, send, listen, end."""

import os
import queue
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

from tuner.agent.devices import Device
from tuner.agent.events import Event, TemplateNoted, WorkerPrinted
from tuner.agent.workers.left_behind import WorkerRecord
from tuner.agent.workers.listener import EXIT_SECONDS, Listener
from tuner.agent.workers.process import Place, Worker, build_places, start_worker
from tuner.agent.workers.template import Template, TemplateGone
from tuner.errors import RunFailed
from tuner.messages import (
    Setup,
    Start,
    ToWorker,
    encode,
)
from tuner.study_file.kinds.objective import Objective

_N_TEMPLATES = 3  # one may have been killed; that each ends before its first worker is no chance
SHOW_SECONDS = 3.0  # between two reads of a worker's output: each rewrites the stored tail


class WorkerPool:
    """All worker processes of a machine by place; `listener` turns messages into events.

    `send`, `replace` and `kill` are for the main thread: the template's parent-death signal is tied
    to the thread that started it.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        kind: str,
        has_spare: bool = False,
        preloaded: tuple[str, str] | None = None,
    ) -> None:
        """Build the pool for a kind of objective, "trainer" or "function"; see also `Template`.

        A spare is an additional worker without a place, forked while a trial trains, that replaces
        the next one that ends.
        """
        self.inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.place_names = tuple(place.name for place in places)
        self._marker = uuid4().hex
        n_threads = places[0].device.n_threads
        self._new_template = partial(Template, kind, n_threads, self._marker, preloaded)
        self._template = self._new_template()
        self._workers: dict[int, Worker] = {}
        self._has_spare = has_spare
        self._setup: Setup | None = None
        self._agent_id: UUID | None = None
        self._listener = Listener(self.inbox)
        # Asked for at once; they start as soon as the template has loaded what they need.
        self._asked = [self._ask(place) for place in places]
        self._spare: Worker | None = None
        self._listener.start()

    @property
    def workers(self) -> Mapping[int, Worker]:
        """Return the workers by process id, once all of them have started; raises `RunFailed`."""
        while self._asked:
            worker = self._started(self._asked.pop(0))
            self._workers[worker.pid] = worker
            self._listener.add(worker)
        return self._workers

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
        if isinstance(message, Start) and self._has_spare and self._spare is None:
            self._spare = self._ask(worker.place)  # not before: the start of a trial goes first

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
        if pid in self._workers:
            self._workers[pid].process.send_signal(signal.SIGUSR1)

    def kill(self, pid: int) -> None:
        """End a worker and everything it has started."""
        if pid in self._workers:
            self._workers[pid].end()

    def replace(self, pid: int) -> Worker:
        """Replace a worker that is gone."""
        gone = self._workers.pop(pid)
        gone.ended.wait(EXIT_SECONDS)
        gone.close()
        worker = self._next_worker(gone.place)
        if self._setup is not None:
            self._send_setup(worker)
        return worker

    def rest(self) -> None:
        """End all workers, the spare too, until `wake`; their devices are free meanwhile."""
        for worker in self._workers.values():
            worker.end()
        self._end_spare()

    def wake(self) -> list[Worker]:
        """Start a worker in every place again."""
        return [self.replace(pid) for pid in list(self._workers)]

    def close(self) -> None:
        """End all workers; their checkpoints are saved by now."""
        self._listener.stop()  # ends from now on are no events
        for worker in self._workers.values():
            worker.end()
        for worker in self._workers.values():
            worker.wait_for_end()
        self._listener.close()
        self._template.close()  # ends all that have no trial yet
        spares = [self._spare] if self._spare else []
        for worker in (*self._workers.values(), *self._asked, *spares):
            with suppress(TemplateGone, RunFailed):
                worker.wait_for_end()
            worker.close()

    def _end_spare(self) -> None:
        """End the spare, which has no trial: it sees the end of its pipe."""
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def _next_worker(self, place: Place) -> Worker:
        """Return the spare if it is alive, or else a new worker."""
        worker = self._spare
        if worker is None or not self._is_alive(worker):
            self._end_spare()
            worker = self._ask(place)
        worker, self._spare = self._started(worker), None
        worker.place = place
        self._workers[worker.pid] = worker
        self._listener.add(worker)
        return worker

    def _is_alive(self, spare: Worker) -> bool:
        if not spare.process.template.is_alive:
            return False  # the spare is about to end with it
        try:
            return spare.process.poll() is None
        except TemplateGone:
            return False

    def _ask(self, place: Place) -> Worker:
        """Ask the template for a worker."""
        return start_worker(place, self._template)

    def _started(self, worker: Worker) -> Worker:
        """Return the worker once it has started; with another template if this one is gone."""
        how = ""
        for _ in range(_N_TEMPLATES):
            try:
                note = worker.process.note
            except RunFailed:
                worker.close()
                raise
            except TemplateGone:
                worker.close()
            else:
                if note:
                    self.inbox.put(TemplateNoted(text=note))
                return worker
            template = worker.process.template
            how = template.how_it_ended()
            if template is self._template:  # another worker may have noticed it before
                template.close()
                self._template = self._new_template()
            worker = self._ask(worker.place)
        worker.close()
        raise RunFailed(f"workers do not start on this machine; {how}")

    def record(self) -> None:
        """Record the workers in the spool: another agent may have to end them."""
        if self._setup is None or self._agent_id is None:
            return
        record = WorkerRecord(agent_id=str(self._agent_id), marker=self._marker)
        record.write(Path(self._setup.spool))

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


@contextmanager
def open_workers(
    devices: Sequence[Device],
    processes: int,
    objective: Objective,
    preloaded_from: Path | None = None,
) -> Iterator[WorkerPool]:
    """Start the workers at once: their imports take as long as the database's start.

    A function gets a fresh process for every trial; a spare is forked meanwhile. With
    `preloaded_from`, its code in this folder is imported once for all of them.
    """
    places = build_places(devices, processes)
    preloaded = None if preloaded_from is None else (objective.code_names[0], str(preloaded_from))
    pool = WorkerPool(
        places, kind=objective.kind, has_spare=objective.is_single_use, preloaded=preloaded
    )
    try:
        yield pool
    finally:
        pool.close()
