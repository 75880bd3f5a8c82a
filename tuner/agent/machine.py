"""What an agent knows of its machine: workers, lanes, and where the study stands."""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tuner.agent.notices import InTraining, Tally
from tuner.errors import TunerError
from tuner.search.curves import Curves
from tuner.search.protocols import Pruner
from tuner.study.agents import AgentBeat, Desired
from tuner.study.checkpoint import SavedFile
from tuner.study.decision import Decision, DecisionRecord
from tuner.study.failure import Failure, Fault
from tuner.study.lease import ClaimedTrial, End
from tuner.study.report import Printed, Report, RungValue
from tuner.study.schedule import Schedule
from tuner.study.trial import AttemptKey, Direction, TrialRecord, TrialState
from tuner.study.verdict import Verdict

WATCH_SECONDS = 1.0  # between looks at what should have happened
LEAVE_SECONDS = 10.0  # a worker that was told to drop a trial has so long to do it
NO_SNAPSHOT = "1:1:"  # a pg_snapshot in which nothing is visible


@dataclass(frozen=True, kw_only=True)
class Rulebook:
    """What the rules need of the study and do not change."""

    pruner: Pruner
    # Of a full trial; None: its params may have it, or the objective alone knows.
    n_steps: int | None
    metric: str
    direction: Direction
    retries: int
    grace_seconds: float
    timeout_seconds: float | None = None  # of a trial
    # In which a step's share of its device's time is reported; None: nobody measures it.
    seconds_metric: str | None = None
    max_offline_seconds: float = float("inf")  # without a database
    silence_seconds: float | None = None  # of a worker that hangs; None: by the steps seen
    flush_seconds: float = 0.2  # reports wait at most so long
    end_seconds: float = 0.002  # an end waits so long for the claim that follows it
    idle_seconds: float = 1.0  # between claims that came back empty
    tally_seconds: float = 30.0
    fill_seconds: float = 0.05  # a busy worker's free places wait so long for others
    look_seconds: float = 5.0  # between claims of a busy machine for trials that others left
    most_lanes: int = 4096  # of one worker
    most_in_flight: int | None = None  # of all machines; None: as many as devices have use for
    structural: frozenset[str] = frozenset()  # params that lanes of one group share


class Phase(StrEnum):
    """Where a lane stands on this machine."""

    LOADING = "loading"  # its checkpoint is being fetched
    QUEUED = "queued"  # waits for a worker
    TRAINING = "training"
    ENDING = "ending"  # its end is on its way to the store


@dataclass(kw_only=True)
class Lane:
    """An attempt that this agent holds."""

    trial: ClaimedTrial
    schedule: Schedule  # where the pruner judges it
    n_steps: int | None  # of the full trial; None: not known
    phase: Phase = Phase.QUEUED
    worker: int | None = None
    place: int = 0  # among the starts given to that worker, from 1
    checkpoint_path: str | None = None  # where it goes on from
    from_step: int = 0
    started_at: float = 0.0  # on the agent's clock, when a worker got it
    reported_at: float = 0.0
    measured_seconds: float = 0.0  # of its device, in the steps reported; see `seconds_metric`
    printed: Printed | None = None  # the end of its log, as it was last seen
    is_printed_posted: bool = True
    reports: list[Report] = field(default_factory=list)  # all of this attempt
    n_posted: int = 0  # of `reports`, given to the store thread
    decisions: list[DecisionRecord] = field(default_factory=list)  # not posted yet
    verdict: Decision | None = None  # that prunes it
    held: DecisionRecord | None = None  # prunes it at its next report, if there is one
    saved: SavedFile | None = None  # the newest checkpoint in the spool
    is_saved_posted: bool = False
    kept: SavedFile | None = None  # the best epoch's weights, in the spool
    has_save_trouble: bool = False  # the last one could not be written
    stop: Verdict | None = None  # what the worker was told

    @property
    def key(self) -> AttemptKey:
        return self.trial.key

    @property
    def last_step(self) -> int:
        """The last step reported in this attempt, else where it began."""
        return self.reports[-1].step if self.reports else self.from_step

    def seconds(self, now: float) -> float:
        """How long this attempt has been on its device."""
        return max(0.0, now - self.started_at) if self.started_at else 0.0

    def has_unposted(self) -> bool:
        """Whether the store thread has something to write for it."""
        return self.phase is Phase.TRAINING and bool(
            self.n_posted < len(self.reports)
            or self.decisions
            or not self.is_printed_posted
            or (self.saved and not self.is_saved_posted)
        )


@dataclass(kw_only=True)
class WorkerState:
    """A worker process, as its messages show it."""

    name: str
    room: int = 0  # for more lanes, as it said when it had received `n_taken` starts
    n_taken: int = 0
    n_started: int = 0  # starts given to it
    is_leaving: bool = False  # a trial failed in it: it ends by itself
    has_been_ready: bool = False
    heard_at: float = 0.0  # its last message, or the last start given to it
    leave_by: float | None = None  # it was told to drop a trial
    kill_at: float | None = None  # after it was told to dump its stacks
    doom: Failure | None = None  # what its lanes fail by once it is gone

    @property
    def device(self) -> str:
        """Several worker processes on one device are named "gpu:0#0", "gpu:0#1"."""
        return self.name.partition("#")[0]

    @property
    def n_free(self) -> int:
        """Lanes that it has room for beside those that were given to it."""
        return 0 if self.is_leaving else max(0, self.room - (self.n_started - self.n_taken))


@dataclass(kw_only=True)
class StopState:
    """A stop that was asked for, and its deadlines on the agent's own clock."""

    signal: str  # empty: none, but an error
    kill_at: float
    leave_at: float
    error: TunerError | None = None  # why this machine cannot work any more


@dataclass(kw_only=True)
class Breaker:
    """What speaks against this machine's devices."""

    faults: list[Fault] = field(default_factory=list)
    good_at: float = float("-inf")  # when an attempt last ended well here
    places: set[str] = field(default_factory=set)  # all devices, those between two workers too
    open_places: set[str] = field(default_factory=set)  # devices that get no more trials
    hold_until: float = 0.0  # no claims before
    ask_at: float = 0.0
    is_asking: bool = False

    @property
    def has_no_device(self) -> bool:
        """Whether nothing on this machine gets trials any more."""
        return bool(self.places) and self.places <= self.open_places


@dataclass(kw_only=True)
class Standing:
    """Counts and best trial of the whole study, as the feed told them."""

    direction: Direction
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
        """A COMPLETE trial was so long."""
        self.min_steps = n_steps if self.min_steps is None else min(self.min_steps, n_steps)

    def note_value(self, number: int, value: float) -> bool:
        """Whether this COMPLETE trial is the best so far; ties go to the lower number."""
        if self.best_number == number:
            return True
        if self.best_value is not None and self.best_number is not None:
            sign = 1 if self.direction is Direction.MINIMIZE else -1
            if (sign * value, number) >= (sign * self.best_value, self.best_number):
                return False
        self.best_value, self.best_number = value, number
        return True


@dataclass(kw_only=True)
class Machine:
    """Everything the rules look at; only they change it."""

    book: Rulebook
    standing: Standing
    curves: Curves = field(default_factory=Curves)
    snapshot: str = NO_SNAPSHOT
    workers: dict[int, WorkerState] = field(default_factory=dict)
    lanes: dict[AttemptKey, Lane] = field(default_factory=dict)
    # (rung, number, is_complete) of this machine's rung values that the feed has not brought yet
    local_rungs: set[tuple[int, int, bool]] = field(default_factory=set)
    ends_due: list[End] = field(default_factory=list)  # for the store, behind a claim
    ends_at: float | None = None  # when they go at the latest
    has_pulse: bool = False  # whether the other agents' heartbeats have been looked at
    silent: tuple[AgentBeat, ...] = ()
    is_claiming: bool = False
    claim_not_before: float = 0.0
    is_writing: bool = False
    flush_at: float | None = None  # when reports were first waiting, plus the flush time
    tally_at: float = 0.0
    away_since: float | None = None
    away: set[str] = field(default_factory=set)  # the helpers that miss the database
    refusals: dict[str, str] = field(default_factory=dict)  # the database's, by helper
    told_refusal: str | None = None  # the last one that was shown in this outage
    shown_open: int | None = None  # the last WaitingForOthers
    n_early_deaths: int = 0  # workers in a row that ended before they were ready
    stop: StopState | None = None
    now: float = 0.0  # of the event that is being judged
    desired: Desired = Desired.RUNNING
    reason: str | None = None  # why the study is not running
    is_offline: bool = False  # without a database for too long
    boot: str = ""  # of this machine, see `AgentIdentity`
    n_other_agents: int = 0  # that beat, on this machine or another
    n_other_machines: int = 0  # that hold trials and beat
    breaker: Breaker = field(default_factory=Breaker)
    halt_at: float = 0.0  # workers of a paused or stopping study have until then
    free_bytes: dict[str, int] = field(default_factory=dict)  # of devices with several workers
    told_apart: set[str] = field(default_factory=set)  # devices whose users are known one by one
    most_bytes: dict[str, int] = field(default_factory=dict)  # that one of them was seen to use
    is_resting: bool = False  # paused, and the workers ended
    fill_at: float | None = None  # when places are filled though there are few
    look_at: float = 0.0  # when to look for what others left, though enough trials have begun
    claim_due: float | None = None  # when to ask for trials; None: nothing is wanted
    limit_trials: int | None = None  # the budget, which may be extended; None: not limited
    longest_step_seconds: float | None = None  # of this machine's reports
    alerts: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=5))

    def note_rungs(self, values: Sequence[RungValue]) -> None:
        """This machine's own values count at once."""
        self.curves.add(values)
        self.local_rungs |= {(v.step, v.number, v.is_complete) for v in values}

    def find_lane(self, number: int, attempt: int) -> Lane | None:
        """The lane of a message; None when the attempt is no longer ours."""
        return self.lanes.get(AttemptKey(number=number, attempt=attempt))

    def lanes_of(self, worker: int) -> list[Lane]:
        """The lanes that a worker trains."""
        return [
            lane
            for lane in self.lanes.values()
            if lane.worker == worker and lane.phase is Phase.TRAINING
        ]

    def lanes_by_worker(self) -> Mapping[int, Sequence[Lane]]:
        """The same of all workers, in one go; nothing for one that trains none."""
        found: dict[int, list[Lane]] = {}
        for lane in self.lanes.values():
            if lane.worker is not None and lane.phase is Phase.TRAINING:
                found.setdefault(lane.worker, []).append(lane)
        return found

    def drop(self, lane: Lane) -> None:
        """Its worker is told to drop it, and has so long to do it."""
        worker = self.workers.get(lane.worker) if lane.worker is not None else None
        if worker is not None and worker.kill_at is None and worker.leave_by is None:
            worker.leave_by = self.now + LEAVE_SECONDS

    def in_phase(self, phase: Phase) -> Iterator[Lane]:
        """Lanes of one phase, oldest first."""
        return (lane for lane in list(self.lanes.values()) if lane.phase is phase)

    @property
    def wanted(self) -> Desired:
        """What this machine is to do: cut off for too long, it pauses."""
        is_cut_off = self.is_offline and self.desired is Desired.RUNNING
        return Desired.PAUSED if is_cut_off else self.desired

    def usable_workers(self) -> dict[int, WorkerState]:
        """Workers by pid on devices whose breaker is closed."""
        return {
            pid: worker
            for pid, worker in self.workers.items()
            if worker.name not in self.breaker.open_places
        }

    @property
    def claim_at(self) -> float:
        """When to ask for trials again.

        Not before the first look at the other agents: a claim takes the trials of silent ones
        before it draws new ones. The breaker's pause is for others to show who is to blame: without
        others, and when the study stops, there is nothing to wait for.
        """
        if not self.has_pulse:
            return math.inf
        is_held = self.n_other_machines > 0 and self.wanted is Desired.RUNNING
        return max(self.claim_not_before, self.breaker.hold_until if is_held else 0.0)

    def next_deadline(self, now: float) -> float:
        """When to look again although nothing happened."""
        deadlines = [self.tally_at]
        is_leaving = any(w.leave_by is not None or w.kill_at for w in self.workers.values())
        is_busy = is_leaving or any(self.in_phase(Phase.TRAINING))
        if self.wanted is not Desired.RUNNING or is_busy or self.breaker.faults:
            deadlines.append(now + WATCH_SECONDS)
        if self.ends_at is not None:
            deadlines.append(self.ends_at)
        if self.flush_at is not None and not self.is_writing:
            deadlines.append(self.flush_at)
        if not self.is_claiming and self.claim_due is not None and self.stop is None:
            deadlines.append(self.claim_due)
        if self.stop is not None:
            deadlines.append(self.stop.kill_at if self.stop.kill_at > now else self.stop.leave_at)
        return min(deadlines)

    def tally(self) -> Tally:
        """Where the study stands, for people."""
        standing = self.standing
        return Tally(
            n_complete=standing.counts.get(TrialState.COMPLETE, 0),
            n_pruned=standing.counts.get(TrialState.PRUNED, 0),
            n_failed=standing.counts.get(TrialState.FAIL, 0),
            n_open=len(standing.open_numbers),
            n_trials=self.limit_trials,
            best_value=standing.best_value,
            best_number=standing.best_number,
            in_training=tuple(
                InTraining(
                    number=lane.key.number,
                    step=lane.last_step,
                    value=lane.reports[-1].values[self.book.metric] if lane.reports else None,
                )
                for lane in self.in_phase(Phase.TRAINING)
            ),
            n_steps=self.book.n_steps,
        )
