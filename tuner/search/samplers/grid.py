"""Grid search: every valid combination once, in an order that is shuffled by the seed."""

from tuner.search.permutation import Permutation
from tuner.study.suggestion import Suggestion
from tuner.study_file.params.grid import Grid
from tuner.study_file.params.space import SearchSpace


class GridSampler:
    """Draw -> cell through a seeded permutation: lazy, and exact on any number of machines.

    Shuffled, so that a study which ends early has covered all of the space, and so that no machine
    gets all the slow cells. Optuna's `GridSampler` picks a cell at random among those that no trial
    seems to have taken: with 8 workers it visited some cells twice and others never.
    """

    def __init__(self, *, seed: int, space: SearchSpace) -> None:
        self._grid = Grid(space)
        self._order = Permutation(self._grid.n_cells, seed)

    def suggest(self, draw: int) -> Suggestion:
        """Return the params of a draw from 0 to below `n_draws`."""
        return Suggestion(params=self._grid.params(self._order[draw]))

    def n_draws(self) -> int | None:
        """Return the number of valid combinations."""
        return self._grid.n_cells
