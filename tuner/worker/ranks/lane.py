"""A trial as one of its ranks sees it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuner.study.code import Code
from tuner.study.trial import Values
from tuner.study.verdict import Verdict
from tuner.worker.lanes import PipeLane
from tuner.worker.ranks.channel import Channel


class RankLane:
    """A lane of `tuner.training.lane.Lane` on every rank: the first one acts, and all learn of it.

    All ranks have to call the same methods in the same order, as with collectives.
    """

    def __init__(self, lane: PipeLane, channel: Channel) -> None:
        """Build it; only the first rank's `lane` is connected to the worker."""
        self._lane, self._channel = lane, channel
        self._is_first = channel.rank == 0
        self.number, self.params, self.seed = lane.number, lane.params, lane.seed
        self.checkpoint, self.from_step = lane.checkpoint, lane.from_step
        self.last_value, self.trusts_folders = lane.last_value, lane.trusts_folders

    def report(self, step: int, values: Values, *, is_last: bool = False) -> None:
        """Send the metrics of the first rank."""
        if self._is_first:
            self._lane.report(step, values, is_last=is_last)

    def is_save_due(self, step: int) -> bool:
        return bool(self._channel.share(lambda: self._lane.is_save_due(step)))

    def save(self, step: int, state: Callable[[], object]) -> bool:
        """Write the first rank's state if a checkpoint is due."""
        return bool(self._channel.share(lambda: self._lane.save(step, state)))

    def save_folder(self, step: int, folder: Path, *, force: bool = False) -> bool:
        """Write the content of a folder if a checkpoint is due, or in any case (`force`)."""
        act = self._lane.save_folder
        return bool(self._channel.share(lambda: act(step, folder, force=force)))

    def verdict(self) -> Verdict:
        """Return the same verdict on every rank."""
        return Verdict(self._channel.share(lambda: self._lane.verdict().value))

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        """Keep the weights of the first rank."""
        if self._is_first:
            self._lane.keep(value, state)

    def warn(self, text: str) -> None:
        """Send a warning of the first rank."""
        if self._is_first:
            self._lane.warn(text)

    def note_code(self, code: Code) -> bool:
        """Record the first rank's files if they have changed."""
        return bool(self._channel.share(lambda: self._lane.note_code(code)))

    def once(self, act: Callable[[], None]) -> None:
        """Act on the first rank, while the others wait."""
        self._channel.share(act)

    def leave(self, verdict: Verdict, message: str, facts: Mapping[str, object]) -> None:
        """Report the end of the attempt, and end the process."""
        self._lane.leave(verdict, message, facts)
