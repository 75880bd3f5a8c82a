"""The worker's loop: it takes trials, trains them in turns, and reports how each left."""

import logging
from typing import Protocol

from tuner.messages import Continue, FromWorker, Left, Ready, Setup, Start, Stop, ToWorker
from tuner.study.verdict import Outcome, Verdict
from tuner.training.lane import LaneFailed
from tuner.worker.best_kept import BestKept
from tuner.worker.exits import Exit
from tuner.worker.faults import how_it_failed, in_words, render_traceback
from tuner.worker.lanes import PipeLane
from tuner.worker.objective import Objective
from tuner.worker.pipe import Terminated

log = logging.getLogger(__name__)


class Post(Protocol):
    """The part of the pipe that the loop needs."""

    def send(self, message: FromWorker) -> None: ...

    def receive(self, timeout_seconds: float | None) -> ToWorker | Terminated | None: ...

    def poll(self) -> ToWorker | Terminated | None: ...

    def end(self) -> None: ...


class Worker:
    """Trains lanes in turns until it is asked to leave or one of them fails."""

    def __init__(self, setup: Setup, post: Post, objective: Objective) -> None:
        self._setup = setup
        self._post = post
        self._objective = objective
        self._lanes: list[PipeLane] = []  # being trained
        self._waiting: list[PipeLane] = []  # to be admitted
        self._n_taken = 0
        self._said: Ready | None = None
        self._is_terminating = False
        self._kept = BestKept(setup.keep_best, setup.goal.direction)

    def run(self) -> int:
        """Return the process's exit code: 0 after SIGTERM, 1 after a failure."""
        while self._lanes or not self._is_terminating:
            try:
                self._take_starts()
                for left in self._objective.turn():
                    self._say_left(left)
            except LaneFailed as failed:
                return self._fail(failed)
            if self._objective.is_single_use and self._n_taken and not self._lanes:
                break
        self._release_waiting()
        return 0

    def send(self, message: FromWorker) -> None:
        """Send a message (`lanes.Mail`)."""
        self._post.send(message)

    def deliver(self, wait_seconds: float) -> None:
        """Pass received messages to the lanes, after waiting for at least one (`lanes.Mail`)."""
        message = self._post.receive(wait_seconds) if wait_seconds > 0 else self._post.poll()
        while message is not None:
            self._dispatch(message)
            message = self._post.poll()

    def end(self) -> None:
        """End the process at once (`lanes.Mail`)."""
        self._post.end()

    def _take_starts(self) -> None:
        """Admit the new lanes and report the remaining room; wait if there is no lane."""
        self.deliver(0)
        while True:
            if self._waiting:
                # Sent before the lanes are examined: from now on a crash may be their fault.
                self._say(Ready(n_free=0, n_taken=self._n_taken))
                self._objective.admit(self._waiting)
                self._lanes, self._waiting = self._lanes + self._waiting, []
            self._say_ready()
            if self._lanes or self._is_terminating:
                return
            message = self._post.receive(None)
            if message is not None:
                self._dispatch(message)
                self.deliver(0)

    def _take(self, start: Start) -> None:
        self._n_taken += 1
        if self._objective.is_single_use and self._n_taken > 1:
            self.send(Left(number=start.number, attempt=start.attempt, how=Outcome.REFUSED))
            return
        lane = PipeLane(
            start,
            self._setup,
            self,
            complete=self._objective.complete,
            is_stepwise=self._objective.is_stepwise,
            kept=self._kept,
        )
        if self._is_terminating:
            lane.stop(Verdict.RELEASE)
        self._waiting.append(lane)

    def _say_ready(self) -> None:
        n_free = 0 if self._is_terminating else self._objective.room()
        self._say(Ready(n_free=n_free, n_taken=self._n_taken))

    def _say(self, ready: Ready) -> None:
        if ready != self._said:
            self.send(ready)
            self._said = ready

    def _dispatch(self, message: ToWorker | Terminated) -> None:
        match message:
            case Continue() | Stop():
                for lane in self._lanes + self._waiting:
                    if (lane.number, lane.attempt) == (message.number, message.attempt):
                        lane.take(message)
            case Start():
                self._take(message)
            case Terminated():
                self._is_terminating = True
                for lane in self._lanes + self._waiting:
                    lane.stop(Verdict.RELEASE)
            case Setup():
                log.warning("ignored a second setup")

    def _say_left(self, left: Exit) -> None:
        lane = next(lane for lane in self._lanes if lane is left.lane)
        self._lanes.remove(lane)
        self.send(left.as_left(lane.number, lane.attempt))

    def _fail(self, failed: LaneFailed) -> int:
        """Fail the lane and release the others: this process is not used any more.

        After some errors, those of a GPU above all, its later results could not be trusted.
        """
        self._say_failed(failed)
        self._release_waiting()
        for lane in self._lanes:
            lane.stop(Verdict.RELEASE)
        while self._lanes:
            try:
                for left in self._objective.turn():
                    self._say_left(left)
            except LaneFailed as another:
                self._say_failed(another)
            except Exception:
                log.exception("these trials continue from their last checkpoints")
                for lane in tuple(self._lanes):
                    self._say_left(Exit(lane=lane, how=Outcome.RELEASED))
        return 1

    def _say_failed(self, failed: LaneFailed) -> None:
        error = failed.__cause__
        assert isinstance(error, Exception)
        log.error("training failed", exc_info=error)
        self._say_left(
            Exit(
                lane=failed.lane,
                how=how_it_failed(error),
                message=in_words(error),
                traceback=render_traceback(error),
            )
        )

    def _release_waiting(self) -> None:
        """Release the lanes that have not begun."""
        for lane in self._waiting:
            self.send(Left(number=lane.number, attempt=lane.attempt, how=Outcome.REFUSED))
        self._waiting = []
