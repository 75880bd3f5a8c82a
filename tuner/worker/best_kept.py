"""Which trials of this process may be among the best of the study."""

from bisect import insort


class BestKept:
    """The best values that this process has seen: a trial behind so many is none of the best."""

    def __init__(self, n_best: int, *, minimize: bool) -> None:
        self._n_best = n_best
        self._sign = 1 if minimize else -1
        self._best: list[float] = []  # ascending, the best first

    def is_wanted(self, value: float) -> bool:
        """Whether fewer than so many were as good; it counts from now on."""
        rank = self._sign * value
        if self._n_best == 0 or (len(self._best) == self._n_best and rank >= self._best[-1]):
            return False
        insort(self._best, rank)
        del self._best[self._n_best :]
        return True
