"""The built-in trainer as an objective: its data, its groups, and the exits of its lanes."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from tuner.messages import Setup
from tuner.study.goal import Goal
from tuner.study.trial import Direction, Params, Values
from tuner.study.verdict import Outcome
from tuner.study_file.code_names import is_code_name
from tuner.study_file.params.trainer_params import Task, resolve
from tuner.training.data.dataset import Dataset, Split
from tuner.training.groups.device_groups import Departure, Groups, train
from tuner.training.groups.sizes import (
    MAX_ON_CPU,
    MAX_ON_GPU,
    FixedSizes,
    MeasuredSizes,
    Measurement,
    SizeFile,
    Sizes,
)
from tuner.training.lane import DetachedLane, Lane
from tuner.training.losses import built_in as losses
from tuner.training.losses.built_in import Loss
from tuner.training.mlp.stack import MLP
from tuner.worker.exits import Exit
from tuner.worker.kinds.trainer.models import data_of, loss_of, metrics_of, model_of
from tuner.worker.objective import Training

SIZES_FILE = "sizes.json"


class TrainerObjective:
    is_single_use = False
    is_stepwise = True

    def __init__(self, setup: Setup, data: Dataset | None = None) -> None:
        """Build the objective; without `data` it loads those of the setup."""
        data = data or data_of(setup)
        loss = loss_of(setup, data)
        self._metric = setup.goal.metric
        self._groups = Groups(
            model_of(setup, data, loss),
            data,
            loss,
            data_seed=setup.data_seed,
            goal=setup.goal,
            sizes=_sizes(setup, data, loss),
            metrics=metrics_of(setup, data, loss),
        )

    def complete(self, params: Params) -> Params:
        """Return every parameter of the trainer."""
        return resolve(params)

    def admit(self, lanes: Sequence[Lane]) -> None:
        """Add lanes, each to a group of its kind."""
        self._groups.admit(lanes)

    def room(self) -> int:
        """Return how many more lanes have room."""
        return self._groups.room()

    def turn(self) -> Iterator[Exit]:
        """Train one group for an epoch; raises `LaneFailed`."""
        return (exit_of(departure, self._metric) for departure in self._groups.turn())


def _sizes(setup: Setup, data: Dataset, loss: Loss) -> Sizes:
    if setup.n_lanes is not None:
        return FixedSizes(setup.n_lanes)
    most = MAX_ON_CPU if setup.device == "cpu" else MAX_ON_GPU
    measure = Measurement(data, loss, most)
    if is_code_name(str(setup.objective["model"])) or isinstance(setup.objective.get("loss"), str):
        # The user's, who may change it at any time.
        return MeasuredSizes(measure, most=most, is_prompt=setup.is_prompt)
    file = SizeFile(Path(setup.data_folder).parent / SIZES_FILE, _scope(setup, data))
    return MeasuredSizes(
        measure, most=most, is_prompt=setup.is_prompt, known=file.load(), remember=file.save
    )


def _scope(setup: Setup, data: Dataset) -> str:
    """Return the facts that sizes depend on, in addition to the kind of lane."""
    on_gpu = setup.device.startswith("cuda")
    device = torch.cuda.get_device_name(setup.device) if on_gpu else f"{setup.n_threads} threads"
    shape = f"{data.train.n_rows}x{data.n_features} -> {data.n_outputs}"
    return f"torch {torch.__version__}, {device}, {shape}"


def exit_of(departure: Departure, metric: str) -> Exit:
    """Return the lane's exit; for a diverged lane, with the values that diverged."""
    is_complete = departure.how is Outcome.COMPLETE
    message = ""
    if departure.how is Outcome.NON_FINITE:
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
    """Return the attributes for the public record; finite numbers only.

    For a COMPLETE trial they describe its best epoch, otherwise its last.
    """
    if departure.how is Outcome.COMPLETE:
        facts: dict[str, float | int | str] = {"best_step": departure.best_step}
        if departure.is_early:
            n_epochs = departure.step - departure.best_step
            facts["ended"] = f"no better {metric} for {n_epochs} epoch{'s' * (n_epochs > 1)}"
        values: Values = {n: v for n, v in departure.best_values.items() if n != metric}
    else:
        facts, values = {}, departure.last_values
    kept = {n: v for n, v in values.items() if n != "seconds" and math.isfinite(v)}
    return facts | kept


def warm_up() -> None:
    """Train on a few numbers, so that the first trial finds every kernel loaded."""
    split = Split(x_NF=torch.zeros(32, 8), y_N=torch.zeros(32, dtype=torch.int64))
    data = Dataset(
        task=Task.CLASSIFICATION, n_classes=2, target_scale=1.0, train=split, validation=split
    )
    loss = losses.loss_of(data)
    model, goal = MLP(8, 2, loss), Goal(metric="val_loss", direction=Direction.MINIMIZE)
    lane = DetachedLane(resolve({"epochs": 1, "dropout": 0.1, "batch_size": 16, "width": 32}))
    groups = Groups(model, data, loss, data_seed=0, goal=goal, sizes=FixedSizes(1))
    for _ in train(groups, [lane]):
        pass


TRAINING = Training(
    warm_up=warm_up,
    build=TrainerObjective,
    set_threads=torch.set_num_threads,
    is_program=False,
)
