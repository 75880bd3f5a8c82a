"""The trials of a mirror as arrays, for models that learn from values at rungs."""

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import TrialState as OptunaState

from tuner.search.cube import Cube, Floats
from tuner.search.mirror import Mirror, ShownTrial
from tuner.study.schedule import ENDLESS
from tuner.study_file.algorithms.reading import FIRST_MODEL

FULL = ENDLESS  # as a rung: the final value of a COMPLETE trial, above all steps
MIN_VALUES = FIRST_MODEL["rung_tpe"]  # at a rung, for a comparison there
_MAX_GOOD = 25


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Trials with their points and their values, the lower the better."""

    numbers: NDArray[np.int64]  # (n,), ascending
    points: Floats  # (n, n_axes), see `Cube`
    is_final: NDArray[np.bool_]  # (n,)
    diverged: NDArray[np.bool_]  # (n,): final without any value that counts
    rung: NDArray[np.int64]  # (n,): the highest one with a value, `FULL` if COMPLETE, 0 for none
    value: Floats  # (n,): there; NaN without a rung
    at: dict[int, tuple[NDArray[np.int64], Floats]]  # by rung: rows with a value, and the values


@dataclass(frozen=True, kw_only=True)
class _Row:
    point: Floats
    values: dict[int, float]  # by rung
    is_final: bool

    @property
    def highest(self) -> int:
        return max(self.values, default=0)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Good and bad trials, as rows."""

    by_rank: NDArray[np.int64]  # the good ones, the best first
    bad: NDArray[np.int64]  # all others, ascending


def split_trials(trials: Trials) -> Split | None:
    """Compare the trials at the highest rung with enough values; None without such a rung."""
    rungs = [rung for rung, (rows, _) in trials.at.items() if len(rows) >= MIN_VALUES]
    if not rungs:
        return None
    rows, values = trials.at[max(rungs)]
    n_good = max(3, min(math.ceil(0.1 * len(rows)), _MAX_GOOD))
    good = rows[np.argsort(values, kind="stable")[:n_good]]
    is_bad = np.ones(len(trials.numbers), dtype=bool)
    is_bad[good] = False
    return Split(by_rank=good, bad=np.flatnonzero(is_bad))


class RungTable:
    """Reads mirrors; keeps the rows of the final trials of the last one."""

    def __init__(self, cube: Cube) -> None:
        self._cube = cube
        self._mirror: weakref.ref[Mirror] | None = None
        self._finals: dict[int, _Row] = {}

    def read(self, mirror: Mirror) -> Trials:
        """Return the shown trials of a mirror."""
        if self._mirror is None or self._mirror() is not mirror:
            self._mirror, self._finals = weakref.ref(mirror), {}
        shown = mirror.shown()
        rows = [self._row(trial, mirror) for trial in shown]
        return self._collect([trial.number for trial in shown], rows)

    def _row(self, trial: ShownTrial, mirror: Mirror) -> _Row:
        known = self._finals.get(trial.number)
        if known is None:
            is_final = trial.state.is_finished()
            known = _Row(
                point=self._cube.encode(trial.params),
                values=_values(trial, mirror),
                is_final=is_final,
            )
            if is_final:
                self._finals[trial.number] = known
        return known

    def _collect(self, numbers: Sequence[int], rows: Sequence[_Row]) -> Trials:
        by_rung: dict[int, tuple[list[int], list[float]]] = {}
        for place, row in enumerate(rows):
            for rung, value in row.values.items():
                places, values = by_rung.setdefault(rung, ([], []))
                places.append(place)
                values.append(value)
        n_axes = len(self._cube.axes)
        return Trials(
            numbers=np.array(numbers, dtype=np.int64),
            points=np.array([row.point for row in rows]).reshape(len(rows), n_axes),
            is_final=np.array([row.is_final for row in rows], dtype=bool),
            diverged=np.array([row.is_final and not row.values for row in rows], dtype=bool),
            rung=np.array([row.highest for row in rows], dtype=np.int64),
            value=np.array([row.values.get(row.highest, math.nan) for row in rows], dtype=float),
            at={
                rung: (np.array(places, dtype=np.int64), np.array(values))
                for rung, (places, values) in sorted(by_rung.items())
            },
        )


def _values(trial: ShownTrial, mirror: Mirror) -> dict[int, float]:
    """Return a trial's values by rung, the lower the better; none for a trial that diverged."""
    rank = mirror.direction.rank
    found = {step: rank(value) for step, value in mirror.rungs_of(trial.number).items()}
    match trial.state:
        case OptunaState.COMPLETE:
            assert trial.value is not None
            return {**found, FULL: rank(trial.value)}
        case OptunaState.PRUNED if not trial.intermediate_values:
            return {}  # diverged
        case OptunaState.PRUNED if not found:  # another program's, without rungs
            return {step: rank(value) for step, value in trial.intermediate_values.items()}
    return found
