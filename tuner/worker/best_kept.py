"""Which trials of this process may be among the best of the study."""

from bisect import insort

from tuner.study.trial import Direction


class BestKept:
    """The best trials that this process has seen: one behind so many is none of the best.

    Of equal values the lower number is the better one, as everywhere.
    """

    def __init__(self, n_best: int, direction: Direction) -> None:
        self._n_best = n_best
        self._rank = direction.rank
        self._best: list[tuple[float, int]] = []  # the best first

    def is_wanted(self, value: float, number: int) -> bool:
        """Whether fewer than so many are better."""
        if len(self._best) < self._n_best:
            return True
        return self._n_best > 0 and (self._rank(value), number) < self._best[-1]

    def note(self, value: float, number: int) -> None:
        """Its weights are kept."""
        insort(self._best, (self._rank(value), number))
        del self._best[self._n_best :]
