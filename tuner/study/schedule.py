"""The steps at which a pruner judges a trial."""

from collections.abc import Sequence
from dataclasses import dataclass

# Where the length of a trial is not known, no schedule ends before this step.
ENDLESS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Steps in ascending runs: the rungs of halving as single steps, others as strides.

    A trial that does not report at every step reaches a rung with its first report at or after it.
    """

    runs: tuple[range, ...] = ()  # ascending, positive strides, steps from 1

    def reached(self, before: int, step: int) -> tuple[int, ...]:
        """The rungs in (before, step], ascending: of each run the last one."""
        return tuple(sorted({rung for run in self.runs if (rung := _last(run, before, step))}))

    def to_lists(self) -> list[list[int]]:
        """For JSON; `from_lists` reads it back."""
        return [[run.start, run.stop, run.step] for run in self.runs]

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]]) -> "Schedule":
        """The schedule that `to_lists` gave."""
        return cls(runs=tuple(range(*run) for run in lists))


def _last(run: range, before: int, step: int) -> int:
    """The last element of a run in (before, step], 0 for none."""
    below = run[: max(0, -(-(step + 1 - run.start) // run.step))]
    return below[-1] if below and below[-1] > before else 0
