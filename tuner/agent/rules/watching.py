"""Trials that take too long, and workers without progress.

An answer is no progress: a worker whose objective hangs still answers, and its agent still sends
heartbeats.
"""

from collections.abc import Sequence

from tuner.agent.acts import Act, DumpStacks, KillWorker, Say
from tuner.agent.machine import Machine
from tuner.agent.notices import WorkerDied
from tuner.agent.rules.ends import give_up
from tuner.agent.state import Lane, Phase, WorkerState
from tuner.study.failure import Failure, FailureClass
from tuner.study_file.text.durations import render_duration

# Before a trial's first report its pace is unknown, and a function may report none: then only
# `trial.timeout` can end it.
FIRST_STEP_SECONDS = 12 * 3600.0
MIN_SECONDS = 300.0
STEPS = 10  # as long as so many of the longest steps seen
DUMP_SECONDS = 1.0  # for the stacks to reach the log


def watch(machine: Machine) -> list[Act]:
    """Check every worker and lane; cheap enough for every event."""
    acts: list[Act] = []
    if machine.book.timeout_seconds is not None:
        for lane in machine.in_phase(Phase.TRAINING):
            acts += _check_time(machine, lane, machine.book.timeout_seconds)
    lanes = machine.lanes_by_worker()
    for pid, worker in machine.workers.items():
        acts += _check_worker(machine, pid, worker, lanes.get(pid, ()))
    return acts


def _check_time(machine: Machine, lane: Lane, timeout_seconds: float) -> list[Act]:
    if lane.trial.seconds + lane.seconds(machine.now) < timeout_seconds or lane.worker is None:
        return []
    text = (
        f"longer than trial.timeout ({render_duration(timeout_seconds)}), at step {lane.last_step}"
    )
    return give_up(machine, lane, Failure(cause=FailureClass.TIMEOUT, message=text))


def _check_worker(
    machine: Machine, pid: int, worker: WorkerState, lanes: Sequence[Lane]
) -> list[Act]:
    now = machine.now
    if worker.kill_at is not None:
        if now < worker.kill_at:
            return []
        worker.kill_at = float("inf")
        return [KillWorker(worker=pid)]
    if worker.leave_by is not None and now >= worker.leave_by and not lanes:
        text = "its worker did not leave a trial that was dropped, and was killed"
        return _end_with(machine, pid, worker, Failure(cause=FailureClass.KILLED, message=text))
    # Lanes that it was given since it fell silent do not determine the limit.
    taken = [lane for lane in lanes if lane.place <= worker.n_taken] or lanes
    limit = max((silence_limit(machine, lane) for lane in taken), default=0.0)
    if lanes and now - worker.heard_at >= limit:
        waited = render_duration(round(limit))
        text = f"no sign of progress for {waited}; killed, its stacks are in the log"
        return _end_with(machine, pid, worker, Failure(cause=FailureClass.SILENCE, message=text))
    return []


def silence_limit(machine: Machine, lane: Lane) -> float:
    """Return the seconds without a message after which the worker of a lane counts as hung."""
    if machine.book.silence_seconds is not None:
        return machine.book.silence_seconds
    if machine.longest_step_seconds is None or not lane.reports:
        return FIRST_STEP_SECONDS
    return max(MIN_SECONDS, STEPS * machine.longest_step_seconds)


def _end_with(machine: Machine, pid: int, worker: WorkerState, failure: Failure) -> list[Act]:
    """Kill the worker; its lanes end with this failure, with the stacks in its log."""
    worker.pending_failure, worker.leave_by = failure, None
    worker.kill_at = machine.now + DUMP_SECONDS
    return [DumpStacks(worker=pid), Say(notice=WorkerDied(worker=worker.name, how=failure.message))]
