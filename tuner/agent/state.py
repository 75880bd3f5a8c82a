"""Parts of an agent's state: lanes, workers and helpers."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from tuner.errors import TunerError
from tuner.study.agents import AgentBeat
from tuner.study.checkpoint import SavedFile
from tuner.study.code import Code
from tuner.study.decision import Decision, DecisionRecord
from tuner.study.failure import Failure, Fault
from tuner.study.goal import Goal
from tuner.study.lease import ClaimedTrial, End
from tuner.study.places import place_of
from tuner.study.report import Printed, Report
from tuner.study.schedule import Schedule
from tuner.study.trial import AttemptKey, TrialRecord, TrialState
from tuner.study.verdict import Verdict


class Phase(StrEnum):
    """Phase of a lane on this machine."""

    LOADING = "loading"  # its checkpoint is being fetched
    QUEUED = "queued"  # waits for a worker
    TRAINING = "training"
    ENDING = "ending"  # its end is on its way to the store


@dataclass(kw_only=True)
class Lane:
    """An attempt that this agent holds."""

    trial: ClaimedTrial
    schedule: Schedule  # where the pruner judges it
    n_steps: int | None  # of the full trial; None if unknown
    phase: Phase = Phase.QUEUED
    worker: int | None = None
    place: int = 0  # among the starts given to that worker, from 1
    checkpoint_path: str | None = None  # to resume from
    from_step: int = 0
    started_at: float = 0.0  # on the agent's clock, when a worker got it
    reported_at: float = 0.0
    measured_seconds: float = 0.0  # device time of the reported steps; see `seconds_metric`
    printed: Printed | None = None  # the end of its log, as it was last seen
    is_printed_posted: bool = True
    reports: list[Report] = field(default_factory=list)  # all of this attempt
    n_posted: int = 0  # of `reports`, passed to the store thread
    decisions: list[DecisionRecord] = field(default_factory=list)  # not posted yet
    verdict: Decision | None = None  # that prunes it
    held: DecisionRecord | None = None  # prunes it at its next report, if there is one
    saved: SavedFile | None = None  # the newest checkpoint in the spool
    is_saved_posted: bool = False
    uploading: SavedFile | None = None  # to a store outside the database
    ready: SavedFile | None = None  # to be registered with the next batch
    stored_step: int = 0  # of the newest checkpoint that was posted, or loaded
    kept: SavedFile | None = None  # the best epoch's weights, in the spool
    has_save_trouble: bool = False  # the last one could not be written
    has_failed: bool = False  # its end, which is not stored yet, is a failure
    stop: Verdict | None = None  # as sent to the worker

    @property
    def key(self) -> AttemptKey:
        return self.trial.key

    @property
    def last_step(self) -> int:
        """Return the last reported step of this attempt, otherwise its first step."""
        return self.reports[-1].step if self.reports else self.from_step

    def seconds(self, now: float) -> float:
        return max(0.0, now - self.started_at) if self.started_at else 0.0

    def has_unposted(self) -> bool:
        """Return whether reports wait for the store thread."""
        return self.phase is Phase.TRAINING and bool(
            self.n_posted < len(self.reports)
            or self.decisions
            or not self.is_printed_posted
            or self.ready
        )


@dataclass(kw_only=True)
class WorkerState:
    """A worker process, as its messages describe it."""

    name: str
    room: int = 0  # lanes it had room for when it had received `n_taken` starts
    n_taken: int = 0
    n_started: int = 0  # starts given to it
    is_leaving: bool = False  # a trial failed in it: it ends by itself
    has_successor: bool = False  # its only trial has ended well: another worker takes its place
    has_been_ready: bool = False
    heard_at: float = 0.0  # its last message, or the last start given to it
    leave_by: float | None = None  # deadline for dropping a trial
    kill_at: float | None = None  # set once it was asked for its stacks
    pending_failure: Failure | None = None  # failure of its lanes once it has ended

    @property
    def device(self) -> str:
        return place_of(self.name)

    @property
    def n_free(self) -> int:
        """Return the number of further lanes that it has room for."""
        return 0 if self.is_leaving else max(0, self.room - (self.n_started - self.n_taken))


@dataclass(kw_only=True)
class StopState:
    """A requested stop, and its deadlines on the agent's own clock."""

    signal: str  # empty: not stopped by a signal, but by an error
    kill_at: float
    leave_at: float
    error: TunerError | None = None  # why this machine cannot work any more


@dataclass(kw_only=True)
class Breaker:
    """Evidence against this machine's devices."""

    faults: list[Fault] = field(default_factory=list)
    good_at: float = float("-inf")  # when an attempt last ended well here
    places: set[str] = field(default_factory=set)  # all devices, those between two workers too
    open_places: set[str] = field(default_factory=set)  # devices that get no more trials
    hold_until: float = 0.0  # no claims before
    ask_at: float = 0.0
    is_asking: bool = False

    @property
    def has_no_device(self) -> bool:
        """Return whether no device of this machine gets trials any more."""
        return bool(self.places) and self.places <= self.open_places


LENT = "its device serves another study"  # `tuner agent` reports that, not each of its studies


@dataclass(kw_only=True)
class BlockState:
    """Places of workers that may not train for now.

    A user has drained them, their GPUs are not this agent's, or they serve another study.
    """

    places: tuple[str, ...] = ()  # all of this machine
    # Of the places that may not train; empty for one whose GPU is about to be taken.
    reasons: dict[str, str] = field(default_factory=dict)
    drained: dict[str, str] = field(default_factory=dict)  # by a user, with the reason
    unavailable: dict[str, str] = field(default_factory=dict)  # without their GPUs
    units: frozenset[str] | None = None  # devices that `tuner agent` gives it; None: all of them
    kill_at: dict[str, float] = field(default_factory=dict)  # their workers have until then
    resting: set[str] = field(default_factory=set)  # places whose workers have been ended

    @property
    def has_no_device(self) -> bool:
        """Return whether no place may train."""
        return bool(self.places) and self.reasons.keys() >= set(self.places)

    @property
    def any_reason(self) -> str:
        return next((reason for reason in self.reasons.values() if reason), "")

    @property
    def told(self) -> dict[str, str]:
        """Return the reasons that screens show."""
        return {
            place: reason for place, reason in self.reasons.items() if reason and reason != LENT
        }


@dataclass(kw_only=True)
class Standing:
    """Counts and best trial of the whole study, from the feed."""

    goal: Goal
    counts: dict[TrialState, int] = field(default_factory=dict)
    best_value: float | None = None
    best_number: int | None = None
    min_steps: int | None = None  # of the COMPLETE trials
    open_numbers: frozenset[int] = frozenset()
    waiting: set[int] = field(default_factory=set)  # enqueued and not begun

    def note(self, record: TrialRecord) -> None:
        """Count a final trial; the feed brings each one once."""
        if record.state is TrialState.WAITING:
            self.waiting.add(record.number)
        else:
            self.waiting.discard(record.number)
        if record.state.is_final:
            self.counts[record.state] = self.counts.get(record.state, 0) + 1
        if record.state is TrialState.COMPLETE and record.value is not None:
            self.note_value(record.number, record.value)
        if record.state is TrialState.COMPLETE and record.last_step is not None:
            self.note_length(record.last_step)

    def note_length(self, n_steps: int) -> None:
        """Take in the length of a COMPLETE trial."""
        self.min_steps = n_steps if self.min_steps is None else min(self.min_steps, n_steps)

    def note_value(self, number: int, value: float) -> bool:
        """Return whether this COMPLETE trial is the best so far; ties go to the lower number."""
        if self.best_number == number:
            return True
        if self.best_value is not None and self.best_number is not None:
            rank = self.goal.rank
            if (rank(value), number) >= (rank(self.best_value), self.best_number):
                return False
        self.best_value, self.best_number = value, number
        return True


@dataclass(kw_only=True)
class DatabaseState:
    away_since: float | None = None
    away: set[str] = field(default_factory=set)  # the helpers that miss the database
    refusals: dict[str, str] = field(default_factory=dict)  # the database's, by helper
    told_refusal: str | None = None  # the last one that was shown in this outage
    is_offline: bool = False  # without a database for too long


@dataclass(kw_only=True)
class ClaimState:
    is_claiming: bool = False  # a claim is under way
    counts_own: bool = False  # it went out with trials here, which its answer may count as open
    not_before: float = 0.0
    due: float | None = None  # when to ask for trials; None: nothing is wanted
    fill_at: float | None = None  # when places are filled though there are few
    look_at: float = 0.0  # when to look for released trials, though enough trials have begun


@dataclass(kw_only=True)
class WriteState:
    """Writes that wait for the store."""

    is_writing: bool = False  # a batch of reports is under way
    flush_at: float | None = None  # when reports were first waiting, plus the flush time
    ends_due: list[End] = field(default_factory=list)  # behind a claim
    ends_at: float | None = None  # when they are sent at the latest


@dataclass(kw_only=True)
class FleetState:
    """Other agents of the study, by their heartbeats."""

    has_pulse: bool = False  # whether their heartbeats have been looked at
    silent: tuple[AgentBeat, ...] = ()
    n_other_agents: int = 0  # with heartbeats, on this machine or another
    n_other_machines: int = 0  # that hold trials and send heartbeats


@dataclass(kw_only=True)
class MemoryState:
    free_bytes: dict[str, int] = field(default_factory=dict)
    measured_by_process: set[str] = field(
        default_factory=set
    )  # devices whose users are known one by one
    max_bytes: dict[str, int] = field(default_factory=dict)  # that one worker was seen to use
    of_places: dict[str, int] = field(default_factory=dict)  # place -> memory of its device
    max_other_bytes: int | None = None  # of the largest device of the other agents


@dataclass(kw_only=True)
class ShownState:
    """Facts that views have shown."""

    tally_at: float = 0.0
    shown_open: int | None = None  # the last WaitingForOthers
    codes: list[Code] = field(default_factory=list)  # other than this agent's
    alerts: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=5))
