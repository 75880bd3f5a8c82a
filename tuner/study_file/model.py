"""The validated content of a study file: `StudySpec` and its parts, all frozen."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from tuner.study.goal import Goal
from tuner.study.trial import Direction, ParamValue
from tuner.study_file import not_yet
from tuner.study_file.frozen import Model
from tuner.study_file.keys import Key
from tuner.study_file.kinds.objective import MAX_LANES, MAX_RANKS
from tuner.study_file.kinds.table import AnyObjective
from tuner.study_file.params.space import Range
from tuner.study_file.stores import POSTGRES, StoreText
from tuner.study_file.values import DAY, Duration, Flag, Hours, OneOf, OrWord, Real, Whole

_EXTEND = "the stored budget stays; `tuner extend` raises it"


class Algorithm(Model):
    """A sampler or pruner by name, with its settings under their own names.

    `parts` are the pruners inside a pruner: the one that `patient` wraps, or all of a list, whose
    name is `any`.
    """

    name: str
    settings: Mapping[str, bool | int | float | str | None] = {}
    parts: tuple["Algorithm", ...] = ()


class Budget(Model):
    """Limits over all machines; the first one reached ends the study. None: no such limit."""

    trials: Annotated[
        int | None,
        Key(
            Whole(1, 10_000_000),
            "trials of all machines together. At least one limit is required, unless "
            "`sampler: grid` ends by itself. The first limit reached ends the study",
            stays=_EXTEND,
        ),
    ] = None
    epochs: Annotated[
        int | None,
        Key(
            Whole(1, 10**12),
            "epochs (steps) trained in all trials. Repeated epochs count once, and running "
            "trials finish",
            stays=_EXTEND,
        ),
    ] = None
    time_seconds: Annotated[
        float | None,
        Key(
            Duration(1, 3650 * DAY),
            "time during which at least one agent worked on the study; pauses do not count. "
            "When this limit or one of the next two is reached, running trials end as PRUNED",
            name="time",
            stays=_EXTEND,
        ),
    ] = None
    gpu_seconds: Annotated[
        float | None,
        Key(
            Hours(),
            "hours of busy devices, CPU workers and each GPU of a trial included",
            name="gpu_hours",
            stays=_EXTEND,
        ),
    ] = None
    target: Annotated[
        float | None,
        Key(Real(), "the study ends when a COMPLETE trial reaches this value", stays=_EXTEND),
    ] = None
    stop: Annotated[
        str,
        Key(
            OneOf(("limit", "plateau")),
            "`plateau`: the study also ends when, after 20 COMPLETE trials, the rest of the budget "
            "has less than a 10 % chance of a better one, as `tuner status` estimates it; trials "
            "in training are PRUNED then, and `limit` with `tuner resume` continues the study",
        ),
    ] = "limit"

    @property
    def stops_at_plateau(self) -> bool:
        return self.stop == "plateau"


class Trial(Model):
    """Rules for each trial."""

    timeout_seconds: Annotated[
        float | None,
        Key(
            Duration(1, 365 * DAY),
            "wall-clock limit of a trial, including time in which it shares its device. A "
            "trial that exceeds it is FAIL",
            name="timeout",
        ),
    ] = None


class Workers(Model):
    """Use of each device."""

    lanes: Annotated[
        int | None,
        Key(
            OrWord("auto", Whole(1, MAX_LANES), "auto or a whole number"),
            "trials of the built-in trainer that one process trains together; `auto`: as many "
            "as pay. A function trains one trial per process; use `processes` for it",
        ),
    ] = None
    processes: Annotated[int, Key(Whole(1, 64), "worker processes per device")] = 1
    gpus_per_trial: Annotated[
        int,
        Key(
            Whole(1, MAX_RANKS),
            "GPUs of a trial. The GPUs of a machine form places of this many, which a function or "
            "a command takes and frees together. Trials over several machines are not supported",
        ),
    ] = 1
    processes_per_trial: Annotated[
        int | None,
        Key(
            OrWord("auto", Whole(1, MAX_RANKS), "auto or a whole number"),
            "processes of a trial, started under `torchrun --standalone`; `auto`: one per GPU of "
            "the trial. `1`: the program uses all of them itself. On a machine without GPUs each "
            "process takes a share of the CPU",
        ),
    ] = None
    preload: Annotated[
        bool,
        Key(
            Flag(),
            "whether the file of a function is imported once per machine instead of by each trial. "
            "This is not done, with a notice, if the import starts a thread or a process, opens a "
            "socket, initializes CUDA or reads CUDA_VISIBLE_DEVICES",
        ),
    ] = False

    @property
    def n_ranks(self) -> int:
        """Return the processes of a trial, which train it together."""
        return self.gpus_per_trial if self.processes_per_trial is None else self.processes_per_trial


class FolderPolicy(StrEnum):
    """The answer to a checkpoint that is a folder, whose files may be pickles."""

    REFUSED = "refused"
    TRUSTED = "trusted"


class Checkpoints(Model):
    every_seconds: Annotated[
        float,
        Key(Duration(0.1, 30 * DAY), "interval between two checkpoints of a trial", name="every"),
    ] = 30.0
    keep: Annotated[
        int,
        Key(
            Whole(1, 100),
            "checkpoints that the database keeps of a trial until it is final. If the newest "
            "one is damaged, the one before it is used",
        ),
    ] = 2
    keep_best: Annotated[
        int,
        Key(
            Whole(0, 100),
            "number of COMPLETE trials whose weights are kept: the best trials so far, each "
            "with the weights of its best epoch (built-in trainer, up to 256 MiB each). "
            "`tuner export --weights` writes them",
        ),
    ] = 5
    folders: Annotated[
        FolderPolicy,
        Key(
            OneOf(tuple(FolderPolicy)),
            "`trusted` allows `trial.checkpoint.folder()`. Folders may hold pickles: users who can "
            "write to the database can then run code on this machine. The file of each machine "
            "counts for that machine; the value is not stored",
            is_local=True,
        ),
    ] = FolderPolicy.REFUSED

    store: Annotated[
        str,
        Key(
            StoreText(),
            "where checkpoints are kept: `postgres` (up to 1 GiB each), `file:PATH` (a folder that "
            "all machines see, relative to the study file), `s3://BUCKET/PREFIX` or "
            "`gs://BUCKET/PREFIX`. The file of each machine counts for that machine; the value is "
            "not stored",
            is_local=True,
        ),
    ] = POSTGRES

    @property
    def trusts_folders(self) -> bool:
        return self.folders is FolderPolicy.TRUSTED


class CodePolicy(StrEnum):
    """The reaction to changed code of the objective."""

    WARN = "warn"
    REFUSE = "refuse"


class Failures(Model):
    retries: Annotated[
        int, Key(Whole(0, 100), "further attempts after an error of the trial itself")
    ] = 2
    lease_seconds: Annotated[
        float,
        Key(
            Duration(1, DAY),
            "an agent without a heartbeat for this time (at least `1s`) loses its trials",
            name="lease",
            stays="the stored lease stays",
        ),
    ] = 30.0
    # The last 5 s are for uploads after the workers have ended.
    grace_seconds: Annotated[
        float,
        Key(Duration(6, DAY), "time from a stop signal to the exit, at least `6s`", name="grace"),
    ] = 25.0
    silence_seconds: Annotated[
        float | None,
        Key(
            OrWord("auto", Duration(1, 30 * DAY)),
            "a worker that reports nothing for this time hangs: its stacks go to the log, and "
            "the trial is FAIL. `auto` is ten times the longest step seen on the machine, at "
            "least `5m`. Before the first report of a trial, `auto` is `12h`",
            name="silence",
        ),
    ] = None
    stop_after: Annotated[
        int | None,
        Key(
            OrWord("never", Whole(1, 10_000), "a whole number of failures, or never"),
            "this number of failed attempts in a row, over all machines, halts the study",
        ),
    ] = 8
    max_offline_seconds: Annotated[
        float,
        Key(
            Duration(1, 30 * DAY),
            "after this time without a database, workers save and end, so that other programs "
            "can use the devices. They start again when the database is back",
            name="max_offline",
        ),
    ] = 3600.0


class Confirms(Model):
    """The trials of another study to train again, and the number of fresh seeds."""

    study: str
    study_created_at: str  # a study of this name that was made at another time is another one
    trials: tuple[int, ...]
    params: tuple[Mapping[str, ParamValue], ...]  # the searched ones, one mapping a trial
    seeds: int


class StudySpec(Model):
    """A whole study file, or a study that confirms another one."""

    name: Annotated[
        str,
        Key(
            None,
            "name of the study in the database: letters, digits, `.`, `_` and `-`, at most "
            "64, beginning with a letter, a digit or `_`. An earlier version allowed names "
            "that begin with `-`; write such a name after `--`, as in `tuner status -- -x`",
        ),
    ]
    objective: Annotated[
        AnyObjective,
        Key(
            None,
            "your own training function, or a mapping with the next three keys for the built-in "
            "trainer. A path is relative to the study file; if the file is a link and the "
            "code is not next to the link, to the target of the link",
            is_identity=True,
        ),
    ]
    metric: str  # named by `minimize:` or `maximize:`
    direction: Direction
    params: Annotated[
        Mapping[str, ParamValue], Key(None, "fixed values of every trial", is_identity=True)
    ] = {}
    search_space: Annotated[
        Mapping[str, Range], Key(None, "the ranges to search", is_identity=True)
    ]
    sampler: Annotated[Algorithm, Key(None, "proposes the params", is_identity=True)]
    pruner: Annotated[
        Algorithm,
        Key(
            None,
            "stops weak trials early. A list stops a trial when one of its pruners does",
            is_identity=True,
        ),
    ]
    budget: Annotated[Budget, Key(Budget, "the first limit reached ends the study")]
    trial: Annotated[Trial, Key(Trial, "rules for each trial", later=not_yet.TRIAL)] = Trial()
    seed: Annotated[
        int,
        Key(
            Whole(0, 2**32 - 1),
            "seed of the draws, the order of the data, the weights and dropout",
            is_identity=True,
        ),
    ] = 0
    workers: Annotated[Workers, Key(Workers, "how each device is used")] = Workers()
    checkpoints: Annotated[
        Checkpoints, Key(Checkpoints, "when and where training state is saved")
    ] = Checkpoints()
    failures: Annotated[Failures, Key(Failures, "the policy for failures")] = Failures()
    code: Annotated[
        CodePolicy,
        Key(
            OneOf(tuple(CodePolicy)),
            "reaction to a machine whose code differs: a note, or a refusal",
        ),
    ] = CodePolicy.WARN
    priority: Annotated[
        int,
        Key(
            Whole(-1000, 1000),
            "among the studies of `tuner agent`: those with the highest one get devices first, and "
            "equal ones share them evenly",
            stays="the stored priority stays; `tuner priority` changes it",
        ),
    ] = 0
    enqueue: Annotated[
        tuple[Mapping[str, ParamValue], ...],
        Key(
            None,
            "params of the first trials. Missing params are drawn at random",
            stays="nothing is enqueued again; `tuner enqueue` adds trials",
        ),
    ] = ()
    confirms: Confirms | None = None  # never in a study file: `tuner confirm` makes such studies

    @property
    def goal(self) -> Goal:
        return Goal(metric=self.metric, direction=self.direction)

    @property
    def needs_study_file(self) -> bool:
        """Return whether it names code or files, which only a file on a machine may choose."""
        return bool(self.objective.local_names)

    @property
    def n_steps(self) -> int | None:
        """Return the steps of a full trial; None when only the objective knows."""
        return self.objective.n_steps(self.params)

    @property
    def structural_params(self) -> frozenset[str]:
        """Return the params in which lanes of a group must agree; empty if trials train alone."""
        return self.objective.structural_params(self.params, self.search_space)

    @property
    def step_noun(self) -> str:
        """Return the noun for a step of the objective: "epoch" or "step"."""
        return "epoch" if self.objective.counts_epochs or "epochs" in self.params else "step"
