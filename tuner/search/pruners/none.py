"""`pruner: none`: every trial runs to its end."""

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.study.decision import Action, Decision
from tuner.study.schedule import Schedule


class NoPruner:
    """Every trial trains to its end."""

    compares_running = False
    compares_complete = False

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        """No step at all."""
        return Schedule()

    def decide(self, trial: History, others: Curves) -> Decision:
        """Go on, always."""
        return Decision(action=Action.GO_ON, reason="the study does not prune")
