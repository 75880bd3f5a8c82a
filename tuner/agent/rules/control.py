"""Desired state of the study (run, pause, stop), and the rules for a long outage."""

import math

from tuner.agent.acts import Act, Leave, RestWorkers, Say, WakeWorkers
from tuner.agent.machine import Machine
from tuner.agent.notices import (
    StudyHalted,
    StudyPaused,
    StudyResumed,
    StudyStopping,
    WorkersResting,
)
from tuner.agent.rules.ends import ask_all, end_lanes, prune_now, release, release_reason
from tuner.agent.rules.stopping import KILL_BEFORE_SECONDS
from tuner.agent.state import Lane, Phase
from tuner.errors import DatabaseRefused
from tuner.study.agents import Desired, Pulse
from tuner.study.decision import Decision
from tuner.study.ending import Ending, EndingKind
from tuner.study.lease import End
from tuner.study.verdict import Verdict
from tuner.study_file.text.durations import render_duration


def apply_desired(machine: Machine, pulse: Pulse) -> list[Act]:
    """Apply the desired state of a heartbeat's answer; pass a change to every lane."""
    machine.reason = pulse.reason
    if pulse.desired is machine.desired:
        return []
    machine.desired = pulse.desired
    machine.claims.not_before = machine.now
    _give_grace(machine)
    why = pulse.reason or "at a user's request"
    match pulse.desired:
        case Desired.RUNNING:
            return [Say(notice=StudyResumed()), *_wake(machine)]
        case Desired.PAUSED:
            return [Say(notice=StudyPaused(reason=why)), *ask_all(machine, Verdict.RELEASE)]
        case Desired.HALTED:
            return [Say(notice=StudyHalted(reason=why)), *ask_all(machine, Verdict.RELEASE)]
        case Desired.STOPPING:
            verdict = Decision(action=Verdict.PRUNE, reason=stop_reason(machine))
            return [
                Say(notice=StudyStopping(reason=why)),
                *ask_all(machine, Verdict.PRUNE, verdict),
            ]


def _give_grace(machine: Machine) -> None:
    machine.halt_at = machine.now + machine.book.grace_seconds - KILL_BEFORE_SECONDS


def _wake(machine: Machine) -> list[Act]:
    if not machine.is_resting:
        return []
    machine.is_resting = False
    return [WakeWorkers()]


def stop_reason(machine: Machine) -> str:
    """Return the reason that a trial of a stopping study ends as PRUNED."""
    reason = machine.reason or "the study ended"
    return reason if reason.startswith("stopped") else f"stopped: {reason}"


def due_acts(machine: Machine) -> list[Act]:
    """While nothing may train, end the waiting lanes and kill workers that overrun the deadline."""
    acts = _go_offline(machine)
    if machine.database.is_offline and machine.database.refusals:
        return [*acts, *_leave_refused(machine)]
    if machine.wanted is Desired.RUNNING:
        return [*acts, *_release_waiting(machine)]
    acts += end_lanes(machine, lambda lane: _end(machine, lane), machine.halt_at)
    is_idle = not any(machine.in_phase(Phase.TRAINING))
    if machine.wanted is Desired.PAUSED and is_idle and not machine.is_resting:
        machine.is_resting = True  # GPUs are free for others meanwhile
        machine.workers.clear()
        acts.append(RestWorkers())
    if machine.wanted is Desired.HALTED and not machine.lanes and not machine.claims.is_claiming:
        acts.append(Leave(ending=Ending(kind=EndingKind.HALTED, reason=machine.reason)))
    return acts


def _release_waiting(machine: Machine) -> list[Act]:
    """Release trials that a claim brought after the breaker of the last device opened."""
    if not machine.breaker.has_no_device:
        return []
    reason = "released: its machine trains no more"
    return end_lanes(machine, lambda lane: release(machine, lane, reason), math.inf)


def _end(machine: Machine, lane: Lane) -> End:
    if machine.wanted is Desired.STOPPING:
        return prune_now(machine, lane, stop_reason(machine))
    return release(machine, lane, release_reason(machine, lane))


def _go_offline(machine: Machine) -> list[Act]:
    """Release the devices after a long time without a database."""
    if machine.database.is_offline or machine.database.away_since is None:
        return []
    away_seconds = machine.now - machine.database.away_since
    if away_seconds < machine.book.max_offline_seconds:
        return []
    machine.database.is_offline = True
    _give_grace(machine)
    notice = WorkersResting(away_seconds=away_seconds)
    return [Say(notice=notice), *ask_all(machine, Verdict.RELEASE)]


def _leave_refused(machine: Machine) -> list[Act]:
    """End the agent: after so many refusals the database will not accept it by itself."""
    acts = end_lanes(machine, lambda lane: _end(machine, lane), machine.halt_at)
    if any(lane.phase is not Phase.ENDING for lane in machine.lanes.values()):
        return acts
    limit = render_duration(machine.book.max_offline_seconds)
    error = DatabaseRefused(
        f"the database has refused this agent for longer than failures.max_offline ({limit}); its "
        f"trials continue on another agent, or here after the next `tuner run` "
        f"({next(iter(machine.database.refusals.values()))})"
    )
    return [*acts, Leave(ending=Ending(kind=EndingKind.FAILED, error=error))]


def come_online(machine: Machine) -> list[Act]:
    """Start the workers again after a long outage."""
    if not machine.database.is_offline:
        return []
    machine.database.is_offline = False
    machine.claims.not_before = machine.now
    return _wake(machine) if machine.desired is Desired.RUNNING else []
