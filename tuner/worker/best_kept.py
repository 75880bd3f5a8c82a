"""The best trials of this process, whose weights are worth keeping."""

from bisect import insort

from tuner.study.trial import Direction


class BestKept:
    """The best trials that this process has seen: one behind too many others cannot be wanted.

    Of equal values the lower trial number is better, as everywhere.
    """

    def __init__(self, n_best: int, direction: Direction) -> None:
        self._n_best = n_best
        self._rank = direction.rank
        self._best: list[tuple[float, int]] = []  # the best first

    def is_wanted(self, value: float, number: int) -> bool:
        """Return whether few enough trials are better."""
        if len(self._best) < self._n_best:
            return True
        return self._n_best > 0 and (self._rank(value), number) < self._best[-1]

    def note(self, value: float, number: int) -> None:
        """Record a trial whose weights are kept."""
        insort(self._best, (self._rank(value), number))
        del self._best[self._n_best :]
