"""Helper threads: each repeats one task until it is stopped."""

import logging
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

from tuner.errors import RunFailed, TunerError

_Job = TypeVar("_Job")
_LAST = 1 << 30  # the urgency of the end, behind all jobs


class HelperThread(ABC):
    """A daemon thread that calls `work` until it is stopped or fails."""

    def __init__(
        self,
        name: str,
        on_failure: Callable[[TunerError], None] | None = None,
        *,
        role: str = "",
    ) -> None:
        """Build the thread; `on_failure` gets the error that ends it, which is logged otherwise.

        `role` names the thread in the message of a bug: "the sampler".
        """
        self.name = name
        self._role = role or f"the {name} thread"
        self._on_failure = on_failure or self._log
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def work(self) -> float | None:
        """Do one round; return the seconds until the next one, or None to end."""

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the current round; does not wait for it."""
        self._stopped.set()

    def pause(self, seconds: float) -> None:
        """Wait within a round; a stop ends the pause."""
        self._stopped.wait(seconds)

    def join(self, timeout_seconds: float) -> None:
        """Wait for the end, if it was started."""
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def is_alive(self) -> bool:
        """Return whether it was started and has not ended."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self.is_stopped:
                seconds = self.work()
                if seconds is None:
                    return
                if seconds > 0:
                    self.pause(seconds)
        except TunerError as error:
            self._on_failure(error)
        except Exception as error:
            # A bug of ours must not leave others waiting for this thread.
            failed = RunFailed(f"{self._role} failed: {type(error).__name__}: {error}")
            failed.__cause__ = error
            self._on_failure(failed)

    def _log(self, error: TunerError) -> None:
        logging.getLogger(__name__).error("%s", error, exc_info=error)


class JobThread(HelperThread, Generic[_Job]):
    """A helper thread that performs jobs from a queue, the most urgent one first."""

    def __init__(
        self,
        name: str,
        on_failure: Callable[[TunerError], None] | None = None,
        *,
        role: str = "",
        max_jobs: int = 0,
    ) -> None:
        """Build the thread; `post` drops jobs while `max_jobs` wait (0: no limit)."""
        super().__init__(name, on_failure, role=role)
        self._max_jobs = max_jobs
        self._jobs: queue.PriorityQueue[tuple[int, int, _Job | None]] = queue.PriorityQueue()
        self._posted = count()  # among equally urgent jobs the first one comes first

    @abstractmethod
    def perform(self, job: _Job) -> None: ...

    def post(self, job: _Job, urgency: int = 0) -> None:
        """Queue a job; lower numbers are more urgent."""
        if not self._max_jobs or self._jobs.qsize() < self._max_jobs:
            self._jobs.put((urgency, next(self._posted), job))

    def stop(self) -> None:
        """End after the current job; the others are dropped."""
        super().stop()
        self._jobs.put((-1, next(self._posted), None))

    def finish(self, timeout_seconds: float) -> bool:
        """Do the queued jobs, then end; return whether it ended in time."""
        self._jobs.put((_LAST, next(self._posted), None))
        self.join(timeout_seconds)
        return not self.is_alive()

    def work(self) -> float | None:
        _, _, job = self._jobs.get()
        if job is None:
            return None
        self.perform(job)
        return 0.0
