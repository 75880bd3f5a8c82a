"""The worker processes of this machine: start, send, listen, end."""

import os
import queue
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

from tuner.agent.devices import Device
from tuner.agent.events import Event, TemplateNoted, WorkerPrinted
from tuner.agent.workers.left_behind import WorkerRecord
from tuner.agent.workers.listener import Listener
from tuner.agent.workers.process import Place, Worker, build_places, start_worker
from tuner.agent.workers.template import START_SECONDS, Template, TemplateGone, not_started
from tuner.errors import RunFailed
from tuner.messages import (
    Setup,
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
        self._places = tuple(places)
        self.place_names = tuple(place.name for place in places)
        self._marker = uuid4().hex
        n_threads = places[0].device.n_threads
        self._new_template = partial(Template, kind, n_threads, self._marker, preloaded)
        self._template = self._new_template()
        self._workers: dict[int, Worker] = {}
        self._has_spare = has_spare
        self._setup: Setup | None = None
        self._agent_id: UUID | None = None
        self._is_resting = False
        self._at_rest: set[str] = set()  # places whose workers rest, even if the others do not
        self._n_lost = 0  # templates in a row that ended before they forked a worker
        self._listener = Listener(self.inbox)
        # Asked for at once; they start as soon as the template has loaded what they need.
        self._starting = [self._ask(place) for place in places]
        self._spare: Worker | None = None
        self._listener.start()

    @property
    def devices(self) -> Mapping[str, Device]:
        """Return the device of each place."""
        return {place.name: place.device for place in self._places}

    @property
    def workers(self) -> Mapping[int, Worker]:
        """Return the workers that have started, by process id."""
        return self._workers

    def wait_for_start(self) -> Mapping[int, Worker]:
        """Return the workers once all of them have started; raises `RunFailed`."""
        while self._starting:
            self._take_in(self._starting.pop(0))
        return self._workers

    def set_up(self, setup: Setup, agent_id: UUID | None = None) -> None:
        """Wait for the workers, and send the setup to each, and later to each replacement.

        From now on they are recorded in the spool under the agent's id, if one is given.
        """
        self._setup, self._agent_id = setup, agent_id
        self._listener.setup = setup
        self.record()
        for worker in self.wait_for_start().values():
            if not self._rests(worker):
                self._set_up(worker)

    def send(self, pid: int, message: ToWorker) -> None:
        """Send a message; one to a worker that is gone, or reads no more, is dropped."""
        worker = self._workers.get(pid)
        if worker is None:
            return
        if not _write(worker, message):
            worker.end()  # it has not read for 64 KiB of messages

    def fork_spare(self) -> None:
        """Ask for the spare if there is none; where all devices are alike, it prepares itself."""
        if not self._has_spare or self._spare is not None or self._is_resting:
            return
        spare = self._ask(self._places[0])
        if self._setup is not None and self._are_alike:
            spare.is_set_up = True
            if not _write(spare, self._setup_for(spare)):
                spare.close()  # it ends
                return
        self._spare = spare

    @property
    def _are_alike(self) -> bool:
        """Return whether a worker that was set up for one place may train in another."""
        one, *others = (replace(place.device, name="") for place in self._places)
        return all(other == one for other in others)

    def clear_log(self, pid: int) -> None:
        """Forget its output so far: it belongs to the previous attempt."""
        self._listener.clear_log(self._workers[pid])

    @property
    def are_devices_shared(self) -> bool:
        names = [worker.place.device.name for worker in self._workers.values()]
        return len(set(names)) < len(names)

    def new_output(self, now: float) -> list[WorkerPrinted]:
        """Return the logs that have grown since the last call, each at limited intervals."""
        grown = []
        for worker in self._workers.values():
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

    def replace(self, pid: int) -> Sequence[Worker]:
        """Replace a worker that is gone; return the workers that have started, as `admit` does.

        In a place that rests, `wake_places` does it.
        """
        if pid in self._workers and self._workers[pid].place.name in self._at_rest:
            return self.admit()
        gone = self._workers.pop(pid, None)
        if gone is not None:
            gone.close()
            self._starting.append(self._next_worker(gone.place))
        return self.admit()

    def admit(self) -> Sequence[Worker]:
        """Take in the workers that have started since the last call; wait for none.

        Raises `RunFailed` if this machine starts none.
        """
        started = []
        for worker in [each for each in self._starting if each.has_answer]:
            self._starting.remove(worker)
            if self._take_in(worker):
                started.append(worker)
        for worker in self._starting:
            if not worker.is_awaited:
                self._listener.await_start(worker)
        return started

    def check_starts(self, now: float) -> None:
        """Raise `RunFailed` if a worker has not started for too long.

        One that has started is not too late only because this process was stopped for a while.
        """
        late = [each for each in self._starting if now - each.asked_at > START_SECONDS]
        if not all(worker.process.has_answer for worker in late):
            raise not_started()

    def rest(self) -> None:
        """End all workers, the spare too, until `wake`; their devices are free meanwhile."""
        self._is_resting = True
        for worker in self._workers.values():
            worker.end()
        self._end_spare()

    def wake(self) -> Sequence[Worker]:
        """Start a worker in every place again whose worker has ended; return as `admit` does.

        The others are reported when they have ended.
        """
        self._is_resting = False
        return self._replace_ended(self.place_names)

    def rest_places(self, places: Collection[str]) -> None:
        """End the workers of some places until `wake_places`; a spare takes none of them."""
        self._at_rest |= set(places)
        for worker in self._workers.values():
            if worker.place.name in places:
                worker.end()
        if self._at_rest >= set(self.place_names):
            self._end_spare()

    def wake_places(self, places: Collection[str]) -> Sequence[Worker]:
        """Start workers in these places again, as `wake` does, unless all workers rest."""
        self._at_rest -= set(places)
        return () if self._is_resting else self._replace_ended(places)

    def _replace_ended(self, places: Collection[str]) -> Sequence[Worker]:
        started: list[Worker] = []
        ended = [pid for pid, worker in self._workers.items() if worker.ended.is_set()]
        for pid in ended:
            if self._workers[pid].place.name in places:
                started += self.replace(pid)
        return started

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
        for worker in (*self._workers.values(), *self._starting, *spares):
            with suppress(TemplateGone, RunFailed):
                worker.wait_for_end()
            worker.close()

    def _end_spare(self) -> None:
        """End the spare, which has no trial: it sees the end of its pipe."""
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def _next_worker(self, place: Place) -> Worker:
        """Return the spare unless it has ended, or else a new worker; it may not have started."""
        worker = self._spare
        if worker is None or not self._is_alive(worker):
            self._end_spare()
            return self._ask(place)
        self._spare = None
        worker.place, worker.asked_at = place, monotonic()
        worker.has_answer = worker.process.has_answer
        return worker

    def _is_alive(self, spare: Worker) -> bool:
        if not spare.process.template.is_alive:
            return False  # the spare is about to end with it
        try:
            return not spare.process.has_answer or spare.process.poll() is None
        except (TemplateGone, RunFailed):
            return False

    def _ask(self, place: Place) -> Worker:
        """Ask the template for a worker."""
        return start_worker(place, self._template)

    def _take_in(self, worker: Worker) -> bool:
        """Take in a worker once it has started; return whether it may train."""
        try:
            note = worker.process.note
        except RunFailed:
            worker.close()
            raise
        except TemplateGone:
            worker.close()
            self._replace_template(worker.process.template)
            self._starting.append(self._ask(worker.place))
            return False
        self._n_lost = 0
        if note:
            self.inbox.put(TemplateNoted(text=note))
        self._workers[worker.pid] = worker
        self._listener.add(worker)
        if self._rests(worker):
            worker.end()
            return False
        if self._setup is not None:
            self._set_up(worker)
        return True

    def _rests(self, worker: Worker) -> bool:
        return self._is_resting or worker.place.name in self._at_rest

    def _replace_template(self, gone: Template) -> None:
        """Start another template, unless that was done for another worker of this one."""
        if gone is not self._template:
            return
        how = gone.how_it_ended()
        self._n_lost += 1
        if self._n_lost >= _N_TEMPLATES:
            raise RunFailed(f"workers do not start on this machine; {how}")
        gone.close()
        self._template = self._new_template()

    def record(self) -> None:
        """Record the workers in the spool: another agent may have to end them."""
        if self._setup is None or self._agent_id is None:
            return
        record = WorkerRecord(agent_id=str(self._agent_id), marker=self._marker)
        record.write(Path(self._setup.spool))

    def _set_up(self, worker: Worker) -> None:
        if not worker.is_set_up:
            worker.is_set_up = True
            self.send(worker.pid, self._setup_for(worker))

    def _setup_for(self, worker: Worker) -> Setup:
        assert self._setup is not None
        device = worker.place.device
        return replace(
            self._setup,
            device=device.torch_device,
            n_threads=device.n_threads,
            environment=device.environment,
        )


def _write(worker: Worker, message: ToWorker) -> bool:
    """Write a message; return False if the pipe is full."""
    content = encode(message)
    try:
        return os.write(worker.write_fd, content) == len(content)
    except BlockingIOError:
        return False
    except BrokenPipeError:
        return True  # the listener will report its end


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
