"""The figures of a study's page, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tuner.results.board import Board
from tuner.results.figures.curves import curves_figure
from tuner.results.figures.devices import fleet_figure
from tuner.results.figures.figure import Figure
from tuner.results.figures.history import history_figure
from tuner.results.figures.matters import importance_figure, slices_figure
from tuner.results.figures.overfitting import overfitting_figure
from tuner.results.importances import Importances, find_importances

NAMES = ("history", "curves", "fleet", "importance", "slices", "overfitting")
_GROWTH = 1.05  # complete trials by which importances are judged again


@dataclass(kw_only=True)
class FigureMaker:
    """Makes the figures of one study; the costly importances not for every new trial."""

    _importances: Importances | None = None
    _n_complete: int = -1
    _study_id: int = field(default=-1)

    def make(self, board: Board) -> dict[str, Figure]:
        """Return all figures, in the order in which a page fills."""
        self._judge(board)
        simple: Mapping[str, Callable[[Board], Figure]] = {
            "history": history_figure,
            "curves": curves_figure,
            "fleet": fleet_figure,
        }
        figures = {name: build(board) for name, build in simple.items()}
        figures["importance"] = importance_figure(board, self._importances)
        figures["slices"] = slices_figure(board, self._importances)
        figures["overfitting"] = overfitting_figure(board)
        return figures

    def _judge(self, board: Board) -> None:
        n_complete = int(board.table.finite().sum())
        is_other = board.study.study_id != self._study_id
        if is_other or n_complete > self._n_complete * _GROWTH or n_complete < self._n_complete:
            self._importances = find_importances(board.table, board.study.direction)
            self._n_complete, self._study_id = n_complete, board.study.study_id
