"""Verdicts of the pruner on reports."""

from collections.abc import Collection, Mapping

from tuner.agent.acts import Act, Send
from tuner.agent.machine import Machine
from tuner.agent.rules.ends import ask
from tuner.agent.state import Lane
from tuner.messages import Continue
from tuner.search.history import History
from tuner.study.decision import DecisionRecord
from tuner.study.report import Report, RungValue
from tuner.study.schedule import Schedule
from tuner.study.verdict import Verdict

# A trial of unknown length trains so much longer, at most, after a verdict that is held.
MAX_HELD_REPORTS = 100


def decide(
    machine: Machine,
    lane: Lane,
    report: Report,
    compared: Collection[int],
    *,
    is_last: bool = False,
) -> list[Act]:
    """Decide at once, on the values that this machine knows: no verdict waits for the database.

    No trial is pruned at its last step: that would save nothing and lose a candidate. The trainer,
    which may end a trial early, marks that step (`is_last`). A verdict at a step that may be the
    last one is held until a later report shows that it was not. Values of this machine's lanes
    count from the moment they are reported, others as the feed brings them. The decision's record
    lists them, so that the decision can be derived again. `compared` are the rungs that this report
    reached, where the pruner compares running trials.
    """
    number, step, place = lane.key.number, report.step, lane.trial.place
    value = report.values[machine.book.goal.metric]
    machine.note_rungs(
        [RungValue(step=rung, number=number, value=value, place=place) for rung in compared]
    )
    if lane.stop is not None:
        return []
    if lane.held is not None:
        if _is_still_held(machine, lane):
            return _continue(lane, step, is_held=True)
        return _prune(lane, lane.held)
    if is_last or (lane.n_steps is not None and step >= lane.n_steps):
        return _continue(lane, step)  # it is fully trained: only its end counts
    history = History(
        number=number,
        place=place,
        values={s: known for s, known in _values(machine, lane).items() if s <= step},
        n_steps=lane.n_steps,
    )
    decision = machine.book.pruner.decide(history, machine.curves)
    record = DecisionRecord(
        key=lane.key,
        step=step,
        decision=decision,
        snapshot=machine.snapshot,
        local=tuple(
            sorted({n for s, n, final in machine.local_rungs if s in compared and not final})
        ),
        local_complete=tuple(sorted({n for _, n, final in machine.local_rungs if final})),
    )
    if decision.action is Verdict.CONTINUE:
        lane.decisions.append(record)
        return _continue(lane, step)
    if _may_be_the_last(machine, lane, step):
        lane.held = record
        return _continue(lane, step, is_held=True)
    return _prune(lane, record)


def _may_be_the_last(machine: Machine, lane: Lane, step: int) -> bool:
    """Return whether the trial may be fully trained, as far as its length is known.

    If its params do not determine the length, COMPLETE trials do: all of them were longer than this
    step.
    """
    shortest = machine.standing.min_steps
    return lane.n_steps is None and (shortest is None or step >= shortest)


def _is_still_held(machine: Machine, lane: Lane) -> bool:
    """Return whether this report, too, may be the trial's last one.

    Without a COMPLETE trial each report may be, up to a limit: some objectives train until they are
    pruned. Later it is the report that reaches the length of the shortest COMPLETE trial.
    """
    assert lane.held is not None
    before, report = lane.reports[-2:]
    shortest = machine.standing.min_steps
    if shortest is not None:
        return before.step < shortest <= report.step
    return sum(r.step > lane.held.step for r in lane.reports) < MAX_HELD_REPORTS


def _continue(lane: Lane, step: int, *, is_held: bool = False) -> list[Act]:
    assert lane.worker is not None
    key = lane.key
    message = Continue(number=key.number, attempt=key.attempt, step=step, is_held=is_held)
    return [Send(worker=lane.worker, message=message)]


def _prune(lane: Lane, record: DecisionRecord) -> list[Act]:
    lane.decisions.append(record)
    lane.verdict, lane.stop, lane.held = record.decision, Verdict.PRUNE, None
    return ask(lane, Verdict.PRUNE)


def _values(machine: Machine, lane: Lane) -> dict[int, float]:
    """Return the objective by step: up to the resumed checkpoint, and of this attempt."""
    reported = {report.step: report.values[machine.book.goal.metric] for report in lane.reports}
    earlier = {s: value for s, value in lane.trial.history.items() if s <= lane.from_step}
    return {**earlier, **reported}


def complete_rungs(machine: Machine, lane: Lane, value: float) -> list[RungValue]:
    """Return the values for comparing other trials once this one is COMPLETE.

    The final value is at step 0.
    """
    if not machine.book.pruner.compares_complete:
        return []
    number, place = lane.key.number, lane.trial.place
    at = {0: value} | _values_at(lane.schedule, _values(machine, lane))
    return [
        RungValue(step=rung, number=number, value=v, place=place, is_complete=True)
        for rung, v in at.items()
    ]


def learned_rungs(machine: Machine, lane: Lane) -> list[RungValue]:
    """Return all values of this lane that the sampler uses, those of earlier attempts first."""
    values = {**_values(machine, lane), **lane.trial.history}
    at = _values_at(machine.book.model_rungs, values)
    return [
        RungValue(step=rung, number=lane.key.number, value=v, place=lane.trial.place)
        for rung, v in at.items()
    ]


def _values_at(schedule: Schedule, values: Mapping[int, float]) -> dict[int, float]:
    """Return the first value at or after each rung of a schedule."""
    at: dict[int, float] = {}
    before = 0
    for step, value in sorted(values.items()):
        at |= dict.fromkeys(schedule.reached(before, step), value)
        before = step
    return at
