"""Successive halving at one rung: what ASHA and Hyperband share."""

import math

from tuner.search.curves import Among, Curves
from tuner.search.history import History
from tuner.study.decision import Decision
from tuner.study.schedule import ENDLESS, Schedule
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict


def halving_schedule(first: int, eta: int, n_steps: int | None) -> Schedule:
    """The rungs `first * eta**k` below `n_steps`; without an end where the length is unknown."""
    end = ENDLESS if n_steps is None else n_steps
    runs = []
    rung = first
    while rung < end:
        runs.append(range(rung, rung + 1))
        rung *= eta
    return Schedule(runs=tuple(runs))


def judge_rung(
    trial: History,
    schedule: Schedule,
    eta: int,
    direction: Direction,
    others: Curves,
    among: Among | None = None,
) -> Decision:
    """Judge the latest value at the highest rung that its report reached.

    It goes on among the best max(1, floor(n / eta)) of the n values known there; ties go on. A
    value that is not finite is pruned at any step.
    """
    step = trial.step
    if step == 0:
        return Decision(action=Verdict.CONTINUE, reason="nothing is reported yet")
    value = trial.values[step]
    if not math.isfinite(value):
        return Decision(action=Verdict.PRUNE, reason=f"step {step}: the value is {value}")
    rungs = trial.rungs(schedule)
    if not rungs:
        return Decision(action=Verdict.CONTINUE, reason=f"step {step} is no rung")
    rung = rungs[-1]
    n_better, n_values = _count(trial.number, rung, value, direction, others, among)
    n_kept = max(1, n_values // eta)
    return Decision(
        action=Verdict.CONTINUE if n_better < n_kept else Verdict.PRUNE,
        reason=f"rung {rung}: rank {n_better + 1} of {n_values}, keeps {n_kept}",
    )


def _count(
    number: int,
    rung: int,
    value: float,
    direction: Direction,
    others: Curves,
    among: Among | None,
) -> tuple[int, int]:
    """How many trials are strictly better, and how many there are, this one included."""
    n_better = others.n_better(rung, value, direction, among=among)
    n_values = len(others.at(rung, among=among))
    own = others.of(rung, number)
    if own is None:
        return n_better, n_values + 1
    is_own_better = direction.rank(own) < direction.rank(value)
    return n_better - is_own_better, n_values
