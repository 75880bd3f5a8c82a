"""A repeated list of params: one trial for each entry under each of several seeds."""

from collections.abc import Sequence

from tuner.study.suggestion import Suggestion
from tuner.study.trial import Params


class ListedSampler:
    """Draw n gets the params at n modulo their number, so that all get equally many seeds.

    A trial's seed follows from its number, so the draws of one list entry differ in that alone.
    """

    def __init__(self, *, listed: Sequence[Params], n_times: int) -> None:
        self._listed = listed
        self._n_times = n_times

    def suggest(self, draw: int) -> Suggestion:
        """Return the params of a draw from 0 to below `n_draws`."""
        return Suggestion(params=dict(self._listed[draw % len(self._listed)]))

    def n_draws(self) -> int | None:
        """Return the length of the list times its repetitions."""
        return len(self._listed) * self._n_times
