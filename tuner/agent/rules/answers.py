"""Answers of the store, the heartbeats and the feed."""

from tuner.agent.acts import Act, AskCheckpoint, Learn, RemoveFile, Say
from tuner.agent.events import (
    BatchWritten,
    Changed,
    ClaimAnswered,
    EndsWritten,
    PulseHeard,
    StoreAway,
    StoreBack,
)
from tuner.agent.machine import Machine
from tuner.agent.notices import (
    AttemptLost,
    AttemptReleased,
    DatabaseBack,
    DatabaseLost,
    DatabaseRefuses,
    TrialEnded,
)
from tuner.agent.rules import blocks, control, filling, pruning
from tuner.agent.rules.ends import ask
from tuner.agent.rules.failures import last_attempt
from tuner.agent.state import Lane, Phase
from tuner.study.fleet import drained_places
from tuner.study.lease import Claimed, ClaimedTrial, End, Finish
from tuner.study.trial import AttemptKey, TrialRecord, TrialState, full_length
from tuner.study.verdict import Verdict


def claimed(machine: Machine, event: ClaimAnswered, now: float) -> list[Act]:
    """Add the claimed lanes, or note that nothing is available and the study may have ended."""
    machine.claims.is_claiming = False
    acts: list[Act] = []
    for trial in event.claimed.trials:
        n_steps = machine.book.n_steps or full_length(trial.params)
        schedule = machine.book.pruner.schedule(trial.place, n_steps)
        lane = Lane(trial=trial, schedule=schedule, n_steps=n_steps)
        machine.lanes[trial.key] = lane
        if trial.checkpoint is not None:
            lane.phase = Phase.LOADING
            acts.append(AskCheckpoint(key=trial.key))
    lanes = [machine.lanes[trial.key] for trial in event.claimed.trials]
    acts.append(
        Learn(
            records=[_running(lane.trial) for lane in lanes],
            rungs=[rung for lane in lanes for rung in pruning.learned_rungs(machine, lane)],
        )
    )
    if not event.claimed.trials:
        machine.claims.not_before = now + machine.book.idle_seconds
        acts += _nothing_claimed(machine, event.claimed)
    return acts


def _running(trial: ClaimedTrial) -> TrialRecord:
    return TrialRecord(
        number=trial.key.number,
        state=TrialState.RUNNING,
        params=trial.params,
        value=None,
        last_step=None,
        last_value=None,
    )


def _nothing_claimed(machine: Machine, answer: Claimed) -> list[Act]:
    if machine.lanes or not answer.limit_reached:
        return []
    return filling.wait_or_leave(machine, answer)


def written(machine: Machine, event: BatchWritten) -> list[Act]:
    """Mark reports as stored and drop lost trials."""
    machine.writes.is_writing = False
    acts: list[Act] = []
    for saved in event.batch.checkpoints:
        acts.append(RemoveFile(path=saved.path))
    for key in event.lost:
        acts += _lose(machine, key)
    return acts


def _lose(machine: Machine, key: AttemptKey) -> list[Act]:
    """Drop the work on a trial: the fence refused a write because another agent holds it."""
    lane = machine.lanes.get(key)
    if lane is None or lane.phase is Phase.ENDING:
        return []  # its own end is on the way, and that will be answered
    machine.drop(lane)
    return [*ask(lane, Verdict.DROP), *_forget(machine, lane), Say(notice=AttemptLost(key=key))]


def _forget(machine: Machine, lane: Lane) -> list[Act]:
    del machine.lanes[lane.key]
    spooled = {lane.saved, lane.ready, lane.uploading, lane.kept}
    files = [file.path for file in spooled if file is not None]
    paths = files if lane.checkpoint_path is None else [lane.checkpoint_path, *files]
    return [RemoveFile(path=path) for path in paths]


def ended(machine: Machine, event: EndsWritten, now: float) -> list[Act]:
    """Forget the lanes whose ends are stored."""
    acts: list[Act] = []
    for end in event.ends:
        lane = machine.lanes.get(end.key)
        if lane is None:
            continue
        acts += _forget(machine, lane)
        if end.key in event.lost:
            acts.append(Say(notice=AttemptLost(key=end.key)))
        else:
            if isinstance(end, Finish):
                machine.note_rungs(end.rungs)
            acts.append(_tell(machine, lane, end))
    machine.claims.not_before = now
    return acts


def _tell(machine: Machine, lane: Lane, end: End) -> Say:
    if not isinstance(end, Finish):
        last = None
        if end.failure is not None and end.short_of_bytes is None:
            last = last_attempt(lane.trial, end.failure, machine.book.retries)
        return Say(
            notice=AttemptReleased(
                key=end.key,
                reason=end.reason,
                has_failed=end.failure is not None,
                max_attempts=last,
            )
        )
    is_best = (
        end.state is TrialState.COMPLETE
        and end.value is not None
        and machine.standing.note_value(end.key.number, end.value)
    )
    return Say(
        notice=TrialEnded(
            key=end.key,
            state=end.state,
            value=end.value,
            reason=end.reason,
            n_steps=lane.last_step,
            is_best=is_best,
        )
    )


def changed(machine: Machine, event: Changed) -> list[Act]:
    for record in event.changes.trials:
        machine.standing.note(record)
    machine.standing.open_numbers = event.changes.seen.open_numbers
    machine.curves.add(event.changes.rung_values)
    machine.local_rungs -= {
        (value.step, value.number, value.is_complete) for value in event.changes.rung_values
    }
    machine.snapshot = event.changes.seen.snapshot or machine.snapshot
    return []


def pulse_heard(machine: Machine, event: PulseHeard, now: float) -> list[Act]:
    """Note silent agents for the next claim; an idle machine claims at once."""
    if event.silent:
        machine.claims.not_before = now
    machine.fleet.has_pulse, machine.fleet.silent = True, tuple(event.silent)
    living = [other.boot for other in event.pulse.others if other not in event.silent]
    machine.fleet.n_other_agents = len(living)
    machine.fleet.n_other_machines = len(set(living) - {machine.boot})
    machine.limit_trials = event.pulse.limit_trials
    machine.memory.max_other_bytes = event.pulse.max_other_bytes
    machine.blocks.drained = drained_places(event.pulse.drains, machine.blocks.places)
    machine.blocks.unavailable = dict(event.unavailable)
    return [
        *blocks.update(machine),
        *control.apply_desired(machine, event.pulse),
    ]


def store_away(machine: Machine, event: StoreAway, now: float) -> list[Act]:
    """Show the outage once, and each new reason of a refusal once; training continues."""
    machine.database.away.add(event.helper)
    was_away = machine.database.away_since is not None
    if not was_away:
        machine.database.away_since = now
    machine.database.refusals.pop(event.helper, None)
    if event.is_refusal:
        machine.database.refusals[event.helper] = event.message
        if event.message == machine.database.told_refusal:
            return []
        machine.database.told_refusal = event.message
        machine.shown.alerts.append((now, "the database refuses this agent"))
        return [Say(notice=DatabaseRefuses(message=event.message))]
    if was_away:
        return []
    machine.shown.alerts.append((now, "the database is away"))
    return [Say(notice=DatabaseLost(message=event.message))]


def store_back(machine: Machine, event: StoreBack, now: float) -> list[Act]:
    """Show that the database is back once all affected helper threads have reached it."""
    machine.database.away.discard(event.helper)
    machine.database.refusals.pop(event.helper, None)
    if machine.database.away_since is None or machine.database.away:
        return []
    away_seconds, machine.database.away_since = now - machine.database.away_since, None
    machine.database.told_refusal = None
    machine.shown.alerts.append((now, f"the database was away for {away_seconds:.0f} s"))
    return [Say(notice=DatabaseBack(away_seconds=away_seconds)), *control.come_online(machine)]
