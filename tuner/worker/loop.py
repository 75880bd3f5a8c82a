"""The worker's loop: take trials, train them as a group, say how each left."""

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

from tuner.messages import FromWorker, GoOn, How, Left, Ready, Setup, Start, Stop, ToWorker, Why
from tuner.study.trial import Params
from tuner.training.lane import Lane
from tuner.worker.exits import Exit
from tuner.worker.faults import how_it_failed, in_words, render_traceback
from tuner.worker.lanes import PipeLane
from tuner.worker.pipe import Terminated

log = logging.getLogger(__name__)


class Post(Protocol):
    """The pipe, as the loop sees it."""

    def send(self, message: FromWorker) -> None: ...

    def receive(self, timeout_seconds: float | None) -> ToWorker | Terminated | None: ...

    def poll(self) -> ToWorker | Terminated | None: ...


class Objective(Protocol):
    """What a worker trains."""

    n_lanes: int
    is_single_use: bool  # the process ends after the first group
    is_stepwise: bool  # its state changes only from step to step

    def complete(self, params: Params) -> Params:
        """With the objective's own defaults."""

    def run(self, lanes: Sequence[Lane]) -> Iterator[Exit]: ...


class Worker:
    """Trains one group after the other until it is told to leave or something fails."""

    def __init__(self, setup: Setup, post: Post, objective: Objective) -> None:
        self._setup = setup
        self._post = post
        self._objective = objective
        self._lanes: list[PipeLane] = []  # being trained
        self._is_terminating = False

    def run(self) -> int:
        """The process's exit code: 0 after SIGTERM, 1 after a failure."""
        while not self._is_terminating:
            self.send(Ready(structure=None, n_free=self._objective.n_lanes))
            start = self._next_start()
            if start is not None and not self._train([start]):
                return 1
            if start is not None and self._objective.is_single_use:
                return 0
        return 0

    def send(self, message: FromWorker) -> None:
        """Send a message (`lanes.Mail`)."""
        self._post.send(message)

    def deliver(self, wait_seconds: float) -> None:
        """Hand what has come to the lanes, after waiting for at least one (`lanes.Mail`)."""
        message = self._post.receive(wait_seconds) if wait_seconds > 0 else self._post.poll()
        while message is not None:
            self._dispatch(message)
            message = self._post.poll()

    def _next_start(self) -> Start | None:
        """Wait for a trial; None when there will be none."""
        while not self._is_terminating:
            message = self._post.receive(None)
            if isinstance(message, Start):
                return message
            if message is not None:
                self._dispatch(message)
        return None

    def _dispatch(self, message: ToWorker | Terminated) -> None:
        match message:
            case GoOn() | Stop():
                for lane in self._lanes:
                    if (lane.number, lane.attempt) == (message.number, message.attempt):
                        lane.take(message)
            case Start():
                self.send(Left(number=message.number, attempt=message.attempt, how=How.REFUSED))
            case Terminated():
                self._is_terminating = True
                for lane in self._lanes:
                    lane.stop(Why.RELEASE)
            case Setup():
                log.warning("ignored a second setup")

    def _train(self, starts: Sequence[Start]) -> bool:
        """Train a group to its end; False after a failure, which ends the process."""
        objective = self._objective
        self._lanes = [
            PipeLane(
                start,
                self._setup,
                self,
                complete=objective.complete,
                is_stepwise=objective.is_stepwise,
            )
            for start in starts
        ]
        try:
            for left in self._objective.run(tuple(self._lanes)):
                self._say_left(left)
        except Exception as error:
            self._say_failed(error)
            return False
        return True

    def _say_left(self, left: Exit) -> None:
        lane = next(lane for lane in self._lanes if lane is left.lane)
        self._lanes.remove(lane)
        self.send(
            Left(
                number=lane.number,
                attempt=lane.attempt,
                how=left.how,
                value=left.value,
                message=left.message,
                traceback=left.traceback,
                facts=left.facts,
            )
        )

    def _say_failed(self, error: Exception) -> None:
        """Every lane that was still training fails with the error."""
        log.error("training failed", exc_info=error)
        for lane in self._lanes:
            self.send(
                Left(
                    number=lane.number,
                    attempt=lane.attempt,
                    how=how_it_failed(error),
                    message=in_words(error),
                    traceback=render_traceback(error),
                )
            )
        self._lanes = []
