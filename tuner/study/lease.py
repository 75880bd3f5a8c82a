"""Claims and their ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tuner.study.checkpoint import Checkpoint, SavedFile
from tuner.study.decision import DecisionRecord
from tuner.study.failure import Failure
from tuner.study.report import Printed, Report, RungValue
from tuner.study.trial import AttemptKey, Params, TrialState


class Origin(StrEnum):
    """The way in which a trial came to this agent."""

    NEW = "new"  # a new draw
    WAITING = "waiting"  # enqueued by a user
    RELEASED = "released"  # released by an agent
    TAKEN_OVER = "taken_over"  # its agent was lost
    ADOPTED = "adopted"  # claimed before, but the answer never arrived


@dataclass(frozen=True, kw_only=True)
class ClaimedTrial:
    """A trial that this agent now holds."""

    key: AttemptKey
    origin: Origin
    draw: int | None  # None: enqueued
    params: Params  # the searched ones; fixed params are the spec's
    seed: int
    failures: int  # earlier attempts that failed by their own fault
    losses: int  # earlier attempts that were lost
    checkpoint: Checkpoint | None
    history: Mapping[int, float]  # objective by step, up to the checkpoint
    seconds: float = 0.0  # training time of earlier attempts before their release
    follows_failure: bool = False  # the attempt before this one failed
    short_of_bytes: int | None = None  # memory of the device on which it ran out of memory

    @property
    def place(self) -> int:
        """Return the index that pruners use: the draw, otherwise the number."""
        return self.key.number if self.draw is None else self.draw


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """The answer to a claim."""

    trials: Sequence[ClaimedTrial]
    n_open: int  # trials of the study that are not final, held by any agent
    limit_reached: bool  # nothing new will be started
    reason: str | None = None  # why it is stopping, if it is


@dataclass(frozen=True, kw_only=True)
class Batch:
    """All writes of a machine about trials that continue."""

    reports: Sequence[Report] = ()
    decisions: Sequence[DecisionRecord] = ()
    checkpoints: Sequence[SavedFile] = ()
    printed: Sequence[Printed] = ()


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The end of a trial."""

    key: AttemptKey
    state: TrialState  # COMPLETE, PRUNED or FAIL
    value: float | None  # of a COMPLETE or PRUNED trial
    reason: str | None = None  # of a PRUNED or FAIL trial
    failure: Failure | None = None
    reports: Sequence[Report] = ()  # all of the attempt
    decisions: Sequence[DecisionRecord] = ()
    user_attrs: Mapping[str, object] = field(default_factory=dict)
    last_step: int | None = None  # later ones come from an attempt that no longer counts
    rungs: Sequence[RungValue] = ()  # of a COMPLETE trial, if the pruner compares these
    printed: Printed | None = None
    device: str | None = None
    seconds: float = 0.0  # that this attempt used of its device: its share where lanes share it
    weights: SavedFile | None = None  # of a COMPLETE trial's best epoch


@dataclass(frozen=True, kw_only=True)
class Release:
    """The end of an attempt whose trial continues elsewhere or later."""

    key: AttemptKey
    reason: str
    failure: Failure | None = None  # None: released without a failure
    reports: Sequence[Report] = ()
    decisions: Sequence[DecisionRecord] = ()
    checkpoint: SavedFile | None = None
    short_of_bytes: int | None = None  # it ran out of the memory of a device with so much
    printed: Printed | None = None
    device: str | None = None
    seconds: float = 0.0  # that this attempt used of its device: its share where lanes share it


End = Finish | Release
