"""Parameters, tasks and metrics of the built-in trainer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tuner.study.trial import Direction, Params, ParamValue
from tuner.study_file.text.intervals import Interval


class Task(StrEnum):
    """The task of a data set."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"

    @classmethod
    def of_metrics(cls, goals: Collection[str]) -> "Task":
        """Return the task with these goals."""
        return cls.CLASSIFICATION if "val_accuracy" in goals else cls.REGRESSION


DATA_SETS: Mapping[str, Task] = {
    "digits": Task.CLASSIFICATION,
    "breast_cancer": Task.CLASSIFICATION,
    "wine": Task.CLASSIFICATION,
    "iris": Task.CLASSIFICATION,
    "diabetes": Task.REGRESSION,
}
IMAGE_SETS: Mapping[str, tuple[int, int, int]] = {"digits": (1, 8, 8)}  # channels, height, width

# The metrics of a task, each with the only direction that makes sense. The trainer reports those
# that a study asks for, and its goal, as `val_NAME`.
METRICS: Mapping[Task, Mapping[str, Direction]] = {
    Task.CLASSIFICATION: dict.fromkeys(
        ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc"), Direction.MAXIMIZE
    ),
    Task.REGRESSION: {
        "mse": Direction.MINIMIZE,
        "rmse": Direction.MINIMIZE,
        "mae": Direction.MINIMIZE,
        "r2": Direction.MAXIMIZE,
    },
}
DEFAULT_METRICS: Mapping[Task, tuple[str, ...]] = {
    Task.CLASSIFICATION: ("accuracy",),
    Task.REGRESSION: ("mae", "r2"),
}
# Goals of a study. `val_loss` is the plain loss, and is always reported, as `train_loss` is.
OBJECTIVES: Mapping[Task, Mapping[str, Direction]] = {
    task: {"val_loss": Direction.MINIMIZE}
    | {f"val_{name}": direction for name, direction in METRICS[task].items()}
    for task in Task
}
TRAINING_METRIC = "train_loss"
SECONDS_METRIC = "seconds"  # an epoch's share of its device's time


_ANYTHING = Interval()


@dataclass(frozen=True, kw_only=True)
class TrainerParam:
    """One parameter of the built-in trainer, or of a function that takes any."""

    name: str
    kind: Literal["float", "int", "choice", "flag", "any"]
    default: ParamValue
    domain: Interval = _ANYTHING  # of a float or int
    choices: tuple[str, ...] = ()  # of a choice
    why_fixed: str = ""  # not empty: it cannot be searched, and why
    # (parameter, values) without which it has no effect
    only_with: tuple[str, tuple[str, ...]] | None = None


_NON_NEGATIVE = Interval(low=0)
_FRACTION = Interval(low=0, high=1, is_open_high=True)
_FACTOR = Interval(low=0, high=1, is_open_low=True, is_open_high=True)
_EPOCHS = Interval(low=1, high=1_000_000)
_WITH_SGD = ("optimizer", ("sgd",))
_WITH_ADAM = ("optimizer", ("adam", "adamw"))

TRAINER_PARAMS: Mapping[str, TrainerParam] = {
    param.name: param
    for param in (
        TrainerParam(
            name="learning_rate",
            kind="float",
            default=1e-3,
            domain=Interval(low=0, is_open_low=True),
        ),
        TrainerParam(
            name="batch_size", kind="int", default=64, domain=Interval(low=1, high=1_000_000)
        ),
        # hidden layers: 0 is a linear model
        TrainerParam(name="n_layers", kind="int", default=2, domain=Interval(low=0, high=64)),
        TrainerParam(name="width", kind="int", default=64, domain=Interval(low=1, high=65_536)),
        TrainerParam(
            name="activation", kind="choice", default="relu", choices=("relu", "tanh", "gelu")
        ),
        TrainerParam(name="dropout", kind="float", default=0.0, domain=_FRACTION),
        TrainerParam(
            name="optimizer",
            kind="choice",
            default="adam",
            choices=("sgd", "adam", "adamw", "rmsprop"),
        ),
        TrainerParam(
            name="momentum", kind="float", default=0.9, domain=_FRACTION, only_with=_WITH_SGD
        ),
        TrainerParam(name="nesterov", kind="flag", default=False, only_with=_WITH_SGD),
        TrainerParam(
            name="beta1", kind="float", default=0.9, domain=_FRACTION, only_with=_WITH_ADAM
        ),
        TrainerParam(
            name="beta2", kind="float", default=0.999, domain=_FRACTION, only_with=_WITH_ADAM
        ),
        TrainerParam(name="weight_decay", kind="float", default=0.0, domain=_NON_NEGATIVE),
        TrainerParam(name="l1", kind="float", default=0.0, domain=_NON_NEGATIVE),
        TrainerParam(
            name="schedule",
            kind="choice",
            default="constant",
            choices=("constant", "cosine", "step", "one_cycle", "plateau"),
        ),
        TrainerParam(
            name="step_every",
            kind="int",
            default=10,
            domain=_EPOCHS,
            only_with=("schedule", ("step",)),
        ),
        TrainerParam(
            name="step_factor",
            kind="float",
            default=0.1,
            domain=_FACTOR,
            only_with=("schedule", ("step",)),
        ),
        TrainerParam(
            name="plateau_patience",
            kind="int",
            default=3,
            domain=Interval(low=0, high=1_000_000),
            only_with=("schedule", ("plateau",)),
        ),
        TrainerParam(
            name="plateau_factor",
            kind="float",
            default=0.3,
            domain=_FACTOR,
            only_with=("schedule", ("plateau",)),
        ),
        TrainerParam(name="warmup", kind="float", default=0.0, domain=_NON_NEGATIVE),
        TrainerParam(name="clip_norm", kind="float", default=0.0, domain=_NON_NEGATIVE),
        TrainerParam(name="label_smoothing", kind="float", default=0.0, domain=_FRACTION),
        TrainerParam(
            name="init",
            kind="choice",
            default="torch",
            choices=("torch", "kaiming", "xavier", "orthogonal"),
        ),
        TrainerParam(
            name="epochs",
            kind="int",
            default=20,
            domain=_EPOCHS,
            why_fixed="it is the length of a trial, which a pruner shortens",
        ),
        # epochs without a better value of the goal after which a trial is COMPLETE; 0: never
        TrainerParam(
            name="patience", kind="int", default=0, domain=Interval(low=0, high=1_000_000)
        ),
        # of the forward pass; weights and the optimizer stay in float32
        TrainerParam(
            name="precision",
            kind="choice",
            default="float32",
            choices=("float32", "bfloat16"),
        ),
    )
}

# Of the convolutional network alone: channels of its first block.
DEFAULT_CHANNELS = 16
_MAX_DOUBLED = 1024  # channels: bounds the memory of a deep network
CNN_PARAMS: Mapping[str, TrainerParam] = {
    "channels": TrainerParam(
        name="channels",
        kind="int",
        default=DEFAULT_CHANNELS,
        domain=Interval(low=1, high=4096),
    )
}


def channels_of_block(first: int, number: int) -> int:
    """Return the channels of a block, from 0: twice as many in each, until doubling ends."""
    return min(first << number, max(first, _MAX_DOUBLED))


# Params that may differ between lanes of one stack of any model.
PER_LANE_PARAMS = (
    "learning_rate",
    "weight_decay",
    "momentum",
    "nesterov",
    "beta1",
    "beta2",
    "l1",
    "optimizer",
    "schedule",
    "step_every",
    "step_factor",
    "plateau_patience",
    "plateau_factor",
    "warmup",
    "clip_norm",
    "label_smoothing",
    "init",
    "epochs",
    "patience",
)

# Arguments that a custom model gets from the data, besides the params.
SHAPE_NAMES = ("n_features", "n_outputs")


@dataclass(frozen=True, kw_only=True)
class KnownParams:
    """The parameters that an objective takes."""

    table: Mapping[str, TrainerParam]
    takes_others: bool  # names are free then, and values of any type


ANY_PARAMS = KnownParams(table={}, takes_others=True)


def resolve(params: Params) -> dict[str, ParamValue]:
    """Return every parameter of the trainer, with its default if none is given, and all others."""
    return {name: param.default for name, param in TRAINER_PARAMS.items()} | dict(params)
