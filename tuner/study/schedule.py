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
        """Return the rungs in (before, step], ascending, but only the last one of each run."""
        return tuple(sorted({rung for run in self.runs if (rung := _last(run, before, step))}))

    def __contains__(self, step: int) -> bool:
        return any(step in run for run in self.runs)

    def bounds(self) -> tuple[tuple[int, int, int], ...]:
        """Return start, stop and stride of every run, for JSON; `from_bounds` reads it back."""
        return tuple((run.start, run.stop, run.step) for run in self.runs)

    @classmethod
    def from_bounds(cls, bounds: Sequence[Sequence[int]]) -> "Schedule":
        return cls(runs=tuple(range(*run) for run in bounds))


NO_RUNGS = Schedule()
_N_RUNGS = 19  # up to 3**18, which is less than `ENDLESS`
# The steps whose values models use, whatever the pruner compares: 1, 3, 9, ...
MODEL_RUNGS = Schedule(runs=tuple(range(3**n, 3**n + 1) for n in range(_N_RUNGS)))


def _last(run: range, before: int, step: int) -> int:
    """Return the last element of a run in (before, step], 0 for none."""
    below = run[: max(0, -(-(step + 1 - run.start) // run.step))]
    return below[-1] if below and below[-1] > before else 0
