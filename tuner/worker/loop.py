"""The worker's loop: take trials, train them as a group, say how each left."""

import logging
import math
import traceback
from collections.abc import Iterator, Sequence
from typing import Protocol

from tuner.messages import FromWorker, GoOn, How, Left, Ready, Setup, Start, Stop, ToWorker, Why
from tuner.training.lane import Lane
from tuner.training.trainer import Departure
from tuner.worker.faults import how_it_failed
from tuner.worker.lanes import PipeLane
from tuner.worker.objectives.trainer import facts_of
from tuner.worker.pipe import Terminated

log = logging.getLogger(__name__)

_MESSAGE, _TRACEBACK = 500, 20_000  # most characters sent of an error


class Post(Protocol):
    """The pipe, as the loop sees it."""

    def send(self, message: FromWorker) -> None: ...

    def receive(self, timeout_seconds: float | None) -> ToWorker | Terminated | None: ...

    def poll(self) -> ToWorker | Terminated | None: ...


class Objective(Protocol):
    """What a worker trains."""

    n_lanes: int

    def run(self, lanes: Sequence[Lane]) -> Iterator[Departure]: ...


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
        self._lanes = [PipeLane(start, self._setup, self) for start in starts]
        try:
            for departure in self._objective.run(tuple(self._lanes)):
                self._say_left(departure)
        except Exception as error:
            self._say_failed(error)
            return False
        return True

    def _say_left(self, departure: Departure) -> None:
        lane = next(lane for lane in self._lanes if lane is departure.lane)
        self._lanes.remove(lane)
        metric, is_complete = self._setup.metric, departure.how is How.COMPLETE
        self.send(
            Left(
                number=lane.number,
                attempt=lane.attempt,
                how=departure.how,
                value=departure.best_values[metric] if is_complete else None,
                message=_message(departure),
                facts=facts_of(departure, metric),
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
                    message=f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MESSAGE],
                    traceback="".join(traceback.format_exception(error))[-_TRACEBACK:],
                )
            )
        self._lanes = []


def _message(departure: Departure) -> str:
    """Why a lane failed by its values; empty for all others."""
    if departure.how is not How.NON_FINITE:
        return ""
    bad = [f"{n} is {v}" for n, v in departure.last_values.items() if not math.isfinite(v)]
    return f"{', '.join(bad)} at step {departure.step}"
