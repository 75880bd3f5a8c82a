"""What people want of the study: to run, to pause, to stop."""

from tuner.agent.acts import Act, KillWorker, RestWorkers, Say, Send, WakeWorkers
from tuner.agent.machine import Lane, Machine, Phase
from tuner.agent.notices import StudyPaused, StudyResumed, StudyStopping
from tuner.agent.rules.stopping import KILL_BEFORE_SECONDS
from tuner.agent.rules.workers import post_end, prune_now, release
from tuner.messages import Stop, Why
from tuner.study.decision import Action, Decision
from tuner.study.fleet import Desired, Pulse

PAUSED = "paused"


def heed(machine: Machine, pulse: Pulse) -> list[Act]:
    """A pulse says what is wanted; a change of it is told to every lane."""
    machine.reason = pulse.reason
    if pulse.desired is machine.desired:
        return []
    machine.desired = pulse.desired
    machine.claim_not_before = machine.now
    machine.halt_at = machine.now + machine.book.grace_seconds - KILL_BEFORE_SECONDS
    why = pulse.reason or "somebody asked for it"
    match pulse.desired:
        case Desired.RUNNING:
            return _resume(machine)
        case Desired.PAUSED:
            return [Say(notice=StudyPaused(reason=why)), *_tell(machine, Why.RELEASE)]
        case Desired.STOPPING:
            return [Say(notice=StudyStopping(reason=why)), *_tell(machine, Why.PRUNE)]


def _resume(machine: Machine) -> list[Act]:
    acts: list[Act] = [Say(notice=StudyResumed())]
    if machine.is_resting:
        machine.is_resting = False
        acts.append(WakeWorkers())
    return acts


def _tell(machine: Machine, why: Why) -> list[Act]:
    acts: list[Act] = []
    for lane in machine.in_phase(Phase.TRAINING):
        if lane.stop in (None, Why.RELEASE) and lane.stop is not why and lane.worker is not None:
            lane.stop = why
            if why is Why.PRUNE:
                lane.verdict = Decision(action=Action.PRUNE, reason=stop_reason(machine))
            stop = Stop(number=lane.key.number, attempt=lane.key.attempt, why=why)
            acts.append(Send(worker=lane.worker, message=stop))
    return acts


def stop_reason(machine: Machine) -> str:
    """Why a trial of a stopping study ends PRUNED."""
    reason = machine.reason or "the study ended"
    return reason if reason.startswith("stopped") else f"stopped: {reason}"


def go_on(machine: Machine) -> list[Act]:
    """While the study is paused or stopping: end what no worker has, kill what does not leave."""
    if machine.desired is Desired.RUNNING:
        return []
    acts: list[Act] = []
    for phase in (Phase.QUEUED, Phase.LOADING):
        for lane in machine.in_phase(phase):
            acts += _end(machine, lane)
    if machine.now >= machine.halt_at:
        for lane in machine.in_phase(Phase.TRAINING):
            if lane.worker is not None:
                acts.append(KillWorker(worker=lane.worker))
            acts += _end(machine, lane)
    is_idle = not any(machine.in_phase(Phase.TRAINING))
    if machine.desired is Desired.PAUSED and is_idle and not machine.is_resting:
        machine.is_resting = True  # GPUs are free for others meanwhile
        machine.workers.clear()
        acts.append(RestWorkers())
    return acts


def _end(machine: Machine, lane: Lane) -> list[Act]:
    if machine.desired is Desired.PAUSED:
        return post_end(machine, lane, release(machine, lane, PAUSED))
    return post_end(machine, lane, prune_now(machine, lane, stop_reason(machine)))
