"""Rules that keep workers busy and the store informed, and that detect the study's end."""

from tuner.agent.acts import Act, AskClaim, AskEnd, AskWrite, ForkSpare, Leave, Say, Send
from tuner.agent.machine import Machine
from tuner.agent.notices import TrialStarted, WaitingForOthers
from tuner.agent.rules import places
from tuner.agent.state import Lane, Phase
from tuner.messages import Start
from tuner.study.agents import Desired
from tuner.study.ending import Ending, EndingKind
from tuner.study.lease import Batch, Claimed


def fill(machine: Machine, now: float) -> list[Act]:
    """Give queued lanes to free workers, and claim more if there is room."""
    acts: list[Act] = []
    if machine.wanted is Desired.RUNNING:
        for lane in machine.in_phase(Phase.QUEUED):
            acts += _start(machine, lane)
    if machine.fork_at is not None and now >= machine.fork_at:
        machine.fork_at = None
        acts.append(ForkSpare())
    n_wanted, n_room = places.wanted_and_room(machine)
    if n_wanted == 0:
        machine.claims.fill_at = None
    machine.claims.due = places.due(machine, n_wanted, n_room)
    if (
        machine.claims.due is not None
        and not machine.claims.is_claiming
        and now >= machine.claims.due
    ):
        machine.claims.is_claiming, machine.claims.fill_at = True, None
        machine.claims.counts_own = bool(machine.lanes)
        if not n_wanted:
            machine.claims.look_at = now + machine.book.look_seconds
        known = tuple(machine.lanes)
        acts.append(
            AskClaim(known=known, limit=n_room, n_new=n_wanted, silent=machine.fleet.silent)
        )
    if now >= machine.shown.tally_at:
        if machine.shown.tally_at > 0:
            acts.append(Say(notice=machine.tally()))
        machine.shown.tally_at = now + machine.book.tally_seconds
    return acts


def _start(machine: Machine, lane: Lane) -> list[Act]:
    pid = places.choose_worker(machine, lane)
    if pid is None:
        return []
    worker = machine.workers[pid]
    worker.n_started += 1
    lane.phase, lane.worker, lane.place = Phase.TRAINING, pid, worker.n_started
    lane.started_at = lane.reported_at = worker.heard_at = machine.now
    if machine.book.is_single_use:
        machine.fork_at = machine.now + machine.book.spare_seconds
    trial = lane.trial
    start = Start(
        number=trial.key.number,
        attempt=trial.key.attempt,
        params=trial.params,
        seed=trial.seed,
        checkpoint=lane.checkpoint_path,
        decide_at=lane.schedule.bounds(),
        from_step=lane.from_step,
        last_value=_last_value(lane),
        n_steps=lane.n_steps,
    )
    notice = TrialStarted(
        key=trial.key,
        origin=trial.origin,
        worker=worker.name,
        params=trial.params,
        from_step=lane.from_step,
        follows_failure=trial.follows_failure,
    )
    return [Send(worker=pid, message=start), Say(notice=notice)]


def _last_value(lane: Lane) -> float | None:
    """Return the last objective value up to the checkpoint."""
    steps = [step for step in lane.trial.history if step <= lane.from_step]
    return lane.trial.history[max(steps)] if steps else None


def send_ends(machine: Machine, now: float, *, is_due: bool) -> list[Act]:
    """Send ended attempts to the store, several at once if possible.

    A worker reports the end of a lane, and then that it is free. The claim that follows goes first,
    because the worker waits for it. `is_due`: do not wait for the claim.
    """
    if not machine.writes.ends_due:
        return []
    if machine.writes.ends_at is None:
        machine.writes.ends_at = now + machine.book.end_seconds
    if not (is_due or now >= machine.writes.ends_at):
        return []
    ends, machine.writes.ends_due, machine.writes.ends_at = tuple(machine.writes.ends_due), [], None
    return [AskEnd(ends=ends)]


def flush(machine: Machine, now: float) -> list[Act]:
    """Write the reports of all lanes periodically: no verdict waits for it."""
    lanes = [lane for lane in machine.lanes.values() if lane.has_unposted()]
    if not lanes:
        machine.writes.flush_at = None
        return []
    if machine.writes.is_writing:
        return []
    if machine.writes.flush_at is None or now < machine.writes.flush_at:
        return []
    machine.writes.is_writing, machine.writes.flush_at = True, None
    batch = Batch(
        reports=[report for lane in lanes for report in lane.reports[lane.n_posted :]],
        decisions=[decision for lane in lanes for decision in lane.decisions],
        checkpoints=[lane.ready for lane in lanes if lane.ready is not None],
        printed=[
            lane.printed
            for lane in lanes
            if lane.printed is not None and not lane.is_printed_posted
        ],
    )
    for lane in lanes:
        lane.n_posted, lane.decisions = len(lane.reports), []
        if lane.ready is not None:
            lane.is_saved_posted |= lane.ready == lane.saved
            lane.stored_step = lane.ready.step
            lane.ready = None
        lane.is_printed_posted = True
    return [AskWrite(batch=batch)]


def wait_or_leave(machine: Machine, answer: Claimed) -> list[Act]:
    """Leave once the other machines' trials have ended: nothing new will start here."""
    n_open = answer.n_open
    if n_open == 0:
        # The database has just answered, even if another helper has not noticed that it is back.
        machine.database.away.clear()
        machine.database.away_since = None
        return [Leave(ending=Ending(kind=EndingKind.FINISHED, reason=answer.reason))]
    if machine.claims.counts_own or machine.shown.shown_open == n_open:
        return []
    machine.shown.shown_open = n_open
    return [Say(notice=WaitingForOthers(n_open=n_open))]
