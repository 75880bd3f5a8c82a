"""A clean stop: save checkpoints, release the trials and leave within the grace period."""

from tuner.agent.acts import Act, Leave, Say
from tuner.agent.events import StopAsked
from tuner.agent.machine import Machine
from tuner.agent.notices import Stopping
from tuner.agent.rules.ends import ask_all, end_lanes, release, release_reason
from tuner.agent.state import Lane, Phase, StopState
from tuner.errors import TunerError
from tuner.study.ending import Ending, EndingKind
from tuner.study.lease import Release
from tuner.study.verdict import Verdict

# Workers have until so long before the end of the grace; the rest is for the release.
KILL_BEFORE_SECONDS = 5.0
LEAVE_BEFORE_SECONDS = 2.0  # for the final heartbeat and the exit of the interpreter
SECOND_SIGNAL_SECONDS = 2.0


def asked(machine: Machine, event: StopAsked, now: float) -> list[Act]:
    """Release every lane at the first signal; end at once at the second."""
    if machine.stop is not None:
        machine.stop.kill_at = now
        machine.stop.leave_at = min(machine.stop.leave_at, now + SECOND_SIGNAL_SECONDS)
        return []
    n_held = sum(lane.phase is not Phase.ENDING for lane in machine.lanes.values())
    grace = machine.book.grace_seconds
    notice = Stopping(signal=event.signal, grace_seconds=grace, n_trials=n_held)
    return [Say(notice=notice), *_begin(machine, now, event.signal)]


def leave_with(machine: Machine, error: TunerError, now: float) -> list[Act]:
    """Release every lane, then end with the error: this machine cannot continue."""
    return _begin(machine, now, "", error) if machine.stop is None else []


def _begin(machine: Machine, now: float, signal: str, error: TunerError | None = None) -> list[Act]:
    grace = machine.book.grace_seconds
    machine.stop = StopState(
        signal=signal,
        kill_at=now + max(0.0, grace - KILL_BEFORE_SECONDS),
        leave_at=now + grace - LEAVE_BEFORE_SECONDS,
        error=error,
    )
    return ask_all(machine, Verdict.RELEASE)


def due_acts(machine: Machine, now: float) -> list[Act]:
    """Release lanes without a worker, kill workers at the deadline, leave when all is written."""
    stop = machine.stop
    assert stop is not None
    acts = end_lanes(machine, lambda lane: _released(machine, lane), stop.kill_at)
    if (not machine.lanes and not machine.claims.is_claiming) or now >= stop.leave_at:
        acts.append(Leave(ending=_ending(stop)))
    return acts


def _ending(stop: StopState) -> Ending:
    if stop.error is not None:
        return Ending(kind=EndingKind.FAILED, error=stop.error)
    is_interrupted = stop.signal == "SIGINT"
    return Ending(kind=EndingKind.INTERRUPTED if is_interrupted else EndingKind.TERMINATED)


def _released(machine: Machine, lane: Lane) -> Release:
    reason = release_reason(machine, lane)
    is_cut = lane.phase is Phase.TRAINING
    return release(machine, lane, f"{reason} without its last steps" if is_cut else reason)


def fail(error: TunerError) -> list[Act]:
    """End the agent with the error of a helper."""
    return [Leave(ending=Ending(kind=EndingKind.FAILED, error=error))]
