"""Messages of workers, and their ends."""

import math
from dataclasses import replace
from typing import assert_never

from tuner.agent.acts import Act, AskNoteCode, Learn, Leave, ReplaceWorker, Say
from tuner.agent.events import WorkerGone, WorkerPrinted, WorkerSaid
from tuner.agent.machine import Machine
from tuner.agent.notices import TrialWarning, WorkerDied
from tuner.agent.rules import checkpoints, memory, pruning
from tuner.agent.rules.ends import fail_lane, give_up, post_end, prune_now, release, release_reason
from tuner.agent.rules.failures import as_loss, failure_of_exit, failure_of_left
from tuner.agent.rules.stopping import leave_with
from tuner.agent.state import Lane, Phase, WorkerState
from tuner.errors import RunFailed, StudyMismatch
from tuner.messages import Kept, Left, NotSaved, RanCode, Ready, Reported, Saved, Warned
from tuner.study.agents import Desired
from tuner.study.code import changed_files
from tuner.study.ending import Ending, EndingKind
from tuner.study.failure import Failure, FailureClass
from tuner.study.lease import End, Finish
from tuner.study.report import Printed, Report
from tuner.study.trial import TrialState
from tuner.study.verdict import Outcome

MAX_EARLY_EXITS = 3
MAX_TAIL, MIN_TAIL = 65_536, 2_048  # characters of a log, of a lane alone and among many
LOG_LINES = 50  # kept of a failed attempt
OfLane = Reported | Saved | Kept | NotSaved | Warned | RanCode | Left


def said(machine: Machine, event: WorkerSaid, now: float) -> list[Act]:
    """Handle a worker's message; one about an attempt that is not held here is ignored."""
    message = event.message
    worker = machine.workers.get(event.worker)
    if worker is not None:
        worker.heard_at = now
        if isinstance(message, Ready | Left):
            worker.leave_by = None
    if isinstance(message, Ready):
        if worker is not None:
            # The user's code can write any bytes to the pipe.
            worker.room = min(message.n_free, machine.book.max_lanes)
            worker.n_taken = min(message.n_taken, worker.n_started)
            worker.has_been_ready, worker.is_leaving = True, False
            machine.n_early_exits = 0
        return []
    lane = machine.find_lane(message.number, message.attempt)
    if lane is None or lane.phase is not Phase.TRAINING or lane.worker != event.worker:
        return []  # ended meanwhile, or another worker's: user code may write on the pipe
    _note_printed(lane, event.tail, event.n_bytes)
    return _said_of(machine, lane, message, now)


def _said_of(machine: Machine, lane: Lane, message: OfLane, now: float) -> list[Act]:
    match message:
        case Reported():
            return _reported(machine, lane, message, now)
        case Saved():
            return checkpoints.saved(machine, lane, message)
        case Kept():
            lane.kept = checkpoints.file_of(lane, message)
            return []
        case NotSaved():
            return checkpoints.not_saved(machine, lane, message.step, message.reason)
        case Warned():
            return _warned(machine, lane, message.text)
        case RanCode():
            return _ran_code(machine, lane, message, now)
        case Left():
            return _left(machine, lane, message)
        case _:
            assert_never(message)


def _reported(machine: Machine, lane: Lane, message: Reported, now: float) -> list[Act]:
    if lane.reports:  # the first one of an attempt contains its start
        step_seconds = now - lane.reported_at
        machine.longest_step_seconds = max(machine.longest_step_seconds or 0.0, step_seconds)
    lane.reported_at = now
    value = message.values.get(machine.book.goal.metric)
    if value is None:
        text = f"no {machine.book.goal.metric} was reported at step {message.step}"
        return give_up(machine, lane, Failure(cause=FailureClass.EXCEPTION, message=text))
    reached = lane.schedule.reached(lane.last_step, message.step)
    compared = reached if machine.book.pruner.compares_running else ()
    learned = machine.book.model_rungs.reached(lane.last_step, message.step)
    if machine.book.seconds_metric is not None:
        lane.measured_seconds += message.values.get(machine.book.seconds_metric, 0.0)
    rungs = tuple(sorted({*compared, *learned}))
    lane.reports.append(Report(key=lane.key, step=message.step, values=message.values, rungs=rungs))
    if not math.isfinite(value):
        text = f"{machine.book.goal.metric} is {value} at step {message.step}"
        return give_up(machine, lane, Failure(cause=FailureClass.NON_FINITE, message=text))
    if machine.writes.flush_at is None:
        machine.writes.flush_at = now + machine.book.flush_seconds
    acts: list[Act] = [Learn(rungs=pruning.learned_rungs(machine, lane))] if learned else []
    if reached or lane.held is not None:
        report = lane.reports[-1]
        acts += pruning.decide(machine, lane, report, compared, is_last=message.is_last)
    return acts


def _warned(machine: Machine, lane: Lane, text: str) -> list[Act]:
    notice = TrialWarning(number=lane.key.number, text=text)
    machine.shown.alerts.append((machine.now, notice.sentence))
    return [Say(notice=notice)]


def _ran_code(machine: Machine, lane: Lane, message: RanCode, now: float) -> list[Act]:
    """Record changed files, and warn once; a study that allows no change ends this agent."""
    acts: list[Act] = [AskNoteCode(key=lane.key, code=message.code)]
    changed = changed_files(machine.book.code, message.code)
    names = f"{', '.join(changed)} changed after this agent started"
    if machine.book.is_code_fixed:
        error = StudyMismatch(
            f"{names}, and the study says `code: refuse`; its trials continue on an agent with the "
            "files that it began with"
        )
        return [*acts, *leave_with(machine, error, now)]
    if message.code in machine.shown.codes:
        return acts
    machine.shown.codes.append(message.code)
    return [*acts, *_warned(machine, lane, f"{names}, and this trial runs the new content")]


def printed(machine: Machine, event: WorkerPrinted) -> list[Act]:
    """Pass the new lines to its lanes' logs, so that `tuner logs` can follow from any machine."""
    lanes = machine.lanes_of(event.worker)
    for lane in lanes:  # those who train together share a log, and the room for it
        tail = event.tail[-max(MIN_TAIL, MAX_TAIL // len(lanes)) :]
        _note_printed(lane, tail, event.n_bytes)
        if machine.writes.flush_at is None:
            machine.writes.flush_at = machine.now
    return []


def _note_printed(lane: Lane, tail: str, n_bytes: int) -> None:
    if n_bytes > (lane.printed.n_bytes if lane.printed else 0):
        lane.printed = Printed(key=lane.key, tail=tail, n_bytes=n_bytes)
        lane.is_printed_posted = False


def _left(machine: Machine, lane: Lane, left: Left) -> list[Act]:
    match left.how:
        case Outcome.COMPLETE:
            _note_good_end(machine, lane)
            return post_end(machine, lane, _completed(machine, lane, left))
        case Outcome.PRUNED:
            _note_good_end(machine, lane)
            return post_end(machine, lane, _pruned(machine, lane, left))
        case Outcome.RELEASED:
            reason = _with_note(release_reason(machine, lane), left)
            return post_end(machine, lane, release(machine, lane, reason))
        case Outcome.DROPPED:
            # Lanes that this agent dropped are no longer TRAINING here.
            return post_end(machine, lane, release(machine, lane, "dropped by its worker"))
        case Outcome.REFUSED:
            lane.phase, lane.worker = Phase.QUEUED, None
            return []
        case (
            Outcome.NON_FINITE
            | Outcome.OUT_OF_MEMORY
            | Outcome.EXCEPTION
            | Outcome.EXITED
            | Outcome.CRASHED
            | Outcome.KILLED
            | Outcome.MISTAKE
        ):
            worker = machine.workers.get(lane.worker) if lane.worker is not None else None
            if worker is not None and left.how is not Outcome.NON_FINITE:
                worker.is_leaving = True
            failure = failure_of_left(left, _last_lines(lane))
            end = fail_lane(machine, lane, failure)
            if isinstance(end, Finish):
                end = replace(end, user_attrs=left.facts)
            return post_end(machine, lane, end)
        case _:
            assert_never(left.how)


def _note_good_end(machine: Machine, lane: Lane) -> None:
    memory.note_end(machine, lane)
    worker = machine.workers.get(lane.worker) if lane.worker is not None else None
    if worker is not None:
        worker.has_successor = machine.book.is_single_use


def _completed(machine: Machine, lane: Lane, left: Left) -> End:
    value = left.value
    if value is None or not math.isfinite(value):
        text = f"the objective returned {value}"
        return fail_lane(machine, lane, Failure(cause=FailureClass.NON_FINITE, message=text))
    machine.standing.note_length(lane.last_step)
    return Finish(
        key=lane.key,
        state=TrialState.COMPLETE,
        value=value,
        reports=lane.reports,
        decisions=lane.decisions,
        user_attrs=left.facts,
        last_step=lane.last_step,
        rungs=pruning.complete_rungs(machine, lane, value),
        weights=lane.kept,
    )


def _pruned(machine: Machine, lane: Lane, left: Left) -> End:
    reason = lane.verdict.reason if lane.verdict else "pruned by its objective"
    end = prune_now(machine, lane, _with_note(reason, left))
    return replace(end, user_attrs=left.facts)


def _with_note(reason: str, left: Left) -> str:
    """Append the worker's note on how the trial left to the reason."""
    return f"{reason}; {left.message}" if left.message else reason


def _last_lines(lane: Lane) -> str:
    """Return the end of its log, as an error shows it."""
    return "\n".join(lane.printed.tail.splitlines()[-LOG_LINES:]) if lane.printed else ""


def gone(machine: Machine, event: WorkerGone) -> list[Act]:
    """Fail the lanes of an ended worker and replace it."""
    worker = machine.workers.get(event.worker)
    if worker is None:  # it was ended for a rest, which may be over by now
        is_over = not machine.is_resting and machine.stop is None
        return [ReplaceWorker(worker=event.worker)] if is_over else []
    lanes = _begun(machine, event.worker, worker)
    failure = _failure_of(event, worker, len(lanes))
    acts: list[Act] = []
    for lane in lanes:
        _note_printed(lane, event.tail, event.n_bytes)
        acts += post_end(machine, lane, fail_lane(machine, lane, failure))
    del machine.workers[event.worker]
    if machine.stop is not None:
        return acts
    if (lanes and worker.pending_failure is None) or not worker.has_been_ready:
        machine.shown.alerts.append((machine.now, f"worker {worker.name}: {failure.message}"))
        acts.append(Say(notice=WorkerDied(worker=worker.name, how=failure.message)))
    if not worker.has_been_ready:
        machine.n_early_exits += 1
    if machine.n_early_exits >= MAX_EARLY_EXITS:
        return [*acts, _workers_cannot_start(event, failure)]
    if worker.name in machine.blocks.reasons:
        return acts  # the pool starts one there again when the device may train
    if machine.wanted is Desired.PAUSED and not any(machine.in_phase(Phase.TRAINING)):
        return acts  # all workers are about to rest; the pool wakes one in this place too
    return [*acts, ReplaceWorker(worker=event.worker)]


def _begun(machine: Machine, pid: int, worker: WorkerState) -> list[Lane]:
    """Return the lanes that the worker knew of; the others go to another worker."""
    lanes = machine.lanes_of(pid)
    for lane in lanes:
        if lane.place > worker.n_taken:
            lane.phase, lane.worker = Phase.QUEUED, None
    return [lane for lane in lanes if lane.phase is Phase.TRAINING]


def _failure_of(event: WorkerGone, worker: WorkerState, n_lanes: int) -> Failure:
    lines = "\n".join(event.tail.splitlines()[-LOG_LINES:])
    failure = failure_of_exit(event.exit_code, lines)
    if worker.pending_failure is not None:
        failure = replace(worker.pending_failure, log_tail=lines)
    return as_loss(failure) if n_lanes > 1 else failure  # the lane at fault is unknown


def _workers_cannot_start(event: WorkerGone, failure: Failure) -> Leave:
    lines = event.tail.strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    error = RunFailed(f"workers do not start on this machine; {failure.message}{last}")
    return Leave(ending=Ending(kind=EndingKind.FAILED, error=error))
