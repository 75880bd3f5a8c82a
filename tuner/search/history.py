"""A trial as a pruner sees it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.study.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class History:
    """The objective's values that one trial has reported; the latest step decides."""

    number: int
    place: int  # the index that pruners use: the draw, otherwise the number
    values: Mapping[int, float]  # by step, from 1
    n_steps: int | None = None  # of a full trial, if known

    @property
    def step(self) -> int:
        """Return the latest step, 0 before the first report."""
        return max(self.values, default=0)

    @property
    def step_before(self) -> int:
        """Return the step before the latest one, 0 for none."""
        latest = self.step  # once: it is a look at all of them
        return max((step for step in self.values if step < latest), default=0)

    def rungs(self, schedule: Schedule) -> tuple[int, ...]:
        """Return the rungs of a schedule that the latest report reached, ascending."""
        return schedule.reached(self.step_before, self.step)
