"""`pruner: none`: every trial runs to its end."""

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.study.decision import Decision
from tuner.study.schedule import Schedule
from tuner.study.verdict import Verdict


class NoPruner:
    """Every trial trains to its end."""

    compares_running = False
    compares_complete = False

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        return Schedule()

    def decide(self, trial: History, others: Curves) -> Decision:
        return Decision(action=Verdict.CONTINUE, reason="the study does not prune")
