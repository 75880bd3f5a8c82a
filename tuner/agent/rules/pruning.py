"""Verdicts of the pruner for lanes that wait for one."""

from tuner.agent.acts import Act, Send
from tuner.agent.machine import Lane, Machine, Phase
from tuner.messages import GoOn, Stop, Why
from tuner.search.history import History
from tuner.study.decision import Action, DecisionRecord


def give_verdicts(machine: Machine) -> list[Act]:
    """Decide where the report is stored and the others' values have been read since."""
    return [
        _decide(machine, lane)
        for lane in machine.in_phase(Phase.TRAINING)
        if lane.awaiting is not None and lane.is_awaited_written and lane.stop is None
    ]


def _decide(machine: Machine, lane: Lane) -> Act:
    step = lane.awaiting
    assert step is not None
    assert lane.worker is not None
    reported = {report.step: report.values[machine.book.metric] for report in lane.reports}
    values = {**lane.trial.history, **reported}
    history = History(
        number=lane.key.number,
        place=lane.trial.place,
        values={s: value for s, value in values.items() if s <= step},
    )
    decision = machine.book.pruner.decide(history, machine.curves)
    lane.decisions.append(
        DecisionRecord(key=lane.key, step=step, decision=decision, snapshot=machine.snapshot)
    )
    lane.awaiting = None
    number, attempt = lane.key.number, lane.key.attempt
    if decision.action is Action.GO_ON:
        return Send(worker=lane.worker, message=GoOn(number=number, attempt=attempt, step=step))
    lane.verdict, lane.stop = decision, Why.PRUNE
    return Send(worker=lane.worker, message=Stop(number=number, attempt=attempt, why=Why.PRUNE))
