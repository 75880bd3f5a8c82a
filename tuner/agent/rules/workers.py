"""What workers say, and that they end."""

import math
from dataclasses import replace
from typing import assert_never

from tuner.agent.acts import Act, Learn, Leave, RemoveFile, ReplaceWorker, Say, Send
from tuner.agent.events import WorkerGone, WorkerPrinted, WorkerSaid
from tuner.agent.machine import Lane, Machine, Phase
from tuner.agent.notices import WorkerDied
from tuner.agent.rules import pruning
from tuner.agent.rules.failures import end_of, failure_of_exit, failure_of_left
from tuner.errors import RunFailed
from tuner.messages import How, Left, Progress, Ready, Reported, Saved, Stop, Why
from tuner.study.checkpoint import SavedFile
from tuner.study.ending import Ending, EndingKind
from tuner.study.failure import Failure, FailureClass
from tuner.study.fleet import Desired
from tuner.study.lease import End, Finish, Release
from tuner.study.report import Printed, Report
from tuner.study.trial import TrialRecord, TrialState

MAX_EARLY_DEATHS = 3
LOG_LINES = 50  # of a failed attempt


def said(machine: Machine, event: WorkerSaid, now: float) -> list[Act]:
    """A message from a worker; one about an attempt that is no longer ours is ignored."""
    message = event.message
    worker = machine.workers.get(event.worker)
    if worker is not None:
        worker.heard_at = now
        if isinstance(message, Ready | Left):
            worker.leave_by = None
    if isinstance(message, Ready):
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
            _note_printed(lane, event.tail, event.n_bytes)
            return _left(machine, lane, message)
        case Progress():
            return []
        case _:
            assert_never(message)


def _reported(machine: Machine, lane: Lane, message: Reported, now: float) -> list[Act]:
    if lane.reports:  # the first one of an attempt contains its start
        step_seconds = now - lane.reported_at
        machine.longest_step_seconds = max(machine.longest_step_seconds or 0.0, step_seconds)
    lane.reported_at = now
    value = message.values.get(machine.book.metric)
    if value is None:
        text = f"no {machine.book.metric} was reported at step {message.step}"
        return _drop(machine, lane, Failure(cause=FailureClass.EXCEPTION, message=text))
    reached = lane.schedule.reached(lane.last_step, message.step)
    rungs = reached if machine.book.pruner.compares_running else ()
    lane.reports.append(Report(key=lane.key, step=message.step, values=message.values, rungs=rungs))
    if not math.isfinite(value):
        text = f"{machine.book.metric} is {value} at step {message.step}"
        return _drop(machine, lane, Failure(cause=FailureClass.NON_FINITE, message=text))
    if machine.flush_at is None:
        machine.flush_at = now + machine.book.flush_seconds
    return pruning.decide(machine, lane, lane.reports[-1]) if reached else []


def _drop(machine: Machine, lane: Lane, failure: Failure) -> list[Act]:
    """The trial has failed while its worker trains on."""
    number, attempt = lane.key.number, lane.key.attempt
    stop = Stop(number=number, attempt=attempt, why=Why.DROP)
    end = fail_lane(machine, lane, failure)
    machine.drop(lane)
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


def printed(machine: Machine, event: WorkerPrinted) -> list[Act]:
    """Its lanes' log has grown: `tuner logs` follows it from any machine."""
    for lane in machine.lanes_of(event.worker):
        _note_printed(lane, event.tail, event.n_bytes)
        if machine.flush_at is None:
            machine.flush_at = machine.now
    return []


def _note_printed(lane: Lane, tail: str, n_bytes: int) -> None:
    if n_bytes > (lane.printed.n_bytes if lane.printed else 0):
        lane.printed = Printed(key=lane.key, tail=tail, n_bytes=n_bytes)
        lane.is_printed_posted = False


def _left(machine: Machine, lane: Lane, left: Left) -> list[Act]:
    match left.how:
        case How.COMPLETE:
            return post_end(machine, lane, _completed(machine, lane, left))
        case How.PRUNED:
            return post_end(machine, lane, _pruned(machine, lane, left))
        case How.RELEASED:
            return post_end(machine, lane, release(machine, lane, "handed back"))
        case How.DROPPED:
            # Whatever this agent told it to drop is no longer TRAINING here.
            return post_end(machine, lane, release(machine, lane, "dropped by its worker"))
        case How.REFUSED:
            lane.phase, lane.worker = Phase.QUEUED, None
            return []
        case How.NON_FINITE | How.OUT_OF_MEMORY | How.EXCEPTION | How.MISTAKE:
            failure = failure_of_left(left, _last_lines(lane))
            end = fail_lane(machine, lane, failure)
            if isinstance(end, Finish):
                end = replace(end, user_attrs=left.facts)
            return post_end(machine, lane, end)
        case _:
            assert_never(left.how)


def _completed(machine: Machine, lane: Lane, left: Left) -> End:
    value = left.value
    if value is None or not math.isfinite(value):
        text = f"the objective returned {value}"
        return fail_lane(machine, lane, Failure(cause=FailureClass.NON_FINITE, message=text))
    return Finish(
        key=lane.key,
        state=TrialState.COMPLETE,
        value=value,
        reports=lane.reports,
        decisions=lane.decisions,
        user_attrs=left.facts,
        last_step=lane.last_step,
        rungs=pruning.complete_rungs(machine, lane, value),
    )


def _pruned(machine: Machine, lane: Lane, left: Left) -> End:
    reason = lane.verdict.reason if lane.verdict else "pruned by its objective"
    return replace(prune_now(machine, lane, reason), user_attrs=left.facts)


def prune_now(machine: Machine, lane: Lane, reason: str) -> Finish:
    """PRUNED with its last report, Optuna's rule; without a value if there was none."""
    reported = [lane.trial.history[step] for step in sorted(lane.trial.history)]
    reported += [report.values[machine.book.metric] for report in lane.reports]
    return Finish(
        key=lane.key,
        state=TrialState.PRUNED,
        value=reported[-1] if reported else None,
        reason=reason,
        reports=lane.reports,
        decisions=lane.decisions,
        # Later steps are removed from the record: none, if it never began here.
        last_step=lane.last_step or max(lane.trial.history, default=None),
    )


def fail_lane(machine: Machine, lane: Lane, failure: Failure) -> End:
    """The end of an attempt that failed: FAIL, or another attempt."""
    return end_of(lane.trial, failure, lane.reports, machine.book.retries)


def _last_lines(lane: Lane) -> str:
    """The end of its log, as an error shows it."""
    return "\n".join(lane.printed.tail.splitlines()[-LOG_LINES:]) if lane.printed else ""


def release(machine: Machine, lane: Lane, reason: str) -> Release:
    """Hand a trial back, with the newest checkpoint if that is not registered yet."""
    return Release(
        key=lane.key,
        reason=paused_because(machine) if machine.desired is Desired.PAUSED else reason,
        reports=lane.reports,
        decisions=lane.decisions,
        checkpoint=None if lane.is_saved_posted else lane.saved,
    )


def paused_because(machine: Machine) -> str:
    """Why a trial of a paused study is handed back."""
    reason = machine.reason or "paused"
    return reason if reason.startswith("paused") else f"paused: {reason}"


def post_end(machine: Machine, lane: Lane, end: End) -> list[Act]:
    """Note an attempt's end for the store; the lane stays known until the answer."""
    if lane.phase is Phase.ENDING:
        return []
    worker = machine.workers.get(lane.worker) if lane.worker is not None else None
    seconds = lane.seconds(machine.now) if lane.phase is Phase.TRAINING else 0.0
    lane.phase = Phase.ENDING
    end = replace(
        end,
        seconds=seconds,
        device=worker.name if worker else None,
        printed=lane.printed,
    )
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
    worker = machine.workers.get(event.worker)
    if worker is None:
        return []
    lanes = machine.lanes_of(event.worker)
    lines = "\n".join(event.tail.splitlines()[-LOG_LINES:])
    failure = failure_of_exit(event.exit_code, lines)
    if worker.doom is not None:
        failure = replace(worker.doom, log_tail=lines)
    acts: list[Act] = []
    for lane in lanes:
        _note_printed(lane, event.tail, event.n_bytes)
        acts += post_end(machine, lane, fail_lane(machine, lane, failure))
    del machine.workers[event.worker]
    if machine.stop is not None:
        return acts
    if (lanes and worker.doom is None) or not worker.has_been_ready:
        machine.alerts.append((machine.now, f"worker {worker.name}: {failure.message}"))
        acts.append(Say(notice=WorkerDied(worker=worker.name, how=failure.message)))
    if not worker.has_been_ready:
        machine.n_early_deaths += 1
    if machine.n_early_deaths >= MAX_EARLY_DEATHS:
        return [*acts, _workers_cannot_start(event, failure)]
    if machine.desired is Desired.PAUSED and not any(machine.in_phase(Phase.TRAINING)):
        return acts  # all workers are about to rest; the pool wakes one in this place too
    return [*acts, ReplaceWorker(worker=event.worker)]


def _workers_cannot_start(event: WorkerGone, failure: Failure) -> Leave:
    lines = event.tail.strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    error = RunFailed(f"workers do not start on this machine; {failure.message}{last}")
    return Leave(ending=Ending(kind=EndingKind.FAILED, error=error))


def _worker_of(lane: Lane) -> int:
    assert lane.worker is not None
    return lane.worker
