"""The validated content of a study file: `StudySpec` and its parts, all frozen."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tuner.study.trial import Direction, ParamValue


class Model(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FloatRange(Model):
    """`{float: [low, high], log: ..., step: ...}`, bounds inclusive."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    step: float | None = None


class IntRange(Model):
    """`{int: [low, high], log: ..., step: ...}`, bounds inclusive."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    step: int = 1


class Choice(Model):
    """`{choice: [...]}`."""

    kind: Literal["choice"] = "choice"
    choices: tuple[ParamValue, ...]


Range = FloatRange | IntRange | Choice
SearchSpace = Mapping[str, Range]


class SklearnData(Model):
    """`{sklearn: digits}`: a data set that scikit-learn ships."""

    sklearn: str


class TrainerObjective(Model):
    """The built-in trainer on a data source."""

    data: SklearnData
    model: Literal["mlp"]


class Algorithm(Model):
    """A sampler or pruner by name, with its settings under their own names."""

    name: str
    settings: Mapping[str, bool | int | float | str] = {}


class Budget(Model):
    """Limits over all machines."""

    trials: int


class Workers(Model):
    """How each device is used."""

    processes: int = 1  # worker processes per device


class Checkpoints(Model):
    """When training state is saved."""

    every_seconds: float = 30.0


class Failures(Model):
    """How failures are met."""

    retries: int = 2  # further attempts after a failure of the trial's own
    lease_seconds: float = 30.0  # an agent silent for so long is lost
    grace_seconds: float = 25.0  # from a signal to the exit


class StudySpec(Model):
    """A whole study file."""

    name: str
    objective: TrainerObjective
    metric: str  # what `minimize:` or `maximize:` names
    direction: Direction
    params: Mapping[str, ParamValue] = {}
    search_space: Mapping[str, Range]
    sampler: Algorithm
    pruner: Algorithm
    budget: Budget
    seed: int = 0
    workers: Workers = Workers()
    checkpoints: Checkpoints = Checkpoints()
    failures: Failures = Failures()
