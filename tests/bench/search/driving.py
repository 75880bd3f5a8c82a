"""One search in this process: real training on one device, with so many trials in flight."""

import math
import time
from collections.abc import Sequence

from tests.bench.search.records import TrialRow
from tests.bench.search.searchers import Searcher
from tuner.study.goal import Goal
from tuner.study.seeds import derive_seed
from tuner.study.trial import Direction, Params, Values
from tuner.study.verdict import Outcome, Verdict
from tuner.study_file.params.trainer_params import resolve
from tuner.training.data.dataset import Dataset
from tuner.training.groups.device_groups import Departure, Groups
from tuner.training.groups.sizes import FixedSizes
from tuner.training.lane import DetachedLane
from tuner.training.losses.built_in import loss_of
from tuner.training.losses.metrics import Metrics
from tuner.worker.kinds.trainer.models import mlp_of

GOAL = Goal(metric="val_loss", direction=Direction.MINIMIZE)
_STATES = {Outcome.COMPLETE: "COMPLETE", Outcome.PRUNED: "PRUNED", Outcome.NON_FINITE: "DIVERGED"}


class Clock:
    """Seconds of this process on the CPU, so that other load on the machine does not count."""

    def __init__(self) -> None:
        self.suggesting = 0.0
        self._began = time.process_time()

    @property
    def now(self) -> float:
        return time.process_time() - self._began

    @property
    def training(self) -> float:
        return self.now - self.suggesting


class _Lane(DetachedLane):
    def __init__(self, number: int, params: Params, seed: int, drive: "Drive") -> None:
        super().__init__(resolve(params), seed)
        self.number = number
        self.order = Verdict.CONTINUE
        self.last_epochs = 0  # of the whole search, with its last report
        self._drive = drive

    def report(self, step: int, values: Values, *, is_last: bool = False) -> None:
        self._drive.take_report(self, step, values[GOAL.metric])

    def verdict(self) -> Verdict:
        return self.order


class Drive:
    """A search until its budget of epochs is used up.

    A turn ends when all lanes of a group have trained for an epoch: what is reported beyond the
    budget is ignored, so that every search has exactly as many epochs.
    """

    def __init__(
        self,
        searcher: Searcher,
        data: Dataset,
        *,
        n_epochs: int,
        trial_epochs: int,
        in_flight: int,
        seed: int,
    ) -> None:
        self._searcher = searcher
        self._n_epochs = n_epochs
        self._fixed: Params = {"epochs": trial_epochs}
        self._in_flight = in_flight
        self._seed = seed
        self._lanes: dict[int, _Lane] = {}
        self._groups = open_groups(data, derive_seed(seed, "data"), in_flight)
        self.trials: list[TrialRow] = []
        self.epochs = 0
        self.clock = Clock()

    def run(self) -> None:
        """Fill lanes and train in turns, as a worker does."""
        while self.epochs < self._n_epochs:
            self._fill()
            for departure in self._groups.turn():
                self._end(departure)

    def _fill(self) -> None:
        started = self.clock.now
        n_training = len(self._lanes)
        n = self._searcher.n_wanted(self._in_flight - n_training, n_training)
        if n == 0:
            return
        suggested = self._searcher.suggest(n)
        now = self.clock.now
        self.clock.suggesting += now - started
        lanes = []
        for suggestion in suggested:
            number = len(self.trials)
            row = TrialRow(
                params=dict(suggestion.params),
                origin=suggestion.by.value if suggestion.by else None,
                begun_epochs=self.epochs,
                begun_seconds=now,
            )
            self.trials.append(row)
            seed = derive_seed(self._seed, "trial", number)
            lanes.append(_Lane(number, {**self._fixed, **suggestion.params}, seed, self))
        self._lanes |= {lane.number: lane for lane in lanes}
        self._groups.admit(lanes)

    def take_report(self, lane: _Lane, step: int, value: float) -> None:
        """Count an epoch, and let the searcher judge it at once."""
        if self.epochs == self._n_epochs:
            return
        self.epochs += 1
        self.trials[lane.number].values.append(value)
        lane.last_epochs = self.epochs
        started = self.clock.now
        lane.order = self._searcher.report(lane.number, step, value)
        self.clock.suggesting += self.clock.now - started

    def _end(self, departure: Departure) -> None:
        lane = self._lanes.pop(departure.lane.number)
        row = self.trials[lane.number]
        if len(row.values) < departure.step:
            return  # its last epoch was beyond the budget
        # Optuna's usual loop may prune a trial at its last step; tuner's rules never do.
        is_pruned = departure.how is Outcome.COMPLETE and lane.order is Verdict.PRUNE
        how = Outcome.PRUNED if is_pruned else departure.how
        row.state = _STATES[how]
        row.ended_epochs, row.ended_seconds = lane.last_epochs, self.clock.now
        row.value = departure.best_values[GOAL.metric] if how is Outcome.COMPLETE else None
        started = self.clock.now
        self._searcher.end(lane.number, how, row.value)
        self.clock.suggesting += self.clock.now - started


def open_groups(
    data: Dataset, data_seed: int, n_lanes: int, metrics: Metrics | None = None
) -> Groups:
    """Return the trainer of a worker for so many lanes."""
    loss = loss_of(data)
    return Groups(
        mlp_of(data, loss),
        data,
        loss,
        data_seed=data_seed,
        goal=GOAL,
        sizes=FixedSizes(n_lanes),
        metrics=metrics,
    )


def new_bests(trials: Sequence[TrialRow]) -> list[tuple[int, float, float]]:
    """Return the COMPLETE trials that were better than all before: (epochs, seconds, value)."""
    found: list[tuple[int, float, float]] = []
    best = math.inf
    ended = [trial for trial in trials if trial.value is not None]
    for trial in sorted(ended, key=lambda trial: trial.ended_epochs or 0):
        assert trial.value is not None
        assert trial.ended_epochs is not None
        assert trial.ended_seconds is not None
        if trial.value < best:
            best = trial.value
            found.append((trial.ended_epochs, trial.ended_seconds, trial.value))
    return found
