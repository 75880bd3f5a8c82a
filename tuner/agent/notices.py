"""Notices that an agent passes to its view."""

from dataclasses import dataclass

from tuner.study.lease import Origin
from tuner.study.trial import AttemptKey, Params, TrialState


@dataclass(frozen=True, kw_only=True)
class StudyJoined:
    """The study was created or joined."""

    name: str
    is_new: bool
    n_trials: int | None  # the budget, if trials are limited
    data: str  # "digits: 1797 rows, ...", or which function
    workers: tuple[str, ...]
    storage: str  # the database, without a password
    notices: tuple[str, ...]  # where the study file differs from the stored study and may
    step_noun: str = "epoch"  # unit of the objective: "epoch" or "step"


@dataclass(frozen=True, kw_only=True)
class TrialStarted:
    key: AttemptKey
    origin: Origin
    worker: str
    params: Params
    from_step: int  # 0: from the beginning
    follows_failure: bool = False  # its attempt before this one failed


@dataclass(frozen=True, kw_only=True)
class TrialEnded:
    """A trial ended on this machine."""

    key: AttemptKey
    state: TrialState
    value: float | None
    reason: str | None
    n_steps: int
    is_best: bool  # best COMPLETE trial so far, as far as this machine knows


@dataclass(frozen=True, kw_only=True)
class AttemptReleased:
    """An attempt was released: the trial continues elsewhere or later."""

    key: AttemptKey
    reason: str
    has_failed: bool = False  # this attempt; there will be another
    max_attempts: int | None = None  # of a failed one: the last number, if each attempt fails so


@dataclass(frozen=True, kw_only=True)
class AttemptLost:
    """Another agent holds the trial now; this machine dropped its work on it."""

    key: AttemptKey


@dataclass(frozen=True, kw_only=True)
class WorkerDied:
    """A worker process ended unexpectedly; a new one replaces it."""

    worker: str
    how: str


@dataclass(frozen=True, kw_only=True)
class DatabaseLost:
    """The database is unreachable; training continues."""

    message: str


@dataclass(frozen=True, kw_only=True)
class DatabaseRefuses:
    """The database refuses a new connection of this agent; training continues."""

    message: str


@dataclass(frozen=True, kw_only=True)
class DatabaseBack:
    away_seconds: float


@dataclass(frozen=True, kw_only=True)
class FolderMadeAgain:
    """A folder of this machine had disappeared and was recreated without its content."""

    path: str


@dataclass(frozen=True, kw_only=True)
class WaitingForOthers:
    """This machine is idle until the other machines' trials are final."""

    n_open: int


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """A signal came: the agent releases its trials."""

    signal: str
    grace_seconds: float
    n_trials: int


@dataclass(frozen=True, kw_only=True)
class StudyPaused:
    """The study was paused: trials are released, workers end, the agent waits."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class StudyResumed:
    pass


@dataclass(frozen=True, kw_only=True)
class StudyStopping:
    """A limit was reached, or a user stopped the study: running trials end as PRUNED."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class StudyHalted:
    """Too many failures in a row: trials are released and agents leave."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class WorkersResting:
    """The outage is longer than `failures.max_offline`: workers save and end."""

    away_seconds: float


@dataclass(frozen=True, kw_only=True)
class PlacesBlocked:
    """These devices may not train for now: their trials are released, and no others begin."""

    places: tuple[str, ...]
    reason: str

    @property
    def sentence(self) -> str:
        return f"{', '.join(self.places)}: no trials for now ({self.reason})"


@dataclass(frozen=True, kw_only=True)
class PlacesFreed:
    places: tuple[str, ...]

    @property
    def sentence(self) -> str:
        return f"{', '.join(self.places)}: trials again"


@dataclass(frozen=True, kw_only=True)
class BreakerOpened:
    """These devices get no more trials: trials that fail on them do well on other machines."""

    places: tuple[str, ...]  # "gpu:0"
    numbers: tuple[int, ...]  # of the trials

    @property
    def sentence(self) -> str:
        places, trials = (", ".join(map(str, part)) for part in (self.places, self.numbers))
        return f"{places}: no more trials here; trials {trials} failed and do well elsewhere"


@dataclass(frozen=True, kw_only=True)
class CheckpointTrouble:
    """A checkpoint could not be written on this machine; nothing else is lost."""

    number: int
    step: int
    reason: str
    kept_step: int  # of the last good one; 0: none

    @property
    def sentence(self) -> str:
        kept = f"that of step {self.kept_step} stays" if self.kept_step else "there is none before"
        return (
            f"trial {self.number}: the checkpoint of step {self.step} is not saved "
            f"({self.reason}); the trial continues, {kept}"
        )


@dataclass(frozen=True, kw_only=True)
class NotPreloaded:
    """Trials import the code themselves, although the study file says `preload: true`."""

    sentence: str


@dataclass(frozen=True, kw_only=True)
class TrialWarning:
    """Something about a trial that needs attention; the trial continues."""

    number: int
    text: str

    @property
    def sentence(self) -> str:
        return f"trial {self.number}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class InTraining:
    """A trial that trains on this machine, and its progress."""

    number: int
    step: int
    value: float | None  # the objective at that step


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Progress of the whole study, shown from time to time."""

    n_complete: int
    n_pruned: int
    n_failed: int
    n_open: int
    n_trials: int | None  # the budget, if trials are limited
    best_value: float | None
    best_number: int | None
    in_training: tuple[InTraining, ...]  # on this machine
    n_steps: int | None  # of a full trial, if known


Told = (
    PlacesBlocked | PlacesFreed | BreakerOpened | CheckpointTrouble | NotPreloaded | TrialWarning
)  # with a whole sentence

Notice = (
    StudyJoined
    | TrialStarted
    | TrialEnded
    | AttemptReleased
    | AttemptLost
    | WorkerDied
    | DatabaseLost
    | DatabaseRefuses
    | DatabaseBack
    | FolderMadeAgain
    | WaitingForOthers
    | Stopping
    | StudyPaused
    | StudyResumed
    | StudyStopping
    | StudyHalted
    | WorkersResting
    | Told
    | Tally
)
