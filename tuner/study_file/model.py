"""The validated content of a study file: `StudySpec` and its parts, all frozen."""

from collections.abc import Mapping
from enum import StrEnum

from tuner.study.trial import Direction, ParamValue
from tuner.study_file.frozen import Model
from tuner.study_file.kinds.table import AnyObjective
from tuner.study_file.space import Range


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
    objective: AnyObjective
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
        """Whether code of the user trains it, or a part of it."""
        return bool(self.objective.code_names)

    @property
    def n_steps(self) -> int | None:
        """The steps of a full trial; None when the objective alone knows."""
        return self.objective.n_steps(self.params)

    @property
    def structural_params(self) -> frozenset[str]:
        """Lanes that agree in these can share a group; empty where trials train alone."""
        return self.objective.structural_params(self.params, self.search_space)

    @property
    def step_noun(self) -> str:
        """What a step of the objective is called: "epoch" or "step"."""
        return "epoch" if self.objective.counts_epochs or "epochs" in self.params else "step"
