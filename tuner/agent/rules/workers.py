"""What workers say, and that they end."""

import math
from typing import assert_never

from tuner.agent.acts import Act, Learn, Leave, RemoveFile, ReplaceWorker, Say, Send
from tuner.agent.events import WorkerGone, WorkerSaid
from tuner.agent.machine import Lane, Machine, Phase
from tuner.agent.notices import WorkerDied
from tuner.agent.rules import pruning
from tuner.agent.rules.failures import end_of, failure_of_exit, failure_of_left
from tuner.errors import RunFailed
from tuner.messages import How, Left, Progress, Ready, Reported, Saved, Stop, Why
from tuner.study.checkpoint import SavedFile
from tuner.study.ending import Ending, EndingKind
from tuner.study.failure import Failure, FailureClass
from tuner.study.lease import End, Finish, Release
from tuner.study.report import Report
from tuner.study.trial import TrialRecord, TrialState

MAX_EARLY_DEATHS = 3


def said(machine: Machine, event: WorkerSaid, now: float) -> list[Act]:
    """A message from a worker; one about an attempt that is no longer ours is ignored."""
    message = event.message
    if isinstance(message, Ready):
        worker = machine.workers.get(event.worker)
        if worker is not None:
            worker.n_free, worker.has_been_ready = message.n_free, True
            machine.n_early_deaths = 0
        return []
    lane = machine.find_lane(message.number, message.attempt)
    if lane is None or lane.phase is not Phase.TRAINING:
        return []
    match message:
        case Reported():
            return _reported(machine, lane, message, now)
        case Saved():
            return _saved(machine, lane, message, now)
        case Left():
            return _left(machine, lane, message, event.log_tail)
        case Progress():
            return []
        case _:
            assert_never(message)


def _reported(machine: Machine, lane: Lane, message: Reported, now: float) -> list[Act]:
    value = message.values.get(machine.book.metric)
    if value is None:
        text = f"no {machine.book.metric} was reported at step {message.step}"
        return _drop(machine, lane, Failure(cause=FailureClass.EXCEPTION, message=text))
    is_rung = message.step in lane.decide_at
    lane.reports.append(
        Report(key=lane.key, step=message.step, values=message.values, is_rung=is_rung)
    )
    if not math.isfinite(value):
        text = f"{machine.book.metric} is {value} at step {message.step}"
        return _drop(machine, lane, Failure(cause=FailureClass.NON_FINITE, message=text))
    if machine.flush_at is None:
        machine.flush_at = now + machine.book.flush_seconds
    return pruning.decide(machine, lane, message.step, value) if is_rung else []


def _drop(machine: Machine, lane: Lane, failure: Failure) -> list[Act]:
    """The trial has failed while its worker trains on."""
    number, attempt = lane.key.number, lane.key.attempt
    stop = Stop(number=number, attempt=attempt, why=Why.DROP)
    end = _failed(machine, lane, failure)
    return [Send(worker=_worker_of(lane), message=stop), *post_end(machine, lane, end)]


def _saved(machine: Machine, lane: Lane, message: Saved, now: float) -> list[Act]:
    superseded = lane.saved if lane.saved and not lane.is_saved_posted else None
    lane.saved = SavedFile(
        key=lane.key,
        step=message.step,
        path=message.path,
        sha256=message.sha256,
        n_bytes=message.n_bytes,
    )
    lane.is_saved_posted = False
    if machine.flush_at is None:
        machine.flush_at = now + machine.book.flush_seconds
    # One that was posted may still be read by the store thread; it goes with the answer.
    return [RemoveFile(path=superseded.path)] if superseded else []


def _left(machine: Machine, lane: Lane, left: Left, log_tail: str) -> list[Act]:
    match left.how:
        case How.COMPLETE:
            return post_end(machine, lane, _completed(machine, lane, left))
        case How.PRUNED:
            return post_end(machine, lane, _pruned(machine, lane, left))
        case How.RELEASED:
            return post_end(machine, lane, release(lane, "handed back"))
        case How.DROPPED:
            # Whatever this agent told it to drop is no longer TRAINING here.
            return post_end(machine, lane, release(lane, "dropped by its worker"))
        case How.REFUSED:
            lane.phase, lane.worker = Phase.QUEUED, None
            return []
        case How.NON_FINITE | How.OUT_OF_MEMORY | How.EXCEPTION:
            return post_end(machine, lane, _failed(machine, lane, failure_of_left(left, log_tail)))
        case _:
            assert_never(left.how)


def _completed(machine: Machine, lane: Lane, left: Left) -> End:
    value = left.value
    if value is None or not math.isfinite(value):
        text = f"the objective returned {value}"
        return _failed(machine, lane, Failure(cause=FailureClass.NON_FINITE, message=text))
    return Finish(
        key=lane.key,
        state=TrialState.COMPLETE,
        value=value,
        reports=lane.reports,
        decisions=lane.decisions,
        user_attrs=left.facts,
        last_step=lane.last_step,
    )


def _pruned(machine: Machine, lane: Lane, left: Left) -> End:
    if lane.verdict is None:
        text = "the worker pruned a trial that the pruner had not"
        return _failed(machine, lane, Failure(cause=FailureClass.EXCEPTION, message=text))
    return Finish(
        key=lane.key,
        state=TrialState.PRUNED,
        value=lane.reports[-1].values[machine.book.metric],  # Optuna's rule: the last report
        reason=lane.verdict.reason,
        reports=lane.reports,
        decisions=lane.decisions,
        user_attrs=left.facts,
        last_step=lane.last_step,
    )


def _failed(machine: Machine, lane: Lane, failure: Failure) -> End:
    return end_of(lane.trial, failure, lane.reports, machine.book.retries)


def release(lane: Lane, reason: str) -> Release:
    """Hand a trial back, with the newest checkpoint if that is not registered yet."""
    return Release(
        key=lane.key,
        reason=reason,
        reports=lane.reports,
        decisions=lane.decisions,
        checkpoint=None if lane.is_saved_posted else lane.saved,
    )


def post_end(machine: Machine, lane: Lane, end: End) -> list[Act]:
    """Note an attempt's end for the store; the lane stays known until the answer."""
    lane.phase = Phase.ENDING
    machine.ends_due.append(end)
    return [Learn(records=[_record(lane, end)])] if isinstance(end, Finish) else []


def _record(lane: Lane, finish: Finish) -> TrialRecord:
    """The ended trial as samplers see it."""
    causes = (FailureClass.NON_FINITE, FailureClass.OUT_OF_MEMORY)
    return TrialRecord(
        number=lane.key.number,
        state=finish.state,
        params=lane.trial.params,
        value=finish.value,
        last_step=lane.last_step if finish.state is TrialState.PRUNED else None,
        last_value=finish.value if finish.state is TrialState.PRUNED else None,
        diverged=finish.failure is not None and finish.failure.cause in causes,
    )


def gone(machine: Machine, event: WorkerGone) -> list[Act]:
    """A worker process has ended: its lanes fail, another worker takes its place."""
    worker = machine.workers.pop(event.worker, None)
    if worker is None:
        return []
    lanes = machine.lanes_of(event.worker)
    failure = failure_of_exit(event.exit_code, event.log_tail)
    acts: list[Act] = []
    for lane in lanes:
        acts += post_end(machine, lane, _failed(machine, lane, failure))
    if machine.stop is not None:
        return acts
    if lanes or not worker.has_been_ready:
        acts.append(Say(notice=WorkerDied(worker=worker.name, how=failure.message)))
    if not worker.has_been_ready:
        machine.n_early_deaths += 1
    if machine.n_early_deaths >= MAX_EARLY_DEATHS:
        return [*acts, _workers_cannot_start(event, failure)]
    return [*acts, ReplaceWorker(worker=event.worker)]


def _workers_cannot_start(event: WorkerGone, failure: Failure) -> Leave:
    lines = event.log_tail.strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    error = RunFailed(f"workers do not start on this machine; {failure.message}{last}")
    return Leave(ending=Ending(kind=EndingKind.FAILED, error=error))


def _worker_of(lane: Lane) -> int:
    assert lane.worker is not None
    return lane.worker
