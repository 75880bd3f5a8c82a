"""Ends of attempts: their records, and how workers release the lanes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tuner.agent.acts import Act, KillWorker, Learn, Send
from tuner.agent.device_time import used_seconds
from tuner.agent.machine import Machine
from tuner.agent.rules import breaker, memory
from tuner.agent.rules.failures import end_of
from tuner.agent.state import Lane, Phase
from tuner.messages import Stop
from tuner.study.agents import Desired
from tuner.study.decision import Decision
from tuner.study.failure import Failure, FailureClass
from tuner.study.lease import End, Finish, Release
from tuner.study.trial import TrialRecord, TrialState
from tuner.study.verdict import Verdict


def prune_now(machine: Machine, lane: Lane, reason: str) -> Finish:
    """End as PRUNED with the last report, Optuna's rule; without a value if none exists."""
    reported = [lane.trial.history[step] for step in sorted(lane.trial.history)]
    reported += [report.values[machine.book.goal.metric] for report in lane.reports]
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
    """End a failed attempt: as FAIL, or with another attempt."""
    if failure.cause is FailureClass.OUT_OF_MEMORY:
        offer = memory.offer(machine, lane, failure)
        if offer is not None:
            return offer
    return end_of(lane.trial, failure, lane.reports, machine.book.retries)


def release(machine: Machine, lane: Lane, reason: str) -> Release:
    """Release a trial, with its newest checkpoint if that is not registered yet."""
    return Release(
        key=lane.key,
        reason=reason,
        reports=lane.reports,
        decisions=lane.decisions,
        checkpoint=None if lane.is_saved_posted else lane.saved,
    )


def release_reason(machine: Machine, lane: Lane) -> str:
    """Return the reason of a release."""
    if machine.desired is Desired.PAUSED:
        reason = machine.reason or "paused"
        return reason if reason.startswith("paused") else f"paused: {reason}"
    if machine.desired is Desired.HALTED:
        return "released: the study was halted"
    if machine.database.is_offline:
        return "released: its machine was without a database for too long"
    block = machine.block_of(lane)
    if block and machine.stop is None:
        return f"released: {block}"
    return "released"


def post_end(machine: Machine, lane: Lane, end: End) -> list[Act]:
    """Queue an attempt's end for the store; the lane stays known until the answer."""
    if lane.phase is Phase.ENDING:
        return []
    worker = machine.workers.get(lane.worker) if lane.worker is not None else None
    if worker is not None:
        breaker.note(machine, lane, end, worker.name)
    seconds = used_seconds(machine, machine.now).get(lane.key, 0.0)
    lane.phase, lane.has_failed = Phase.ENDING, end.failure is not None
    end = replace(
        end,
        seconds=seconds,
        device=worker.name if worker else None,
        printed=lane.printed,
    )
    machine.writes.ends_due.append(end)
    return [Learn(records=[_record(lane, end)])] if isinstance(end, Finish) else []


def _record(lane: Lane, finish: Finish) -> TrialRecord:
    """Return the ended trial as samplers see it."""
    return TrialRecord(
        number=lane.key.number,
        state=finish.state,
        params=lane.trial.params,
        value=finish.value,
        last_step=None if finish.state is TrialState.FAIL else lane.last_step,
        last_value=finish.value if finish.state is TrialState.PRUNED else None,
        diverged=finish.failure is not None and finish.failure.is_by_params,
    )


def ask(lane: Lane, order: Verdict) -> list[Act]:
    """Ask a lane's worker to stop it."""
    if lane.worker is None:
        return []
    stop = Stop(number=lane.key.number, attempt=lane.key.attempt, verdict=order)
    return [Send(worker=lane.worker, message=stop)]


def ask_all(machine: Machine, order: Verdict, verdict: Decision | None = None) -> list[Act]:
    """Ask every lane in training to stop, unless it was asked before or is to end for good."""
    return ask_lanes(machine.in_phase(Phase.TRAINING), order, verdict)


def ask_lanes(lanes: Iterable[Lane], order: Verdict, verdict: Decision | None = None) -> list[Act]:
    """Ask some lanes in training to stop, as `ask_all` does."""
    acts: list[Act] = []
    for lane in lanes:
        if (
            lane.stop in (None, Verdict.RELEASE)
            and lane.stop is not order
            and lane.worker is not None
        ):
            lane.stop, lane.verdict = order, verdict or lane.verdict
            acts += ask(lane, order)
    return acts


def give_up(machine: Machine, lane: Lane, failure: Failure) -> list[Act]:
    """Fail a trial whose worker is still training it."""
    machine.drop(lane)
    return [*ask(lane, Verdict.DROP), *post_end(machine, lane, fail_lane(machine, lane, failure))]


def end_lanes(
    machine: Machine,
    end: Callable[[Lane], End],
    kill_at: float,
    lanes: Sequence[Lane] | None = None,
) -> list[Act]:
    """End lanes without a worker; from `kill_at` on also the others, and their workers.

    `lanes`: only these, None for all.
    """
    acts: list[Act] = []
    for lane in list(machine.lanes.values()) if lanes is None else lanes:
        if lane.phase in (Phase.QUEUED, Phase.LOADING):
            acts += post_end(machine, lane, end(lane))
        elif lane.phase is Phase.TRAINING and machine.now >= kill_at:
            if lane.worker is not None:
                acts.append(KillWorker(worker=lane.worker))
            acts += post_end(machine, lane, end(lane))
    return acts
