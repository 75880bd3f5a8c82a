"""The lane of a final training in several processes: it follows the first one's messages."""

from collections.abc import Callable
from pathlib import Path
from time import sleep

from tuner.export.final_lane import FinalLane
from tuner.messages import Continue, FromWorker, Reported, Saved, Start, Stop, Warned
from tuner.study.verdict import Verdict


class FollowedLane:
    """See `tuner.worker.ranks.follow.Followed`."""

    def __init__(self, lane: FinalLane) -> None:
        self._lane = lane
        self._forward: Callable[[Continue | Stop], None] | None = None
        self._is_stopped = False
        self.start = Start(
            number=lane.number,
            attempt=1,
            params=lane.params,
            seed=lane.seed,
            checkpoint=lane.checkpoint,
            decide_at=(),
            from_step=lane.from_step,
            last_value=lane.last_value,
        )

    @property
    def is_released(self) -> bool:
        return self._lane.verdict() is Verdict.RELEASE

    def relay(self, forward: Callable[[Continue | Stop], None]) -> None:
        self._forward = forward

    def pass_on(self, message: FromWorker) -> None:
        match message:
            case Reported(step=step, values=values):
                self._lane.report(step, values)
            case Saved(step=step, path=path):
                self._lane.adopt(step, Path(path))
            case Warned(text=text):
                self._lane.warn(text)

    def wait(self, seconds: float) -> None:
        """Wait a moment, and ask for the end once if a stop was requested."""
        if self.is_released and not self._is_stopped and self._forward is not None:
            self._is_stopped = True
            number, attempt = self.start.number, self.start.attempt
            self._forward(Stop(number=number, attempt=attempt, verdict=Verdict.RELEASE))
        sleep(seconds)
