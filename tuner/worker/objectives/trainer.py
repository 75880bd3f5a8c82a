"""The built-in trainer as an objective: its data, its groups, and what a departure says."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from tuner.messages import How, Setup
from tuner.study.trial import Params, Values
from tuner.study_file.trainer_params import Task, resolve
from tuner.training.data import Split, TrainingData, load_data
from tuner.training.lane import Lane, Verdict
from tuner.training.trainer import Departure, train
from tuner.worker.exits import Exit


class TrainerObjective:
    """Trains groups of lanes on the study's data."""

    n_lanes = 1  # how many it takes at a time
    is_single_use = False
    is_stepwise = True

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._data = load_data(Path(setup.data_folder), setup.device)

    def complete(self, params: Params) -> Params:
        """Every parameter of the trainer."""
        return resolve(params)

    def run(self, lanes: Sequence[Lane]) -> Iterator[Exit]:
        """Train lanes of one structure until all have left."""
        departures = train(
            lanes,
            self._data,
            data_seed=self._setup.data_seed,
            metric=self._setup.metric,
            minimize=self._setup.minimize,
        )
        return (exit_of(departure, self._setup.metric) for departure in departures)


def exit_of(departure: Departure, metric: str) -> Exit:
    """What the agent is told; of a diverged lane, by which values."""
    is_complete = departure.how is How.COMPLETE
    message = ""
    if departure.how is How.NON_FINITE:
        bad = [f"{n} is {v}" for n, v in departure.last_values.items() if not math.isfinite(v)]
        message = f"{', '.join(bad)} at step {departure.step}"
    return Exit(
        lane=departure.lane,
        how=departure.how,
        value=departure.best_values[metric] if is_complete else None,
        message=message,
        facts=facts_of(departure, metric),
    )


def facts_of(departure: Departure, metric: str) -> dict[str, float | int | str]:
    """What the public record says beside the value; finite numbers only.

    Of a complete trial its best epoch, of any other its last.
    """
    if departure.how is How.COMPLETE:
        facts: dict[str, float | int | str] = {"best_step": departure.best_step}
        values: Values = {n: v for n, v in departure.best_values.items() if n != metric}
    else:
        facts, values = {}, departure.last_values
    kept = {n: v for n, v in values.items() if n != "seconds" and math.isfinite(v)}
    return facts | kept


def warm_up() -> None:
    """Train on a handful of numbers, so that the first trial finds every kernel loaded."""
    split = Split(x_NF=torch.zeros(32, 8), y_N=torch.zeros(32, dtype=torch.int64))
    data = TrainingData(
        task=Task.CLASSIFICATION, n_classes=2, target_scale=1.0, train=split, validation=split
    )
    for _ in train([_Nobody()], data, data_seed=0, metric="val_loss", minimize=True):
        pass


class _Nobody:
    """A lane without a trial."""

    number, seed, checkpoint = 0, 0, None
    from_step, last_value = 0, None
    params = resolve({"epochs": 1, "dropout": 0.1, "batch_size": 16, "width": 32})

    def report(self, step: int, values: Values) -> None: ...

    def save(self, step: int, state: object) -> bool:
        return False

    def verdict(self) -> Verdict:
        return Verdict.GO_ON
