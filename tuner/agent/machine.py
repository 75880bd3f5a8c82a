"""State of a machine: workers, lanes, and the progress of the study."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tuner.agent.notices import InTraining, Tally
from tuner.agent.state import (
    LENT,
    BlockState,
    Breaker,
    ClaimState,
    DatabaseState,
    FleetState,
    Lane,
    MemoryState,
    Phase,
    ShownState,
    Standing,
    StopState,
    WorkerState,
    WriteState,
)
from tuner.search.curves import Curves
from tuner.search.protocols import Pruner
from tuner.study.agents import Desired
from tuner.study.code import Code
from tuner.study.goal import Goal
from tuner.study.report import RungValue
from tuner.study.schedule import NO_RUNGS, Schedule
from tuner.study.trial import AttemptKey, TrialState

WATCH_SECONDS = 1.0  # between checks for events that are overdue
LEAVE_SECONDS = 10.0  # limit for a worker to drop a trial
NO_SNAPSHOT = "1:1:"  # a pg_snapshot in which nothing is visible


@dataclass(frozen=True, kw_only=True)
class Rulebook:
    """Constants of the study that the rules need."""

    pruner: Pruner
    # Of a full trial; None: its params may determine it, or only the objective knows.
    n_steps: int | None
    goal: Goal
    retries: int
    grace_seconds: float
    timeout_seconds: float | None = None  # of a trial
    # The metric with a step's share of its device's time; None: it is not measured.
    seconds_metric: str | None = None
    max_offline_seconds: float = float("inf")  # without a database
    silence_seconds: float | None = None  # of a worker that hangs; None: by the steps seen
    flush_seconds: float = 0.2  # reports wait at most so long
    end_seconds: float = 0.002  # an end waits so long for the claim that follows it
    idle_seconds: float = 1.0  # between claims that came back empty
    tally_seconds: float = 30.0
    fill_seconds: float = 0.05  # a busy worker's free places wait so long for others
    spare_seconds: float = 0.015  # a trial begins before the next process is forked
    look_seconds: float = 5.0  # between claims of a busy machine for trials that others left
    max_lanes: int = 4096  # of one worker
    is_single_use: bool = False  # a worker ends after one trial
    code: Code = field(default_factory=dict)  # the objective's files when this agent began
    is_code_fixed: bool = False  # no trial may run other files
    max_in_flight: int | None = None  # of all machines; None: as many as devices have use for
    model_rungs: Schedule = NO_RUNGS  # steps whose values the sampler uses
    structural: frozenset[str] = frozenset()  # params that lanes of one group share
    has_object_store: bool = False  # for checkpoints, outside the database
    trusts_folders: bool = False  # may continue trials whose state is a folder


@dataclass(kw_only=True)
class Machine:
    """State that the rules read; only they change it."""

    book: Rulebook
    standing: Standing
    database: DatabaseState = field(default_factory=DatabaseState)
    claims: ClaimState = field(default_factory=ClaimState)
    writes: WriteState = field(default_factory=WriteState)
    fleet: FleetState = field(default_factory=FleetState)
    memory: MemoryState = field(default_factory=MemoryState)
    shown: ShownState = field(default_factory=ShownState)
    curves: Curves = field(default_factory=Curves)
    snapshot: str = NO_SNAPSHOT
    workers: dict[int, WorkerState] = field(default_factory=dict)
    lanes: dict[AttemptKey, Lane] = field(default_factory=dict)
    # (rung, number, is_complete) of this machine's rung values that the feed has not brought yet
    local_rungs: set[tuple[int, int, bool]] = field(default_factory=set)
    fork_at: float | None = None  # when to fork the process of a later trial
    n_early_exits: int = 0  # workers in a row that ended before they were ready
    stop: StopState | None = None
    now: float = 0.0  # time of the event that is judged
    desired: Desired = Desired.RUNNING
    reason: str | None = None  # why the study is not running
    boot: str = ""  # of this machine; see `AgentIdentity`
    breaker: Breaker = field(default_factory=Breaker)
    blocks: BlockState = field(default_factory=BlockState)
    halt_at: float = 0.0  # workers of a paused or stopping study have until then
    is_resting: bool = False  # paused, and the workers ended
    limit_trials: int | None = None  # the budget, which may be extended; None: not limited
    longest_step_seconds: float | None = None  # of this machine's reports

    def note_rungs(self, values: Sequence[RungValue]) -> None:
        """Count this machine's own values at once."""
        self.curves.add(values)
        self.local_rungs |= {(v.step, v.number, v.is_complete) for v in values}

    def find_lane(self, number: int, attempt: int) -> Lane | None:
        """Return the lane of a message; None if this agent no longer holds the attempt."""
        return self.lanes.get(AttemptKey(number=number, attempt=attempt))

    def lanes_of(self, worker: int) -> list[Lane]:
        return [
            lane
            for lane in self.lanes.values()
            if lane.worker == worker and lane.phase is Phase.TRAINING
        ]

    def lanes_by_worker(self) -> Mapping[int, Sequence[Lane]]:
        """Return the lanes by worker in one pass; a worker without lanes has no entry."""
        found: dict[int, list[Lane]] = {}
        for lane in self.lanes.values():
            if lane.worker is not None and lane.phase is Phase.TRAINING:
                found.setdefault(lane.worker, []).append(lane)
        return found

    def drop(self, lane: Lane) -> None:
        """Mark the lane as dropped and start the deadline of its worker."""
        worker = self.workers.get(lane.worker) if lane.worker is not None else None
        if worker is not None and worker.kill_at is None and worker.leave_by is None:
            worker.leave_by = self.now + LEAVE_SECONDS

    def in_phase(self, phase: Phase) -> Iterator[Lane]:
        """Yield the lanes of one phase, oldest first."""
        return (lane for lane in list(self.lanes.values()) if lane.phase is phase)

    @property
    def wanted(self) -> Desired:
        """Return the desired state of this machine: it pauses during a long outage."""
        is_cut_off = self.database.is_offline and self.desired is Desired.RUNNING
        return Desired.PAUSED if is_cut_off else self.desired

    def usable_workers(self) -> dict[int, WorkerState]:
        """Return the workers, by pid, on devices that may train."""
        closed = self.breaker.open_places | self.blocks.reasons.keys()
        return {pid: worker for pid, worker in self.workers.items() if worker.name not in closed}

    def block_of(self, lane: Lane) -> str | None:
        """Return why the lane's device may not train; None if it may."""
        worker = self.workers.get(lane.worker) if lane.worker is not None else None
        if worker is not None:
            return self.blocks.reasons.get(worker.name)
        return self.blocks.any_reason if self.blocks.has_no_device else None

    @property
    def claim_at(self) -> float:
        """Return the time of the next claim.

        It is not before the first look at the other agents: a claim takes the trials of silent ones
        before it draws new ones. The breaker's pause gives other machines time to try the failed
        trials; it is skipped without other machines and when the study stops.
        """
        if not self.fleet.has_pulse:
            return math.inf
        is_held = self.fleet.n_other_machines > 0 and self.wanted is Desired.RUNNING
        return max(self.claims.not_before, self.breaker.hold_until if is_held else 0.0)

    @property
    def given_up(self) -> frozenset[str]:
        """Return the places whose GPUs others may use: they rest at a user's request."""
        if self.is_resting:
            return frozenset(self.blocks.places)
        lent = {place for place, why in self.blocks.reasons.items() if why == LENT}
        return frozenset((self.blocks.drained.keys() | lent) & self.blocks.resting)

    def next_deadline(self, now: float) -> float:
        """Return the time of the next check if no event comes."""
        deadlines = [self.shown.tally_at]
        is_leaving = any(w.leave_by is not None or w.kill_at for w in self.workers.values())
        is_busy = is_leaving or any(self.in_phase(Phase.TRAINING))
        if self.wanted is not Desired.RUNNING or is_busy or self.breaker.faults:
            deadlines.append(now + WATCH_SECONDS)
        if self.fork_at is not None:
            deadlines.append(self.fork_at)
        if self.writes.ends_at is not None:
            deadlines.append(self.writes.ends_at)
        if self.writes.flush_at is not None and not self.writes.is_writing:
            deadlines.append(self.writes.flush_at)
        if not self.claims.is_claiming and self.claims.due is not None and self.stop is None:
            deadlines.append(self.claims.due)
        if self.stop is not None:
            deadlines.append(self.stop.kill_at if self.stop.kill_at > now else self.stop.leave_at)
        return min(deadlines)

    def tally(self) -> Tally:
        """Return the study's progress for display."""
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
                    value=lane.reports[-1].values[self.book.goal.metric] if lane.reports else None,
                )
                for lane in self.in_phase(Phase.TRAINING)
            ),
            n_steps=self.book.n_steps,
        )
