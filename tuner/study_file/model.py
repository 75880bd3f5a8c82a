"""The validated content of a study file: `StudySpec` and its parts, all frozen."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tuner.study.trial import Direction, ParamValue, full_length
from tuner.study_file.trainer_params import resolve


class Model(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class When(Model):
    """`when: {optimizer: [sgd]}`: a parameter applies only where another one has such a value.

    The other one is a `Choice` of the search space and may have a condition of its own: then both
    must hold.
    """

    parameter: str
    values: tuple[ParamValue, ...]


class FloatRange(Model):
    """`{float: [low, high], log: ..., step: ..., grid: ...}`, bounds inclusive."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    step: float | None = None
    grid: int | None = None  # points of this range for `sampler: grid`; geometric with `log`
    when: When | None = None


class IntRange(Model):
    """`{int: [low, high], log: ..., step: ...}`, bounds inclusive."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    step: int = 1
    grid: int | None = None
    when: When | None = None


class Choice(Model):
    """`{choice: [...]}`."""

    kind: Literal["choice"] = "choice"
    choices: tuple[ParamValue, ...]
    when: When | None = None


Range = FloatRange | IntRange | Choice
SearchSpace = Mapping[str, Range]


class SklearnData(Model):
    """`{sklearn: digits}`: a data set that scikit-learn ships."""

    sklearn: str


class TrainerObjective(Model):
    """The built-in trainer on a data source."""

    data: SklearnData
    model: str  # "mlp", or module:callable or path/file.py:callable of the user's own
    loss: str | None = None  # of the user's own; None: the one that fits the data

    @property
    def has_own_code(self) -> bool:
        """Whether the model or the loss is the user's."""
        return self.has_own_model or self.loss is not None

    @property
    def has_own_model(self) -> bool:
        """Whether the user's code builds the model."""
        return ":" in self.model


class FunctionObjective(Model):
    """`module:function` or `path/file.py:function`, relative to the study file's folder."""

    function: str


Objective = TrainerObjective | FunctionObjective


class Algorithm(Model):
    """A sampler or pruner by name, with its settings under their own names.

    `parts` are the pruners inside a pruner: the one that `patient` wraps; all of a list, whose
    name is `any`.
    """

    name: str
    settings: Mapping[str, bool | int | float | str | None] = {}
    parts: tuple["Algorithm", ...] = ()


class Budget(Model):
    """Limits over all machines; the first one reached ends the study. None: no such limit."""

    trials: int | None = None
    epochs: int | None = None  # steps trained in all trials, repeated ones not counted
    time_seconds: float | None = None  # in which at least one agent lived and nothing was paused
    gpu_seconds: float | None = None  # of busy devices
    target: float | None = None  # of a COMPLETE trial


class Trial(Model):
    """What holds for each trial."""

    timeout_seconds: float | None = None


MAX_LANES = 4096


class Workers(Model):
    """How each device is used."""

    processes: int = 1  # worker processes per device
    lanes: int | None = None  # trials that train together in each; None: as many as pay


class Checkpoints(Model):
    """When training state is saved."""

    every_seconds: float = 30.0
    keep: int = 2  # of a trial that is not final: one that is damaged is passed over
    keep_best: int = 5  # COMPLETE trials whose weights stay: the best ones


class CodePolicy(StrEnum):
    """When the objective's code is not the one with which the study was made."""

    WARN = "warn"
    REFUSE = "refuse"


class Failures(Model):
    """How failures are met."""

    retries: int = 2  # further attempts after a failure of the trial's own
    lease_seconds: float = 30.0  # an agent silent for so long is lost
    grace_seconds: float = 25.0  # from a signal to the exit
    silence_seconds: float | None = None  # a trial silent for so long hangs; None: by its steps
    stop_after: int | None = 8  # failed attempts in a row end the study; None: never
    max_offline_seconds: float = 3600.0  # without a database for so long, workers stop


class Confirms(Model):
    """Which trials of another study are trained again, under how many fresh seeds."""

    study: str
    study_created_at: str  # a study of this name that was made at another time is another one
    trials: tuple[int, ...]
    params: tuple[Mapping[str, ParamValue], ...]  # the searched ones, one mapping a trial
    seeds: int


class StudySpec(Model):
    """A whole study file, or a study that confirms another one."""

    name: str
    objective: Objective
    metric: str  # what `minimize:` or `maximize:` names
    direction: Direction
    params: Mapping[str, ParamValue] = {}
    search_space: Mapping[str, Range]
    sampler: Algorithm
    pruner: Algorithm
    budget: Budget
    trial: Trial = Trial()
    seed: int = 0
    workers: Workers = Workers()
    checkpoints: Checkpoints = Checkpoints()
    failures: Failures = Failures()
    code: CodePolicy = CodePolicy.WARN
    enqueue: tuple[Mapping[str, ParamValue], ...] = ()  # first trials; params may be missing
    confirms: Confirms | None = None  # never in a study file: `tuner confirm` makes such studies

    @property
    def has_own_code(self) -> bool:
        """Whether code of the user's trains it, or a part of it."""
        return isinstance(self.objective, FunctionObjective) or self.objective.has_own_code

    @property
    def n_steps(self) -> int | None:
        """The steps of a full trial; None when the objective alone knows."""
        if isinstance(self.objective, TrainerObjective):
            return int(resolve(self.params)["epochs"] or 0)
        return full_length(self.params)
