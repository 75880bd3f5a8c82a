"""Verdicts of the pruner."""

from tuner.agent.acts import Act, Send
from tuner.agent.machine import Lane, Machine
from tuner.messages import GoOn, Stop, Why
from tuner.search.history import History
from tuner.study.decision import Action, DecisionRecord
from tuner.study.report import RungValue


def decide(machine: Machine, lane: Lane, step: int, value: float) -> list[Act]:
    """Decide at once, on the values that this machine knows: no verdict waits for the database.

    Its own lanes' values count from the moment they are reported, the others' as the feed brings
    them. The record says which ones those were, so that the decision can be derived again.
    """
    number = lane.key.number
    machine.curves.add([RungValue(step=step, number=number, value=value)])
    machine.local_rungs.add((step, number))
    if lane.stop is not None:
        return []
    reported = {report.step: report.values[machine.book.metric] for report in lane.reports}
    values = {**lane.trial.history, **reported}
    history = History(
        number=number,
        place=lane.trial.place,
        values={s: known for s, known in values.items() if s <= step},
    )
    decision = machine.book.pruner.decide(history, machine.curves)
    record = DecisionRecord(
        key=lane.key,
        step=step,
        decision=decision,
        snapshot=machine.snapshot,
        local=tuple(sorted(n for s, n in machine.local_rungs if s == step)),
    )
    lane.decisions.append(record)
    attempt = lane.key.attempt
    assert lane.worker is not None
    if decision.action is Action.GO_ON:
        return [Send(worker=lane.worker, message=GoOn(number=number, attempt=attempt, step=step))]
    lane.verdict, lane.stop = decision, Why.PRUNE
    return [Send(worker=lane.worker, message=Stop(number=number, attempt=attempt, why=Why.PRUNE))]
