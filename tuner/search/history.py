"""A trial as a pruner sees it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.study.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class History:
    """The objective's values that one trial has reported; the latest step decides."""

    number: int
    place: int  # what pruners count by: the draw, else the number
    values: Mapping[int, float]  # by step, from 1
    n_steps: int | None = None  # of a full trial, where that is known

    @property
    def step(self) -> int:
        """The latest step, 0 before the first report."""
        return max(self.values, default=0)

    @property
    def step_before(self) -> int:
        """The step before the latest one, 0 for none."""
        latest = self.step  # once: it is a look at all of them
        return max((step for step in self.values if step < latest), default=0)

    def rungs(self, schedule: Schedule) -> tuple[int, ...]:
        """The rungs of a schedule that the latest report reached, ascending."""
        return schedule.reached(self.step_before, self.step)
