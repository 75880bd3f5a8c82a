"""The agent's loop: it judges events and carries out acts until the study has ended."""

import os
import queue
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from tuner.agent import acts, events
from tuner.agent.device_time import busy_units
from tuner.agent.judge import due_acts, judge
from tuner.agent.machine import Machine, Rulebook
from tuner.agent.memory import read_memory
from tuner.agent.observing import Observer
from tuner.agent.occupancy import Occupancy
from tuner.agent.port import Complete, Store, View
from tuner.agent.screen import render_screen
from tuner.agent.state import BlockState, MemoryState, Standing, WorkerState
from tuner.agent.threads.beats import BEATS_PER_LEASE, BeatThread
from tuner.agent.threads.folders import Folder, FolderThread
from tuner.agent.threads.gauges import GaugeThread
from tuner.agent.threads.store import StoreThread
from tuner.agent.threads.suggester import SuggestionSource
from tuner.agent.workers.left_behind import LeftBehind
from tuner.agent.workers.pool import WorkerPool
from tuner.agent.workers.process import Worker
from tuner.errors import DatabaseError
from tuner.messages import Start
from tuner.study.agents import Telemetry
from tuner.study.ending import Ending

# The interpreter's default of 5 ms is how long a waiting thread leaves a computing one alone: a
# verdict would wait for the sampler.
SWITCH_SECONDS = 0.0005
JOIN_SECONDS = 1.0
MAX_EVENTS = 64  # between looks at all lanes, which cost a millisecond where 512 train
LOOK_SECONDS = 1.0  # between checks of the workers' output and of the screen


class Agent:
    def __init__(
        self,
        *,
        store: Store,
        pool: WorkerPool,
        source: SuggestionSource,
        complete: Complete,
        book: Rulebook,
        n_trials: int | None = None,
        boot: str,
        lease_seconds: float,
        spool: Path,
        folders: Sequence[Folder],
        view: View,
        occupancy: Occupancy | None = None,
        is_steered: bool = False,
    ) -> None:
        """Build the agent; `folders` must stay on this machine's disk and include the spool."""
        self.ending: Ending | None = None
        self.inbox: queue.SimpleQueue[events.Event] = pool.inbox
        self._machine = Machine(
            book=book,
            standing=Standing(goal=book.goal),
            blocks=_first_blocks(pool, occupancy, is_steered=is_steered),
            memory=MemoryState(of_places=_memory_of(pool)),
            limit_trials=n_trials,
            boot=boot,
        )
        self._store = store
        self._pool = pool
        self._source = source
        self._view = view
        self._store_thread = StoreThread(store, source, complete, pool.inbox, spool)
        self._claim_thread = StoreThread(store, source, complete, pool.inbox, spool, name="claims")
        self._upload_thread = StoreThread(
            store, source, complete, pool.inbox, spool, name="uploads"
        )
        observer = Observer(
            boot=boot,
            lease_seconds=lease_seconds,
            max_gap_seconds=3 * lease_seconds / BEATS_PER_LEASE,
            end_workers=LeftBehind(spool.parent).end,
        )
        self._occupancy = occupancy
        self._beat_thread = BeatThread(
            store, observer, self._telemetry, pool.inbox, lease_seconds, occupancy
        )
        self._gauge_thread = GaugeThread(lambda: tuple(pool.workers.values()))
        self._folder_thread = FolderThread(folders, pool.inbox)
        self._started_at = time.monotonic()
        self._busy_seconds = 0.0
        self._look_at = 0.0
        self._screen = "{}"
        self._given_up: frozenset[str] = frozenset()
        self._busy_since = self._started_at

    def run(self) -> Ending:
        """Run until the study ends, a signal comes, or the agent cannot continue."""
        self._begin()
        while self.ending is None:
            for event in self._wait():
                if isinstance(event, events.Changed):
                    self._source.learn(event.changes.trials, event.changes.rung_values)
                for act in judge(self._machine, event, time.monotonic()):
                    self._act(act)
            for act in due_acts(self._machine, time.monotonic()):
                self._act(act)
        is_cut_off = self._machine.database.away_since is not None or self._owes_the_store()
        return replace(self.ending, is_cut_off=is_cut_off)

    def close(self) -> None:
        """Stop the helper threads and sign off if the database is reachable."""
        self._gauge_thread.stop()
        self._folder_thread.stop()
        self._beat_thread.stop()
        self._store_thread.stop()
        self._claim_thread.stop()
        self._upload_thread.stop()
        self._source.stop()
        # One that has started removes its object again if the trial has ended.
        self._upload_thread.join(JOIN_SECONDS)
        if self._machine.database.away_since is not None or self._owes_the_store():
            return  # the database would not receive the final heartbeat
        threads = (self._store_thread, self._claim_thread)
        for thread in threads:
            thread.join(JOIN_SECONDS)
        if not any(thread.is_alive() for thread in threads):
            with suppress(DatabaseError):
                self._store.leave(self._telemetry())

    def _owes_the_store(self) -> bool:
        """Return whether a write or an answer is still missing after the deadline."""
        return bool(self._machine.lanes) or self._machine.claims.is_claiming

    def _begin(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._know(self._pool.workers.values())
        self._store_thread.start()
        self._claim_thread.start()
        if self._machine.book.has_object_store:
            self._upload_thread.start()
        self._beat_thread.start()
        self._gauge_thread.start()
        self._folder_thread.start()
        self._store_thread.post(acts.AskChanges())

    def _know(self, workers: Iterable[Worker]) -> None:
        for worker in workers:
            if worker.place.name in self._machine.blocks.resting:
                continue
            state = WorkerState(name=worker.place.name, heard_at=time.monotonic())
            self._machine.workers[worker.pid] = state

    def _wait(self) -> Iterator[events.Event]:
        """Yield the events up to the next deadline, a limited number at once, at least a tick."""
        now = time.monotonic()
        self._count_busy(now)
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._given_up = self._machine.given_up
            self._screen = render_screen(self._machine, now, self._gauge_thread.latest())
            yield from self._pool.new_output(now)
            self._pool.check_starts(now)
            if self._pool.are_devices_shared:
                yield events.MemoryRead(by_device=read_memory(self._pool.workers.values()))
        try:
            event = self.inbox.get(timeout=max(0.0, self._machine.next_deadline(now) - now))
        except queue.Empty:
            yield events.Tick()
            return
        yield event
        for _ in range(MAX_EVENTS - 1):
            if self.ending is not None or self.inbox.empty():
                return
            yield self.inbox.get()

    def _act(self, act: acts.Act) -> None:  # noqa: C901 - a table of act types
        match act:
            case acts.AskClaim() | acts.AskCheckpoint() | acts.AskElsewhere():
                self._claim_thread.post(act)
            case acts.AskWrite() | acts.AskEnd() | acts.AskNoteCode() | acts.AskChanges():
                self._store_thread.post(act)
            case acts.AskUpload():
                self._upload_thread.post(act)
            case acts.Learn():
                self._source.learn(act.records, act.rungs)
            case acts.Send():
                if isinstance(act.message, Start) and self._is_first(act.worker):
                    self._pool.clear_log(act.worker)
                self._pool.send(act.worker, act.message)
            case acts.ReplaceWorker():
                self._know(self._pool.replace(act.worker))
            case acts.ForkSpare():
                self._pool.fork_spare()
            case acts.KillWorker():
                self._pool.kill(act.worker)
            case acts.DumpStacks():
                self._pool.dump_stacks(act.worker)
            case acts.RestWorkers():
                self._pool.rest()
            case acts.WakeWorkers():
                self._know(self._pool.wake())
            case acts.RestPlaces():
                self._pool.rest_places(act.places)
            case acts.WakePlaces():
                self._know(self._pool.wake_places(act.places))
            case acts.AdmitWorkers():
                self._know(self._pool.admit())
            case acts.RecordWorkers():
                self._pool.record()
            case acts.RemoveFile():
                with suppress(OSError):  # the whole spool is removed at the end
                    os.unlink(act.path)
            case acts.Say():
                self._view.show(act.notice)
            case acts.Leave():
                self.ending = self.ending or act.ending
            case _:
                assert_never(act)

    def _is_first(self, worker: int) -> bool:
        """Return whether all lanes of the worker are new: its output so far is not theirs."""
        return len({lane.started_at for lane in self._machine.lanes_of(worker)}) == 1

    def _count_busy(self, now: float) -> None:
        self._busy_seconds += busy_units(self._machine) * (now - self._busy_since)
        self._busy_since = now

    def _telemetry(self) -> Telemetry:
        return Telemetry(
            seconds_lived=time.monotonic() - self._started_at,
            device_seconds_busy=self._busy_seconds,
            screen=self._screen,
            given_up=self._given_up,
        )


def _memory_of(pool: WorkerPool) -> dict[str, int]:
    """Return the memory of each place's device, where it is known."""
    known = {place: device.memory_bytes for place, device in pool.devices.items()}
    return {place: n_bytes for place, n_bytes in known.items() if n_bytes is not None}


def _first_blocks(pool: WorkerPool, occupancy: Occupancy | None, *, is_steered: bool) -> BlockState:
    """Let the workers of GPUs rest until the first heartbeat has taken the GPUs.

    Those of a study of `tuner agent` rest until the study has been given devices.
    """
    resting = () if occupancy is None else occupancy.places
    if is_steered:
        resting = pool.place_names
    return BlockState(
        places=pool.place_names,
        reasons=dict.fromkeys(resting, ""),
        resting=set(resting),
        units=frozenset() if is_steered else None,
    )


@contextmanager
def open_agent(agent: Agent) -> Iterator[Agent]:
    """Close the agent on every exit, errors included."""
    try:
        yield agent
    finally:
        agent.close()
